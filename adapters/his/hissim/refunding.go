package hissim

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// holdRefund serves refunds/hold. The same number with the same items is answered with the hold as it stands.
func (s *Sim) holdRefund(ctx context.Context, body []byte) (reply, error) {
	var in refundRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := in.check(); err != nil {
		return reply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, known := s.state.refunds[in.RefundNo]
	switch {
	case s.broken(DropNotFinal) && r.State == RefundDropped:
	case known && (r.State != RefundHeld || !in.sameAs(r)):
		return reply{code: codeDuplicate, message: "退费单号已使用", data: viewStanding(r)}, nil
	case known && s.broken(RefusesOwnHold):
		return stuck([]stuckLine{{in.Lines[0].BillNo, in.Lines[0].LineNo, otherwise}}), nil
	case known:
		return reply{code: codeDone, message: "可以退费", data: viewHold(r)}, nil
	case sandbox.Injected(ctx) == sandbox.Refuse:
		return in.whim(), nil
	}
	if refused := s.unasked(in); refused != nil {
		return *refused, nil
	}
	if _, _, refused := s.refundable(in); refused != nil && !s.forgives(in, refused) {
		return *refused, nil
	}
	r = in.refund(RefundHeld)
	r.HeldAt = s.config.Clock.Now()
	if err := s.commit(entry{Refund: &r}); err != nil {
		return reply{}, err
	}
	out := viewHold(r)
	if sandbox.Injected(ctx) == sandbox.ChangeAmount {
		out.TotalFen++ // the books stay right
	}
	return reply{code: codeDone, message: "可以退费", data: out}, nil
}

// forgives reports whether a defect lets a hold pass that is to be refused.
func (s *Sim) forgives(in refundRequest, refused *reply) bool {
	p, ok := s.state.postings[in.OrderNo]
	switch s.config.Defect {
	case RefundsUnposted:
		return !ok
	case RefundsTooMuch:
		return ok && refused.code == codeNotFound
	case RefundsForever:
		return ok && p.RefundedFen == p.TotalFen
	}
	return false
}

func sumOfParts(p Parts) (sum money.Fen) {
	for _, f := range p.list() {
		sum += f
	}
	return sum
}

// whim is a refusal of the hospital's own: the item is being executed at this moment, or it is night.
func (in *refundRequest) whim() reply {
	if in.RefundNo[len(in.RefundNo)-1]%2 == 0 {
		l := in.Lines[0]
		return stuck([]stuckLine{{l.BillNo, l.LineNo, executed}})
	}
	return reply{code: codeMaintenance, message: "系统日结中，请稍后再试"}
}

func stuck(lines []stuckLine) reply {
	return reply{code: codeNotRefundable, message: "药品已发放或项目已执行", data: stuckView{Lines: lines}}
}

func (in *refundRequest) refund(state RefundState) Refund {
	return Refund{RefundNo: in.RefundNo, OrderNo: in.OrderNo, HISRefundNo: in.HISRefundNo, State: state, Lines: in.Lines,
		Rebill: in.Rebill, TotalFen: in.TotalFen, Reason: in.Reason}
}

// sameAs reports whether a refund is of these items.
func (in *refundRequest) sameAs(r Refund) bool {
	return r.OrderNo == in.OrderNo && r.HISRefundNo == in.HISRefundNo && r.TotalFen == in.TotalFen && sameLines(r.Lines, in.Lines) &&
		sameLines(r.Rebill, in.Rebill)
}

// refundable finds the posting and what is left of its items once these went back, and refuses what cannot go back. The caller holds the
// mutex.
func (s *Sim) refundable(in refundRequest) (Posting, map[itemKey]*stock, *reply) {
	p, ok := s.state.postings[in.OrderNo]
	switch {
	case !ok || p.PatientID != in.PatientID:
		return p, nil, &reply{code: codeNotFound, message: "该订单未入账"}
	case p.State == voided:
		return p, nil, &reply{code: codeBillVoid, message: "该订单入账已冲销"}
	}
	all := s.state.stockOf(p, in.RefundNo, in.HISRefundNo)
	for _, st := range all {
		if s.broken(KeepsNothing) {
			st.kept = decimal.Zero
		}
		if s.broken(RefundsHanded) {
			st.out = decimal.Zero
		}
	}
	if refused := returnable(all, in.Lines); refused != nil {
		return p, nil, refused
	}
	wrong := sumLines(in.Lines)+sumLines(in.Rebill) != in.TotalFen
	for _, l := range in.Lines {
		st := all[l.key()]
		wrong = wrong || st.price(l.quantity()) != l.TotalFen
		st.left = st.left.Sub(l.quantity())
	}
	if refused := in.rebillable(all); refused != nil {
		return p, nil, refused
	}
	for _, st := range all {
		wrong = wrong || (in.Whole && st.worth(st.left) > 0)
	}
	if wrong {
		return p, nil, &reply{code: codeAmountWrong, message: "退费金额不符"}
	}
	return p, all, nil
}

// returnable refuses items that are not there any more, and items that are handed out, executed or kept for another refund.
func returnable(all map[itemKey]*stock, lines []RefundLine) *reply {
	var stay []stuckLine
	for _, l := range lines {
		st, ok := all[l.key()]
		if !ok || l.quantity().GreaterThan(st.left) {
			return &reply{code: codeNotFound, message: "订单中没有该项目，或已退费"}
		}
		if !l.quantity().GreaterThan(st.free()) {
			continue
		}
		reason := executed
		switch {
		case l.quantity().GreaterThan(st.left.Sub(st.kept)):
			reason = otherwise
		case drug(st.Category):
			reason = dispensed
		}
		stay = append(stay, stuckLine{l.BillNo, l.LineNo, reason})
	}
	if len(stay) > 0 {
		out := stuck(stay)
		return &out
	}
	return nil
}

// dropRefund serves refunds/drop. The number is spent, also one that never held anything.
func (s *Sim) dropRefund(_ context.Context, body []byte) (reply, error) {
	var in refundKey
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := in.check(); err != nil {
		return reply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := dropAnswer{OrderNo: in.OrderNo, RefundNo: in.RefundNo}
	r, known := s.state.refunds[in.RefundNo]
	switch {
	case known && (r.State == RefundBooked || r.OrderNo != in.OrderNo):
		return reply{code: codeDuplicate, message: "退费单号已使用", data: viewStanding(r)}, nil
	case known && r.State == RefundDropped:
		return reply{code: codeNone, message: "无有效退费申请", data: out}, nil
	case !known:
		r = Refund{RefundNo: in.RefundNo, OrderNo: in.OrderNo}
	}
	if s.broken(DropDeaf) && known {
		out.Dropped = true
		return reply{code: codeDone, message: "退费申请已取消", data: out}, nil
	}
	r.State = RefundDropped
	if err := s.commit(entry{Refund: &r}); err != nil {
		return reply{}, err
	}
	if !known {
		return reply{code: codeNone, message: "无有效退费申请", data: out}, nil
	}
	out.Dropped = true
	return reply{code: codeDone, message: "退费申请已取消", data: out}, nil
}

// bookRefund serves refunds/book. A booked number again is answered DUPLICATE with its standing.
func (s *Sim) bookRefund(ctx context.Context, body []byte) (reply, error) {
	var in refundBookRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := in.check(); err != nil {
		return reply{}, err
	}
	gone := s.broken(HalfRefund) && left(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	r, known := s.state.refunds[in.RefundNo]
	switch {
	case s.broken(BooksTwice) && r.State == RefundBooked:
		r.BookingNo = s.number("TF", s.config.Clock.Now())
		return reply{code: codeDone, message: "退费入账成功", data: viewBooking(r)}, s.commit(entry{Refund: &r})
	case known && (r.State == RefundBooked || r.OrderNo != in.OrderNo || (r.State == RefundHeld && !in.sameAs(r))):
		return reply{code: codeDuplicate, message: "退费单号已使用", data: viewStanding(r)}, nil
	case sandbox.Injected(ctx) == sandbox.Refuse:
		return reply{code: codeMaintenance, message: "系统日结中，请稍后再试"}, nil
	}
	p, left, refused := s.refundable(in.refundRequest)
	a, asked := s.state.asks[in.HISRefundNo]
	if refused == nil && asked { // one that this hospital has forgotten is no reason to refuse
		if refused = s.unasked(in.refundRequest); refused == nil && a.Note != in.Note {
			refused = &reply{code: codeNotFound, message: "窗口没有该退费申请"}
		}
	}
	if refused == nil {
		refused = in.rest(left)
	}
	if refused == nil && !in.Note && !in.ByHand { // what people have given back, they have settled anew by themselves
		refused = s.unsettled(in.OrderNo, in.RestSetlID, in.RestParts)
	}
	if refused != nil {
		return *refused, nil
	}
	before := p.rest()
	if less := in.RestParts.Cash+in.RestParts.Uninsured < before.Cash+before.Uninsured; less && !in.Note && !in.ByHand && in.OutRefundNo == "" {
		return reply{}, fmt.Errorf("%w: out_refund_no and refund_id go with cash that went back", errRequest)
	}
	e := entry{}
	if asked {
		a.State, e.Ask = AskBooked, &a
	}
	r, err := s.enter(in, p, r.HeldAt, e)
	if err != nil {
		return reply{}, err
	}
	if gone {
		r.State = RefundDropped // what it gave back, is gone
		if err := s.commit(entry{Refund: &r}); err != nil {
			return reply{}, err
		}
	}
	out := viewBooking(r)
	if s.broken(OtherRest) {
		out.RestParts = Parts{Cash: sumOfParts(out.RestParts)}
	}
	if sandbox.Injected(ctx) == sandbox.ChangeAmount {
		out.TotalFen++ // the books stay right
	}
	return reply{code: codeDone, message: "退费入账成功", data: out}, nil
}

// rebillable checks the items that are to be billed anew and takes them off what is left: each is all that is left of it, and kept for
// nobody.
func (in *refundRequest) rebillable(left map[itemKey]*stock) *reply {
	for _, l := range in.Rebill {
		st, ok := left[l.key()]
		switch {
		case !ok || l.quantity().GreaterThan(st.left):
			return &reply{code: codeNotFound, message: "订单中没有该项目，或已退费"}
		case st.kept.IsPositive():
			out := stuck([]stuckLine{{l.BillNo, l.LineNo, otherwise}})
			return &out
		case l.quantity().LessThan(st.left) || st.worth(st.left) != l.TotalFen || l.TotalFen == 0:
			return &reply{code: codeAmountWrong, message: "重新计费项目不符"}
		}
		st.left = decimal.Zero
	}
	return nil
}

// rest compares the parts with what is left.
func (in *refundBookRequest) rest(left map[itemKey]*stock) *reply {
	var want, given money.Fen
	for _, st := range left {
		want += st.worth(st.left)
	}
	for _, f := range in.RestParts.list() {
		given += f
	}
	if given != want {
		return &reply{code: codeAmountWrong, message: "剩余金额不符"}
	}
	return nil
}

// enter books the refund, and bills anew what nobody gave up, as one effect.
func (s *Sim) enter(in refundBookRequest, p Posting, heldAt time.Time, e entry) (Refund, error) {
	now := s.config.Clock.Now()
	r := in.refund(RefundBooked)
	r.HeldAt, r.BookingNo, r.BookedAt = heldAt, s.number("TF", now), now
	r.RestParts, r.RestSetlID, r.RestVisitID, r.RestSettledAt = in.RestParts, in.RestSetlID, in.RestVisitID, in.RestSettledAt
	r.OutRefundNo, r.RefundID, r.RefundedAt, r.Note, r.ByHand = in.OutRefundNo, in.RefundID, in.RefundedAt, in.Note, in.ByHand
	p.RefundedFen += r.TotalFen
	p.Rest = &in.RestParts
	e.Refund, e.Posting = &r, &p
	for _, no := range p.BillNos {
		b, moved := s.billAnew(s.state.bills[no], in.Rebill, now)
		if len(b.Lines) == 0 {
			continue
		}
		e.Bills, e.Handed, r.Rebilled = append(e.Bills, b), append(e.Handed, moved...), append(r.Rebilled, b.No)
	}
	return r, s.commit(e)
}

// billAnew makes an unpaid bill of the items of a bill that nobody gave up. What was handed out stays so.
func (s *Sim) billAnew(old Bill, rebill []RefundLine, now time.Time) (Bill, []HandOut) {
	b := old
	b.State, b.CreatedAt, b.PaidWhere, b.PaidBy, b.PaidAt, b.PayBy, b.TotalFen, b.Lines = Unpaid, now, "", "", time.Time{}, time.Time{}, 0, nil
	var moved []HandOut
	for _, l := range old.Lines {
		i := slices.IndexFunc(rebill, func(r RefundLine) bool { return r.key() == itemKey{old.No, l.No} })
		if i < 0 {
			continue
		}
		if len(b.Lines) == 0 {
			b.No = s.number("MZ", now)
		}
		out := s.state.handed[itemKey{old.No, l.No}]
		moved = append(moved, HandOut{BillNo: old.No, LineNo: l.No})
		l.No, l.Quantity, l.TotalFen = fmt.Sprintf("%s%03d", b.No, len(b.Lines)+1), rebill[i].Quantity, rebill[i].TotalFen
		moved = append(moved, HandOut{BillNo: b.No, LineNo: l.No, Quantity: out})
		b.Lines = append(b.Lines, l)
		b.TotalFen += l.TotalFen
	}
	return b, moved
}

// queryRefund serves refunds/query: what became of a refund number.
func (s *Sim) queryRefund(_ context.Context, body []byte) (reply, error) {
	var in refundKey
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := in.check(); err != nil {
		return reply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.state.refunds[in.RefundNo]
	if !ok && s.broken(RefundsUnknown) {
		return reply{code: codeDone, message: "成功", data: standingView{OrderNo: in.OrderNo, RefundNo: in.RefundNo, State: string(RefundBooked)}}, nil
	}
	if !ok || r.OrderNo != in.OrderNo || (s.broken(ForgetsHold) && r.State == RefundHeld) {
		return reply{code: codeDone, message: "成功", data: standingView{OrderNo: in.OrderNo, RefundNo: in.RefundNo, State: "none"}}, nil
	}
	return reply{code: codeDone, message: "成功", data: viewStanding(r)}, nil
}
