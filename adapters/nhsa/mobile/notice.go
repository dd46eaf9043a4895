package mobile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
)

// Source is what job.Notice.Source says of these notices.
const Source = "nhsamobile"

// Admits reports whether a notice may come from that address: a sealed one proves itself, a plain one is taken from the named networks alone.
// Where networks are named, sealed notices come from them, too.
func (c *Client) Admits(peer netip.Addr) bool {
	if c.cfg.NotifyMode == SealedNotices && len(c.cfg.NotifyFrom) == 0 {
		return true
	}
	peer = peer.Unmap().WithZone("")
	return slices.ContainsFunc(c.cfg.NotifyFrom, func(n netip.Prefix) bool { return n.Contains(peer) })
}

// Open reads a 6302 (结算结果通知). It is a hint: whatever it says, 6301 is asked. Number is the centre's payOrdId; the same content again has the
// same ID. Every fault in it is ErrNotice.
func (c *Client) Open(_ http.Header, body []byte) (job.Notice, error) {
	data, err := c.openNotice(body)
	if err != nil {
		return job.Notice{}, ErrNotice.Because(err)
	}
	id, err := data.text("payOrdId")
	if err != nil || id == "" || len(id) > 64 {
		return job.Notice{}, ErrNotice.Because(errors.New("without payOrdId"))
	}
	content := jsonOf(data)
	sum := sha256.Sum256(content)
	return job.Notice{Source: Source, ID: hex.EncodeToString(sum[:]), Kind: "6302", Number: id, Body: content, ReceivedAt: c.cfg.Clock.Now()}, nil
}

// openNotice gives the content of a notice. What is sealed is verified, however notices are to come; what is plain is read only where that is
// configured.
func (c *Client) openNotice(body []byte) (fields, error) {
	if !utf8.Valid(body) {
		return nil, errors.New("not UTF-8")
	}
	if envelope, err := unwrap(body, true); err == nil && c.cfg.sealed() {
		data, _, err := c.sealer.open(envelope)
		return data, err
	}
	if c.cfg.NotifyMode == SealedNotices {
		return nil, errors.New("not sealed")
	}
	content, err := unwrap(body, false, "payOrdId", "pay_ord_id")
	if err != nil {
		return nil, err
	}
	return content, nil
}

// Acknowledge answers a notice: stored, or why not, without a word of what was in it.
func (c *Client) Acknowledge(w http.ResponseWriter, err error) {
	status, message, code := http.StatusOK, "成功", 0
	switch {
	case err == nil:
	case fault.KindOf(err) == fault.Invalid, fault.KindOf(err) == fault.Forbidden:
		status, message, code = http.StatusUnauthorized, "验签失败", -1
	default:
		status, message, code = http.StatusInternalServerError, "未能处理", -1
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	switch c.cfg.NotifyAck {
	case AckSuccess:
		_ = json.NewEncoder(w).Encode(map[string]any{"success": err == nil, "message": message})
	case AckCode:
		_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "message": message})
	}
}
