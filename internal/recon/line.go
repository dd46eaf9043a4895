// Package recon proves every evening that nobody's fen is missing: it reads what each counterpart has in its books of a business day, holds it line by line
// against our ledger, names what differs, and keeps the day until people have worked it off and closed it (design.md §8).
//
// It reads in this order: line.go, what a book says; match.go, which lines belong together; judge.go, what the rest means; cases.go, what becomes of it;
// day.go, the day.
package recon

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// Errors of reading a statement.
var (
	// ErrForm is a statement that is not what its counterpart writes: the whole file is refused, never a row of it skipped.
	ErrForm = fault.New(fault.Invalid, "STATEMENT_FORM", "对账单格式有误，整份文件未采用")
	// ErrNotReady is a statement that the counterpart has not made yet: ask again later.
	ErrNotReady = fault.New(fault.Pending, "STATEMENT_NOT_READY", "对账单尚未生成")
)

// Day is a business day, a civil date in China.
type Day struct{ date string }

// DayOf is the business day on which a moment lies.
func DayOf(t time.Time) Day { return Day{t.In(clock.Shanghai).Format(time.DateOnly)} }

// ParseDay reads 2006-01-02.
func ParseDay(s string) (Day, error) {
	if _, err := time.ParseInLocation(time.DateOnly, s, clock.Shanghai); err != nil {
		return Day{}, fault.New(fault.Invalid, "DAY_FORM", "日期须为 2006-01-02 的形式").Because(fmt.Errorf("day %.20q", s))
	}
	return Day{s}, nil
}

// String is 2006-01-02; empty for no day.
func (d Day) String() string { return d.date }

// Begin is its midnight in China.
func (d Day) Begin() time.Time {
	t, _ := time.ParseInLocation(time.DateOnly, d.date, clock.Shanghai) // DayOf and ParseDay make no other
	return t
}

// End is the midnight that ends it.
func (d Day) End() time.Time { return d.Begin().AddDate(0, 0, 1) }

// Add is the day n days later.
func (d Day) Add(n int) Day { return DayOf(d.Begin().AddDate(0, 0, n)) }

// Before reports whether it is an earlier day.
func (d Day) Before(other Day) bool { return d.date < other.date }

// Source is a book.
type Source string

// The books.
const (
	Ledger      Source = "ledger"       // 平台账: ours
	HIS         Source = "his"          // HIS 日账
	Insurer     Source = "insurer"      // 医保明细账: 3202, or 6301 per order
	WechatTrade Source = "wechat_trade" // 微信交易账单
	WechatFund  Source = "wechat_fund"  // 微信资金账单
	Bank        Source = "bank"         // 银行流水
)

// Sources lists them, ours first.
func Sources() []Source { return []Source{Ledger, HIS, Insurer, WechatTrade, WechatFund, Bank} }

// Kind is what a line is. Amounts are never negative: the kind says which way the money went.
type Kind string

// The kinds of lines.
const (
	Pay        Kind = "pay"         // 收款, 结算, 入账
	Refund     Kind = "refund"      // 退款, 退费
	Reversal   Kind = "reversal"    // 结算撤销
	Fee        Kind = "fee"         // 手续费, paid
	FeeBack    Kind = "fee_back"    // 手续费, given back with a refund
	RefundBack Kind = "refund_back" // 退款关闭返还: a refund that came to nothing, back in the account
	Transfer   Kind = "transfer"    // 提现: from WeChat's account to the bank
	TransferIn Kind = "transfer_in" // 充值: from the bank to WeChat's account
	Other      Kind = "other"       // anything else that moved an account
)

// Leg is which of an order's movements a line is about. A line takes part in the comparisons of its leg alone.
type Leg string

// The legs.
const (
	Cash      Leg = "cash"      // 微信支付
	Insurance Leg = "insurance" // 医保结算
	Posting   Leg = "posting"   // 医院入账
	Account   Leg = "account"   // 资金账户
	Foreign   Leg = ""          // 他方业务: stands in the book and is none of ours; it is counted, and compared with nothing
)

// Number is a kind of number by which two books can know the same thing.
type Number int

// The numbers, ours and theirs.
const (
	OrderNo       Number = iota // 缴费订单号
	RefundNo                    // 退费单号
	OutTradeNo                  // 商户订单号
	TransactionID               // 微信支付订单号
	OutRefundNo                 // 商户退款单号
	RefundID                    // 微信退款单号
	SetlID                      // 结算ID
	MdtrtID                     // 就诊ID
	MsgID                       // 发送方报文ID
	PayOrdID                    // 医保支付订单号
	PostingNo                   // HIS 入账流水号
	BookingNo                   // HIS 退费流水号
	FlowNo                      // 资金流水单号
	BankNo                      // 银行交易流水号
	numbers
)

