package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"gorm.io/gorm/schema"

	"github.com/tuoka/tuoka/internal/order"
)

// sheet is some rows of one table, and what a copy of each changes.
type sheet[T any] struct {
	rows  []T
	edits [][]edit
}

// edit is one column of a row that a copy does not take over: exactly one of the others says what it holds instead.
type edit struct {
	field  *schema.Field
	word   int  // this word, where text is nil
	moved  bool // its moment, shifted
	text   text
	sealed bool // the text, sealed for the copy's row
}

// text is a column's text in pieces: literal, word, literal, word, …
type text struct {
	literals []string
	words    []int
}

// word is what a copy says otherwise wherever the original says it: an id, a number, an openid and its index.
type word struct {
	was  string
	kind wordKind
}

type wordKind int

const (
	anID wordKind = iota
	aNumber
	anOpenidIndex // of the word before it
)

// value is what a copy says for a word.
type value struct {
	text string
	id   int64
}

// original is a finished order with all that belongs to it, and the person whose it is.
type original struct {
	words      []word
	personal   int            // so many of them, the first, are the person's
	at         map[string]int // where a word stands
	search     []int          // words that are looked for in texts, longest first
	bornPerson int64
	bornOrder  int64
	prepare    []func() error // of each sheet, when all words are known

	accounts   sheet[accountRow]
	patients   sheet[patientRow]
	consents   sheet[consentRow]
	bindings   sheet[bindingRow]
	personActs sheet[auditRow]

	orders      sheet[orderRow]
	bills       sheet[billRow]
	auths       sheet[payAuthRow]
	sessions    sheet[sessionRow]
	settlements sheet[settlementRow]
	payments    sheet[paymentRow]
	mixed       sheet[mixedRow]
	refunds     sheet[refundRow]
	events      sheet[eventRow]
	lines       sheet[lineRow]
	cases       sheet[caseRow]
	votes       sheet[voteRow]
	finished    sheet[finishedJobRow]
	inbox       sheet[inboxRow]
	replays     sheet[replayRow]
	orderActs   sheet[auditRow]
}

// numberColumns hold numbers that no two rows share, or that stand for one order. Ids are words without being listed.
func numberColumns() []string {
	return []string{"account.openid_index", "session.token_digest", "orders.posting_no", "orders.receipt_no", "order_bill.bill_no", "settlement.mdtrt_id",
		"settlement.visit_no", "settlement.batch_no", "settlement.msg_id", "settlement.lost_msg_id", "settlement.setl_id", "settlement.med_org_ord",
		"settlement.pay_ord_id", "settlement.org_biz_ser", "settlement.app_refd_sn", "payment.out_trade_no", "payment.transaction_id", "payment.out_refund_no",
		"payment.refund_id", "mixed_order.out_trade_no", "mixed_order.serial_no", "mixed_order.pay_order_id", "mixed_order.mix_trade_no", "refund.his_refund_no",
		"refund.out_refund_no", "refund.refund_id", "refund.booking_no", "inbox.notice_id", "idempotency.idem_key"}
}

// visitActs are the audit records that each visit makes anew; the person's others are made once.
func visitActs() []string { return []string{"session.open", "insurance.bind"} }

