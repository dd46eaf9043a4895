package hissim

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// This file is the same hospital as a FHIR server (docs/his-fhir.md), R5, and R4 for whoever accepts that. What it does is one hospital's work whatever is
// spoken; only the words differ.

// FHIRHandler serves the FHIR server, with the plan's faults in front of it.
func (s *Sim) FHIRHandler() http.Handler {
	table := s.offered()
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveFHIR(table, w, r) })
	if s.config.Plan == nil {
		return serve
	}
	return s.config.Plan.Wrap(func(r *http.Request, body []byte) sandbox.Call {
		call, err := s.heardFHIR(r, body)
		if err != nil {
			return sandbox.Call{}
		}
		o := table[call.path]
		return sandbox.Call{Op: o.op, Key: keyOf(call.json()), Refusable: o.refuses, Priced: o.priced, Most: o.most}
	}, serve)
}

func (s *Sim) serveFHIR(table map[string]operation, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, 4*maxRequest))
	if err != nil || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || subtle.ConstantTimeCompare([]byte(token), []byte(s.config.Secret.Reveal())) != 1 {
		w.Header().Set("WWW-Authenticate", "Bearer")
		send(w, speech{}, http.StatusUnauthorized, outcome("login", codeSignature, nil))
		return
	}
	call, err := s.heardFHIR(r, body)
	o, known := table[call.path]
	if err == nil && !known {
		err = fmt.Errorf("%w: no such interaction here", errRequest)
	}
	var out reply
	if err == nil {
		out, err = o.handle(s, r.Context(), call.json())
	}
	switch {
	case errors.Is(err, errRequest):
		send(w, call.speech, http.StatusBadRequest, outcome("invalid", codeInvalid, nil))
	case err != nil:
		send(w, call.speech, http.StatusInternalServerError, outcome("exception", codeInternal, nil))
	default:
		status, document := s.fhirAnswer(&call, out)
		send(w, call.speech, status, document)
	}
}

