package hissim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"

	"github.com/tuoka/tuoka/internal/money"
)

// This file reads what is to be entered: Tasks, PaymentReconciliations, and the parameters of what ends a Task.

// The elements that this hospital reads.
type (
	fhirIdent struct {
		System string `json:"system"`
		Value  string `json:"value"`
	}
	fhirRef struct {
		Identifier fhirIdent `json:"identifier"`
	}
	fhirConcept struct {
		Coding []fhirCoding `json:"coding"`
		Text   string       `json:"text"`
	}
	fhirCoding struct {
		System string `json:"system"`
		Code   string `json:"code"`
	}
	fhirMoney struct {
		Value    json.Number `json:"value"`
		Currency string      `json:"currency"`
	}
	fhirExt struct {
		URL        string     `json:"url"`
		Extension  []fhirExt  `json:"extension"`
		Money      *fhirMoney `json:"valueMoney"`
		Identifier *fhirIdent `json:"valueIdentifier"`
		Reference  *fhirRef   `json:"valueReference"`
		String     string     `json:"valueString"`
		DateTime   string     `json:"valueDateTime"`
		Boolean    *bool      `json:"valueBoolean"`
		Quantity   *struct {
			Value json.Number `json:"value"`
		} `json:"valueQuantity"`
	}
	fhirInput struct {
		Extension []fhirExt   `json:"extension"`
		Type      fhirConcept `json:"type"`
		Money     *fhirMoney  `json:"valueMoney"`
		Reference *fhirRef    `json:"valueReference"`
		Boolean   *bool       `json:"valueBoolean"`
	}
)

func (m *fhirMoney) fen() (money.Fen, error) {
	if m == nil || m.Currency != "CNY" || len(m.Value) < 4 || m.Value[len(m.Value)-3] != '.' {
		return 0, fmt.Errorf("%w: an amount is Money in CNY with two decimals", errRequest)
	}
	f, err := money.ParseYuan(m.Value.String())
	if err != nil {
		return 0, fmt.Errorf("%w: an amount", errRequest)
	}
	return f, nil
}

func numberOf(list []fhirIdent, system string) string {
	for _, i := range list {
		if i.System == system {
			return i.Value
		}
	}
	return ""
}

func extOf(list []fhirExt, url string) *fhirExt {
	for i := range list {
		if list[i].URL == url {
			return &list[i]
		}
	}
	return &fhirExt{}
}

// readParameters gives numbers by their system, and anything else by its name.
func readParameters(body []byte) (map[string]string, error) {
	var in struct {
		ResourceType string `json:"resourceType"`
		Parameter    []struct {
			Name       string    `json:"name"`
			Identifier fhirIdent `json:"valueIdentifier"`
			Code       string    `json:"valueCode"`
			Text       string    `json:"valueString"`
		} `json:"parameter"`
	}
	if err := read(body, &in); err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, p := range in.Parameter {
		out[cmp.Or(p.Identifier.System, p.Name)] = cmp.Or(p.Identifier.Value, p.Code, p.Text)
	}
	if in.ResourceType != "Parameters" || len(out) == 0 {
		return nil, fmt.Errorf("%w: no Parameters", errRequest)
	}
	return out, nil
}

// once checks that a create is conditional on the number that it is about.
func once(h http.Header, system, number string) error {
	form, err := url.ParseQuery(h.Get("If-None-Exist"))
	if err != nil || number == "" || form.Get("identifier") != system+"|"+number || len(form) != 1 {
		return fmt.Errorf("%w: If-None-Exist", errRequest)
	}
	return nil
}

// refundLine reads an item that goes back.
func refundLine(more []fhirExt, item *fhirRef, amount *fhirMoney) (RefundLine, error) {
	bill, quantity := extOf(more, extOurs+"bill"), extOf(more, extOurs+"quantity")
	if bill.Identifier == nil || bill.Identifier.System != sidHIS+"bill-no" || quantity.Quantity == nil || item == nil ||
		item.Identifier.System != sidHIS+"line-no" {
		return RefundLine{}, fmt.Errorf("%w: an item that goes back", errRequest)
	}
	f, err := amount.fen()
	return RefundLine{BillNo: bill.Identifier.Value, LineNo: item.Identifier.Value, Quantity: quantity.Quantity.Value.String(), TotalFen: f}, err
}

