package wechatpay

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/wechatpay-apiv3/wechatpay-go/core/notify"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/payment"
)

const (
	// Source is what job.Notice.Source says of these notices.
	Source = "wechatpay"
	// MaxNotice is the largest notice body that is looked at, in bytes.
	MaxNotice = 256 << 10
)

// noticeContent is what both kinds of notice share. A refund's status is named refund_status there, not status.
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
	if len(body) > MaxNotice {
		return payment.Notice{}, payment.ErrNotice.Because(errors.New("too long"))
	}
	for _, handler := range c.notices {
		opened, ok := parse(handler, header, body)
		if !ok {
			continue
		}
		content, err := c.check(opened)
		if err != nil {
			return payment.Notice{}, payment.ErrNotice.Because(err)
		}
		return payment.Notice{Source: Source, ID: opened.ID, Kind: opened.EventType, Number: content.OutTradeNo,
			Body: []byte(opened.Resource.Plaintext), ReceivedAt: c.cfg.Clock.Now()}, nil
	}
	why := "signature, cipher or form is wrong"
	if strings.HasPrefix(header.Get("Wechatpay-Signature"), probeMark) {
		why = "signature probe"
	}
	return payment.Notice{}, payment.ErrNotice.Because(errors.New(why))
}

// parse lets the SDK verify and open. It panics on a signed body without resource, and its error quotes the whole message.
func parse(handler *notify.Handler, header http.Header, body []byte) (opened *notify.Request, ok bool) {
	defer func() {
		if recover() != nil {
			opened, ok = nil, false
		}
	}()
	var content json.RawMessage
	request := &http.Request{Method: http.MethodPost, Header: header, Body: io.NopCloser(bytes.NewReader(body))}
	opened, err := handler.ParseNotifyRequest(context.Background(), request, &content)
	return opened, err == nil && opened != nil && opened.Resource != nil
}

// check reads the content as far as every notice of this merchant must have it.
func (c *Client) check(opened *notify.Request) (noticeContent, error) {
	var content noticeContent
	if json.Unmarshal([]byte(opened.Resource.Plaintext), &content) != nil {
		return content, errors.New("content is not an object")
	}
	refund := strings.HasPrefix(opened.EventType, "REFUND.")
	switch {
	case opened.ID == "" || opened.EventType == "":
		return content, errors.New("without id or event_type")
	case strings.HasPrefix(opened.EventType, "MEDICAL_INSURANCE."):
		if (content.AppID != "" && content.AppID != c.cfg.AppID) || content.OutTradeNo == "" {
			return content, errors.New("for another appid, or without our number")
		}
		return content, nil
	case !refund && !strings.HasPrefix(opened.EventType, "TRANSACTION."):
		return content, nil // an event of another product; the callback's owner decides
	case content.MchID != c.cfg.MchID || (content.AppID != "" && content.AppID != c.cfg.AppID):
		return content, errors.New("for another merchant or appid")
	case content.OutTradeNo == "" || (refund && content.OutRefundNo == ""):
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