// send writes a document.
func send(w http.ResponseWriter, v speech, status int, document any) {
	body, err := marshal(document)
	if err != nil {
		http.Error(w, "answer cannot be written", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", v.kind()+"; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(body) // #nosec G705 -- FHIR in JSON by its content type, which no browser shows as a page
}

// outcome is an OperationOutcome: one issue with the interface's code, or one for every item that is the reason.
func outcome(kind, code string, stuck []stuckLine) object {
	issue := func(more ...any) object {
		return object{"severity": "error", "code": kind, "details": object{"coding": append([]any{coded(csOurs+"refusal", code, "")}, more...)}}
	}
	issues := []any{}
	for _, l := range stuck {
		i := issue(coded(csOurs+"not-refundable", l.Reason, ""))
		i["extension"] = []any{ext("bill", "valueIdentifier", ident(sidHIS+"bill-no", l.BillNo)), ext("line", "valueIdentifier", ident(sidHIS+"line-no", l.LineNo))}
		issues = append(issues, i)
	}
	if len(issues) == 0 {
		issues = append(issues, issue())
	}
	return object{"resourceType": "OperationOutcome", "issue": issues}
}

// refused says no, with the status and the kind of issue that FHIR has for it.
func refused(out reply) (int, object) {
	how := map[string]struct {
		status int
		kind   string
	}{codeNotFound: {http.StatusNotFound, "not-found"}, codeBillVoid: {http.StatusGone, "deleted"},
		codeAmountWrong:   {http.StatusUnprocessableEntity, "business-rule"},
		codeNotRefundable: {http.StatusUnprocessableEntity, "business-rule"},
		codeInsurer:       {http.StatusUnprocessableEntity, "business-rule"}, codeLocked: {http.StatusConflict, "lock-error"},
		codeDuplicate: {http.StatusConflict, "duplicate"}, codeMaintenance: {http.StatusServiceUnavailable, "transient"}}[out.code]
	if how.status == 0 {
		how.status, how.kind = http.StatusConflict, "conflict"
	}
	if v, ok := out.data.(stuckView); ok {
		return how.status, outcome(how.kind, out.code, v.Lines)
	}
	o := outcome(how.kind, out.code, nil)
	if v, ok := out.data.(reasonView); ok {
		return how.status, reasoned(o, v.Reason)
	}
	if p, ok := out.data.(paidInfo); ok && p.OrderNo != "" {
		first, _ := o["issue"].([]any)[0].(object) //nolint:forcetypeassert // made above
		first["extension"] = []any{ext("order", "valueIdentifier", ident(sidOurs+"order-no", p.OrderNo))}
	}
	return how.status, o
}

// searchset is what a search found, and what goes with it.
func searchset(found, more []any) object {
	entries := []any{}
	for mode, list := range [][]any{found, more} {
		for _, resource := range list {
			o, _ := resource.(object)
			kind, _ := o["resourceType"].(string)
			id, _ := o["id"].(string)
			entries = append(entries, object{"fullUrl": "https://his.example/fhir/" + kind + "/" + id, "resource": resource,
				"search": object{"mode": [...]string{"match", "include"}[mode]}})
		}
	}
	b := object{"resourceType": "Bundle", "type": "searchset", "total": len(found)}
	if len(entries) > 0 {
		b["entry"] = entries
	}
	return b
}

func batchOf(bundles ...object) object {
	entries := []any{}
	for _, b := range bundles {
		entries = append(entries, object{"resource": b, "response": object{"status": "200 OK"}})
	}
	return object{"resourceType": "Bundle", "type": "batch-response", "entry": entries}
}

func parameters(ended bool, numbers map[string]object) object {
	list := []any{object{"name": "ended", "valueBoolean": ended}}
	for _, name := range []string{"group", "number"} {
		if n, ok := numbers[name]; ok {
			list = append(list, object{"name": name, "valueIdentifier": n})
		}
	}
	return object{"resourceType": "Parameters", "parameter": list}
}

// fhirAnswer puts an operation's reply into FHIR: its status and its document.
func (s *Sim) fhirAnswer(call *fhirCall, out reply) (int, any) {
	v := call.speech
	switch data := out.data.(type) {
	case findAnswer:
		var found []any
		for _, p := range data.Patients {
			found = append(found, v.patient(p))
		}
		return http.StatusOK, searchset(found, nil)
	case pendingAnswer:
		var found []any
		for _, b := range data.Bills {
			found = append(found, v.invoice(data.PatientID, b))
		}
		return http.StatusOK, batchOf(object{"resourceType": "Bundle", "type": "searchset", "total": 1}, searchset(found, nil))
	case detailAnswer:
		main, more := v.bill(data.Bill)
		return http.StatusOK, searchset([]any{main}, more)
	case lockView:
		return s.fhirLock(v, out, data)
	case releaseAnswer:
		return http.StatusOK, parameters(data.Released, map[string]object{"number": ident(sidOurs+"order-no", data.OrderNo)})
	case dropAnswer:
		return http.StatusOK, parameters(data.Dropped, map[string]object{"number": ident(sidOurs+"refund-no", data.RefundNo),
			"group": ident(sidOurs+"order-no", data.OrderNo)})
	case *postingView:
		return created(out), v.posting(*data, s.totals(data.BillNos), posted)
	case queryAnswer:
		return http.StatusOK, s.fhirStanding(v, call, data)
	case *holdView:
		return s.fhirHold(call, out, standingView{OrderNo: data.OrderNo, RefundNo: data.RefundNo, State: string(RefundHeld), Hold: data})
	case *bookingView:
		return created(out), v.booking(*data)
	case standingView:
		return s.fhirRefund(call, out, data)
	case dayAnswer:
		return http.StatusOK, s.fhirDay(v, data)
	}
	if o, ok := s.fhirInsured(call, out); ok {
		return http.StatusOK, o
	}
	switch { // nothing, or no
	case call.path == "/his/v1/patients/find" && out.code == codeNone, call.path == "/his/v1/bills/detail" && out.code == codeNotFound:
		return http.StatusOK, searchset(nil, nil)
	case call.path == "/his/v1/bills/pending" && out.code != codeMaintenance:
		known := map[bool]int{true: 1, false: 0}[out.code == codeNone]
		return http.StatusOK, batchOf(object{"resourceType": "Bundle", "type": "searchset", "total": known}, searchset(nil, nil))
	case call.path == "/his/v1/postings/post" && out.code == codeBillVoid:
		if in, ok := call.members.(object); ok {
			no, _ := in["order_no"].(string)
			if p, ok := s.postingOf(no); ok {
				return http.StatusOK, v.posting(*s.viewPosting(p), s.totals(p.BillNos), p.State)
			}
		}
	}
	return refused(out)
}

// created is 201 for what is new, and 200 for what stood there before.
func created(out reply) int {
	if out.code == codeDone {
		return http.StatusCreated
	}
	return http.StatusOK
}

func (s *Sim) postingOf(order string) (Posting, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.state.postings[order]
	return p, ok
}

// totals are the totals of bills.
func (s *Sim) totals(billNos []string) map[string]money.Fen {
	out := map[string]money.Fen{}
	for _, no := range billNos {
		if b, ok := s.Bill(no); ok {
			out[no] = b.TotalFen
		}
	}
	return out
}

// fhirLock answers with the lock's Task. The interface answers a repeat like the first time; a conditional create says that it stood there before.
func (s *Sim) fhirLock(v speech, out reply, l lockView) (int, any) {
	s.mu.Lock()
	lock := s.state.locks[l.OrderNo]
	s.mu.Unlock()
	status := "accepted"
	if out.code == codeLockExpired || lock.Released {
		status = "cancelled"
	}
	code := http.StatusOK
	if out.code == codeDone && lock.LockedAt.Equal(s.config.Clock.Now()) {
		code = http.StatusCreated
	}
	return code, v.lock(l, lock.PatientID, status)
}

// fhirHold answers with the hold's Task.
func (s *Sim) fhirHold(call *fhirCall, out reply, st standingView) (int, any) {
	r, patient := s.refundBy(st.RefundNo)
	code := http.StatusOK
	if out.code == codeDone && r.HeldAt.Equal(s.config.Clock.Now()) {
		code = http.StatusCreated
	}
	return code, call.refundTask(st, patient, r.HISRefundNo)
}

func (s *Sim) refundBy(no string) (Refund, string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.state.refunds[no]
	return r, s.state.postings[r.OrderNo].PatientID
}

// fhirRefund answers with where a refund stands: to a search, or because its number is used already.
func (s *Sim) fhirRefund(call *fhirCall, out reply, st standingView) (int, any) {
	r, patient := s.refundBy(st.RefundNo)
	switch call.path {
	case "/his/v1/refunds/query":
		if st.State == "none" {
			return http.StatusOK, searchset(nil, nil)
		}
		var more []any
		if st.Booking != nil {
			more = append(more, call.booking(*st.Booking))
		}
		return http.StatusOK, searchset([]any{call.refundTask(st, patient, r.HISRefundNo)}, more)
	case "/his/v1/refunds/hold":
		return http.StatusOK, call.refundTask(st, patient, r.HISRefundNo)
	case "/his/v1/refunds/book":
		if st.Booking != nil {
			return http.StatusOK, call.booking(*st.Booking)
		}
	}
	return refused(out)
}

// fhirStanding answers how an order stands: its entry, and how its bills stand.
func (s *Sim) fhirStanding(v speech, call *fhirCall, q queryAnswer) any {
	var entries, invoices, notices []any
	if q.Posting != nil {
		entries = append(entries, v.posting(*q.Posting, s.totals(q.Posting.BillNos), q.State))
	}
	in, _ := call.members.(queryRequest)
	for _, no := range in.BillNos {
		b, ok := s.Bill(no)
		if !ok {
			continue
		}
		invoices = append(invoices, v.invoice(b.PatientID, billSummary{BillNo: no, State: b.State, TotalFen: b.TotalFen, CreatedAt: wireTime(b.CreatedAt),
			Dept: b.Dept, Doctor: b.Doctor}))
		if b.State == Paid {
			notices = append(notices, v.notice(paidAs(b), b.TotalFen))
		}
	}
	return batchOf(searchset(entries, nil), searchset(invoices, notices))
}
