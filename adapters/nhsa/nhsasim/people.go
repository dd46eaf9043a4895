package nhsasim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Person is an insured person to be added. Family is what bound relatives' accounts hold for the person.
type Person struct {
	PsnNo        string // 人员编号, up to 30 characters
	Name         sensitive.Name
	IDNumber     sensitive.IDNumber
	CardNo       string // social security card, optional
	Insurances   []Insurance
	Family       money.Fen
	SignedDoctor bool // signed family doctor: residents of Nanchang get 65 %
	Used         []Used
}

// AddPerson makes the platform know a person; the number and the identity number must be new.
func (s *Sim) AddPerson(in Person) error {
	p := &person{PsnNo: in.PsnNo, Name: in.Name.Reveal(), IDNumber: in.IDNumber.Reveal(), CardNo: in.CardNo,
		Insurances: slices.Clone(in.Insurances), Family: in.Family, Signed: in.SignedDoctor, Used: slices.Clone(in.Used)}
	if p.PsnNo == "" || len(p.PsnNo) > 30 || p.Name == "" || len(p.IDNumber) != 18 || len(p.Insurances) == 0 || p.Family < 0 {
		return errors.New("nhsasim: a person needs a number, a name, an identity number and an insurance")
	}
	for _, i := range p.Insurances {
		if len(i.Area) != 6 || i.InsuType == "" || groupOf(i.PsnType) == "" || i.Balance < 0 {
			return errors.New("nhsasim: an insurance needs an area of 6 digits, a type, a psn_type and no debts")
		}
	}
	for _, u := range p.Used {
		if benefitOf(u.MedType) == "" || u.Deductible < 0 || u.FundPaid < 0 {
			return errors.New("nhsasim: what was used names med_type 11 or 14 and is not negative")
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, old := range s.persons {
		if old.PsnNo == p.PsnNo || old.IDNumber == p.IDNumber {
			return errors.New("nhsasim: this person is known")
		}
	}
	return s.record(entry{Kind: "person", Person: p})
}

// AddItem puts an item into the insurer's catalogue, or replaces it for rows to come.
func (s *Sim) AddItem(medListCodg string, item Item) error {
	if medListCodg == "" {
		return errors.New("nhsasim: an item needs its med_list_codg")
	}
	if err := item.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.record(entry{Kind: "item", Code: medListCodg, Item: &item})
}

// AddVisit registers a visit as the HIS would by its own link, and returns the mdtrt_id that the HIS then tells.
func (s *Sim) AddVisit(institution, psnNo, insutype, area, visitNo string) (mdtrtID string, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.persons[psnNo]
	if _, ok := s.institutions[institution]; !ok || p == nil || p.insurance(insutype, area) == nil || visitNo == "" {
		return "", errors.New("nhsasim: unknown institution, person or insurance, or no visit number")
	}
	v := &visit{MdtrtID: s.newID(), PsnNo: psnNo, InsuType: insutype, Area: area, Institution: institution, VisitNo: visitNo, FromHIS: true}
	return v.MdtrtID, s.record(entry{Kind: "visit", Visit: v})
}

// Truth is what an auditor may know: every settlement, and what the insurer owes for those in force. No personal data.
type Truth struct {
	Settlements []TrueSettlement `json:"settlements"`
	Net         Net              `json:"net"`
	Uploads     []TrueUpload     `json:"uploads"` // at the mobile-payment centre
}

// TrueSettlement is one settlement as it stands, in fen.
type TrueSettlement struct {
	SetlID   string    `json:"setl_id"`
	MsgID    string    `json:"msgid"`
	MdtrtID  string    `json:"mdtrt_id"`
	VisitNo  string    `json:"ipt_otp_no"`
	Batch    string    `json:"chrg_bchno"`
	Total    money.Fen `json:"medfee_fen"`
	Fund     money.Fen `json:"fund_fen"`
	Account  money.Fen `json:"account_fen"`
	Family   money.Fen `json:"family_fen"`
	Cash     money.Fen `json:"cash_fen"`
	Hospital money.Fen `json:"hospital_fen"`
	State    string    `json:"state"` // in_force, cancelled, reversed
	At       time.Time `json:"at"`
	PayOrdID string    `json:"pay_ord_id,omitempty"`  // settled by the mobile-payment centre
	OrderNo  string    `json:"med_org_ord,omitempty"` // likewise
}

// Net sums the settlements in force: what the insurer pays the hospital, by source.
type Net struct {
	Count   int       `json:"count"`
	Total   money.Fen `json:"medfee_fen"`
	Fund    money.Fen `json:"fund_fen"`
	Account money.Fen `json:"account_fen"`
	Family  money.Fen `json:"family_fen"`
	Insurer money.Fen `json:"insurer_fen"` // fund + account + family
}

// Truth reports the state that matters for audit.
func (s *Sim) Truth() Truth {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := Truth{Settlements: []TrueSettlement{}, Uploads: []TrueUpload{}}
	for _, id := range slices.Sorted(maps.Keys(s.uploads)) {
		u := s.uploads[id]
		t.Uploads = append(t.Uploads, TrueUpload{u.PayOrdID, u.OrderNo, u.Institution, u.Stas})
	}
	for _, x := range s.order {
		a, orderNo := x.Amounts, ""
		if u := s.uploads[x.PayOrdID]; u != nil {
			orderNo = u.OrderNo
		}
		t.Settlements = append(t.Settlements, TrueSettlement{SetlID: x.SetlID, MsgID: x.MsgID, MdtrtID: x.MdtrtID, VisitNo: s.visits[x.MdtrtID].VisitNo,
			Batch: x.Batch, Total: a.Total, Fund: a.Fund, Account: a.Account, Family: a.Family, Cash: a.Cash, Hospital: a.Hospital, State: x.State, At: x.At,
			PayOrdID: x.PayOrdID, OrderNo: orderNo})
		if x.State == inForce {
			t.Net.Count++
			t.Net.Total += a.Total
			t.Net.Fund += a.Fund
			t.Net.Account += a.Account
			t.Net.Family += a.Family
		}
	}
	t.Net.Insurer = t.Net.Fund + t.Net.Account + t.Net.Family
	return t
}

// Balance is what is left on a person's own account and on the relatives', for the sandbox page and for tests.
func (s *Sim) Balance(psnNo, insutype string) (own, family money.Fen, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.persons[psnNo]
	if p == nil || p.insurance(insutype, "") == nil {
		return 0, 0, fmt.Errorf("nhsasim: no person %s with insurance %s", psnNo, insutype)
	}
	return p.insurance(insutype, "").Balance, p.Family, nil
}

// nameCall names a request for the fault plan.
func (s *Sim) nameCall(_ *http.Request, body []byte) sandbox.Call {
	var in struct {
		Infno string                     `json:"infno"`
		Input map[string]json.RawMessage `json:"input"`
	}
	if json.Unmarshal(body, &in) != nil {
		return sandbox.Call{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	call := sandbox.Call{Op: in.Infno, Key: s.key(in.Infno, in.Input)}
	switch in.Infno {
	case "1101", "2201":
		call.Refusable = true
	case "2206":
		call.Refusable, call.Priced = true, true
	case "2207":
		call.Refusable, call.Priced = true, true
		call.Most = 1 // an order whose fresh 2207 is lost too is given up by rule (design.md §3), which is no fault of the order's
	}
	return call
}
