package wechatpaysim

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/sandbox"
)

// What the WeChat client shows at the medical-insurance cashier instead of success.
var (
	ErrMixTradeNo  = errors.New("医保订单不存在，请重新下单")
	ErrMixedParam  = errors.New("requestMedicalInsurancePay:fail PARAM_ERROR")
	ErrMixedTyped  = errors.New("支付处理中，请勿重复支付")
	ErrMixedFailed = errors.New("医保订单支付失败，请重新下单")
	ErrInsurer     = errors.New("医保结算失败")
)

// PhoneMixed is what a mini program gives to wx.requestMedicalInsurancePay, with the appid it runs under and the openid of the person
// who taps. Without cash the five arguments of the cash order are empty.
type PhoneMixed struct {
	PhonePay
	MixTradeNo string `json:"mixTradeNo"`
}

// withoutCash reports whether none of the five arguments of a cash order is there.
func (p PhonePay) withoutCash() bool {
	return p.TimeStamp == "" && p.NonceStr == "" && p.Package == "" && p.SignType == "" && p.PaySign == ""
}

// PayMixed is the payer typing the one password: WeChat charges the cash and has the centre settle the insurer's part. Nil means that the
// cashier said ok, which is not "paid": a script may leave the outcome open. What it says no to before the password, and the bank's
// refusal, leave the order as it was; ErrInsurer means that it failed.
func (s *Sim) PayMixed(ctx context.Context, p PhoneMixed) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	outTradeNo, now, err := s.typePassword(p)
	if err != nil || !now {
		return err
	}
	return s.finishMixed(outTradeNo)
}

// typePassword checks as client and cashier do and notes the password, so that a kill before the outcome loses nothing. now tells
// whether the caller has the outcome in hand.
func (s *Sim) typePassword(p PhoneMixed) (outTradeNo string, now bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at := s.cfg.Clock.Now()
	outTradeNo = s.books.mixTrades[p.MixTradeNo]
	m := s.books.mixed[outTradeNo]
	if m == nil || s.cfg.MedIns == nil {
		return "", false, ErrMixTradeNo
	}
	if err := s.atCashier(m, p, at); err != nil {
		return "", false, err
	}
	wishes := s.books.scripts
	if _, left, refused := take(wishes.Bank, outTradeNo); refused && m.Request.hasCash() {
		wishes.Bank = left
		if err := s.commit(entry{Scripts: &wishes}); err != nil {
			return "", false, err
		}
		return "", false, ErrBank
	}
	changed := *m
	changed.Typed = &typed{Until: at}
	e := entry{Mixed: []*mixed{&changed}}
	if wish, left, ok := takeTyped(wishes.Typed, outTradeNo); ok {
		changed.Typed = wish.begin(at)
		wishes.Typed = left
		e.Scripts = &wishes
	}
	if err := s.commit(e); err != nil {
		return "", false, err
	}
	if now = changed.Typed.due(at); now {
		s.settling[outTradeNo] = true
	}
	return outTradeNo, now, nil
}

// atCashier checks what the page gives and whether the order can be paid.
func (s *Sim) atCashier(m *mixed, p PhoneMixed, now time.Time) error {
	mix, _, _ := s.mixedState(m, now)
	switch {
	case !slices.Contains(s.cfg.AppIDs, p.AppID) || m.Request.AppID != p.AppID:
		return ErrMixTradeNo
	case !m.Request.hasCash() && !p.withoutCash():
		return ErrMixedParam
	case m.Request.OpenID != p.OpenID:
		return ErrOtherPayer
	case m.Typed != nil:
		return ErrMixedTyped
	case mix == mixFail:
		return ErrMixedFailed
	case mix != mixCreated:
		return ErrOrderPaid
	case !m.Request.hasCash():
		if !now.Before(s.books.payableUntil(m)) {
			return ErrExpired
		}
		return nil
	}
	id, err := s.checkPhone(p.PhonePay)
	switch {
	case err != nil:
		return err
	case id != m.Request.PrepayID || s.books.prepays[id] != m.number():
		return ErrPrepayID
	}
	return payable(s.books.orders[m.number()], id, p.PhonePay, now)
}

// finishMixed asks the centre, without the lock, and books the outcome. The caller has put the order into settling.
func (s *Sim) finishMixed(outTradeNo string) error {
	s.mu.Lock()
	m := s.books.mixed[outTradeNo]
	s.mu.Unlock()
	reason, drawn := s.settleInsurer(m)
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.settling, outTradeNo)
	if err := s.commit(s.outcome(m, reason, drawn)); err != nil {
		return err
	}
	if reason != "" {
		return fmt.Errorf("%w：%s", ErrInsurer, reason)
	}
	return nil
}

// settleInsurer has the insurer's part settled, and returns why it was not. drawn is the mode that goes with a refusal by level.
func (s *Sim) settleInsurer(m *mixed) (reason string, drawn CashMode) {
	in := &m.Request
	if !in.hasInsurer() {
		return "", ""
	}
	if m.Typed.Refused != "" {
		return m.Typed.Refused, ""
	}
	if refused, mode := s.refusedByPlan(m.number()); refused {
		return "医保局系统繁忙，结算未受理", mode
	}
	a := in.amounts()
	return s.cfg.Centre.SettleMixed(in.PayOrderID, in.PayAuthNo, in.SerialNo, in.MedInstNo, a.gov, a.self, a.other, a.cash), ""
}

