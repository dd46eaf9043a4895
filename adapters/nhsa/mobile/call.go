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
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

// maxAnswer is the largest answer that is read.
const maxAnswer = 4 << 20

// message is one call to be made.
type message struct {
	number string // 6201 …
	data   map[string]any
	wait   time.Duration
	free   bool     // moves no money, so that a failure answer is a refusal
	hide   []string // texts that must not appear in an error's message: the patient's name
}

// reply is the data of an answer, and whether the centre had signed it.
type reply struct {
	fields
	signed bool
}

// send makes one call and gives the data of its answer. The error's kind says all: ErrNotSent, ErrNoAnswer, ErrUnreadable, ErrUnverified, and
// of a failure answer ErrRefused, settlement.ErrAuth or ErrSystem where nothing moves, else ErrUnproved.
func (c *Client) send(ctx context.Context, m message) (reply, error) {
	if err := ctx.Err(); err != nil {
		return reply{}, ErrNotSent.Because(err)
	}
	for name, v := range c.cfg.Extra[m.number] {
		if blank(m.data[name]) { // never another value than ours
			m.data[name] = cleanText(v)
		}
	}
	body, err := c.pack(m)
	if err != nil {
		return reply{}, ErrNotSent.Because(fmt.Errorf("%s: %w", m.number, err))
	}
	ctx, cancel := c.cfg.Clock.WithDeadline(ctx, m.wait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.cfg.BaseURL+c.cfg.Paths[m.number], bytes.NewReader(body))
	if err != nil {
		return reply{}, ErrNotSent.Because(err)
	}
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	res, err := c.transport.RoundTrip(r)
	if err != nil {
		return reply{}, lost(m.number, err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return reply{}, ErrNoAnswer.Because(fmt.Errorf("%s: cut short", m.number))
	case res.StatusCode != http.StatusOK:
		return reply{}, ErrNoAnswer.Because(fmt.Errorf("%s: HTTP status %d", m.number, res.StatusCode))
	case len(answer) > maxAnswer || !utf8.Valid(answer):
		return reply{}, ErrUnreadable.Because(fmt.Errorf("%s: too large, or not UTF-8", m.number))
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
		wrapper := map[string]any{"infno": m.number, "msgid": c.msgID(), "inf_time": inChina(c.cfg.Clock.Now()), "fixmedins_code": c.cfg.OrgCodg,
			"input": map[string]any{"data": tidy(m.data, form{})}}
		for name, v := range c.cfg.WrapperHead {
			if blank(wrapper[name]) {
				wrapper[name] = v
			}
		}
		return json.Marshal(wrapper)
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

// msgID is the wrapper's message number, 30 characters: the institution, and the 18 digits of a clock.Source id that do not come again within
// seven years.
func (c *Client) msgID() string {
	return fmt.Sprintf("%.12s%018d", c.cfg.OrgCodg, c.cfg.Source.ID()%1_000_000_000_000_000_000)
}

func inChina(t time.Time) string { return t.In(clock.Shanghai).Format("2006-01-02 15:04:05") }

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

// httpStatus matches a code that is a gateway's, not an insurer's.
var httpStatus = regexp.MustCompile(`^[45]\d\d$`)

// refused gives a failure answer its kind. It is unsigned: of a call that moves money, or that asks how money stands, it proves nothing.
func (c *Client) refused(m message, code, said string) error {
	shown := sensitive.Scrub(said, m.hide...)
	cause := fmt.Errorf("%s: %s", m.number, shown)
	switch {
	case !m.free:
		return ErrUnproved.Because(cause)
	case says(said, c.cfg.AuthErrors):
		return saying(settlement.ErrAuth, shown).Because(cause)
	case strings.TrimSpace(said) == "", httpStatus.MatchString(code), says(said, c.cfg.SystemErrors):
		return ErrSystem.Because(cause)
	}
	return saying(ErrRefused, shown).Because(cause)
}

// says reports whether a text contains one of the parts.
func says(text string, parts []string) bool {
	return slices.ContainsFunc(parts, func(part string) bool { return part != "" && strings.Contains(text, part) })
}

func saying(e *fault.Error, words string) *fault.Error {
	if words == "" {
		return e
	}
	return e.Saying(words)
}
