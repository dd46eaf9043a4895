package hissim

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// find serves patients/find: every archive with exactly this name and number, newest first.
func (s *Sim) find(_ context.Context, body []byte) (reply, error) {
	var in findRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := text("name", in.Name, 150); err != nil {
		return reply{}, err
	}
	if in.IDType != "01" || len(in.IDNo) != 18 {
		return reply{}, fmt.Errorf("%w: id_type must be 01 and id_no 18 characters", errRequest)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []Patient
	for _, p := range s.state.patients {
		if p.MergedInto == "" && (p.Name == in.Name || s.broken(FindsByNumber)) && strings.EqualFold(p.IDNo, in.IDNo) {
			found = append(found, p)
		}
	}
	if len(found) == 0 && s.broken(EmptyFind) {
		return reply{code: codeDone, message: "成功", data: findAnswer{Patients: []patientView{}}}, nil
	}
	if len(found) == 0 {
		return reply{code: codeNone, message: "查无此人"}, nil
	}
	slices.SortFunc(found, func(a, b Patient) int {
		if c := b.CreatedAt.Compare(a.CreatedAt); c != 0 {
			return c
		}
		return strings.Compare(b.ID, a.ID)
	})
	out := findAnswer{Count: len(found)}
	for _, p := range found {
		out.Patients = append(out.Patients, patientView{PatientID: p.ID, CardNo: p.CardNo, Name: p.Name, IDNo: p.IDNo,
			CreatedAt: wireTime(p.CreatedAt)})
	}
	return reply{code: codeDone, message: "成功", data: out}, nil
}

// pending serves bills/pending: the unpaid bills of one archive, newest first.
func (s *Sim) pending(_ context.Context, body []byte) (reply, error) {
	var in pendingRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := text("patient_id", in.PatientID, 64); err != nil {
		return reply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.state.patients[in.PatientID]
	switch {
	case !ok && s.broken(UnknownIsEmpty):
		return reply{code: codeDone, message: "成功", data: pendingAnswer{PatientID: in.PatientID, Bills: []billSummary{}}}, nil
	case !ok, p.MergedInto != "":
		return reply{code: codeNotFound, message: "患者档案不存在"}, nil
	}
	now := s.config.Clock.Now()
	out := pendingAnswer{PatientID: in.PatientID}
	for _, no := range slices.Backward(s.state.billsOf[in.PatientID]) {
		b, _ := s.state.billAt(no, now)
		if b.State != Unpaid {
			continue
		}
		_, locked := s.state.holder(no, "", now)
		out.Bills = append(out.Bills, billSummary{BillNo: b.No, VisitNo: b.VisitNo, State: b.State, TotalFen: b.TotalFen,
			CreatedAt: wireTime(b.CreatedAt), Dept: b.Dept, Doctor: b.Doctor, Locked: locked, Kind: b.Kind,
			PayBy: wireEnd(b.PayBy)})
		out.TotalFen += b.TotalFen
	}
	if len(out.Bills) == 0 && s.broken(EmptyPending) {
		return reply{code: codeDone, message: "成功", data: out}, nil
	}
	if len(out.Bills) == 0 {
		return reply{code: codeNone, message: "无待缴费记录"}, nil
	}
	out.Count = len(out.Bills)
	return reply{code: codeDone, message: "成功", data: out}, nil
}

// detail serves bills/detail. A bill of another archive does not exist for the one who asks.
func (s *Sim) detail(ctx context.Context, body []byte) (reply, error) {
	var in detailRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := text("patient_id", in.PatientID, 64); err != nil {
		return reply{}, err
	}
	if err := text("bill_no", in.BillNo, 64); err != nil {
		return reply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.state.billAt(in.BillNo, s.config.Clock.Now())
	if !ok && s.broken(UnknownBill) {
		return reply{code: codeDone, message: "成功", data: map[string]any{}}, nil
	}
	if !ok || (b.PatientID != in.PatientID && !s.broken(ShowsOthers)) {
		return reply{code: codeNotFound, message: "费用单不存在"}, nil
	}
	view := s.view(b, s.config.Clock.Now())
	if sandbox.Injected(ctx) == sandbox.ChangeAmount {
		view.TotalFen++ // the books stay right; the lines no longer add up
	}
	return reply{code: codeDone, message: "成功", data: detailAnswer{Bill: view}}, nil
}

func (s *Sim) view(b Bill, now time.Time) billView {
	v := billView{BillNo: b.No, PatientID: b.PatientID, State: b.State, TotalFen: b.TotalFen, LineCount: len(b.Lines),
		CreatedAt: wireTime(b.CreatedAt),
		Visit: visitView{VisitNo: b.VisitNo, BeganAt: wireTime(b.VisitTime), MedType: b.MedType, Dept: b.Dept, Doctor: b.Doctor,
			Complaint: b.Complaint, DiseaseCode: b.DiseaseCode, DiseaseName: b.DiseaseName, PsnNo: b.PsnNo, VisitID: b.VisitID,
			Insutype: b.Insutype, CoverageArea: b.CoverageArea}, Kind: b.Kind, PayBy: wireEnd(b.PayBy), Diagnoses: []diseView{}}
	for _, d := range b.Diagnoses {
		if s.broken(NoDiagnosis) {
			break
		}
		v.Diagnoses = append(v.Diagnoses, diseView{Diagnosis: d, At: wireTime(d.At)})
	}
	for _, l := range b.Lines {
		v.Lines = append(v.Lines, lineView{Line: l, OccurredAt: wireTime(l.OccurredAt)})
	}
	if b.State == Paid {
		paid := paidAs(b)
		v.Paid = &paid
		v.Returned = s.state.returned(b)
	}
	if l, locked := s.state.holder(b.No, "", now); locked {
		v.Lock = &lockedInfo{BillNo: b.No, ExpiresAt: wireTime(l.ExpiresAt)}
	}
	return v
}

// wireEnd is wireTime where there is an end.
func wireEnd(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return wireTime(t)
}

func paidAs(b Bill) paidInfo {
	p := paidInfo{BillNo: b.No, Where: b.PaidWhere, PaidAt: wireTime(b.PaidAt)}
	if b.PaidWhere == atPlatform {
		p.OrderNo = b.PaidBy
	} else {
		p.SerialNo = b.PaidBy
	}
	return p
}

// sumOf adds the totals of bills.
func sumOf(bills []Bill) money.Fen {
	var sum money.Fen
	for _, b := range bills {
		sum += b.TotalFen
	}
	return sum
}
