package store

import (
	"strings"
	"testing"
	"time"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// paying stores an order that waits for the patient, and gives it with its claim.
func paying(t testing.TB, db *DB, bill string) (*order.Order, *job.Claim) {
	t.Helper()
	o := newOrder(db, bill)
	claim := create(t, db, o)
	s := quoted(t, db, o, &claim)
	p := newPayment(db, o)
	moveOrder(t, db, o, order.Collect)
	s.MsgID, s.LostMsgID, s.SetlID = "M"+o.ID.No(), "L"+o.ID.No(), "S"+o.ID.No()
	check(t, s.Apply(settlement.Send))
	p.TransactionID, p.Back.OutRefundNo, p.Back.RefundID = "4200"+o.ID.No(), "R"+o.ID.No(), "5000"+o.ID.No()
	p.Back.Amount = p.Amount
	o.Posted.PostingNo = "H" + o.ID.No()
	save(t, db, o, &claim, job.Hold(now(db).Add(time.Hour), 0))
	return o, &claim
}

func suiteGuards(t *testing.T, open func(t *testing.T) *DB) {
	t.Run("in Go, before anything is sent", func(t *testing.T) { goGuards(t, open(t)) })
	t.Run("in the database", func(t *testing.T) { sumGuards(t, open(t)) })
	t.Run("unique numbers", func(t *testing.T) { uniqueNumbers(t, open(t)) })
	t.Run("jobs and keys of a new order", func(t *testing.T) {
		db := open(t)
		o := newOrder(db, "b1")
		_, err := db.Orders().Create(t.Context(), o, job.New{Kind: "other", Ref: o.ID.No()})
		wantErr(t, "a job of another kind", err, ErrRow)
		claim, err := db.Orders().Create(t.Context(), o, job.New{Kind: order.JobKind, Ref: o.ID.No(), RunAt: now(db)})
		if err != nil || claim.Owner != "" || count(t, db, "SELECT COUNT(*) FROM idempotency") != 0 {
			t.Fatalf("a job that nobody holds, no key: %+v, %v", claim, err)
		}
		_, err = db.Orders().Create(t.Context(), o, jobOf(db, o))
		wantErr(t, "the same order again", err, ErrRow)
		o.Version = 0
		_, err = db.Orders().Create(t.Context(), o, jobOf(db, o))
		wantErr(t, "the same number again", err, ErrDuplicate)
		wantErr(t, "no claim", db.Orders().Save(t.Context(), o, nil, job.Finish()), job.ErrLost)
		wantErr(t, "another order's claim", db.Orders().Save(t.Context(), o, &job.Claim{Job: job.Job{Kind: order.JobKind, Ref: "1"}}, job.Finish()), ErrRow)
	})
}

func goGuards(t *testing.T, db *DB) {
	o, claim := paying(t, db, "b1")
	for _, c := range []struct {
		name  string
		spoil func(o *order.Order)
		want  error
	}{
		{"no institution", func(o *order.Order) { o.Institution = "" }, ErrRow},
		{"no bills", func(o *order.Order) { o.Bills = nil }, ErrRow},
		{"a bill twice", func(o *order.Order) { o.Bills = append(o.Bills, o.Bills[0]) }, ErrRow},
		{"one fen short", func(o *order.Order) { o.Total-- }, ErrRow},
		{"parts one fen short", func(o *order.Order) { o.Split.Cash-- }, split.ErrSplit},
		{"a negative part", func(o *order.Order) { o.Split.Cash -= 9999; o.Split.Account += 9999 }, split.ErrSplit},
		{"paying without a quote", func(o *order.Order) { o.Split = split.Split{} }, split.ErrSplit},
		{"foreseen parts one fen over", func(o *order.Order) { o.Settlement().Foreseen.Cash++ }, split.ErrSplit},
		{"actual parts one fen over", func(o *order.Order) { o.Settlement().Actual.Cash = o.Settlement().Total + 1 }, split.ErrSplit},
		{"a settlement of nothing", func(o *order.Order) { o.Settlement().Total = 0 }, ErrRow},
		{"two open settlements", func(o *order.Order) {
			o.Settlements = append(o.Settlements, settlement.New(1, 2, settlement.Visit{}, "B", 1, false))
		}, ErrRow},
		{"two open payments", func(o *order.Order) { newPayment(db, o) }, ErrRow},
		{"a payment of nothing", func(o *order.Order) { o.Payment().Amount = 0 }, ErrRow},
		{"one fen too many promised back", func(o *order.Order) { o.Payment().RefundReserved = o.Payment().Amount + 1 }, ErrRow},
		{"less than nothing promised back", func(o *order.Order) { o.Payment().RefundReserved = -1 }, ErrRow},
		{"an event by nobody", func(o *order.Order) { o.Events = []order.Event{{Subject: "order", Verb: "x"}} }, ErrRow},
		{"an event with a negative part", func(o *order.Order) {
			o.Events = []order.Event{{Actor: "system", Subject: "order", Verb: "x", Split: split.Split{Cash: -1}}}
		}, split.ErrSplit},
		{"an unequal posting", func(o *order.Order) {
			o.Events = []order.Event{{Actor: "system", Subject: "order", Verb: "x", Posting: ledger.Posting{{Account: ledger.Suspense, Amount: 1}}}}
		}, ledger.ErrUnequal},
		{"a text too long", func(o *order.Order) { o.Posted.ReceiptNo = strings.Repeat("九", 65) }, ErrRow},
		{"a number too long", func(o *order.Order) { o.Posted.PostingNo = strings.Repeat("9", 65) }, ErrRow},
	} {
		twin, fence := load(t, db, o.ID), *claim
		c.spoil(twin)
		err := db.Orders().Save(t.Context(), twin, &fence, job.Hold(now(db).Add(time.Hour), 0))
		wantErr(t, c.name, err, c.want)
		if fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: kind %s, want internal", c.name, fault.KindOf(err))
		}
	}
	sameOrder(t, load(t, db, o.ID), o)
	unquoted := newOrder(db, "b2")
	unquoted.Total--
	_, err := db.Orders().Create(t.Context(), asked(unquoted), jobOf(db, unquoted))
	wantErr(t, "an order without parts, one fen short of its bills", err, ErrRow)
}