// outcome is the entry of an order whose password was typed: all of it paid, or failed with the cash as the mode says. A failure is
// never notified; cash that was charged is, for itself.
func (s *Sim) outcome(m *mixed, reason string, drawn CashMode) entry {
	now := s.cfg.Clock.Now()
	done := *m
	done.Typed = nil
	e := entry{Mixed: []*mixed{&done}}
	mode := s.cashMode(drawn)
	if reason == "" {
		done.PaidAt = now
	} else {
		done.FailedAt, done.FailReason = now, reason
	}
	if o := s.books.orders[m.number()]; m.Request.hasCash() && (reason == "" || mode != CashUncharged) {
		paid, told := s.charge(o, now)
		e.Notices = append(e.Notices, told)
		e.Orders = []*order{paid}
		if reason != "" && mode == CashReturned {
			back := s.returnCash(paid, &done, now)
			paid.Refunds = []string{back.Request.OutRefundNo}
			e.Refunds = []*refund{back}
		}
	}
	if reason == "" {
		e.Notices = append(e.Notices, s.mixedNotice(&done, now))
	}
	return e
}

// returnCash is WeChat giving back by itself what it charged: a refund that the merchant never asked for and is not told of.
func (s *Sim) returnCash(o *order, m *mixed, now time.Time) *refund {
	total := o.Request.Amount.Total
	return &refund{Request: refundRequest{TransactionID: o.TransactionID, OutRefundNo: "MIX" + m.MixTradeNo, Reason: "医保结算失败，现金退回",
		Amount: refundAmount{Refund: total, Total: total, Currency: "CNY"}}, ID: s.refundID(now), OutTradeNo: o.number(), CreatedAt: now,
		FeeBack: o.Fee, Steps: []step{{At: now, Status: refundSuccess}}}
}

// cashMode is what becomes of the cash now: what was set at run time, what was drawn, what is configured, kept.
func (s *Sim) cashMode(drawn CashMode) CashMode {
	for _, mode := range []CashMode{s.books.scripts.Cash, drawn, s.cfg.MedIns.Cash} {
		if mode != "" {
			return mode
		}
	}
	return CashKept
}

// cashierRefusals is how many of a thousand mixed orders the level harsh has refused at the cashier.
const cashierRefusals = 8

// refusedByPlan has the plan decide whether the insurer refuses at the cashier. A level draws by its seed and the order's number; the
// draw becomes a script, so that the plan records it. No other fault of a level happens here: the cashier is no message of ours.
func (s *Sim) refusedByPlan(outTradeNo string) (refused bool, drawn CashMode) {
	if s.cfg.Plan == nil {
		return false, ""
	}
	if level, seed := s.cfg.Plan.Level(); level == sandbox.Harsh {
		h := fnv.New64a()
		_, _ = fmt.Fprintf(h, "%d|cashier|%s", seed, outTradeNo)
		x := (h.Sum64() ^ h.Sum64()>>33) * 0xff51afd7ed558ccd
		if x ^= x >> 33; x%1000 < cashierRefusals {
			drawn = []CashMode{CashKept, CashReturned, CashUncharged}[x/1000%3]
			s.cfg.Plan.Script(sandbox.Script{Op: "cashier", Key: outTradeNo, Fault: sandbox.Refuse})
		}
	}
	door := s.cfg.Plan.Wrap(func(*http.Request, []byte) sandbox.Call {
		return sandbox.Call{Op: "cashier", Key: outTradeNo, Refusable: true, Most: -1}
	}, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if sandbox.Injected(r.Context()) == sandbox.Refuse {
			w.WriteHeader(http.StatusForbidden)
		}
	}))
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://cashier/", http.NoBody)
	if err != nil {
		return false, ""
	}
	answer, err := sandbox.TransportAt(s.cfg.Clock, door).RoundTrip(request)
	if err != nil {
		return false, ""
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusForbidden, drawn
}

// finishTyped brings one order whose time between password and outcome is over to its end, and reports whether there was one.
func (s *Sim) finishTyped() bool {
	if s.cfg.MedIns == nil {
		return false
	}
	s.mu.Lock()
	now := s.cfg.Clock.Now()
	var first *mixed
	for _, number := range s.books.typed {
		if m := s.books.mixed[number]; m.Typed.due(now) && !s.settling[number] {
			first = m
			break
		}
	}
	if first != nil {
		s.settling[first.number()] = true
	}
	s.mu.Unlock()
	if first == nil {
		return false
	}
	err := s.finishMixed(first.number())
	return err == nil || errors.Is(err, ErrInsurer) // what could not be noted is done again
}

// holdsTyped refuses to close a cash order whose payer has typed the password, and counts the attempts that a script wants. The caller
// holds the lock.
func (s *Sim) holdsTyped(outTradeNo string) *refusal {
	m := s.books.mixed[outTradeNo]
	if m == nil || m.Typed == nil {
		return nil
	}
	if m.Typed.Counted && m.Typed.Closes > 0 {
		fewer, changed := *m.Typed, *m
		fewer.Closes--
		changed.Typed = &fewer
		if s.commit(entry{Mixed: []*mixed{&changed}}) != nil {
			return systemError()
		}
	}
	return invalidRequest("用户已验证密码，无法关闭订单").numbered(numberTyped)
}
