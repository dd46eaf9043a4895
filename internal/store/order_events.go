package store

import (
	"fmt"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
)

type eventRow struct {
	ID          int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution string `gorm:"size:64"`
	OrderID     int64
	Seq         int64
	AtUS        int64
	Actor       string       `gorm:"size:64"`
	Subject     string       `gorm:"size:16"`
	Verb        string       `gorm:"size:32"`
	FromState   string       `gorm:"size:16"`
	ToState     string       `gorm:"size:16"`
	AboutNo     string       `gorm:"size:128"`
	Parts       splitColumns `gorm:"embedded"`
	Detail      string       `gorm:"size:500"`
	MAC         string       `gorm:"size:80"`
}

// TableName is the table's name.
func (eventRow) TableName() string { return "order_event" }

type lineRow struct {
	ID          int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution string `gorm:"size:64"`
	OrderID     int64
	EventID     int64
	LineNo      int64
	Account     string `gorm:"size:32"`
	AmountFen   int64
	AtUS        int64
	MAC         string `gorm:"size:80"`
}

// TableName is the table's name.
func (lineRow) TableName() string { return "ledger_line" }

// addEvents numbers the new events after the last and inserts them with their ledger lines.
func (w *writing) addEvents(tx *gorm.DB, last int64) error {
	events := make([]eventRow, len(w.o.Events))
	var lines []lineRow
	for i := range w.o.Events {
		e := &w.o.Events[i]
		at := e.At
		if at.IsZero() {
			at = w.at
		}
		events[i] = eventRow{ID: w.db.ids.ID(), Institution: w.o.Institution, OrderID: int64(w.o.ID), Seq: last + int64(i) + 1, AtUS: micros(at),
			Actor: e.Actor, Subject: e.Subject, Verb: e.Verb, FromState: e.From, ToState: e.To, AboutNo: e.Number, Parts: columnsOf(e.Split),
			Detail: clip(e.Detail, 500)}
		for n, l := range e.Posting {
			lines = append(lines, lineRow{ID: w.db.ids.ID(), Institution: w.o.Institution, OrderID: int64(w.o.ID), EventID: events[i].ID,
				LineNo: int64(n + 1), Account: string(l.Account), AmountFen: int64(l.Amount), AtUS: micros(at)})
		}
	}
	w.after.Seq = last + int64(len(events))
	if err := insert(w.db, tx, events...); err != nil {
		return fmt.Errorf("events: %w", err)
	}
	if err := insert(w.db, tx, lines...); err != nil {
		return fmt.Errorf("ledger lines: %w", err)
	}
	return nil
}

func eventsOf(rows []eventRow, lines []lineRow) ([]order.Event, error) {
	postings := make(map[int64]ledger.Posting)
	for _, l := range lines {
		postings[l.EventID] = append(postings[l.EventID], ledger.Line{Account: ledger.Account(l.Account), Amount: money.Fen(l.AmountFen)})
	}
	events := make([]order.Event, len(rows))
	for i, r := range rows {
		posting := postings[r.ID]
		if err := posting.Check(); err != nil {
			return nil, ErrTampered.Because(fmt.Errorf("event %d: %w", r.Seq, err))
		}
		events[i] = order.Event{Seq: int(r.Seq), At: moment(r.AtUS), Actor: r.Actor, Subject: r.Subject, Verb: r.Verb, From: r.FromState,
			To: r.ToState, Number: r.AboutNo, Split: r.Parts.split(), Detail: r.Detail, Posting: posting}
	}
	return events, nil
}
