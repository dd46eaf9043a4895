package fhir

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/bill"
)

// This file puts answers into the words of docs/his-interface.md: which resources must be there, and which code they come to.

const (
	done      = "0"
	none      = "1"
	notFound  = "NOT_FOUND"
	duplicate = "DUPLICATE"
)

// reader reads an answer of one operation: its code and its data.
type reader = func(r *reading, asked map[string]any, created bool) (code string, data any, err error)

// answer reads what the server answered. Told hears of every value; nil: nobody.
func (p *Profile) answer(operation string, asked map[string]any, status int, body []byte, told func(his.Step)) (his.Answer, error) {
	if err := his.Distinct(body); err != nil {
		return his.Answer{}, err
	}
	document, err := decode(body)
	if err != nil {
		return his.Answer{}, err
	}
	a := &answer{document: document, known: map[string]map[string]any{}}
	a.index(document)
	r := &reading{answer: a, told: told}
	if status != http.StatusOK && status != http.StatusCreated {
		return p.refusal(operation, r, status)
	}
	read := map[string]reader{
		"patients/find": p.found, "bills/pending": p.pending, "bills/detail": p.detail, "locks/acquire": p.locked, "locks/release": p.ended("release", "released"),
		"postings/post": p.posted, "postings/query": p.posting, "refunds/hold": p.held, "refunds/drop": p.ended("drop", "dropped"), "refunds/book": p.booked,
		"refunds/query": p.standing, "insurance/presettle": p.judged(operation, "predetermination"), "insurance/settle": p.judged(operation, "claim"),
		"insurance/reverse": p.told(operation), "insurance/cancel": p.told(operation), opStanding: p.settlement, "insurance/withdraw": p.withdrawn,
		opDay: p.day,
	}[operation]
	if read == nil {
		return his.Answer{}, errors.New("no such operation")
	}
	code, data, err := read(r, asked, status == http.StatusCreated)
	if err != nil {
		return his.Answer{}, err
	}
	out := his.Answer{Code: code}
	if data != nil {
		out.Data, err = json.Marshal(data)
	}
	return out, err
}

// as reads a resource by a shape.
func (p *Profile) as(r *reading, at, shape string, resource any) (map[string]any, error) {
	s := p.Shapes[shape]
	object, ok := resource.(map[string]any)
	if !ok || object["resourceType"] != s.Type {
		return nil, fmt.Errorf("not a %s", s.Type)
	}
	return r.object(at, object, s.Fields)
}

// refusal reads an OperationOutcome with a code of the interface. Without one, nobody knows what was done.
func (p *Profile) refusal(operation string, r *reading, status int) (his.Answer, error) {
	unknown := bill.ErrNoAnswer.Because(fmt.Errorf("his %s: status %d", operation, status))
	said, err := p.as(r, "", "refusal", r.document)
	if err != nil || status < http.StatusBadRequest {
		return his.Answer{}, unknown
	}
	codes := slices.CompactFunc(flat(said["codes"]), reflect.DeepEqual) // not ==, which objects do not know
	code, ok := one[string](codes)
	delete(said, "codes")
	switch {
	case !ok || code == done || code == none || !his.KnownCode(code):
		return his.Answer{}, unknown
	case code == his.CodeInvalid:
		return his.Answer{}, his.ErrRequest.Because(fmt.Errorf("his %s: the hospital calls the request malformed", operation))
	case code == duplicate && operation == "refunds/book":
		return his.Answer{}, his.ErrRequest.Because(fmt.Errorf("his %s: the number holds other items", operation))
	}
	out := his.Answer{Code: code}
	out.Data, err = json.Marshal(said)
	return out, err
}

// matches are what a search found: everything, on one page.
func (r *reading) matches(bundle any) ([]any, error) {
	b, ok := bundle.(map[string]any)
	total, isNumber := b["total"].(json.Number)
	if !ok || b["resourceType"] != "Bundle" || b["type"] != "searchset" || !isNumber {
		return nil, errors.New("not what a search finds, with its number")
	}
	for _, link := range below(b, "link") {
		if relation := below(link, "relation"); slices.Contains(relation, any("next")) {
			return nil, errors.New("one page of several")
		}
	}
	var found []any
	for _, entry := range below(b, "entry") {
		resource := below(entry, "resource")
		switch mode, _ := one[string](below(entry, "search.mode")); {
		case mode == "match" && len(resource) == 1:
			found = append(found, resource[0])
		case mode != "include":
			return nil, errors.New("a search with more in it than was found")
		}
	}
	if len(found) == 0 && len(below(b, "entry")) > 0 {
		return nil, errors.New("nothing found, and what belongs to it")
	}
	if total.String() != strconv.Itoa(len(found)) {
		return nil, fmt.Errorf("%d found, said to be another number", len(found))
	}
	return found, nil
}

