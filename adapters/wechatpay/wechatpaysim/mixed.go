package wechatpaysim

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// The three states of a mixed order (医保自费混合订单): of the whole, of the cash, of the insurer's part.
const (
	mixCreated  = "MIX_PAY_CREATED"
	mixSuccess  = "MIX_PAY_SUCCESS"
	mixFail     = "MIX_PAY_FAIL"
	mixRefund   = "MIX_PAY_REFUND"
	selfCreated = "SELF_PAY_CREATED"
	selfSuccess = "SELF_PAY_SUCCESS"
	selfRefund  = "SELF_PAY_REFUND"
	selfFail    = "SELF_PAY_FAIL"
	selfNone    = "NO_SELF_PAY"
	insCreated  = "MED_INS_PAY_CREATED"
	insSuccess  = "MED_INS_PAY_SUCCESS"
	insRefund   = "MED_INS_PAY_REFUND"
	insFail     = "MED_INS_PAY_FAIL"
	insNone     = "NO_MED_INS_PAY"
)

// usualGiveUp is how long after its last payable moment an abandoned mixed order still says CREATED. WeChat does not publish it.
const usualGiveUp = 2 * time.Hour

// Centre settles the insurer's part when the payer has typed the password. An empty reason means settled; any other is what
// med_ins_fail_reason will say. After a kill it may be asked again about an order whose answer was lost: the same numbers and amounts
// should then get the same answer.
type Centre interface {
	SettleMixed(payOrderID, payAuthNo, serialNo, medInstNo string, gov, self, other, cash money.Fen) (reason string)
}

// MedIns is what WeChat knows of a hospital that may take medical insurance.
type MedIns struct {
	MedInstNo string // 医疗机构编码
	CityID    string // Tencent's own
	// Cash is what WeChat does with the cash when the insurer refuses; empty: CashKept. SetMixedCash changes it at run time.
	Cash CashMode
	// GiveUp is how long an abandoned order still says CREATED; 0: two hours, negative: not at all. Pace divides it.
	GiveUp time.Duration
}

// CashMode is what becomes of the cash of a mixed order whose insurer refuses. Which one WeChat follows is not known, so each can be had.
type CashMode string

// The modes.
const (
	CashKept      CashMode = "kept"      // charged before the insurer was asked, and kept: the merchant has to refund it
	CashReturned  CashMode = "returned"  // charged before, and given back by WeChat itself
	CashUncharged CashMode = "uncharged" // the insurer was asked first: never charged
)

func (c CashMode) known() bool { return c == CashKept || c == CashReturned || c == CashUncharged }

func (m *MedIns) check(centre Centre) error {
	switch {
	case m == nil:
		return nil
	case m.MedInstNo == "" || m.CityID == "" || centre == nil:
		return errors.New("medical insurance needs the institution's number, its city and a centre")
	case m.Cash != "" && !m.Cash.known():
		return errors.New("cash of a refused mixed order is kept, returned or uncharged")
	}
	return nil
}

// mixed is one mixed order.
type mixed struct {
	Request    mixedRequest `json:"request"` // without payer and relative
	MixTradeNo string       `json:"mix_trade_no"`
	CreatedAt  time.Time    `json:"created_at"`
	Typed      *typed       `json:"typed,omitempty"` // the password is typed, the outcome open
	PaidAt     time.Time    `json:"paid_at,omitzero"`
	FailedAt   time.Time    `json:"failed_at,omitzero"`
	FailReason string       `json:"fail_reason,omitempty"`
	Back       *insurerBack `json:"back,omitempty"` // the newest 医保退款通知
}

// number is the merchant's number, which the cash order shares.
func (m *mixed) number() string { return m.Request.OutTradeNo }

// typed is the time between the password and the outcome.
type typed struct {
	Until   time.Time `json:"until,omitzero"`    // when it ends by itself; zero: not by time
	Counted bool      `json:"counted,omitempty"` // it ends when Closes is used up
	Closes  int       `json:"closes,omitempty"`  // attempts to close the cash order still to come
	Refused string    `json:"refused,omitempty"` // the insurer's refusal; empty: the centre is asked
}

func (t *typed) due(now time.Time) bool {
	return (!t.Until.IsZero() && !now.Before(t.Until)) || (t.Counted && t.Closes == 0)
}

// payableUntil is the end of the time in which the password can be typed: that of the cash order and its prepay_id, or as long as a
// prepay_id lives when there is no cash.
func (b *books) payableUntil(m *mixed) time.Time {
	o := b.orders[m.number()]
	if !m.Request.hasCash() || o == nil {
		return m.CreatedAt.Add(prepayLife)
	}
	end := o.CreatedAt.Add(orderLife)
	for _, p := range o.Prepays {
		if p.ID == m.Request.PrepayID && p.Until.Before(end) {
			end = p.Until
		}
	}
	for _, t := range []time.Time{o.ExpiresAt, o.ClosedAt} {
		if !t.IsZero() && t.Before(end) {
			end = t
		}
	}
	return end
}

