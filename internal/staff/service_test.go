package staff

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sensitive"
)

func TestAddRefuses(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.wang(t)
	good := Newcomer{Login: "li.4", Name: sensitive.NewName("李四"), Roles: []Role{Window, Finance, Window}}
	for _, tt := range []struct {
		name string
		edit func(*Newcomer)
		want error
	}{
		{"nothing wrong", func(*Newcomer) {}, nil}, {"a login taken", func(n *Newcomer) { n.Login = "wang" }, ErrExists},
		{"a short login", func(n *Newcomer) { n.Login = "li" }, ErrLogin}, {"a capital", func(n *Newcomer) { n.Login = "Li.4" }, ErrLogin},
		{"a digit first", func(n *Newcomer) { n.Login = "4li" }, ErrLogin}, {"a long login", func(n *Newcomer) { n.Login = strings.Repeat("a", 33) }, ErrLogin},
		{"no name", func(n *Newcomer) { n.Name = sensitive.NewName(" ") }, ErrName},
		{"no role", func(n *Newcomer) { n.Roles = nil }, ErrRoles}, {"a role that is none", func(n *Newcomer) { n.Roles = []Role{"root"} }, ErrRoles},
		{"an auditor who acts", func(n *Newcomer) { n.Roles = []Role{Auditor, Finance} }, ErrRoles},
		{"a short password", func(n *Newcomer) { n.Password = sensitive.NewKey("short") }, ErrPassword},
	} {
		n := good
		tt.edit(&n)
		_, _, err := h.Add(t.Context(), "system", n)
		want(t, tt.name, err, tt.want)
	}
	people, err := h.List(t.Context())
	if err != nil || len(people) != 2 || people[0].Login != "li.4" || fmt.Sprint(people[0].Roles) != "[finance window]" || !people[0].PasswordOnce {
		t.Errorf("List() = %d people, %v", len(people), err)
	}
}

func TestAdministration(t *testing.T) {
	t.Parallel()
	h := open(t)
	p := h.wang(t)
	ctx := t.Context()
	want(t, "enable what is open", h.Enable(ctx, "system", "wang"), ErrMove)
	want(t, "disable", h.Disable(ctx, "staff:9", "Wang"), nil)
	if r := h.memory.last(t); r.Actor != "staff:9" || r.Action != "staff.disable" || r.Object != p.ID.Actor() || r.Result != "ok" {
		t.Errorf("record %+v", r)
	}
	want(t, "disable twice", h.Disable(ctx, "system", "wang"), ErrMove)
	want(t, "a disabled person", h.signIn(t, password, h.code(t, "wang", 0)), ErrSignIn)
	want(t, "enable", h.Enable(ctx, "system", "wang"), nil)
	old := h.code(t, "wang", 0)
	shown, err := h.ResetSecondFactor(ctx, "system", "wang")
	if err != nil || !strings.Contains(shown.Enrolment.Reveal(), h.memory.people["wang"].TOTPSecret.Reveal()) || !shown.Password.IsZero() {
		t.Errorf("ResetSecondFactor() = %v", err)
	}
	if old != h.code(t, "wang", 0) { // one in a million
		want(t, "the old phone", h.signIn(t, password, old), ErrSignIn)
	}
	want(t, "the new phone", h.signIn(t, password, h.code(t, "wang", 0)), nil)
	shown, err = h.ResetPassword(ctx, "system", "wang", sensitive.Key{})
	if err != nil || shown.Password.IsZero() || !shown.Enrolment.IsZero() {
		t.Errorf("ResetPassword() = %v", err)
	}
	h.clock.Advance(period)
	want(t, "the password made", h.signIn(t, shown.Password.Reveal(), h.code(t, "wang", 0)), ErrOnce)
	shown, err = h.ResetPassword(ctx, "system", "wang", sensitive.NewKey(password))
	if err != nil || !shown.Password.IsZero() {
		t.Errorf("ResetPassword(given) = %v", err)
	}
	h.clock.Advance(period)
	want(t, "the password given", h.signIn(t, password, h.code(t, "wang", 0)), nil)
	_, err = h.ResetPassword(ctx, "system", "wang", sensitive.NewKey("wang"))
	want(t, "a password too short", err, ErrPassword)
	_, err = h.ResetPassword(ctx, "system", "nobody", sensitive.Key{})
	want(t, "nobody's password", err, ErrNotFound)
	_, err = h.ResetSecondFactor(ctx, "system", "nobody")
	want(t, "nobody's phone", err, ErrNotFound)
	want(t, "nobody", h.Disable(ctx, "system", "nobody"), ErrNotFound)
}

