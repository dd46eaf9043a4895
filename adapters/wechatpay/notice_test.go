package wechatpay_test

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/wechatpay"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sensitive"
)

func TestNoticesOfTheSimulator(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.paid(order1)
	header, body := w.notice()
	for range 2 { // a replay opens too; the inbox knows it by its id
		n, err := w.Open(header, body)
		if err != nil {
			t.Fatal(err)
		}
		var content struct {
			OutTradeNo string `json:"out_trade_no"`
			TradeState string `json:"trade_state"`
		}
		if err := json.Unmarshal(n.Body, &content); err != nil {
			t.Fatal(err)
		}
		if n.Source != "wechatpay" || n.ID == "" || n.Kind != "TRANSACTION.SUCCESS" || n.Number != order1 || n.ReceivedAt.IsZero() ||
			content.OutTradeNo != order1 || content.TradeState != "SUCCESS" {
			t.Errorf("notice = %+v %s", n, n.Body)
		}
	}
	w.paid("TK20261123000009")
	w.sim.Probe(1)
	if _, err := w.Open(w.notice()); !errors.Is(err, payment.ErrNotice) || !strings.Contains(err.Error(), "probe") {
		t.Errorf("probe: %v", err)
	}
	if _, err := w.Refund(t.Context(), w.refundBody("RF1")); err != nil {
		t.Fatal(err)
	}
	w.clock.Advance(time.Hour)
	n, err := w.Open(w.notice())
	if err != nil || n.Kind != "REFUND.SUCCESS" || n.Number != order1 || !strings.Contains(string(n.Body), `"refund_status":"SUCCESS"`) {
		t.Errorf("refund notice = %+v %s, %v", n, n.Body, err)
	}
}

// sealed is a notice with that content, as WeChat Pay writes it.
func sealed(key, event, content string) string {
	return fmt.Sprintf(`{"id":"EV-1","create_time":"2026-11-23T10:00:00+08:00","resource_type":"encrypt-resource","event_type":%q,`+
		`"summary":"s","resource":{"original_type":"transaction","algorithm":"AEAD_AES_256_GCM","ciphertext":%q,`+
		`"associated_data":"transaction","nonce":"123456789012"}}`, event, sealedText(key, content, "transaction"))
}

// sealedText is the ciphertext of a notice.
func sealedText(key, content, additional string) string {
	block, err := aes.NewCipher([]byte(key))
	if err != nil {
		panic(err)
	}
	gcm, err := cipher.NewGCM(block)
	if err != nil {
		panic(err)
	}
	return base64.StdEncoding.EncodeToString(gcm.Seal(nil, []byte("123456789012"), []byte(content), []byte(additional)))
}

const (
	otherV3 = "vutsrqponmlkjihgfedcba9876543210"
	content = `{"mchid":"` + testMch + `","appid":"` + testApp + `","out_trade_no":"` + order1 + `","trade_state":"SUCCESS"}`
)

