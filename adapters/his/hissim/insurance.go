package hissim

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// Claim is what the platform has the hospital ask its insurer about (医保结算单), by the platform's number.
type Claim struct {
	ClaimNo    string       `json:"claim_no"`
	OrderNo    string       `json:"order_no"`
	PatientID  string       `json:"patient_id"`
	Lines      []RefundLine `json:"lines"`
	TotalFen   money.Fen    `json:"total_fen"`
	UseAccount bool         `json:"use_account"`
	Visit      LinkVisit    `json:"visit"`
	Parts      Parts        `json:"parts"` // as foreseen, then as settled
	Echo       LinkEcho     `json:"echo"`
	BalanceFen *money.Fen   `json:"balance_fen,omitempty"`
	State      string       `json:"state"` // presettled, settled, cancelled, withdrawn
	SettleNo   string       `json:"settle_no,omitempty"`
	SetlID     string       `json:"setl_id,omitempty"`
	SettledAt  time.Time    `json:"settled_at,omitzero"`
	ClrOptins  string       `json:"clr_optins,omitempty"`
	ClrWay     string       `json:"clr_way,omitempty"`
	ClrType    string       `json:"clr_type,omitempty"`
}

// The states of a claim.
const (
	claimPresettled = "presettled" // 已预结算
	claimSettled    = "settled"    // 已结算
	claimCancelled  = "cancelled"  // 已撤销
	claimWithdrawn  = "withdrawn"  // 已撤回
)

// Call is something asked of the insurer that moves money, by the platform's number. The hospital writes it down before it asks.
type Call struct {
	No      string `json:"no"`
	ClaimNo string `json:"claim_no"`
	Cancel  bool   `json:"cancel,omitempty"`
	LinkNo  string `json:"link_no,omitempty"`
	State   string `json:"state"` // asked, done, refused, undone
	Reason  string `json:"reason,omitempty"`
}

// The states of a call.
const (
	callAsked   = "asked" // what came of it, the hospital does not know: it died meanwhile
	callDone    = "done"
	callRefused = "refused"
	callUndone  = "undone" // reversed, perhaps before it came
)

type presettleRequest struct {
	OrderNo    string       `json:"order_no"`
	ClaimNo    string       `json:"claim_no"`
	TotalFen   money.Fen    `json:"total_fen"`
	PayAuthNo  string       `json:"pay_auth_no"`
	PatientID  string       `json:"patient_id"`
	UseAccount bool         `json:"use_account"`
	Lines      []RefundLine `json:"lines"`
}

type settleRequest struct {
	OrderNo   string    `json:"order_no"`
	ClaimNo   string    `json:"claim_no"`
	PatientID string    `json:"patient_id"`
	TotalFen  money.Fen `json:"total_fen"`
	PayAuthNo string    `json:"pay_auth_no"`
	SettleNo  string    `json:"settle_no"`
}

type claimView struct {
	ClaimNo string `json:"claim_no"`
	LinkVisit
	TotalFen   money.Fen  `json:"total_fen"`
	Parts      Parts      `json:"parts"`
	BalanceFen *money.Fen `json:"balance_fen,omitempty"`
	SettleNo   string     `json:"settle_no,omitempty"`
	SetlID     string     `json:"setl_id,omitempty"`
	SettledAt  string     `json:"settled_at,omitempty"`
	ClrOptins  string     `json:"clr_optins,omitempty"`
	ClrWay     string     `json:"clr_way,omitempty"`
	ClrType    string     `json:"clr_type,omitempty"`
}

type reverseRequest struct {
	ReverseNo  string `json:"reverse_no"`
	VisitNo    string `json:"visit_no"`
	Original   string `json:"original"` // settle, cancel
	OriginalNo string `json:"original_no"`
}

type reverseAnswer struct {
	ReverseNo string `json:"reverse_no"`
	State     string `json:"state"` // not_settled, settled
}

type setlRequest struct {
	VisitNo  string `json:"visit_no"`
	CancelNo string `json:"cancel_no"`
	SetlID   string `json:"setl_id"`
}

type setlAnswer struct {
	SetlID string `json:"setl_id"`
	State  string `json:"state"`
}

type withdrawRequest struct {
	OrderNo string `json:"order_no"`
	ClaimNo string `json:"claim_no"`
}

type reasonView struct {
	Reason string `json:"reason"`
}

// claimNo is the form of the platform's numbers of claims, settlements, reversals and cancellations.
var claimNo = regexp.MustCompile(`^[0-9A-Za-z_-]{1,30}$`)

// number checks one of them.
func number(field, value string) error {
	if !claimNo.MatchString(value) {
		return fmt.Errorf("%w: %s", errRequest, field)
	}
	return nil
}

