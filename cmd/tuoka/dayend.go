package main

import (
	"context"
	"net/http"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/nhsa/core"
	"github.com/tuoka/tuoka/adapters/nhsa/mobile"
	"github.com/tuoka/tuoka/adapters/wechatpay"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/recon/plant"
	"github.com/tuoka/tuoka/internal/settlement"
)

// booksOf are the books that an institution's counterparts keep. Where its route has the HIS settle by its own line, the insurer's book is the HIS's.
func booksOf(in *config.Institution, pay *wechatpay.Client, hospital *his.Client, insurer *core.Client, centre *mobile.Client) *recon.Party {
	p := &recon.Party{Institution: in.ID, Books: map[recon.Source]recon.Statements{recon.WechatTrade: pay.TradeBills(), recon.WechatFund: pay.FundBills(),
		recon.HIS: hospital.Statements()}}
	switch {
	case order.Route(in.Route).Together():
		p.Books[recon.Insurer] = centre.Statements()
	case insurer != nil:
		p.Books[recon.Insurer] = insurer.Statements()
	}
	return p
}

// reconciling makes the service that holds those books against our ledger.
func (h *house) reconciling() *recon.Service {
	people := h.db.Patients()
	return recon.New(h.db.Statements(), h.clock, h.books, recon.Config{Prover: func() recon.Prover { return plant.NewSampler(sampled) },
		Person: func(ctx context.Context, o *order.Order) (settlement.Person, error) {
			p, err := people.Patient(ctx, o.Account, o.Patient)
			return settlement.Person{Name: p.Name, IDNumber: p.IDNumber}, err
		}})
}

// dayEnd is what the sandbox is told of a day's reconciliation: all of it, for whoever looks at the counterparts' truth beside it.
type dayEnd struct {
	Run         int               `json:"run"`
	Lines       int               `json:"lines"`
	Matched     int               `json:"matched"`
	Totals      []recon.Total     `json:"totals"`
	Proof       recon.Proof       `json:"proof"`
	Missing     map[string]string `json:"missing,omitempty"` // books that are not there, and why
	Differences []dayDifference   `json:"differences"`
}

type dayDifference struct {
	Comparison string               `json:"comparison"`
	Kind       recon.DifferenceKind `json:"kind"`
	Was        recon.DifferenceKind `json:"was,omitempty"`
	AmountFen  money.Fen            `json:"amount_fen"`
	Left       []dayLine            `json:"left,omitempty"`
	Right      []dayLine            `json:"right,omitempty"`
}

type dayLine struct {
	Source    recon.Source      `json:"source"`
	Kind      recon.Kind        `json:"kind"`
	Status    recon.Status      `json:"status,omitempty"`
	At        time.Time         `json:"at"`
	AmountFen money.Fen         `json:"amount_fen"`
	Numbers   map[string]string `json:"numbers"`
}

// reconcileDay serves POST /reconcile of a sandbox: a hospital's day, at once.
func (h *house) reconcileDay(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Institution string `json:"institution"`
		Day         string `json:"day"` // empty: today
	}
	if !hear(w, r, &in) {
		return
	}
	day := recon.DayOf(h.clock.Now())
	if in.Day != "" {
		var err error
		if day, err = recon.ParseDay(in.Day); err != nil {
			tell(w, nil, err)
			return
		}
	}
	s := h.reconciling()
	collected, err := s.Collect(r.Context(), in.Institution, day, "system")
	if err != nil {
		tell(w, nil, err)
		return
	}
	record, err := s.Reconcile(r.Context(), in.Institution, day)
	if err != nil {
		tell(w, nil, err)
		return
	}
	tell(w, dayEndOf(&record, collected), nil)
}

func dayEndOf(r *recon.Record, collected []recon.Collected) dayEnd {
	out := dayEnd{Run: r.Seq, Lines: r.Outcome.Lines, Matched: r.Outcome.Matched, Totals: r.Outcome.Totals, Proof: r.Proof, Missing: map[string]string{},
		Differences: []dayDifference{}}
	for _, c := range collected {
		if c.Err != nil {
			out.Missing[string(c.Source)] = c.Err.Error()
		}
	}
	for i := range r.Outcome.Differences {
		d := &r.Outcome.Differences[i]
		out.Differences = append(out.Differences, dayDifference{Comparison: d.Comparison, Kind: d.Kind, Was: d.Was, AmountFen: d.Amount, Left: dayLines(d.Left),
			Right: dayLines(d.Right)})
	}
	return out
}

func dayLines(lines []recon.Line) []dayLine {
	var out []dayLine
	for i := range lines {
		l := &lines[i]
		one := dayLine{Source: l.Source, Kind: l.Kind, Status: l.Status, At: l.At, AmountFen: l.Amount, Numbers: map[string]string{}}
		for n, no := range l.Numbers {
			if no != "" {
				one.Numbers[recon.Number(n).String()] = no
			}
		}
		out = append(out, one)
	}
	return out
}
