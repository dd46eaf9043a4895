package nhsasim

import (
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// giving is one 6203 (医保退费) that the centre has decided on, by appRefdSn.
type giving struct {
	Number  string    `json:"app_refd_sn"`
	Content string    `json:"content"` // what must be the same when the number comes again
	Status  string    `json:"status"`
	SetlID  string    `json:"setl_id,omitempty"` // of the reversing record
	Insurer bool      `json:"insurer,omitempty"` // the insurer's part goes back
	Cash    money.Fen `json:"cash,omitempty"`
	Stas    int       `json:"ord_stas"`
	At      time.Time `json:"at"`
}

// The values of refStatus.
const (
	refundDone    = "SUCC"
	refundRefused = "FAIL"
	refundUnclear = "EXP"
)

// giveBack is 6203. The same number with the same content does nothing and answers the same; with other content it is refused. EXP is no
// answer that is kept: the number that comes again after it is answered by what became of it.
func (s *Sim) giveBack(c centreCall) (map[string]any, error) {
	in, err := readCentre(table6203, c.data)
	if err != nil {
		return nil, err
	}
	u, err := s.uploadOf(c, in)
	if err != nil {
		return nil, err
	}
	if err := credentialOfRefund(u, in); err != nil {
		return nil, err
	}
	content := strings.Join([]string{u.PayOrdID, in["appRefdTime"], in["refdType"], in["outTradeNo"], in.fen("totlRefdAmt").String(),
		in.fen("cashRefdAmt").String(), in.fen("psnAcctRefdAmt").String(), in.fen("fundRefdAmt").String()}, "|")
	if g := s.refunds[numberOf(u.Institution, "appRefdSn", in["appRefdSn"])]; g != nil {
		if g.Content != content {
			return nil, refuse("退费流水号[appRefdSn]重复且内容不一致")
		}
		return refundAnswer(u, g.Number, g.Status), nil
	}
	g, err := s.plannedRefund(u, in)
	if err != nil {
		return nil, err
	}
	g.Number, g.Content, g.At, g.Status = in["appRefdSn"], content, c.now, refundDone
	told := refundDone
	if x := s.settlements[u.SetlID]; g.Insurer && s.cleared(x) {
		g.Status, told = refundRefused, refundRefused
	} else if script, ordered := s.scripts.refund(u.PayOrdID); ordered {
		told = script.Status
		if told == refundUnclear && !script.Done {
			return refundAnswer(u, g.Number, told), nil
		}
		if told == refundRefused {
			g.Status = refundRefused
		}
	}
	if g.Insurer && g.Status == refundDone {
		g.SetlID = s.newID()
	}
	if err := s.record(entry{Kind: "given_back", PayOrdID: u.PayOrdID, Giving: g}); err != nil {
		return nil, err
	}
	return refundAnswer(u, g.Number, told), nil
}

func refundAnswer(u *upload, number, status string) map[string]any {
	return map[string]any{"payOrdId": u.PayOrdID, "appRefdSn": number, "refStatus": status}
}

// credentialOfRefund wants exactly one credential, the order's own; it may be long expired (§12.8).
func credentialOfRefund(u *upload, in values) error {
	auth, token := in["payAuthNo"], in["ecToken"]
	switch {
	case (auth == "") == (token == ""):
		return refuse("[payAuthNo]与[ecToken]必须且只能填写一个")
	case auth != "" && auth != u.Auth, token != "" && token != u.ECToken && token != businessToken(u.Auth):
		return refuse("退费凭证与支付订单不一致")
	case !refundTime(in["appRefdTime"]):
		return refuse("[appRefdTime]格式或长度错误")
	}
	return in.choose(choice{"refdType", []string{"ALL", "CASH", "HI"}})
}

// plannedRefund compares a 6203 with what was settled and says what it would do (§4.3): ALL repeats every part, HI the insurer's parts, CASH
// carries cash alone and may be a part of it.
func (s *Sim) plannedRefund(u *upload, in values) (*giving, error) {
	x := s.settlements[u.SetlID]
	if x == nil {
		return nil, refuse("支付订单状态[%d]不允许退费", u.Stas)
	}
	f := s.figures(x.Amounts)
	cash, account, fund, total := in.fen("cashRefdAmt"), in.fen("psnAcctRefdAmt"), in.fen("fundRefdAmt"), in.fen("totlRefdAmt")
	g := &giving{Cash: cash, Insurer: in["refdType"] != "CASH"}
	var wantCash money.Fen
	if in["refdType"] == "ALL" {
		wantCash = f.cash
	}
	insurerPart := account == f.account && (fund == f.fund || fund == f.fund+f.other)
	sum := cash + account + fund // othFeeAmt has no member of its own: it is in the fund's part or in the total alone
	if g.Insurer && fund == f.fund {
		sum += f.other
	}
	after, allowed := afterRefund(u, in["refdType"], f.cash, cash)
	switch {
	case !allowed:
		return nil, refuse("支付订单状态[%d]不允许退费[%s]", u.Stas, in["refdType"])
	case g.Insurer && (!insurerPart || cash != wantCash), !g.Insurer && (account != 0 || fund != 0 || cash == 0 || u.CashBack+cash > f.cash):
		return nil, refuse("退费金额与原结算不符")
	case total != sum:
		return nil, refuse("退费总额[totlRefdAmt]与各部分合计不符")
	}
	g.Stas = after
	return g, nil
}

// afterRefund is the code after a refund of that type; false where the code as it is has no such move.
func afterRefund(u *upload, kind string, paid, cash money.Fen) (code int, ok bool) {
	settled := u.Stas >= stasInsurancePaid && u.Stas <= stasAllDone
	whole := u.CashBack+cash == paid
	switch {
	case kind == "ALL" && settled:
		return stasAllBack, true
	case kind == "HI" && settled:
		return stasInsuranceBack, true
	case kind == "HI" && u.Stas == stasCashBack:
		return stasAllBack, true
	case kind == "HI" && u.Stas == stasCashPartBack:
		return stasMixedBack, true
	case kind == "CASH" && (settled || u.Stas == stasCashPartBack):
		return either(whole, stasCashBack, stasCashPartBack), true
	case kind == "CASH" && slices.Contains([]int{stasInsuranceBack, stasMixedBack}, u.Stas):
		return either(whole, stasAllBack, stasMixedBack), true
	}
	return 0, false
}

func either(first bool, a, b int) int {
	if first {
		return a
	}
	return b
}
