package nhsasim

import (
	"encoding/json"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// StatementOddities are the ways in which platforms differ where books are compared (§4.3–§4.5, §10), and what may be wrong with a result. The zero
// value is the newer document: refunds counted as they are asked for, a result of ten columns that lists every row.
type StatementOddities struct {
	RefundFlag     string `json:"refund_flag"`     // upper: REFD_SETL_FLAG is demanded; absent: nobody looks at it; empty: refd_setl_flag is
	CountsSettled  bool   `json:"counts_settled"`  // where the flag is absent: only what is in force is counted
	SixDigits      bool   `json:"six_digits"`      // stmt_rslt 000103 for 3
	UploadArray    bool   `json:"upload_array"`    // in of 9101 is an array of signed bytes
	Columns        int    `json:"columns"`         // of the uploaded file: 8 with exp_content; 0: 7
	TrailingTab    bool   `json:"trailing_tab"`    // at the end of every uploaded line
	CRLF           bool   `json:"crlf"`            // at the end of every line, theirs and ours
	OwnCode        bool   `json:"own_code"`        // 9102 wants the institution's code; else plc
	ResultColumns  int    `json:"result_columns"`  // 7, 10 or 11; 0: 10
	FlagFirst      bool   `json:"flag_first"`      // refd_setl_flag before stmt_rslt
	Differences    bool   `json:"differences"`     // the result lists differences alone
	AllInsurances  bool   `json:"all_insurances"`  // 3202, which is not told an insurance, compares every one of them
	CancelNumbers  bool   `json:"cancel_numbers"`  // a refund's row comes back under the number of the cancelling record
	DeadlineMinute int    `json:"deadline_minute"` // how long a file can be fetched; 0: an hour

	WrongSum   bool `json:"wrong_sum"`   // 3201 counts a fen too many
	Bomb       bool `json:"bomb"`        // the result unpacks to 300 MB
	SecondFile bool `json:"second_file"` // there is a second file in its ZIP
	Path       bool `json:"path"`        // its file's name leads out of the folder
}

// stated is one settlement, or the end of one, as the centre counts it. Amounts of an end are negative.
type stated struct {
	setlID, mdtrtID, psnNo, msgID string
	refund                        bool
	of                            string // a refund's settlement
	total, fund, account, cash    money.Fen
}

// question is what 3201 and 3202 ask about.
type question struct {
	institution, insutype, clrType, agency string
	from, to                               string // days, inclusive
	refunds                                bool
}

// books are the settlements of a question in the order in which they were made: from the centre's own records, whatever anybody sends. What the
// mobile-payment centre settled is compared there.
func (s *Sim) books(q question) []stated {
	var out []stated
	within := func(at time.Time) bool {
		d := inShanghai(at).Format(date)
		return q.from <= d && d <= q.to
	}
	ends := map[string]*cancel{}
	for _, k := range s.cancels {
		if !k.Undone {
			ends[k.Of] = k
		}
	}
	for _, x := range s.order {
		v := s.visits[x.MdtrtID]
		if v.Institution != q.institution || x.PayOrdID != "" || x.State == reversed || clearingOffice(v.Area) != q.agency || q.clrType != "11" ||
			(q.insutype != "" && v.InsuType != q.insutype) {
			continue
		}
		one := stated{setlID: x.SetlID, mdtrtID: x.MdtrtID, psnNo: v.PsnNo, msgID: x.MsgID, total: x.Amounts.Total, cash: x.Amounts.Cash}
		one.fund, one.account = s.habits(x.Amounts)
		if within(x.At) && (q.refunds || x.State == inForce) {
			out = append(out, one)
		}
		if k := ends[x.SetlID]; k != nil && q.refunds && within(k.At) {
			one.setlID, one.msgID, one.refund, one.of = k.SetlID, k.MsgID, true, x.SetlID
			one.total, one.fund, one.account, one.cash = -one.total, -one.fund, -one.account, -one.cash
			out = append(out, one)
		}
	}
	return out
}

// readQuestion reads what both transactions have in common.
func (s *Sim) readQuestion(c call, in values) (question, error) {
	q := question{institution: c.institution, insutype: in["insutype"], clrType: in["clr_type"], agency: in["setl_optins"], from: in["stmt_begndate"],
		to: in["stmt_enddate"], refunds: !s.oddities.Statements.CountsSettled}
	today := inShanghai(c.now).Format(date)
	switch {
	case q.from > q.to:
		return q, refuse("对账开始日期[stmt_begndate]不能晚于结束日期")
	case q.from[:7] != q.to[:7]:
		return q, refuse("对账日期不能跨月")
	case q.to > today, q.to == today && !s.early:
		return q, refuse("对账结束日期[stmt_enddate]应早于当前日期,请次日对账")
	case len(q.agency) != 6:
		return q, refuse("结算经办机构[setl_optins]长度应为6位")
	}
	name := "refd_setl_flag"
	switch s.oddities.Statements.RefundFlag {
	case "absent":
		return q, nil
	case "upper":
		name = "REFD_SETL_FLAG"
	}
	var raw map[string]json.RawMessage
	if json.Unmarshal(c.input["data"], &raw) != nil {
		return q, refuse("交易输入节点[data]不能为空")
	}
	flag, err := read([]field{must(name, 6)}, raw)
	if err != nil {
		return q, err
	}
	if flag[name] != "0" && flag[name] != "1" {
		return q, refuse("退费结算标志[%s]值域错误", name)
	}
	q.refunds = flag[name] == "1"
	return q, nil
}

// The verdicts of §6.7.
const (
	sayBalanced   = "0"
	sayCentreMore = "1"
	sayOursMore   = "2"
	sayDiffers    = "3"
)

var verdictWords = map[string]string{sayBalanced: "对平", sayCentreMore: "中心多", sayOursMore: "医药机构多", sayDiffers: "数据不一致"}

// verdict is stmt_rslt in the form of this area.
func (s *Sim) verdict(v string) string {
	if !s.oddities.Statements.SixDigits {
		return v
	}
	if v == sayBalanced {
		return "000000"
	}
	return "00010" + v
}

// statementTotal is 3201: their sums against our own.
func (s *Sim) statementTotal(c call) (reply, error) {
	in, err := c.node("data", table3201)
	if err != nil {
		return reply{}, err
	}
	q, err := s.readQuestion(c, in)
	if err != nil {
		return reply{}, err
	}
	var total, fund, account money.Fen
	rows := s.books(q)
	for _, r := range rows {
		total, fund, account = total+r.total, fund+r.fund, account+r.account
	}
	if s.oddities.Statements.WrongSum {
		fund++
	}
	said, theirs := sayDiffers, in.decimal("fixmedins_setl_cnt").IntPart()
	switch ours := int64(len(rows)); {
	case ours > theirs:
		said = sayCentreMore
	case ours < theirs:
		said = sayOursMore
	case total == in.fen("medfee_sumamt") && fund == in.fen("fund_pay_sumamt") && account == in.fen("acct_pay"):
		said = sayBalanced
	}
	return reply{output: map[string]any{"stmtinfo": map[string]any{"setl_optins": q.agency, "stmt_rslt": s.verdict(said),
		"stmt_rslt_dscr": verdictWords[said]}}}, nil
}
