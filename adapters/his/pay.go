package his

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/split"
)

// longestLock bounds what a hospital may promise; more is a wrong clock or a wrong unit.
const longestLock = 24 * time.Hour

type acquireRequest struct {
	OrderNo   string    `json:"order_no"`
	PatientID string    `json:"patient_id"`
	BillNos   []string  `json:"bill_nos"`
	TotalFen  money.Fen `json:"total_fen"`
}

// lockAnswer is §3.4.
type lockAnswer struct {
	OrderNo   string   `json:"order_no"`
	BillNos   []string `json:"bill_nos"`
	TotalFen  amount   `json:"total_fen"`
	ExpiresAt moment   `json:"expires_at"`
}

// Lock keeps the bills for the order until the answer's time. It does not promise that they are what was shown: the caller reads them
// again. Besides the refusals of package bill: ErrLockExpired when the number's lock ran out before, bill.ErrNotFound, and
// bill.ErrChanged of a hospital that compares the total itself.
func (c *Client) Lock(ctx context.Context, l order.LockRequest) (time.Time, error) {
	o := operation{name: "locks/acquire", deadline: c.config.LockDeadline, codes: strings.Join([]string{codeNotFound,
		codeAlreadyPaid, codeBillVoid, codeBillChanged, codeLocked, codeLockExpired, codeDuplicate}, " ")}
	var out lockAnswer
	code, _, err := c.call(ctx, o, acquireRequest{OrderNo: l.OrderNo, PatientID: l.HISPatient, BillNos: l.Bills, TotalFen: l.Total}, &out)
	switch {
	case err != nil:
		return time.Time{}, err
	case code != codeDone:
		return time.Time{}, refusal(o, code)
	case out.OrderNo != l.OrderNo || !sameBills(out.BillNos, l.Bills) || !out.TotalFen.present:
		return time.Time{}, unreadable(o, "the lock is not the one that was asked for")
	}
	left := out.ExpiresAt.Sub(c.config.Clock.Now())
	switch {
	case out.ExpiresAt.IsZero() || left > longestLock:
		return time.Time{}, unreadable(o, "the lock's end is missing or absurd")
	case left <= 0:
		return time.Time{}, ErrLockExpired.Because(fmt.Errorf("his %s: the lock ended before the answer", o.name))
	}
	return out.ExpiresAt.Time, nil
}

