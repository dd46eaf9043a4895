package mobile

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// Statements is the centre's book. It has none of a day: 6301 tells of one order how it stands, so every order of ours is asked, and what only the
// centre has is not found here but by WeChat's bill.
type Statements struct{ c *Client }

var _ recon.Statements = (*Statements)(nil)

// Statements is the centre's book of this hospital.
func (c *Client) Statements() recon.Statements { return &Statements{c} }

// maxLine is the longest line that is read.
const maxLine = 64 << 10

// answerLine is one line of the kept file: what was asked, and what 6301 answered. No token, no name, no person number.
type answerLine struct {
	PayOrdID  string    `json:"pay_ord_id"`
	Undone    bool      `json:"undone"`   // asked for the end of the settlement; else for the settlement
	Standing  bool      `json:"standing"` // as our ledger has it
	At        time.Time `json:"at"`       // of the claim
	OrdStas   int       `json:"ord_stas"`
	SetlID    string    `json:"setl_id,omitempty"`
	MdtrtID   string    `json:"mdtrt_id,omitempty"`
	SettledAt time.Time `json:"settled_at,omitzero"`
	Told      bool      `json:"told"`        // the amounts
	Total     money.Fen `json:"total_fen"`   // feeSumamt
	Fund      money.Fen `json:"fund_fen"`    // fundPay
	Account   money.Fen `json:"account_fen"` // psnAcctPay
	Other     money.Fen `json:"other_fen"`   // othFeeAmt
	Cash      money.Fen `json:"cash_fen"`    // ownPayAmt
}

// Fetch asks 6301 for every claim of the day that went through the centre, and keeps one file of the answers: JSON, a line for each. When one answer is
// missing its error comes back and nothing is kept. A day without such claims asks nothing and is Nothing. The centre may tell otherwise tomorrow, so
// nothing is Final.
func (s *Statements) Fetch(ctx context.Context, day recon.Day, claims recon.Claims, keep recon.Keeper) error {
	if s.c.cfg.Clock.Now().Before(day.End()) && !s.c.cfg.EarlyStatements {
		return fmt.Errorf("centre's statement of %s: %w", day, recon.ErrNotReady.Because(errors.New("the day is not over")))
	}
	var lines bytes.Buffer
	out := json.NewEncoder(&lines)
	err := claims(ctx, func(claim recon.Claim) error {
		if claim.Settlement.Upload.PayOrdID == "" {
			return nil
		}
		line, err := s.ask(ctx, &claim)
		if err != nil {
			return fmt.Errorf("settlement %s: %w", claim.Settlement.ID.No(), err)
		}
		return out.Encode(line)
	})
	if err != nil {
		return fmt.Errorf("centre's statement of %s: %w", day, err)
	}
	of := recon.Statement{Source: recon.Insurer, Day: day, Name: "centre-" + day.String() + ".jsonl", Nothing: lines.Len() == 0}
	if of.Nothing {
		of.Name = ""
	}
	return keep(of, func(w io.Writer) error {
		_, err := w.Write(lines.Bytes())
		return err
	})
}

// ask is 6301 about one claim.
func (s *Statements) ask(ctx context.Context, claim *recon.Claim) (answerLine, error) {
	x := claim.Settlement
	stand, err := s.c.Query(ctx, settlement.Claim{Person: claim.Person, Visit: x.Visit, BatchNo: x.BatchNo, Total: x.Total, Upload: x.Upload})
	if err != nil {
		return answerLine{}, err
	}
	f := stand.Figures
	if min(f.Total, f.Fund, f.Account, f.Other, f.Cash) < 0 {
		return answerLine{}, ErrUnequal.Because(errors.New("a negative amount"))
	}
	return answerLine{PayOrdID: x.Upload.PayOrdID, Undone: claim.Undone, Standing: !x.State.Final(), At: claim.At.UTC(), OrdStas: int(stand.State),
		SetlID: stand.SetlID, MdtrtID: stand.MdtrtID, SettledAt: stand.SettledAt, Told: stand.Told, Total: f.Total, Fund: f.Fund, Account: f.Account,
		Other: f.Other, Cash: f.Cash}, nil
}

// Read gives what the centre said. An order that it calls settled (4 to 6, and 9 and 10, where cash alone went back) is a payment; one whose insurer's
// part is back (7, 8, 11) is a payment and a reversal, each on the day on which the ledger has it; a reversal of which our ledger knows nothing stands
// beside its payment, at the day's noon, for 6301 tells no time of it. Of any other state there is no line: the centre has not settled it, or will not
// say. An amount that it did not tell is 0 and tells no parts, so that it is equal to nothing.
func (s *Statements) Read(of recon.Statement, r io.Reader, row func(recon.Line) error) error {
	in := bufio.NewReaderSize(r, maxLine)
	offset := int64(0)
	for n := 1; ; n++ {
		raw, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			return badRow(n, "longer than 64 KB")
		case err != nil && !errors.Is(err, io.EOF):
			return err
		case len(raw) == 0:
			return nil
		case err != nil:
			return badRow(n, "cut short")
		}
		line, err := readAnswer(n, raw)
		if err != nil {
			return err
		}
		place := recon.Place{Offset: offset, Length: int32(len(raw) - 1)} //nolint:gosec // at most 64 KB
		for _, l := range line.lines(of.Day, place) {
			if err := row(l); err != nil {
				return err
			}
		}
		offset += int64(len(raw))
	}
}

// badRow refuses a file, without a word of what stands in the row.
func badRow(n int, why string) error {
	return recon.ErrForm.Because(fmt.Errorf("row %d: %s", n, why))
}

func readAnswer(n int, raw []byte) (*answerLine, error) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	var line answerLine
	if d.Decode(&line) != nil || d.InputOffset() != int64(len(raw)-1) {
		return nil, badRow(n, "not an answer of this form")
	}
	if line.PayOrdID == "" || len(line.PayOrdID) > 64 || line.At.IsZero() {
		return nil, badRow(n, "no pay_ord_id or no time")
	}
	for _, f := range []money.Fen{line.Total, line.Fund, line.Account, line.Other, line.Cash} {
		if f < 0 || f > money.Max || (f > 0 && !line.Told) {
			return nil, badRow(n, "an amount that cannot be")
		}
	}
	return &line, nil
}

// lines are what one answer says of the claim that it was asked for.
func (a *answerLine) lines(day recon.Day, place recon.Place) []recon.Line {
	l := recon.Line{Source: recon.Insurer, Leg: recon.Insurance, Kind: recon.Pay, At: a.At, Place: place}
	l.Numbers[recon.PayOrdID], l.Numbers[recon.SetlID], l.Numbers[recon.MdtrtID] = a.PayOrdID, a.SetlID, a.MdtrtID
	if a.Told {
		l.Amount, l.Tells = a.Total, recon.TellsFund|recon.TellsAccount|recon.TellsCash
		l.Split = split.Split{PooledFund: a.Fund, OtherFund: a.Other, Account: a.Account, Cash: a.Cash}
	}
	back := l
	back.Kind = recon.Reversal
	if !a.SettledAt.IsZero() {
		l.At = a.SettledAt
	}
	standing := settlement.OrdStas(a.OrdStas).Standing()
	returned := standing == settlement.StandsReturned
	switch {
	case a.Undone && returned:
		return []recon.Line{back}
	case a.Undone:
		return nil
	case returned && a.Standing:
		back.At = day.Begin().Add(12 * time.Hour).UTC()
		return []recon.Line{l, back}
	case returned || standing == settlement.StandsPaid || standing == settlement.StandsCashBack:
		return []recon.Line{l}
	}
	return nil
}
