package callback

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/job"
)

var errForged = errors.New("forged")

type source struct{}

func (source) Open(h http.Header, body []byte) (job.Notice, error) {
	if h.Get("Signature") != "good" {
		return job.Notice{}, errForged
	}
	return job.Notice{Source: "wechatpay", ID: "n1", Kind: "paid", Number: string(body)}, nil
}

func (source) Acknowledge(w http.ResponseWriter, err error) {
	switch {
	case err == nil:
		w.WriteHeader(http.StatusNoContent)
	case errors.Is(err, errForged):
		w.WriteHeader(http.StatusUnauthorized)
	default:
		w.WriteHeader(http.StatusInternalServerError)
	}
}

type inbox struct {
	notices []job.Notice
	down    error
}

func (i *inbox) Put(_ context.Context, n job.Notice) (bool, error) {
	if i.down != nil {
		return false, i.down
	}
	i.notices = append(i.notices, n)
	return true, nil
}
func (i *inbox) Spend(context.Context, string, job.Nonce) error              { return i.down }
func (i *inbox) Unread(context.Context, []string, int) ([]job.Stored, error) { return nil, nil }
func (i *inbox) Mark(context.Context, int64, time.Time, string) error        { return nil }

func TestHandler(t *testing.T) {
	tests := []struct {
		name, method, path, signature, body string
		down                                error
		status, stored                      int
	}{
		{"stored, then acknowledged", "POST", "/callbacks/wechatpay/h1", "good", "T1", nil, 204, 1},
		{"forged", "POST", "/callbacks/wechatpay/h1", "bad", "T1", nil, 401, 0},
		{"not stored is not acknowledged", "POST", "/callbacks/wechatpay/h1", "good", "T1", errors.New("disk"), 500, 0},
		{"another institution", "POST", "/callbacks/wechatpay/h2", "good", "T1", nil, 404, 0},
		{"another method", "GET", "/callbacks/wechatpay/h1", "good", "", nil, 405, 0},
		{"too large", "POST", "/callbacks/wechatpay/h1", "good", strings.Repeat("x", maxBody+1), nil, 500, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in, woken := &inbox{down: tt.down}, 0
			h := Handler(in, map[string]Source{"wechatpay/h1": source{}}, nil, Gateway{}, func() { woken++ })
			r := httptest.NewRequest(tt.method, tt.path, strings.NewReader(tt.body))
			r.Header.Set("Signature", tt.signature)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != tt.status || len(in.notices) != tt.stored || woken != tt.stored {
				t.Errorf("status %d, %d stored, %d woken, want %d, %d", w.Code, len(in.notices), woken, tt.status, tt.stored)
			}
			if tt.stored == 1 && in.notices[0].Source != "wechatpay/h1" {
				t.Errorf("source %q, want the route's key", in.notices[0].Source)
			}
		})
	}
}