// sameBills compares two lists of bill numbers in any order.
func sameBills(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

type releaseRequest struct {
	OrderNo string `json:"order_no"`
}

// Release gives the bills back; nothing to release is a success.
func (c *Client) Release(ctx context.Context, orderNo string) error {
	o := operation{name: "locks/release", deadline: c.config.LockDeadline, codes: codeNone}
	var out struct {
		OrderNo string `json:"order_no"`
	}
	code, _, err := c.call(ctx, o, releaseRequest{OrderNo: orderNo}, &out)
	if err == nil && code == codeDone && out.OrderNo != orderNo {
		return unreadable(o, "another order was released")
	}
	return err
}

type postRequest struct {
	OrderNo       string      `json:"order_no"`
	PatientID     string      `json:"patient_id"`
	TotalFen      money.Fen   `json:"total_fen"`
	Bills         []wireClaim `json:"bills"`
	Parts         split.Split `json:"parts"` // its JSON is the interface's; a golden file holds it
	SetlID        string      `json:"setl_id,omitempty"`
	VisitID       string      `json:"mdtrt_id,omitempty"`
	SettledAt     *string     `json:"settled_at,omitempty"`
	OutTradeNo    string      `json:"out_trade_no,omitempty"`
	TransactionID string      `json:"transaction_id,omitempty"`
	PaidAt        *string     `json:"paid_at,omitempty"`
}

// PostMembers are the members of §3.6, as encoding/json writes them, of a posting as it stands: also of a wrong one, for those who try what a hospital
// makes of it.
func PostMembers(p order.Posting) any {
	in := postRequest{OrderNo: p.OrderNo, PatientID: p.HISPatient, TotalFen: p.Total, Parts: p.Split, SetlID: p.SetlID, VisitID: p.MdtrtID,
		SettledAt: wireTime(p.SettledAt), OutTradeNo: p.OutTradeNo, TransactionID: p.TransactionID, PaidAt: wireTime(p.PaidAt)}
	for _, b := range p.Bills {
		in.Bills = append(in.Bills, wireClaim{BillNo: b.No, TotalFen: b.Total})
	}
	return in
}

type wireClaim struct {
	BillNo   string    `json:"bill_no"`
	TotalFen money.Fen `json:"total_fen"`
}

// wireParts is who paid, as the hospital booked it.
type wireParts struct {
	PooledFund    amount `json:"pooled_fund_fen"`
	OtherFund     amount `json:"other_fund_fen"`
	Account       amount `json:"account_fen"`
	FamilyAccount amount `json:"family_account_fen"`
	HospitalBorne amount `json:"hospital_borne_fen"`
	Cash          amount `json:"cash_fen"`
	Uninsured     amount `json:"uninsured_fen"`
}

func (p wireParts) split() (split.Split, bool) {
	for _, a := range []amount{p.PooledFund, p.OtherFund, p.Account, p.FamilyAccount, p.HospitalBorne, p.Cash, p.Uninsured} {
		if !a.present {
			return split.Split{}, false
		}
	}
	return split.Split{PooledFund: p.PooledFund.fen, OtherFund: p.OtherFund.fen, Account: p.Account.fen,
		FamilyAccount: p.FamilyAccount.fen, HospitalBorne: p.HospitalBorne.fen, Cash: p.Cash.fen, Uninsured: p.Uninsured.fen}, true
}

// wirePosting is the hospital's record of an order, §3.6.
type wirePosting struct {
	PostingNo string    `json:"posting_no"` // 入账流水号
	ReceiptNo string    `json:"receipt_no"` // 收据号
	OrderNo   string    `json:"order_no"`
	BillNos   []string  `json:"bill_nos"`
	TotalFen  amount    `json:"total_fen"`
	Parts     wireParts `json:"parts"`
	PostedAt  moment    `json:"posted_at"`
	Guide     []string  `json:"guide"` // 导诊
}

// record checks that a record is one, of this order and these bills, and adds up.
func (w *wirePosting) record(orderNo string, bills []string) (order.Posted, split.Split, error) {
	fail := func(text string) (order.Posted, split.Split, error) {
		return order.Posted{}, split.Split{}, fmt.Errorf("the posting %s", text)
	}
	parts, whole := w.Parts.split()
	switch {
	case w.OrderNo != orderNo || !sameBills(w.BillNos, bills):
		return fail("is another order's")
	case !Number64(w.PostingNo) || len(w.ReceiptNo) > 64 || w.PostedAt.IsZero():
		return fail("has no number or no date")
	case !whole || !w.TotalFen.present || w.TotalFen.fen <= 0 || parts.Check(w.TotalFen.fen) != nil:
		return fail("does not add up")
	}
	return order.Posted{PostingNo: w.PostingNo, ReceiptNo: w.ReceiptNo, Guide: guide(w.Guide), PostedAt: w.PostedAt.Time}, parts, nil
}

// guide keeps what a patient can read: at most ten lines of 120 characters without control characters. A strange guide is no reason
// to doubt a posting.
func guide(lines []string) []string {
	out := make([]string, 0, min(len(lines), 10))
	for _, line := range lines[:min(len(lines), 10)] {
		if text := plain(line, 120); text != "" {
			out = append(out, text)
		}
	}
	return out
}

// plain is a text of at most so many characters, without control characters.
func plain(text string, most int) string {
	runes := []rune(strings.TrimSpace(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, text)))
	return string(runes[:min(len(runes), most)])
}

// Post enters the paid order in the hospital's books. A repeat whose record equals ours is a success; a record with other amounts
// under our number is unreadable, for a person to see. Besides the refusals of package bill: ErrAmountWrong, ErrLockExpired. Every
// refusal means that this call posted nothing; only PostingOf proves what stands under our number.
func (c *Client) Post(ctx context.Context, p order.Posting) (order.Posted, error) {
	o := operation{name: "postings/post", deadline: c.config.PostDeadline, codes: strings.Join([]string{codeNotFound,
		codeAlreadyPaid, codeBillVoid, codeBillChanged, codeLocked, codeLockExpired, codeAmountWrong, codeDuplicate}, " ")}
	bills := make([]string, 0, len(p.Bills))
	for _, b := range p.Bills {
		bills = append(bills, b.No)
	}
	if err := p.Split.Check(p.Total); err != nil {
		return order.Posted{}, ErrRequest.Because(fmt.Errorf("his %s: order %s: %w", o.name, p.OrderNo, err))
	}
	var out wirePosting
	code, rest, err := c.call(ctx, o, PostMembers(p), &out)
	switch {
	case err != nil:
		return order.Posted{}, err
	case code == codeDuplicate:
		if err := into(rest, &out); err != nil {
			return order.Posted{}, unreadable(o, "duplicate: %w", err)
		}
	case code == codeAlreadyPaid && paidBy(rest) == p.OrderNo:
		return order.Posted{}, bill.ErrNoAnswer.Because(fmt.Errorf("his %s: already paid, by this very order: to be queried", o.name))
	case code != codeDone:
		return order.Posted{}, refusal(o, code)
	}
	booked, parts, err := out.record(p.OrderNo, bills)
	if err != nil {
		return order.Posted{}, unreadable(o, "%w", err)
	}
	if parts != p.Split || out.TotalFen.fen != p.Total {
		return order.Posted{}, unreadable(o, "order %s stands in the books with other amounts", p.OrderNo)
	}
	return booked, nil
}

