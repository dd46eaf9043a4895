package hissim

import (
	"fmt"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// dice is a small generator (splitmix64), so that a seed deals the same bills on every machine.
type dice struct{ x uint64 }

func (d *dice) n(n int) int {
	d.x += 0x9e3779b97f4a7c15
	z := d.x
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) % uint64(n)) //nolint:gosec // n is a small positive length
}

// categoryName is 收费项目类别 in words.
func categoryName(code string) string {
	switch code {
	case "02":
		return "诊察费"
	case "03":
		return "检查费"
	case "04":
		return "化验费"
	case "05":
		return "治疗费"
	case "08":
		return "卫生材料费"
	case "09":
		return "西药费"
	case "10":
		return "中药饮片费"
	case "11":
		return "中成药费"
	case "13":
		return "挂号费"
	default:
		return "其他费用"
	}
}

// Deal gives a patient n bills as a day in the hospital would: a visit to one department, a diagnosis or two, one to six items.
// The same seed deals the same bills; numbers and times are those of now.
func (s *Sim) Deal(patientID string, seed uint64, n int) ([]Bill, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.state.patients[patientID]
	if !ok {
		return nil, fmt.Errorf("patient %q: %w", patientID, ErrNoSuch)
	}
	d := &dice{x: seed}
	bills := make([]Bill, 0, n)
	for range n {
		b, err := s.deal(s.visit(p, d, s.config.Clock.Now()), d)
		if err != nil {
			return nil, err
		}
		bills = append(bills, b)
	}
	return bills, s.commit(entry{Bills: bills})
}

// visit begins a bill of a new visit.
func (s *Sim) visit(p Patient, d *dice, now time.Time) Bill {
	doctor := doctors()[d.n(len(doctors()))]
	b := Bill{No: s.number("MZ", now), PatientID: p.ID, State: Unpaid, CreatedAt: now, VisitNo: s.number("GH", now),
		VisitTime: now.Add(-time.Duration(10+d.n(50)) * time.Minute).Truncate(time.Second), MedType: "11", Dept: s.depts[doctor.dept],
		Doctor: doctor, Complaint: "复诊取药"}
	s.insure(&b, p)
	return b
}

// deal makes the diagnoses of a visit, and orders.
func (s *Sim) deal(b Bill, d *dice) (Bill, error) {
	doctor := b.Doctor
	for _, c := range diagnosisCodes() {
		if c.dept == doctor.dept && (len(b.Diagnoses) == 0 || d.n(3) == 0) {
			b.Diagnoses = append(b.Diagnoses, Diagnosis{Type: "1", Seq: len(b.Diagnoses) + 1, Code: c.code, Name: c.name,
				Dept: b.Dept.Name, Doctor: doctor, At: b.VisitTime.Add(5 * time.Minute), Valid: true})
		}
	}
	count := 1 + d.n(6)
	for picked := map[int]bool{}; len(picked) < count; {
		i := d.n(len(s.items))
		if picked[i] {
			continue
		}
		picked[i] = true
		it := s.items[i]
		if err := s.addLine(&b, it, it.usual[d.n(len(it.usual))]); err != nil {
			return Bill{}, err
		}
	}
	return b, nil
}

// insure copies what the hospital knows of the patient's insurance into the visit.
func (s *Sim) insure(b *Bill, p Patient) {
	b.Insutype, b.CoverageArea = p.Insutype, p.CoverageArea
	if s.config.RegistersVisits && p.PsnNo != "" {
		b.PsnNo, b.VisitID = p.PsnNo, "36"+b.VisitNo[2:]
	}
}

