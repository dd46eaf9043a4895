package miniprogramapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/web"
)

// ListPatients serves GET /patients.
func (s *Server) ListPatients(c *gin.Context) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		people, err := s.patients.Patients(ctx, who)
		if err != nil {
			return nil, err
		}
		out := Patients{Patients: make([]Patient, len(people))}
		for i, p := range people {
			out.Patients[i] = s.patientView(p)
		}
		return out, nil
	})
}

// AddPatient serves POST /patients. Several archives in the HIS are a 409 with choices.
func (s *Server) AddPatient(c *gin.Context) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		var in AddPatient
		if err := read(c, &in); err != nil {
			return nil, err
		}
		n, err := patient.ReadPatient(patient.Relation(in.Relation), in.Name, in.IdNumber, orEmpty(in.Phone))
		if err != nil {
			return nil, err
		}
		n.HISPatient, n.GuardianConsent = orEmpty(in.HisPatient), in.GuardianConsent != nil && *in.GuardianConsent
		p, err := s.patients.Add(ctx, who, n)
		if many, ok := errors.AsType[*patient.ManyRecordsError](err); ok {
			_ = c.Error(err) // for the access log
			return choices(many, who.RequestID)
		}
		if err != nil {
			return nil, err
		}
		return web.Answer{Status: http.StatusCreated, Body: s.patientView(p)}, nil
	})
}

// choices is the problem with the archives to choose from.
func choices(many *patient.ManyRecordsError, requestID string) (any, error) {
	r := web.Render(nil, many, requestID)
	var p Problem
	if err := json.Unmarshal(r.Body, &p); err != nil {
		return nil, fmt.Errorf("read our own problem: %w", err)
	}
	list := make([]HISRecord, len(many.Choices))
	for i, rec := range many.Choices {
		list[i] = HISRecord{HisPatient: rec.HISPatient, CardNo: rec.CardNo, CreatedAt: whenSet(rec.CreatedAt)}
	}
	p.Choices = &list
	body, err := json.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("write the choices: %w", err)
	}
	r.Body = body
	return r, nil
}

// RemovePatient serves DELETE /patients/{patient_id}.
func (s *Server) RemovePatient(c *gin.Context, id PatientID) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		n, err := patientID(id)
		if err != nil {
			return nil, err
		}
		return nil, s.patients.Remove(ctx, who, n)
	})
}

// GetInsuranceJump serves GET /insurance/jump.
func (s *Server) GetInsuranceJump(c *gin.Context) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		j, err := s.patients.Jump(ctx, who)
		if err != nil {
			return nil, err
		}
		return Jump{AppId: j.AppID, Path: j.Path, EnvVersion: JumpEnvVersion(j.EnvVersion)}, nil
	})
}

// GetInsuranceBinding serves GET /patients/{patient_id}/insurance-binding.
func (s *Server) GetInsuranceBinding(c *gin.Context, id PatientID) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		n, err := patientID(id)
		if err != nil {
			return nil, err
		}
		cover, err := s.patients.Coverage(ctx, who, n)
		if err != nil {
			return nil, err
		}
		return coverView(cover), nil
	})
}

// BindInsurance serves POST /patients/{patient_id}/insurance-binding: the authCode that came back from the jump.
func (s *Server) BindInsurance(c *gin.Context, id PatientID) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		n, err := patientID(id)
		if err != nil {
			return nil, err
		}
		var in BindInsurance
		if err := read(c, &in); err != nil {
			return nil, err
		}
		var location string
		if in.Location != nil {
			location = in.Location.Longitude + "," + in.Location.Latitude
		}
		cover, err := s.patients.Bind(ctx, who, n, in.AuthCode, location)
		if err != nil {
			return nil, err
		}
		return coverView(cover), nil
	})
}