// sumGuards writes past the checks in Go: the database refuses all the same.
func sumGuards(t *testing.T, db *DB) {
	o, _ := paying(t, db, "b1")
	for _, statement := range []string{
		"UPDATE orders SET total_fen = total_fen + 1", "UPDATE orders SET cash_fen = cash_fen - 1", "UPDATE orders SET cash_fen = NULL",
		"UPDATE orders SET cash_fen = -1, uninsured_fen = uninsured_fen + cash_fen + 1", "UPDATE order_bill SET live = 2",
		"UPDATE settlement SET foreseen_cash_fen = foreseen_cash_fen + 1", "UPDATE settlement SET actual_cash_fen = 1",
		"UPDATE settlement SET foreseen_cash_fen = -1, foreseen_account_fen = foreseen_account_fen + foreseen_cash_fen + 1",
		"UPDATE settlement SET open_marker = 0", "UPDATE payment SET refund_reserved_fen = amount_fen + 1", "UPDATE payment SET refund_reserved_fen = -1",
		"UPDATE payment SET amount_fen = 0", "UPDATE order_event SET cash_fen = -1", "UPDATE job SET attempt = -1", "UPDATE job SET ref = NULL",
		"UPDATE idempotency SET status = 200", "UPDATE payment SET order_id = 1",
	} {
		err := db.write(t.Context(), func(tx *gorm.DB) error { return tx.Exec(statement).Error })
		wantErr(t, statement, err, ErrRow)
	}
	sameOrder(t, load(t, db, o.ID), o)
}

