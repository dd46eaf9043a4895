package recon

import (
	"cmp"
	"hash/fnv"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
)

// DifferenceKind says what a difference is.
type DifferenceKind string

// The kinds of differences.
const (
	ChannelMore    DifferenceKind = "channel_more"     // 长款
	ChannelLess    DifferenceKind = "channel_less"     // 短款
	Unrecorded     DifferenceKind = "unrecorded"       // 平台漏记
	AmountDiffers  DifferenceKind = "amount"           // 金额不符
	StatusDiffers  DifferenceKind = "status"           // 状态不符
	OneSided       DifferenceKind = "one_sided"        // 医保单边
	SplitDiffers   DifferenceKind = "split"            // 拆分不符
	Timing         DifferenceKind = "timing"           // 跨日
	Duplicate      DifferenceKind = "duplicate"        // 重复
	Arrival        DifferenceKind = "arrival"          // 手续费/到账差
	RefundUnderWay DifferenceKind = "refund_under_way" // 退款在途
	NumberDiffers  DifferenceKind = "number"           // 单号不符
)

// Meaning is what finance staff are told of a kind.
type Meaning struct {
	Kind     DifferenceKind
	Name     string        // in Chinese, as do the others
	Means    string        // what it says
	Action   string        // what to do first
	Deadline time.Duration // after which it is overdue; for what waits, when it stops waiting
	Waits    bool          // looked at again by itself before it is anybody's work
}

const workday = 24 * time.Hour

// Meanings are the kinds as data, in the order in which they are looked at.
func Meanings() []Meaning {
	return []Meaning{
		{ChannelMore, "长款", "微信已收款，医院未入账", "向 HIS 查询，补记入账；不应入账的退款", workday, false},
		{ChannelLess, "短款", "医院已入账，微信没有这笔款", "停止后续处理，查清后更正 HIS", workday, false},
		{Unrecorded, "平台漏记", "微信和医院都有，平台没有", "核对平台的账和备份，补记", workday, false},
		{AmountDiffers, "金额不符", "双方都有，金额不同", "核对单位、部分退款和优惠，查清后更正", workday, false},
		{StatusDiffers, "状态不符", "一方已退款，另一方没有", "补记退款，或向对方查询退款结果", workday, false},
		{OneSided, "医保单边", "医保已结算而平台没有，或相反", "向医保查询；多出的凭报文ID 冲正，缺少的补结算", workday, false},
		{SplitDiffers, "拆分不符", "总额相同，基金、账户或现金不同", "以医保中心的结算为准重新取数", workday, false},
		{Duplicate, "重复", "同一费用有两笔", "退还后一笔", workday, false},
		{NumberDiffers, "单号不符", "同一笔业务，双方的单号不同", "核对是否记到了另一笔业务上", workday, false},
		{Arrival, "手续费/到账差", "交易相符，手续费或到账金额不同", "财务核对资金账单和银行流水", 3 * workday, false},
		{RefundUnderWay, "退款在途", "退款已受理，对方账单尚未出现", "等待，逾期后查询退款", 3 * workday, true},
		{Timing, "跨日", "可能出现在相邻一天的账单中", "自动与次日账单核对，两天后仍没有的转为差异", 2 * workday, true},
	}
}

// MeaningOf is what a kind means.
func MeaningOf(k DifferenceKind) Meaning {
	all := Meanings()
	return all[slices.IndexFunc(all, func(m Meaning) bool { return m.Kind == k })]
}

// Difference is what does not agree.
type Difference struct {
	Kind       DifferenceKind
	Was        DifferenceKind // of one that waits: what it is when it has waited for too long
	Comparison string
	Left       []Line
	Right      []Line
	Amount     money.Fen // what is in question: the amounts' difference, or the whole of a line without a counterpart
}

// lines are those of both sides.
func (d *Difference) lines() []Line { return slices.Concat(d.Left, d.Right) }

// Number is the first of these numbers that one of its lines has.
func (d *Difference) Number(wanted ...Number) string {
	for _, n := range wanted {
		for _, l := range d.lines() {
			if l.Numbers[n] != "" {
				return l.Numbers[n]
			}
		}
	}
	return ""
}

// MaxDifferences of one run: beyond that it is a file that is wrong, not a day.
const MaxDifferences = 200_000

// ErrTooDifferent is a run with more differences than people can ever work off.
var ErrTooDifferent = fault.New(fault.Conflict, "RECON_TOO_DIFFERENT", "差异过多，请先检查对账单的日期、商户号和机构是否正确")

// Judge collects the matches of all comparisons of a run and says what the differences are. Its zero value is of no use: see NewJudge.
type Judge struct {
	day       Day
	tolerance time.Duration
	found     []Difference
	extra     map[int]bool // by place in found: its number has a match already
	charged   []uint64     // hashes of the orders whose payment WeChat has
}

// NewJudge begins a run of a day. A line within tolerance of its beginning or end may stand in the next day's file, or in yesterday's.
func NewJudge(day Day, tolerance time.Duration) *Judge {
	return &Judge{day: day, tolerance: tolerance, extra: map[int]bool{}}
}

