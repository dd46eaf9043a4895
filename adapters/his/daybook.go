package his

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/split"
)

// ErrNoDayList is a hospital that does not offer its day's list: its book cannot be compared, and asking again does not help.
var ErrNoDayList = fault.New(fault.Rejected, "HIS_NO_DAY_LIST", "医院未提供日账")

// maxDayLine is the longest line of a kept list.
const maxDayLine = 64 << 10

// The day's list is kept in a form of ours, for what the carriers bring is not one file: it is what Day read, so that the same day gives the same bytes whichever
// way it came. UTF-8, every line a JSON object without blanks that is ended by a line feed. A record has the members of docs/his-interface.md §3.18 in the order
// of keptRecord, those left out that are empty; records stand by time, then number, then kind. The last line is keptDay. A line that is not written exactly so is
// no line.
type (
	keptRecord struct {
		Kind        DayKind     `json:"kind"`
		OrderNo     string      `json:"order_no"`                // 缴费订单号
		RefundNo    string      `json:"refund_no,omitempty"`     // 退费单号
		PostingNo   string      `json:"posting_no,omitempty"`    // 入账流水号
		BookingNo   string      `json:"booking_no,omitempty"`    // 退费流水号
		ReceiptNo   string      `json:"receipt_no,omitempty"`    // 收据号
		BillNos     []string    `json:"bill_nos"`                // 费用单号
		TotalFen    money.Fen   `json:"total_fen"`               // 金额
		Parts       split.Split `json:"parts"`                   // 费用分割; of a refund, of what is left
		SetlID      string      `json:"setl_id,omitempty"`       // 结算ID
		OutTradeNo  string      `json:"out_trade_no,omitempty"`  // 商户订单号
		OutRefundNo string      `json:"out_refund_no,omitempty"` // 商户退款单号
		Note        bool        `json:"note,omitempty"`          // 窗口已退款
		At          string      `json:"at"`                      // RFC 3339 in China, with as many decimals as there are
	}

	keptDay struct {
		Date       string    `json:"date"`
		Count      int       `json:"count"`
		PaymentFen money.Fen `json:"payment_fen"`
		RefundFen  money.Fen `json:"refund_fen"`
		Closed     bool      `json:"closed"` // 日结完成
	}
)

// Statements is the hospital's day list (日对账文件) as a book of reconciliation. Fetch's errors: ErrNoDayList; recon.ErrForm for a list that contradicts itself;
// otherwise as of Day.
func (c *Client) Statements() recon.Statements { return daybook{c} }

type daybook struct{ client *Client }

// Fetch brings the day's list. One that is not closed is kept, too, and is not final.
func (b daybook) Fetch(ctx context.Context, day recon.Day, _ recon.Claims, keep recon.Keeper) error {
	list, err := b.client.Day(ctx, day.Begin())
	switch {
	case errors.Is(err, ErrNotOffered):
		return ErrNoDayList.Because(err)
	case errors.Is(err, errUnsound):
		return recon.ErrForm.Because(err)
	case err != nil:
		return err
	}
	s := recon.Statement{Source: recon.HIS, Day: day, Name: "医院日账_" + day.String() + ".jsonl", Final: list.Closed, Nothing: len(list.Records) == 0}
	return keep(s, func(w io.Writer) error {
		if s.Nothing {
			return nil
		}
		return list.write(w)
	})
}

// write writes the list line by line.
func (d *Day) write(w io.Writer) error {
	out := bufio.NewWriter(w)
	for i := range d.Records {
		line, err := d.Records[i].kept()
		if err != nil {
			return err
		}
		if len(line) > maxDayLine {
			return recon.ErrForm.Because(fmt.Errorf("record %d is longer than any", i+1))
		}
		_, _ = out.Write(line) // Flush says what went wrong
	}
	end, err := jsonLine(keptDay{d.Date.In(clock.Shanghai).Format(time.DateOnly), len(d.Records), d.Payments, d.Refunds, d.Closed})
	if err != nil {
		return err
	}
	_, _ = out.Write(end)
	return out.Flush()
}

// kept is the record's line.
func (r *DayRecord) kept() ([]byte, error) {
	k := keptRecord{Kind: r.Kind, OrderNo: r.OrderNo, RefundNo: r.RefundNo, ReceiptNo: r.ReceiptNo, BillNos: r.Bills, TotalFen: r.Total, Parts: r.Split,
		SetlID: r.SetlID, OutTradeNo: r.OutTradeNo, OutRefundNo: r.OutRefundNo, Note: r.Note, At: r.At.In(clock.Shanghai).Format(time.RFC3339Nano)}
	if r.Kind == DayPayment {
		k.PostingNo = r.Number
	} else {
		k.BookingNo = r.Number
	}
	return jsonLine(k)
}

