package plant

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
)

// The files of a generated day, in the folder it is written to. Each is in the form in which its book comes into the house, written here by the counterparts'
// published columns and read by the adapters.
const (
	LedgerFile  = "ledger.tsv"       // our own form
	TradeFile   = "wechat_trade.csv" // 交易账单, ALL
	FundFile    = "wechat_fund.csv"  // 资金账单, BASIC
	InsurerFile = "insurer.tsv"      // what 3201 and 3202 said, in the insurer's adapter's form
	HISFile     = "his.jsonl"        // 日对账文件, in the HIS adapter's form
	KeyFile     = "key.json"         // what was planted
)

// MchID is the made-up merchant whose bills are written.
const MchID = "1900000109"

// Files writes a day, line by line as it grows.
type Files struct {
	dir   string
	books map[recon.Source]book
	files []*os.File
}

// book writes one book's file. end writes what stands below its rows.
type book interface {
	line(l *recon.Line)
	end()
}

// NewFiles begins a day in a folder, which it makes. Close ends it.
func NewFiles(dir string, day recon.Day) (*Files, error) {
	f := &Files{dir: dir, books: map[recon.Source]book{}}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, err
	}
	for _, b := range []struct {
		name   string
		source recon.Source
		begin  func(w *bufio.Writer) book
	}{
		{LedgerFile, recon.Ledger, func(w *bufio.Writer) book { return &ledgerBook{w: w, lines: recon.NewLineWriter(w)} }},
		{TradeFile, recon.WechatTrade, func(w *bufio.Writer) book { return newTradeBook(w) }},
		{FundFile, recon.WechatFund, func(w *bufio.Writer) book { return newFundBook(w) }},
		{InsurerFile, recon.Insurer, func(w *bufio.Writer) book { return newInsurerBook(w, day) }},
		{HISFile, recon.HIS, func(w *bufio.Writer) book { return &hisBook{w: w, day: day} }},
	} {
		file, err := os.Create(filepath.Join(dir, b.name)) //nolint:gosec // the folder is the caller's
		if err != nil {
			return nil, errors.Join(err, f.close())
		}
		w := bufio.NewWriterSize(file, 1<<18)
		f.files = append(f.files, file)
		f.books[b.source] = flushing{b.begin(w), w}
	}
	return f, nil
}

// flushing is a book whose writer is flushed at its end.
type flushing struct {
	book
	w *bufio.Writer
}

func (b flushing) end() {
	b.book.end()
	_ = b.w.Flush() // an error comes again from the file when it is closed
}

// Add writes a line into its book.
func (f *Files) Add(l *recon.Line) error {
	if b := f.books[l.Source]; b != nil {
		b.line(l)
	}
	return nil
}

// Close ends every file, and writes the key.
func (f *Files) Close(key []Planted) error {
	var errs []error
	for _, b := range f.books {
		b.end()
		if _, err := b.(flushing).w.Write(nil); err != nil { //nolint:forcetypeassert // NewFiles makes no other
			errs = append(errs, err)
		}
	}
	text, err := json.MarshalIndent(key, "", " ")
	if err == nil {
		err = os.WriteFile(filepath.Join(f.dir, KeyFile), append(text, '\n'), 0o600)
	}
	return errors.Join(append(errs, err, f.close())...)
}

func (f *Files) close() error {
	var errs []error
	for _, file := range f.files {
		errs = append(errs, file.Close())
	}
	return errors.Join(errs...)
}

// ReadKey reads what was planted in the day of a folder.
func ReadKey(dir string) ([]Planted, error) {
	text, err := os.ReadFile(filepath.Join(dir, KeyFile)) //nolint:gosec // the folder is the caller's
	if err != nil {
		return nil, err
	}
	var key []Planted
	err = json.Unmarshal(text, &key)
	return key, err
}

// ledgerBook is our own.
type ledgerBook struct {
	w     *bufio.Writer
	lines *recon.LineWriter
}

func (b *ledgerBook) line(l *recon.Line) { _ = b.lines.Write(l) } // as with all books, the file tells when it is closed
func (b *ledgerBook) end()               { _ = b.lines.Close() }

func inChina(t time.Time) string { return t.In(clock.Shanghai).Format(time.DateTime) }