var numberNames = [numbers]string{"order_no", "refund_no", "out_trade_no", "transaction_id", "out_refund_no", "refund_id", "setl_id", "mdtrt_id", "msgid",
	"pay_ord_id", "posting_no", "booking_no", "flow_no", "bank_no"}

// String is its name in JSON.
func (n Number) String() string { return numberNames[n] }

// Numbers are those that a line has; empty where it does not.
type Numbers [numbers]string

// Status is how far a line's money is, where its book tells.
type Status string

// The states of a line.
const (
	Done     Status = ""          // it happened
	UnderWay Status = "under_way" // agreed, not there yet: a refund that WeChat accepted
	Due      Status = "due"       // ought to have happened: money is held that the HIS has not booked
	Closed   Status = "closed"    // it was agreed and came to nothing: a refund whose money is back in the merchant's account
	Failed   Status = "failed"    // agreed, and neither there nor back: an abnormal refund
)

// Parts says which amounts a book tells besides the line's own.
type Parts uint8

// The amounts that a book may tell.
const (
	TellsFund     Parts = 1 << iota // PooledFund and OtherFund, in one sum
	TellsFunds                      // PooledFund and OtherFund, each
	TellsAccount                    // Account and FamilyAccount, in one sum
	TellsAccounts                   // each
	TellsHospital                   // HospitalBorne
	TellsCash                       // Cash
	TellsUninsured
)

// TellsAll is a book that tells every part.
const TellsAll = TellsFund | TellsFunds | TellsAccount | TellsAccounts | TellsHospital | TellsCash | TellsUninsured

// Line is one row of a book.
type Line struct {
	Source  Source
	Leg     Leg
	Kind    Kind
	Status  Status
	At      time.Time // by the clock of who moved the money
	Numbers Numbers
	Amount  money.Fen   // the whole of what the line is about, never negative
	Split   split.Split // who pays it; of a HIS's refund: who pays what is left
	Tells   Parts       // which parts of Split the book tells
	Fee     MilliFen    // 手续费 of a trade; of a refund, what of it is given back
	Place   Place       // where it stands
}

// MilliFen is an amount in thousandths of a fen: WeChat Pay's fees have five decimals of a yuan.
type MilliFen int64

// Fen rounds half away from zero.
func (m MilliFen) Fen() money.Fen {
	if m < 0 {
		return -(-m).Fen()
	}
	return money.Fen((m + 500) / 1000)
}

// Place is where a line stands in a stored file.
type Place struct {
	File   int32 // which file of the run
	Offset int64 // of its first byte in the file as it was before packing; in a workbook, where rows have no bytes of their own, the row's number
	Length int32 // in bytes; 0 in a workbook
}

// Statement is one file of a book, as fetched.
type Statement struct {
	Source   Source
	Day      Day
	Part     string // which of several files of that book and day: an account of WeChat's, a clearing type of the insurer's; empty: the only one
	Name     string // a file name for people
	Final    bool   // the counterpart says that it changes no more
	Nothing  bool   // nothing happened that day, and the counterpart said so
	Attached bool   // kept as evidence of how another file came about, never read
}

// Claim is what our ledger has of one settlement by the insurer, or of its end, for an insurer who compares for himself.
type Claim struct {
	Settlement *settlement.Settlement
	Person     settlement.Person // whose it is, for an insurer who asks by order: name and identity number; no other needs it
	Undone     bool              // its cancellation, reversal or refund; otherwise that it was settled
	At         time.Time         // when that was
}

// Claims hands them over one by one until it returns an error, or do does. It may be called several times, and hands over the same every time.
type Claims func(ctx context.Context, do func(Claim) error) error

// Statements is a counterpart's book of one institution. An adapter implements it.
type Statements interface {
	// Fetch brings the files of a business day, each written to a writer that keep gives for it, byte for byte as the counterpart wrote them (unpacked). A
	// day on which nothing happened is a Statement with Nothing and no bytes. claims are the ledger's of that day, for an insurer who compares for himself.
	// Errors: ErrNotReady; ErrForm, when what came cannot be what was promised (hash, sums, pages); otherwise as of every query.
	Fetch(ctx context.Context, day Day, claims Claims, keep Keeper) error
	// Read reads such a file row by row, in the order in which the rows stand, places given from its first byte. The first row that is not one ends it with
	// ErrForm, as do sums that differ from the file's own. The rows given before are then to be forgotten.
	Read(of Statement, r io.Reader, row func(Line) error) error
}

// Keeper stores one fetched file: write is called with where the bytes go.
type Keeper func(s Statement, write func(w io.Writer) error) error
