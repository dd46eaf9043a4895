package hissim

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

// This file serves the day's list (日对账文件), docs/his-interface.md §3.18: what was entered of the platform's orders on one day in China.

const (
	pathDay = "/his/v1/statements/list"
	opDay   = "statements.list"

	maxDayPage = 1000
)

type dayRequest struct {
	Date     string `json:"date"`
	Page     int    `json:"page"`
	PageSize int    `json:"page_size"`
}

type dayAnswer struct {
	Date       string      `json:"date"`
	Page       int         `json:"page"`
	Count      int         `json:"count"` // these are of the whole day
	PaymentFen money.Fen   `json:"payment_fen"`
	RefundFen  money.Fen   `json:"refund_fen"`
	Closed     bool        `json:"closed"`
	Records    []dayRecord `json:"records,omitempty"`

	all []dayRecord // of every page, as far as it can be had: a FHIR server has no pages
}

// dayRecord is a posting or a booked refund.
type dayRecord struct {
	Kind        string    `json:"kind"`
	OrderNo     string    `json:"order_no"`
	RefundNo    string    `json:"refund_no,omitempty"`
	PostingNo   string    `json:"posting_no,omitempty"`
	BookingNo   string    `json:"booking_no,omitempty"`
	ReceiptNo   string    `json:"receipt_no,omitempty"`
	BillNos     []string  `json:"bill_nos"`
	TotalFen    money.Fen `json:"total_fen"`
	Parts       Parts     `json:"parts"` // of a refund: what stands afterwards
	SetlID      string    `json:"setl_id,omitempty"`
	OutTradeNo  string    `json:"out_trade_no,omitempty"`
	OutRefundNo string    `json:"out_refund_no,omitempty"`
	Note        bool      `json:"note,omitempty"`
	At          string    `json:"at"`
}

const (
	dayPayment = "payment"
	dayRefund  = "refund"
)

