package core

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

var (
	// ErrMoved is a ledger that changed its mind about a day while it was compared: ask again.
	ErrMoved = fault.New(fault.Unavailable, "LEDGER_MOVED", "对账期间平台账有变动，请重新对账")
	// ErrUnnamed is a settlement of ours that lacks what the insurer's books are kept by. Nothing of the day is compared before it is mended.
	ErrUnnamed = fault.New(fault.Conflict, "SETTLEMENT_UNNAMED", "医保结算缺少对账所需的险种、清算类别、清算经办机构、结算ID 或就诊ID")
)

// Statements is the insurer's book. He compares for himself: 3201 holds sums against his own, and only what he calls not balanced is uploaded (9101),
// compared row by row (3202) and fetched (9102). What went through the mobile-payment centre is asked there.
type Statements struct{ c *Client }

var _ recon.Statements = (*Statements)(nil)

// Statements is the insurer's book of this institution.
func (c *Client) Statements() recon.Statements { return &Statements{c} }

// tally is what one 3201 says we have of a group, as the area's centre states it, and what by the local agreement it does not say.
type tally struct {
	sums
	count  int
	silent []*own // 5203 is asked for each: an undoing that no day's sums show
}

// own is a claim of ours as a row.
type own struct {
	setlID, mdtrtID, personNo, msgID string
	at                               time.Time
	split                            split.Split
	undone                           bool
	visit                            settlement.Visit
	run                              int // by which reading of the result it was found last
}

// row is what we say of it.
func (o *own) row(v verdict) row {
	return row{setlID: o.setlID, mdtrtID: o.mdtrtID, msgID: o.msgID, at: o.at, undone: o.undone, verdict: v, total: money.InYuan(o.split.Insured()),
		fund: money.InYuan(o.split.Fund()), account: money.InYuan(o.split.Account + o.split.FamilyAccount)}
}

// Fetch compares a day group by group (险种类型, 清算类别, 清算经办机构). A day of which neither the ledger nor the Profile has a group asks nothing and is
// Nothing. Of every group it keeps the answer of 3201, the uploaded file and the result as they were (attached), and one file to be read. Nothing is
// kept of a group before everything of it is proved; after an error nothing of the whole day counts. The counterpart never says that a day changes no more, so nothing is Final.
//
// The result file is held in memory, packed: it names persons, and may not lie on a disk unsealed. Of a group that is not balanced our own rows are
// held as well, some 300 bytes each; of one that is balanced nothing is.
func (s *Statements) Fetch(ctx context.Context, day recon.Day, claims recon.Claims, keep recon.Keeper) error {
	if s.c.cfg.Clock.Now().Before(day.End()) && !s.c.cfg.Profile.Statement.Early {
		return fmt.Errorf("insurer's statement of %s: %w", day, recon.ErrNotReady.Because(errors.New("the day is not over")))
	}
	groups, err := s.tallies(ctx, day, claims)
	if err != nil {
		return fmt.Errorf("insurer's statement of %s: %w", day, err)
	}
	if len(groups) == 0 {
		return keep(recon.Statement{Source: recon.Insurer, Day: day, Nothing: true}, func(io.Writer) error { return nil })
	}
	order := make([]Group, 0, len(groups))
	for g := range groups {
		order = append(order, g)
	}
	slices.SortFunc(order, func(a, b Group) int { return strings.Compare(a.String(), b.String()) })
	given := map[rowKey]bool{}
	for _, g := range order {
		f := groupFetch{Statements: s, day: day, group: g, tally: groups[g], claims: claims, keep: keep, given: given}
		if err := f.run(ctx); err != nil {
			return fmt.Errorf("insurer's statement of %s, group %s: %w", day, g, err)
		}
	}
	return nil
}

