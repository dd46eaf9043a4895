package nhsasim

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/tuoka/tuoka/internal/sandbox"
)

// centreScripts are the wishes for what comes next at the centre. They do not survive a restart.
type centreScripts struct {
	settles []settleRefusal
	stas    []StasScript
	refunds []RefundScript
	pushes  string // how 6302 is pushed; empty: once
}

// settleRefusal is a refusal ordered for the next settlement.
type settleRefusal struct{ payOrdID, text string }

// StasScript has the next 6301 about an upload (empty: any) tell a code, whatever is true.
type StasScript struct {
	PayOrdID string `json:"pay_ord_id"`
	OrdStas  int    `json:"ord_stas"`
	Times    int    `json:"times"`
}

// RefundScript has the next 6203 of an upload (empty: any) end in FAIL, or in EXP with the refund done or not.
type RefundScript struct {
	PayOrdID string `json:"pay_ord_id"`
	Status   string `json:"ref_status"`
	Done     bool   `json:"done"`
	Times    int    `json:"times"`
}

// RefuseSettle makes the next settlement of an upload (empty: of any) fail with that reason.
func (s *Sim) RefuseSettle(payOrdID, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.scripts.settles = append(s.scripts.settles, settleRefusal{payOrdID, text})
}

// TellStas orders codes.
func (s *Sim) TellStas(scripts ...StasScript) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, one := range scripts {
		one.Times = max(one.Times, 1)
		s.scripts.stas = append(s.scripts.stas, one)
	}
}

// EndRefund orders ends of 6203.
func (s *Sim) EndRefund(script RefundScript) error {
	if script.Status != refundRefused && script.Status != refundUnclear {
		return fmt.Errorf("nhsasim: refStatus %q: FAIL, EXP", script.Status)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	script.Times = max(script.Times, 1)
	s.scripts.refunds = append(s.scripts.refunds, script)
	return nil
}

// toldStas is the code that is told: the true one, unless a script says otherwise.
func (s *Sim) toldStas(u *upload) int {
	for i := range s.scripts.stas {
		one := &s.scripts.stas[i]
		if one.PayOrdID != "" && one.PayOrdID != u.PayOrdID {
			continue
		}
		code := one.OrdStas
		if one.Times--; one.Times == 0 {
			s.scripts.stas = append(s.scripts.stas[:i], s.scripts.stas[i+1:]...)
		}
		return code
	}
	return u.Stas
}

// refusal takes the first refusal that was ordered for a settlement of this upload.
func (c *centreScripts) refusal(payOrdID string) (string, bool) {
	for i, r := range c.settles {
		if r.payOrdID == "" || r.payOrdID == payOrdID {
			c.settles = append(c.settles[:i], c.settles[i+1:]...)
			return r.text, true
		}
	}
	return "", false
}

// refund takes the first end that was ordered for a 6203 of this upload.
func (c *centreScripts) refund(payOrdID string) (RefundScript, bool) {
	for i := range c.refunds {
		one := &c.refunds[i]
		if one.PayOrdID != "" && one.PayOrdID != payOrdID {
			continue
		}
		found := *one
		if one.Times--; one.Times == 0 {
			c.refunds = append(c.refunds[:i], c.refunds[i+1:]...)
		}
		return found, true
	}
	return RefundScript{}, false
}

// controlCentre is the centre's part of the sandbox's own door.
func (s *Sim) controlCentre(mux *http.ServeMux) {
	plan := s.centre.Plan
	mux.HandleFunc("GET /centre/faults", func(w http.ResponseWriter, _ *http.Request) {
		level, seed := plan.Level()
		write(w, http.StatusOK, map[string]any{"level": level, "seed": seed, "injected": plan.Injected()})
	})
	mux.HandleFunc("PUT /centre/faults", take(func(in struct {
		Level sandbox.Level `json:"level"`
		Seed  uint64        `json:"seed"`
	}) (any, error) {
		return nil, plan.SetLevel(in.Level, in.Seed)
	}))
	mux.HandleFunc("POST /centre/faults/script", take(func(in sandbox.Script) (any, error) { plan.Script(in); return nil, nil }))
	mux.HandleFunc("POST /centre/stas", take(func(in StasScript) (any, error) { s.TellStas(in); return nil, nil }))
	mux.HandleFunc("POST /centre/refunds", take(func(in RefundScript) (any, error) { return nil, s.EndRefund(in) }))
	mux.HandleFunc("POST /centre/notices", take(func(in struct {
		Mode string `json:"mode"`
	}) (any, error) {
		return nil, s.SetPushes(in.Mode)
	}))
	mux.HandleFunc("POST /centre/refuse", take(func(in struct {
		PayOrdID string `json:"pay_ord_id"`
		Text     string `json:"text"`
	}) (any, error) {
		if in.Text == "" {
			return nil, errors.New("text is required")
		}
		s.RefuseSettle(in.PayOrdID, in.Text)
		return nil, nil
	}))
}
