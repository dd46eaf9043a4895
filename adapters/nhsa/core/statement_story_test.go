package core

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/adapters/nhsa/nhsasim"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/settlement"
)

// story is one day.
type story struct {
	name     string
	oddities nhsasim.StatementOddities
	area     nhsasim.Oddities // the rest of them
	profile  Profile
	day      func(b *books)
	sent     []string
	want     []string
	err      error
}

var (
	whole    = []string{"3201", "9101", "3202", "9102"}
	firstRow = "pay 1 520.00 fund 59.40 account 200.00"
	nextRow  = "pay 2 520.00 fund 224.40 account 0.00"
)

func twoDays(b *books) { b.have(b.settle(), b.settle()) }

func oneLost(b *books) {
	b.have(b.settle())
	b.settle()
}

func oneBack(b *books) {
	x, y := b.settle(), b.settle()
	b.have(x, y)
	b.cancel(x)
}

func oneDiffers(b *books) {
	x, y := b.settle(), b.settle()
	y.Actual.PooledFund, y.Actual.Cash = y.Actual.PooledFund+1, y.Actual.Cash-1
	b.have(x, y)
}

// backAndLost is a refund in a day that is not balanced.
func backAndLost(b *books) {
	oneBack(b)
	b.settle()
}

// earlierBack is a settlement of the day before, undone today.
func earlierBack(b *books) {
	b.clock.Advance(-24 * time.Hour)
	x := b.settle()
	b.clock.Advance(24 * time.Hour)
	y := b.settle()
	b.have(x, y)
	b.cancel(x)
}

var lostRow, backRow, lostThird = "pay ? 520.00 fund 224.40 msgid", "reversal 1 520.00 fund 59.40 account 200.00", "pay ? 520.00 fund 59.40 msgid"

