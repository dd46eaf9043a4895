package mobile

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/settlement"
)

const (
	// maxAnswer is the largest answer that is read.
	maxAnswer = 4 << 20
	// maxWraps is how many times a relay may have wrapped an answer.
	maxWraps = 3
)

// message is one call to be made.
type message struct {
	number string // 6201 …
	data   map[string]any
	wait   time.Duration
	free   bool     // moves no money, so that a failure answer is a refusal
	hide   []string // texts that must not appear in an error's message: the patient's name
}

// send makes one call and gives the verified data of its answer. The error's kind says all: ErrNotSent, ErrNoAnswer, ErrUnreadable,
// ErrUnverified, and of a failure answer ErrRefused or settlement.ErrAuth where nothing moves, else ErrUnproved.
func (c *Client) send(ctx context.Context, m message) (fields, error) {
	if err := ctx.Err(); err != nil {
		return nil, ErrNotSent.Because(err)
	}
	for name, v := range c.cfg.Extra[m.number] {
		m.data[name] = v
	}
	body, err := c.pack(m)
	if err != nil {
		return nil, ErrClaim.Because(fmt.Errorf("%s: %w", m.number, err))
	}
	ctx, cancel := c.cfg.Clock.WithDeadline(ctx, m.wait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.BaseURL+c.cfg.Paths[m.number], bytes.NewReader(body))
	if err != nil {
		return nil, ErrNotSent.Because(err)
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	res, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, lost(m.number, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, ErrNoAnswer.Because(fmt.Errorf("%s: cut short", m.number))
	case res.StatusCode != http.StatusOK:
		return nil, ErrNoAnswer.Because(fmt.Errorf("%s: HTTP status %d", m.number, res.StatusCode))
	case len(answer) > maxAnswer || !utf8.Valid(answer):
		return nil, ErrUnreadable.Because(fmt.Errorf("%s: too large, or not UTF-8", m.number))
	}
	return c.unpack(m, answer)
}

// lost tells a call that never left from one whose answer is missing. Only a failed dial proves the former.
func lost(number string, err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return ErrNotSent.Because(fmt.Errorf("%s: no connection", number))
	}
	return ErrNoAnswer.Because(fmt.Errorf("%s: no answer", number))
}

func (c *Client) timestamp() string {
	now := c.cfg.Clock.Now()
	if c.cfg.Timestamp == "millis" {
		return strconv.FormatInt(now.UnixMilli(), 10)
	}
	return now.In(clock.Shanghai).Format("20060102150405")
}

// pack makes the body of a request.
func (c *Client) pack(m message) ([]byte, error) {
	if c.cfg.Transport == Wrapped {
		return json.Marshal(map[string]any{"infno": m.number, "msgid": c.msgID(), "inf_time": inChina(c.cfg.Clock.Now()),
			"fixmedins_code": c.cfg.OrgCodg, "input": map[string]any{"data": m.data}})
	}
	enc, sign := "SM4", "SM2"
	if c.cfg.LowerCaseTypes {
		enc, sign = "sm4", "sm2"
	}
	envelope, err := c.sealer.seal(map[string]any{"appId": c.cfg.AppID, "encType": enc, "signType": sign, "timestamp": c.timestamp(),
		"version": c.cfg.Version, "data": m.data})
	if err != nil {
		return nil, err
	}
	return json.Marshal(envelope)
}

// msgID is the wrapper's message number: institution, moment and a running number, 30 characters.
func (c *Client) msgID() string {
	return fmt.Sprintf("%.12s%s%04d", c.cfg.OrgCodg, c.cfg.Clock.Now().In(clock.Shanghai).Format("20060102150405"), c.cfg.Source.ID()%10000)
}

func inChina(t time.Time) string { return t.In(clock.Shanghai).Format("2006-01-02 15:04:05") }

