package hissim

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/tuoka/tuoka/internal/sandbox"
)

// settle serves insurance/settle. The same number again changes nothing.
func (s *Sim) settle(ctx context.Context, body []byte) (reply, error) {
	var in settleRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := errors.Join(number("claim_no", in.ClaimNo), number("settle_no", in.SettleNo), text("patient_id", in.PatientID, 64)); err != nil {
		return reply{}, err
	}
	gone := s.broken(HalfSettlement) && left(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.state.claims[in.ClaimNo]
	call, repeated := s.state.calls[in.SettleNo]
	before := c
	if s.forgetsReversal(call) {
		repeated = false
	}
	switch {
	case !known || c.OrderNo != in.OrderNo || c.PatientID != in.PatientID || c.State == claimWithdrawn:
		return reply{code: codeNotFound, message: "没有该结算单"}, nil
	case repeated && (call.ClaimNo != in.ClaimNo || call.Cancel) && call.ClaimNo != "":
		return reply{code: codeDuplicate, message: "结算号已使用"}, nil
	case repeated:
		return s.settledAs(call, c)
	case c.State == claimSettled:
		return reply{code: codeSettled, message: "该结算单已结算"}, nil
	case in.TotalFen != c.TotalFen:
		return reply{code: codeBillChanged, message: "金额不符"}, nil
	case sandbox.Injected(ctx) == sandbox.Refuse:
		call = Call{No: in.SettleNo, ClaimNo: in.ClaimNo, State: callRefused, Reason: "该人员待遇已变更,不予结算"}
		if err := s.commit(entry{Call: &call}); err != nil {
			return reply{}, err
		}
		return refusedBy(LinkRefusal(call.Reason))
	}
	bills, refused := s.claimable(presettleRequest{OrderNo: c.OrderNo, PatientID: c.PatientID, Lines: c.Lines, TotalFen: c.TotalFen})
	if refused == nil {
		refused = s.claimedElsewhere(c)
	}
	if refused != nil {
		return *refused, nil
	}
	call = Call{No: in.SettleNo, ClaimNo: in.ClaimNo, LinkNo: s.config.Link.Number(), State: callAsked}
	if err := s.commit(entry{Call: &call}); err != nil {
		return reply{}, err
	}
	link := s.linkClaim(c.PatientID, in.PayAuthNo, bills)
	link.Visit, link.BatchNo, link.TotalFen, link.UseAccount, link.Echo = c.Visit, c.ClaimNo, c.TotalFen, c.UseAccount, c.Echo
	a, err := s.config.Link.Settle(call.LinkNo, link)
	if r, ok := errors.AsType[LinkRefusal](err); ok {
		call.State, call.Reason = callRefused, string(r)
		if err := s.commit(entry{Call: &call}); err != nil {
			return reply{}, err
		}
		return refusedBy(r)
	}
	if err != nil { // the platform has it reversed
		return reply{}, err
	}
	call.State = callDone
	c.State, c.SettleNo, c.SetlID, c.Parts, c.SettledAt = claimSettled, in.SettleNo, a.SetlID, a.Parts, a.SettledAt
	c.ClrOptins, c.ClrWay, c.ClrType = a.ClrOptins, a.ClrWay, a.ClrType
	if err := s.commit(entry{Call: &call, Claims: []Claim{c}, Notice: s.tell(settlementResult, c.OrderNo, "", "", s.config.Clock.Now())}); err != nil {
		return reply{}, err
	}
	if gone { // the insurer's books know better
		delete(s.state.calls, call.No)
		s.state.claims[c.ClaimNo] = before
	}
	out := viewClaim(c)
	if s.broken(SettleOff) {
		out.Parts.Cash++
	}
	return reply{code: codeDone, message: "结算成功", data: out}, nil
}

// forgetsReversal reports whether a defect lets a reversed number settle, of those that settled before or of those that never came.
func (s *Sim) forgetsReversal(c Call) bool {
	if c.State != callUndone || c.Cancel {
		return false
	}
	return (s.broken(NumberSettles) && c.ClaimNo != "") || (s.broken(ReversalForgets) && c.ClaimNo == "")
}

// settledAs answers a settlement that was asked before under the same number.
func (s *Sim) settledAs(call Call, c Claim) (reply, error) {
	switch {
	case call.State == callDone && c.State == claimSettled && c.SettleNo == call.No:
		out := viewClaim(c)
		if s.broken(SettlesAgain) {
			out.SetlID += "-2"
		}
		return reply{code: codeDone, message: "结算成功", data: out}, nil
	case call.State == callAsked:
		return reply{}, errUnknown
	case call.State == callRefused:
		return refusedBy(LinkRefusal(call.Reason))
	}
	return refusedBy(LinkRefusal("该结算号已冲正或已撤销"))
}

// errUnknown is what the hospital itself does not know.
var errUnknown = errors.New("hissim: what came of it at the insurer is not known")

// claimedElsewhere refuses bills that another claim has settled already, which stands. The caller holds the mutex.
func (s *Sim) claimedElsewhere(c Claim) *reply {
	for _, other := range s.state.claims {
		if other.State != claimSettled || other.ClaimNo == c.ClaimNo || s.broken(SettlesTwice) {
			continue
		}
		for _, l := range other.Lines {
			if slices.ContainsFunc(c.Lines, func(own RefundLine) bool { return own.BillNo == l.BillNo }) {
				return &reply{code: codeSettled, message: "费用单已有医保结算"}
			}
		}
	}
	return nil
}

// reverse serves insurance/reverse: what was asked under the original number has no effect afterwards, and none if it comes only now.
func (s *Sim) reverse(_ context.Context, body []byte) (reply, error) {
	var in reverseRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := errors.Join(number("reverse_no", in.ReverseNo), number("original_no", in.OriginalNo), number("visit_no", in.VisitNo)); err != nil {
		return reply{}, err
	}
	if in.Original != "settle" && in.Original != "cancel" {
		return reply{}, fmt.Errorf("%w: original", errRequest)
	}
	cancel := in.Original == "cancel"
	out := reverseAnswer{ReverseNo: in.ReverseNo, State: "not_settled"}
	if cancel {
		out.State = claimSettled
	}
	done := reply{code: codeDone, message: "冲正成功", data: out}
	s.mu.Lock()
	defer s.mu.Unlock()
	call, known := s.state.calls[in.OriginalNo]
	switch {
	case !known:
		call = Call{No: in.OriginalNo, Cancel: cancel, State: callUndone}
		return done, s.commit(entry{Call: &call})
	case call.Cancel != cancel:
		return reply{code: codeDuplicate, message: "原交易不是该类交易"}, nil
	case call.State == callUndone, call.State == callRefused, s.broken(ReversalDeaf) && !cancel, cancel && s.broken(RestoresNothing):
		return done, nil
	}
	c := s.state.claims[call.ClaimNo]
	if err := s.config.Link.Reverse(s.config.Link.Number(), c.Visit, call.LinkNo, cancel); err != nil {
		return refusedBy(err)
	}
	call.State = callUndone
	c.State = claimPresettled
	if cancel {
		c.State = claimSettled
	}
	return done, s.commit(entry{Call: &call, Claims: []Claim{c}})
}

// cancel serves insurance/cancel. The same number again changes nothing.
func (s *Sim) cancel(_ context.Context, body []byte) (reply, error) {
	var in setlRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := errors.Join(number("cancel_no", in.CancelNo), number("visit_no", in.VisitNo), text("setl_id", in.SetlID, 30)); err != nil {
		return reply{}, err
	}
	done := reply{code: codeDone, message: "撤销成功", data: setlAnswer{SetlID: in.SetlID, State: claimCancelled}}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.settledAt(in.SetlID)
	call, repeated := s.state.calls[in.CancelNo]
	switch {
	case !known || c.Visit.VisitNo != in.VisitNo:
		return reply{code: codeNotFound, message: "没有该医保结算"}, nil
	case s.broken(CancelDeaf) && !repeated:
		return done, nil
	case repeated && call.State == callDone && c.State == claimCancelled && call.ClaimNo == c.ClaimNo && !s.broken(CancelOnce):
		return done, nil
	case repeated && call.State == callAsked:
		return reply{}, errUnknown
	case repeated:
		return refusedBy(LinkRefusal("该撤销号已冲正或被拒"))
	case c.State != claimSettled:
		return refusedBy(LinkRefusal("该结算已撤销,不能重复撤销"))
	}
	call = Call{No: in.CancelNo, ClaimNo: c.ClaimNo, Cancel: true, LinkNo: s.config.Link.Number(), State: callAsked}
	if err := s.commit(entry{Call: &call}); err != nil {
		return reply{}, err
	}
	err := s.config.Link.Cancel(call.LinkNo, c.Visit, c.SetlID)
	if r, ok := errors.AsType[LinkRefusal](err); ok {
		call.State, call.Reason = callRefused, string(r)
		if err := s.commit(entry{Call: &call}); err != nil {
			return reply{}, err
		}
		return refusedBy(r)
	}
	if err != nil {
		return reply{}, err
	}
	call.State, c.State = callDone, claimCancelled
	return done, s.commit(entry{Call: &call, Claims: []Claim{c}})
}

// settledAt finds a claim by its settlement.
func (s *Sim) settledAt(setlID string) (Claim, bool) {
	for _, c := range s.state.claims {
		if c.SetlID == setlID && setlID != "" {
			return c, true
		}
	}
	return Claim{}, false
}

// inForce serves insurance/query. What the hospital does not know for certain it asks the insurer.
func (s *Sim) inForce(_ context.Context, body []byte) (reply, error) {
	var in setlRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := errors.Join(number("visit_no", in.VisitNo), text("setl_id", in.SetlID, 30)); err != nil {
		return reply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.settledAt(in.SetlID)
	if !known || c.Visit.VisitNo != in.VisitNo || s.broken(QueryForgets) {
		return reply{code: codeNotFound, message: "没有该医保结算"}, nil
	}
	stands, err := s.config.Link.InForce(c.Visit, in.SetlID)
	if _, refused := errors.AsType[LinkRefusal](err); refused {
		return reply{code: codeNotFound, message: "没有该医保结算"}, nil
	}
	if err != nil {
		return reply{}, err
	}
	out := setlAnswer{SetlID: in.SetlID, State: claimCancelled}
	if stands {
		out.State = claimSettled
	}
	if (c.State == claimSettled) != stands { // it had died between the insurer's answer and its own books
		c.State = out.State
		if err := s.commit(entry{Claims: []Claim{c}}); err != nil {
			return reply{}, err
		}
	}
	return reply{code: codeDone, message: "成功", data: out}, nil
}

// withdraw serves insurance/withdraw.
func (s *Sim) withdraw(_ context.Context, body []byte) (reply, error) {
	var in withdrawRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := number("claim_no", in.ClaimNo); err != nil {
		return reply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, known := s.state.claims[in.ClaimNo]
	switch {
	case !known || c.OrderNo != in.OrderNo || c.State == claimWithdrawn:
		return reply{code: codeNone, message: "没有未结算的结算单"}, nil
	case c.State == claimSettled:
		return reply{code: codeSettled, message: "该结算单已结算"}, nil
	case c.State == claimCancelled:
		return reply{code: codeNone, message: "该结算单已撤销"}, nil
	}
	withdrawn := reply{code: codeDone, message: "已撤回", data: struct {
		ClaimNo string `json:"claim_no"`
	}{in.ClaimNo}}
	if s.broken(WithdrawDeaf) {
		return withdrawn, nil
	}
	if err := s.config.Link.Withdraw(LinkClaim{Visit: c.Visit, BatchNo: c.ClaimNo}); err != nil {
		return refusedBy(err)
	}
	c.State = claimWithdrawn
	return withdrawn, s.commit(entry{Claims: []Claim{c}})
}

// unsettled refuses a posting, or what a refund leaves, whose insured part is not a settlement of this hospital's that stands. The caller holds the mutex.
func (s *Sim) unsettled(order, setlID string, p Parts) *reply {
	if s.config.Link == nil || sumOfParts(p) == p.Uninsured || s.broken(PostsUnsettled) {
		return nil
	}
	c, known := s.settledAt(setlID)
	p.Uninsured = 0
	if !known || c.OrderNo != order || c.State != claimSettled || c.Parts != p {
		return &reply{code: codeAmountWrong, message: "与本院医保结算不符"}
	}
	return nil
}