var stories = []story{
	{name: "balanced", day: twoDays, sent: []string{"3201"}, want: []string{firstRow, nextRow}},
	{name: "six digits", oddities: nhsasim.StatementOddities{SixDigits: true}, day: twoDays, sent: []string{"3201"}, want: []string{firstRow, nextRow}},
	{name: "one lost at our side", day: oneLost, sent: whole, want: []string{firstRow, lostRow}},
	{name: "likewise, six digits", oddities: nhsasim.StatementOddities{SixDigits: true}, day: oneLost, sent: whole, want: []string{firstRow, lostRow}},
	{name: "likewise, differences alone", oddities: nhsasim.StatementOddities{Differences: true},
		profile: Profile{Statement: StatementProfile{ResultDifferences: true}}, day: oneLost, sent: whole, want: []string{lostRow, firstRow}},
	{name: "likewise, seven columns", oddities: nhsasim.StatementOddities{ResultColumns: 7}, day: oneLost, sent: whole,
		want: []string{firstRow, "pay ? 0.00 msgid"}},
	{name: "likewise, eleven columns, CRLF", oddities: nhsasim.StatementOddities{ResultColumns: 11, CRLF: true},
		profile: Profile{Statement: StatementProfile{ResultColumns: 11, UploadCRLF: true}}, day: oneLost, sent: whole, want: []string{firstRow, lostRow}},
	{name: "likewise, columns the other way round", oddities: nhsasim.StatementOddities{FlagFirst: true}, day: oneLost, sent: whole,
		want: []string{firstRow, lostRow}},
	{name: "likewise, as configured", oddities: nhsasim.StatementOddities{FlagFirst: true},
		profile: Profile{Statement: StatementProfile{ResultOrder: FlagFirst}}, day: oneLost, sent: whole, want: []string{firstRow, lostRow}},
	{name: "uploads of another form", oddities: nhsasim.StatementOddities{Columns: 8, TrailingTab: true, CRLF: true, UploadArray: true, OwnCode: true, RefundFlag: "upper"},
		profile: Profile{Statement: StatementProfile{UploadExtension: true, UploadTrailingTab: true, UploadCRLF: true, UploadArray: true, DownloadOwnCode: true,
			RefundFlag: FlagUpper}}, day: oneLost, sent: whole, want: []string{firstRow, lostRow}},
	{name: "one lost at theirs", day: func(b *books) {
		x, y := b.settle(), b.settle()
		b.have(x, y)
		if err := b.client.Reverse(context.Background(), b.client.MsgID(), y.Visit, "2207", y.MsgID); err != nil {
			b.t.Fatal(err)
		}
	}, sent: whole, want: []string{firstRow}},
	{name: "amounts differ", day: oneDiffers, sent: whole, want: []string{firstRow, "pay 2 520.00 fund 224.40 account 0.00"}},
	{name: "amounts differ, and the file has none", oddities: nhsasim.StatementOddities{ResultColumns: 7}, day: oneDiffers, sent: whole,
		want: []string{firstRow, "pay 2 0.00"}},
	{name: "a refund", day: oneBack, sent: []string{"3201"}, want: []string{firstRow, nextRow, backRow}},
	{name: "a refund of the day before", day: earlierBack, sent: []string{"3201"}, want: []string{nextRow, backRow}},
	{name: "a refund and a lost one", day: backAndLost, sent: whole, want: []string{firstRow, nextRow, backRow, lostThird}},
	{name: "likewise, under the cancelling number", oddities: nhsasim.StatementOddities{CancelNumbers: true}, day: backAndLost, sent: whole,
		want: []string{firstRow, nextRow, backRow, lostThird}},
	{name: "likewise, columns the other way round", oddities: nhsasim.StatementOddities{FlagFirst: true}, day: backAndLost, sent: whole,
		want: []string{firstRow, nextRow, backRow, lostThird}},
	{name: "likewise, differences alone, the other way round", oddities: nhsasim.StatementOddities{FlagFirst: true, Differences: true},
		profile: Profile{Statement: StatementProfile{ResultDifferences: true}}, day: backAndLost, sent: whole,
		want: []string{lostThird, firstRow, nextRow, backRow}},
	{name: "only what is in force counts", profile: Profile{Statement: StatementProfile{Refunds: CountSettled}}, day: oneBack, sent: []string{"3201"},
		want: []string{firstRow, nextRow, backRow}},
	{name: "likewise, without the flag", oddities: nhsasim.StatementOddities{RefundFlag: "absent", CountsSettled: true},
		profile: Profile{Statement: StatementProfile{Refunds: CountSettled, RefundFlag: FlagAbsent}}, day: backAndLost, sent: whole,
		want: []string{nextRow, lostThird, firstRow, backRow}},
	{name: "likewise, of the day before", profile: Profile{Statement: StatementProfile{Refunds: CountSettled}}, day: earlierBack,
		sent: []string{"5203", "3201"}, want: []string{nextRow, backRow}},
	{name: "an undoing that the centre does not have", profile: Profile{Statement: StatementProfile{Refunds: CountSettled}}, day: func(b *books) {
		b.clock.Advance(-24 * time.Hour)
		x := b.settle()
		b.clock.Advance(24 * time.Hour)
		x.State = settlement.Cancelled
		b.ledger = append(b.ledger, recon.Claim{Settlement: x, Undone: true, At: b.clock.Now()})
	}, sent: []string{"5203", "3201"}, want: []string{}},
	{name: "the same day, and the centre has it in force", profile: Profile{Statement: StatementProfile{Refunds: CountSettled}}, day: func(b *books) {
		x := b.settle()
		b.have(x)
		x.State = settlement.Cancelled
		b.ledger = append(b.ledger, recon.Claim{Settlement: x, Undone: true, At: b.clock.Now()})
	}, sent: whole, want: []string{firstRow}},
	{name: "put in force again", day: func(b *books) {
		x := b.settle()
		b.have(x)
		b.cancel(x)
		if err := b.client.Reverse(context.Background(), b.client.MsgID(), x.Visit, "2208", x.MsgID); err != nil {
			b.t.Fatal(err)
		}
		x.State = settlement.Settled
	}, sent: []string{"3201"}, want: []string{firstRow, backRow}},
	{name: "Guangdong", area: nhsasim.Oddities{FundContainsAccount: true, FamilyInsideAccount: true, HospitalBears: 1000, HospitalInsideFund: true},
		profile: Profile{FundContainsAccount: true, FamilyAccount: InsideAccount, HospitalPart: InsideFund}, day: oneDiffers, sent: whole,
		want: []string{firstRow, nextRow}},
	{name: "a sum that is wrong", oddities: nhsasim.StatementOddities{WrongSum: true}, day: twoDays, sent: whole, err: recon.ErrForm},
	{name: "differences alone, and nobody knows", oddities: nhsasim.StatementOddities{Differences: true}, day: oneLost, sent: whole, err: recon.ErrForm},
	{name: "other columns than configured", profile: Profile{Statement: StatementProfile{ResultColumns: 7}}, day: oneLost, sent: whole, err: recon.ErrForm},
	{name: "another order than configured", oddities: nhsasim.StatementOddities{FlagFirst: true},
		profile: Profile{Statement: StatementProfile{ResultOrder: VerdictFirst}}, day: oneLost, sent: whole, err: recon.ErrForm},
	{name: "a bomb", oddities: nhsasim.StatementOddities{Bomb: true}, day: oneLost, sent: whole, err: recon.ErrForm},
	{name: "two files", oddities: nhsasim.StatementOddities{SecondFile: true}, day: oneLost, sent: whole, err: recon.ErrForm},
	{name: "a path", oddities: nhsasim.StatementOddities{Path: true}, day: oneLost, sent: whole, err: recon.ErrForm},
	{name: "fetched under the wrong code", oddities: nhsasim.StatementOddities{OwnCode: true}, day: oneLost, sent: whole, err: ErrRefused},
	{name: "refused list", oddities: nhsasim.StatementOddities{Columns: 8}, day: oneLost, sent: []string{"3201", "9101", "3202"}, err: ErrRefused},
	{name: "refused bytes", oddities: nhsasim.StatementOddities{UploadArray: true}, day: oneLost, sent: []string{"3201", "9101"}, err: ErrRefused},
	{name: "refused flag", oddities: nhsasim.StatementOddities{RefundFlag: "upper"}, day: twoDays, sent: []string{"3201"}, err: ErrRefused},
}

// TestStatementStories are days at every kind of centre.
func TestStatementStories(t *testing.T) {
	t.Parallel()
	for _, tc := range stories {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.area.Statements = tc.oddities
			b := newBooks(t, tc.area, func(c *Config) { c.Profile = tc.profile })
			tc.day(b)
			b.night()
			before := len(b.wire.sent())
			s, err := b.fetch()
			if got := b.wire.sent()[before:]; !slices.Equal(got, tc.sent) {
				t.Errorf("sent %v, want %v", got, tc.sent)
			}
			if tc.err != nil {
				if !errors.Is(err, tc.err) || len(s.order) > 0 {
					t.Errorf("Fetch = %v, kept %d, want %v and nothing", err, len(s.order), tc.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, b.lines(s)); diff != "" {
				t.Errorf("lines (-want +got):\n%s\n%s", diff, s.files["310-11-360199"])
			}
		})
	}
}
