package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/recon/plant"
)

// reconcile runs a command and gives what it printed.
func reconcile(t *testing.T, words ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd := root()
	cmd.SetArgs(append([]string{"reconcile"}, words...))
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func reconciledOf(t *testing.T, words ...string) (r struct {
	Lines, Matched, Differences, Run int
	Recall, Precision, Named         json.Number
	Digest                           string
	Proof                            recon.Proof
}) {
	t.Helper()
	out, err := reconcile(t, append([]string{"run", "--json"}, words...)...)
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return r
}

// TestReconcileFiles: a generated day, read by the adapters from the files of every book, gives exactly what was planted in it, kept or not, and the same again.
func TestReconcileFiles(t *testing.T) {
	t.Parallel()
	dir, data := t.TempDir(), t.TempDir()
	if out, err := reconcile(t, "generate", "--orders", "4000", "--differences", "80", "--seed", "5", "--out", dir); err != nil {
		t.Fatal(err, out)
	}
	alone := reconciledOf(t, "--files", dir)
	if alone.Recall != "1" || alone.Precision != "1" || alone.Named != "1" || alone.Differences < 80 || !alone.Proof.Whole() || alone.Proof.Planted < 500 {
		t.Errorf("alone: %+v", alone)
	}
	for run := 1; run <= 2; run++ {
		kept := reconciledOf(t, "--files", dir, "--sandbox", "--data", data)
		if kept.Run != run || kept.Digest != alone.Digest || kept.Lines != alone.Lines || kept.Recall != "1" {
			t.Errorf("kept: %+v, alone %+v", kept, alone)
		}
	}
	err := withOffice(t.Context(), serveFlags{sandbox: true, data: data, base: 8080}, func(o *office) error {
		showsRows(t, o)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	looksByName(t, data)
}

// looksByName: rows may hold personal data. Who has no say in them sees none, and every look of somebody known is recorded.
func looksByName(t *testing.T, data string) {
	t.Helper()
	d := &desk{t: t, data: data}
	trade := plant.World{Day: mustDay(t), Seed: 5}.Order(77)[0].Right[0].Numbers[recon.TransactionID]
	look := func(c *clerk) (string, error) {
		return d.tuoka(nil, "reconcile", append([]string{"show", trade, "--day", anyDay, "--institution", "h1", "--reason", "核对差异"}, c.signs()...)...)
	}
	if out, err := look(d.hire("wang", "--role", "finance", "--institution", "h1")); err != nil || !strings.Contains(out, "按微信支付订单号核对") || strings.Count(out, trade) < 4 {
		t.Errorf("finance: %v\n%s", err, out)
	}
	if out, err := look(d.hire("shen", "--role", "audit")); err != nil || strings.Count(out, trade) < 4 {
		t.Errorf("an auditor: %v\n%s", err, out)
	}
	for _, c := range []*clerk{d.hire("mei", "--role", "window"), d.hire("zhao", "--role", "finance", "--institution", "h2")} {
		if out, err := look(c); !errors.Is(err, errMayNot) || strings.Contains(out, trade) {
			t.Errorf("%s: %v\n%s", c.login, err, out)
		}
	}
	if out, err := d.tuoka(nil, "reconcile", "show", trade, "--day", anyDay, "--institution", "h1"); err == nil || strings.Contains(out, trade) {
		t.Errorf("nobody, without a reason: %v\n%s", err, out)
	}
	if n := count(t, data, "SELECT COUNT(*) FROM audit_record WHERE action = 'statement.show' AND institution = 'h1'"); n != 4 {
		t.Errorf("%d looks are recorded, want 4", n)
	}
	if out, err := d.tuoka(nil, "reconcile", "status", "--day", anyDay, "--institution", "h1"); err != nil || !strings.Contains(out, "第 2 次") || !strings.Contains(out, plant.TradeFile) {
		t.Errorf("status: %v\n%s", err, out)
	}
}

func mustDay(t *testing.T) recon.Day {
	t.Helper()
	day, err := recon.ParseDay(anyDay)
	if err != nil {
		t.Fatal(err)
	}
	return day
}

// showsRows: of a number that was matched, the rows of both books come back as they stand in the files.
func showsRows(t *testing.T, o *office) {
	t.Helper()
	day := mustDay(t)
	s := recon.New(o.db.Statements(), clock.Real{}, nil, recon.Config{})
	runs, err := o.db.Statements().Runs(t.Context(), "h1", day)
	if err != nil || len(runs) != 2 {
		t.Fatalf("%d runs, %v", len(runs), err)
	}
	trade := plant.World{Day: day, Seed: 5}.Order(77)[0].Right[0].Numbers[recon.TransactionID]
	shown, err := s.Show(t.Context(), runs[0], trade)
	if err != nil {
		t.Fatal(err)
	}
	text := ""
	for _, m := range shown {
		for _, l := range append(m.Left, m.Right...) {
			text += m.Comparison + " " + m.Key + " " + string(l.Source) + " " + l.Text + "\n"
			if l.File == nil || !strings.Contains(l.Text, trade) {
				t.Errorf("%s: %+v", m.Comparison, l)
			}
		}
	}
	for _, want := range []string{"cash 微信支付订单号 ledger ledger\tcash\tpay", "cash 微信支付订单号 wechat_trade `2026-11-23", "arrival 微信支付订单号 wechat_fund `2026-11-23"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not shown:\n%s", want, text)
		}
	}
	if _, err := s.Show(t.Context(), runs[0], "4200"); !errors.Is(err, recon.ErrNoEvidence) {
		t.Errorf("of no number: %v", err)
	}
}

// TestReconcileRefuses: a file with one changed byte, a row less or a column more is refused, with the place and without the row; nothing is reconciled.
func TestReconcileRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, file string
		spoil      func(rows []string) []string
		want       string
	}{
		{"a byte of an amount", plant.TradeFile, func(rows []string) []string {
			i := strings.LastIndex(rows[5], ".00,") - 1
			rows[5] = rows[5][:i] + string('0'+(rows[5][i]-'0'+1)%10) + rows[5][i+1:]
			return rows
		}, "wechat_trade"},
		{"a row less", plant.TradeFile, func(rows []string) []string { return append(rows[:7], rows[8:]...) }, "wechat_trade"},
		{"a column more", plant.TradeFile, func(rows []string) []string { rows[3] = strings.TrimSuffix(rows[3], "\r\n") + ",`1\r\n"; return rows }, "wechat_trade"},
		{"a row less", plant.FundFile, func(rows []string) []string { return append(rows[:7], rows[8:]...) }, "wechat_fund"},
		{"a row less", plant.HISFile, func(rows []string) []string { return append(rows[:7], rows[8:]...) }, "his"},
		{"the end missing", plant.HISFile, func(rows []string) []string { return rows[:len(rows)-2] }, "his"},
		{"a row less", plant.InsurerFile, func(rows []string) []string { return append(rows[:7], rows[8:]...) }, "insurer"},
		{"a value less", plant.LedgerFile, func(rows []string) []string { rows[4] = strings.Replace(rows[4], "\t", "", 1); return rows }, "ledger"},
	} {
		t.Run(tt.want+" "+tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if out, err := reconcile(t, "generate", "--orders", "50", "--out", dir); err != nil {
				t.Fatal(err, out)
			}
			path := filepath.Join(dir, tt.file)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			rows := tt.spoil(strings.SplitAfter(strings.TrimSuffix(string(text), "\n")+"\n", "\n"))
			if err := os.WriteFile(path, []byte(strings.Join(rows, "")), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := reconcile(t, "run", "--json", "--files", dir)
			if !errors.Is(err, recon.ErrForm) || out != "" || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "oUpF8u") {
				t.Errorf("%v, printed %q", err, out)
			}
		})
	}
}
