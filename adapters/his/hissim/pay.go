package hissim

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// orderNo is the form of the platform's order numbers.
var orderNo = regexp.MustCompile(`^[0-9A-Za-z_-]{1,32}$`)

// maxBills is how many bills one order may hold.
const maxBills = 50

func checkOrder(order string, billNos []string) error {
	if !orderNo.MatchString(order) {
		return fmt.Errorf("%w: order_no", errRequest)
	}
	if len(billNos) == 0 || len(billNos) > maxBills {
		return fmt.Errorf("%w: one to %d bills", errRequest, maxBills)
	}
	for i, no := range billNos {
		if err := text("bill_no", no, 64); err != nil {
			return err
		}
		if slices.Contains(billNos[:i], no) {
			return fmt.Errorf("%w: a bill is named twice", errRequest)
		}
	}
	return nil
}

// payable finds the bills of one archive and refuses unless each is unpaid and no other order holds it. The caller holds the mutex.
func (s *Sim) payable(order, patientID string, billNos []string, now time.Time) ([]Bill, *reply) {
	bills := make([]Bill, 0, len(billNos))
	for _, no := range billNos {
		b, ok := s.state.billAt(no, now)
		l, locked := s.holder(no, order, now)
		switch {
		case !ok || (b.PatientID != patientID && !s.broken(LocksOthers)):
			return nil, &reply{code: codeNotFound, message: "费用单不存在"}
		case b.State == Paid && !(s.broken(LocksPaid) && b.PaidWhere == atWindow):
			return nil, &reply{code: codeAlreadyPaid, message: "费用单已缴费", data: paidAs(b)}
		case b.State == Void && !s.broken(LocksVoid):
			return nil, &reply{code: codeBillVoid, message: "费用单已作废"}
		case locked:
			return nil, &reply{code: codeLocked, message: "费用单正在缴费", data: lockedInfo{BillNo: no, ExpiresAt: wireTime(l.ExpiresAt)}}
		}
		bills = append(bills, b)
	}
	return bills, nil
}

// holder is the live lock on a bill, if it is another order's.
func (s *Sim) holder(billNo, orderNo string, now time.Time) (Lock, bool) {
	l, locked := s.state.holder(billNo, orderNo, now)
	if old := s.state.locks[s.state.held[billNo]]; s.broken(LockNeverEnds) && old.OrderNo != "" && old.OrderNo != orderNo && !old.Released {
		return old, true
	}
	return l, locked && !s.broken(LockShared)
}

// acquire serves locks/acquire. The same order again prolongs nothing and is answered with the lock as it stands; a number whose lock
// ran out or was released is spent.
func (s *Sim) acquire(ctx context.Context, body []byte) (reply, error) {
	var in acquireRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := checkOrder(in.OrderNo, in.BillNos); err != nil {
		return reply{}, err
	}
	if in.TotalFen <= 0 || in.TotalFen > money.Max {
		return reply{}, fmt.Errorf("%w: total_fen", errRequest)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.config.Clock.Now()
	if l, ok := s.state.locks[in.OrderNo]; ok && !(s.broken(NumberReborn) && l.Released) {
		if s.broken(NumberReused) {
			l.BillNos, l.TotalFen = in.BillNos, in.TotalFen // for this answer
		}
		if s.broken(LockProlonged) {
			l.ExpiresAt = now.Add(s.config.LockLife + time.Minute)
		}
		return again(l, in, now), nil
	}
	if sandbox.Injected(ctx) == sandbox.Refuse {
		return s.whim(in, now), nil
	}
	bills, refused := s.payable(in.OrderNo, in.PatientID, in.BillNos, now)
	if refused != nil {
		return *refused, nil
	}
	total := sumOf(bills)
	if s.broken(OldTotal) {
		total = in.TotalFen
	}
	if s.config.LockChecksTotal && total != in.TotalFen {
		return reply{code: codeBillChanged, message: "费用单金额已变更"}, nil
	}
	l := Lock{OrderNo: in.OrderNo, PatientID: in.PatientID, BillNos: slices.Clone(in.BillNos), TotalFen: total,
		LockedAt: now, ExpiresAt: now.Add(s.config.LockLife)}
	for _, b := range bills { // nobody holds what the hospital gives back
		if !b.PayBy.IsZero() && b.PayBy.Before(l.ExpiresAt) {
			l.ExpiresAt = b.PayBy
		}
	}
	if s.broken(LockEternal) {
		l.ExpiresAt = now.Add(48 * time.Hour)
	}
	if err := s.commit(entry{Lock: &l}); err != nil {
		return reply{}, err
	}
	return reply{code: codeDone, message: "锁单成功", data: viewLock(l)}, nil
}

// whim is a refusal of the hospital's own: the bill is open at a window's screen, or it is night.
func (s *Sim) whim(in acquireRequest, now time.Time) reply {
	if in.OrderNo[len(in.OrderNo)-1]%2 == 0 {
		return reply{code: codeLocked, message: "费用单正在窗口结算",
			data: lockedInfo{BillNo: in.BillNos[0], ExpiresAt: wireTime(now.Add(5 * time.Minute))}}
	}
	return reply{code: codeMaintenance, message: "系统日结中，请稍后再试"}
}

func again(l Lock, in acquireRequest, now time.Time) reply {
	switch {
	case !sameSet(l.BillNos, in.BillNos) || l.PatientID != in.PatientID:
		return reply{code: codeDuplicate, message: "订单号已用于其他费用单", data: viewLock(l)}
	case !l.live(now):
		return reply{code: codeLockExpired, message: "锁单已失效", data: viewLock(l)}
	default:
		return reply{code: codeDone, message: "锁单成功", data: viewLock(l)}
	}
}

func viewLock(l Lock) lockView {
	return lockView{OrderNo: l.OrderNo, BillNos: l.BillNos, TotalFen: l.TotalFen, LockedAt: wireTime(l.LockedAt),
		ExpiresAt: wireTime(l.ExpiresAt)}
}

// sameSet compares two lists whose members differ among themselves, in any order.
func sameSet(a, b []string) bool {
	return slices.Equal(slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b)))
}

