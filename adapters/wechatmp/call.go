package wechatmp

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/patient"
)

// maxAnswer is far above any answer of these interfaces.
const maxAnswer = 64 << 10

// answered is what every answer of the server API may begin with. Absent errcode is success.
type answered struct {
	Code    int    `json:"errcode"`
	Message string `json:"errmsg"`
}

// The return codes that are told apart (wechat-pay.md §4).
const (
	codeBusy        = -1
	codeTokenDead   = 40001
	codeGrantType   = 40002
	codeAppID       = 40013
	codeTokenBad    = 40014
	codeInvalid     = 40029
	codeSecret      = 40125
	codeUsed        = 40163
	codeAddress     = 40164 // our address is not on the white list
	codeBlocked     = 40226
	codeNoAppID     = 41002
	codeNoSecret    = 41004
	codeTokenOld    = 42001
	codeDayLimit    = 45009
	codeMinuteLimit = 45011
	codeNoRight     = 48001
	codeNoQuota     = 1400001
)

// codeError is an errcode as a cause. WeChat's errmsg is not kept: it may name the caller.
type codeError int

func (e codeError) Error() string { return fmt.Sprintf("errcode %d", int(e)) }

// setupCodes are ours to mend.
var setupCodes = map[int]bool{codeGrantType: true, codeAppID: true, codeSecret: true, codeAddress: true, codeNoAppID: true,
	codeNoSecret: true, codeDayLimit: true, codeNoRight: true, codeNoQuota: true}

// judge turns an errcode into a fault; invalid is what a used or expired one-time code means to this call.
func judge(code int, invalid *fault.Error) error {
	cause := codeError(code)
	switch {
	case code == 0:
		return nil
	case code == codeInvalid || code == codeUsed:
		return invalid.Because(cause)
	case code == codeBlocked:
		return patient.ErrLoginBlocked.Because(cause)
	case code == codeMinuteLimit:
		return ErrLimited.Because(cause)
	case setupCodes[code]:
		return ErrSetup.Because(cause)
	default:
		return patient.ErrBusy.Because(cause)
	}
}

// call sends one request and reads the whole answer. Its errors are patient.ErrBusy and hold neither the URL, which carries the
// AppSecret or a token, nor the body.
func (c *Client) call(ctx context.Context, method, target string, body any, header http.Header) ([]byte, error) {
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return nil, fmt.Errorf("wechatmp: encode: %w", err)
		}
		payload = bytes.NewReader(b)
	}
	ctx, cancel := c.cfg.Clock.WithDeadline(ctx, c.cfg.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, target, payload)
	if err != nil {
		return nil, patient.ErrBusy.Because(bare(err))
	}
	req.Header.Set("Accept", "application/json")
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	for name := range header {
		req.Header.Set(name, header.Get(name))
	}
	res, err := c.http.Do(req)
	if err != nil {
		return nil, patient.ErrBusy.Because(bare(err))
	}
	defer func() { _ = res.Body.Close() }() // the body was read or given up
	answer, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	switch {
	case err != nil:
		return nil, patient.ErrBusy.Because(bare(err))
	case res.StatusCode != http.StatusOK:
		return nil, patient.ErrBusy.Because(fmt.Errorf("status %d", res.StatusCode))
	case len(answer) > maxAnswer:
		return nil, patient.ErrBusy.Because(errors.New("answer too large"))
	}
	return answer, nil
}

// bare takes the URL off an error of net/http.
func bare(err error) error {
	if u, ok := errors.AsType[*url.Error](err); ok {
		return u.Err
	}
	return err
}

// decode reads an answer; what cannot be read is no answer. encoding/json names positions and types, never the text itself, except
// for a string where a number belongs; so its error is not kept.
func decode(answer []byte, into any) error {
	if json.Unmarshal(answer, into) != nil {
		return patient.ErrBusy.Because(errors.New("unreadable answer"))
	}
	return nil
}
