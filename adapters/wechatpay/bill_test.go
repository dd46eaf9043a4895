package wechatpay_test

import (
	"bytes"
	"compress/gzip"
	"crypto/sha1"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/wechatpay/wechatpaysim"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/sandbox"
)

var today = recon.DayOf(start)

func keepNothing(recon.Statement, func(io.Writer) error) error { return nil }

// shelf keeps files in memory.
type shelf struct {
	statements []recon.Statement
	files      []string
}

func (s *shelf) keep(of recon.Statement, write func(io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	s.statements, s.files = append(s.statements, of), append(s.files, b.String())
	return nil
}

// read reads all lines of a file.
func read(t testing.TB, book recon.Statements, of recon.Statement, file string) ([]recon.Line, error) {
	t.Helper()
	var lines []recon.Line
	err := book.Read(of, strings.NewReader(file), func(l recon.Line) error {
		lines = append(lines, l)
		return nil
	})
	return lines, err
}

// busyDay has a payment, a refund of it that closes after the bill was made, and a withdrawal.
func busyDay(t *testing.T) *world {
	w := newWorld(t, func(c *wechatpaysim.Config) { c.WithdrawAt = 17 * time.Hour })
	w.paid(order1)
	if err := w.sim.ScriptRefundsAfterBill("RF1", "CLOSED", 1); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Refund(t.Context(), w.refundBody("RF1")); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(7 * time.Hour) // 17:00
	for w.sim.Step(t.Context()) {
	}
	return w
}

func TestTradeBillsOfTheSimulator(t *testing.T) {
	t.Parallel()
	w, s, book := busyDay(t), shelf{}, recon.Statements(nil)
	book = w.TradeBills()
	if err := book.Fetch(t.Context(), today.Add(-1), nil, s.keep); err != nil || !s.statements[0].Nothing || s.files[0] != "" {
		t.Errorf("the day before: %+v, %v", s, err)
	}
	if lines, err := read(t, book, s.statements[0], ""); err != nil || len(lines) != 0 {
		t.Errorf("nothing reads as %v, %v", lines, err)
	}
	w.clock.Advance(16*time.Hour + 30*time.Minute)
	if err := book.Fetch(t.Context(), today, nil, s.keep); !errors.Is(err, recon.ErrNotReady) {
		t.Errorf("at half past nine: %v", err)
	}
	w.clock.Advance(time.Hour)
	for _, form := range []wechatpaysim.BillForm{{}, {Legacy: true, BOM: true, LF: true}, {FullWidth: true}} {
		s = shelf{}
		w.sim.SetBillForm(form)
		if err := book.Fetch(t.Context(), today, nil, s.keep); err != nil {
			t.Fatal(err)
		}
		if got := s.statements[0]; got.Source != recon.WechatTrade || got.Day != today || !got.Final || got.Nothing || got.Name != "微信交易账单_1900000109_2026-11-23.csv" {
			t.Errorf("statement = %+v", got)
		}
		lines, err := read(t, book, s.statements[0], s.files[0])
		if err != nil || len(lines) != 2 {
			t.Fatalf("%+v: %d lines, %v", form, len(lines), err)
		}
		truth := w.sim.Truth().Orders[0]
		pay := recon.Line{Source: recon.WechatTrade, Leg: recon.Cash, Kind: recon.Pay, At: start.UTC(), Amount: 12345, Fee: 74_000, Place: lines[0].Place}
		pay.Numbers[recon.TransactionID], pay.Numbers[recon.OutTradeNo] = truth.TransactionID, order1
		back := pay
		back.Kind, back.Status, back.Amount, back.Fee, back.Place = recon.Refund, recon.UnderWay, 345, -2_000, lines[1].Place
		back.Numbers[recon.RefundID], back.Numbers[recon.OutRefundNo] = truth.Refunds[0].RefundID, "RF1"
		if lines[0] != pay || lines[1] != back {
			t.Errorf("%+v: lines = %+v\nwant %+v\n%+v", form, lines, pay, back)
		}
	}
	if status := w.sim.Truth().Orders[0].Refunds[0].Status; status != "PROCESSING" {
		t.Errorf("the refund is %s at half past ten", status)
	}
}

func TestFundBillsOfTheSimulator(t *testing.T) {
	t.Parallel()
	w, s := busyDay(t), shelf{}
	w.clock.Advance(18 * time.Hour) // 11:00
	book := w.FundBills()
	for day := range 2 {
		if day == 1 { // the refund has closed meanwhile
			w.clock.Advance(24 * time.Hour)
		}
		if err := book.Fetch(t.Context(), today.Add(day), nil, s.keep); err != nil {
			t.Fatal(err)
		}
	}
	var parts, kinds []string
	sum, withdrawals := money.Fen(100_000), w.sim.Withdrawals()
	for i, of := range s.statements {
		parts = append(parts, fmt.Sprintf("%s %t", of.Part, of.Nothing))
		lines, err := read(t, book, of, s.files[i])
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			kinds = append(kinds, fmt.Sprintf("%s %s", l.Kind, l.Amount))
			switch l.Kind {
			case recon.Pay, recon.FeeBack, recon.RefundBack:
				sum += l.Amount
			default:
				sum -= l.Amount
			}
			if l.Kind == recon.Transfer && (len(withdrawals) != 1 || l.Numbers[recon.FlowNo] != withdrawals[0].Number || l.Leg != recon.Account) {
				t.Errorf("the withdrawal is %+v, known as %+v", l, withdrawals)
			}
		}
	}
	if got, want := strings.Join(parts, ", "), "BASIC false, OPERATION true, FEES true, BASIC false, OPERATION true, FEES true"; got != want {
		t.Errorf("parts = %s, want %s", got, want)
	}
	if got, want := strings.Join(kinds, ", "), "pay 123.45, fee 0.74, refund 3.45, fee_back 0.02, transfer 1119.28, refund_back 3.45, fee 0.02"; got != want {
		t.Errorf("flows = %s, want %s", got, want)
	}
	if sum != w.sim.Truth().BalanceFen {
		t.Errorf("balance = %v, want %v", sum, w.sim.Truth().BalanceFen)
	}
}