// addLine puts an item of the price list on the bill.
func (s *Sim) addLine(b *Bill, it item, quantity string) error {
	total, err := lineTotal(it.price, quantity)
	if err != nil {
		return err
	}
	l := Line{No: fmt.Sprintf("%s%03d", b.No, len(b.Lines)+1), Insured: it.class != "N", Class: it.class, Category: it.category,
		CategoryName: categoryName(it.category), Name: it.name, Spec: it.spec, Unit: it.unit, National: it.national, Own: it.own,
		Quantity: quantity, Price: it.price, TotalFen: total, OccurredAt: b.VisitTime.Add(8 * time.Minute), Dose: it.dose,
		Frequency: it.frequency, Route: it.route, Dept: b.Dept, Doctor: b.Doctor, ExecDept: s.depts[it.exec],
		Approval: it.approval}
	if drug(it.category) {
		l.RxNo, l.Days = "RX"+b.No[2:], "7"
	} else {
		l.ExecDoctor = Doctor{Code: "D360102000900", Name: "袁一鸣"}
	}
	b.Lines = append(b.Lines, l)
	b.TotalFen += total
	return nil
}

func drug(category string) bool { return slices.Contains([]string{"09", "10", "11"}, category) }

// guide tells the patient where to go next, by what was bought (导诊).
func (s *Sim) guide(bills []Bill) []string {
	return append(s.places(bills), "电子票据可在"+s.config.Institution+"自助机或小程序内查看")
}

// places are where to go.
func (s *Sim) places(bills []Bill) []string {
	var out []string
	say := func(text string) {
		if !slices.Contains(out, text) {
			out = append(out, text)
		}
	}
	for _, b := range bills {
		switch b.Kind {
		case Registration:
			say("请到" + s.depts[b.Dept.Code].Place + b.Dept.Name + "签到候诊")
			continue
		case Deposit:
			say("请到住院部一楼出入院处办理入院")
			continue
		}
		for _, l := range b.Lines {
			place := s.depts[l.ExecDept.Code].Place
			switch {
			case place == "":
			case drug(l.Category):
				say("请到" + place + "取药")
			case l.Category == "03" || l.Category == "04":
				say(l.Name + "：请到" + place + l.ExecDept.Name)
			default:
				say(l.CategoryName + "：请到" + place)
			}
		}
	}
	return out
}

// check refuses a bill that no price list could make: every line price × quantity to the fen, the total their sum.
func (b *Bill) check() error {
	if len(b.Lines) == 0 || (len(b.Diagnoses) == 0 && b.Kind != Deposit) {
		return fmt.Errorf("bill %s: no lines or no diagnosis: %w", b.No, ErrBadBill)
	}
	sum := money.Fen(0)
	for _, l := range b.Lines {
		want, err := lineTotal(l.Price, l.Quantity)
		if err != nil || want != l.TotalFen {
			return fmt.Errorf("bill %s line %s: price × quantity is %s: %w", b.No, l.No, want, ErrBadBill)
		}
		sum += want
	}
	if sum != b.TotalFen || sum <= 0 {
		return fmt.Errorf("bill %s: lines sum to %s: %w", b.No, sum, ErrBadBill)
	}
	return nil
}

// Order is one item to put on a bill: the hospital's own item code and a quantity. A code outside the price list with name, price and
// class describes an item of its own.
type Order struct {
	Code     string `json:"code"`
	Quantity string `json:"quantity"`
	Name     string `json:"name,omitempty"`
	Price    string `json:"price,omitempty"`
	National string `json:"med_list_codg,omitempty"`
	Class    string `json:"class,omitempty"`
	Category string `json:"category,omitempty"`
}

func (s *Sim) itemOf(o Order) (item, error) {
	for _, it := range s.items {
		if it.own == o.Code {
			return it, nil
		}
	}
	if o.Code == "" || o.Name == "" || o.Price == "" || !slices.Contains([]string{"A", "B", "C", "N"}, o.Class) ||
		(o.Class != "N" && o.National == "") {
		return item{}, fmt.Errorf("item %q is not in the price list and not described: %w", o.Code, ErrBadBill)
	}
	it := item{national: o.National, own: o.Code, name: o.Name, unit: "次", category: o.Category, class: o.Class, price: o.Price,
		exec: "9101", approval: "0"}
	if it.category == "" {
		it.category = "14"
	}
	return it, nil
}
