package store

import (
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

// newMixed is a mixed order of everything that the order's upload and the patient pay.
func newMixed(db *DB, o *order.Order, outTradeNo string) *payment.Mixed {
	s := o.Settlement()
	f := s.Figures
	in := payment.MixedOrder{OutTradeNo: outTradeNo, SerialNo: s.Upload.OrderNo, PayOrderID: s.Upload.PayOrdID, Amounts: payment.MixedAmounts{
		Total: f.Total + o.Split.Uninsured, Gov: f.Fund, Self: f.Account, Other: f.Other, Cash: f.Cash, Added: o.Split.Uninsured,
		Wechat: f.Cash + o.Split.Uninsured}}
	m := payment.NewMixed(payment.MixedID(db.ids.ID()), len(o.Mixed)+1, in, []byte("SECRET-MIXED-REQUEST"), now(db).Add(time.Hour))
	o.Mixed = append(o.Mixed, m)
	return m
}

func onePassword(t *testing.T, db *DB) {
	o := newOrder(db, "b1")
	claim := create(t, db, o)
	s := quoted(t, db, o, &claim)
	f := o.Split
	s.Upload = settlement.Upload{OrderNo: s.ID.No(), PayOrdID: "ORD1", PayToken: sensitive.NewToken("SECRET-PAYTOKEN"),
		ECToken: sensitive.NewToken("SECRET-ECTOKEN"), At: now(db)}
	s.Figures = settlement.Figures{Total: s.Total, Fund: f.PooledFund + f.OtherFund + f.HospitalBorne, Account: f.Account + f.FamilyAccount, Cash: f.Cash}
	s.AskForesee("S1")
	o.Renew = true
	save(t, db, o, &claim, job.Hold(now(db).Add(time.Minute), 0))
	sameOrder(t, load(t, db, o.ID), o)

	moveOrder(t, db, o, order.Collect)
	check(t, s.HandOver())
	m := newMixed(db, o, "T-mixed-1")
	save(t, db, o, &claim, job.Hold(now(db).Add(time.Minute), 0))
	check(t, m.Apply(payment.MixedCreate))
	m.MixTradeNo = "MIX1"
	m.Typed(now(db))
	save(t, db, o, &claim, job.Hold(now(db).Add(time.Minute), 0))
	sameOrder(t, load(t, db, o.ID), o)
	for _, number := range []string{"T-mixed-1", "ORD1"} {
		if id := must(db.Orders().ByNumber(t.Context(), o.Institution, number))(t); id != o.ID {
			t.Errorf("order of %s is %s", number, id.No())
		}
	}
	_, err := db.Orders().ByNumber(t.Context(), "another", "ORD1")
	wantErr(t, "another institution's number", err, order.ErrNotFound)

	second := newMixed(db, o, "T-mixed-2")
	wantErr(t, "two mixed orders open", db.Orders().Save(t.Context(), o, &claim, job.Finish()), ErrRow)
	o.Mixed = o.Mixed[:1]
	check(t, m.Apply(payment.MixedFail))
	m.FailReason, m.Refused = "SECRET-REASON", "268510610"
	o.Mixed = append(o.Mixed, second)
	second.Amounts.Wechat++
	wantErr(t, "amounts that break an equation", db.Orders().Save(t.Context(), o, &claim, job.Finish()), payment.ErrEquation)
	second.Amounts.Wechat--
	check(t, second.Apply(payment.MixedSucceed))
	second.PaidAt = now(db)
	check(t, s.Proved(settlement.Stand{State: settlement.AllDone, SetlID: "S1", RevsToken: sensitive.NewToken("SECRET-REVS")}, now(db)))
	check(t, s.AskGiveBack("F1", now(db), now(db)))
	check(t, second.AskNotice([]byte("SECRET-NOTICE"), now(db)))
	save(t, db, o, &claim, job.Hold(now(db).Add(time.Minute), 0))
	sameOrder(t, load(t, db, o.ID), o)

	exec(t, db, "UPDATE mixed_order SET gov_fen = gov_fen + 1, cash_fen = cash_fen - 1, wechat_fen = wechat_fen - 1 WHERE out_trade_no = 'T-mixed-2'")
	_, err = db.Orders().Load(t.Context(), o.ID)
	wantErr(t, "an amount changed in the database", err, ErrTampered)
}

// TestMixedSums: the database refuses what the code would, too.
func TestMixedSums(t *testing.T) {
	t.Parallel()
	a := payment.MixedAmounts{Total: 100, Gov: 60, Cash: 40, Wechat: 40}
	for name, broken := range map[string]func(*payment.MixedAmounts){
		"one fen short": func(a *payment.MixedAmounts) { a.Total-- },
		"cash":          func(a *payment.MixedAmounts) { a.Wechat++ },
		"negative":      func(a *payment.MixedAmounts) { a.Gov, a.Cash, a.Wechat = 101, -1, -1 },
		"beyond":        func(a *payment.MixedAmounts) { a.Total, a.Gov = money.Max+1, money.Max-39 },
	} {
		b := a
		broken(&b)
		m := payment.NewMixed(1, 1, payment.MixedOrder{OutTradeNo: "T", SerialNo: "1", PayOrderID: "O", Amounts: b}, []byte("x"), time.Time{})
		if err := checkMixed(m); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}