// mixedState reads the three states at that moment. Failure by abandonment comes after the waiting time.
func (s *Sim) mixedState(m *mixed, now time.Time) (mix, self, ins string) {
	mix, self, ins = mixCreated, selfCreated, insCreated
	switch {
	case !m.PaidAt.IsZero():
		mix, self, ins = mixSuccess, selfSuccess, insSuccess
	case !m.FailedAt.IsZero():
		mix, self, ins = mixFail, selfFail, insFail
	case m.Typed == nil && !now.Before(s.books.payableUntil(m).Add(s.wait(s.cfg.MedIns.giveUp(), usualGiveUp))):
		mix, self, ins = mixFail, selfFail, insFail
	}
	if o := s.books.orders[m.number()]; m.Request.hasCash() && o != nil && o.paid() {
		self = selfSuccess
		if back, _ := s.books.givenBack(o, now); back == o.Request.Amount.Total {
			self = selfRefund
		}
	}
	if ins == insSuccess && m.Back != nil && m.Back.Total == m.Request.insured() {
		ins = insRefund
	}
	if !m.Request.hasCash() {
		self = selfNone
	}
	if !m.Request.hasInsurer() {
		ins = insNone
	}
	if mix == mixSuccess && (self == selfRefund || self == selfNone) && (ins == insRefund || ins == insNone) {
		mix = mixRefund
	}
	return mix, self, ins
}

func (m *MedIns) giveUp() time.Duration {
	if m == nil { // a journal from when the permission was open
		return 0
	}
	return m.GiveUp
}

// insured is the insurer's money.
func (m *mixedRequest) insured() money.Fen {
	a := m.amounts()
	return a.gov + a.self + a.other
}

// mixedAnswer is the order entity of every answer: the request as it came, without the persons.
type mixedAnswer struct {
	MixTradeNo string `json:"mix_trade_no"`
	Mix        string `json:"mix_pay_status"`
	Self       string `json:"self_pay_status"`
	MedIns     string `json:"med_ins_pay_status"`
	PaidTime   string `json:"paid_time,omitempty"`
	FailReason string `json:"med_ins_fail_reason,omitempty"`
	mixedRequest
}

func (s *Sim) describeMixed(m *mixed, now time.Time) mixedAnswer {
	a := mixedAnswer{MixTradeNo: m.MixTradeNo, mixedRequest: m.Request}
	a.Mix, a.Self, a.MedIns = s.mixedState(m, now)
	if !m.PaidAt.IsZero() {
		a.PaidTime = wireTime(m.PaidAt)
	}
	if a.MedIns == insFail {
		a.FailReason = m.FailReason
	}
	return a
}

// permitted refuses a merchant for whom medical insurance is not open.
func (s *Sim) permitted() *refusal {
	if s.cfg.MedIns == nil {
		return refuse(http.StatusForbidden, "REQUEST_BLOCKED", "商户未开通医保支付权限")
	}
	return nil
}

