package wechatpay

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/payment"
)

const (
	// Source is what job.Notice.Source says of these notices.
	Source = "wechatpay"
	// MaxNotice is the largest notice body that is looked at, in bytes.
	MaxNotice = 256 << 10
)

const (
	noticeSignature = "WECHATPAY2-SHA256-RSA2048"
	noticeCipher    = "AEAD_AES_256_GCM"
)

// envelope is a notice before it is opened. What the SDK's own parser demands, and what older notices of the mixed order lack or write otherwise
// (create_time, summary, original_type, associated_data), is not needed and not looked at.
type envelope struct {
	ID        string `json:"id"`
	EventType string `json:"event_type"`
	Resource  *struct {
		Algorithm      string `json:"algorithm"`
		Ciphertext     string `json:"ciphertext"`
		AssociatedData string `json:"associated_data"`
		Nonce          string `json:"nonce"`
	} `json:"resource"`
}

// noticeContent is what all kinds of notice share; the mixed order's has no mchid. A refund's status is named refund_status there, not status.
type noticeContent struct {
	MchID       string `json:"mchid"`
	AppID       string `json:"appid"`
	OutTradeNo  string `json:"out_trade_no"`
	OutRefundNo string `json:"out_refund_no"`
}

// Open verifies a callback, decrypts it and tells what it is about: ID is the envelope's, Kind the event_type, Number the
// out_trade_no (of a refund notice too), Body the decrypted resource. Every fault in it is payment.ErrNotice. The signature is good
// for five minutes by the machine's clock; a notice that was seen before opens again, so the inbox must know it by its ID.
func (c *Client) Open(header http.Header, body []byte) (payment.Notice, error) {
	e, text, err := c.unseal(header, body)
	if err != nil {
		return payment.Notice{}, payment.ErrNotice.Because(err)
	}
	content, err := c.check(e, text)
	if err != nil {
		return payment.Notice{}, payment.ErrNotice.Because(err)
	}
	return payment.Notice{Source: Source, ID: e.ID, Kind: e.EventType, Number: content.OutTradeNo, Body: text,
		ReceivedAt: c.cfg.Clock.Now()}, nil
}

// unseal verifies the callback over its raw bytes, and only then reads and decrypts it. What the SDK says of a wrong signature quotes the message,
// and is dropped.
func (c *Client) unseal(header http.Header, body []byte) (envelope, []byte, error) {
	var e envelope
	if len(body) > MaxNotice {
		return e, nil, errors.New("too long")
	}
	kind := header.Get("Wechatpay-Signature-Type")
	request := &http.Request{Method: http.MethodPost, Header: header, Body: io.NopCloser(bytes.NewReader(body))}
	switch {
	case strings.HasPrefix(header.Get("Wechatpay-Signature"), probeMark):
		return e, nil, errors.New("signature probe")
	case (kind != "" && kind != noticeSignature) || c.notices.Validate(context.Background(), request) != nil:
		return e, nil, errors.New("signature is wrong")
	case json.Unmarshal(body, &e) != nil || e.Resource == nil || e.Resource.Algorithm != noticeCipher:
		return e, nil, errors.New("form is wrong")
	}
	sealed, err := base64.StdEncoding.DecodeString(e.Resource.Ciphertext)
	if err != nil {
		return e, nil, errors.New("form is wrong")
	}
	for _, opener := range c.openers {
		if len(e.Resource.Nonce) != opener.NonceSize() {
			break
		}
		if text, err := opener.Open(nil, []byte(e.Resource.Nonce), sealed, []byte(e.Resource.AssociatedData)); err == nil {
			return e, text, nil
		}
	}
	return e, nil, errors.New("not sealed by our APIv3 key")
}

// check reads the content as far as every notice of this merchant must have it.
func (c *Client) check(e envelope, text []byte) (noticeContent, error) {
	var content noticeContent
	if json.Unmarshal(text, &content) != nil {
		return content, errors.New("content is not an object")
	}
	product, _, _ := strings.Cut(e.EventType, ".")
	foreign := content.AppID != "" && content.AppID != c.cfg.AppID
	switch {
	case e.ID == "" || e.EventType == "":
		return content, errors.New("without id or event_type")
	case product == "MEDICAL_INSURANCE" && foreign:
		return content, errors.New("for another appid")
	case product == "MEDICAL_INSURANCE" && content.OutTradeNo == "":
		return content, errors.New("without our number")
	case product == "MEDICAL_INSURANCE":
		return content, nil
	case product != "TRANSACTION" && product != "REFUND":
		return content, nil // an event of another product; the callback's owner decides
	case content.MchID != c.cfg.MchID || foreign:
		return content, errors.New("for another merchant or appid")
	case content.OutTradeNo == "" || (product == "REFUND" && content.OutRefundNo == ""):
		return content, errors.New("without our number")
	}
	return content, nil
}

// Acknowledge answers a callback: 204 when it is stored, 401 when it could not be verified or is otherwise invalid, 500 for our own trouble; WeChat Pay
// sends it again after the last two.
func (c *Client) Acknowledge(w http.ResponseWriter, err error) {
	if err == nil {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	status := http.StatusInternalServerError
	if fault.KindOf(err) == fault.Invalid {
		status = http.StatusUnauthorized
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"code":"FAIL","message":"未能处理"}`)
}