// found is an answer of patients/find.
func (p *Profile) found(r *reading, _ map[string]any, _ bool) (string, any, error) {
	list, err := p.each(r, "patients", "patient", r.document)
	if err != nil || len(list) == 0 {
		return none, nil, err
	}
	return done, map[string]any{"count": len(list), "patients": list}, nil
}

// each reads everything that a search found.
func (p *Profile) each(r *reading, at, shape string, bundle any) ([]any, error) {
	found, err := r.matches(bundle)
	if err != nil {
		return nil, err
	}
	list := make([]any, 0, len(found))
	for i, resource := range found {
		object, err := p.as(r, fmt.Sprintf("%s[%d]/", at, i), shape, resource)
		if err != nil {
			return nil, err
		}
		list = append(list, object)
	}
	return list, nil
}

// batch are the answers of a batch of searches, each of which went well.
func (r *reading) batch(size int) ([]any, error) {
	entries := below(r.document, "entry")
	if r.document["resourceType"] != "Bundle" || r.document["type"] != "batch-response" || len(entries) != size {
		return nil, errors.New("not the answer of this batch")
	}
	var out []any
	for _, entry := range entries {
		status, ok := one[string](below(entry, "response.status"))
		resource := below(entry, "resource")
		if !ok || len(status) < 3 || status[:3] != "200" || len(resource) != 1 {
			return nil, errors.New("a search of the batch failed")
		}
		out = append(out, resource[0])
	}
	return out, nil
}

// pending is an answer of bills/pending: is there such a patient, and what is to be paid.
func (p *Profile) pending(r *reading, asked map[string]any, _ bool) (string, any, error) {
	bundles, err := r.batch(2)
	if err != nil {
		return "", nil, err
	}
	known, ok := one[json.Number](below(bundles[0], "total"))
	switch {
	case !ok || !slices.Equal(below(bundles[0], "type"), []any{"searchset"}) || (known != "0" && known != "1"):
		return "", nil, errors.New("not whether there is such a patient")
	case known == "0":
		return notFound, nil, nil
	}
	list, err := p.each(r, "bills", "summary", bundles[1])
	if err != nil || len(list) == 0 {
		return none, nil, err
	}
	patient, total := asked["patient_id"], int64(0)
	for _, b := range list {
		if of := his.LookUp(b, "patient_id"); of != patient {
			return "", nil, errors.New("a bill of another patient")
		}
		fen, ok := his.LookUp(b, "total_fen").(json.Number)
		n, err := fen.Int64()
		if !ok || err != nil || total > 1e15 {
			return "", nil, errors.New("a bill without an amount")
		}
		total += n
	}
	return done, map[string]any{"patient_id": patient, "count": len(list), "total_fen": total, "bills": list}, nil
}

// detail is an answer of bills/detail: the bill, and everything that it refers to.
func (p *Profile) detail(r *reading, _ map[string]any, _ bool) (string, any, error) {
	list, err := p.each(r, "bill", "bill", r.document)
	switch {
	case err != nil:
		return "", nil, err
	case len(list) == 0:
		return notFound, nil, nil
	case len(list) > 1:
		return "", nil, errors.New("several bills under one number")
	}
	b, _ := list[0].(map[string]any)
	visits, _ := b["visits"].([]any)
	if len(visits) != 1 {
		return "", nil, fmt.Errorf("a bill of %d visits", len(visits))
	}
	for _, list := range []string{"visits", "diagnoses", "lines"} {
		for _, e := range flat(b[list]) {
			if his.LookUp(e, "patient_id") != b["patient_id"] {
				return "", nil, errors.New("a bill with something of another patient")
			}
		}
	}
	b["visit"] = visits[0]
	delete(b, "visits")
	return done, map[string]any{"bill": b}, nil
}

// ended is an answer of an operation that ends a Task.
func (p *Profile) ended(shape, member string) reader {
	return func(r *reading, _ map[string]any, _ bool) (string, any, error) {
		said, err := p.as(r, "", shape, r.document)
		if err != nil {
			return "", nil, err
		}
		ended, ok := said[member].(bool)
		if !ok {
			return "", nil, errors.New("not whether it was ended")
		}
		if !ended {
			return none, said, nil
		}
		return done, said, nil
	}
}
