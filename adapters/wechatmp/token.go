package wechatmp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// tokenMargin is kept before a token's end. It is below 300 s, because WeChat may give out a token with just that left (§4.5).
const tokenMargin = 60 * time.Second

// accessToken is the token in hand and until when it is used.
type accessToken struct {
	value sensitive.Token
	until time.Time
}

// asking is a request for a token that is under way; whoever comes meanwhile waits for it.
type asking struct {
	done  chan struct{}
	token sensitive.Token
	err   error
}

// accessToken gives the token in hand, or asks for one: one request at a time, whoever asks.
func (c *Client) accessToken(ctx context.Context) (sensitive.Token, error) {
	c.mu.Lock()
	if !c.token.value.IsZero() && c.cfg.Clock.Now().Before(c.token.until) {
		defer c.mu.Unlock()
		return c.token.value, nil
	}
	if a := c.asking; a != nil {
		c.mu.Unlock()
		select {
		case <-a.done:
			return a.token, a.err
		case <-ctx.Done():
			return sensitive.Token{}, patient.ErrBusy.Because(ctx.Err())
		}
	}
	a := &asking{done: make(chan struct{})}
	c.asking = a
	c.mu.Unlock()

	var life time.Duration
	asked := c.cfg.Clock.Now()
	// Others wait for this answer: the first caller's leaving must not take it from them.
	a.token, life, a.err = c.askToken(context.WithoutCancel(ctx))
	c.mu.Lock()
	if c.asking = nil; a.err == nil {
		c.token = accessToken{a.token, asked.Add(life - tokenMargin)}
	}
	c.mu.Unlock()
	close(a.done)
	return a.token, a.err
}

// tokenAnswer is the answer of stable_token.
type tokenAnswer struct {
	answered
	Token string `json:"access_token"`
	Life  int64  `json:"expires_in"` // seconds
}

// maxTokenLife is WeChat's; a longer one is not believed.
const maxTokenLife = 7200

func (c *Client) askToken(ctx context.Context) (sensitive.Token, time.Duration, error) {
	body := map[string]any{"grant_type": "client_credential", "appid": c.cfg.AppID, "secret": c.cfg.AppSecret.Reveal(),
		"force_refresh": false}
	answer, err := c.call(ctx, http.MethodPost, c.base+"/cgi-bin/stable_token", body, nil)
	if err != nil {
		return sensitive.Token{}, 0, err
	}
	return readToken(answer)
}

func readToken(answer []byte) (sensitive.Token, time.Duration, error) {
	var t tokenAnswer
	if err := decode(answer, &t); err != nil {
		return sensitive.Token{}, 0, err
	}
	if err := judge(t.Code, ErrSetup); err != nil {
		return sensitive.Token{}, 0, err
	}
	if t.Token == "" || t.Life <= 0 {
		return sensitive.Token{}, 0, patient.ErrBusy.Because(errors.New("answer without access_token"))
	}
	return sensitive.NewToken(t.Token), time.Duration(min(t.Life, maxTokenLife)) * time.Second, nil
}

// dropToken forgets the token in hand if it is still that one.
func (c *Client) dropToken(t sensitive.Token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.token.value.Equal(t) {
		c.token = accessToken{}
	}
}

// authorised posts to an interface that wants an access token. A token that WeChat no longer takes is fetched anew, once.
func (c *Client) authorised(ctx context.Context, path string, body any) ([]byte, error) {
	for again := false; ; again = true {
		token, err := c.accessToken(ctx)
		if err != nil {
			return nil, err
		}
		target := c.base + path + "?access_token=" + url.QueryEscape(token.Reveal())
		answer, err := c.call(ctx, http.MethodPost, target, body, nil)
		if err != nil {
			return nil, err
		}
		var head answered
		if err := decode(answer, &head); err != nil {
			return nil, err
		}
		if head.Code != codeTokenDead && head.Code != codeTokenBad && head.Code != codeTokenOld {
			return answer, nil
		}
		c.dropToken(token)
		if again {
			return nil, patient.ErrBusy.Because(codeError(head.Code))
		}
	}
}
