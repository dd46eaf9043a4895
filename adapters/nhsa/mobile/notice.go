package mobile

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
)

// Source is what job.Notice.Source says of these notices.
const Source = "nhsamobile"

// Admits reports whether a notice may come from that address: a sealed one proves itself, a plain one is taken from the named networks alone.
func (c *Client) Admits(peer netip.Addr) bool {
	if c.cfg.NotifyMode == SealedNotices {
		return true
	}
	for _, network := range c.cfg.NotifyFrom {
		if network.Contains(peer.Unmap()) {
			return true
		}
	}
	return false
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

func (c *Client) openNotice(body []byte) (fields, error) {
	envelope, err := parseObject(body)
	if err != nil {
		return nil, err
	}
	if c.cfg.NotifyMode == SealedNotices {
		data, _, err := c.sealer.open(envelope)
		return data, err
	}
	if inner, ok := envelope["data"].(map[string]any); ok {
		envelope = inner
	}
	return envelope, nil
}

// Acknowledge answers a notice: stored, or why not, without a word of what was in it.
func (c *Client) Acknowledge(w http.ResponseWriter, err error) {
	status, message := http.StatusOK, "成功"
	switch {
	case err == nil:
	case fault.KindOf(err) == fault.Invalid, fault.KindOf(err) == fault.Forbidden:
		status, message = http.StatusUnauthorized, "验签失败"
	default:
		status, message = http.StatusInternalServerError, "未能处理"
	}
	code := 0
	if err != nil {
		code = -1
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "success": err == nil, "message": message})
}

// compact is a refund's time as the centre wants it.
func compact(t time.Time) string { return t.In(clock.Shanghai).Format("20060102150405") }