func TestNoticeTable(t *testing.T) {
	t.Parallel()
	right := sealed(testV3, "TRANSACTION.SUCCESS", content)
	now := time.Now()
	without := func(name string) http.Header {
		h := signature(now, []byte(right))
		h.Del(name)
		return h
	}
	with := func(name, value string) http.Header {
		h := signature(now, []byte(right))
		h.Set(name, value)
		return h
	}
	sign := func(body string) http.Header { return signature(now, []byte(body)) }
	event := func(event, content string) string { return sealed(testV3, event, content) }
	edited := func(old, new string) string { return strings.Replace(right, old, new, 1) }
	tests := []struct {
		name   string
		header http.Header
		body   string
		ok     bool
	}{
		{"right", sign(right), right, true},
		{"with a signature type", with("Wechatpay-Signature-Type", "WECHATPAY2-SHA256-RSA2048"), right, true},
		{"under the old APIv3 key", sign(sealed(otherV3, "TRANSACTION.SUCCESS", content)), sealed(otherV3, "TRANSACTION.SUCCESS", content), true},
		// The SDK reads the machine's time: what is within the five minutes, or ahead of them, stays so while a busy machine pauses.
		{"240 seconds old", signature(now.Add(-240*time.Second), []byte(right)), right, true},
		{"301 seconds old", signature(now.Add(-301*time.Second), []byte(right)), right, false},
		{"360 seconds ahead", signature(now.Add(360*time.Second), []byte(right)), right, false},
		{"no headers", http.Header{}, right, false},
		{"no nonce", without("Wechatpay-Nonce"), right, false},
		{"another type", with("Wechatpay-Signature-Type", "WECHATPAY2-SM2"), right, false},
		{"another serial", with("Wechatpay-Serial", "ABC"), right, false},
		{"probe", with("Wechatpay-Signature", "WECHATPAY/SIGNTEST/x"), right, false},
		{"one byte changed", sign(right), edited("EV-1", "EV-2"), false},
		{"no resource", sign(`{"id":"EV-1","event_type":"TRANSACTION.SUCCESS"}`), `{"id":"EV-1","event_type":"TRANSACTION.SUCCESS"}`, false},
		{"null", sign("null"), "null", false},
		{"empty", sign(""), "", false},
		{"wrong algorithm", sign(edited("AEAD_AES_256_GCM", "AEAD_SM4_GCM")), edited("AEAD_AES_256_GCM", "AEAD_SM4_GCM"), false},
		{"short nonce", sign(edited(`"nonce":"123456789012"`, `"nonce":"1"`)), edited(`"nonce":"123456789012"`, `"nonce":"1"`), false},
		{"sealed by another key", sign(sealed(strings.Repeat("k", 32), "TRANSACTION.SUCCESS", content)), sealed(strings.Repeat("k", 32), "TRANSACTION.SUCCESS", content), false},
		{"create_time not RFC 3339", sign(edited("2026-11-23T10:00:00+08:00", "20261123100000")), edited("2026-11-23T10:00:00+08:00", "20261123100000"), true},
		{"ciphertext no Base64", sign(edited(`"ciphertext":"`, `"ciphertext":"!`)), edited(`"ciphertext":"`, `"ciphertext":"!`), false},
		{"no associated_data where it was sealed with one", sign(edited(`"associated_data":"transaction",`, "")), edited(`"associated_data":"transaction",`, ""), false},
		{"no id", sign(edited("EV-1", "")), edited("EV-1", ""), false},
		{"no event", sign(event("", content)), event("", content), false},
		{"oversized", sign(right + strings.Repeat(" ", wechatpay.MaxNotice)), right + strings.Repeat(" ", wechatpay.MaxNotice), false},
		{"content no JSON", sign(event("TRANSACTION.SUCCESS", "x")), event("TRANSACTION.SUCCESS", "x"), false},
		{"content an array", sign(event("TRANSACTION.SUCCESS", "[]")), event("TRANSACTION.SUCCESS", "[]"), false},
		{"content null", sign(event("TRANSACTION.SUCCESS", "null")), event("TRANSACTION.SUCCESS", "null"), false},
		{"another merchant", sign(event("TRANSACTION.SUCCESS", strings.Replace(content, testMch, "1", 1))),
			event("TRANSACTION.SUCCESS", strings.Replace(content, testMch, "1", 1)), false},
		{"another appid", sign(event("TRANSACTION.SUCCESS", strings.Replace(content, testApp, "wx", 1))),
			event("TRANSACTION.SUCCESS", strings.Replace(content, testApp, "wx", 1)), false},
		{"refund without its number", sign(event("REFUND.SUCCESS", content)), event("REFUND.SUCCESS", content), false},
		{"a mixed order of another appid", sign(event("MEDICAL_INSURANCE.SUCCESS", `{"appid":"wx9","out_trade_no":"`+order1+`"}`)),
			event("MEDICAL_INSURANCE.SUCCESS", `{"appid":"wx9","out_trade_no":"`+order1+`"}`), false},
		{"a mixed order without our number", sign(event("MEDICAL_INSURANCE.SUCCESS", `{"appid":"`+testApp+`"}`)),
			event("MEDICAL_INSURANCE.SUCCESS", `{"appid":"`+testApp+`"}`), false},
		{"a mixed order", sign(event("MEDICAL_INSURANCE.SUCCESS", `{"out_trade_no":"`+order1+`"}`)),
			event("MEDICAL_INSURANCE.SUCCESS", `{"out_trade_no":"`+order1+`"}`), true},
	}
	cfg := config(clock.NewFake(start), nil)
	cfg.OldAPIv3Key = sensitive.NewKey(otherV3)
	c, err := wechatpay.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range tests {
		n, err := c.Open(tt.header, []byte(tt.body))
		if (err == nil) != tt.ok || (tt.ok && n.Number != order1) {
			t.Errorf("%s: %+v, %v", tt.name, n, err)
		}
		if err != nil && (fault.KindOf(err) != fault.Invalid || !errors.Is(err, payment.ErrNotice)) {
			t.Errorf("%s: kind of %v", tt.name, err)
		}
		if err != nil && (strings.Contains(err.Error(), "ciphertext") || strings.Contains(err.Error(), "Wechatpay")) {
			t.Errorf("%s: the error quotes the message: %v", tt.name, err)
		}
	}
}