// task reads a Task that is to be: a lock, or a refund's hold.
func (c *fhirCall) task(body []byte, h http.Header) error {
	var in struct {
		ResourceType string      `json:"resourceType"`
		Status       string      `json:"status"`
		Intent       string      `json:"intent"`
		Code         fhirConcept `json:"code"`
		Identifier   []fhirIdent `json:"identifier"`
		Group        fhirIdent   `json:"groupIdentifier"`
		For          fhirRef     `json:"for"`
		AuthoredOn   string      `json:"authoredOn"`
		Input        []fhirInput `json:"input"`
		Reason       []struct {
			Concept fhirConcept `json:"concept"`
		} `json:"reason"`
		ReasonCode *fhirConcept `json:"reasonCode"` // R4
	}
	if err := read(body, &in); err != nil {
		return err
	}
	if in.ResourceType != "Task" || in.Status != "requested" || in.Intent != "order" || in.AuthoredOn == "" || in.For.Identifier.System != sidHIS+"patient-no" ||
		len(in.Code.Coding) != 1 || in.Code.Coding[0].System != csOurs+"task" || (in.ReasonCode != nil && !c.r4) || (in.Reason != nil && c.r4) {
		return fmt.Errorf("%w: Task", errRequest)
	}
	var total money.Fen
	var bills []string
	var lines, rebill []RefundLine
	whole := false
	for _, i := range in.Input {
		var err error
		var l RefundLine
		switch {
		case i.Type.Text == "total":
			total, err = i.Money.fen()
		case i.Type.Text == "bill" && i.Reference != nil && i.Reference.Identifier.System == sidHIS+"bill-no":
			bills = append(bills, i.Reference.Identifier.Value)
		case i.Type.Text == "whole" && i.Boolean != nil:
			whole = *i.Boolean
		case i.Type.Text == "line" || i.Type.Text == "rebill":
			l, err = refundLine(i.Extension, i.Reference, extOf(i.Extension, extOurs+"amount").Money)
			if i.Type.Text == "line" {
				lines = append(lines, l)
			} else {
				rebill = append(rebill, l)
			}
		default:
			err = fmt.Errorf("%w: input", errRequest)
		}
		if err != nil {
			return err
		}
	}
	patient := in.For.Identifier.Value
	switch in.Code.Coding[0].Code {
	case "lock":
		no := numberOf(in.Identifier, sidOurs+"order-no")
		c.path, c.members = "/his/v1/locks/acquire", acquireRequest{OrderNo: no, PatientID: patient, BillNos: bills, TotalFen: total}
		return once(h, sidOurs+"order-no", no)
	case "refund-hold":
		no := numberOf(in.Identifier, sidOurs+"refund-no")
		out := refundRequest{OrderNo: in.Group.Value, RefundNo: no, HISRefundNo: numberOf(in.Identifier, sidHIS+"his-refund-no"), PatientID: patient, Whole: whole,
			Lines: lines, Rebill: rebill, TotalFen: total}
		if in.ReasonCode != nil {
			out.Reason = in.ReasonCode.Text
		} else if len(in.Reason) > 0 {
			out.Reason = in.Reason[0].Concept.Text
		}
		c.path, c.members = "/his/v1/refunds/hold", out
		if in.Group.System != sidOurs+"order-no" {
			return fmt.Errorf("%w: groupIdentifier", errRequest)
		}
		return once(h, sidOurs+"refund-no", no)
	}
	return fmt.Errorf("%w: code of the Task", errRequest)
}

// fhirEntry is a PaymentReconciliation that is to be, in either version's words.
type fhirEntry struct {
	ResourceType  string       `json:"resourceType"`
	Status        string       `json:"status"`
	Type          *fhirConcept `json:"type"`     // R5
	FormCode      *fhirConcept `json:"formCode"` // R4
	Identifier    []fhirIdent  `json:"identifier"`
	Payment       fhirIdent    `json:"paymentIdentifier"`
	Request       *fhirRef     `json:"request"`
	Created       string       `json:"created"`
	Date          string       `json:"date"`
	PaymentDate   string       `json:"paymentDate"` // R4
	Amount        *fhirMoney   `json:"amount"`
	PaymentAmount *fhirMoney   `json:"paymentAmount"` // R4
	Disposition   string       `json:"disposition"`
	Extension     []fhirExt    `json:"extension"`
	Allocation    []fhirPart   `json:"allocation"`
	Detail        []fhirPart   `json:"detail"` // R4
}

type fhirPart struct {
	Extension []fhirExt   `json:"extension"`
	Type      fhirConcept `json:"type"`
	Target    *fhirRef    `json:"target"`
	Request   *fhirRef    `json:"request"` // R4
	Amount    *fhirMoney  `json:"amount"`
}

