package recon

import "github.com/tuoka/tuoka/internal/money"

// Key is one way in which two books know the same thing: by a number of the left book and one of the right.
type Key struct {
	Name   string
	Number Number
	Kinds  []Kind // for lines of these kinds
}

// Comparison is two books held against each other. Each line of either is claimed by at most one match of it.
type Comparison struct {
	Name        string
	Text        string // in Chinese
	Left, Right Source
	Leg         Leg               // of the left book's lines that take part; the right book's are those of it as well
	Keys        []Key             // tried in this order: what one leaves over, the next looks at
	Same        []Number          // numbers that a pair must not have differently
	Parts       Parts             // parts that are compared where both books tell them
	Expand      func(Line) []Line // what the right book has for a line of the left one; nil: one line, the same
}

// Comparisons is the whole of what is compared, in the order in which money moves.
func Comparisons() []Comparison {
	back := []Kind{Refund}
	return []Comparison{
		{Name: "cash", Text: "平台账—微信交易账单", Left: Ledger, Right: WechatTrade, Leg: Cash, Keys: []Key{
			{"微信支付订单号", TransactionID, []Kind{Pay}}, {"商户订单号", OutTradeNo, []Kind{Pay}},
			{"微信退款单号", RefundID, back}, {"商户退款单号", OutRefundNo, back}},
			Same: []Number{TransactionID, OutTradeNo, RefundID, OutRefundNo}},
		{Name: "insurance", Text: "平台账—医保明细账", Left: Ledger, Right: Insurer, Leg: Insurance, Keys: []Key{
			{"结算ID", SetlID, []Kind{Pay, Reversal}}, {"医保支付订单号", PayOrdID, []Kind{Pay, Reversal}},
			{"发送方报文ID", MsgID, []Kind{Pay, Reversal}}},
			Same: []Number{SetlID, MdtrtID, PayOrdID}, Parts: TellsFund | TellsAccount},
		{Name: "posting", Text: "平台账—HIS 日账", Left: Ledger, Right: HIS, Leg: Posting, Keys: []Key{
			{"入账流水号", PostingNo, []Kind{Pay}}, {"缴费订单号", OrderNo, []Kind{Pay}},
			{"退费流水号", BookingNo, back}, {"退费单号", RefundNo, back}},
			Same: []Number{PostingNo, OrderNo, BookingNo, RefundNo, SetlID, OutTradeNo}, Parts: TellsAll},
		{Name: "arrival", Text: "微信交易账单—资金账单", Left: WechatTrade, Right: WechatFund, Leg: Cash, Keys: []Key{
			{"微信支付订单号", TransactionID, []Kind{Pay, Fee}}, {"微信退款单号", RefundID, []Kind{Refund, FeeBack, RefundBack, Fee}}},
			Same: []Number{OutTradeNo, OutRefundNo}, Expand: arrivals},
		{Name: "bank", Text: "资金账单—银行流水", Left: WechatFund, Right: Bank, Leg: Account, Keys: []Key{
			{"资金流水单号", FlowNo, []Kind{Transfer, TransferIn}}}},
	}
}

// arrivals are the flows that a trade causes in WeChat's account: its money and its fee, and both once more the other way when a refund came to nothing.
func arrivals(l Line) []Line {
	fee := l.Fee.Fen()
	flow := func(kind Kind, amount money.Fen) Line {
		one := l
		one.Kind, one.Amount, one.Fee, one.Status = kind, amount, 0, Done
		return one
	}
	var flows []Line
	add := func(kind Kind, amount money.Fen) {
		if amount > 0 {
			flows = append(flows, flow(kind, amount))
		}
	}
	if l.Kind != Refund {
		add(l.Kind, l.Amount)
		add(Fee, fee)
		return flows
	}
	l.Numbers[TransactionID] = "" // the account knows a refund's flows by the refund
	add(Refund, l.Amount)
	add(FeeBack, -fee)
	if l.Status == Closed {
		add(RefundBack, l.Amount)
		add(Fee, -fee)
	}
	return flows
}

// Defect is what is wrong with two lines that are about the same thing.
type Defect uint8

// The defects.
const (
	OtherAmount Defect = 1 << iota // 金额不符
	OtherSplit                     // 拆分不符
	OtherNumber                    // 单号不符
	OtherStatus                    // 状态不符
)

// defects compares two lines that share a number.
func (c *Comparison) defects(l, r *Line) Defect {
	var d Defect
	if l.Amount != r.Amount {
		d |= OtherAmount
	}
	if c.otherParts(l, r) {
		d |= OtherSplit
	}
	for _, n := range c.Same {
		if l.Numbers[n] != "" && r.Numbers[n] != "" && l.Numbers[n] != r.Numbers[n] {
			d |= OtherNumber
		}
	}
	if l.Status != r.Status && !onItsWay(l.Status, r.Status) && !onItsWay(r.Status, l.Status) {
		d |= OtherStatus
	}
	return d
}

// onItsWay reports whether what is under way in one book may be done in the other, which was written later.
func onItsWay(one, other Status) bool { return one == UnderWay && other == Done }

// otherParts compares the parts that both books tell, and that this comparison is about.
func (c *Comparison) otherParts(l, r *Line) bool {
	a, b := &l.Split, &r.Split
	for _, p := range []struct {
		part Parts
		l, r money.Fen
	}{{TellsFund, a.Fund(), b.Fund()}, {TellsFunds, a.PooledFund, b.PooledFund}, {TellsFunds, a.OtherFund, b.OtherFund},
		{TellsAccount, a.Account + a.FamilyAccount, b.Account + b.FamilyAccount}, {TellsAccounts, a.Account, b.Account},
		{TellsAccounts, a.FamilyAccount, b.FamilyAccount}, {TellsHospital, a.HospitalBorne, b.HospitalBorne}, {TellsCash, a.Cash, b.Cash},
		{TellsUninsured, a.Uninsured, b.Uninsured}} {
		if c.Parts&l.Tells&r.Tells&p.part != 0 && p.l != p.r {
			return true
		}
	}
	return false
}