// Take notes a match. Equal ones leave next to nothing behind. ErrTooDifferent.
func (j *Judge) Take(m *Match) error {
	if m.Comparison.Name == "cash" && len(m.Left) > 0 && len(m.Right) > 0 && m.Left[0].Kind == Pay {
		for i := range m.Left {
			j.charged = append(j.charged, hashed(m.Left[i].Numbers[OrderNo]))
		}
	}
	if m.Equal() {
		return nil
	}
	if len(j.found) >= MaxDifferences {
		return ErrTooDifferent
	}
	if m.Extra {
		j.extra[len(j.found)] = true
	}
	j.found = append(j.found, Difference{Comparison: m.Comparison.Name, Left: Owned(m.Left), Right: Owned(m.Right), Kind: defectKind(m.Defects), Amount: inQuestion(m)})
	return nil
}

// Owned copies lines out of the pile they were read from, which would otherwise stay in memory with them.
func Owned(lines []Line) []Line {
	lines = slices.Clone(lines)
	for i := range lines {
		for n, no := range lines[i].Numbers {
			lines[i].Numbers[n] = strings.Clone(no)
		}
	}
	return lines
}

func hashed(s string) uint64 {
	h := fnv.New64a()
	_, _ = io.WriteString(h, s) // a hash takes everything
	return h.Sum64()
}

func inQuestion(m *Match) money.Fen {
	var left, right money.Fen
	for i := range m.Left {
		left += m.Left[i].Amount
	}
	for i := range m.Right {
		right += m.Right[i].Amount
	}
	if left < right {
		return right - left
	}
	return left - right
}

// defectKind is what two lines that belong together are to each other, the graver defect first.
func defectKind(d Defect) DifferenceKind {
	switch {
	case d&OtherNumber != 0:
		return NumberDiffers
	case d&OtherAmount != 0:
		return AmountDiffers
	case d&OtherSplit != 0:
		return SplitDiffers
	case d&OtherStatus != 0:
		return StatusDiffers
	}
	return ""
}

// Differences says what everything that was noted means, in a fixed order.
func (j *Judge) Differences() []Difference {
	slices.Sort(j.charged)
	posted := map[string]bool{} // trades that the HIS has booked and our ledger does not know
	for i := range j.found {
		if d := &j.found[i]; d.Comparison == "posting" && len(d.Left) == 0 && d.Right[0].Kind == Pay && d.Right[0].Numbers[OutTradeNo] != "" {
			posted[d.Right[0].Numbers[OutTradeNo]] = true
		}
	}
	charged := map[string]bool{} // those of them that WeChat has as well
	for i := range j.found {
		d := &j.found[i]
		if d.Comparison == "cash" && len(d.Left) == 0 && d.Right[0].Kind == Pay && posted[d.Right[0].Numbers[OutTradeNo]] {
			charged[d.Right[0].Numbers[OutTradeNo]] = true
		}
	}
	for i := range j.found {
		d := &j.found[i]
		d.Kind = j.kind(d, j.extra[i], charged)
		if waits := j.waits(d); waits != "" && !j.extra[i] {
			d.Was, d.Kind = d.Kind, waits
		}
	}
	slices.SortFunc(j.found, func(a, b Difference) int {
		if c := cmp.Or(strings.Compare(a.Comparison, b.Comparison), strings.Compare(string(a.Kind), string(b.Kind)), cmp.Compare(len(a.Left), len(b.Left))); c != 0 {
			return c
		}
		as, bs := a.lines(), b.lines()
		for i := range min(len(as), len(bs)) {
			if c := byContent(&as[i], &bs[i]); c != 0 {
				return c
			}
		}
		return cmp.Compare(len(as), len(bs))
	})
	return j.found
}

// kind names a difference.
func (j *Judge) kind(d *Difference, extra bool, charged map[string]bool) DifferenceKind {
	switch {
	case d.Comparison == "arrival" || d.Comparison == "bank":
		return Arrival
	case d.Kind != "": // both sides have it
		return d.Kind
	case d.Comparison == "insurance":
		if extra {
			return Duplicate
		}
		return OneSided
	}
	l := &d.lines()[0]
	switch {
	case extra:
		return Duplicate
	case l.Kind == Refund || l.Kind == FeeBack:
		return StatusDiffers
	case d.Comparison == "cash" && len(d.Left) == 0:
		_, again := slices.BinarySearch(j.charged, hashed(l.Numbers[OrderNo]))
		switch {
		case l.Numbers[OrderNo] != "" && again:
			return Duplicate
		case charged[l.Numbers[OutTradeNo]]:
			return Unrecorded
		}
		return ChannelMore
	case d.Comparison == "posting" && len(d.Left) == 0 && charged[l.Numbers[OutTradeNo]]:
		return Unrecorded
	case d.Comparison == "posting" && len(d.Left) > 0:
		return ChannelMore // we hold the money, the HIS has not booked it
	}
	return ChannelLess
}

// waits is why a difference may go away by itself; empty when it will not.
func (j *Judge) waits(d *Difference) DifferenceKind {
	if len(d.Left) > 0 && len(d.Right) > 0 {
		return ""
	}
	l := &d.lines()[0]
	switch {
	case len(d.Left) > 0 && l.Kind == Refund && l.Status == UnderWay:
		return RefundUnderWay
	case l.At.Before(j.day.Begin().Add(j.tolerance)) || !l.At.Before(j.day.End().Add(-j.tolerance)):
		return Timing
	case d.Comparison == "bank" && len(d.Left) > 0: // on its way to the bank
		return Timing
	}
	return ""
}