// uniqueNumbers gives a second order each number of the first in turn.
func uniqueNumbers(t *testing.T, db *DB) {
	first, _ := paying(t, db, "b1")
	second, claim := paying(t, db, "b2")
	s, p := first.Settlement(), first.Payment()
	for _, c := range []struct {
		name  string
		spoil func(o *order.Order)
	}{
		{"posting_no", func(o *order.Order) { o.Posted.PostingNo = first.Posted.PostingNo }},
		{"batch_no", func(o *order.Order) { o.Settlement().BatchNo = s.BatchNo }},
		{"msg_id", func(o *order.Order) { o.Settlement().MsgID = s.MsgID }},
		{"lost_msg_id", func(o *order.Order) { o.Settlement().LostMsgID = s.LostMsgID }},
		{"setl_id", func(o *order.Order) { o.Settlement().SetlID = s.SetlID }},
		{"transaction_id", func(o *order.Order) { o.Payment().TransactionID = p.TransactionID }},
		{"out_refund_no", func(o *order.Order) { o.Payment().Back.OutRefundNo = p.Back.OutRefundNo }},
		{"refund_id", func(o *order.Order) { o.Payment().Back.RefundID = p.Back.RefundID }},
		{"out_trade_no", func(o *order.Order) {
			_ = o.Payment().Apply(payment.Dead)
			o.Payments = append(o.Payments, payment.New(payment.ID(db.ids.ID()), 2, p.OutTradeNo, p.Amount, nil, now(db)))
		}},
		{"seq of an attempt", func(o *order.Order) {
			_ = o.Payment().Apply(payment.Dead)
			o.Payments = append(o.Payments, payment.New(payment.ID(db.ids.ID()), 1, "T0", p.Amount, nil, now(db)))
		}},
	} {
		twin, fence := load(t, db, second.ID), *claim
		_ = twin.Settlement().Apply(settlement.NoAnswer)
		twin.Payment().Touch()
		c.spoil(twin)
		wantErr(t, c.name, db.Orders().Save(t.Context(), twin, &fence, job.Finish()), order.ErrNumberTaken)
	}
	// Unique within an institution only: what another one's counterpart numbers is its own affair.
	exec(t, db, "UPDATE payment SET institution = 'h2' WHERE id = ?", int64(second.Payment().ID))
	exec(t, db, "UPDATE payment SET transaction_id = ? WHERE id = ?", p.TransactionID, int64(second.Payment().ID))
	for _, statement := range []string{
		"INSERT INTO order_event SELECT id + 1, institution, order_id, seq, at_us, actor, subject, verb, from_state, to_state, about_no, pooled_fund_fen, other_fund_fen, account_fen, family_account_fen, hospital_borne_fen, cash_fen, uninsured_fen, detail, mac FROM order_event WHERE seq = 1 AND order_id = " + first.ID.No(),
		"UPDATE payment SET order_id = " + first.ID.No(), "UPDATE settlement SET order_id = " + first.ID.No(),
		"UPDATE order_bill SET bill_no = 'b1'",
	} {
		err := db.write(t.Context(), func(tx *gorm.DB) error { return tx.Exec(statement).Error })
		wantErr(t, statement, err, ErrDuplicate)
	}
	line := lineRow{ID: 1, Institution: hospital, OrderID: int64(first.ID), EventID: count(t, db, "SELECT MIN(id) FROM order_event"), LineNo: 1, Account: "x", AmountFen: 1}
	twin := line
	twin.ID = 2
	err := db.write(t.Context(), func(tx *gorm.DB) error { return insert(db, tx, line, twin) })
	wantErr(t, "a ledger line twice", err, ErrDuplicate)
}

