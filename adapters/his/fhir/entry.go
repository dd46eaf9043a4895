package fhir

import (
	"errors"
	"fmt"
	"slices"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/bill"
)

// This file reads what was entered, or stood there before under the number: what a conditional create is answered with.

// locked is an answer of locks/acquire: the lock's Task. One that stood there before is this lock only if it was not ended and is of the same bills; one
// that ran out, its time tells.
func (p *Profile) locked(r *reading, asked map[string]any, created bool) (string, any, error) {
	lock, err := p.as(r, "", "lock", r.document)
	if err != nil {
		return "", nil, err
	}
	alive := lock["status"] == "accepted"
	switch {
	case created && !alive:
		return "", nil, errors.New("a lock that was not agreed to")
	case !created && !sameTexts(lock["bill_nos"], asked["bill_nos"]):
		return duplicate, nil, nil
	case !created && !alive:
		return "LOCK_EXPIRED", nil, nil
	}
	return done, lock, nil
}

// sameTexts compares two lists of texts in any order.
func sameTexts(a, b any) bool {
	texts := func(v any) (out []string) {
		for _, e := range flat(v) {
			out = append(out, fmt.Sprint(e))
		}
		slices.Sort(out)
		return out
	}
	return slices.Equal(texts(a), texts(b))
}

// active reports whether an entry of the books is in force; an error for one that is neither that nor undone.
func active(entry map[string]any, kind string) (bool, error) {
	switch {
	case entry["kind"] != kind:
		return false, errors.New("an entry of another kind")
	case entry["status"] == "active":
		return true, nil
	case entry["status"] == "cancelled":
		return false, nil
	}
	return false, errors.New("an entry that is neither in force nor undone")
}

// posted is an answer of postings/post: the entry, now or before.
func (p *Profile) posted(r *reading, _ map[string]any, created bool) (string, any, error) {
	posting, err := p.as(r, "", "posting", r.document)
	if err != nil {
		return "", nil, err
	}
	inForce, err := active(posting, "payment")
	switch {
	case err != nil:
		return "", nil, err
	case !inForce && created:
		return "", nil, errors.New("an entry that is undone at once")
	case !inForce:
		return "BILL_VOID", nil, nil
	case !created:
		return duplicate, posting, nil
	}
	return done, posting, nil
}

// posting is an answer of postings/query: the entry under the number; without one, how the bills stand.
func (p *Profile) posting(r *reading, asked map[string]any, _ bool) (string, any, error) {
	bundles, err := r.batch(2)
	if err != nil {
		return "", nil, err
	}
	entries, err := p.each(r, "posting", "posting", bundles[0])
	if err != nil || len(entries) > 1 {
		return "", nil, errors.Join(errors.New("not one entry under the number"), err)
	}
	out := map[string]any{"order_no": asked["order_no"]}
	if len(entries) == 1 {
		posting, _ := entries[0].(map[string]any)
		inForce, err := active(posting, "payment")
		if err != nil {
			return "", nil, err
		}
		out["state"], out["posting"] = "posted", posting
		if !inForce {
			out["state"], out["void_bill_nos"] = "void", posting["bill_nos"]
		}
		return done, out, nil
	}
	return done, out, p.unposted(r, asked, bundles[1], out)
}

// unposted tells how bills stand of which no entry is under the number.
func (p *Profile) unposted(r *reading, asked map[string]any, bundle any, out map[string]any) error {
	bills, err := p.each(r, "bills", "summary", bundle)
	if err != nil {
		return err
	}
	var nos, paid, void []any
	for _, b := range bills {
		no := his.LookUp(b, "bill_no")
		nos = append(nos, no)
		switch his.LookUp(b, "state") {
		case "paid":
			paid = append(paid, no)
		case "void":
			void = append(void, no)
		}
	}
	if !sameTexts(nos, asked["bill_nos"]) {
		return errors.New("not the bills that were asked for")
	}
	if paid, err = p.evidence(r, bundle, paid); err != nil {
		return err
	}
	switch {
	case len(paid) > 0:
		out["state"], out["paid"] = "paid_elsewhere", paid
	case len(void) > 0:
		out["state"], out["void_bill_nos"] = "void", void
	default:
		out["state"] = "not_posted"
	}
	return nil
}

