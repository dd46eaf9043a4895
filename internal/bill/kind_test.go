package bill

import (
	"bytes"
	"errors"
	"testing"
	"time"
)

func TestKinds(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		text                        string
		kind                        Kind
		word, said, medType, wechat string
	}{
		{"", Outpatient, "outpatient", "门诊费用", "11", "DIAG_PAY"},
		{"outpatient", Outpatient, "outpatient", "门诊费用", "11", "DIAG_PAY"},
		{"registration", Registration, "registration", "挂号费", "12", "REG_PAY"},
		{"deposit", Deposit, "deposit", "住院预交金", "", "IN_HOSP_PAY"},
	} {
		k, err := ParseKind(tt.text)
		if err != nil || k != tt.kind || k.String() != tt.word || k.Text() != tt.said || k.MedType() != tt.medType || k.OrderType() != tt.wechat {
			t.Errorf("%q: %q, %v: %s %s %s %s", tt.text, string(k), err, k, k.Text(), k.MedType(), k.OrderType())
		}
	}
	for _, text := range []string{"Deposit", "挂号", "inpatient", " "} {
		if k, err := ParseKind(text); err == nil {
			t.Errorf("ParseKind(%q) = %q", text, string(k))
		}
	}
}

func TestKindsOfBills(t *testing.T) {
	t.Parallel()
	plain, err := good().Canonical()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(plain, []byte("kind")) || bytes.Contains(plain, []byte("pay_by")) {
		t.Error("a bill without a kind is written otherwise than before there were kinds")
	}
	own := func(b *Bill) { b.Kind, b.Lines, b.Total = Deposit, b.Lines[1:2], b.Lines[1].Total }
	for _, tt := range []struct {
		name   string
		change func(b *Bill)
		want   error
	}{
		{"registration", func(b *Bill) { b.Kind = Registration }, nil},
		{"deposit of the patient's own money", own, nil},
		{"deposit with an insured line", func(b *Bill) { b.Kind = Deposit }, ErrUnreadable},
		{"deposit with an insured line for nothing", func(b *Bill) {
			own(b)
			b.Lines = append(b.Lines, good().Lines[0])
			b.Lines[1].Price, b.Lines[1].Total = b.Lines[1].Price.Sub(b.Lines[1].Price), 0
		}, ErrUnreadable},
		{"a kind of nobody's", func(b *Bill) { b.Kind = "loan" }, ErrUnreadable},
		{"the default written out", func(b *Bill) { b.Kind = outpatient }, ErrUnreadable},
		{"held for a while", func(b *Bill) { b.PayBy = time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC) }, nil},
	} {
		b := good()
		tt.change(b)
		if err := b.Check(); !errors.Is(err, tt.want) {
			t.Errorf("%s: Check = %v, want %v", tt.name, err, tt.want)
		}
		if text, _ := b.Canonical(); bytes.Equal(text, plain) {
			t.Errorf("%s does not show in the bytes", tt.name)
		}
	}
}
