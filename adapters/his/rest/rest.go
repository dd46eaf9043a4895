// Package rest carries docs/his-interface.md as it stands: JSON over HTTP POST, every message signed by HMAC-SM3 in both directions. An answer that is not
// signed proves nothing.
package rest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strings"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Config is one institution's hospital system. BaseURL is scheme and host, perhaps with a path before /his/v1.
type Config struct {
	his.Config

	BaseURL string
	App     string        // our name at the hospital
	Secret  sensitive.Key // shared with the hospital, at least 16 bytes
	Source  *clock.Source
	// NoticeKey verifies the hospital's notices, where it signs them by SM2; nil: by HMAC-SM3. AnswerKey, ours, goes with it: its questions are answered
	// by it.
	NoticeKey *gm.PublicKey
	AnswerKey *gm.PrivateKey
	// NoticeCerts are the TLS certificates that senders of notices may show, by the hex SM3 of their DER; empty: none is asked for.
	NoticeCerts []string
	// CallbackPath is the path of the address to which the hospital sends its notices, as it sends it ("/callbacks/his/h1"); empty: none is
	// believed.
	CallbackPath string
}

// Client is a hospital that speaks the interface itself. Safe for several goroutines.
type Client struct {
	*his.Client
	config Config
	base   *url.URL
	wire   http.RoundTripper
}

// maxAnswer is the largest answer that is read: 2000 lines and room to spare.
const maxAnswer = 4 << 20

// New checks the configuration. The round tripper carries the requests; redirects are not followed and no cookie is kept.
func New(c Config, wire http.RoundTripper) (*Client, error) {
	base, err := his.Address(c.BaseURL)
	if err != nil {
		return nil, err
	}
	if c.App == "" || len(c.Secret.Reveal()) < 16 {
		return nil, errors.New("his: no app, or a secret of fewer than 16 bytes")
	}
	if c.CallbackPath != "" && (c.CallbackPath[0] != '/' || strings.ContainsAny(c.CallbackPath, "?# \n")) {
		return nil, errors.New("his: the callback path must be a path, without query")
	}
	if (c.NoticeKey == nil) != (c.AnswerKey == nil) {
		return nil, errors.New("his: notices by SM2 need the hospital's key and ours")
	}
	if c.Clock == nil || c.Source == nil || wire == nil {
		return nil, errors.New("his: clock, source and round tripper are required")
	}
	client := &Client{config: c, base: base, wire: wire}
	client.Client, err = his.New(c.Config, client)
	return client, err
}

// Carry sends the signed request and reads the verified answer.
func (c *Client) Carry(ctx context.Context, operation string, members []byte) (his.Answer, error) {
	status, body, err := c.exchange(ctx, "/his/v1/"+operation, members)
	if err != nil {
		return his.Answer{}, err
	}
	answer, err := his.ReadAnswer(body)
	switch {
	case err != nil:
		return his.Answer{}, err
	case status == http.StatusBadRequest && answer.Code == his.CodeInvalid:
		return his.Answer{}, his.ErrRequest.Because(fmt.Errorf("his %s: the hospital calls the request malformed", operation))
	case status == http.StatusNotFound && answer.Code == his.CodeInvalid:
		return his.Answer{}, bill.ErrNoAnswer.Because(fmt.Errorf("his %s: status %d: %w", operation, status, his.ErrNotOffered))
	case status != http.StatusOK:
		return his.Answer{}, bill.ErrNoAnswer.Because(fmt.Errorf("his %s: status %d", operation, status))
	}
	return answer, nil
}

// exchange sends the signed request and returns the verified answer. Errors: ErrUnreachable, bill.ErrNoAnswer; any other is an answer
// that proves nothing.
func (c *Client) exchange(ctx context.Context, path string, body []byte) (int, []byte, error) {
	full := *c.base
	full.Path += path
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, full.String(), bytes.NewReader(body))
	if err != nil {
		return 0, nil, his.ErrRequest.Because(fmt.Errorf("his %s: %w", path, err))
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	req.Header.Set("Accept", "application/json")
	nonce := c.sign(req, body)
	res, err := c.wire.RoundTrip(req)
	if err != nil {
		return 0, nil, his.Unanswered(err).Because(fmt.Errorf("his %s: %w", path, err))
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return 0, nil, bill.ErrNoAnswer.Because(fmt.Errorf("his %s: answer cut: %w", path, err))
	}
	if res.StatusCode >= http.StatusInternalServerError {
		return 0, nil, bill.ErrNoAnswer.Because(fmt.Errorf("his %s: status %d", path, res.StatusCode))
	}
	if len(answer) > maxAnswer {
		return 0, nil, errors.New("the answer is too large")
	}
	if err := c.verify(res, nonce, answer); err != nil {
		return 0, nil, err
	}
	if err := isJSON(res.Header.Get("Content-Type")); err != nil {
		return 0, nil, err
	}
	return res.StatusCode, answer, nil
}

// isJSON refuses a message that does not call itself JSON in UTF-8.
func isJSON(contentType string) error {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/json" {
		return errors.New("the message does not call itself JSON")
	}
	if set, ok := params["charset"]; ok && !strings.EqualFold(set, "utf-8") {
		return errors.New("the message is not in UTF-8")
	}
	return nil
}
