package wechatpay

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha1" //nolint:gosec // the wire's hash; what it hashes is named by a signed answer
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/payment"
)

var (
	// ErrNoBill is NO_STATEMENT_EXIST: nothing moved that day. It is not signed.
	ErrNoBill = fault.New(fault.NotFound, "WECHAT_NO_BILL", "当日无微信账单")
	// ErrBillNotReady is STATEMENT_CREATING: ask again in half an hour, after ten in the morning.
	ErrBillNotReady = fault.New(fault.Pending, "WECHAT_BILL_NOT_READY", "微信账单生成中")
)

const downloadTimeout = 2 * time.Minute

func refusedBill(code, _ string) *fault.Error {
	switch code {
	case "NOSTATEMENTEXIST":
		return ErrNoBill
	case "STATEMENTCREATING":
		return ErrBillNotReady
	default:
		return payment.ErrRejected
	}
}

// TradeBill fetches the trade bill (交易账单, ALL) of a business day (midnight UTC, as clock.Day gives): the uncompressed file, whose
// hash agreed with the signed answer. Errors: ErrNoBill, ErrBillNotReady, and of package payment ErrRejected, ErrNotSent, ErrUnknown.
func (c *Client) TradeBill(ctx context.Context, day time.Time) ([]byte, error) {
	return c.bill(ctx, "trade bill", "/v3/bill/tradebill?bill_type=ALL&tar_type=GZIP&bill_date="+day.Format(time.DateOnly))
}

// FundFlowBill fetches the fund-flow bill (资金账单) of the basic account; all else is as with TradeBill.
func (c *Client) FundFlowBill(ctx context.Context, day time.Time) ([]byte, error) {
	return c.bill(ctx, "fund-flow bill", "/v3/bill/fundflowbill?account_type=BASIC&tar_type=GZIP&bill_date="+day.Format(time.DateOnly))
}

func (c *Client) bill(ctx context.Context, name, path string) ([]byte, error) {
	var offer struct {
		HashType    string `json:"hash_type"`
		HashValue   string `json:"hash_value"`
		DownloadURL string `json:"download_url"`
	}
	what := doing{name: name, refused: refusedBill}
	if err := c.get(ctx, what, path, &offer); err != nil {
		return nil, err
	}
	if offer.HashType != "SHA1" || !ofWeChat(offer.DownloadURL) {
		return nil, unreadable(name, "with a hash or an address that is not WeChat Pay's")
	}
	file, err := c.download(ctx, what, offer.DownloadURL)
	if err != nil {
		return nil, err
	}
	if sum := sha1.Sum(file); !strings.EqualFold(hex.EncodeToString(sum[:]), offer.HashValue) { //nolint:gosec // see import
		return nil, unreadable(name, "with a file of another hash")
	}
	return file, nil
}

// ofWeChat reports whether a signed request may be sent there. A configured BaseURL replaces the host afterwards.
func ofWeChat(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.User == nil && (u.Host == "api.mch.weixin.qq.com" || u.Host == "api2.mch.weixin.qq.com")
}

// download fetches the file, packed or not. That answer is not signed; the caller compares its hash.
func (c *Client) download(ctx context.Context, what doing, address string) ([]byte, error) {
	ctx, cancel := c.cfg.Clock.WithDeadline(ctx, downloadTimeout)
	defer cancel()
	ctx, sent := watched(ctx)
	result, err := c.files.Get(ctx, address)
	if err != nil {
		return nil, explain(what, result, err, sent)
	}
	defer func() { _ = result.Response.Body.Close() }()
	if result.Response.StatusCode != http.StatusOK {
		return nil, payment.ErrUnknown.Because(fmt.Errorf("%s: status %d", what.name, result.Response.StatusCode))
	}
	file, err := io.ReadAll(result.Response.Body)
	if err == nil && bytes.HasPrefix(file, []byte{0x1f, 0x8b}) {
		file, err = unpack(file)
	}
	if err != nil {
		return nil, unreadable(what.name, "with a file cut, too long or wrongly packed")
	}
	return file, nil
}

func unpack(packed []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	file, err := io.ReadAll(io.LimitReader(z, maxBill+1))
	if err == nil && len(file) > maxBill {
		err = errors.New("too long")
	}
	return file, err
}