// evidence is by what bills were paid: the one PaymentNotice of each.
func (p *Profile) evidence(r *reading, bundle any, bills []any) ([]any, error) {
	if len(bills) == 0 {
		return nil, nil
	}
	found := map[string][]any{}
	for i, resource := range below(bundle, "entry.resource") {
		if object, ok := resource.(map[string]any); !ok || object["resourceType"] != p.Shapes["paid"].Type {
			continue
		}
		paid, err := p.as(r, fmt.Sprintf("paid[%d]/", i), "paid", resource)
		if err != nil {
			return nil, err
		}
		no, _ := paid["bill_no"].(string)
		found[no] = append(found[no], paid)
	}
	out := make([]any, 0, len(bills))
	for _, b := range bills {
		no, _ := b.(string)
		if len(found[no]) != 1 {
			return nil, fmt.Errorf("a paid bill with %d payments", len(found[no]))
		}
		out = append(out, found[no][0])
	}
	return out, nil
}

// held is an answer of refunds/hold: the hold's Task. What stood there before under the number is judged as a duplicate.
func (p *Profile) held(r *reading, asked map[string]any, created bool) (string, any, error) {
	hold, err := p.as(r, "", "hold", r.document)
	if err != nil {
		return "", nil, err
	}
	switch status := hold["status"]; {
	case created && status != "accepted":
		return "", nil, errors.New("a hold that was not agreed to")
	case created:
		return done, hold, nil
	case hold["order_no"] != asked["order_no"]:
		return "", nil, errors.New("the number is another order's")
	case status == "completed":
		return "", nil, bill.ErrNoAnswer.Because(errors.New("his refunds/hold: booked already: to be queried"))
	}
	out, err := standing(hold, nil)
	return duplicate, out, err
}

// standing is where a refund stands: its Task, and its entry in the books if there is one.
func standing(hold map[string]any, booking any) (map[string]any, error) {
	out := map[string]any{"order_no": hold["order_no"], "refund_no": hold["refund_no"]}
	switch status := hold["status"]; {
	case status == "accepted" && booking == nil:
		out["state"], out["hold"] = "held", hold
	case status == "cancelled" && booking == nil:
		out["state"] = "dropped"
	case status == "completed" && booking != nil:
		out["state"], out["booking"] = "booked", booking
	default:
		return nil, errors.New("a refund that is neither held, dropped nor booked, or without its entry")
	}
	return out, nil
}

// booked is an answer of refunds/book: the entry, now or before.
func (p *Profile) booked(r *reading, _ map[string]any, created bool) (string, any, error) {
	booking, err := p.inForce(r, "", r.document)
	switch {
	case err != nil:
		return "", nil, err
	case created:
		return done, booking, nil
	}
	return duplicate, map[string]any{"order_no": booking["order_no"], "refund_no": booking["refund_no"], "state": "booked", "booking": booking}, nil
}

func (p *Profile) inForce(r *reading, at string, resource any) (map[string]any, error) {
	booking, err := p.as(r, at, "booking", resource)
	if err != nil {
		return nil, err
	}
	if ok, err := active(booking, "adjustment"); err != nil || !ok {
		return nil, errors.Join(errors.New("a refund's entry that is not in force"), err)
	}
	return booking, nil
}

// standing is an answer of refunds/query: the refund's Task and, when it is booked, its entry.
func (p *Profile) standing(r *reading, asked map[string]any, _ bool) (string, any, error) {
	holds, err := p.each(r, "hold", "hold", r.document)
	if err != nil || len(holds) > 1 {
		return "", nil, errors.Join(errors.New("not one refund under the number"), err)
	}
	if len(holds) == 0 {
		return done, map[string]any{"order_no": asked["order_no"], "refund_no": asked["refund_no"], "state": "none"}, nil
	}
	var booking any
	for _, resource := range below(r.document, "entry.resource") {
		if object, ok := resource.(map[string]any); !ok || object["resourceType"] != p.Shapes["booking"].Type {
			continue
		}
		if booking != nil {
			return "", nil, errors.New("a refund with several entries")
		}
		if booking, err = p.inForce(r, "booking/", resource); err != nil {
			return "", nil, err
		}
	}
	hold, _ := holds[0].(map[string]any)
	out, err := standing(hold, booking)
	return done, out, err
}
