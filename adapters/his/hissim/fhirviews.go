package hissim

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// This file writes the hospital's things as FHIR resources, R5 or R4.

// The made-up hospital's identifier systems, code systems and extensions.
const (
	sidHIS   = "http://his.example/fhir/sid/"
	sidOurs  = "http://tuoka.example/fhir/sid/" // of numbers that the platform makes
	sidWX    = "http://pay.weixin.example/fhir/sid/transaction-id"
	csNHSA   = "http://nhsa.example/fhir/cs/"
	csHIS    = "http://his.example/fhir/cs/"
	csOurs   = "http://tuoka.example/fhir/cs/"
	extOurs  = "http://tuoka.example/fhir/ext/"
	hl7Terms = "http://terminology.hl7.org/CodeSystem/"
)

// object is a resource, or an element of one.
type object = map[string]any

// speech is how the hospital speaks to whoever asks: in which version.
type speech struct{ r4 bool }

func (v speech) either(r5, r4 string) string {
	if v.r4 {
		return r4
	}
	return r5
}

func (v speech) kind() string { return "application/fhir+json; fhirVersion=" + v.either("5.0", "4.0") }

func ident(system, value string) object { return object{"system": system, "value": value} }

// logical is a reference by a number alone.
func logical(kind, system, value, display string) object {
	r := object{"type": kind, "identifier": ident(system, value)}
	if display != "" {
		r["display"] = display
	}
	return r
}

func coded(system, code, display string) object {
	c := object{"system": system, "code": code}
	if display != "" {
		c["display"] = display
	}
	return c
}

func concept(system, code string) object { return object{"coding": []any{coded(system, code, "")}} }

// words is a concept that has no code.
func words(text string) object { return object{"text": text} }

func cny(f money.Fen) object {
	return object{"value": json.Number(fmt.Sprintf("%d.%02d", f/100, f%100)), "currency": "CNY"}
}

func ext(name, kind string, value any) object { return object{"url": extOurs + name, kind: value} }

func inner(name, kind string, value any) object { return object{"url": name, kind: value} }

// said keeps what has a text.
func said(list []any, name, kind, text string) []any {
	if text == "" {
		return list
	}
	return append(list, ext(name, kind, text))
}

func patientRef(id string) object   { return logical("Patient", sidHIS+"patient-no", id, "") }
func deptRef(d Department) object   { return logical("Organization", csHIS+"dept", d.Code, d.Name) }
func doctorRef(d Doctor) object     { return logical("Practitioner", csNHSA+"doctor", d.Code, d.Name) }
func billRef(no string) object      { return logical("Invoice", sidHIS+"bill-no", no, "") }
func fhirID(kind, no string) string { return kind + strings.ReplaceAll(no, "_", ".") }

func (v speech) patient(p patientView) object {
	return object{"resourceType": "Patient", "id": p.PatientID,
		"extension":  []any{ext("created", "valueDateTime", p.CreatedAt)},
		"identifier": []any{ident(sidHIS+"patient-no", p.PatientID), ident(sidHIS+"card-no", p.CardNo), ident(sidHIS+"resident-id", p.IDNo)},
		"name":       []any{words(p.Name)}}
}

// invoiceExtensions are what FHIR's Invoice has no element for.
func (v speech) invoiceExtensions(b billSummary) []any {
	list := []any{ext("locked", "valueBoolean", b.Locked)}
	if b.VisitNo != "" {
		list = append(list, ext("visit", "valueIdentifier", ident(sidHIS+"visit-no", b.VisitNo)))
	}
	return said(list, "pay-by", "valueDateTime", b.PayBy)
}

// invoice is a bill, without its lines.
func (v speech) invoice(patientID string, b billSummary) object {
	status := map[BillState]string{Unpaid: "issued", Paid: "balanced", Void: "cancelled"}[b.State]
	o := object{"resourceType": "Invoice", "id": b.BillNo, "status": status,
		"extension":  v.invoiceExtensions(b),
		"identifier": []any{ident(sidHIS+"bill-no", b.BillNo)}, "subject": patientRef(patientID),
		v.either("creation", "date"): b.CreatedAt,
		"participant": []any{object{"role": words("department"), "actor": deptRef(b.Dept)},
			object{"role": words("doctor"), "actor": doctorRef(b.Doctor)}},
		"totalGross": cny(b.TotalFen)}
	if b.Kind != "" {
		o["type"] = concept(csOurs+"bill-kind", b.Kind)
	}
	return o
}