// insuranceOperations are the paths of §3.12 to §3.17, of a hospital with a line of its own.
func insuranceOperations() map[string]operation {
	return map[string]operation{
		"/his/v1/insurance/presettle": {op: "insurance.presettle", handle: (*Sim).presettle, refuses: true, priced: true},
		// The platform gives an order up whose second settlement is lost, too (design.md §3); that is no fault of the order's.
		"/his/v1/insurance/settle":   {op: "insurance.settle", handle: (*Sim).settle, refuses: true, most: 1},
		"/his/v1/insurance/reverse":  {op: "insurance.reverse", handle: (*Sim).reverse},
		"/his/v1/insurance/cancel":   {op: "insurance.cancel", handle: (*Sim).cancel},
		"/his/v1/insurance/query":    {op: "insurance.query", handle: (*Sim).inForce},
		"/his/v1/insurance/withdraw": {op: "insurance.withdraw", handle: (*Sim).withdraw},
	}
}

// refusedBy is the answer to what the insurer refuses; every other error of the line leaves it open.
func refusedBy(err error) (reply, error) {
	if r, ok := errors.AsType[LinkRefusal](err); ok {
		return reply{code: codeInsurer, message: "医保未通过", data: reasonView{Reason: string(r)}}, nil
	}
	return reply{}, err
}

