package staff

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/argon2"

	"github.com/tuoka/tuoka/internal/sensitive"
)

func TestSignIn(t *testing.T) {
	t.Parallel()
	h := open(t)
	added := h.wang(t)
	p, err := h.SignIn(t.Context(), " Wang", sensitive.NewKey(password), h.code(t, "wang", 0)+" ")
	if err != nil || p.ID != added.ID || p.Login != "wang" || p.Institution != "h1" || p.Roles[0] != Finance || p.Version != 2 {
		t.Fatalf("SignIn() = %+v, %v", p, err)
	}
	if r := h.memory.last(t); r.Action != "staff.sign_in" || r.Actor != added.ID.Actor() || r.Object != r.Actor || r.Result != "ok" || r.Institution != "h1" ||
		!r.At.Equal(start) {
		t.Errorf("record %+v", r)
	}
}

// TestOneAnswer: whatever is wrong, the answer and the work are the same; only the record tells.
func TestOneAnswer(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, login, word string
		before            func(h *hall, code *string)
		why               string
	}{
		{"no such login", "nobody", password, nil, "no such login"}, {"wrong password", "wang", password + "!", nil, "password"},
		{"no password", "wang", "", nil, "password"}, {"no code", "wang", password, func(_ *hall, code *string) { *code = "" }, "code"},
		{"another step's code", "wang", password, func(h *hall, code *string) { *code = h.code(t, "wang", 5) }, "code"},
		{"disabled", "wang", password, func(h *hall, _ *string) { _ = h.Disable(t.Context(), "system", "wang") }, "disabled"},
		{"code used", "wang", password, func(h *hall, code *string) { _ = h.signIn(t, password, *code) }, "code used before"},
		{"locked", "wang", password, func(h *hall, _ *string) {
			for range 5 {
				_ = h.signIn(t, "wrong", "")
			}
		}, "locked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := open(t)
			h.wang(t)
			code := h.code(t, "wang", 0)
			if tt.before != nil {
				tt.before(h, &code)
			}
			hashed, recorded := h.hashes.Load(), len(h.memory.records)
			p, err := h.SignIn(t.Context(), tt.login, sensitive.NewKey(tt.word), code)
			if !errors.Is(err, ErrSignIn) || err.Error() != "sign in: "+ErrSignIn.Error() || p.ID != 0 {
				t.Errorf("SignIn() = %v, %v", p.ID, err)
			}
			if n := h.hashes.Load() - hashed; n != 1 {
				t.Errorf("%d derivations, want 1 in every case", n)
			}
			if n := len(h.memory.records) - recorded; n != 1 {
				t.Errorf("%d records, want 1 in every case", n)
			}
			r := h.memory.last(t)
			if r.Result != ErrSignIn.Code || r.Detail != tt.why || (r.Actor == "system") != (tt.login == "nobody") {
				t.Errorf("record %+v, want %q", r, tt.why)
			}
		})
	}
}

func TestLockout(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.wang(t)
	fail := func(n int) {
		t.Helper()
		for range n {
			want(t, "a wrong password", h.signIn(t, "wrong", h.code(t, "wang", 0)), ErrSignIn)
		}
	}
	right := func() error { return h.signIn(t, password, h.code(t, "wang", 0)) }
	fail(4)
	want(t, "after four failures", right(), nil)
	h.clock.Advance(period)
	fail(4)
	if got := h.memory.people["wang"]; got.State != Active || got.FailedSignIns != 4 {
		t.Fatalf("%s after 4 failures", got.State)
	}
	fail(1)
	if got := h.memory.people["wang"]; got.State != Locked || !got.LockedUntil.Equal(h.clock.Now().Add(15*time.Minute)) || h.memory.last(t).Detail != "password, and locked" {
		t.Fatalf("%s until %s after 5 failures: %+v", got.State, got.LockedUntil, h.memory.last(t))
	}
	h.clock.Advance(15*time.Minute - time.Microsecond)
	want(t, "the last moment of the lock", right(), ErrSignIn)
	fail(9) // what is tried meanwhile makes it no longer
	h.clock.Advance(time.Microsecond)
	want(t, "after the lock", right(), nil)
	if got := h.memory.people["wang"]; got.State != Active || got.FailedSignIns != 0 {
		t.Errorf("%s, %d failures after a sign-in", got.State, got.FailedSignIns)
	}
	fail(5)
	h.clock.Advance(15 * time.Minute)
	fail(5)
	want(t, "locked again", right(), ErrSignIn)
	want(t, "unlock", h.Enable(t.Context(), "system", "wang"), nil)
	want(t, "after the administrator", right(), nil)
}

