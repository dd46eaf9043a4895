package core

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// dateTime is DT of the wire, in China time.
const dateTime = "2006-01-02 15:04:05"

// maxAnswer is the largest answer that is read; a settlement of 99 rows stays far below.
const maxAnswer = 4 << 20

// services are the paths under the gateway (§1.4), misspelt as the platform spells them.
var services = map[string]string{
	"1101":  "/fsi/api/fsiPsnInfoService/queryPsnInfo",
	"2201":  "/fsi/api/outpatientDocInfoService/outpatientRregistration",
	"2202":  "/fsi/api/outpatientDocInfoService/outpatientRegistrationCancel",
	"2203":  "/fsi/api/outpatientDocInfoService/outpatientMdtrtinfoUp",
	"2203A": "/fsi/api/outpatientDocInfoService/outpatientMdtrtinfoUpA",
	"2204":  "/fsi/api/outpatientDocInfoService/outpatientFeeListUp",
	"2205":  "/fsi/api/outpatientDocInfoService/outpatientFeeListUpCancel",
	"2206":  "/fsi/api/outpatientSettleService/preSettletment",
	"2207":  "/fsi/api/outpatientSettleService/saveSettletmentV2",
	"2208":  "/fsi/api/outpatientSettleService/cancleSettletment",
	"2601":  "/fsi/api/reverseService/revsMethod",
	"3201":  "/fsi/api/ybSettlementStmtService/stmtTotal",
	"3202":  "/fsi/api/ybSettlementStmtService/stmtDetail",
	"5203":  "/fsi/api/fsiIntegratedQueryService/querySetlInfo",
	"9101":  "/fsi/api/fileupload/upload",
	"9102":  "/fsi/api/fileupload/download",
}

// message is one call to be made.
type message struct {
	infno, msgID string
	coverageArea string
	input        map[string]any // nodes by name
	wait         time.Duration
	hide         []string // texts that must not appear in an error's message: the patient's name
}

// send makes one call and reads its output into out (nil: the transaction has no node). The error's kind says all: ErrNotSent,
// ErrNoAnswer, ErrUnreadable, ErrSystem, ErrRefused.
func (c *Client) send(ctx context.Context, m message, out any) (reply, error) {
	answer, err := c.exchange(ctx, m, maxAnswer)
	if err != nil {
		return reply{}, err
	}
	return c.understand(m, answer, out)
}

// understand reads an answer's envelope and judges it.
func (c *Client) understand(m message, answer []byte, out any) (reply, error) {
	head, err := parse(answer, out)
	if err != nil {
		return reply{}, err
	}
	return head, c.judge(head, m)
}