// presettle serves insurance/presettle. A claim that is known is asked about once more as it stands; a new one takes the place of what its order has
// that is not settled.
func (s *Sim) presettle(ctx context.Context, body []byte) (reply, error) {
	var in presettleRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := in.check(); err != nil {
		return reply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.state.claims[in.ClaimNo]
	switch {
	case known && !(c.OrderNo == in.OrderNo && c.TotalFen == in.TotalFen && c.UseAccount == in.UseAccount && sameLines(c.Lines, in.Lines)):
		return reply{code: codeDuplicate, message: "结算单号已使用"}, nil
	case known && c.State == claimPresettled && s.broken(PresettleOnce):
		return reply{code: codeDuplicate, message: "结算单号已使用"}, nil
	case known && c.State == claimSettled && s.broken(ForgetsSettled):
		return reply{code: codeDone, message: "预结算成功", data: viewClaim(c)}, nil
	case known && c.State == claimSettled:
		return reply{code: codeSettled, message: "该结算单已结算"}, nil
	case known && c.State == claimWithdrawn:
		return reply{code: codeNotFound, message: "该结算单已撤回"}, nil
	case sandbox.Injected(ctx) == sandbox.Refuse:
		return refusedBy(LinkRefusal("该人员待遇已变更,不予结算"))
	}
	bills, refused := s.claimable(in)
	if refused != nil {
		return *refused, nil
	}
	link := s.linkClaim(in.PatientID, in.PayAuthNo, bills)
	link.BatchNo, link.TotalFen, link.UseAccount = in.ClaimNo, in.TotalFen, in.UseAccount
	ask := s.config.Link.Repeat
	if known {
		link.Visit = c.Visit
	} else {
		ask = s.config.Link.Presettle
		link.Visit = s.visitOf(in.OrderNo)
		if link.Visit.VisitNo == "" {
			link.Visit.VisitNo = s.number("YB", s.config.Clock.Now())
		}
	}
	a, err := ask(link)
	if err != nil {
		return refusedBy(err)
	}
	c = Claim{ClaimNo: in.ClaimNo, OrderNo: in.OrderNo, PatientID: in.PatientID, Lines: in.Lines, TotalFen: in.TotalFen, UseAccount: in.UseAccount,
		Visit: a.Visit, Parts: a.Parts, Echo: a.Echo, BalanceFen: a.BalanceFen, State: claimPresettled}
	claims := []Claim{c}
	if !known {
		claims = append(claims, s.superseded(in.OrderNo)...)
	}
	e := entry{Claims: claims}
	if s.broken(PresettleLocks) {
		e.Lock = s.lockFor(c)
	}
	if err := s.commit(e); err != nil {
		return reply{}, err
	}
	out := viewClaim(c)
	if s.broken(PresettleOff) {
		out.Parts.Cash++
	}
	if sandbox.Injected(ctx) == sandbox.ChangeAmount && out.Parts.PooledFund > 0 {
		out.Parts.PooledFund-- // the insurer will settle otherwise
		out.Parts.Cash++
	}
	return reply{code: codeDone, message: "预结算成功", data: out}, nil
}

// lockFor is a lock that nobody asked for, of PresettleLocks. The caller holds the mutex.
func (s *Sim) lockFor(c Claim) *Lock {
	now := s.config.Clock.Now()
	l := Lock{OrderNo: c.OrderNo, PatientID: c.PatientID, TotalFen: c.TotalFen, LockedAt: now, ExpiresAt: now.Add(s.config.LockLife)}
	for _, line := range c.Lines {
		if !slices.Contains(l.BillNos, line.BillNo) {
			l.BillNos = append(l.BillNos, line.BillNo)
		}
	}
	return &l
}

func (in *presettleRequest) check() error {
	if err := errors.Join(number("claim_no", in.ClaimNo), text("patient_id", in.PatientID, 64)); err != nil {
		return err
	}
	if !orderNo.MatchString(in.OrderNo) || in.TotalFen <= 0 || in.TotalFen > money.Max || len(in.PayAuthNo) > 512 {
		return fmt.Errorf("%w: order_no, total_fen or pay_auth_no", errRequest)
	}
	return checkLines(in.Lines)
}

// superseded are the claims of an order that were presettled alone, given up: their lines are withdrawn with the new claim. The caller holds the mutex.
func (s *Sim) superseded(order string) (claims []Claim) {
	for _, no := range s.state.claimsOf[order] {
		if c := s.state.claims[no]; c.State == claimPresettled {
			c.State = claimWithdrawn
			claims = append(claims, c)
		}
	}
	return claims
}

// visitOf is the visit under which an order's claims were uploaded so far.
func (s *Sim) visitOf(order string) LinkVisit {
	for _, no := range slices.Backward(s.state.claimsOf[order]) {
		return s.state.claims[no].Visit
	}
	return LinkVisit{}
}

// claimable finds the bills with the lines of a claim alone. Of an unpaid bill all insured lines are asked for; of one that the platform has paid, what a
// refund leaves. The caller holds the mutex.
func (s *Sim) claimable(in presettleRequest) ([]Bill, *reply) {
	now, patient := s.config.Clock.Now(), s.state.remaining(in.PatientID)
	var bills []Bill
	var total money.Fen
	for i, l := range in.Lines {
		if slices.ContainsFunc(in.Lines[:i], func(e RefundLine) bool { return e.BillNo == l.BillNo }) {
			continue
		}
		b, ok := s.state.billAt(l.BillNo, now)
		_, locked := s.state.holder(l.BillNo, in.OrderNo, now)
		switch {
		case !ok || (b.PatientID != patient && !s.broken(ClaimsOthers)):
			return nil, &reply{code: codeNotFound, message: "费用单不存在"}
		case b.State == Void:
			return nil, &reply{code: codeBillVoid, message: "费用单已作废"}
		case b.State == Paid && !(b.PaidWhere == atPlatform && b.PaidBy == in.OrderNo):
			return nil, &reply{code: codeAlreadyPaid, message: "费用单已缴费", data: paidAs(b)}
		case locked:
			return nil, &reply{code: codeLocked, message: "费用单正在缴费"}
		}
		part, whole, ok := claimedOf(b, in.Lines)
		if !ok || (b.State == Unpaid && !whole && !s.broken(ClaimsPart)) {
			return nil, &reply{code: codeBillChanged, message: "费用单已变更"}
		}
		total += part.TotalFen
		bills = append(bills, part)
	}
	if total != in.TotalFen {
		return nil, &reply{code: codeBillChanged, message: "费用单金额已变更"}
	}
	return bills, nil
}

// claimedOf is a bill with the lines asked for alone. Whole: those are all its insured lines, as they are.
func claimedOf(b Bill, asked []RefundLine) (part Bill, whole, ok bool) {
	part, whole = b, true
	part.Lines, part.TotalFen = nil, 0
	found := 0
	for _, l := range b.Lines {
		i := slices.IndexFunc(asked, func(a RefundLine) bool { return a.key() == itemKey{b.No, l.No} })
		if i < 0 {
			whole = whole && !l.Insured
			continue
		}
		a := asked[i]
		have := RefundLine{Quantity: l.Quantity}
		if !l.Insured || a.quantity().GreaterThan(have.quantity()) || a.TotalFen > l.TotalFen {
			return part, false, false
		}
		whole = whole && a.quantity().Equal(have.quantity()) && a.TotalFen == l.TotalFen
		l.Quantity, l.TotalFen = a.Quantity, a.TotalFen
		part.Lines = append(part.Lines, l)
		part.TotalFen += l.TotalFen
		found++
	}
	for _, a := range asked {
		if a.BillNo == b.No {
			found--
		}
	}
	return part, whole, found == 0
}

// linkClaim is what the line is told of a person and bills. The caller holds the mutex.
func (s *Sim) linkClaim(patientID, payAuthNo string, bills []Bill) LinkClaim {
	p := s.state.patients[s.state.remaining(patientID)]
	return LinkClaim{Name: p.Name, IDNo: p.IDNo, PayAuthNo: payAuthNo, Bills: bills}
}

func viewClaim(c Claim) claimView {
	v := claimView{ClaimNo: c.ClaimNo, LinkVisit: c.Visit, TotalFen: c.TotalFen, Parts: c.Parts, BalanceFen: c.BalanceFen}
	if c.State == claimSettled {
		v.SettleNo, v.SetlID, v.SettledAt = c.SettleNo, c.SetlID, wireTime(c.SettledAt)
		v.ClrOptins, v.ClrWay, v.ClrType = c.ClrOptins, c.ClrWay, c.ClrType
	}
	return v
}