// TestBroken: without a store or a record nobody is let in.
func TestBroken(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	h := open(t)
	h.wang(t)
	code := h.code(t, "wang", 0)
	h.memory.fault = gone
	want(t, "a store that is gone", h.signIn(t, password, code), gone)
	_, err := h.SignIn(t.Context(), "nobody", sensitive.NewKey(password), code)
	want(t, "a log that is gone", err, gone)
	_, err = h.List(t.Context())
	want(t, "a list that is gone", err, gone)
	h.memory.fault = nil
	for name, edit := range map[string]func(*Person){
		"a hash that is none": func(p *Person) { p.PasswordHash = sensitive.NewKey("SECRET") }, "a secret that is none": func(p *Person) { p.TOTPSecret = sensitive.NewKey("SECRET!") },
	} {
		spoilt := open(t)
		p := spoilt.wang(t)
		edit(&p)
		p.Version = 1
		spoilt.memory.people["wang"] = p
		if err := spoilt.signIn(t, password, code); err == nil || errors.Is(err, ErrSignIn) || strings.Contains(err.Error(), "SECRET") {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := open(t)
	full.wang(t)
	for range cap(full.slots) {
		full.slots <- struct{}{}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = full.SignIn(ctx, "wang", sensitive.NewKey(password), code)
	want(t, "a caller who left the queue", err, context.Canceled)
}

// TestNothingLeaks: by no verb, log, encoder, record or error.
func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	h := open(t)
	p := h.wang(t)
	_, shown, err := h.Add(t.Context(), "system", Newcomer{Login: "other", Name: sensitive.NewName("SECRET-名"), Roles: []Role{Admin}})
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	n := Newcomer{Login: "x", Name: p.Name, Password: sensitive.NewKey(password)}
	d, err := parseDigest(p.PasswordHash)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{p, &p, shown, &shown, n, []Person{p}, attempt{password: sensitive.NewKey(password), proved: p.PasswordHash}} {
		for verb := 'A'; verb <= 'z'; verb++ {
			for _, flag := range []string{"", "+", "#"} {
				fmt.Fprintf(&out, "%"+flag+string(verb), v)
			}
		}
		slog.New(slog.NewJSONHandler(&out, nil)).Info("message", "value", v)
		slog.New(slog.NewTextHandler(&out, nil)).Info("message", "value", v)
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		out.Write(text)
	}
	for _, attempt := range []error{
		h.signIn(t, password, "000000"), h.signIn(t, "SECRET-wrong", "000000"), h.Enable(t.Context(), "system", "wang"),
		func() error { _, _, err := h.Add(t.Context(), "system", n); return err }(),
		func() error {
			_, err := h.ChangePassword(t.Context(), "wang", sensitive.NewKey(password), "0", sensitive.NewKey("SECRET"))
			return err
		}(),
		func() error { _, err := parseDigest(sensitive.NewKey("$SECRET")); return err }(),
		func() error { _, _, err := matchingStep(sensitive.NewKey("SECRET!"), "1", start); return err }(),
	} {
		fmt.Fprintf(&out, "%v %+v", attempt, attempt)
	}
	fmt.Fprintf(&out, "%+v", h.memory.records)
	for _, secret := range []string{"SECRET", password, p.PasswordHash.Reveal(), p.TOTPSecret.Reveal(), shown.Password.Reveal(), "otpauth", "$argon2id",
		fmt.Sprintf("%x", d.hash), fmt.Sprint(d.hash)} {
		if strings.Contains(out.String(), secret) {
			t.Errorf("%q was printed", secret)
		}
	}
	if !strings.Contains(out.String(), "[hidden]") || len(h.memory.records) < 4 {
		t.Error("the test looked at nothing")
	}
}

// TestDefaults are production's.
func TestDefaults(t *testing.T) {
	t.Parallel()
	s := New(&memory{}, &memory{}, clock.Real{}, clock.NewSource(clock.Real{}, 0), Config{})
	if c := s.config; c.Params != standard || c.Failures != 5 || c.LockFor.Minutes() != 15 || cap(s.slots) != 2 {
		t.Errorf("defaults %+v", c)
	}
	if d, err := parseDigest(s.decoy.PasswordHash); err != nil || d.params != standard {
		t.Errorf("nobody's hash has %v, %v", d.params, err)
	}
}
