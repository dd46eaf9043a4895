package hissim

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// Truth is everything that an audit compares with the platform's books.
type Truth struct {
	Postings []Posting       `json:"postings"`
	Window   []WindowPayment `json:"window_payments"`
	Locks    []LockTruth     `json:"locks"`
	Bills    []BillTruth     `json:"bills"`
	Refunds  []Refund        `json:"refunds"`
	Asks     []Ask           `json:"asks"`
	Handed   []HandOut       `json:"handed_out"`
	// Posted and AtWindow are the sums of the postings in force and of the window's payments. Net is Posted less Refunded, which is what went
	// back of these postings.
	Posted   money.Fen `json:"posted_fen"`
	Refunded money.Fen `json:"refunded_fen"`
	Net      money.Fen `json:"net_fen"`
	AtWindow money.Fen `json:"window_fen"`
	// WindowBack is the money of the platform's orders that the window handed back itself.
	WindowBack money.Fen `json:"window_back_fen"`
}

// LockTruth is a lock and whether it stands now.
type LockTruth struct {
	Lock
	Live bool `json:"live"`
}

// BillTruth is where a bill stands, without its lines.
type BillTruth struct {
	No        string    `json:"bill_no"`
	PatientID string    `json:"patient_id"`
	State     BillState `json:"state"`
	TotalFen  money.Fen `json:"total_fen"`
	PaidWhere string    `json:"paid_where,omitempty"`
	PaidBy    string    `json:"paid_by,omitempty"`
}

// Truth tells the hospital's books as they stand, sorted by number.
func (s *Sim) Truth() Truth {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Clock.Now()
	t := Truth{Postings: []Posting{}, Window: append([]WindowPayment{}, s.state.window...), Locks: []LockTruth{}, Bills: []BillTruth{},
		Refunds: []Refund{}, Asks: []Ask{}, Handed: []HandOut{}}
	for _, p := range s.state.postings {
		t.Postings = append(t.Postings, p)
		if p.State == posted {
			t.Posted += p.TotalFen
			t.Refunded += p.RefundedFen
		}
	}
	t.Net = t.Posted - t.Refunded
	for _, w := range t.Window {
		t.AtWindow += w.TotalFen
	}
	for _, l := range s.state.locks {
		t.Locks = append(t.Locks, LockTruth{Lock: l, Live: l.live(now)})
	}
	for _, b := range s.state.bills {
		b = b.at(now)
		t.Bills = append(t.Bills, BillTruth{No: b.No, PatientID: b.PatientID, State: b.State, TotalFen: b.TotalFen,
			PaidWhere: b.PaidWhere, PaidBy: b.PaidBy})
	}
	for _, r := range s.state.refunds {
		t.Refunds = append(t.Refunds, r)
	}
	for _, a := range s.state.asks {
		t.Asks = append(t.Asks, a)
		if a.Note && a.State != AskWithdrawn {
			t.WindowBack += a.TotalFen
		}
	}
	for key, q := range s.state.handed {
		t.Handed = append(t.Handed, HandOut{BillNo: key.bill, LineNo: key.line, Quantity: q})
	}
	slices.SortFunc(t.Refunds, func(a, b Refund) int { return strings.Compare(a.RefundNo, b.RefundNo) })
	slices.SortFunc(t.Asks, func(a, b Ask) int { return strings.Compare(a.HISRefundNo, b.HISRefundNo) })
	slices.SortFunc(t.Handed, func(a, b HandOut) int { return strings.Compare(a.BillNo+" "+a.LineNo, b.BillNo+" "+b.LineNo) })
	slices.SortFunc(t.Postings, func(a, b Posting) int { return strings.Compare(a.OrderNo, b.OrderNo) })
	slices.SortFunc(t.Locks, func(a, b LockTruth) int { return strings.Compare(a.OrderNo, b.OrderNo) })
	slices.SortFunc(t.Bills, func(a, b BillTruth) int { return strings.Compare(a.No, b.No) })
	return t
}

// Bill shows one bill in full.
func (s *Sim) Bill(no string) (Bill, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.state.billAt(no, s.config.Clock.Now())
}

// Patients lists the archives by number.
func (s *Sim) Patients() []Patient {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Patient, 0, len(s.state.patients))
	for _, p := range s.state.patients {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b Patient) int { return strings.Compare(a.ID, b.ID) })
	return list
}

// newBill is the body of POST /bills: either items, or a seed to deal from, and a count or a kind.
type newBill struct {
	PatientID string  `json:"patient_id"`
	Doctor    string  `json:"doctor_code"`
	Items     []Order `json:"items"`
	Seed      uint64  `json:"seed"`
	Count     int     `json:"count"`
	Kind      string  `json:"kind"`     // registration, deposit; empty: outpatient fees
	Together  bool    `json:"together"` // of one visit
}

// newAsk is the body of POST /postings/{order}/ask-refund; without lines it is everything that is left.
type newAsk struct {
	Lines  []RefundLine `json:"lines"`
	Note   bool         `json:"note"`
	Reason string       `json:"reason"`
}

