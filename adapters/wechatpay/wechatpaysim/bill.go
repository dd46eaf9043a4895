package wechatpaysim

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha1" //nolint:gosec // the wire's hash, not protection
	"encoding/hex"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

const (
	apiHost      = "https://api.mch.weixin.qq.com"
	downloadLife = 5 * time.Minute
	billReady    = 10 * time.Hour // of the next day; generation starts an hour earlier
	billMade     = 9 * time.Hour
)

// download is a bill that was asked for and waits to be fetched.
type download struct {
	file  []byte
	gzip  bool
	until time.Time
}

type billAnswer struct {
	HashType    string `json:"hash_type"`
	HashValue   string `json:"hash_value"`
	DownloadURL string `json:"download_url"`
}

// billDay reads bill_date and checks that its bill can be there.
func (s *Sim) billDay(q url.Values, now time.Time) (day, made time.Time, no *refusal) {
	day, err := time.ParseInLocation(time.DateOnly, q.Get("bill_date"), clock.Shanghai)
	if err != nil {
		return day, made, paramError("bill_date格式为yyyy-MM-dd")
	}
	if t := q.Get("tar_type"); t != "" && t != "GZIP" {
		return day, made, paramError("tar_type只支持GZIP")
	}
	next := day.AddDate(0, 0, 1)
	made = next.Add(billMade)
	switch {
	case day.After(now):
		return day, made, paramError("bill_date不能晚于当天")
	case day.Before(now.AddDate(0, -3, -1)):
		return day, made, paramError("仅支持三个月内的账单下载申请")
	case s.cfg.BillsAtOnce:
		if now.Before(made) {
			made = now
		}
	case now.Before(next):
		return day, made, paramError("bill_date只能是当天之前")
	case now.Before(next.Add(billReady)):
		return day, made, refuse(http.StatusBadRequest, "STATEMENT_CREATING", "账单生成中，请先检查当前商户号在指定日期内是否有成功的交易")
	}
	return day, made, nil
}

func (s *Sim) tradeBill(r *http.Request, _ []byte) (any, *refusal) {
	q, now := r.URL.Query(), s.cfg.Clock.Now()
	day, made, no := s.billDay(q, now)
	if no != nil {
		return nil, no
	}
	kind := cmp.Or(q.Get("bill_type"), "ALL")
	if kind != "ALL" && kind != "SUCCESS" && kind != "REFUND" {
		return nil, paramError("bill_type有误")
	}
	s.mu.Lock()
	rows, form := s.tradeRows(kind, day, made), s.form
	s.mu.Unlock()
	return s.offer(q, rows, tradeFile(kind, rows, form), now)
}

func (s *Sim) fundFlowBill(r *http.Request, _ []byte) (any, *refusal) {
	q, now := r.URL.Query(), s.cfg.Clock.Now()
	day, made, no := s.billDay(q, now)
	if no != nil {
		return nil, no
	}
	account := cmp.Or(q.Get("account_type"), "BASIC")
	if account != "BASIC" && account != "OPERATION" && account != "FEES" {
		return nil, paramError("account_type有误")
	}
	var rows []row
	s.mu.Lock()
	form := s.form
	if account == "BASIC" { // the other two accounts are not used
		rows = s.flowRows(day, made)
	}
	s.mu.Unlock()
	return s.offer(q, rows, flowFile(rows, form), now)
}

