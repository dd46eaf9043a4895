package main

import (
	"fmt"
	"strconv"
	"time"

	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/adapters/nhsa/nhsasim"
	"github.com/tuoka/tuoka/adapters/wechatmp/wechatmpsim"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// role is one person of the sandbox as the phone page and the pay command need it, at one hospital. Everybody in it is made up.
type role struct {
	Institution string `json:"institution"`

	User      string   `json:"user"` // key at the mini-program simulator
	OpenID    string   `json:"openid"`
	Name      string   `json:"name"`
	IDNumber  string   `json:"id_number"`
	Phone     string   `json:"phone"`
	Insurance string   `json:"insurance"` // employee, retired, resident, civil, none
	Story     string   `json:"story,omitempty"`
	HISID     string   `json:"his_patient"`
	PsnNo     string   `json:"psn_no,omitempty"`
	Bills     []string `json:"bills"`

	Kind  string    `json:"kind,omitempty"`  // of the bills of a player: registration, deposit
	PayBy time.Time `json:"pay_by,omitzero"` // until when the HIS holds the slot of a registration among them
}

// insurances are the kinds of cover a person of the sandbox may have.
var insurances = map[string]nhsasim.Insurance{
	"employee": {InsuType: "310", PsnType: "1101", Status: "1", Since: "2015-01-01", Employer: "示范机械厂"},
	"retired":  {InsuType: "310", PsnType: "1201", Status: "1", Since: "2001-01-01", Employer: "示范机械厂"},
	"civil":    {InsuType: "310", PsnType: "1102", Status: "1", Since: "2008-01-01", CivilServant: true, Employer: "示范局"},
	"resident": {InsuType: "390", PsnType: "1501", Status: "1", Since: "2019-01-01"},
}

// seat gives the configuration's persons their places, at the first start. One that was killed half-way is taken up where it was: the
// phone is the last to know a person.
func (s *simulators) seat() error {
	known := map[string]bool{}
	for _, u := range s.mp.Users() {
		known[u.ID] = true
	}
	for _, h := range s.hospitals {
		archives, dealt := map[string]string{}, map[string]int{}
		for _, p := range h.his.Patients() {
			archives[p.Name+" "+p.IDNo] = p.ID
		}
		for _, b := range h.his.Truth().Bills {
			dealt[b.PatientID]++
		}
		for _, p := range s.persons() {
			r := role{User: p.Key, Name: p.Name, IDNumber: p.IDNumber, Phone: p.Phone, Insurance: p.Insurance, HISID: archives[p.Name+" "+p.IDNumber]}
			if r.HISID != "" && known[p.Key] {
				continue
			}
			all := billsOf(&p, h.config)
			bills := all[min(dealt[r.HISID], len(all)):]
			if err := s.enter(h, &r, p.Area, money.Fen(p.BalanceFen), money.Fen(p.UsedFen), bills); err != nil {
				return fmt.Errorf("sandbox.persons %s at %s: %w", p.Key, h.config.ID, err)
			}
		}
	}
	return nil
}

// deal is one bill that the HIS writes, or one of several of a visit.
type deal struct {
	kind  string
	seed  uint64
	visit int // how many bills the visit has that begins here; 0: it is dealt already
}

// billsOf are a person's bills at a hospital. The ordinary ones come last, and so stand first in a list.
func billsOf(p *config.Person, in *config.Institution) []deal {
	var deals []deal
	if in.Orders == "per_visit" {
		for _, seed := range p.Visits {
			deals = append(deals, deal{seed: seed, visit: 2}, deal{})
		}
	}
	for _, kind := range []struct {
		name  string
		seeds []uint64
	}{{hissim.Deposit, p.Deposits}, {hissim.Registration, p.Registrations}, {"", p.Bills}} {
		for _, seed := range kind.seeds {
			deals = append(deals, deal{kind: kind.name, seed: seed, visit: 1})
		}
	}
	return deals
}

// deal has the HIS write a bill, or those of a visit.
func (h *hospital) deal(patientID string, d deal) ([]hissim.Bill, error) {
	switch d.visit {
	case 0:
		return nil, nil
	case 1:
		b, err := h.his.DealKind(patientID, d.kind, d.seed)
		return []hissim.Bill{b}, err
	}
	return h.his.DealVisit(patientID, d.seed, d.visit)
}

// enter makes all simulators know a person, those that do not yet: the HIS first, the phone last.
func (s *simulators) enter(h *hospital, r *role, area string, balance, used money.Fen, bills []deal) error {
	r.Institution = h.config.ID
	id, err := sensitive.ParseIDNumber(r.IDNumber)
	if err != nil {
		return err
	}
	cover, insured := insurances[r.Insurance]
	if !insured && r.Insurance != "none" {
		return fmt.Errorf("insurance %q: employee, retired, civil, resident or none", r.Insurance)
	}
	p, err := h.his.AddPatient(hissim.Patient{ID: r.HISID, Name: r.Name, IDNo: r.IDNumber})
	if err != nil {
		return err
	}
	r.HISID = p.ID
	for _, d := range bills {
		dealt, err := h.deal(p.ID, d)
		if err != nil {
			return err
		}
		for _, b := range dealt {
			r.Bills, r.Kind = append(r.Bills, b.No), b.Kind
			if !b.PayBy.IsZero() {
				r.PayBy = b.PayBy
			}
		}
	}
	if insured {
		if err := s.insure(r, id, cover, area, balance, used); err != nil {
			return err
		}
	}
	u, err := s.mp.AddUser(wechatmpsim.User{ID: r.User, Name: r.Name, IDNumber: r.IDNumber, Phone: r.Phone, Longitude: "115.892151", Latitude: "28.676493",
		Unbound: !insured})
	if err != nil {
		return err
	}
	r.OpenID = u.OpenIDs[h.config.WechatMP.AppID]
	return nil
}

func (s *simulators) insure(r *role, id sensitive.IDNumber, cover nhsasim.Insurance, area string, balance, used money.Fen) error {
	cover.Area, cover.Balance = area, balance
	r.PsnNo = "3601" + r.IDNumber[6:] + r.User
	if _, _, err := s.nhsa.Balance(r.PsnNo, cover.InsuType); err == nil {
		return nil // known already
	}
	return s.nhsa.AddPerson(nhsasim.Person{PsnNo: r.PsnNo, Name: sensitive.NewName(r.Name), IDNumber: id, Insurances: []nhsasim.Insurance{cover},
		Used: []nhsasim.Used{{Year: s.clock.Now().In(clock.Shanghai).Year(), InsuType: cover.InsuType, MedType: "11", Deductible: used}}})
}

// roles lists the configuration's persons for the phone page, as one hospital knows them.
func (s *simulators) roles(institution string) ([]role, error) {
	h, err := s.at(institution)
	if err != nil {
		return nil, err
	}
	openIDs, patients := map[string]string{}, map[string]string{}
	for _, u := range s.mp.Users() {
		openIDs[u.ID] = u.OpenIDs[h.config.WechatMP.AppID]
	}
	for _, p := range h.his.Patients() {
		patients[p.IDNo] = p.ID
	}
	var list []role
	for _, p := range s.persons() {
		list = append(list, role{Institution: h.config.ID, User: p.Key, OpenID: openIDs[p.Key], Name: p.Name, IDNumber: p.IDNumber, Phone: p.Phone, Insurance: p.Insurance,
			Story: p.Story, HISID: patients[p.IDNumber], Bills: []string{}})
	}
	return list, nil
}

func (s *simulators) persons() []config.Person {
	if s.config.Stage == nil {
		return nil
	}
	return s.config.Stage.Persons
}

// castMax is how many players one call may ask for.
const castMax = 5000

// cast makes count new players at a hospital, each with one bill of their own: the mixture of a hospital's morning, the same for the same seed. With
// kinds some come to register, some to be admitted, and some with two bills of a visit, where those are paid together. Their
// identities follow the number of people so far, so that two runs never share a person's yearly counters.
func (s *simulators) cast(institution string, count int, seed uint64, kinds bool) ([]role, error) {
	h, err := s.at(institution)
	if err != nil {
		return nil, err
	}
	if count < 1 || count > castMax {
		return nil, fmt.Errorf("count: 1 to %d", castMax)
	}
	s.casting.Lock()
	defer s.casting.Unlock()
	first := len(s.mp.Users())
	for _, h := range s.hospitals { // after a kill a HIS may know more people than have a phone
		first = max(first, len(h.his.Patients()))
	}
	roles := make([]role, count)
	for i := range roles {
		n := first + i
		draw := mix(seed, uint64(i))
		kind, balance, used := coverOf(draw)
		roles[i] = role{User: "p" + strconv.Itoa(n), Name: playerName(draw, n), IDNumber: playerID(n), Phone: fmt.Sprintf("139%08d", n%100_000_000),
			Insurance: kind}
		if err := s.enter(h, &roles[i], "360100", balance, used, []deal{h.drawn(draw, kinds)}); err != nil {
			return nil, err
		}
	}
	return roles, nil
}

// drawn is what a player has to pay.
func (h *hospital) drawn(draw uint64, kinds bool) deal {
	d := deal{seed: draw >> 8, visit: 1}
	if !kinds {
		return d
	}
	switch k := mix(draw, 1) % 16; {
	case k < 2:
		d.kind = hissim.Registration
	case k < 3:
		d.kind = hissim.Deposit
	case k < 7 && h.config.Orders == "per_visit":
		d.visit = 2
	}
	return d
}

// mix is splitmix64: well spread numbers from a seed and an index.
func mix(seed, i uint64) uint64 {
	z := seed*0x9e3779b97f4a7c15 + (i+1)*0xbf58476d1ce4e5b9
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// coverOf draws a kind of insurance, an account balance that is empty, small or ample, and how much of the year's deductible is used.
func coverOf(draw uint64) (kind string, balance, used money.Fen) {
	balance = []money.Fen{0, 2_000, 10_000, 1_000_000}[draw>>56%4]
	used = []money.Fen{0, 15_000, 30_000, 30_000}[draw>>52%4]
	switch k := draw % 20; {
	case k < 9:
		return "employee", balance, used
	case k < 13:
		return "retired", balance, used
	case k < 15:
		return "civil", balance, used
	case k < 18:
		return "resident", 0, 0
	default:
		return "none", 0, 0
	}
}

func playerName(draw uint64, n int) string {
	families, given := []rune("赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨"), []rune("明华芳秀英伟静敏磊洋艳勇军杰娟涛超霞平刚桂")
	return string(families[draw>>16%uint64(len(families))]) + string(given[draw>>24%uint64(len(given))]) + string(given[n%len(given)])
}

// playerID is a made-up identity number with a right check digit: the n-th birthday and sequence in an area that Nanchang does not use
// for births.
func playerID(n int) string {
	born := time.Date(1945, 1, 1, 0, 0, 0, 0, time.UTC).AddDate(0, 0, n%20000)
	first := fmt.Sprintf("360199%s%03d", born.Format("20060102"), n/20000)
	for _, check := range "0123456789X" {
		if id := first + string(check); valid(id) {
			return id
		}
	}
	return first + "0"
}

func valid(id string) bool {
	_, err := sensitive.ParseIDNumber(id)
	return err == nil
}
