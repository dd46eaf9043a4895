package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/nhsa/nhsasim"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

// TestInsured is 1101 for the mobile-payment centre: one call, and nothing registered.
func TestInsured(t *testing.T) {
	t.Parallel()
	b := newBench(t, nhsasim.Oddities{}, nil)
	person := b.claim().Person
	at, token, err := b.client.Insured(t.Context(), person)
	if want := (settlement.Visit{PersonNo: "36010000000000000001", InsuranceType: "310", CoverageArea: area}); err != nil || at != want || !token.IsZero() {
		t.Errorf("Insured() = %+v, %v, want %+v", at, err, want)
	}
	if got, want := fmt.Sprint(b.wire.sent()), infnos("1101"); got != want {
		t.Errorf("sent %s, want %s", got, want)
	}
	b.sim.RefuseNext("1101", "", "该人员未参保")
	if _, _, err := b.client.Insured(t.Context(), person); !errors.Is(err, ErrRefused) {
		t.Errorf("a refusal = %v", err)
	}
	person.Name = sensitive.NewName("李四")
	if _, _, err := b.client.Insured(t.Context(), person); fault.KindOf(err) != fault.Rejected {
		t.Errorf("another person's token = %v, want Rejected", err)
	}
	person = b.claim().Person
	person.UsableUntil = b.clock.Now()
	if _, _, err := b.client.Insured(t.Context(), person); !errors.Is(err, settlement.ErrAuth) {
		t.Errorf("an authorisation that has run out = %v, want ErrAuth", err)
	}
	if got := len(b.wire.sent()); got > 3 {
		t.Errorf("%d calls, the last ones should not have left", got)
	}
}

// TestBusinessToken: the extension of 1101 in every form that it comes in.
func TestBusinessToken(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		member string
		value  any
		want   string
	}{
		"object":         {"exp_content", map[string]any{"business_token": "EC-1"}, "EC-1"},
		"text":           {"exp_content", `{"business_token":"EC-1"}`, "EC-1"},
		"the other name": {"expContent", `{"business_token":"EC-1"}`, "EC-1"},
		"empty":          {"expContent", `{"business_token":""}`, ""},
		"no JSON":        {"exp_content", "EC-1", ""},
		"a number":       {"exp_content", 7, ""},
		"null":           {"exp_content", nil, ""},
		"not there":      {"other", "x", ""},
	} {
		base := map[string]any{"psn_no": "P1", "psn_name": "张试验", "certno": testID(t).Reveal(), tt.member: tt.value}
		body, err := json.Marshal(map[string]any{"infcode": 0, "output": map[string]any{"baseinfo": base,
			"insuinfo": []any{map[string]any{"insutype": "310", "insuplc_admdvs": area, "psn_insu_stas": "1"}}}})
		if err != nil {
			t.Fatal(err)
		}
		var rt http.RoundTripper = answer(200, string(body))
		at, token, err := client(t, rt, nil).Insured(context.Background(), settlement.Person{Name: sensitive.NewName("张试验"), IDNumber: testID(t),
			Token: sensitive.NewToken("AUTH-1"), UsableUntil: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)})
		if err != nil || at.PersonNo != "P1" || token.Reveal() != tt.want || token.IsZero() != (tt.want == "") {
			t.Errorf("%s: %+v, token %q, %v, want %q", name, at, token.Reveal(), err, tt.want)
		}
	}
}