// TestMixedNotice: MEDICAL_INSURANCE.SUCCESS as the pages of today and of yesterday write it, with and without what may be absent.
func TestMixedNotice(t *testing.T) {
	t.Parallel()
	c := mixedClient(t, nil, nil)
	text := entity(nil)
	for name, tt := range map[string]struct{ createTime, additional, rest string }{
		"of today":                {`"create_time":"2026-11-23T10:05:00+08:00",`, "medical", `"associated_data":"medical","original_type":"transaction",`},
		"of yesterday":            {`"create_time":"20261123100500",`, "", `"associated_data":"",`},
		"without create_time":     {"", "", ""},
		"with an odd create_time": {`"create_time":1795399500,`, "", `"original_type":"",`},
	} {
		body := fmt.Sprintf(`{"id":"EV-9",%s"resource_type":"encrypt-resource","event_type":"MEDICAL_INSURANCE.SUCCESS","resource":{%s`+
			`"algorithm":"AEAD_AES_256_GCM","ciphertext":%q,"nonce":"123456789012"}}`, tt.createTime, tt.rest, sealedText(testV3, text, tt.additional))
		for range 2 {
			n, err := c.Open(signature(time.Now(), []byte(body)), []byte(body))
			if err != nil || n.ID != "EV-9" || n.Kind != "MEDICAL_INSURANCE.SUCCESS" || n.Number != order1 || string(n.Body) != text {
				t.Errorf("%s: %+v, %v", name, n, err)
			}
		}
		if _, err := c.Open(signature(time.Now().Add(-time.Hour), []byte(body)), []byte(body)); !errors.Is(err, payment.ErrNotice) {
			t.Errorf("%s, an hour old: %v", name, err)
		}
	}
}

func TestAcknowledge(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for want, err := range map[int]error{204: nil, 401: payment.ErrNotice.Because(errors.New("x")), 500: errors.New("disk full")} {
		rec := httptest.NewRecorder()
		w.Acknowledge(rec, err)
		if rec.Code != want || (err == nil) != (rec.Body.Len() == 0) || strings.Contains(rec.Body.String(), "disk") {
			t.Errorf("Acknowledge(%v) = %d %s, want %d", err, rec.Code, rec.Body, want)
		}
	}
}

// FuzzOpen gives signed envelopes and contents of any form: nothing but a whole notice of ours is let through, and nothing panics.
func FuzzOpen(f *testing.F) {
	f.Add("TRANSACTION.SUCCESS", content, "")
	f.Add("REFUND.SUCCESS", content, `null`)
	f.Add("MEDICAL_INSURANCE.SUCCESS", entity(nil), "")
	f.Add("MEDICAL_INSURANCE.SUCCESS", `{"out_trade_no":""}`, "")
	f.Add("", "", `{"resource":{}}`)
	f.Add("X", "{}", `{"id":1}`)
	c, err := wechatpay.New(config(clock.NewFake(start), nil))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, event, content, envelope string) {
		if envelope == "" {
			envelope = sealed(testV3, event, content)
		}
		n, err := c.Open(signature(time.Now(), []byte(envelope)), []byte(envelope))
		if err == nil && (n.ID == "" || n.Kind == "" || (n.Number == "" && (strings.HasPrefix(n.Kind, "TRANSACTION.") || strings.HasPrefix(n.Kind, "MEDICAL_INSURANCE.")))) {
			t.Errorf("Open(%q) = %+v", envelope, n)
		}
		if _, err := c.Open(http.Header{}, []byte(envelope)); err == nil {
			t.Error("an unsigned notice was let through")
		}
	})
}