// offering answers with an offer of that address and hash, then with that file.
func offering(address, kind, hash string, status int, file []byte) http.RoundTripper {
	return sandbox.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v3/billdownload/file" {
			signed(w, clock.Real{}.Now(), 200, fmt.Sprintf(`{"hash_type":%q,"hash_value":%q,"download_url":%q}`, kind, hash, address))
			return
		}
		w.WriteHeader(status)
		_, _ = w.Write(file)
	}))
}

func TestBillFilesMustBeWhatWasPromised(t *testing.T) {
	t.Parallel()
	file := []byte("a bill")
	sum := sha1.Sum(file)
	hash := hex.EncodeToString(sum[:])
	var buffer bytes.Buffer
	z := gzip.NewWriter(&buffer)
	_, _ = z.Write(file)
	_ = z.Close()
	packed := buffer.Bytes()
	spoilt := bytes.Clone(packed)
	spoilt[len(spoilt)-6]++ // of the checksum
	const there = "https://api.mch.weixin.qq.com/v3/billdownload/file?token=a%2Fb"
	tests := []struct {
		name string
		over http.RoundTripper
		want error
	}{
		{"plain", offering(there, "SHA1", hash, 200, file), nil},
		{"packed", offering(there, "SHA1", strings.ToUpper(hash), 200, packed), nil},
		{"second domain", offering(strings.Replace(there, "api.", "api2.", 1), "SHA1", hash, 200, file), nil},
		{"another host", offering("https://evil.example.com/x", "SHA1", hash, 200, file), payment.ErrUnknown},
		{"plain http", offering(strings.Replace(there, "https", "http", 1), "SHA1", hash, 200, file), payment.ErrUnknown},
		{"another hash kind", offering(there, "MD5", hash, 200, file), payment.ErrUnknown},
		{"no hash", offering(there, "SHA1", "", 200, file), payment.ErrUnknown},
		{"another file", offering(there, "SHA1", hash, 200, []byte("b bill")), recon.ErrForm},
		{"a file too short", offering(there, "SHA1", hash, 200, []byte("a")), recon.ErrForm},
		{"no file", offering(there, "SHA1", hash, 200, nil), recon.ErrForm},
		{"cut pack", offering(there, "SHA1", hash, 200, packed[:15]), payment.ErrUnknown},
		{"broken pack", offering(there, "SHA1", hash, 200, []byte{0x1f, 0x8b, 1, 1, 1, 1, 1, 1, 1, 1}), recon.ErrForm},
		{"pack of another checksum", offering(there, "SHA1", hash, 200, spoilt), recon.ErrForm},
		{"202", offering(there, "SHA1", hash, 202, file), payment.ErrUnknown},
		{"the link is over", offering(there, "SHA1", hash, 400, []byte(`{"code":"PARAM_ERROR","message":"expired"}`)), payment.ErrUnknown},
		{"500", offering(there, "SHA1", hash, 500, file), payment.ErrUnknown},
	}
	for _, tt := range tests {
		c, s := newClient(t, clock.NewFake(start), tt.over), shelf{}
		err := c.TradeBills().Fetch(t.Context(), today, nil, s.keep)
		if !errors.Is(err, tt.want) || (tt.want == nil) != (err == nil) {
			t.Errorf("%s: %v, want %v", tt.name, err, tt.want)
		}
		if tt.want == nil && (len(s.files) != 1 || s.files[0] != string(file)) {
			t.Errorf("%s: kept %q", tt.name, s.files)
		}
	}
	full := errors.New("the disk is full")
	err := newClient(t, clock.NewFake(start), offering(there, "SHA1", hash, 200, packed)).TradeBills().Fetch(t.Context(), today, nil,
		func(_ recon.Statement, write func(io.Writer) error) error { return write(fullDisk{full}) })
	if _, known := fault.Find(err); !errors.Is(err, full) || known {
		t.Errorf("a disk that is full: %v", err)
	}
}

type fullDisk struct{ err error }

func (f fullDisk) Write([]byte) (int, error) { return 0, f.err }
