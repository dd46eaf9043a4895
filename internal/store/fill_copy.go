package store

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/clock"
)

// copying is one copy under way.
type copying struct {
	db     *DB
	shift  int64 // of every moment, in microseconds
	values []value
}

// name gives the next words their values.
func (c *copying) name(words []word, source *clock.Source) error {
	for _, w := range words {
		v := value{id: source.ID()}
		v.text = strconv.FormatInt(v.id, 10)
		switch w.kind {
		case aNumber:
			v.text = renumbered(w.was, v.text)
		case anOpenidIndex:
			index, err := c.db.vault.Index(openidField, c.values[len(c.values)-1].text)
			if err != nil {
				return err
			}
			v.text = index
		}
		c.values = append(c.values, v)
	}
	return nil
}

// renumbered is a number of the same form, with the digits of an id at its end.
func renumbered(was, digits string) string {
	if len(was) >= len(digits)+4 {
		return was[:len(was)-len(digits)] + digits
	}
	letters := was[:len(was)-len(strings.TrimLeftFunc(was, func(r rune) bool { return r < '0' || r > '9' }))]
	return letters[:min(len(letters), 8)] + digits
}

// render puts a text together again.
func (c *copying) render(t text) string {
	if len(t.words) == 0 {
		return t.literals[0]
	}
	var b strings.Builder
	for i, w := range t.words {
		b.WriteString(t.literals[i])
		b.WriteString(c.values[w].text)
	}
	b.WriteString(t.literals[len(t.words)])
	return b.String()
}

// copyRows adds a copy of each row of a sheet.
func copyRows[T any](ctx context.Context, c *copying, s *sheet[T], to *[]T) error {
	for i := range s.rows {
		row := s.rows[i]
		v := reflect.ValueOf(&row).Elem()
		var sealed *sealer
		for _, e := range s.edits[i] {
			at := e.field.ReflectValueOf(ctx, v)
			switch {
			case e.moved:
				at.SetInt(at.Int() + c.shift)
			case e.sealed:
				if sealed == nil { // the id is changed by then: it is the first column
					sealed = c.db.sealer(e.field.Schema.Table, e.field.Schema.LookUpField("id").ReflectValueOf(ctx, v).Int())
				}
				at.SetBytes(sealed.bytes(e.field.DBName, []byte(c.render(e.text))))
			case at.Kind() == reflect.Int64:
				at.SetInt(c.values[e.word].id)
			default:
				now := ""
				if e.text.literals == nil {
					now = c.values[e.word].text
				} else {
					now = c.render(e.text)
				}
				if at.Kind() == reflect.Pointer { // which the original keeps
					at.Set(reflect.ValueOf(&now))
				} else {
					at.SetString(now)
				}
			}
		}
		if sealed != nil && sealed.err != nil {
			return sealed.err
		}
		*to = append(*to, row)
	}
	return nil
}

// batch is what is written together.
type batch struct {
	accounts    []accountRow
	patients    []patientRow
	consents    []consentRow
	bindings    []bindingRow
	orders      []orderRow
	bills       []billRow
	auths       []payAuthRow
	sessions    []sessionRow
	settlements []settlementRow
	payments    []paymentRow
	mixed       []mixedRow
	refunds     []refundRow
	events      []eventRow
	lines       []lineRow
	cases       []caseRow
	votes       []voteRow
	jobs        []jobRow
	finished    []finishedJobRow
	inbox       []inboxRow
	replays     []replayRow
	acts        []auditRow
}

func (c *copying) person(ctx context.Context, o *original, b *batch) error {
	return errors.Join(
		copyRows(ctx, c, &o.accounts, &b.accounts),
		copyRows(ctx, c, &o.patients, &b.patients),
		copyRows(ctx, c, &o.consents, &b.consents),
		copyRows(ctx, c, &o.bindings, &b.bindings),
		copyRows(ctx, c, &o.personActs, &b.acts))
}

func (c *copying) order(ctx context.Context, o *original, b *batch) error {
	return errors.Join(
		copyRows(ctx, c, &o.orders, &b.orders),
		copyRows(ctx, c, &o.bills, &b.bills),
		copyRows(ctx, c, &o.auths, &b.auths),
		copyRows(ctx, c, &o.sessions, &b.sessions),
		copyRows(ctx, c, &o.settlements, &b.settlements),
		copyRows(ctx, c, &o.payments, &b.payments),
		copyRows(ctx, c, &o.mixed, &b.mixed),
		copyRows(ctx, c, &o.refunds, &b.refunds),
		copyRows(ctx, c, &o.events, &b.events),
		copyRows(ctx, c, &o.lines, &b.lines),
		copyRows(ctx, c, &o.cases, &b.cases),
		copyRows(ctx, c, &o.votes, &b.votes),
		copyRows(ctx, c, &o.finished, &b.finished),
		copyRows(ctx, c, &o.inbox, &b.inbox),
		copyRows(ctx, c, &o.replays, &b.replays),
		copyRows(ctx, c, &o.orderActs, &b.acts))
}

// write writes what others refer to first.
func (b *batch) write(db *DB, tx *gorm.DB, counts map[string]int64) error {
	for _, write := range []func() error{
		func() error { return writeRows(db, tx, counts, b.accounts) },
		func() error { return writeRows(db, tx, counts, b.patients) },
		func() error { return writeRows(db, tx, counts, b.consents) },
		func() error { return writeRows(db, tx, counts, b.bindings) },
		func() error { return writeRows(db, tx, counts, b.orders) },
		func() error { return writeRows(db, tx, counts, b.bills) },
		func() error { return writeRows(db, tx, counts, b.auths) },
		func() error { return writeRows(db, tx, counts, b.sessions) },
		func() error { return writeRows(db, tx, counts, b.settlements) },
		func() error { return writeRows(db, tx, counts, b.payments) },
		func() error { return writeRows(db, tx, counts, b.mixed) },
		func() error { return writeRows(db, tx, counts, b.refunds) },
		func() error { return writeRows(db, tx, counts, b.events) },
		func() error { return writeRows(db, tx, counts, b.lines) },
		func() error { return writeRows(db, tx, counts, b.cases) },
		func() error { return writeRows(db, tx, counts, b.votes) },
		func() error { return writeRows(db, tx, counts, b.jobs) },
		func() error { return writeRows(db, tx, counts, b.finished) },
		func() error { return writeRows(db, tx, counts, b.inbox) },
		func() error { return writeRows(db, tx, counts, b.replays) },
		func() error { return writeRows(db, tx, counts, b.acts) },
	} {
		if err := write(); err != nil {
			return err
		}
	}
	return nil
}

func writeRows[T interface{ TableName() string }](db *DB, tx *gorm.DB, counts map[string]int64, rows []T) error {
	if len(rows) == 0 {
		return nil
	}
	name := rows[0].TableName()
	counts[name] += int64(len(rows))
	if err := insertMany(db, tx, rows); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}