// Control serves the sandbox page and the pay command: the hospital's own people, and the faults. No signature, no faults of its own.
func (s *Sim) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /truth", func(w http.ResponseWriter, _ *http.Request) { show(w, s.Truth(), nil) })
	mux.HandleFunc("GET /patients", func(w http.ResponseWriter, _ *http.Request) { show(w, s.Patients(), nil) })
	mux.HandleFunc("POST /patients", func(w http.ResponseWriter, r *http.Request) {
		take(w, r, func(p Patient) (any, error) { return s.AddPatient(p) })
	})
	mux.HandleFunc("POST /patients/{id}/merge-into/{into}", func(w http.ResponseWriter, r *http.Request) {
		out, err := s.MergeArchives(r.PathValue("id"), r.PathValue("into"))
		show(w, out, err)
	})
	mux.HandleFunc("POST /bills", func(w http.ResponseWriter, r *http.Request) { take(w, r, s.write) })
	mux.HandleFunc("GET /bills/{no}", func(w http.ResponseWriter, r *http.Request) {
		b, ok := s.Bill(r.PathValue("no"))
		if !ok {
			show(w, nil, ErrNoSuch)
			return
		}
		show(w, b, nil)
	})
	mux.HandleFunc("POST /bills/{no}/window-pay", func(w http.ResponseWriter, r *http.Request) {
		out, err := s.PayAtWindow(r.PathValue("no"))
		show(w, out, err)
	})
	mux.HandleFunc("POST /bills/{no}/void", func(w http.ResponseWriter, r *http.Request) {
		out, err := s.VoidBill(r.PathValue("no"))
		show(w, out, err)
	})
	mux.HandleFunc("POST /bills/{no}/change", func(w http.ResponseWriter, r *http.Request) {
		take(w, r, func(in newBill) (any, error) { return s.ChangeBill(r.PathValue("no"), in.Items...) })
	})
	mux.HandleFunc("POST /postings/{order}/void", func(w http.ResponseWriter, r *http.Request) {
		out, err := s.VoidPosting(r.PathValue("order"))
		show(w, out, err)
	})
	mux.HandleFunc("POST /bills/{no}/lines/{line}/hand-out", func(w http.ResponseWriter, r *http.Request) {
		out, err := s.HandOut(r.PathValue("no"), r.PathValue("line"), r.URL.Query().Get("quantity"))
		show(w, out, err)
	})
	mux.HandleFunc("POST /bills/{no}/lines/{line}/take-back", func(w http.ResponseWriter, r *http.Request) {
		out, err := s.TakeBack(r.PathValue("no"), r.PathValue("line"), r.URL.Query().Get("quantity"))
		show(w, out, err)
	})
	mux.HandleFunc("POST /postings/{order}/ask-refund", func(w http.ResponseWriter, r *http.Request) {
		take(w, r, func(in newAsk) (any, error) {
			return s.AskRefund(r.PathValue("order"), Ask{Lines: in.Lines, Note: in.Note, Reason: in.Reason})
		})
	})
	mux.HandleFunc("POST /asks/{no}/withdraw", func(w http.ResponseWriter, r *http.Request) {
		out, err := s.WithdrawAsk(r.PathValue("no"))
		show(w, out, err)
	})
	mux.HandleFunc("GET /notices", func(w http.ResponseWriter, _ *http.Request) { show(w, s.Notices(), nil) })
	mux.HandleFunc("POST /oddities", func(w http.ResponseWriter, r *http.Request) {
		take(w, r, func(o Oddity) (any, error) { return o, s.Distort(o) })
	})
	s.controlFaults(mux)
	return mux
}

func (s *Sim) write(in newBill) (any, error) {
	if len(in.Items) > 0 {
		return s.AddBill(in.PatientID, in.Doctor, in.Items...)
	}
	switch {
	case in.Kind != "":
		return s.DealKind(in.PatientID, in.Kind, in.Seed)
	case in.Count < 1 || in.Count > 100:
		return nil, ErrBadBill
	case in.Together:
		return s.DealVisit(in.PatientID, in.Seed, in.Count)
	}
	return s.Deal(in.PatientID, in.Seed, in.Count)
}

// faultLevel is the body of PUT /faults.
type faultLevel struct {
	Level sandbox.Level `json:"level"`
	Seed  uint64        `json:"seed"`
}

// faultReport is the answer of GET /faults.
type faultReport struct {
	Level    sandbox.Level       `json:"level"`
	Seed     uint64              `json:"seed"`
	Injected []sandbox.Injection `json:"injected"`
}

func (s *Sim) controlFaults(mux *http.ServeMux) {
	plan := s.config.Plan
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		out := faultReport{Level: sandbox.None, Injected: []sandbox.Injection{}}
		if plan != nil {
			out.Level, out.Seed = plan.Level()
			out.Injected = plan.Injected()
		}
		show(w, out, nil)
	})
	if plan == nil {
		return
	}
	mux.HandleFunc("PUT /faults", func(w http.ResponseWriter, r *http.Request) {
		take(w, r, func(in faultLevel) (any, error) { return in, plan.SetLevel(in.Level, in.Seed) })
	})
	mux.HandleFunc("POST /faults/script", func(w http.ResponseWriter, r *http.Request) {
		take(w, r, func(in sandbox.Script) (any, error) {
			plan.Script(in)
			return in, nil
		})
	})
}

// take reads one JSON body and shows what do makes of it.
func take[T any](w http.ResponseWriter, r *http.Request, do func(T) (any, error)) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	var in T
	if err == nil {
		err = read(body, &in)
	}
	if err != nil {
		http.Error(w, `{"error":"malformed request"}`, http.StatusBadRequest)
		return
	}
	out, err := do(in)
	show(w, out, err)
}

// show writes plain JSON, or the error with a status that fits.
func show(w http.ResponseWriter, v any, err error) {
	status := http.StatusOK
	if err != nil {
		status = http.StatusUnprocessableEntity
		switch {
		case errors.Is(err, ErrNoSuch):
			status = http.StatusNotFound
		case errors.Is(err, ErrState), errors.Is(err, ErrHeld):
			status = http.StatusConflict
		}
		v = map[string]string{"error": err.Error()}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
