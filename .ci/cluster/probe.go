package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// probe does the same thing all the time, as an impatient patient would, and knows the longest time without success.
type probe struct {
	name string
	try  func(ctx context.Context) error

	mu    sync.Mutex
	last  time.Time
	worst time.Duration
}

// patience is how long a probe waits for an answer.
const patience = 3 * time.Second

func (p *probe) run(ctx context.Context, s *site) {
	for ctx.Err() == nil {
		once, cancel := s.real.WithDeadline(ctx, patience)
		err := p.try(once)
		cancel()
		if err == nil {
			p.succeeded(s.real.Now())
		}
		_ = s.real.Sleep(ctx, 200*time.Millisecond)
	}
}

func (p *probe) succeeded(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.last.IsZero() {
		p.worst = max(p.worst, now.Sub(p.last))
	}
	p.last = now
}

// outage is the longest time without success since the last call.
func (p *probe) outage(now time.Time) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	worst := max(p.worst, now.Sub(p.last))
	p.worst = 0
	return worst
}

// phone is a patient who signs in, reads and writes.
type phone struct {
	base  string
	appID string
	users []string // they sign in by turns: WeChat takes only so many of one
	turn  int
	token string
	text  struct{ Kind, Version string }
}

const probeHospital = "h1"

// newPhone signs a made-up person in.
func newPhone(ctx context.Context, base string) (*phone, error) {
	p := &phone{base: base}
	var about struct {
		Hospitals []struct {
			Institution string `json:"institution"`
			AppID       string `json:"app_id"`
		} `json:"hospitals"`
	}
	if err := p.ask(ctx, http.MethodGet, "/sandbox/about", nil, &about); err != nil {
		return nil, err
	}
	for _, h := range about.Hospitals {
		if h.Institution == probeHospital {
			p.appID = h.AppID
		}
	}
	var roles []struct{ User string }
	if err := p.ask(ctx, http.MethodGet, "/sandbox/roles?institution="+probeHospital, nil, &roles); err != nil || len(roles) == 0 {
		return nil, fmt.Errorf("nobody to play: %w", err)
	}
	for _, r := range roles {
		p.users = append(p.users, r.User)
	}
	token, err := p.signIn(ctx)
	if err != nil {
		return nil, err
	}
	p.token = token
	var all struct {
		Consents []struct {
			Text struct{ Kind, Version string }
		}
	}
	if err := p.ask(ctx, http.MethodGet, "/api/v1/consents", nil, &all); err != nil || len(all.Consents) == 0 {
		return nil, fmt.Errorf("nothing to agree to: %w", err)
	}
	p.text = all.Consents[0].Text
	return p, nil
}

// signIn is a session of its own.
func (p *phone) signIn(ctx context.Context) (string, error) {
	p.turn++
	var code struct{ Code string }
	if err := p.ask(ctx, http.MethodPost, "/sandbox/wechatmp/login", map[string]string{"user": p.users[p.turn%len(p.users)], "appid": p.appID}, &code); err != nil {
		return "", err
	}
	var session struct{ Token string }
	err := p.ask(ctx, http.MethodPost, "/api/v1/sessions", map[string]string{"institution": probeHospital, "code": code.Code}, &session)
	return session.Token, err
}

func (p *phone) read(ctx context.Context) error {
	return p.ask(ctx, http.MethodGet, "/api/v1/consents", nil, nil)
}

func (p *phone) write(ctx context.Context) error {
	if err := p.ask(ctx, http.MethodPost, "/api/v1/consents", map[string]string{"kind": p.text.Kind, "version": p.text.Version}, nil); err != nil {
		return err
	}
	return p.ask(ctx, http.MethodDelete, "/api/v1/consents/"+p.text.Kind, nil, nil)
}

func (p *phone) ask(ctx context.Context, method, path string, body, into any) error {
	var reader io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return err
		}
		reader = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, p.base+path, reader)
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	if p.token != "" {
		r.Header.Set("Authorization", "Bearer "+p.token)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= http.StatusMultipleChoices {
		return fmt.Errorf("%s %s: %d %s", method, path, res.StatusCode, text)
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(text, into)
}