// tallies sums the day's claims by group.
func (s *Statements) tallies(ctx context.Context, day recon.Day, claims recon.Claims) (map[Group]*tally, error) {
	groups := map[Group]*tally{}
	for _, g := range s.c.cfg.Profile.Statement.Groups {
		groups[g] = &tally{}
	}
	err := claims(ctx, func(claim recon.Claim) error {
		g, ours, err := s.groupOf(&claim)
		if err != nil || !ours {
			return err
		}
		if groups[g] == nil {
			groups[g] = &tally{}
		}
		return s.add(groups[g], day, &claim)
	})
	return groups, err
}

// groupOf is the group that a claim is compared in; false for one that the mobile-payment centre settled.
func (s *Statements) groupOf(claim *recon.Claim) (g Group, ours bool, err error) {
	x := claim.Settlement
	if x.Upload.PayOrdID != "" {
		return Group{}, false, nil
	}
	g = Group{Insurance: x.Visit.InsuranceType, ClrType: x.ClrType, ClrOptins: x.ClrOptins}
	defaults(&g.ClrType, s.c.cfg.Profile.ClrType)
	defaults(&g.ClrOptins, s.c.cfg.Profile.ClrOptins)
	for _, n := range []struct{ name, value string }{{"insutype", g.Insurance}, {"clr_type", g.ClrType}, {"clr_optins", g.ClrOptins}, {"setl_id", x.SetlID},
		{"mdtrt_id", x.Visit.MdtrtID}, {"psn_no", x.Visit.PersonNo}} {
		if !isNumber(n.value) {
			return Group{}, false, ErrUnnamed.Because(fmt.Errorf("settlement %s: no %s", x.ID.No(), n.name))
		}
	}
	return g, true, nil
}

// The ways in which the centre counts a claim.
type counting int

const (
	counted    counting = iota
	notCounted          // undone, and counted by nobody: so the sums say that it is undone
	unseen              // undone, and on another day counted: 5203 is asked
)

// countOf is the local agreement. What was put in force again after its 2208 (2601 on it) is not undone in the centre's books, and what 2601 reversed
// was never in them.
func (s *Statements) countOf(day recon.Day, claim *recon.Claim) counting {
	x := claim.Settlement
	standing := !x.State.Final()
	switch {
	case claim.Undone && x.State == settlement.Settled, x.State == settlement.Reversed:
		return notCounted
	case s.c.cfg.Profile.Statement.Refunds == CountBoth, !claim.Undone && standing:
		return counted
	case claim.Undone && recon.DayOf(x.SettledAt) != day:
		return unseen
	}
	return notCounted
}

func (s *Statements) add(t *tally, day recon.Day, claim *recon.Claim) error {
	switch s.countOf(day, claim) {
	case notCounted:
		return nil
	case unseen:
		t.silent = append(t.silent, ownOf(claim))
		return nil
	}
	said := s.c.cfg.Profile.stated(claim.Settlement.Actual)
	sign := money.Fen(1)
	if claim.Undone {
		sign = -1
	}
	t.count++
	for _, p := range []struct {
		to   *money.Fen
		more money.Fen
	}{{&t.total, said.total}, {&t.fund, said.fund}, {&t.account, said.account}, {&t.cash, said.cash}} {
		sum, err := money.Add(*p.to, sign*p.more)
		if err != nil {
			return ErrUnnamed.Because(errors.New("the day's sum is out of range"))
		}
		*p.to = sum
	}
	return nil
}

// ownOf is a claim as a row. Its msgid is told where the ledger still has the one of the 2207, or of the 2208 that undid it.
func ownOf(claim *recon.Claim) *own {
	x := claim.Settlement
	o := &own{setlID: x.SetlID, mdtrtID: x.Visit.MdtrtID, personNo: x.Visit.PersonNo, at: claim.At, split: x.Actual, undone: claim.Undone, visit: x.Visit}
	if x.Restores == 0 && isNumber(x.MsgID) && (x.State == settlement.Settled && !claim.Undone || x.State == settlement.Cancelled && claim.Undone) {
		o.msgID = x.MsgID
	}
	return o
}
