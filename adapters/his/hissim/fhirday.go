package hissim

import (
	"fmt"
	"net/url"
	"strings"
	"time"
)

// This file is the FHIR server's part of the day's list: what is in the books of a day, and the Task of its closing (日结).

// day reads the two searches: whether that day is closed, and what was entered on it.
func (c *fhirCall) day(closing url.Values, entries *url.URL) error {
	t, err := asked(closing, map[string]string{"identifier": sidHIS + "business-day"})
	if err != nil {
		return err
	}
	p, err := asked(entries.Query(), map[string]string{"created": "", "status": "", "_count": ""})
	if err != nil {
		return err
	}
	date := t["identifier"][0]
	if entries.Path != "PaymentReconciliation" || p["status"][0] != "active" || strings.Join(p["created"], " ") != "ge"+date+"T00:00:00+08:00 le"+date+"T23:59:59+08:00" {
		return fmt.Errorf("%w: the entries of a day", errRequest)
	}
	c.path, c.members = pathDay, dayRequest{Date: date, Page: 1, PageSize: maxDayPage}
	return nil
}

// fhirDay is everything in force of that day, on one page. What was undone is not found, also when the day was closed before.
func (s *Sim) fhirDay(v speech, d dayAnswer) object {
	var closings, entries []any
	if d.Closed {
		o := v.task("day-close", d.Date, "completed", ident(sidHIS+"business-day", d.Date))
		closings = append(closings, o)
	}
	for _, r := range d.all {
		p, _ := s.postingOf(r.OrderNo)
		if p.State != posted {
			d.Count--
			continue
		}
		entries = append(entries, s.fhirEntry(v, r, p))
	}
	found := searchset(entries, nil)
	found["total"] = d.Count
	return batchOf(searchset(closings, nil), found)
}

// fhirEntry is one of them, entered when the list says.
func (s *Sim) fhirEntry(v speech, r dayRecord, p Posting) object {
	var o object
	if r.Kind == dayPayment {
		o = v.posting(*s.viewPosting(p), s.totals(p.BillNos), p.State)
	} else {
		refund, _ := s.refundBy(r.RefundNo)
		o = v.booking(*viewBooking(refund))
	}
	o["created"], o[v.either("date", "paymentDate")] = r.At, r.At[:len(time.DateOnly)]
	return o
}
