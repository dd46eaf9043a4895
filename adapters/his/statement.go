package his

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/split"
)

// ErrNotOffered is in the chain of the error by which a carrier says that the hospital does not have an operation at all.
var ErrNotOffered = errors.New("the hospital does not offer this operation")

// Day is what stands in a hospital's books of the platform's orders for one business day (日对账文件), docs/his-interface.md §3.18: every record of it, once, and
// what they add up to.
type Day struct {
	Date     time.Time   // its midnight in China
	Records  []DayRecord // by time, then number, then kind
	Payments money.Fen
	Refunds  money.Fen
	Closed   bool // 日结完成: the list changes no more
}

// DayRecord is a posting or a booked refund. The numbers are as the hospital wrote them; which of them are missing or strange is for whoever compares.
type DayRecord struct {
	Kind        DayKind
	OrderNo     string
	RefundNo    string // of a refund
	Number      string // posting_no 入账流水号, or booking_no 退费流水号
	ReceiptNo   string // 收据号, of a payment
	Bills       []string
	Total       money.Fen
	Split       split.Split // of a payment as posted; of a refund, who pays what is left of the order afterwards
	SetlID      string      // the insurer's settlement that stands for the insured part of Split
	OutTradeNo  string      // of a payment by WeChat
	OutRefundNo string      // of a refund by WeChat
	Note        bool        // the window had handed the money back itself
	At          time.Time
}

// DayKind is what a record is.
type DayKind string

// The kinds of records.
const (
	DayPayment DayKind = "payment" // 缴费
	DayRefund  DayKind = "refund"  // 退费
)

const (
	dayPage = 500     // records asked for at once
	maxDay  = 200_000 // records of one day; no hospital has more

	// dayLeap is how far the hospital's clock may be ahead of ours when it closes a day.
	dayLeap = 5 * time.Minute
)

// dayRequest and dayAnswer are §3.18.
type dayRequest struct {
	Date     string `json:"date"`
	Page     int    `json:"page"`
	PageSize int    `json:"page_size"`
}

type dayAnswer struct {
	dayHead
	Page    int             `json:"page"`
	Records []wireDayRecord `json:"records"`
}

// dayHead is what every page says of the whole day.
type dayHead struct {
	Date       string `json:"date"`
	Count      *int   `json:"count"`
	PaymentFen amount `json:"payment_fen"`
	RefundFen  amount `json:"refund_fen"`
	Closed     *bool  `json:"closed"`
}

func (h dayHead) equals(other dayHead) bool {
	return *h.Count == *other.Count && h.PaymentFen == other.PaymentFen && h.RefundFen == other.RefundFen && *h.Closed == *other.Closed
}

type wireDayRecord struct {
	Kind        string    `json:"kind"`
	OrderNo     string    `json:"order_no"`
	RefundNo    string    `json:"refund_no"`
	PostingNo   string    `json:"posting_no"`
	BookingNo   string    `json:"booking_no"`
	ReceiptNo   string    `json:"receipt_no"`
	BillNos     []string  `json:"bill_nos"`
	TotalFen    amount    `json:"total_fen"`
	Parts       wireParts `json:"parts"`
	SetlID      string    `json:"setl_id"`
	OutTradeNo  string    `json:"out_trade_no"`
	OutRefundNo string    `json:"out_refund_no"`
	Note        bool      `json:"note"`
	At          moment    `json:"at"`
}

// errListChanged is a list of which two pages do not say the same of the whole.
var errListChanged = errors.New("the list changed between two pages")

// errUnsound is in the chain of the error of a list that contradicts itself, or what was asked for.
var errUnsound = errors.New("the list is not sound")

// unsound refuses a list for what it says.
func unsound(o operation, format string, args ...any) error {
	return unreadable(o, "%w: %w", errUnsound, fmt.Errorf(format, args...))
}

// Day reads the list of the business day in China on which that moment lies, all pages of it. A day on which nothing was entered is one without records, and
// only when the hospital says so. A list that changes while it is read is read once more. Errors: as of every look-up; ErrNotOffered is in the chain where the
// hospital has no such list.
func (c *Client) Day(ctx context.Context, date time.Time) (Day, error) {
	o := operation{name: "statements/list", deadline: c.config.QueryDeadline, codes: codeNone}
	y, m, d := date.In(clock.Shanghai).Date()
	midnight := time.Date(y, m, d, 0, 0, 0, 0, clock.Shanghai)
	day, err := c.readDay(ctx, o, midnight)
	if errors.Is(err, errListChanged) {
		day, err = c.readDay(ctx, o, midnight)
	}
	return day, err
}

func (c *Client) readDay(ctx context.Context, o operation, midnight time.Time) (Day, error) {
	first, err := c.dayPage(ctx, o, midnight, 1)
	if err != nil {
		return Day{}, err
	}
	day := Day{Date: midnight, Payments: first.PaymentFen.fen, Refunds: first.RefundFen.fen, Closed: *first.Closed}
	records, count := first.Records, *first.Count
	for page := 2; len(records) < count; page++ {
		next, err := c.dayPage(ctx, o, midnight, page)
		switch {
		case err != nil:
			return Day{}, err
		case !next.equals(first.dayHead):
			return Day{}, unsound(o, "page %d: %w", page, errListChanged)
		}
		records = append(records, next.Records...)
	}
	if day.Records, err = dayRecords(records, midnight); err != nil {
		return Day{}, unsound(o, "%w", err)
	}
	if err := day.check(); err != nil {
		return Day{}, unsound(o, "%w", err)
	}
	return day, nil
}

