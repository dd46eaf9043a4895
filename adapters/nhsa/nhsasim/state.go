package nhsasim

import (
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// state is everything that the journal rebuilds. Guarded by Sim.mu.
type state struct {
	items       map[string]Item        // by med_list_codg
	persons     map[string]*person     // by psn_no
	years       map[string]*year       // by psn_no, insutype and year
	visits      map[string]*visit      // by mdtrt_id
	settlements map[string]*settlement // by setl_id of the settlement
	byMsgID     map[string]*settlement // by msgid of the 2207
	cancels     map[string]*cancel     // by msgid of the 2208
	cancelIDs   map[string]*cancel     // by setl_id of the reversing record
	order       []*settlement          // as settled
	seen        map[string]bool        // every msgid
	barred      map[string]bool        // msgids of originals that were reversed before they came
	spent       map[string]string      // credential tokens that settled, with their visit's mdtrt_id, or at the centre with payOrdId
	clearedTo   time.Time
	files       map[string]*file // by file_qury_no
	sequence    int64
	centreState
}

func newState() state {
	return state{items: map[string]Item{}, persons: map[string]*person{}, years: map[string]*year{}, visits: map[string]*visit{},
		settlements: map[string]*settlement{}, byMsgID: map[string]*settlement{}, cancels: map[string]*cancel{},
		cancelIDs: map[string]*cancel{}, seen: map[string]bool{}, barred: map[string]bool{},
		spent: map[string]string{}, files: map[string]*file{}, centreState: newCentreState()}
}

// person is an insured person (人员). The journal needs the plain text; the exported form is Person.
type person struct {
	PsnNo      string      `json:"psn_no"`
	Name       string      `json:"name"`
	IDNumber   string      `json:"id_number"`
	CardNo     string      `json:"card_no,omitempty"`
	Insurances []Insurance `json:"insurances"`
	Family     money.Fen   `json:"family_fen"` // what bound relatives' accounts hold for this person
	Signed     bool        `json:"signed_doctor"`
	Used       []Used      `json:"used,omitempty"`
}

// Insurance is one row of insuinfo (参保信息).
type Insurance struct {
	InsuType     string    `json:"insutype"`       // 310, 390 …
	PsnType      string    `json:"psn_type"`       // 1101 …
	Status       string    `json:"psn_insu_stas"`  // 1 normal, 2 paused, 4 ended
	Since        string    `json:"psn_insu_date"`  // 2006-01-02
	Paused       string    `json:"paus_insu_date"` // 2006-01-02 or empty
	CivilServant bool      `json:"cvlserv"`
	Area         string    `json:"insuplc_admdvs"` // 参保地医保区划, 6 digits
	Employer     string    `json:"emp_name"`
	Balance      money.Fen `json:"balance_fen"` // 个人账户余额
}

// Used is what a person has used of a year's benefits before the sandbox begins.
type Used struct {
	Year       int       `json:"year"`
	InsuType   string    `json:"insutype"`
	MedType    string    `json:"med_type"` // 11, 14
	Deductible money.Fen `json:"deductible_fen"`
	FundPaid   money.Fen `json:"fund_paid_fen"`
}

// enjoys reports whether the insurance pays at that moment.
func (i *Insurance) enjoys(now time.Time) bool {
	return i.Status == "1" && (i.Paused == "" || i.Paused > inShanghai(now).Format(date))
}

func (p *person) insurance(insutype, area string) *Insurance {
	for i := range p.Insurances {
		if p.Insurances[i].InsuType == insutype && (area == "" || p.Insurances[i].Area == area) {
			return &p.Insurances[i]
		}
	}
	return nil
}

// year is one person's accumulations of one year under one insurance.
type year struct {
	Deductible map[string]money.Fen // by benefit
	AtLevel    map[Level]money.Fen  // by level, ordinary outpatient
	FundPaid   map[string]money.Fen // by benefit
}

func yearKey(psnNo, insutype string, y int) string {
	return fmt.Sprintf("%s|%s|%d", psnNo, insutype, y)
}

func (s *state) year(psnNo, insutype string, y int) *year {
	key := yearKey(psnNo, insutype, y)
	if s.years[key] == nil {
		s.years[key] = &year{Deductible: map[string]money.Fen{}, AtLevel: map[Level]money.Fen{}, FundPaid: map[string]money.Fen{}}
	}
	return s.years[key]
}

// visit is a registered visit (就诊).
type visit struct {
	MdtrtID     string              `json:"mdtrt_id"`
	PsnNo       string              `json:"psn_no"`
	InsuType    string              `json:"insutype"`
	Area        string              `json:"area"` // 参保地
	Institution string              `json:"fixmedins_code"`
	VisitNo     string              `json:"ipt_otp_no"`
	FromHIS     bool                `json:"from_his,omitempty"` // registered by AddVisit: the mini program knows mdtrt_id only
	MedType     string              `json:"med_type,omitempty"` // from 2203A
	DiseaseCode string              `json:"dise_codg,omitempty"`
	Void        bool                `json:"void,omitempty"`
	Batches     map[string][]feeRow `json:"batches,omitempty"`
	Settled     map[string]string   `json:"-"` // batch → setl_id in force
	Lines       map[string]bool     `json:"-"` // feedetl_sn taken
}

// feeRow is one uploaded and split row.
type feeRow struct {
	No      string  `json:"no"`
	Disease string  `json:"disease,omitempty"`
	Split   buckets `json:"split"`
}

// settlement is one 2207.
type settlement struct {
	SetlID   string    `json:"setl_id"`
	MsgID    string    `json:"msgid"`
	MdtrtID  string    `json:"mdtrt_id"`
	Batch    string    `json:"batch"`
	CertType string    `json:"cert_type"`
	Token    string    `json:"token,omitempty"` // of credential 01
	MedType  string    `json:"med_type"`
	Benefit  string    `json:"benefit"`
	Level    Level     `json:"level"`
	At       time.Time `json:"at"`
	Year     int       `json:"year"`
	Amounts  amounts   `json:"amounts"`
	PayOrdID string    `json:"pay_ord_id,omitempty"` // settled by the mobile-payment centre
	State    string    `json:"-"`
	Seq      int       `json:"-"` // order of settling
}

// The states of a settlement.
const (
	inForce   = "in_force"
	cancelled = "cancelled" // by 2208
	reversed  = "reversed"  // by 2601
)

// cancel is one 2208.
type cancel struct {
	SetlID  string    `json:"setl_id"` // of the reversing record
	Of      string    `json:"of"`
	MsgID   string    `json:"msgid"`
	At      time.Time `json:"at"`
	Balance money.Fen `json:"balance"`
	Undone  bool      `json:"-"` // by 2601
}

// entry is one line of the journal: one effect. Exactly one of the pointers, or one of the named fields, is set beside MsgID.
type entry struct {
	At       time.Time   `json:"at"`
	Kind     string      `json:"kind"`
	MsgID    string      `json:"msgid,omitempty"`
	Person   *person     `json:"person,omitempty"`
	Code     string      `json:"code,omitempty"` // item code
	Item     *Item       `json:"item,omitempty"`
	Visit    *visit      `json:"visit,omitempty"`
	MdtrtID  string      `json:"mdtrt_id,omitempty"`
	MedType  string      `json:"med_type,omitempty"`
	Disease  string      `json:"disease,omitempty"`
	Batch    string      `json:"batch,omitempty"`
	Rows     []feeRow    `json:"rows,omitempty"`
	Settle   *settlement `json:"settle,omitempty"`
	Cancel   *cancel     `json:"cancel,omitempty"`
	Original string      `json:"original,omitempty"` // omsgid
	Infno    string      `json:"infno,omitempty"`    // oinfno
	Cleared  *time.Time  `json:"cleared,omitempty"`
	File     *file       `json:"file,omitempty"`

	PayOrdID  string        `json:"pay_ord_id,omitempty"` // at the mobile-payment centre
	Upload    *upload       `json:"upload,omitempty"`
	Foreseen  *foreseen     `json:"foreseen,omitempty"`
	Asked     *mixedSums    `json:"asked,omitempty"`
	Reason    string        `json:"reason,omitempty"`
	RevsToken string        `json:"revs_token,omitempty"`
	Giving    *giving       `json:"giving,omitempty"`
	Notice    *centreNotice `json:"notice,omitempty"`
}

// apply makes one effect true. It is the only writer of state, live and in replay.
func (s *state) apply(e entry) error {
	if e.MsgID != "" {
		s.seen[e.MsgID] = true
	}
	if s.applyCentre(e) {
		return nil
	}
	switch e.Kind {
	case "person":
		s.addPerson(e.Person)
	case "item":
		s.items[e.Code] = *e.Item
	case "visit":
		v := e.Visit
		v.Batches, v.Settled, v.Lines = map[string][]feeRow{}, map[string]string{}, map[string]bool{}
		s.visits[v.MdtrtID] = v
	case "visit_void":
		s.visits[e.MdtrtID].Void = true
	case "visit_info":
		s.visits[e.MdtrtID].MedType, s.visits[e.MdtrtID].DiseaseCode = e.MedType, e.Disease
	case "rows":
		v := s.visits[e.MdtrtID]
		v.Batches[e.Batch] = append(v.Batches[e.Batch], e.Rows...)
		for _, r := range e.Rows {
			v.Lines[r.No] = true
		}
	case "rows_void":
		s.dropRows(e.MdtrtID, e.Batch)
	case "settle":
		s.addSettlement(e.Settle)
	case "cancel":
		s.cancels[e.Cancel.MsgID], s.cancelIDs[e.Cancel.SetlID] = e.Cancel, e.Cancel
		s.undo(s.settlements[e.Cancel.Of], cancelled)
	case "reverse":
		s.reverse(e.Infno, e.Original)
	case "file":
		s.files[e.File.No] = e.File
	case "clear":
		s.clearedTo = *e.Cleared
	default:
		return fmt.Errorf("journal entry of kind %q", e.Kind)
	}
	return nil
}

func (s *state) addPerson(p *person) {
	s.persons[p.PsnNo] = p
	for _, u := range p.Used {
		y := s.year(p.PsnNo, u.InsuType, u.Year)
		y.Deductible[benefitOf(u.MedType)] += u.Deductible
		y.FundPaid[benefitOf(u.MedType)] += u.FundPaid
	}
}

func (s *state) dropRows(mdtrtID, batch string) {
	v := s.visits[mdtrtID]
	for no, rows := range v.Batches {
		if (batch != allBatches && batch != no) || v.Settled[no] != "" {
			continue
		}
		for _, r := range rows {
			delete(v.Lines, r.No)
		}
		delete(v.Batches, no)
	}
}

func (s *state) addSettlement(x *settlement) {
	s.settlements[x.SetlID], s.byMsgID[x.MsgID] = x, x
	if x.Token != "" {
		s.spent[x.Token] = x.MdtrtID
	}
	s.order = append(s.order, x)
	x.Seq = len(s.order)
	s.redo(x)
}

// redo puts a settlement in force and moves the counters; undo takes both back.
func (s *state) redo(x *settlement) {
	s.count(x, 1)
	x.State = inForce
	s.visits[x.MdtrtID].Settled[x.Batch] = x.SetlID
}

func (s *state) undo(x *settlement, to string) {
	s.count(x, -1)
	x.State = to
	delete(s.visits[x.MdtrtID].Settled, x.Batch)
}

func (s *state) count(x *settlement, sign money.Fen) {
	v := s.visits[x.MdtrtID]
	y := s.year(v.PsnNo, v.InsuType, x.Year)
	y.Deductible[x.Benefit] += sign * x.Amounts.Deductible
	y.AtLevel[x.Level] += sign * x.Amounts.Deductible
	y.FundPaid[x.Benefit] += sign * x.Amounts.Pooled
	p := s.persons[v.PsnNo]
	p.Family -= sign * x.Amounts.Family
	if i := p.insurance(v.InsuType, v.Area); i != nil {
		i.Balance -= sign * x.Amounts.Account
	}
}

func (s *state) reverse(infno, msgID string) {
	switch x, c := s.byMsgID[msgID], s.cancels[msgID]; {
	case infno == "2207" && x != nil && x.State == inForce:
		s.undo(x, reversed)
	case infno == "2208" && c != nil && !c.Undone:
		c.Undone = true
		s.redo(s.settlements[c.Of])
	case x == nil && c == nil:
		s.barred[msgID] = true
	}
}
