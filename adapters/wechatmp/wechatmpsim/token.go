package wechatmpsim

import (
	"net/http"
	"time"
)

// The rules of the stable token (wechat-pay.md §4.5).
const (
	tokenLife    = 2 * time.Hour
	tokenOverlap = 5 * time.Minute // so long before its end the next one is given out, and both work
	forcePerDay  = 20
	forceApart   = 30 * time.Second
)

// stableToken is stable_token.
func (s *Sim) stableToken(r *http.Request) (any, error) {
	var in struct {
		GrantType    string `json:"grant_type"`
		AppID        string `json:"appid"`
		Secret       string `json:"secret"`
		ForceRefresh bool   `json:"force_refresh"`
	}
	if err := readJSON(r, &in); err != nil {
		return nil, errNotJSON
	}
	if in.GrantType != "client_credential" {
		return nil, errGrantType
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkSecret(in.AppID, in.Secret); err != nil {
		return nil, err
	}
	t, err := s.currentToken(in.AppID, in.ForceRefresh)
	if err != nil {
		return nil, err
	}
	left := t.Until.Sub(s.cfg.Clock.Now()) / time.Second
	return map[string]any{"access_token": t.Value, "expires_in": int64(left)}, nil
}

func (s *Sim) currentToken(appID string, force bool) (token, error) {
	now := s.cfg.Clock.Now()
	list := s.tokens[appID]
	if len(list) > 0 {
		last := list[len(list)-1]
		young := force && now.Sub(last.At) < forceApart // too soon after the last: nothing is refreshed
		if young || !force && last.Until.Sub(now) >= tokenOverlap {
			return last, nil
		}
	}
	if force && s.forcedToday(appID, now) >= forcePerDay {
		return token{}, errForcedTooMuch
	}
	t := token{AppID: appID, Value: s.cfg.Source.Nonce(157), Until: now.Add(tokenLife), Forced: force, At: now}
	return t, s.commit(entry{Token: &t})
}

func (s *Sim) forcedToday(appID string, now time.Time) int {
	n := 0
	for _, at := range s.forced[appID] {
		if now.Sub(at) < 24*time.Hour {
			n++
		}
	}
	return n
}

// appOfToken finds the app of a living access token. The caller holds the mutex.
func (s *Sim) appOfToken(value string) (string, error) {
	if value == "" {
		return "", errNoToken
	}
	for appID, list := range s.tokens {
		for _, t := range list {
			if t.Value != value {
				continue
			}
			if s.cfg.Clock.Now().After(t.Until) {
				return "", errTokenOld
			}
			return appID, nil
		}
	}
	return "", errTokenDead
}

// DropTokens makes every access token of the app invalid, as WeChat does when another system of the same hospital refreshes by force.
func (s *Sim) DropTokens(appID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	app, err := s.app(appID)
	if err != nil {
		return err
	}
	now := s.cfg.Clock.Now()
	t := token{AppID: app, Value: s.cfg.Source.Nonce(157), Until: now.Add(tokenLife), Forced: true, At: now}
	return s.commit(entry{Token: &t})
}