// dayPage reads one page: its head is whole, and its records are as many as there must be of that many.
func (c *Client) dayPage(ctx context.Context, o operation, midnight time.Time, page int) (*dayAnswer, error) {
	in := dayRequest{Date: midnight.Format(time.DateOnly), Page: page, PageSize: dayPage}
	var out dayAnswer
	code, rest, err := c.call(ctx, o, in, &out)
	if err == nil && code == codeNone {
		if err = into(rest, &out); err != nil {
			err = unsound(o, "no records, but of which day is not said: %w", err)
		}
	}
	if err != nil {
		return nil, err
	}
	switch {
	case out.Date != in.Date || out.Page != page:
		return nil, unsound(o, "another day or page than was asked for")
	case out.Count == nil || *out.Count < 0 || *out.Count > maxDay || !out.PaymentFen.present || !out.RefundFen.present || out.Closed == nil:
		return nil, unsound(o, "page %d does not say what the whole day is", page)
	case *out.Closed && c.config.Clock.Now().Add(dayLeap).Before(midnight.AddDate(0, 0, 1)):
		return nil, unsound(o, "a day that is not over is closed")
	}
	due := max(0, min(dayPage, *out.Count-(page-1)*dayPage))
	switch {
	case len(out.Records) != due:
		return nil, unsound(o, "page %d has %d records, said to be %d", page, len(out.Records), due)
	case (code == codeNone) != (due == 0):
		return nil, unsound(o, "code %s with %d records", short(code), due)
	}
	return &out, nil
}

// dayRecords turns the wire's records into ours: each of that day, none twice, sorted.
func dayRecords(records []wireDayRecord, midnight time.Time) ([]DayRecord, error) {
	seen := make(map[string]bool, len(records))
	out := make([]DayRecord, 0, len(records))
	for i := range records {
		r, err := records[i].domain()
		at := r.At.In(clock.Shanghai)
		key := string(r.Kind) + " " + r.Number
		switch {
		case err != nil:
			return nil, fmt.Errorf("record %d: %w", i+1, err)
		case seen[key]:
			return nil, fmt.Errorf("record %d stands there twice", i+1)
		case at.Before(midnight) || !at.Before(midnight.AddDate(0, 0, 1)):
			return nil, fmt.Errorf("record %d is of another day", i+1)
		}
		seen[key] = true
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b DayRecord) int { return a.compare(&b) })
	return out, nil
}

// compare is the order of a day's records, in which no two are alike.
func (r *DayRecord) compare(other *DayRecord) int {
	return cmp.Or(r.At.Compare(other.At), cmp.Compare(r.Number, other.Number), cmp.Compare(r.Kind, other.Kind))
}

// domain checks that a record is one, with the numbers of its kind and no other's, and adds up.
func (w *wireDayRecord) domain() (DayRecord, error) {
	parts, whole := w.Parts.split()
	r := DayRecord{Kind: DayKind(w.Kind), OrderNo: w.OrderNo, RefundNo: w.RefundNo, Number: w.PostingNo + w.BookingNo, ReceiptNo: w.ReceiptNo, Bills: w.BillNos,
		Total: w.TotalFen.fen, Split: parts, SetlID: w.SetlID, OutTradeNo: w.OutTradeNo, OutRefundNo: w.OutRefundNo, Note: w.Note, At: w.At.Time}
	switch r.Kind {
	case DayPayment:
		if w.PostingNo == "" || w.BookingNo != "" || w.RefundNo != "" || w.OutRefundNo != "" || w.Note {
			return r, errors.New("a payment without its number, or with a refund's")
		}
		if err := parts.Check(r.Total); err != nil {
			return r, fmt.Errorf("a payment does not add up: %w", err)
		}
	case DayRefund:
		if w.BookingNo == "" || w.PostingNo != "" || w.ReceiptNo != "" || !Number64(w.RefundNo) {
			return r, errors.New("a refund without its numbers, or with a payment's")
		}
		if _, err := money.Add(parts.Fund(), parts.Account, parts.FamilyAccount, parts.HospitalBorne, parts.Charge()); err != nil {
			return r, err
		}
	default:
		return r, fmt.Errorf("of kind %s", short(w.Kind))
	}
	if !Number64(r.OrderNo) || !Number64(r.Number) || len(r.ReceiptNo) > 64 || w.At.IsZero() || !whole || !w.TotalFen.present || r.Total <= 0 || len(r.Bills) == 0 {
		return r, errors.New("no number, date, bills, total or parts")
	}
	for _, no := range []string{w.SetlID, w.OutTradeNo, w.OutRefundNo} {
		if no != "" && !Number64(no) {
			return r, errors.New("a number is not one")
		}
	}
	for i, no := range r.Bills {
		if !Number64(no) || slices.Contains(r.Bills[:i], no) {
			return r, errors.New("a bill has no number of its own")
		}
	}
	return r, nil
}

// check holds what the records add up to against what the hospital says.
func (d *Day) check() error {
	sums := map[DayKind]money.Fen{}
	for i := range d.Records {
		r := &d.Records[i]
		var err error
		if sums[r.Kind], err = money.Add(sums[r.Kind], r.Total); err != nil {
			return err
		}
	}
	if sums[DayPayment] != d.Payments || sums[DayRefund] != d.Refunds {
		return fmt.Errorf("the records sum to %s and %s, said to be %s and %s", sums[DayPayment], sums[DayRefund], d.Payments, d.Refunds)
	}
	return nil
}