// dayList serves statements/list.
func (s *Sim) dayList(_ context.Context, body []byte) (reply, error) {
	var in dayRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	day, err := time.ParseInLocation(time.DateOnly, in.Date, clock.Shanghai)
	now := s.config.Clock.Now()
	switch {
	case err != nil || (day.After(now) && !s.broken(DayTomorrow)):
		return reply{}, fmt.Errorf("%w: date", errRequest)
	case in.Page < 1 || in.PageSize < 1 || in.PageSize > maxDayPage:
		return reply{}, fmt.Errorf("%w: page or page_size", errRequest)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := dayAnswer{Date: in.Date, Page: in.Page, all: s.day(day), Closed: !now.Before(s.closes(day)) && !s.broken(DayNeverCloses)}
	if s.take(opDay, in.Date, NextDay) != nil {
		out.all = late(day, out.all, s.day(day.AddDate(0, 0, -1)))
	}
	empty := s.take(opDay, in.Date, DayEmpty) != nil
	if empty {
		out.all = nil
	}
	out.Count = len(out.all)
	for _, r := range out.all {
		if r.Kind == dayPayment {
			out.PaymentFen += r.TotalFen
		} else {
			out.RefundFen += r.TotalFen
		}
	}
	from, to := min((in.Page-1)*in.PageSize, out.Count), min(in.Page*in.PageSize, out.Count)
	out.Records = out.all[from:to]
	if s.take(opDay, in.Date, PageMissing) != nil {
		out.all, out.Records = slices.Concat(out.all[:from], out.all[to:]), nil
	}
	if s.take(opDay, in.Date, CountWrong) != nil {
		out.Count++
	}
	s.spoil(in, &out)
	if len(out.Records) == 0 && !empty && !(s.broken(DayEmptyDone) && out.Count == 0) {
		return reply{code: codeNone, message: "无记录", data: out}, nil
	}
	return reply{code: codeDone, message: "成功", data: out}, nil
}

// spoil does to an answer what a defect does.
func (s *Sim) spoil(in dayRequest, out *dayAnswer) {
	first := out.all[:min(in.PageSize, len(out.all))]
	switch {
	case s.broken(DayCountOff):
		out.Count++
	case s.broken(DaySumOff):
		out.PaymentFen++
	case s.broken(DayPagesRepeat) && len(out.Records) > 0:
		out.Records = first[:min(len(first), len(out.Records))]
	case s.broken(DayEndless) && in.Page > 1 && len(out.Records) == 0:
		out.Records = first
	}
}

// closes is when that day's list changes no more.
func (s *Sim) closes(day time.Time) time.Time {
	return day.AddDate(0, 0, 1).Add(s.config.DayClosesAt)
}

// day are the records of a day, by time and number. What the hospital undid (冲销) before it was closed is not among them.
func (s *Sim) day(day time.Time) []dayRecord {
	in := func(at time.Time, p Posting) bool {
		undone := p.State == voided && p.VoidedAt.Before(s.closes(day))
		return !at.Before(day) && at.Before(day.AddDate(0, 0, 1)) && !undone
	}
	var list []dayRecord
	for _, p := range s.state.postings {
		if in(p.PostedAt, p) {
			list = append(list, dayRecord{Kind: dayPayment, OrderNo: p.OrderNo, PostingNo: p.PostingNo, ReceiptNo: p.ReceiptNo, BillNos: p.BillNos, TotalFen: p.TotalFen,
				Parts: p.Parts, SetlID: p.SetlID, OutTradeNo: p.OutTradeNo, At: wireTime(p.PostedAt)})
		}
	}
	for _, r := range s.state.refunds {
		p := s.state.postings[r.OrderNo]
		if r.State == RefundBooked && in(r.BookedAt, p) && !s.broken(DayNoRefunds) {
			d := dayRecord{Kind: dayRefund, OrderNo: r.OrderNo, RefundNo: r.RefundNo, BookingNo: r.BookingNo, BillNos: r.billNos(), TotalFen: r.TotalFen,
				Parts: r.RestParts, SetlID: r.RestSetlID, OutRefundNo: r.OutRefundNo, Note: r.Note, At: wireTime(r.BookedAt)}
			if s.broken(DayPartsPosted) {
				d.Parts = p.Parts
			}
			list = append(list, d)
		}
	}
	if s.broken(DayUnposted) {
		list = append(list, s.locked(day)...)
	}
	slices.SortFunc(list, func(a, b dayRecord) int { return cmp.Or(cmp.Compare(a.At, b.At), cmp.Compare(a.number(), b.number())) })
	return list
}

// locked are the orders of a day that were locked and released, as if they had been posted.
func (s *Sim) locked(day time.Time) (list []dayRecord) {
	for _, l := range s.state.locks {
		_, entered := s.state.postings[l.OrderNo]
		if at := l.LockedAt.In(clock.Shanghai); !entered && at.Format(time.DateOnly) == day.Format(time.DateOnly) {
			list = append(list, dayRecord{Kind: dayPayment, OrderNo: l.OrderNo, PostingNo: "JZ" + l.OrderNo, BillNos: l.BillNos, TotalFen: l.TotalFen,
				Parts: Parts{Uninsured: l.TotalFen}, At: wireTime(at)})
		}
	}
	return list
}

func (r dayRecord) number() string { return r.PostingNo + r.BookingNo }

// billNos are the bills of which something went back.
func (r *Refund) billNos() (nos []string) {
	for _, l := range slices.Concat(r.Lines, r.Rebill) {
		if !slices.Contains(nos, l.BillNo) {
			nos = append(nos, l.BillNo)
		}
	}
	return nos
}

// late is a day's list of a hospital that enters the last of each day on the next one, at midnight.
func late(day time.Time, list, before []dayRecord) []dayRecord {
	list = list[:max(len(list)-1, 0)]
	if len(before) == 0 {
		return list
	}
	last := before[len(before)-1]
	last.At = wireTime(day)
	return append([]dayRecord{last}, list...)
}
