package main

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
)

// requests is how many come at once under one Idempotency-Key. With -short, or under the race detector, it is a fifth.
func requests() int {
	if testing.Short() || raced {
		return 200
	}
	return 1000
}

// send is one request to the API's own handler.
func (p *premises) send(one *player, path, key, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, "/api/v1"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer "+one.token)
	r.Header.Set("Idempotency-Key", key)
	w := httptest.NewRecorder()
	p.api.ServeHTTP(w, r)
	return w
}

// rush sends the same request so many times at once. Every answer is the outcome, or says when to come again; whoever comes again gets the same
// bytes at last.
func (p *premises) rush(one *player, path, key, body string, status int) []byte {
	p.t.Helper()
	answers := make([]*httptest.ResponseRecorder, requests())
	begin := make(chan struct{})
	var wg sync.WaitGroup
	var mu sync.Mutex
	tally := map[int]int{}
	for i := range answers {
		wg.Go(func() {
			<-begin
			for tries := 0; tries < 400; tries++ {
				w := p.send(one, path, key, body)
				mu.Lock()
				tally[w.Code]++
				mu.Unlock()
				answers[i] = w
				if w.Code != http.StatusConflict && w.Code != http.StatusAccepted {
					return
				}
				if w.Header().Get("Retry-After") == "" {
					p.t.Errorf("POST %s: %d without Retry-After: %s", path, w.Code, w.Body)
					return
				}
				_ = clock.Real{}.Sleep(p.t.Context(), 100*time.Millisecond)
			}
		})
	}
	close(begin)
	wg.Wait()
	first := answers[0]
	for _, w := range answers {
		if w.Code != status || !bytes.Equal(w.Body.Bytes(), first.Body.Bytes()) || w.Header().Get("Content-Type") != first.Header().Get("Content-Type") {
			p.t.Fatalf("POST %s: %d %s\nbeside %d %s", path, w.Code, w.Body, first.Code, first.Body)
		}
	}
	p.t.Logf("POST %s: answers %v", path, tally)
	return first.Body.Bytes()
}

// TestOnceAmongAThousand: a thousand requests at once under one key have one effect, at every counterpart and in the database, and one answer: on
// both routes, for the quote, the confirmation and the refund.
func TestOnceAmongAThousand(t *testing.T) {
	for _, institution := range []string{"h1", "h2"} {
		t.Run(institution, func(t *testing.T) {
			p := openPremises(t, t.TempDir())
			one := p.patient(institution, 5)
			if !one.insured() {
				t.Fatal("a patient without insurance shows little")
			}
			rows := func(want int, query string, args ...any) {
				t.Helper()
				if n := count(t, p.data, query, args...); n != want {
					t.Errorf("%s: %d, want %d", query, n, want)
				}
			}
			if err := one.persist(t.Context(), one.seeBill); err != nil {
				t.Fatal(err)
			}
			quote := fmt.Sprintf(`{"patient_id":%q,"bill_nos":[%q],"insurance":true,"use_account":true}`, one.patient, one.role.Bills[0])
			first := p.rush(one, "/orders", "key-of-thousand", quote, http.StatusCreated)
			one.resumed(t)
			rows(1, "SELECT COUNT(*) FROM orders")
			rows(1, "SELECT COUNT(*) FROM order_event WHERE verb = 'create'")
			rows(1, "SELECT COUNT(*) FROM settlement")
			rows(1, "SELECT COUNT(*) FROM idempotency")
			asked := p.called("2206") + p.called("6201") + p.called("uldFeeInfo")
			if asked > 1 {
				t.Errorf("the insurer was asked %d times who pays: %v", asked, p.calls)
			}

			p.wait("quoted", func() bool { return p.look(one).State == "quoted" })
			path := "/orders/" + one.order.ID
			p.rush(one, path+"/confirm", "key-of-thousand", fmt.Sprintf(`{"version":%d}`, one.order.Version), http.StatusOK) // another route, another record
			rows(1, "SELECT COUNT(*) FROM order_event WHERE verb = 'confirm'")
			rows(1, "SELECT COUNT(*) FROM payment")
			h, err := p.sims.at(institution)
			if err != nil {
				t.Fatal(err)
			}
			if orders, locks := h.pay.Truth().Orders, h.his.Truth().Locks; len(orders) != 1 || len(locks) != 1 {
				t.Errorf("WeChat has %d orders, the HIS %d locks", len(orders), len(locks))
			}

			p.wait("completed", func() bool {
				if p.look(one); one.order.NextAction == "pay" {
					p.steps(one, one.cashier)
				}
				return one.order.State == "completed"
			})
			p.rush(one, path+"/refunds", "key-of-thousand", `{"whole":true}`, http.StatusCreated)
			p.wait("given back", func() bool { p.look(one); return len(one.order.Refunds) > 0 && one.order.Refunds[0].over() })
			if r := one.order.Refunds; len(r) != 1 || r[0].State != "done" || r[0].TotalFen != one.order.TotalFen {
				t.Errorf("refunds %+v", r)
			}
			rows(1, "SELECT COUNT(*) FROM refund")
			rows(1, "SELECT COUNT(*) FROM order_event WHERE subject = 'refund' AND verb = 'ask'")
			truth, his := h.pay.Truth(), h.his.Truth()
			if len(truth.Orders[0].Refunds) != 1 || truth.NetFen != 0 || len(his.Refunds) != 1 || his.Net != 0 || len(his.Postings) != 1 {
				t.Errorf("WeChat holds %s after %d refunds, the HIS %s after %d", truth.NetFen, len(truth.Orders[0].Refunds), his.Net, len(his.Refunds))
			}
			if s := p.sims.nhsa.Truth(); len(s.Settlements) != 1 || s.Net.Count != 0 {
				t.Errorf("the insurer has %+v", s)
			}

			// However much has happened since, the answers are what they were.
			if w := p.send(one, "/orders", "key-of-thousand", quote); w.Code != http.StatusCreated || !bytes.Equal(w.Body.Bytes(), first) {
				t.Errorf("the quote once more: %d %s, want %s", w.Code, w.Body, first)
			}
			for route, other := range map[string]string{"/orders": strings.Replace(quote, `"use_account":true`, `"use_account":false`, 1),
				path + "/confirm": `{"version":1}`, path + "/refunds": `{"whole":true,"reason":"x"}`} {
				if w := p.send(one, route, "key-of-thousand", other); w.Code != http.StatusUnprocessableEntity || !strings.Contains(w.Body.String(), "IDEMPOTENCY_KEY_REUSED") {
					t.Errorf("another body under the key of %s: %d %s", route, w.Code, w.Body)
				}
			}
			rows(3, "SELECT COUNT(*) FROM idempotency")

			// Somebody else may have thought of the same key.
			two := p.patient(institution, 6)
			mine := fmt.Sprintf(`{"patient_id":%q,"bill_nos":[%q],"insurance":%v}`, two.patient, two.role.Bills[0], two.insured())
			if w := p.send(two, "/orders", "key-of-thousand", mine); w.Code != http.StatusCreated || bytes.Equal(w.Body.Bytes(), first) {
				t.Errorf("another's request under the same key: %d %s", w.Code, w.Body)
			}
			rows(2, "SELECT COUNT(*) FROM orders")
			rows(4, "SELECT COUNT(*) FROM idempotency")
		})
	}
}

// resumed reads the order that was made.
func (p *player) resumed(t *testing.T) {
	t.Helper()
	if err := p.resume(t.Context()); err != nil {
		t.Fatal(err)
	}
}
