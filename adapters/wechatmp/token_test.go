package wechatmp

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/patient"
)

func TestDeadTokenIsFetchedOnce(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"40001", "40014", "42001"} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			dead := `{"errcode":` + code + `}`
			s := &sequence{answers: []string{`{"access_token":"a","expires_in":7200}`, dead, `{"access_token":"b","expires_in":7200}`, phoneOK}}
			if _, err := clientOn(t, s).Phone(context.Background(), "c"); err != nil {
				t.Errorf("Phone() = %v after %v", err, s.asked)
			}
			s = &sequence{answers: []string{`{"access_token":"a","expires_in":7200}`, dead, `{"access_token":"b","expires_in":7200}`, dead}}
			_, err := clientOn(t, s).Phone(context.Background(), "c")
			if !errors.Is(err, patient.ErrBusy) || len(s.asked) != 4 {
				t.Errorf("Phone() = %v after %d calls, want ErrBusy after 4", err, len(s.asked))
			}
		})
	}
}

func TestTokenLife(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ask := func() {
		t.Helper()
		if _, err := w.client.Phone(context.Background(), w.phoneCode(t)); err != nil {
			t.Fatal(err)
		}
	}
	tokens := func() (n int) {
		for _, u := range w.wire.urls {
			if strings.HasSuffix(u, "stable_token") {
				n++
			}
		}
		return n
	}
	for _, step := range []struct {
		name    string
		advance time.Duration
		want    int
	}{
		{"first", 0, 1},
		{"cached", time.Hour, 1},
		{"just before the margin", time.Hour - tokenMargin - time.Second, 1},
		{"in the margin", 2 * time.Second, 2},
		{"cached again", 90 * time.Minute, 2},
	} {
		w.clock.Advance(step.advance)
		ask()
		if got := tokens(); got != step.want {
			t.Errorf("%s: %d tokens asked, want %d", step.name, got, step.want)
		}
	}
	if err := w.sim.DropTokens(appID); err != nil {
		t.Fatal(err)
	}
	ask()
	if got := tokens(); got != 3 {
		t.Errorf("after a forced refresh elsewhere: %d tokens asked, want 3", got)
	}
}

// gate lets the token request wait until it is opened.
type gate struct {
	open  chan struct{}
	asked chan struct{}
	next  http.RoundTripper
}

func (g gate) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "stable_token") {
		g.asked <- struct{}{}
		select {
		case <-g.open:
		case <-r.Context().Done():
			return nil, r.Context().Err()
		}
		return g.next.RoundTrip(r)
	}
	return fixed{status: 200, body: phoneOK}.RoundTrip(r)
}

func TestOneTokenForManyAtOnce(t *testing.T) {
	t.Parallel()
	g := gate{open: make(chan struct{}), asked: make(chan struct{}, 99), next: fixed{status: 200, body: `{"access_token":"a","expires_in":7200}`}}
	c := clientOn(t, g)
	first, cancelFirst := context.WithCancel(context.Background())
	errs := make(chan error, 9)
	call := func(ctx context.Context) { _, err := c.accessToken(ctx); errs <- err }
	go call(first)
	<-g.asked
	for range 8 {
		go call(context.Background())
	}
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := c.accessToken(gone); !errors.Is(err, patient.ErrBusy) || !errors.Is(err, context.Canceled) {
		t.Errorf("accessToken() of one who left = %v", err)
	}
	cancelFirst() // the first one's leaving takes nothing from the others
	close(g.open)
	for range 9 {
		if err := <-errs; err != nil {
			t.Errorf("accessToken() = %v", err)
		}
	}
	if len(g.asked) != 0 {
		t.Errorf("asked %d times, want once", 1+len(g.asked))
	}
}