// original reads an order to be copied.
func (db *DB) original(ctx context.Context, id int64) (*original, error) {
	row, found, err := one[orderRow](db, db.read(ctx).Where("id = ?", id))
	if err == nil && !found {
		err = ErrNoOriginal
	}
	if err != nil {
		return nil, err
	}
	o := &original{at: map[string]int{}, bornPerson: row.CreatedUS, bornOrder: row.CreatedUS}
	if err := o.readPerson(ctx, db, row); err != nil {
		return nil, err
	}
	o.personal = len(o.words)
	if err := o.readOrder(ctx, db, row); err != nil {
		return nil, err
	}
	for i, w := range o.words {
		if len(w.was) >= 8 { // a shorter one would be found everywhere
			o.search = append(o.search, i)
		}
	}
	slices.SortStableFunc(o.search, func(a, b int) int { return len(o.words[b].was) - len(o.words[a].was) })
	for _, prepare := range o.prepare {
		if err := prepare(); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// readSheet reads rows and learns their words.
func readSheet[T any](ctx context.Context, db *DB, o *original, s *sheet[T], where string, args ...any) error {
	var err error
	if s.rows, err = find[T](db, db.read(ctx).Where(where, args...)); err != nil {
		return err
	}
	for i := range s.rows {
		if err := o.learn(ctx, db, &s.rows[i]); err != nil {
			return err
		}
	}
	o.prepare = append(o.prepare, func() error {
		for i := range s.rows {
			edits, err := o.editsOf(ctx, db, &s.rows[i])
			if err != nil {
				return err
			}
			s.edits = append(s.edits, edits)
		}
		return nil
	})
	return nil
}

func (o *original) readPerson(ctx context.Context, db *DB, of orderRow) error {
	return errors.Join(
		readSheet(ctx, db, o, &o.accounts, "id = ?", of.AccountID),
		readSheet(ctx, db, o, &o.patients, "account_id = ?", of.AccountID),
		readSheet(ctx, db, o, &o.consents, "account_id = ?", of.AccountID),
		readSheet(ctx, db, o, &o.bindings, "patient_id IN (SELECT id FROM patient WHERE account_id = ?)", of.AccountID),
		readSheet(ctx, db, o, &o.personActs, acts+" AND action NOT IN ?", append(actsOf(of), visitActs())...))
}

func (o *original) readOrder(ctx context.Context, db *DB, of orderRow) error {
	no := order.ID(of.ID).No()
	err := errors.Join(
		readSheet(ctx, db, o, &o.orders, "id = ?", of.ID),
		readSheet(ctx, db, o, &o.bills, "order_id = ?", of.ID),
		readSheet(ctx, db, o, &o.auths, "id = ?", of.PayAuthID),
		readSheet(ctx, db, o, &o.sessions, "account_id = ? AND created_us = (SELECT MAX(created_us) FROM session WHERE account_id = ?)", of.AccountID, of.AccountID),
		readSheet(ctx, db, o, &o.settlements, "order_id = ?", of.ID),
		readSheet(ctx, db, o, &o.payments, "order_id = ?", of.ID),
		readSheet(ctx, db, o, &o.mixed, "order_id = ?", of.ID),
		readSheet(ctx, db, o, &o.refunds, "order_id = ?", of.ID),
		readSheet(ctx, db, o, &o.events, "order_id = ?", of.ID),
		readSheet(ctx, db, o, &o.lines, "order_id = ?", of.ID),
		readSheet(ctx, db, o, &o.cases, "order_id = ?", of.ID),
		readSheet(ctx, db, o, &o.votes, "case_id IN (SELECT id FROM review_case WHERE order_id = ?)", of.ID),
		readSheet(ctx, db, o, &o.finished, "kind = ? AND ref = ?", order.JobKind, no),
		readSheet(ctx, db, o, &o.replays, "account_id = ? AND ref = ?", of.AccountID, no),
		readSheet(ctx, db, o, &o.orderActs, acts+" AND action IN ?", append(actsOf(of), visitActs())...))
	if err != nil {
		return err
	}
	numbers := make([]string, 0, len(o.words))
	for _, w := range o.words[o.personal:] {
		numbers = append(numbers, w.was)
	}
	return readSheet(ctx, db, o, &o.inbox, "handled_us BETWEEN ? AND ? AND institution = ? AND about_no IN ?", of.CreatedUS,
		micros(moment(of.UpdatedUS).Add(fillNotice)), of.Institution, numbers)
}

// acts are the audit records of a person, from a day before the order to its end.
const acts = "institution = ? AND at_us BETWEEN ? AND ? AND actor = ?"

func actsOf(of orderRow) []any {
	return []any{of.Institution, of.CreatedUS - (24 * time.Hour).Microseconds(), of.UpdatedUS, "account:" + strconv.FormatInt(of.AccountID, 10)}
}

// learn adds the words of a row.
func (o *original) learn(ctx context.Context, db *DB, row any) error {
	s, err := db.layout(row)
	if err != nil {
		return err
	}
	v := reflect.ValueOf(row).Elem()
	for _, f := range s.Fields {
		at := f.ReflectValueOf(ctx, v)
		switch was, number := textOf(at), slices.Contains(numberColumns(), s.Table+"."+f.DBName); {
		case f.DBName == "id":
			o.add(strconv.FormatInt(at.Int(), 10), anID)
		case f.DBName == "openid_index":
			open := db.sealer(s.Table, s.LookUpField("id").ReflectValueOf(ctx, v).Int())
			openid := open.openText("openid_sealed", s.LookUpField("openid_sealed").ReflectValueOf(ctx, v).Bytes())
			if open.err != nil {
				return open.err
			}
			o.add(openid, aNumber)
			o.add(was, anOpenidIndex)
		case number && was != "":
			o.add(was, aNumber)
		}
	}
	return nil
}

func (o *original) add(was string, kind wordKind) {
	if _, known := o.at[was]; !known {
		o.at[was] = len(o.words)
		o.words = append(o.words, word{was, kind})
	}
}

// textOf is a column's text, empty for NULL and for what is no text.
func textOf(v reflect.Value) string {
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if v.Kind() == reflect.String {
		return v.String()
	}
	return ""
}

// editsOf says what a copy of a row changes.
func (o *original) editsOf(ctx context.Context, db *DB, row any) ([]edit, error) {
	s, err := db.layout(row)
	if err != nil {
		return nil, err
	}
	v := reflect.ValueOf(row).Elem()
	var edits []edit
	var sealed *sealer
	for _, f := range s.Fields {
		at := f.ReflectValueOf(ctx, v)
		switch {
		case at.IsZero() || f.DBName == macColumn:
		case f.DBName == "id" || strings.HasSuffix(f.DBName, "_id") && at.Kind() == reflect.Int64:
			i, known := o.at[strconv.FormatInt(at.Int(), 10)]
			if !known {
				return nil, fmt.Errorf("%s.%s refers to a row that is not copied", s.Table, f.DBName)
			}
			edits = append(edits, edit{field: f, word: i})
		case strings.HasSuffix(f.DBName, "_us"):
			edits = append(edits, edit{field: f, moved: true})
		case strings.HasSuffix(f.DBName, "_sealed"):
			if sealed == nil {
				sealed = db.sealer(s.Table, s.LookUpField("id").ReflectValueOf(ctx, v).Int())
			}
			edits = append(edits, edit{field: f, text: o.text(sealed.openText(f.DBName, at.Bytes())), sealed: true})
		default:
			was := textOf(at)
			i, known := o.at[was]
			if t := o.text(was); known && was != "" {
				edits = append(edits, edit{field: f, word: i})
			} else if len(t.words) > 0 {
				edits = append(edits, edit{field: f, text: t})
			}
		}
	}
	if sealed != nil && sealed.err != nil {
		return nil, sealed.err
	}
	return edits, nil
}

// text takes a text apart.
func (o *original) text(s string) text {
	var t text
	begun := 0
	for at := 0; at < len(s); {
		i := slices.IndexFunc(o.search, func(i int) bool { return strings.HasPrefix(s[at:], o.words[i].was) })
		if i < 0 {
			at++
			continue
		}
		t.literals, t.words = append(t.literals, s[begun:at]), append(t.words, o.search[i])
		at += len(o.words[o.search[i]].was)
		begun = at
	}
	t.literals = append(t.literals, s[begun:])
	return t
}
