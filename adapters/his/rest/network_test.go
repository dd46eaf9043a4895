package rest

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/split"
)

// TestRealNetwork uses sockets: a deadline that passes, an answer cut in the middle, nobody at the door.
func TestRealNetwork(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/cut") {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"code":`))
			return
		}
		<-release
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	transport := &http.Transport{}
	t.Cleanup(transport.CloseIdleConnections)
	client := func(base string) *Client {
		c := config(clock.Real{})
		c.BaseURL, c.PostDeadline, c.LookupDeadline = base, 20*time.Millisecond, 20*time.Millisecond
		out, err := New(c, transport)
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
	w := newWard(t, hissim.Config{})
	_, err := client(server.URL).Post(t.Context(), w.posting("7"))
	want(t, "Post past its deadline", err, bill.ErrNoAnswer)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Post past its deadline: %v", err)
	}
	_, err = client(server.URL+"/cut/").Pending(t.Context(), "P1")
	want(t, "Pending of a cut answer", err, bill.ErrNoAnswer)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	_, err = client("http://"+address).Post(t.Context(), w.posting("7"))
	want(t, "Post to nobody", err, his.ErrUnreachable)
}

// TestLateEffect books only when we have given up: the query finds it, and the repeat is no second effect.
func TestLateEffect(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	plan, err := sandbox.NewPlan(clock.Real{}, "")
	if err != nil {
		t.Fatal(err)
	}
	sim, err := hissim.New(hissim.Config{Clock: clock.Real{}, Plan: plan, App: testApp, Secret: sensitive.NewKey(testSecret)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sim.AddPatient(hissim.Patient{ID: "P1", Name: testName, IDNo: testID}); err != nil {
		t.Fatal(err)
	}
	b, err := sim.AddBill("P1", "", hissim.Order{Code: "S80004", Quantity: "1"})
	if err != nil {
		t.Fatal(err)
	}
	c := config(clock.Real{})
	c.PostDeadline = 20 * time.Millisecond
	client, err := New(c, sandbox.Transport(sim.Handler()))
	if err != nil {
		t.Fatal(err)
	}
	p := w.posting("7")
	p.Bills, p.Total, p.Split = []order.PostedBill{{No: b.No, Total: b.TotalFen}}, b.TotalFen, split.AllCash(b.TotalFen)
	p.SetlID, p.MdtrtID, p.SettledAt = "", "", time.Time{}
	plan.Script(sandbox.Script{Op: "post", Key: "7", Fault: sandbox.LateEffect})
	_, err = client.Post(t.Context(), p)
	want(t, "Post", err, bill.ErrNoAnswer)
	for st := (order.PostingStatus{}); st.State != order.PostingDone; {
		if st, err = client.PostingOf(t.Context(), "7", []string{b.No}); err != nil {
			t.Fatal(err)
		}
	}
	client.config.PostDeadline = 10 * time.Second
	_, err = client.Post(t.Context(), p)
	want(t, "Post again", err, nil)
	if n := len(sim.Truth().Postings); n != 1 {
		t.Errorf("%d postings", n)
	}
}
