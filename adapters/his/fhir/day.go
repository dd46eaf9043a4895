package fhir

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// day is an answer of statements/list: everything that is in force of that day, of which the page that was asked for is cut, and whether the day is closed. What
// it all comes to, the reader counts.
func (p *Profile) day(r *reading, asked map[string]any, _ bool) (string, any, error) {
	page, size, err := paged(asked)
	if err != nil {
		return "", nil, err
	}
	bundles, err := r.batch(2)
	if err != nil {
		return "", nil, err
	}
	closed, err := p.closed(r, bundles[0], asked["date"])
	if err != nil {
		return "", nil, err
	}
	list, err := p.each(r, "records", "entry", bundles[1])
	if err != nil {
		return "", nil, err
	}
	records, sums := make([]map[string]any, 0, len(list)), map[any]int64{}
	for i, entry := range list {
		record, fen, err := ofDayList(entry)
		if err != nil {
			return "", nil, fmt.Errorf("entry %d: %w", i+1, err)
		}
		records = append(records, record)
		sums[record["kind"]] += fen
	}
	slices.SortStableFunc(records, func(a, b map[string]any) int { return cmp.Compare(at(a), at(b)) })
	out := map[string]any{"date": asked["date"], "page": asked["page"], "count": len(records), "payment_fen": sums["payment"], "refund_fen": sums["refund"], "closed": closed}
	cut := records[min((page-1)*size, len(records)):min(page*size, len(records))]
	if len(cut) == 0 {
		return none, out, nil
	}
	out["records"] = cut
	return done, out, nil
}

// paged is the page that was asked for, and of how many.
func paged(asked map[string]any) (page, size int, err error) {
	for to, name := range map[*int]string{&page: "page", &size: "page_size"} {
		number, ok := asked[name].(json.Number)
		if *to, err = strconv.Atoi(number.String()); err != nil || !ok || *to < 1 || *to > 1_000_000 {
			return 0, 0, fmt.Errorf("%s is no number", name)
		}
	}
	return page, size, nil
}

// closed reports whether the Task of the day's closing is completed.
func (p *Profile) closed(r *reading, bundle, date any) (bool, error) {
	closings, err := p.each(r, "closing", "closing", bundle)
	if err != nil || len(closings) == 0 {
		return false, err
	}
	closing, _ := closings[0].(map[string]any)
	if len(closings) > 1 || closing["date"] != date {
		return false, errors.New("not one closing, of this day")
	}
	return closing["status"] == "completed", nil
}

// ofDayList is an entry in the interface's words, and its amount: a refund names order and bills elsewhere.
func ofDayList(entry any) (map[string]any, int64, error) {
	record, _ := entry.(map[string]any)
	if record["kind"] == "refund" {
		record["order_no"], record["bill_nos"] = record["of_order"], distinct(flat(record["of_bills"]))
	}
	delete(record, "of_order")
	delete(record, "of_bills")
	amount, ok := record["total_fen"].(json.Number)
	fen, err := amount.Int64()
	if !ok || err != nil || fen > 1e12 {
		return nil, 0, errors.New("no amount")
	}
	return record, fen, nil
}

// distinct drops what stands there before.
func distinct(list []any) (out []any) {
	for _, v := range list {
		if !slices.Contains(out, v) {
			out = append(out, v)
		}
	}
	return out
}

// at is when a record was entered, for sorting: then by its number.
func at(record map[string]any) string {
	text, _ := record["at"].(string)
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return ""
	}
	return fmt.Sprint(t.UTC().Format(time.RFC3339), record["posting_no"], record["booking_no"])
}