// paidBy is the order number that a refusal names; empty if it names none that can be read.
func paidBy(data json.RawMessage) string {
	var paid wirePaid
	if err := into(data, &paid); err != nil {
		return ""
	}
	return paid.OrderNo
}

// wirePaid says where a bill was paid.
type wirePaid struct {
	BillNo   string `json:"bill_no"`
	Where    string `json:"where"` // platform, window, other
	OrderNo  string `json:"order_no"`
	SerialNo string `json:"serial_no"`
}

// elsewhere reports whether that is a payment of one of the bills by another way than the order, with its number. One by the platform has an order's.
func (p wirePaid) elsewhere(orderNo string, bills []string) bool {
	number := p.OrderNo
	if p.Where != "platform" {
		number = cmp.Or(p.OrderNo, p.SerialNo)
	}
	return slices.Contains(bills, p.BillNo) && slices.Contains([]string{"platform", "window", "other"}, p.Where) && number != "" && p.OrderNo != orderNo
}

type queryRequest struct {
	OrderNo string   `json:"order_no"`
	BillNos []string `json:"bill_nos"`
}

// queryAnswer is §3.7.
type queryAnswer struct {
	OrderNo string       `json:"order_no"`
	State   string       `json:"state"`
	Posting *wirePosting `json:"posting"`
	Paid    []wirePaid   `json:"paid"`
	Void    []string     `json:"void_bill_nos"`
}

// PostingOf asks what became of our order number. Each state must come with its evidence: what leads to a refund is not believed on
// one word.
func (c *Client) PostingOf(ctx context.Context, orderNo string, bills []string) (order.PostingStatus, error) {
	o := operation{name: "postings/query", deadline: c.config.QueryDeadline}
	var out queryAnswer
	if _, _, err := c.call(ctx, o, queryRequest{OrderNo: orderNo, BillNos: bills}, &out); err != nil {
		return order.PostingStatus{}, err
	}
	if out.OrderNo != orderNo {
		return order.PostingStatus{}, unreadable(o, "the answer is about another order")
	}
	status, err := out.status(bills)
	if err != nil {
		return order.PostingStatus{}, unreadable(o, "%w", err)
	}
	return status, nil
}

func (q *queryAnswer) status(bills []string) (order.PostingStatus, error) {
	state := order.PostingState(q.State)
	fail := func() (order.PostingStatus, error) {
		return order.PostingStatus{}, fmt.Errorf("state %s without its evidence, or with another's", short(strings.ToUpper(q.State)))
	}
	if state == order.PostingDone || (state == order.PostingVoid && q.Posting != nil) {
		if q.Posting == nil || len(q.Paid) > 0 || (state == order.PostingDone && len(q.Void) > 0) {
			return fail()
		}
		booked, parts, err := q.Posting.record(q.OrderNo, bills)
		return order.PostingStatus{State: state, Posted: booked, Total: q.Posting.TotalFen.fen, Split: parts}, err
	}
	foreign := func(no string) bool { return !slices.Contains(bills, no) }
	switch state {
	case order.PostingNone:
		if q.Posting != nil || len(q.Paid)+len(q.Void) > 0 {
			return fail()
		}
	case order.PostingElsewhere:
		if q.Posting != nil || len(q.Paid) == 0 || slices.ContainsFunc(q.Paid, func(p wirePaid) bool { return !p.elsewhere(q.OrderNo, bills) }) {
			return fail()
		}
	case order.PostingVoid:
		if len(q.Void) == 0 || len(q.Paid) > 0 || slices.ContainsFunc(q.Void, foreign) {
			return fail()
		}
	default:
		return fail()
	}
	return order.PostingStatus{State: state}, nil
}