// unpack judges an answer in three steps: the envelope's own code, its signature, and then what it is about, which the caller does.
func (c *Client) unpack(m message, answer []byte) (fields, error) {
	envelope, err := unwrap(answer)
	if err != nil {
		return nil, ErrUnreadable.Because(fmt.Errorf("%s: %w", m.number, err))
	}
	if c.cfg.Transport == Wrapped {
		return c.unpackWrapped(m, envelope)
	}
	if failed(envelope) {
		return nil, c.failure(m, envelope["message"])
	}
	data, _, err := c.sealer.open(envelope)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.number, err)
	}
	return data, nil
}

// unpackWrapped reads the answer of a front-end that seals for us.
func (c *Client) unpackWrapped(m message, wrapper map[string]any) (fields, error) {
	if code := plain(wrapper["infcode"]); code != "0" {
		if code == "" {
			return nil, ErrUnreadable.Because(fmt.Errorf("%s: without infcode", m.number))
		}
		return nil, c.failure(m, wrapper["err_msg"])
	}
	output, _ := wrapper["output"].(map[string]any)
	if inner, ok := output["data"].(map[string]any); ok {
		output = inner
	}
	if output == nil {
		return nil, ErrUnreadable.Because(fmt.Errorf("%s: without output", m.number))
	}
	return output, nil
}

// unwrap takes off what relays put around an answer: an object in data, output or body, or JSON in a JSON text.
func unwrap(answer []byte) (map[string]any, error) {
	m, err := parseObject(answer)
	for range maxWraps {
		if err != nil {
			return nil, err
		}
		if _, ok := m["encData"]; ok || m["code"] != nil || m["success"] != nil || m["infcode"] != nil {
			return m, nil
		}
		var inner any
		for _, name := range []string{"data", "output", "body"} {
			if m[name] != nil {
				inner = m[name]
				break
			}
		}
		switch x := inner.(type) {
		case map[string]any:
			m = x
		case string:
			m, err = parseObject([]byte(x))
		default:
			return nil, errJSON
		}
	}
	return m, err
}

// failed reports a failure answer: a code other than 0, or success = false.
func failed(envelope map[string]any) bool {
	code, told := envelope["code"]
	if success, ok := envelope["success"]; ok && plain(success) == "false" {
		return true
	}
	return told && plain(code) != "0"
}

// plain is a leaf as text, whichever JSON type it came in.
func plain(v any) string {
	switch x := v.(type) {
	case string:
		return x
	case bool, json.Number:
		return fmt.Sprint(x)
	}
	return ""
}

// failure gives a failure answer its kind. It is unsigned: of a call that moves money, or that asks how money stands, it proves nothing.
func (c *Client) failure(m message, said any) error {
	words := plain(said)
	shown := clean(words, m.hide)
	cause := fmt.Errorf("%s: %s", m.number, shown)
	for _, s := range c.cfg.SystemErrors {
		if s != "" && strings.Contains(words, s) {
			return ErrNoAnswer.Because(cause)
		}
	}
	if !m.free {
		return ErrUnproved.Because(cause)
	}
	for _, s := range c.cfg.AuthErrors {
		if s != "" && strings.Contains(words, s) {
			return settlement.ErrAuth.Because(cause)
		}
	}
	return saying(ErrRefused, shown).Because(cause)
}

func saying(e *fault.Error, words string) *fault.Error {
	if words == "" {
		return e
	}
	return e.Saying(words)
}

// maxText is how much of the centre's text is shown.
const maxText = 200

// longNumber matches identity numbers, phones and credentials in the centre's text.
var longNumber = regexp.MustCompile(`[0-9A-Za-z*]*[0-9]{9,}[0-9A-Za-z*]*`)

// clean makes the centre's text fit to be shown and logged: one line, no personal data, at most 200 runes.
func clean(s string, hide []string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsPrint(r):
			return -1
		}
		return r
	}, s)
	for _, h := range hide {
		if h != "" {
			s = strings.ReplaceAll(s, h, "***")
		}
	}
	s = strings.TrimSpace(longNumber.ReplaceAllString(s, "***"))
	if runes := []rune(s); len(runes) > maxText {
		s = string(runes[:maxText])
	}
	return s
}