// ticked writes values as WeChat Pay does, each behind a backtick.
func ticked(w *bufio.Writer, values ...string) {
	_, _ = w.WriteString("`" + strings.Join(values, ",`") + "\r\n")
}

// tradeBook is WeChat Pay's trade bill of type ALL.
type tradeBook struct {
	w              *bufio.Writer
	rows           int
	ordered, asked money.Fen
	fees           recon.MilliFen
}

func newTradeBook(w *bufio.Writer) *tradeBook {
	_, _ = w.WriteString("交易时间,公众账号ID,商户号,特约商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,应结订单金额,代金券金额,微信退款单号,商户退款单号," +
		"退款金额,充值券退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率,订单金额,申请退款金额,费率备注\r\n")
	return &tradeBook{w: w}
}

func (b *tradeBook) line(l *recon.Line) {
	n, amount, nothing := &l.Numbers, l.Amount.String(), "0.00"
	state, refundID, outRefundNo, kind, status, ordered, refunded := "SUCCESS", "0", "0", "", "", amount, nothing
	if l.Kind == recon.Refund {
		state, refundID, outRefundNo, kind, ordered, refunded = "REFUND", n[recon.RefundID], n[recon.OutRefundNo], "ORIGINAL", nothing, amount
		status = map[recon.Status]string{recon.Done: "SUCCESS", recon.UnderWay: "PROCESSING", recon.Closed: "CLOSED", recon.Failed: "ABNORMAL"}[l.Status]
		b.asked += l.Amount
	} else {
		b.ordered += l.Amount
	}
	b.rows++
	b.fees += l.Fee
	ticked(b.w, inChina(l.At), "wx8888888888888888", MchID, "0", "", n[recon.TransactionID], n[recon.OutTradeNo], "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o", "JSAPI", state,
		"OTHERS", "CNY", ordered, nothing, refundID, outRefundNo, refunded, nothing, kind, status, "门诊缴费", n[recon.OrderNo], fee5(l.Fee), "0.60%", ordered, refunded, "")
}

func (b *tradeBook) end() {
	_, _ = b.w.WriteString("总交易单数,应结订单总金额,退款总金额,充值券退款总金额,手续费总金额,订单总金额,申请退款总金额\r\n")
	ticked(b.w, strconv.Itoa(b.rows), b.ordered.String(), b.asked.String(), "0.00", fee5(b.fees), b.ordered.String(), b.asked.String())
}

// fee5 is a fee in yuan with five decimals.
func fee5(m recon.MilliFen) string {
	sign := ""
	if m < 0 {
		sign, m = "-", -m
	}
	return fmt.Sprintf("%s%d.%05d", sign, m/100_000, m%100_000)
}

// fundBook is the fund-flow bill of WeChat Pay's basic account.
type fundBook struct {
	w         *bufio.Writer
	balance   money.Fen
	ins, outs int
	in, out   money.Fen
}

// opening is what a merchant's account holds at midnight.
const opening = 10_000_000_00

func newFundBook(w *bufio.Writer) *fundBook {
	_, _ = w.WriteString("记账时间,微信支付业务单号,资金流水单号,业务名称,业务类型,收支类型,收支金额(元),账户结余(元),资金变更提交申请人,备注,业务凭证号\r\n")
	return &fundBook{w: w, balance: opening}
}

func (b *fundBook) line(l *recon.Line) {
	n := &l.Numbers
	number, voucher := n[recon.TransactionID], n[recon.OutTradeNo]
	if n[recon.RefundID] != "" {
		number, voucher = n[recon.RefundID], n[recon.OutRefundNo]
	}
	words := map[recon.Kind][3]string{recon.Pay: {"交易", "交易", "收入"}, recon.Refund: {"退款", "退款", "支出"}, recon.Fee: {"扣除交易手续费", "扣除交易手续费", "支出"},
		recon.FeeBack: {"退款返还手续费", "退款返还手续费", "收入"}}[l.Kind]
	if words[2] == "收入" {
		b.balance, b.in, b.ins = b.balance+l.Amount, b.in+l.Amount, b.ins+1
	} else {
		b.balance, b.out, b.outs = b.balance-l.Amount, b.out+l.Amount, b.outs+1
	}
	ticked(b.w, inChina(l.At), number, n[recon.FlowNo], words[0], words[1], words[2], l.Amount.String(), b.balance.String(), "system", "", voucher)
}