// ListBills serves GET /patients/{patient_id}/bills. An empty list is the HIS's word, never its silence.
func (s *Server) ListBills(c *gin.Context, id PatientID) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		source, p, err := s.billsOf(ctx, who, id)
		if err != nil {
			return nil, err
		}
		pending, err := source.Pending(ctx, p.HISPatient)
		if err != nil {
			return nil, fmt.Errorf("pending bills: %w", err)
		}
		out := Bills{Bills: make([]BillSummary, len(pending))}
		for i, b := range pending {
			out.Bills[i] = BillSummary{BillNo: b.No, Kind: BillKind(b.Kind.String()), KindText: b.Kind.Text(), PayBy: whenSet(b.PayBy), VisitNo: textSet(b.Visit), State: BillState(b.State), TotalFen: b.Total, CreatedAt: b.Created, Department: b.Department,
				Doctor: b.Doctor, Locked: b.Locked}
		}
		return out, nil
	})
}

// GetBill serves GET /patients/{patient_id}/bills/{bill_no}. Diagnoses are not shown: nobody needs them to pay.
func (s *Server) GetBill(c *gin.Context, id PatientID, billNo string) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		source, p, err := s.billsOf(ctx, who, id)
		if err != nil {
			return nil, err
		}
		b, err := source.Detail(ctx, p.HISPatient, billNo)
		if err != nil {
			return nil, fmt.Errorf("bill: %w", err)
		}
		return billView(b), nil
	})
}

// billsOf gives the bills of a patient for whom payments may begin.
func (s *Server) billsOf(ctx context.Context, who patient.Caller, id PatientID) (bill.Source, patient.Patient, error) {
	n, err := patientID(id)
	if err != nil {
		return nil, patient.Patient{}, err
	}
	p, err := s.patients.MayPay(ctx, who, n, false)
	if err != nil {
		return nil, patient.Patient{}, err
	}
	source, ok := s.bills[who.Institution]
	if !ok {
		return nil, patient.Patient{}, fmt.Errorf("institution %s has no source of bills", who.Institution)
	}
	return source, p, nil
}

func patientID(text string) (patient.ID, error) {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 {
		return 0, patient.ErrNotFound
	}
	return patient.ID(n), nil
}

func (s *Server) patientView(p patient.Patient) Patient {
	v := Patient{Id: idText(int64(p.ID)), Relation: Relation(p.Relation), Name: p.Name.Masked(), IdNumber: p.IDNumber.Masked(),
		UnderFourteen: s.patients.UnderFourteen(p), CreatedAt: p.CreatedAt}
	if !p.Phone.IsZero() {
		v.Phone = p.Phone.Masked()
	}
	return v
}

func coverView(c patient.Coverage) InsuranceBinding {
	v := InsuranceBinding{Bound: c.Bound, VerifiedAt: whenSet(c.VerifiedAt), Usable: c.Usable, UsableUntil: whenSet(c.UsableUntil), Family: c.Family}
	if c.Family {
		v.PayerName = textSet(c.Payer.Masked())
	}
	return v
}

func billView(b *bill.Bill) BillDetail {
	v := BillDetail{BillNo: b.No, Kind: BillKind(b.Kind.String()), KindText: b.Kind.Text(), PayBy: whenSet(b.PayBy), State: BillState(b.State), TotalFen: b.Total, InsuredFen: b.Insured(), CreatedAt: b.Created,
		Department: b.Visit.DepartmentName, Doctor: b.Visit.DoctorName, Lines: make([]BillLine, len(b.Lines))}
	for i := range b.Lines {
		l := &b.Lines[i]
		v.Lines[i] = BillLine{Category: l.Category, Name: l.Name, Spec: textSet(l.Spec), Unit: textSet(l.Unit), Quantity: l.Quantity.String(),
			PriceYuan: l.Price.String(), TotalFen: l.Total, Uninsured: l.Uninsured}
	}
	return v
}

func idText(n int64) string { return strconv.FormatInt(n, 10) }

func orEmpty(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

// whenSet is nothing for the zero time.
func whenSet(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// textSet is nothing for an empty text.
func textSet(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