// exchange makes one call and gives its answer's bytes, at most so many. Errors: ErrNotSent, ErrNoAnswer, ErrUnreadable when there are more.
func (c *Client) exchange(ctx context.Context, m message, most int64) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, ErrNotSent.Because(err)
	}
	body, err := json.Marshal(c.head(m))
	if err != nil {
		return nil, ErrClaim.Because(err)
	}
	ctx, cancel := c.cfg.Clock.WithDeadline(ctx, m.wait)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.address(m.infno), bytes.NewReader(body))
	if err != nil {
		return nil, ErrNotSent.Because(err)
	}
	c.sign(r)
	res, err := c.transport.RoundTrip(r)
	if err != nil {
		return nil, lost(err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	switch {
	case err != nil:
		return nil, ErrNoAnswer.Because(err)
	case res.StatusCode != http.StatusOK:
		return nil, ErrNoAnswer.Because(fmt.Errorf("HTTP status %d", res.StatusCode))
	case int64(len(answer)) > most:
		return nil, ErrUnreadable.Because(errors.New("answer too large"))
	}
	return answer, nil
}

// head puts the request head around the input.
func (c *Client) head(m message) request {
	return request{Infno: m.infno, MsgID: m.msgID, TreatmentArea: c.cfg.MdtrtareaAdmvs, CoverageArea: m.coverageArea, Receiver: c.cfg.RecerSysCode,
		DeviceNo: c.cfg.DeviceNo, Version: c.cfg.Infver, OperatorType: c.cfg.OpterType, Operator: c.cfg.Opter, OperatorName: c.cfg.OpterName,
		Time: inChina(c.cfg.Clock.Now()), Institution: c.cfg.FixmedinsCode, Name: c.cfg.FixmedinsName, SignNo: c.cfg.SignNo, Input: m.input}
}

func inChina(t time.Time) string { return t.In(clock.Shanghai).Format(dateTime) }

func (c *Client) address(infno string) string {
	switch c.cfg.URLStyle {
	case Services:
		return c.cfg.BaseURL + services[infno]
	case Appended:
		return c.cfg.BaseURL + "/" + infno
	default:
		return c.cfg.BaseURL
	}
}

// sign sets the gateway's headers (§1.3): SHA-256 of timestamp, secret, nonce, timestamp. The body is not covered.
func (c *Client) sign(r *http.Request) {
	stamp, nonce := strconv.FormatInt(c.cfg.Clock.Now().Unix(), 10), c.cfg.Source.Nonce(10)
	sum := sha256.Sum256([]byte(stamp + c.cfg.Secret.Reveal() + nonce + stamp))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("x-tif-paasid", c.cfg.PaasID)
	r.Header.Set("x-tif-timestamp", stamp)
	r.Header.Set("x-tif-nonce", nonce)
	r.Header.Set("x-tif-signature", hex.EncodeToString(sum[:]))
}

// lost tells a call that never left from one whose answer is missing. Only a failed dial proves the former.
func lost(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok && op.Op == "dial" {
		return ErrNotSent.Because(err)
	}
	return ErrNoAnswer.Because(err)
}

// parse reads an answer: the head, and the output into out when infcode is 0 and out is wanted.
func parse(answer []byte, out any) (reply, error) {
	fail := func(why string) (reply, error) { return reply{}, ErrUnreadable.Because(errors.New(why)) }
	if !utf8.Valid(answer) {
		return fail("answer is not UTF-8")
	}
	var head reply
	if json.Unmarshal(answer, &head) != nil {
		return fail("answer is not a JSON object")
	}
	code, ok := infcode(head.Infcode)
	if !ok {
		return fail("answer without an infcode")
	}
	if code != 0 || out == nil {
		return head, nil
	}
	output := head.Output
	if len(output) > 0 && output[0] == '"' { // some gateways pack the object into a string
		var packed string
		if json.Unmarshal(output, &packed) != nil {
			return fail("output is not JSON")
		}
		output = json.RawMessage(packed)
	}
	if len(output) == 0 || string(output) == "null" {
		return fail("success without output")
	}
	if err := json.Unmarshal(output, out); err != nil {
		return fail("output is not what the transaction answers") // the decoder's text may quote the patient's data
	}
	return head, nil
}

// infcode reads a number or its text.
func infcode(raw json.RawMessage) (int, bool) {
	n, err := strconv.Atoi(strings.Trim(string(raw), `" `))
	return n, err == nil
}

// judge turns a refusal into ErrSystem or ErrRefused with the platform's words.
func (c *Client) judge(head reply, m message) error {
	if code, _ := infcode(head.Infcode); code == 0 {
		return nil
	}
	text := sensitive.Scrub(string(head.ErrMsg), m.hide...)
	for _, s := range c.cfg.Profile.SystemErrors {
		if strings.Contains(string(head.ErrMsg), s) {
			return ErrSystem.Because(fmt.Errorf("infno %s: %s", m.infno, text))
		}
	}
	refused := ErrRefused.Because(fmt.Errorf("infno %s: %s", m.infno, text))
	if text != "" {
		refused = refused.Saying(text)
	}
	return refused
}