// release serves locks/release. Nothing to release is said by code 1.
func (s *Sim) release(_ context.Context, body []byte) (reply, error) {
	var in releaseRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if !orderNo.MatchString(in.OrderNo) {
		return reply{}, fmt.Errorf("%w: order_no", errRequest)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.state.locks[in.OrderNo]
	switch {
	case s.broken(ReleaseDeaf):
		return reply{code: codeDone, message: "已解锁", data: releaseAnswer{OrderNo: in.OrderNo, Released: true}}, nil
	case ok && l.Released && s.broken(ReleaseAnybody):
		for _, no := range l.BillNos {
			delete(s.state.held, no)
		}
	}
	if !ok || !l.live(s.config.Clock.Now()) {
		return reply{code: codeNone, message: "无有效锁单", data: releaseAnswer{OrderNo: in.OrderNo}}, nil
	}
	l.Released = true
	if err := s.commit(entry{Lock: &l}); err != nil {
		return reply{}, err
	}
	return reply{code: codeDone, message: "已解锁", data: releaseAnswer{OrderNo: in.OrderNo, Released: true}}, nil
}

// post serves postings/post. The same order number again is answered DUPLICATE with the record that stands.
func (s *Sim) post(ctx context.Context, body []byte) (reply, error) {
	var in postRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := in.check(); err != nil {
		return reply{}, err
	}
	together, end := func() bool { return false }, func() {}
	if s.broken(RacesPostings) {
		together, end = s.races(ctx, in.OrderNo)
	}
	gone := s.broken(HalfRollback) && left(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer end()
	now := s.config.Clock.Now()
	if p, ok := s.state.postings[in.OrderNo]; ok {
		if p.State == voided {
			return reply{code: codeBillVoid, message: "该订单入账已冲销"}, nil
		}
		if s.broken(PostsTwice) || together() {
			p.PostingNo = s.number("JZ", now)
			return reply{code: codeDone, message: "入账成功", data: s.viewPosting(p)}, s.commit(entry{Posting: &p})
		}
		if s.broken(Overwrites) && p.Parts != in.Parts {
			p.Parts = in.Parts
			return reply{code: codeDuplicate, message: "重复提交", data: s.viewPosting(p)}, s.commit(entry{Posting: &p})
		}
		return reply{code: codeDuplicate, message: "重复提交", data: s.viewPosting(p)}, nil
	}
	if sandbox.Injected(ctx) == sandbox.Refuse {
		if s.broken(ClosesSilently) {
			return reply{code: "-1", message: "系统异常"}, nil
		}
		return reply{code: codeMaintenance, message: "系统日结中，请稍后再试"}, nil
	}
	patient := in.PatientID
	if l := s.state.locks[in.OrderNo]; l.PatientID == patient { // begun with this archive, which may have ended since
		patient = s.state.remaining(patient)
	}
	bills, refused := s.payable(in.OrderNo, patient, in.billNos(), now)
	if refused != nil {
		return *refused, nil
	}
	if l, ok := s.state.locks[in.OrderNo]; s.config.PostNeedsLock && (!ok || !l.live(now) || !sameSet(l.BillNos, in.billNos())) {
		return reply{code: codeLockExpired, message: "锁单已失效"}, nil
	}
	if out, ok := in.amounts(bills); !ok && !s.broken(PostsAnything) {
		return out, nil
	}
	if refused := s.unsettled(in.OrderNo, in.SetlID, in.Parts); refused != nil {
		return *refused, nil
	}
	p, err := s.book(in, bills, now)
	if err != nil {
		return reply{}, err
	}
	if gone {
		delete(s.state.postings, in.OrderNo) // its bills stay paid
	}
	return reply{code: codeDone, message: "入账成功", data: s.viewPosting(p)}, nil
}

func (in *postRequest) billNos() []string {
	nos := make([]string, len(in.Bills))
	for i, b := range in.Bills {
		nos[i] = b.BillNo
	}
	return nos
}

// check refuses a posting that is not well formed: an insured part goes with its settlement, a cash part with its payment.
func (in *postRequest) check() error {
	if err := checkOrder(in.OrderNo, in.billNos()); err != nil {
		return err
	}
	for _, f := range in.Parts.list() {
		if f < 0 || f > money.Max {
			return fmt.Errorf("%w: parts", errRequest)
		}
	}
	if insured := in.TotalFen > in.Parts.Uninsured; insured && (in.SetlID == "" || in.SettledAt == nil) {
		return fmt.Errorf("%w: setl_id and settled_at go with an insured part", errRequest)
	}
	if cash := in.Parts.Cash+in.Parts.Uninsured > 0; cash && (in.OutTradeNo == "" || in.TransactionID == "" || in.PaidAt == nil) {
		return fmt.Errorf("%w: out_trade_no, transaction_id and paid_at go with a cash part", errRequest)
	}
	if len(in.SetlID) > 30 || len(in.VisitID) > 30 || len(in.OutTradeNo) > 32 || len(in.TransactionID) > 32 {
		return fmt.Errorf("%w: a number is too long", errRequest)
	}
	return nil
}

// amounts compares every figure with the bills.
func (in *postRequest) amounts(bills []Bill) (reply, bool) {
	for i, b := range bills {
		if in.Bills[i].TotalFen != b.TotalFen {
			return reply{code: codeBillChanged, message: "费用单金额已变更"}, false
		}
	}
	sum, err := money.Add(in.Parts.list()...)
	if err != nil || sum != in.TotalFen || sumOf(bills) != in.TotalFen {
		return reply{code: codeAmountWrong, message: "金额不符"}, false
	}
	return reply{}, true
}

// book enters the posting, marks its bills as paid and ends its lock, as one effect.
func (s *Sim) book(in postRequest, bills []Bill, now time.Time) (Posting, error) {
	p := Posting{PostingNo: s.number("JZ", now), ReceiptNo: s.number("SJ", now), OrderNo: in.OrderNo, PatientID: in.PatientID,
		BillNos: in.billNos(), TotalFen: in.TotalFen, Parts: in.Parts, SetlID: in.SetlID, VisitID: in.VisitID, SettledAt: in.SettledAt,
		OutTradeNo: in.OutTradeNo, TransactionID: in.TransactionID, PaidAt: in.PaidAt, PostedAt: now, Guide: s.guide(bills), State: posted}
	for i := range bills {
		if s.broken(StaysUnpaid) {
			break
		}
		bills[i].State, bills[i].PaidWhere, bills[i].PaidBy, bills[i].PaidAt = Paid, atPlatform, in.OrderNo, now
	}
	e := entry{Posting: &p, Bills: bills}
	if l, ok := s.state.locks[in.OrderNo]; ok {
		l.Released = true
		e.Lock = &l
	}
	return p, s.commit(e)
}

func (s *Sim) viewPosting(p Posting) *postingView {
	if s.broken(OtherRecord) {
		p.Parts = Parts{Uninsured: p.TotalFen}
	}
	return &postingView{PostingNo: p.PostingNo, ReceiptNo: p.ReceiptNo, OrderNo: p.OrderNo, BillNos: p.BillNos, TotalFen: p.TotalFen,
		Parts: p.Parts, PostedAt: wireTime(p.PostedAt), Guide: p.Guide, setlID: p.SetlID, outTradeNo: p.OutTradeNo}
}

// query serves postings/query: what became of an order number, and if nothing, whether its bills can still be posted.
func (s *Sim) query(_ context.Context, body []byte) (reply, error) {
	var in queryRequest
	if err := read(body, &in); err != nil {
		return reply{}, err
	}
	if err := checkOrder(in.OrderNo, in.BillNos); err != nil {
		return reply{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := queryAnswer{OrderNo: in.OrderNo, State: "not_posted"}
	if s.broken(PostedUnknown) {
		out.State = posted
	}
	if p, ok := s.state.postings[in.OrderNo]; ok && !s.broken(ForgetsPosting) {
		out.State, out.Posting = p.State, s.viewPosting(p)
		if p.State == voided {
			out.Void = p.BillNos
		}
		for r := range s.state.booked(p.OrderNo) {
			out.RefundNos = append(out.RefundNos, r.RefundNo)
		}
		out.Refunded = p.RefundedFen
		return reply{code: codeDone, message: "成功", data: out}, nil
	}
	for _, no := range in.BillNos {
		b, ok := s.state.billAt(no, s.config.Clock.Now())
		switch {
		case !ok:
			return reply{code: codeNotFound, message: "费用单不存在"}, nil
		case b.State == Paid:
			out.State, out.Paid = "paid_elsewhere", append(out.Paid, paidAs(b))
		case b.State == Void:
			out.Void = append(out.Void, no)
		}
	}
	if out.State == "not_posted" && len(out.Void) > 0 {
		out.State = voided
	}
	return reply{code: codeDone, message: "成功", data: out}, nil
}
