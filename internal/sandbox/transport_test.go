package sandbox

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestTransportCarriesEverything(t *testing.T) {
	t.Parallel()
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.RequestURI != "/a%20b?c=d" || r.Host != "shop.example" || r.RemoteAddr == "" || r.Header.Get("X") != "y" || string(body) != "in" {
			t.Errorf("request %s %s from %s, %q, %v", r.Host, r.RequestURI, r.RemoteAddr, body, err)
		}
		w.Header().Set("Z", "1")
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, "out")
	})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://shop.example/a%20b?c=d", strings.NewReader("in"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("X", "y")
	res, err := Transport(h).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(res.Body)
	_ = res.Body.Close()
	if res.StatusCode != http.StatusCreated || string(body) != "out" || res.ContentLength != 3 || res.Header.Get("Z") != "1" || res.Request != req {
		t.Errorf("answer %d %q %v", res.StatusCode, body, res.Header)
	}
}

func TestTransportBreaks(t *testing.T) {
	t.Parallel()
	broken := Transport(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }))
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://shop/", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := broken.RoundTrip(req); !errors.Is(err, ErrBroken) {
		t.Errorf("RoundTrip = %v, want ErrBroken", err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := broken.RoundTrip(req.WithContext(gone)); !errors.Is(err, context.Canceled) {
		t.Errorf("a caller who has gone: %v", err)
	}
	odd := errors.New("odd")
	bad := req.Clone(t.Context())
	bad.Body = failing{odd}
	if _, err := broken.RoundTrip(bad); !errors.Is(err, odd) {
		t.Errorf("an unreadable body: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func (f failing) Close() error { return nil }

// TestTransportHandlerOutlivesTheCaller: a caller who gives up leaves, the handler goes on, and reads what the caller sent.
func TestTransportHandlerOutlivesTheCaller(t *testing.T) {
	t.Parallel()
	began, done := make(chan struct{}), make(chan string, 1)
	h := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		body, _ := io.ReadAll(r.Body)
		done <- string(body)
	})
	ctx, leave := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://shop/", strings.NewReader("in"))
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-began; leave() }()
	if _, err := Transport(h).RoundTrip(req); !errors.Is(err, context.Canceled) {
		t.Errorf("RoundTrip = %v", err)
	}
	if got := <-done; got != "in" {
		t.Errorf("the handler read %q", got)
	}
}
