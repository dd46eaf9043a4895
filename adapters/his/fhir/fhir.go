// Package fhir carries docs/his-interface.md to a hospital information system that is a FHIR server, R5 or R4. Where its numbers, codes and amounts stand is a
// Profile in YAML; docs/his-fhir.md says which interactions are used, and why.
//
// Its answers are not signed: what they prove rests on TLS, on the token, and on an answer that is whole, of the right version, and about what was asked.
package fhir

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Config is one institution's FHIR server.
type Config struct {
	his.Config

	BaseURL string // the server's base, below which the resources are
	Profile *Profile
	Token   sensitive.Key // the bearer token, at least 16 bytes
}

// Client is a hospital that is a FHIR server. Safe for several goroutines.
type Client struct {
	*his.Client
	config Config
	base   string
	wire   http.RoundTripper
}

// maxAnswer is the largest answer that is read: 2000 lines, each a resource, and room to spare.
const maxAnswer = 16 << 20

// New checks the configuration. The round tripper carries the requests; redirects are not followed and no cookie is kept.
func New(c Config, wire http.RoundTripper) (*Client, error) {
	base, err := his.Address(c.BaseURL)
	if err != nil {
		return nil, err
	}
	if c.Profile == nil || wire == nil {
		return nil, errors.New("his: profile and round tripper are required")
	}
	if len(c.Token.Reveal()) < 16 || strings.ContainsAny(c.Token.Reveal(), " \r\n") {
		return nil, errors.New("his: a token of fewer than 16 bytes, or with blanks")
	}
	client := &Client{config: c, base: base.String(), wire: wire}
	client.Client, err = his.New(c.Config, client)
	return client, err
}

// Carry does the operation's interaction with the server, and gives what it answers in the interface's words.
func (c *Client) Carry(ctx context.Context, operation string, members []byte) (his.Answer, error) {
	refused := func(err error) (his.Answer, error) {
		return his.Answer{}, his.ErrRequest.Because(fmt.Errorf("his %s: %w", operation, err))
	}
	p := c.config.Profile
	o, ok := p.Operations[operation]
	if !ok {
		return refused(fmt.Errorf("%w: the profile lacks it", his.ErrNotOffered))
	}
	asked, err := decode(members)
	if err != nil {
		return refused(err)
	}
	r, err := p.request(operation, &o, asked, c.config.Clock.Now())
	if err != nil {
		return refused(err)
	}
	status, body, err := c.exchange(ctx, operation, r)
	if err != nil {
		return his.Answer{}, err
	}
	return p.answer(operation, asked, status, body, nil)
}

// request is what is sent.
type request struct {
	path, kind, once string
	body             []byte
}

// kindOf is what bodies are called: FHIR's media type with its version.
func (p *Profile) kindOf() string {
	if p.Version == versionR4 {
		return "application/fhir+json; fhirVersion=4.0"
	}
	return "application/fhir+json; fhirVersion=5.0"
}

// request writes an operation's request.
func (p *Profile) request(operation string, o *Operation, asked map[string]any, now time.Time) (request, error) {
	searches := o.Search
	if p.Version == versionR4 && len(o.SearchR4) > 0 {
		searches = o.SearchR4
	}
	switch {
	case len(searches) == 1:
		kind, query, _ := strings.Cut(searches[0], "?")
		form, err := p.query(query, asked)
		return request{path: kind + "/_search", kind: "application/x-www-form-urlencoded", body: []byte(form.Encode())}, err
	case len(searches) > 1:
		entries := make([]any, 0, len(searches))
		for _, s := range searches {
			kind, query, _ := strings.Cut(s, "?")
			form, err := p.query(query, asked)
			if err != nil {
				return request{}, err
			}
			entries = append(entries, map[string]any{"request": map[string]any{"method": "GET", "url": kind + "?" + form.Encode()}})
		}
		body, err := json.Marshal(map[string]any{"resourceType": "Bundle", "type": "batch", "entry": entries})
		return request{kind: p.kindOf(), body: body}, err
	}
	dated(operation, asked, now)
	shape, r := p.Shapes[o.With], request{path: o.Call, kind: p.kindOf()}
	if o.Create != "" {
		shape = p.Shapes[o.Create]
		once, err := p.query(o.Once, asked)
		if err != nil {
			return r, err
		}
		r.path, r.once = shape.Type, once.Encode()
	}
	resource := map[string]any{"resourceType": shape.Type}
	err := write(resource, shape.Fields, asked)
	if err == nil {
		r.body, err = json.Marshal(resource)
	}
	return r, err
}