func (b *fundBook) end() {
	_, _ = b.w.WriteString("资金流水总笔数,收入笔数,收入金额,支出笔数,支出金额\r\n")
	count := func(n int) string { return strconv.Itoa(n) + ".0" }
	ticked(b.w, count(b.ins+b.outs), count(b.ins), b.in.String(), count(b.outs), b.out.String())
}

// insurerBook is what the insurer said of the settlements of one clearing group: all of them, his file beside ours.
type insurerBook struct {
	w    *bufio.Writer
	rows int
	sum  money.Fen
}

func newInsurerBook(w *bufio.Writer, day recon.Day) *insurerBook {
	_, _ = w.WriteString("tuoka-insurer\t1\t" + day.String() + "\t310\t11\t360100\tdiffers\t0\t0.00\t0.00\t0.00\t0.00\n")
	return &insurerBook{w: w}
}

func (b *insurerBook) line(l *recon.Line) {
	n, undone := &l.Numbers, "0"
	if l.Kind == recon.Reversal {
		undone = "1"
		b.sum -= l.Amount
	} else {
		b.sum += l.Amount
	}
	b.rows++
	_, _ = b.w.WriteString(strings.Join([]string{n[recon.SetlID], n[recon.MdtrtID], n[recon.MsgID], inChina(l.At), l.Amount.String(), l.Split.Fund().String(),
		(l.Split.Account + l.Split.FamilyAccount).String(), undone, "balanced"}, "\t") + "\n")
}

func (b *insurerBook) end() { _, _ = fmt.Fprintf(b.w, "end\t%d\t%s\n", b.rows, b.sum) }

// hisBook is the hospital's list of a day that it has closed, by time and number.
type hisBook struct {
	w              *bufio.Writer
	day            recon.Day
	rows           []hisRow
	posted, booked money.Fen
}

type hisRow struct {
	at           time.Time
	number, text string
}

func (b *hisBook) line(l *recon.Line) {
	n, s := &l.Numbers, &l.Split
	row := hisRow{at: l.At, number: n[recon.PostingNo] + n[recon.BookingNo]}
	var t strings.Builder
	if l.Kind == recon.Refund {
		b.booked += l.Amount
		_, _ = fmt.Fprintf(&t, `{"kind":"refund","order_no":%q,"refund_no":%q,"booking_no":%q`, n[recon.OrderNo], n[recon.RefundNo], n[recon.BookingNo])
	} else {
		b.posted += l.Amount
		_, _ = fmt.Fprintf(&t, `{"kind":"payment","order_no":%q,"posting_no":%q`, n[recon.OrderNo], n[recon.PostingNo])
	}
	_, _ = fmt.Fprintf(&t, `,"bill_nos":["MZ%s"],"total_fen":%d,"parts":{"pooled_fund_fen":%d,"other_fund_fen":%d,"account_fen":%d,"family_account_fen":%d,`+
		`"hospital_borne_fen":%d,"cash_fen":%d,"uninsured_fen":%d}`,
		n[recon.OrderNo], l.Amount, s.PooledFund, s.OtherFund, s.Account, s.FamilyAccount, s.HospitalBorne, s.Cash, s.Uninsured)
	for _, m := range []struct {
		name   string
		number recon.Number
	}{{"setl_id", recon.SetlID}, {"out_trade_no", recon.OutTradeNo}, {"out_refund_no", recon.OutRefundNo}} {
		if no := n[m.number]; no != "" {
			_, _ = fmt.Fprintf(&t, `,%q:%q`, m.name, no)
		}
	}
	_, _ = fmt.Fprintf(&t, ",\"at\":%q}\n", l.At.In(clock.Shanghai).Format(time.RFC3339Nano))
	row.text = t.String()
	b.rows = append(b.rows, row)
}

func (b *hisBook) end() {
	slices.SortFunc(b.rows, func(x, y hisRow) int { return cmp.Or(x.at.Compare(y.at), strings.Compare(x.number, y.number)) })
	for _, r := range b.rows {
		_, _ = b.w.WriteString(r.text)
	}
	_, _ = fmt.Fprintf(b.w, `{"date":%q,"count":%d,"payment_fen":%d,"refund_fen":%d,"closed":true}`+"\n", b.day, len(b.rows), b.posted, b.booked)
}