// offer keeps the file for its five minutes and answers where to fetch it.
func (s *Sim) offer(q url.Values, rows []row, file []byte, now time.Time) (any, *refusal) {
	if len(rows) == 0 {
		return nil, refuse(http.StatusBadRequest, "NO_STATEMENT_EXIST", "账单文件不存在，请检查当前商户号在指定日期内是否有成功的交易")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for token, old := range s.downloads {
		if !now.Before(old.until) {
			delete(s.downloads, token)
		}
	}
	token := s.cfg.Source.Nonce(40)
	s.downloads[token] = download{file: file, gzip: q.Get("tar_type") == "GZIP", until: now.Add(downloadLife)}
	sum := sha1.Sum(file) //nolint:gosec // see import
	return billAnswer{"SHA1", hex.EncodeToString(sum[:]), apiHost + "/v3/billdownload/file?token=" + token}, nil
}

// download serves the file. The request is signed, the answer is not.
func (s *Sim) download(w http.ResponseWriter, r *http.Request) {
	if _, no := s.authentic(w, r); no != nil {
		s.writeRefusal(w, no)
		return
	}
	s.mu.Lock()
	found, ok := s.downloads[r.URL.Query().Get("token")]
	s.mu.Unlock()
	if !ok || !s.cfg.Clock.Now().Before(found.until) {
		s.writeRefusal(w, paramError("下载地址已失效，请重新申请账单"))
		return
	}
	file := found.file
	if found.gzip {
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, _ = z.Write(file) // a buffer takes everything
		_ = z.Close()
		file = packed.Bytes()
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Request-ID", s.requestID(noNumber))
	_, _ = w.Write(file)
}

// row is one line of a bill: its values by column name, and what orders it.
type row struct {
	at     time.Time
	order  string
	values map[string]string
	amount money.Fen // signed; fund flow only
}

// billTime is how bills write moments: Beijing time without a zone.
func billTime(t time.Time) string { return t.In(clock.Shanghai).Format(time.DateTime) }

func on(day, t time.Time) bool {
	return !t.IsZero() && clock.Day(t).Equal(clock.Day(day))
}

// tradeRows are the orders paid and the refunds accepted on the day, as they stood when the bill was made.
func (s *Sim) tradeRows(kind string, day, made time.Time) []row {
	var rows []row
	for _, o := range s.books.orders {
		if kind != "REFUND" && on(day, o.PaidAt) && !o.PaidAt.After(made) {
			rows = append(rows, s.payRow(o))
		}
		for _, number := range o.Refunds {
			if r := s.books.refunds[number]; kind != "SUCCESS" && on(day, r.CreatedAt) && !r.CreatedAt.After(made) {
				rows = append(rows, s.refundRow(o, r, kind, made))
			}
		}
	}
	sortRows(rows)
	return rows
}

func sortRows(rows []row) {
	slices.SortFunc(rows, func(a, b row) int { return cmp.Or(a.at.Compare(b.at), cmp.Compare(a.order, b.order)) })
}

// fee5 is an amount with the five decimals of 手续费.
func fee5(f money.Fen) string { return f.String() + "000" }

func (s *Sim) payRow(o *order) row {
	p, total := o.Request, o.Request.Amount.Total.String()
	return row{at: o.PaidAt, order: o.TransactionID, values: map[string]string{
		"交易时间": billTime(o.PaidAt), "公众账号ID": p.AppID, "商户号": p.MchID, "特约商户号": "0", "微信订单号": o.TransactionID,
		"商户订单号": p.OutTradeNo, "用户标识": p.Payer.OpenID, "交易类型": "JSAPI", "交易状态": "SUCCESS", "付款银行": "OTHERS",
		"货币种类": "CNY", "应结订单金额": total, "代金券金额": "0.00", "微信退款单号": "0", "商户退款单号": "0", "退款金额": "0.00",
		"充值券退款金额": "0.00", "商品名称": plainText(p.Description), "商户数据包": plainText(p.Attach), "手续费": fee5(o.Fee), "费率": "0.60%",
		"订单金额": total, "申请退款金额": "0.00"}}
}

func (s *Sim) refundRow(o *order, r *refund, kind string, made time.Time) row {
	one, last, back := s.payRow(o), r.at(made), r.Request.Amount.Refund.String()
	one.at, one.order = r.CreatedAt, r.ID
	for name, value := range map[string]string{"交易状态": "REFUND", "应结订单金额": "0.00", "微信退款单号": r.ID,
		"商户退款单号": r.Request.OutRefundNo, "退款金额": back, "退款类型": "ORIGINAL", "退款状态": last.Status,
		"手续费": fee5(-r.FeeBack), "订单金额": "0.00", "申请退款金额": back, "退款申请时间": billTime(r.CreatedAt)} {
		one.values[name] = value
	}
	if kind == "ALL" {
		one.values["交易时间"] = billTime(r.CreatedAt)
	}
	if last.Status == refundSuccess {
		one.values["退款成功时间"] = billTime(last.At)
	}
	return one
}