func jsonLine(v any) ([]byte, error) {
	line, err := json.Marshal(v)
	return append(line, '\n'), err
}

// Read reads a kept list.
func (daybook) Read(of recon.Statement, r io.Reader, row func(recon.Line) error) error {
	if of.Nothing {
		return nil
	}
	d := dayReader{in: bufio.NewReaderSize(r, maxDayLine), day: of.Day}
	for {
		line, err := d.next()
		switch {
		case errors.Is(err, io.EOF):
			return d.bad("the list ends before its last line")
		case err != nil:
			return err
		case bytes.HasPrefix(line, []byte(`{"date":`)):
			return d.end(line)
		}
		l, err := d.record(line)
		if err != nil {
			return err
		}
		if err := row(l); err != nil {
			return err
		}
	}
}

// dayReader reads a kept list and adds it up.
type dayReader struct {
	in     *bufio.Reader
	day    recon.Day
	number int
	offset int64 // of the next line
	last   DayRecord
	read   keptDay // what was read so far
}

func (d *dayReader) bad(why string) error {
	return recon.ErrForm.Because(fmt.Errorf("line %d: %s", d.number, why))
}

// next reads a line with its line feed; io.EOF after the last.
func (d *dayReader) next() ([]byte, error) {
	d.number++
	line, err := d.in.ReadSlice('\n')
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		return nil, d.bad("longer than any")
	case errors.Is(err, io.EOF) && len(line) > 0:
		return nil, d.bad("cut")
	}
	d.offset += int64(len(line))
	return line, err
}

// record reads the line of a record, which must be the very one that kept writes, in its place.
func (d *dayReader) record(line []byte) (recon.Line, error) {
	var wire wireDayRecord
	if json.Unmarshal(line, &wire) != nil { // its error may quote the line
		return recon.Line{}, d.bad("not a record")
	}
	r, err := wire.domain()
	if err != nil {
		return recon.Line{}, d.bad(err.Error())
	}
	again, err := r.kept()
	sum := &d.read.PaymentFen
	if r.Kind == DayRefund {
		sum = &d.read.RefundFen
	}
	total, overflow := money.Add(*sum, r.Total)
	switch {
	case err != nil || !bytes.Equal(again, line):
		return recon.Line{}, d.bad("not written as a record is")
	case recon.DayOf(r.At) != d.day:
		return recon.Line{}, d.bad("of another day")
	case d.read.Count > 0 && d.last.compare(&r) >= 0:
		return recon.Line{}, d.bad("out of order, or twice")
	case overflow != nil:
		return recon.Line{}, d.bad("the sum is too large")
	}
	*sum, d.last = total, r
	d.read.Count++
	return r.line(recon.Place{Offset: d.offset - int64(len(line)), Length: int32(len(line) - 1)}), nil //nolint:gosec // at most maxDayLine
}

// end holds what was read to the last line.
func (d *dayReader) end(line []byte) error {
	var said keptDay
	err := json.Unmarshal(line, &said)
	again, _ := jsonLine(said) // of numbers and a date
	switch {
	case err != nil || !bytes.Equal(again, line):
		return d.bad("not written as the last line is")
	case said.Date != d.day.String():
		return d.bad("of another day")
	case said.Count != d.read.Count || said.PaymentFen != d.read.PaymentFen || said.RefundFen != d.read.RefundFen:
		return d.bad("the records do not add up to it")
	}
	if _, err := d.in.ReadByte(); !errors.Is(err, io.EOF) {
		if err != nil {
			return err
		}
		return d.bad("the list goes on after its last line")
	}
	return nil
}

// line is the record as reconciliation sees it.
func (r *DayRecord) line(place recon.Place) recon.Line {
	l := recon.Line{Source: recon.HIS, Leg: recon.Posting, Kind: recon.Pay, At: r.At, Amount: r.Total, Split: r.Split, Tells: recon.TellsAll, Place: place}
	l.Numbers[recon.OrderNo], l.Numbers[recon.SetlID] = r.OrderNo, r.SetlID
	l.Numbers[recon.OutTradeNo], l.Numbers[recon.OutRefundNo] = r.OutTradeNo, r.OutRefundNo
	if r.Kind == DayPayment {
		l.Numbers[recon.PostingNo] = r.Number
		return l
	}
	l.Kind = recon.Refund
	l.Numbers[recon.RefundNo], l.Numbers[recon.BookingNo] = r.RefundNo, r.Number
	return l
}
