package main

import (
	"context"
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/adapters/nhsa/core"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

// hisLink is the line of a sandbox's HIS to the insurer, on route his: a client of its own at the same platform, which never misbehaves here. What
// goes wrong, goes wrong between the HIS and us.
type hisLink struct{ insurer *core.Client }

var _ hissim.Link = hisLink{}

// hisLink makes the line of a hospital; nil where the HIS has none.
func (s *simulators) hisLink(in *config.Institution) (hissim.Link, error) {
	if in.Link == nil {
		return nil, nil //nolint:nilnil // a HIS without a line is a HIS
	}
	secret, err := s.secret("insurer_secret")
	if err != nil {
		return nil, err
	}
	client, err := core.New(core.Config{Clock: s.clock, Source: s.source, BaseURL: s.stage.url(insurerPort), URLStyle: core.Services, PaasID: s.paasID(),
		Secret: secret, FixmedinsCode: in.WechatMP.OrgCode, FixmedinsName: in.Name, MdtrtareaAdmvs: in.WechatMP.CityCode, Opter: "HIS01", OpterName: "门诊收费",
		Profile: core.Profile{CardAfterToken: true}}, sandbox.Direct(s.nhsa.Line()))
	if err != nil {
		return nil, fmt.Errorf("insurance link: %w", err)
	}
	return hisLink{client}, nil
}

// Number is a msgid.
func (l hisLink) Number() string { return l.insurer.MsgID() }

// Presettle is 1101 to 2206.
func (l hisLink) Presettle(c hissim.LinkClaim) (hissim.LinkAnswer, error) {
	return l.foresee(c, l.insurer.Presettle)
}

// Repeat is 2206.
func (l hisLink) Repeat(c hissim.LinkClaim) (hissim.LinkAnswer, error) {
	return l.foresee(c, l.insurer.Repeat)
}

func (l hisLink) foresee(c hissim.LinkClaim, ask func(context.Context, settlement.Claim) (settlement.Presettlement, error)) (hissim.LinkAnswer, error) {
	claim, err := claimOf(c)
	if err != nil {
		return hissim.LinkAnswer{}, err
	}
	p, err := ask(context.Background(), claim)
	if err != nil {
		return hissim.LinkAnswer{}, linkError(err)
	}
	return hissim.LinkAnswer{Visit: linkVisit(p.Visit), Parts: hissim.Parts(p.Split), Echo: hissim.LinkEcho(p.Echo), BalanceFen: p.Balance}, nil
}

// Settle is 2207.
func (l hisLink) Settle(number string, c hissim.LinkClaim) (hissim.LinkAnswer, error) {
	claim, err := claimOf(c)
	if err != nil {
		return hissim.LinkAnswer{}, err
	}
	out, err := l.insurer.Settle(context.Background(), number, claim)
	if err != nil {
		return hissim.LinkAnswer{}, linkError(err)
	}
	return hissim.LinkAnswer{Visit: c.Visit, Parts: hissim.Parts(out.Split), SetlID: out.SetlID, SettledAt: out.SettledAt, ClrOptins: out.ClrOptins, ClrWay: out.ClrWay,
		ClrType: out.ClrType}, nil
}

// Reverse is 2601.
func (l hisLink) Reverse(number string, v hissim.LinkVisit, original string, cancellation bool) error {
	infno := "2207"
	if cancellation {
		infno = "2208"
	}
	return linkError(l.insurer.Reverse(context.Background(), number, visitOf(v), infno, original))
}

// Cancel is 2208.
func (l hisLink) Cancel(number string, v hissim.LinkVisit, setlID string) error {
	return linkError(l.insurer.Cancel(context.Background(), number, visitOf(v), setlID))
}

// InForce is 5203.
func (l hisLink) InForce(v hissim.LinkVisit, setlID string) (bool, error) {
	stands, err := l.insurer.InForce(context.Background(), visitOf(v), setlID)
	return stands, linkError(err)
}

// Withdraw is 2205 and 2202.
func (l hisLink) Withdraw(c hissim.LinkClaim) error {
	return linkError(l.insurer.Withdraw(context.Background(), settlement.Claim{Visit: visitOf(c.Visit), BatchNo: c.BatchNo}))
}

// linkError tells the insurer's no from everything else.
func linkError(err error) error {
	if f, ok := fault.Find(err); ok && f.Kind == fault.Rejected {
		return hissim.LinkRefusal(f.Msg)
	}
	return err
}

func visitOf(v hissim.LinkVisit) settlement.Visit {
	return settlement.Visit{VisitNo: v.VisitNo, MdtrtID: v.MdtrtID, PersonNo: v.PsnNo, InsuranceType: v.Insutype, CoverageArea: v.CoverageArea}
}

func linkVisit(v settlement.Visit) hissim.LinkVisit {
	return hissim.LinkVisit{VisitNo: v.VisitNo, MdtrtID: v.MdtrtID, PsnNo: v.PersonNo, Insutype: v.InsuranceType, CoverageArea: v.CoverageArea}
}

// claimOf is what the insurer wants to know, of the HIS's own records.
func claimOf(c hissim.LinkClaim) (settlement.Claim, error) {
	id, err := sensitive.ParseIDNumber(c.IDNo)
	if err != nil {
		return settlement.Claim{}, err
	}
	claim := settlement.Claim{Person: settlement.Person{Name: sensitive.NewName(c.Name), IDNumber: id}, Visit: visitOf(c.Visit), BatchNo: c.BatchNo, Total: c.TotalFen,
		UseAccount: c.UseAccount, Echo: settlement.Echo(c.Echo)}
	if c.PayAuthNo != "" {
		claim.Person.Token = sensitive.NewToken(c.PayAuthNo)
	}
	for _, b := range c.Bills {
		own, err := billOf(b)
		if err != nil {
			return settlement.Claim{}, fmt.Errorf("bill %s: %w", b.No, err)
		}
		claim.Bills = append(claim.Bills, own)
	}
	return claim, nil
}

func billOf(b hissim.Bill) (bill.Bill, error) {
	out := bill.Bill{No: b.No, HISPatient: b.PatientID, State: bill.Unpaid, Total: b.TotalFen, Created: b.CreatedAt, Visit: bill.Visit{No: b.VisitNo, Begun: b.VisitTime,
		DepartmentCode: b.Dept.Code, DepartmentName: b.Dept.Name, Caty: b.Dept.Caty, DoctorCode: b.Doctor.Code, DoctorName: b.Doctor.Name, MedType: b.MedType,
		MainCondition: b.Complaint, DiseaseCode: b.DiseaseCode, DiseaseName: b.DiseaseName}}
	for _, d := range b.Diagnoses {
		out.Visit.Diagnoses = append(out.Visit.Diagnoses, bill.Diagnosis{Type: d.Type, Order: d.Seq, Code: d.Code, Name: d.Name, Department: d.Dept,
			DoctorCode: d.Doctor.Code, DoctorName: d.Doctor.Name, Time: d.At})
	}
	for _, l := range b.Lines {
		quantity, err := decimal.NewFromString(l.Quantity)
		if err != nil {
			return out, err
		}
		price, err := decimal.NewFromString(l.Price)
		if err != nil {
			return out, err
		}
		out.Lines = append(out.Lines, bill.Line{No: l.No, Uninsured: !l.Insured, Category: l.CategoryName, Name: l.Name, Spec: l.Spec, Unit: l.Unit,
			CatalogueCode: l.National, HospitalCode: l.Own, Quantity: quantity, Price: price, Total: l.TotalFen, OccurredAt: l.OccurredAt, PrescriptionNo: l.RxNo,
			External: l.External, Dose: l.Dose, Frequency: l.Frequency, Route: l.Route, Days: l.Days, DepartmentCode: l.Dept.Code, DepartmentName: l.Dept.Name,
			DoctorCode: l.Doctor.Code, DoctorName: l.Doctor.Name, ExecDeptCode: l.ExecDept.Code, ExecDeptName: l.ExecDept.Name, ExecDoctorCode: l.ExecDoctor.Code,
			ExecDoctorName: l.ExecDoctor.Name, Approval: l.Approval})
	}
	return out, nil
}