func suiteTampering(t *testing.T, open func(t *testing.T) *DB) {
	db := open(t)
	o, claim := paying(t, db, "b1")
	o.Events = append(o.Events, order.Event{Actor: "system", Subject: "payment", Verb: "pay", Posting: o.Payment().Received(ledger.Suspense)})
	o.Refusal = "SECRET-REFUSAL"
	save(t, db, o, claim, job.Hold(now(db).Add(time.Hour), 0))
	other, _ := paying(t, db, "b2")
	id := o.ID.No()
	loaded := func() error {
		db.Forget()
		_, err := db.Orders().Load(t.Context(), o.ID)
		if err == nil {
			_, err = db.Orders().History(t.Context(), o.ID)
		}
		return err
	}
	check(t, loaded())
	for _, change := range []string{
		"UPDATE orders SET cash_fen = cash_fen - 1, account_fen = account_fen + 1 WHERE id = " + id, // the sum still holds
		"UPDATE orders SET state = 'completed' WHERE id = " + id,
		"UPDATE orders SET version = version + 1 WHERE id = " + id,
		"UPDATE orders SET refusal_sealed = NULL WHERE id = " + id,
		"UPDATE orders SET mac = (SELECT o.mac FROM orders o WHERE o.id = " + other.ID.No() + ") WHERE id = " + id,
		"UPDATE orders SET mac = '' WHERE id = " + id,
		"UPDATE orders SET mac = '77:00' WHERE id = " + id,
		"UPDATE payment SET amount_fen = amount_fen + 1 WHERE order_id = " + id,
		"UPDATE payment SET open_marker = NULL WHERE order_id = " + id,
		"UPDATE payment SET transaction_id = NULL WHERE order_id = " + id,
		"UPDATE settlement SET balance_fen = NULL WHERE order_id = " + id,
		"UPDATE settlement SET state = 'settled' WHERE order_id = " + id,
		"UPDATE settlement SET visit_ours = NOT visit_ours WHERE order_id = " + id,
		"UPDATE order_bill SET total_fen = total_fen + 1 WHERE order_id = " + id,
		"UPDATE order_bill SET bill_no = 'b9' WHERE order_id = " + id,
		"UPDATE order_bill SET detail_sealed = (SELECT o.detail_sealed FROM order_bill o WHERE o.order_id = " + other.ID.No() + ") WHERE order_id = " + id,
		"UPDATE order_bill SET institution = 'h2' WHERE order_id = " + id,
		"DELETE FROM order_bill WHERE order_id = " + id,
		"UPDATE order_event SET actor = 'staff:1' WHERE order_id = " + id,
		"UPDATE ledger_line SET amount_fen = amount_fen + 1 WHERE order_id = " + id,
		"DELETE FROM ledger_line WHERE line_no = 2 AND order_id = " + id,
	} {
		err := db.writer.WithContext(t.Context()).Transaction(func(tx *gorm.DB) error {
			if done := tx.Exec(change); done.Error != nil || done.RowsAffected == 0 {
				t.Fatalf("%s: %v, %d rows", change, done.Error, done.RowsAffected)
			}
			return nil
		})
		check(t, err)
		err = loaded()
		if strings.Contains(change, "'77:00'") {
			if fault.KindOf(err) != fault.Internal || err == nil {
				t.Errorf("a mac by a key that is not known: %v", err)
			}
		} else if wantErr(t, change, err, ErrTampered); fault.KindOf(err) != fault.Internal {
			t.Errorf("%s: kind %s", change, fault.KindOf(err))
		}
		restore(t, db, o)
		check(t, loaded())
	}
}

// restore writes an order's rows again as they were.
func restore(t *testing.T, db *DB, o *order.Order) {
	t.Helper()
	check(t, db.write(t.Context(), func(tx *gorm.DB) error {
		for _, table := range []string{"ledger_line", "order_event", "order_bill", "payment", "settlement"} {
			if err := tx.Exec("DELETE FROM " + table + " WHERE order_id = " + o.ID.No()).Error; err != nil {
				return err
			}
		}
		w, err := db.writing(o)
		if err != nil {
			return err
		}
		w.order.Version = o.Version
		if err := move(db, tx, &w.order, orderMoves(), "id = ?", w.order.ID); err != nil {
			return err
		}
		if err := w.addBills(tx); err != nil {
			return err
		}
		s, err := db.settlementRowOf(o, o.Settlement())
		if err != nil {
			return err
		}
		p, err := db.paymentRowOf(o, o.Payment())
		if err != nil {
			return err
		}
		if err := insert(db, tx, s); err != nil {
			return err
		}
		if err := insert(db, tx, p); err != nil {
			return err
		}
		w.o.Events = []order.Event{{Actor: "system", Subject: "payment", Verb: "pay", Posting: o.Payment().Received(ledger.Suspense)}}
		err = w.addEvents(tx, 0)
		w.o.Events = nil
		return err
	}))
}