// TestCodeOpensOnce also where two come with it at the same moment.
func TestCodeOpensOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.wang(t)
	newer := h.code(t, "wang", 1)
	want(t, "a code of the next step", h.signIn(t, password, newer), nil)
	want(t, "the same once more", h.signIn(t, password, newer), ErrSignIn)
	want(t, "an older one", h.signIn(t, password, h.code(t, "wang", 0)), ErrSignIn)
	for range 20 {
		h.clock.Advance(2 * period)
		code := h.code(t, "wang", 0)
		var wg sync.WaitGroup
		var errs [2]error
		for i := range errs {
			wg.Go(func() { errs[i] = h.signIn(t, password, code) })
		}
		wg.Wait()
		if (errs[0] == nil) == (errs[1] == nil) || !errors.Is(errors.Join(errs[:]...), ErrSignIn) {
			t.Fatalf("two with one code: %v", errs)
		}
	}
}

// TestGuessesAtOnce: of many guesses at the same moment each is counted, or is not judged; the answer is always the same.
func TestGuessesAtOnce(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.wang(t)
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			if err := h.signIn(t, "wrong", "000000"); !errors.Is(err, ErrSignIn) {
				t.Errorf("a guess: %v", err)
			}
		})
	}
	wg.Wait()
	told := 0
	for _, r := range h.memory.records {
		if strings.HasPrefix(r.Detail, "password") {
			told++
		}
	}
	if p := h.memory.people["wang"]; told != 5 || p.State != Locked {
		t.Errorf("%d guesses were judged, the account is %s", told, p.State)
	}
	busy := open(t)
	busy.wang(t)
	busy.memory.moving = true
	want(t, "a row that never stands still", busy.signIn(t, password, busy.code(t, "wang", 0)), ErrSignIn)
	if r := busy.memory.last(t); r.Detail != "too many at once" || r.Result != ErrSignIn.Code || busy.hashes.Load() != 2 {
		t.Errorf("record %+v after %d derivations", r, busy.hashes.Load())
	}
	want(t, "an administrator meanwhile", busy.Disable(t.Context(), "system", "wang"), ErrMoved)
}

// TestOlderParameters are accepted, and the hash is renewed once somebody proves who he is.
func TestOlderParameters(t *testing.T) {
	t.Parallel()
	h := open(t)
	h.wang(t)
	older := kdf(argon2.IDKey).digest(Params{MemoryKiB: 8, Passes: 2, Lanes: 1}, sensitive.NewKey(password))
	p := h.memory.people["wang"]
	p.PasswordHash = older
	h.memory.people["wang"] = p
	want(t, "a wrong code", h.signIn(t, password, ""), ErrSignIn)
	if !h.memory.people["wang"].PasswordHash.Equal(older) {
		t.Error("renewed without proof")
	}
	want(t, "older parameters", h.signIn(t, password, h.code(t, "wang", 0)), nil)
	d, err := parseDigest(h.memory.people["wang"].PasswordHash)
	if err != nil || d.params != small {
		t.Errorf("the hash has %v, %v, want today's parameters", d.params, err)
	}
	h.clock.Advance(period)
	want(t, "the renewed hash", h.signIn(t, password, h.code(t, "wang", 0)), nil)
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	h := open(t)
	_, shown, err := h.Add(t.Context(), "system", Newcomer{Login: "wang", Name: sensitive.NewName("王"), Roles: []Role{Window}})
	if err != nil || shown.Password.IsZero() || shown.Enrolment.IsZero() {
		t.Fatalf("Add() = %v", err)
	}
	change := func(old, fresh sensitive.Key) error {
		h.clock.Advance(period)
		_, err := h.ChangePassword(t.Context(), "Wang ", old, h.code(t, "wang", 0), fresh)
		return err
	}
	want(t, "a one-time password", h.signIn(t, shown.Password.Reveal(), h.code(t, "wang", 0)), ErrOnce)
	if r := h.memory.last(t); r.Result != ErrOnce.Code {
		t.Errorf("record %+v", r)
	}
	chosen := sensitive.NewKey(password)
	want(t, "a short one", change(shown.Password, sensitive.NewKey("short")), ErrPassword)
	want(t, "none", change(shown.Password, sensitive.Key{}), ErrPassword)
	want(t, "the same", change(shown.Password, shown.Password), ErrPassword)
	want(t, "a wrong old one", change(chosen, sensitive.NewKey(password+"2")), ErrSignIn)
	want(t, "another", change(shown.Password, chosen), nil)
	if r := h.memory.last(t); r.Action != "staff.change_password" || r.Result != "ok" {
		t.Errorf("record %+v", r)
	}
	want(t, "the one-time password again", change(shown.Password, sensitive.NewKey(password+"3")), ErrSignIn)
	h.clock.Advance(period)
	want(t, "the new one", h.signIn(t, password, h.code(t, "wang", 0)), nil)
}