// entry reads an entry for the books: a payment, or a refund.
func (c *fhirCall) entry(body []byte, h http.Header) error {
	var in fhirEntry
	if err := read(body, &in); err != nil {
		return err
	}
	kind, amount, day, parts := in.Type, in.Amount, in.Date, in.Allocation
	if c.r4 {
		kind, amount, day, parts = in.FormCode, in.PaymentAmount, in.PaymentDate, in.Detail
	}
	if in.ResourceType != "PaymentReconciliation" || in.Status != "active" || in.Created == "" || day == "" || kind == nil || len(kind.Coding) != 1 ||
		len(parts) == 0 ||
		c.r4 != (in.Type == nil && in.Date == "" && in.Amount == nil && in.Allocation == nil) || (c.r4 == (in.Detail == nil)) {
		return fmt.Errorf("%w: PaymentReconciliation", errRequest)
	}
	total, err := amount.fen()
	if err != nil {
		return err
	}
	members := object{"total_fen": total}
	if of := extOf(in.Extension, extOurs+"patient").Reference; of != nil && of.Identifier.System == sidHIS+"patient-no" {
		members["patient_id"] = of.Identifier.Value
	}
	shares := object{}
	for _, e := range extOf(in.Extension, extOurs+"parts").Extension {
		if shares[partNames()[e.URL]], err = e.Money.fen(); err != nil {
			return err
		}
	}
	c.members = members
	if kind.Coding[0].Code == "adjustment" {
		return c.refund(&in, parts, members, shares, h)
	}
	var bills []any
	for _, p := range parts {
		of := p.target(c.r4)
		f, err := p.Amount.fen()
		if err != nil || of == nil || of.Identifier.System != sidHIS+"bill-no" {
			return fmt.Errorf("%w: a bill of the payment", errRequest)
		}
		bills = append(bills, billClaim{BillNo: of.Identifier.Value, TotalFen: f})
	}
	no := numberOf(in.Identifier, sidOurs+"order-no")
	members["order_no"], members["bills"], members["parts"] = no, bills, shares
	c.path = "/his/v1/postings/post"
	put(members, map[string]string{"out_trade_no": numberOf(in.Identifier, sidOurs+"out-trade-no"), "transaction_id": in.Payment.Value})
	settled(members, "", extOf(in.Extension, extOurs+"settlement"))
	if in.Payment.Value != "" && in.Payment.System != sidWX {
		return fmt.Errorf("%w: paymentIdentifier", errRequest)
	}
	return once(h, sidOurs+"order-no", no)
}

func partNames() map[string]string {
	return map[string]string{"pooledFund": "pooled_fund_fen", "otherFund": "other_fund_fen", "account": "account_fen", "familyAccount": "family_account_fen",
		"hospitalBorne": "hospital_borne_fen", "cash": "cash_fen", "uninsured": "uninsured_fen"}
}

func (p *fhirPart) target(r4 bool) *fhirRef {
	if r4 {
		return p.Request
	}
	return p.Target
}

// put sets the members that have a text.
func put(members object, texts map[string]string) {
	for name, text := range texts {
		if text != "" {
			members[name] = text
		}
	}
}

func settled(members object, before string, e *fhirExt) {
	put(members, map[string]string{before + "setl_id": extOf(e.Extension, "setlId").String, before + "mdtrt_id": extOf(e.Extension, "mdtrtId").String,
		before + "settled_at": extOf(e.Extension, "settledAt").DateTime, "paid_at": extOf(e.Extension, "paidAt").DateTime})
}

func (c *fhirCall) refund(in *fhirEntry, parts []fhirPart, members, shares object, h http.Header) error {
	lists := map[string][]RefundLine{}
	for _, p := range parts {
		l, err := refundLine(p.Extension, p.target(c.r4), p.Amount)
		if err != nil {
			return err
		}
		if !slices.Contains([]string{"line", "rebill"}, p.Type.Text) {
			return fmt.Errorf("%w: type of an item", errRequest)
		}
		lists[p.Type.Text] = append(lists[p.Type.Text], l)
	}
	no, of, back := numberOf(in.Identifier, sidOurs+"refund-no"), extOf(in.Extension, extOurs+"order").Identifier, extOf(in.Extension, extOurs+"money-back")
	if of == nil || of.System != sidOurs+"order-no" || in.Request == nil || in.Request.Identifier != (fhirIdent{sidOurs + "refund-no", no}) {
		return fmt.Errorf("%w: of which order and refund", errRequest)
	}
	members["order_no"], members["refund_no"], members["lines"], members["rest_parts"] = of.Value, no, lists["line"], shares
	if len(lists["rebill"]) > 0 {
		members["rebill"] = lists["rebill"]
	}
	for name, key := range map[string]string{"whole": "whole", "note": "note", "byHand": "by_hand"} {
		if b := extOf(back.Extension, name).Boolean; b != nil {
			members[key] = *b
		}
	}
	put(members, map[string]string{"his_refund_no": numberOf(in.Identifier, sidHIS+"his-refund-no"),
		"out_refund_no": numberOf(in.Identifier, sidOurs+"out-refund-no"),
		"refund_id":     in.Payment.Value, "reason": in.Disposition, "refunded_at": extOf(back.Extension, "at").DateTime})
	settled(members, "rest_", extOf(in.Extension, extOurs+"settlement"))
	c.path = "/his/v1/refunds/book"
	return once(h, sidOurs+"refund-no", no)
}
