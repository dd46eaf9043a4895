package patient

import (
	"testing"
	"time"
)

func TestConsentIsAskedAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	wantErr(t, h.Require(ctx, h.who, ConsentPrivacy), ErrNoConsent)

	_, err := h.Agree(ctx, h.who, ConsentPrivacy, "2020-01-01")
	wantErr(t, err, ErrTextVersion)
	_, err = h.Agree(ctx, h.who, "marketing", TextVersion)
	wantErr(t, err, ErrConsentKind)

	a, err := h.Agree(ctx, h.who, ConsentPrivacy, TextVersion)
	if err != nil || !a.Current() || a.Given.Digest != a.Text.Digest || a.Given.GivenAt != h.clock.Now() {
		t.Fatalf("Agree = %+v, %v", a, err)
	}
	h.recorded(t, "consent.give", "consent:privacy", "ok")
	if err := h.Require(ctx, h.who, ConsentPrivacy); err != nil {
		t.Error(err)
	}
	wantErr(t, h.Require(ctx, h.who, ConsentPrivacy, ConsentInsurance), ErrNoConsent)
	if _, err := h.Agree(ctx, h.who, ConsentPrivacy, TextVersion); err != nil || len(h.store.consents) != 1 {
		t.Errorf("given twice: %d rows, %v; want one", len(h.store.consents), err)
	}

	// New words under a new version, and even under the old one.
	for _, text := range []Text{NewText(ConsentPrivacy, "2027-01-01", "用户服务与隐私协议", "新"), NewText(ConsentPrivacy, TextVersion, "用户服务与隐私协议", "偷改")} {
		inst := h.institutions["h1"]
		inst.Texts = append([]Text{text}, StandardTexts("a", "b")[1:]...)
		h.institutions["h1"] = inst
		wantErr(t, h.Require(ctx, h.who, ConsentPrivacy), ErrNoConsent)
		list, err := h.Agreements(ctx, h.who)
		if err != nil || list[0].Given == nil || list[0].Current() {
			t.Errorf("Agreements = %+v, %v; want an old consent that is not current", list[0], err)
		}
		h.clock.Advance(time.Second)
		if _, err := h.Agree(ctx, h.who, ConsentPrivacy, text.Version); err != nil {
			t.Fatal(err)
		}
		if err := h.Require(ctx, h.who, ConsentPrivacy); err != nil {
			t.Errorf("agreed to %s: %v", text.Version, err)
		}
	}
}

func TestWithdrawalStopsNewPayments(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	p := h.addSelf(t)
	h.agree(t, ConsentInsurance)
	if err := mayPay(ctx, h, h.who, p.ID, true); err != nil {
		t.Fatal(err)
	}
	if err := h.Withdraw(ctx, h.who, ConsentInsurance); err != nil {
		t.Fatal(err)
	}
	h.recorded(t, "consent.withdraw", "consent:insurance", "ok")
	wantErr(t, mayPay(ctx, h, h.who, p.ID, true), ErrNoConsent)
	if err := mayPay(ctx, h, h.who, p.ID, false); err != nil {
		t.Errorf("cash needs no insurance consent: %v", err)
	}
	if err := h.Withdraw(ctx, h.who, ConsentPrivacy); err != nil {
		t.Fatal(err)
	}
	wantErr(t, mayPay(ctx, h, h.who, p.ID, false), ErrNoConsent)
	// What is stored stays readable, and can be removed.
	if _, err := h.Patient(ctx, h.who, p.ID); err != nil {
		t.Error(err)
	}
	wantErr(t, h.Withdraw(ctx, h.who, "marketing"), ErrConsentKind)
	wantErr(t, mayPay(ctx, h, h.who, p.ID+1, false), ErrNotFound)
}