// bill is a bill, and the resources that it refers to.
func (v speech) bill(b billView) (object, []any) {
	main := v.invoice(b.PatientID, billSummary{BillNo: b.BillNo, State: b.State, TotalFen: b.TotalFen, CreatedAt: b.CreatedAt,
		Dept: b.Visit.Dept, Doctor: b.Visit.Doctor, Locked: b.Lock != nil, VisitNo: b.Visit.VisitNo, Kind: b.Kind, PayBy: b.PayBy})
	more := []any{v.visit(b.PatientID, b.Visit)}
	for i, d := range b.Diagnoses {
		more = append(more, v.condition(b, i, d))
	}
	var items []any
	for i, l := range b.Lines {
		items = append(items, object{"sequence": i + 1, "chargeItemReference": object{"reference": "ChargeItem/" + l.No}})
		more = append(more, v.chargeItem(b, l))
	}
	main["lineItem"] = items
	return main, more
}

func (v speech) visit(patientID string, w visitView) object {
	attends := object{"type": []any{concept(hl7Terms+"v3-ParticipationType", "ATND")}, v.either("actor", "individual"): doctorRef(w.Doctor)}
	ambulatory := coded(hl7Terms+"v3-ActCode", "AMB", "")
	o := object{"resourceType": "Encounter", "id": w.VisitNo, "status": v.either("completed", "finished"),
		"identifier":      []any{ident(sidHIS+"visit-no", w.VisitNo)},
		"subject":         patientRef(patientID),
		"serviceProvider": deptRef(w.Dept), "participant": []any{attends},
		v.either("actualPeriod", "period"): object{"start": w.BeganAt}}
	if w.MedType != "" {
		o["type"] = []any{concept(csNHSA+"med-type", w.MedType)}
	}
	if w.VisitID != "" {
		o["identifier"] = []any{ident(sidHIS+"visit-no", w.VisitNo), ident(sidHIS+"mdtrt-id", w.VisitID)}
	}
	caty := concept(csNHSA+"caty", w.Dept.Caty)
	if v.r4 {
		o["class"], o["serviceType"] = ambulatory, caty
	} else {
		o["class"], o["serviceType"] = []any{object{"coding": []any{ambulatory}}}, []any{object{"concept": caty}}
	}
	if w.Complaint != "" && v.r4 {
		o["reasonCode"] = []any{words(w.Complaint)}
	} else if w.Complaint != "" {
		o["reason"] = []any{object{"value": []any{object{"concept": words(w.Complaint)}}}}
	}
	var more []any
	if w.DiseaseCode != "" {
		more = append(more, ext("disease", "valueCoding", coded(csNHSA+"disease", w.DiseaseCode, w.DiseaseName)))
	}
	more = said(said(said(more, "psn-no", "valueString", w.PsnNo), "insutype", "valueCode", w.Insutype), "insuplc-admdvs", "valueCode", w.CoverageArea)
	if len(more) > 0 {
		o["extension"] = more
	}
	return o
}

func (v speech) condition(b billView, i int, d diseView) object {
	verified, clinical := "confirmed", "active"
	if !d.Valid {
		verified, clinical = "refuted", "inactive"
	}
	o := object{"resourceType": "Condition", "id": fmt.Sprintf("%s-%d", b.BillNo, i+1),
		"extension": []any{ext("diagnosis-seq", "valueInteger", d.Seq),
			ext("diagnosis-dept", "valueReference", object{"type": "Organization", "display": d.Dept})},
		"clinicalStatus":     concept(hl7Terms+"condition-clinical", clinical),
		"verificationStatus": concept(hl7Terms+"condition-ver-status", verified),
		"category":           []any{concept(csNHSA+"diag-type", d.Type)},
		"code":               object{"coding": []any{coded(csNHSA+"icd-10", d.Code, d.Name)}},
		"subject":            patientRef(b.PatientID), "encounter": object{"reference": "Encounter/" + b.Visit.VisitNo}, "recordedDate": d.At}
	if v.r4 {
		o["recorder"] = doctorRef(d.Doctor)
	} else {
		o["participant"] = []any{object{"function": words("author"), "actor": doctorRef(d.Doctor)}}
	}
	return o
}