// createMixed is 医保自费混合收款下单. A number that was used answers ALREADY_EXISTS, whatever comes with it.
func (s *Sim) createMixed(r *http.Request, body []byte) (any, *refusal) {
	if no := s.permitted(); no != nil {
		return nil, no
	}
	if r.Header.Get("Wechatpay-Serial") == "" { // a wrong one was refused before
		return nil, badParameter("Http头缺少Wechatpay-Serial")
	}
	var in mixedRequest
	if no := readMixed(body, mixedFields, &in); no != nil {
		return nil, no
	}
	if no := in.form(); no != nil {
		return nil, no
	}
	payer, no := s.open(in.Payer)
	if no != nil {
		return nil, no
	}
	relative, no := s.open(in.Relative)
	if no != nil {
		return nil, no
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	if s.books.mixed[in.OutTradeNo] != nil {
		return nil, refuse(http.StatusBadRequest, "ALREADY_EXISTS", "订单已存在").numbered(numberExists)
	}
	if no := s.acceptable(&in, payer, relative, now); no != nil {
		return nil, no
	}
	if sandbox.Injected(r.Context()) == sandbox.Refuse {
		return nil, invalidRequest("医保局拒绝了本次请求").numbered(numberInsurer)
	}
	in.Payer, in.Relative = nil, nil
	made := &mixed{Request: in, MixTradeNo: s.mixTradeNo(now), CreatedAt: now}
	if err := s.commit(entry{Mixed: []*mixed{made}}); err != nil {
		return nil, systemError()
	}
	return s.describeMixed(made, now), nil
}

// acceptable checks a new order in the order WeChat does: the fields together, the amounts, the persons, what it is coupled with.
func (s *Sim) acceptable(in *mixedRequest, payer, relative opened, now time.Time) *refusal {
	if no := in.linked(); no != nil {
		return no
	}
	if no := in.balanced(); no != nil {
		return no
	}
	if !slices.Contains(s.cfg.AppIDs, in.AppID) {
		return badParameter("appid与商户号不匹配")
	}
	if s.cfg.KnownOpenID != nil && !s.cfg.KnownOpenID(in.OpenID) {
		return paramError("openid与appid不匹配").numbered(numberOpenID)
	}
	if no := s.entitled(in, payer, relative, now); no != nil {
		return no
	}
	return s.coupled(in, now)
}

// coupled checks the cash order of the same number, and that no other mixed order of the same 医疗机构订单号 is paid or may still be.
func (s *Sim) coupled(in *mixedRequest, now time.Time) *refusal {
	o := s.books.orders[in.OutTradeNo]
	switch {
	case !in.hasCash() && o != nil:
		return ruleLimit(numberInsuredLinkage, "纯医保订单不能有微信支付订单")
	case in.hasCash() && (o == nil || s.books.prepays[in.PrepayID] != in.OutTradeNo):
		return invalidRequest("prepay_id不是该out_trade_no的预支付订单")
	case in.hasCash() && (o.Request.AppID != in.AppID || o.Request.Payer.OpenID != in.OpenID):
		return invalidRequest("预支付订单的appid或openid与医保订单不一致")
	case in.hasCash() && o.Request.Amount.Total != in.amounts().wechat:
		return invalidRequest("预支付订单金额与wechat_pay_cash_fee不一致")
	case in.hasCash() && o.paid():
		return invalidRequest("微信支付订单已支付，不能再用于医保混合支付")
	case in.hasCash() && !now.Before(s.books.payableUntil(&mixed{Request: *in})):
		return invalidRequest("预支付订单已关闭或已过期")
	}
	for _, other := range s.books.serials[in.SerialNo] {
		m := s.books.mixed[other]
		mix, _, _ := s.mixedState(m, now)
		if mix == mixSuccess || mix == mixRefund || (mix == mixCreated && (m.Typed != nil || now.Before(s.books.payableUntil(m)))) {
			return invalidRequest("该serial_no已有未结束或已支付的医保订单")
		}
	}
	return nil
}

func (s *Sim) queryMixedByNumber(r *http.Request, _ []byte) (any, *refusal) {
	return s.queryMixed(r, func() string { return r.PathValue("number") })
}

func (s *Sim) queryMixedByTradeNo(r *http.Request, _ []byte) (any, *refusal) {
	return s.queryMixed(r, func() string { return s.books.mixTrades[r.PathValue("number")] })
}

// queryMixed answers the entity, in the states that a script wants, if one does.
func (s *Sim) queryMixed(r *http.Request, outTradeNo func() string) (any, *refusal) {
	if no := s.permitted(); no != nil {
		return nil, no
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.books.mixed[outTradeNo()]
	if m == nil {
		return nil, mixedNotExist()
	}
	now := s.cfg.Clock.Now()
	a := s.describeMixed(m, now)
	if wish, left, ok := takeStates(s.books.scripts.States, m.number()); ok {
		wishes := s.books.scripts
		wishes.States = left
		if err := s.commit(entry{Scripts: &wishes}); err != nil {
			return nil, systemError()
		}
		a.force(wish, now)
	}
	if sandbox.Injected(r.Context()) == sandbox.ChangeAmount {
		a.mixedRequest = m.Request.priced(1)
	}
	return a, nil
}

func mixedNotExist() *refusal {
	return refuse(http.StatusNotFound, "ORDER_NOT_EXIST", "订单不存在").numbered(numberNotFound)
}

// outTradeNoOf is the merchant's number of a mixed order, empty when there is none.
func (s *Sim) outTradeNoOf(mixTradeNo string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.books.mixTrades[mixTradeNo]
}

// callMixed names a request about mixed orders for the fault plan.
func (s *Sim) callMixed(path, outTradeNo string, query url.Values) sandbox.Call {
	const orders, numbers, trades = "/v3/med-ins/orders", "/v3/med-ins/orders/out-trade-no/", "/v3/med-ins/orders/mix-trade-no/"
	switch {
	case path == orders:
		return sandbox.Call{Op: "mixed", Key: outTradeNo, Refusable: true}
	case strings.HasPrefix(path, numbers):
		return sandbox.Call{Op: "mixed_query", Key: strings.TrimPrefix(path, numbers), Priced: true}
	case strings.HasPrefix(path, trades):
		return sandbox.Call{Op: "mixed_query", Key: s.outTradeNoOf(strings.TrimPrefix(path, trades)), Priced: true}
	default:
		return sandbox.Call{Op: "mixed_refund", Key: s.outTradeNoOf(query.Get("mix_trade_no"))}
	}
}

// mixTradeNo is a fresh 混合订单号 of 30 digits.
func (s *Sim) mixTradeNo(now time.Time) string {
	for {
		no := fmt.Sprintf("1318%s%018d", now.In(clock.Shanghai).Format("20060102"), s.cfg.Source.ID()%1e18)
		if _, used := s.books.mixTrades[no]; !used {
			return no
		}
	}
}