// dated adds what FHIR wants to know besides: when it is said, the day of the money, of which kind the entry is, and the place of every item.
func dated(operation string, asked map[string]any, now time.Time) {
	at := now.In(clock.Shanghai).Format(time.RFC3339)
	asked["now"], asked["day"], asked["kind"] = at, at[:len(time.DateOnly)], "payment"
	if operation == "refunds/book" {
		asked["kind"] = "adjustment"
	}
	for _, name := range []string{"settled_at", "paid_at", "refunded_at"} {
		if t, ok := asked[name].(string); ok && len(t) >= len(time.DateOnly) {
			asked["day"] = t[:len(time.DateOnly)]
		}
	}
	for i, line := range flat(asked["lines"]) {
		if object, ok := line.(map[string]any); ok {
			object["sequence"] = json.Number(strconv.Itoa(i + 1))
		}
	}
}

// exchange sends and reads. Errors: his.ErrUnreachable, bill.ErrNoAnswer; any other is an answer that proves nothing.
func (c *Client) exchange(ctx context.Context, operation string, q request) (status int, body []byte, err error) {
	at := c.base
	if q.path != "" {
		at += "/" + q.path
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, at, bytes.NewReader(q.body))
	if err != nil {
		return 0, nil, his.ErrRequest.Because(fmt.Errorf("his %s: %w", operation, err))
	}
	r.Header.Set("Content-Type", q.kind)
	r.Header.Set("Accept", c.config.Profile.kindOf())
	r.Header.Set("Authorization", "Bearer "+c.config.Token.Reveal())
	if q.once != "" {
		r.Header.Set("If-None-Exist", q.once)
		r.Header.Set("Prefer", "return=representation")
	}
	res, err := c.wire.RoundTrip(r)
	if err != nil {
		return 0, nil, his.Unanswered(err).Because(fmt.Errorf("his %s: %w", operation, err))
	}
	defer func() { _ = res.Body.Close() }()
	body, err = io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return 0, nil, bill.ErrNoAnswer.Because(fmt.Errorf("his %s: answer cut: %w", operation, err))
	case len(body) > maxAnswer:
		return 0, nil, errors.New("the answer is too large")
	}
	if err := c.config.Profile.isFHIR(res.Header.Get("Content-Type")); err != nil {
		if res.StatusCode >= http.StatusMultipleChoices {
			return 0, nil, bill.ErrNoAnswer.Because(fmt.Errorf("his %s: status %d", operation, res.StatusCode))
		}
		return 0, nil, err
	}
	return res.StatusCode, body, nil
}

// isFHIR refuses a message that does not call itself FHIR in JSON, of the profile's version where it names one.
func (p *Profile) isFHIR(contentType string) error {
	media, params, err := mime.ParseMediaType(contentType)
	if err != nil || media != "application/fhir+json" {
		return errors.New("the message does not call itself FHIR in JSON")
	}
	if set, ok := params["charset"]; ok && !strings.EqualFold(set, "utf-8") {
		return errors.New("the message is not in UTF-8")
	}
	if v, ok := params["fhirversion"]; ok && !strings.HasSuffix(p.kindOf(), "="+v) {
		return errors.New("the message is of another version of FHIR")
	}
	return nil
}