func (v speech) chargeItem(b billView, l lineView) object {
	codes := []any{coded(csHIS+"category", l.Category, l.CategoryName), coded(csHIS+"item", l.Own, "")}
	if l.National != "" {
		codes = append(codes, coded(csNHSA+"med-list", l.National, ""))
	}
	status := "billable"
	if b.State == Paid {
		status = "billed"
	}
	more := []any{ext("class", "valueCode", l.Class), ext("external-rx", "valueBoolean", l.External), ext("hosp-appr-flag", "valueCode", l.Approval)}
	more = said(more, "spec", "valueString", l.Spec)
	var dosage []any
	for _, d := range [][2]string{{"dose", l.Dose}, {"frequency", l.Frequency}, {"route", l.Route}, {"days", l.Days}} {
		if d[1] != "" {
			dosage = append(dosage, inner(d[0], "valueString", d[1]))
		}
	}
	if len(dosage) > 0 {
		more = append(more, object{"url": extOurs + "dosage", "extension": dosage})
	}
	quantity := object{"value": json.Number(l.Quantity)}
	if l.Unit != "" {
		quantity["unit"] = l.Unit
	}
	o := object{"resourceType": "ChargeItem", "id": l.No, "identifier": []any{ident(sidHIS+"line-no", l.No)}, "status": status,
		"code": object{"coding": codes, "text": l.Name}, "subject": patientRef(b.PatientID),
		v.either("encounter", "context"): object{"reference": "Encounter/" + b.Visit.VisitNo}, "occurrenceDateTime": l.OccurredAt,
		"quantity": quantity, "requestingOrganization": deptRef(l.Dept), "enterer": doctorRef(l.Doctor)}
	price := object{"value": json.Number(l.Price), "currency": "CNY"}
	if v.r4 {
		more = append(more, ext("unit-price", "valueMoney", price))
		o["priceOverride"] = cny(l.TotalFen)
	} else {
		o["unitPriceComponent"] = object{"type": "base", "amount": price}
		o["totalPriceComponent"] = object{"type": "base", "amount": cny(l.TotalFen)}
	}
	o["extension"] = more
	if l.RxNo != "" {
		rx := logical("MedicationRequest", sidHIS+"rx-no", l.RxNo, "")
		if !v.r4 {
			rx = object{"reference": rx}
		}
		o["service"] = []any{rx}
	}
	if l.ExecDept.Code != "" {
		o["performingOrganization"] = deptRef(l.ExecDept)
	}
	if l.ExecDoctor.Code != "" {
		o["performer"] = []any{object{"function": words("executing"), "actor": doctorRef(l.ExecDoctor)}}
	}
	return o
}

func (v speech) task(kind, id, status string, numbers ...any) object {
	return object{"resourceType": "Task", "id": fhirID(kind+".", id), "status": status, "intent": "order",
		"code": concept(csOurs+"task", kind), "identifier": numbers}
}

// lock is a lock's Task.
func (v speech) lock(l lockView, patientID, status string) object {
	o := v.task("lock", l.OrderNo, status, ident(sidOurs+"order-no", l.OrderNo))
	inputs := []any{}
	for _, no := range l.BillNos {
		inputs = append(inputs, object{"type": words("bill"), "valueReference": billRef(no)})
	}
	o["for"], o["input"] = patientRef(patientID), inputs
	o["output"] = []any{object{"type": words("total"), "valueMoney": cny(l.TotalFen)}}
	o["executionPeriod"], o["restriction"] = object{"start": l.LockedAt}, object{"period": object{"end": l.ExpiresAt}}
	return o
}

// items are a refund's of one kind.
type items struct {
	kind  string
	lines []RefundLine
}

func parted(lines, rebill []RefundLine) []items { return []items{{"line", lines}, {"rebill", rebill}} }

// refundTask is a refund's Task.
func (v speech) refundTask(s standingView, patientID, hisNo string) object {
	status := map[string]string{string(RefundHeld): "accepted", string(RefundDropped): "cancelled", string(RefundBooked): "completed"}[s.State]
	o := v.task("refund-hold", s.RefundNo, status, ident(sidOurs+"refund-no", s.RefundNo))
	o["groupIdentifier"] = ident(sidOurs+"order-no", s.OrderNo)
	if hisNo != "" {
		o["identifier"] = []any{ident(sidOurs+"refund-no", s.RefundNo), ident(sidHIS+"his-refund-no", hisNo)}
	}
	if patientID != "" {
		o["for"] = patientRef(patientID)
	}
	h := s.Hold
	if h == nil {
		return o
	}
	inputs := []any{object{"type": words("total"), "valueMoney": cny(h.TotalFen)}}
	for _, part := range parted(h.Lines, h.Rebill) {
		for _, l := range part.lines {
			inputs = append(inputs, object{"type": words(part.kind), "valueReference": logical("ChargeItem", sidHIS+"line-no", l.LineNo, ""), "extension": []any{
				ext("bill", "valueIdentifier", ident(sidHIS+"bill-no", l.BillNo)), ext("quantity", "valueQuantity", object{"value": json.Number(l.Quantity)}),
				ext("amount", "valueMoney", cny(l.TotalFen))}})
		}
	}
	o["input"], o["executionPeriod"] = inputs, object{"start": h.HeldAt}
	return o
}

