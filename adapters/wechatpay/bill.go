package wechatpay

import (
	"bufio"
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
	"github.com/tuoka/tuoka/internal/recon"
)

// errNoBill is NO_STATEMENT_EXIST: nothing moved that day. It is not signed.
var errNoBill = fault.New(fault.NotFound, "WECHAT_NO_BILL", "当日无微信账单")

// downloadTimeout bounds one file: a bill of a million rows has 350 MB.
const downloadTimeout = 10 * time.Minute

func refusedBill(code, _ string) *fault.Error {
	switch code {
	case "NOSTATEMENTEXIST":
		return errNoBill
	case "STATEMENTCREATING":
		return recon.ErrNotReady
	default:
		return payment.ErrRejected
	}
}

// refusedFile is a refusal of the file itself: the address lives for minutes only, and is asked for anew.
func refusedFile(string, string) *fault.Error { return nil }

// TradeBills is the merchant's trade bill (交易账单, ALL) as a book of reconciliation. Fetch's errors: recon.ErrNotReady, recon.ErrForm, and of package payment
// ErrRejected, ErrNotSent, ErrUnknown.
func (c *Client) TradeBills() recon.Statements { return tradeBills{c} }

// FundBills are the fund-flow bills (资金账单) of the merchant's three accounts, one Statement.Part each. Errors as of TradeBills.
func (c *Client) FundBills() recon.Statements { return fundBills{c} }

type tradeBills struct{ client *Client }

// Fetch brings the day's trade bill.
func (b tradeBills) Fetch(ctx context.Context, day recon.Day, _ recon.Claims, keep recon.Keeper) error {
	s := recon.Statement{Source: recon.WechatTrade, Day: day, Name: "微信交易账单_" + b.client.cfg.MchID + "_" + day.String() + ".csv", Final: true}
	return b.client.fetch(ctx, "trade bill", "/v3/bill/tradebill?bill_type=ALL&tar_type=GZIP&bill_date="+day.String(), s, keep)
}

// Read reads a trade bill of any of its types and layouts.
func (b tradeBills) Read(of recon.Statement, r io.Reader, row func(recon.Line) error) error {
	if of.Nothing {
		return nil
	}
	return readTrades(newSheet(r, of.Day), b.client.cfg.MchID, b.client.cfg.SharedMerchant, row)
}

type fundBills struct{ client *Client }

// fundAccounts are the accounts of a merchant (account_type): 基本账户, 运营账户, 手续费账户.
var fundAccounts = []string{"BASIC", "OPERATION", "FEES"}

// Fetch brings the day's bill of each account.
func (b fundBills) Fetch(ctx context.Context, day recon.Day, _ recon.Claims, keep recon.Keeper) error {
	for _, account := range fundAccounts {
		s := recon.Statement{Source: recon.WechatFund, Day: day, Part: account, Final: true,
			Name: "微信资金账单_" + b.client.cfg.MchID + "_" + account + "_" + day.String() + ".csv"}
		path := "/v3/bill/fundflowbill?account_type=" + account + "&tar_type=GZIP&bill_date=" + day.String()
		if err := b.client.fetch(ctx, "fund-flow bill", path, s, keep); err != nil {
			return err
		}
	}
	return nil
}

// Read reads a fund-flow bill.
func (b fundBills) Read(of recon.Statement, r io.Reader, row func(recon.Line) error) error {
	if of.Nothing {
		return nil
	}
	return readFlows(newSheet(r, of.Day), b.client.cfg.SharedMerchant, row)
}

// offer is the answer of 申请交易账单 and 申请资金账单 (wechat-pay.md §3.1). It is signed.
type offer struct {
	HashType    string `json:"hash_type"`
	HashValue   string `json:"hash_value"` // of the unpacked file
	DownloadURL string `json:"download_url"`
}

// fetch asks for a bill and has it kept.
func (c *Client) fetch(ctx context.Context, name, path string, s recon.Statement, keep recon.Keeper) error {
	var o offer
	err := c.get(ctx, doing{name: name, refused: refusedBill}, path, &o)
	switch {
	case errors.Is(err, errNoBill):
		s.Nothing = true
		return keep(s, func(io.Writer) error { return nil })
	case err != nil:
		return err
	case o.HashType != "SHA1" || len(o.HashValue) != hex.EncodedLen(sha1.Size) || !ofWeChat(o.DownloadURL):
		return unreadable(name, "with a hash or an address that is not WeChat Pay's")
	}
	return keep(s, func(w io.Writer) error { return c.download(ctx, name, o, w) })
}

// ofWeChat reports whether a signed request may be sent there. A configured BaseURL replaces the host afterwards.
func ofWeChat(address string) bool {
	u, err := url.Parse(address)
	return err == nil && u.Scheme == "https" && u.User == nil && (u.Host == "api.mch.weixin.qq.com" || u.Host == "api2.mch.weixin.qq.com")
}

// download writes the file to w, unpacked, and holds it to the hash of the signed offer: that answer is not signed itself.
func (c *Client) download(ctx context.Context, name string, o offer, w io.Writer) error {
	ctx, cancel := c.cfg.Clock.WithDeadline(ctx, downloadTimeout)
	defer cancel()
	ctx, sent := watched(ctx)
	what := doing{name: name, refused: refusedFile}
	result, err := c.files.Get(ctx, o.DownloadURL)
	if err != nil {
		return explain(what, result, err, sent)
	}
	defer func() { _ = result.Response.Body.Close() }()
	if result.Response.StatusCode != http.StatusOK {
		return payment.ErrUnknown.Because(fmt.Errorf("%s: status %d", name, result.Response.StatusCode))
	}
	file, err := unpacked(result.Response.Body)
	if err != nil {
		return broken(name, err)
	}
	sum := sha1.New() //nolint:gosec // see import
	out := &keeper{w: w}
	n, err := io.Copy(io.MultiWriter(out, sum), io.LimitReader(file, maxBill+1))
	switch {
	case out.err != nil:
		return fmt.Errorf("%s: %w", name, out.err)
	case err != nil:
		return broken(name, err)
	case n > maxBill:
		return recon.ErrForm.Because(fmt.Errorf("%s: longer than any bill", name))
	case !strings.EqualFold(hex.EncodeToString(sum.Sum(nil)), o.HashValue):
		return recon.ErrForm.Because(fmt.Errorf("%s: a file of another hash", name))
	}
	return nil
}

// unpacked is the file, whether it came packed, was unpacked on its way, or never was packed.
func unpacked(body io.Reader) (io.Reader, error) {
	in := bufio.NewReaderSize(body, maxLine)
	if magic, _ := in.Peek(2); !bytes.Equal(magic, []byte{0x1f, 0x8b}) { // an error comes again as it is read
		return in, nil
	}
	return gzip.NewReader(in)
}

// broken is a file that ended before its end, which may come whole the next time, or one that is wrongly packed.
func broken(name string, err error) error {
	if errors.Is(err, gzip.ErrHeader) || errors.Is(err, gzip.ErrChecksum) {
		return recon.ErrForm.Because(fmt.Errorf("%s: wrongly packed", name))
	}
	return unreadable(name, "with a file cut, too long or wrongly packed")
}

// keeper tells what its writer could not take from what could not be read.
type keeper struct {
	w   io.Writer
	err error
}

// Write passes on, and remembers the error.
func (k *keeper) Write(p []byte) (int, error) {
	n, err := k.w.Write(p)
	if err != nil {
		k.err = err
	}
	return n, err
}