// entry is an entry in the books: a PaymentReconciliation.
func (v speech) entry(kind, id, status, at string, total money.Fen, numbers []any, allocated []any) object {
	o := object{"resourceType": "PaymentReconciliation", "id": fhirID(kind+".", id), "status": status, "created": at,
		v.either("date", "paymentDate"):     at[:len(time.DateOnly)],
		v.either("amount", "paymentAmount"): cny(total), "identifier": numbers, v.either("allocation", "detail"): allocated}
	if v.r4 {
		o["formCode"] = concept(csOurs+"task", kind)
	} else {
		o["type"] = concept(hl7Terms+"payment-type", kind)
	}
	return o
}

func partsExt(p Parts) object {
	var list []any
	names := []string{"pooledFund", "otherFund", "account", "familyAccount", "hospitalBorne", "cash", "uninsured"}
	for i, f := range p.list() {
		list = append(list, inner(names[i], "valueMoney", cny(f)))
	}
	return object{"url": extOurs + "parts", "extension": list}
}

// settlementExt adds the insurer's settlement, where there is one.
func settlementExt(list []any, setlID string) []any {
	if setlID == "" {
		return list
	}
	return append(list, object{"url": extOurs + "settlement", "extension": []any{inner("setlId", "valueString", setlID)}})
}

// posting is an order in the books.
func (v speech) posting(p postingView, totals map[string]money.Fen, state string) object {
	status := "active"
	if state == voided {
		status = "cancelled"
	}
	var allocated []any
	for _, no := range p.BillNos {
		allocated = append(allocated, object{"type": words("bill"), v.either("target", "request"): billRef(no), "amount": cny(totals[no])})
	}
	numbers := []any{ident(sidOurs+"order-no", p.OrderNo), ident(sidHIS+"posting-no", p.PostingNo), ident(sidHIS+"receipt-no", p.ReceiptNo)}
	if p.outTradeNo != "" {
		numbers = append(numbers, ident(sidOurs+"out-trade-no", p.outTradeNo))
	}
	o := v.entry("payment", p.OrderNo, status, p.PostedAt, p.TotalFen, numbers, allocated)
	o["extension"] = settlementExt([]any{partsExt(p.Parts)}, p.setlID)
	var notes []any
	for _, g := range p.Guide {
		notes = append(notes, object{"type": "print", "text": g})
	}
	if len(notes) > 0 {
		o["processNote"] = notes
	}
	return o
}

// booking is a refund in the books.
func (v speech) booking(b bookingView) object {
	var allocated []any
	for _, part := range parted(b.Lines, b.Rebill) {
		for _, l := range part.lines {
			allocated = append(allocated, object{"type": words(part.kind), v.either("target", "request"): logical("ChargeItem", sidHIS+"line-no", l.LineNo, ""),
				"amount": cny(l.TotalFen), "extension": []any{ext("bill", "valueIdentifier", ident(sidHIS+"bill-no", l.BillNo)),
					ext("quantity", "valueQuantity", object{"value": json.Number(l.Quantity)})}})
		}
	}
	numbers := []any{ident(sidOurs+"refund-no", b.RefundNo), ident(sidHIS+"booking-no", b.BookingNo)}
	if b.outRefundNo != "" {
		numbers = append(numbers, ident(sidOurs+"out-refund-no", b.outRefundNo))
	}
	o := v.entry("adjustment", b.RefundNo, "active", b.BookedAt, b.TotalFen, numbers, allocated)
	more := settlementExt([]any{ext("order", "valueIdentifier", ident(sidOurs+"order-no", b.OrderNo)), partsExt(b.RestParts),
		object{"url": extOurs + "money-back", "extension": []any{inner("note", "valueBoolean", b.note)}}}, b.restSetlID)
	for _, no := range b.Rebilled {
		more = append(more, ext("rebilled", "valueIdentifier", ident(sidHIS+"bill-no", no)))
	}
	o["extension"], o["request"] = more, logical("Task", sidOurs+"refund-no", b.RefundNo, "")
	return o
}

// notice is how a bill was paid: a PaymentNotice.
func (v speech) notice(p paidInfo, total money.Fen) object {
	number := ident(sidHIS+"serial-no", p.SerialNo)
	if p.OrderNo != "" {
		number = ident(sidOurs+"order-no", p.OrderNo)
	}
	return object{"resourceType": "PaymentNotice", "id": "paid." + p.BillNo, "status": "active", "identifier": []any{number}, "request": billRef(p.BillNo),
		"created":   p.PaidAt,
		"extension": []any{ext("paid-where", "valueCode", p.Where)}, "payment": object{"type": "PaymentReconciliation", "identifier": number}, "amount": cny(total),
		"recipient": object{"type": "Organization", "display": "收费处"}}
}
