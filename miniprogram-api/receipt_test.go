package miniprogramapi

import (
	"bytes"
	"compress/zlib"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// completedOrder is paid, settled and booked; every part has an amount of its own.
func completedOrder(f *face, person string) *order.Order {
	o := quotedOrder(f, person)
	o.Split = split.Split{PooledFund: 101, OtherFund: 202, Account: 303, FamilyAccount: 404, HospitalBorne: 505, Cash: 402, Uninsured: 1200}
	pays(o, f.clock.Now().Add(30*time.Minute))
	p := o.Payment()
	p.State, p.TransactionID, p.PaidAt = payment.Paid, "4200001234202611230000000001", time.Date(2026, 11, 23, 2, 5, 6, 0, time.UTC)
	st := o.Settlement()
	st.State, st.SetlID, st.SettledAt = settlement.Settled, "360100SETL0001", time.Date(2026, 11, 23, 2, 6, 7, 0, time.UTC)
	o.State = order.Completed
	o.Posted = order.Posted{PostingNo: "HISPAY0001", ReceiptNo: "SJ20261123001", Guide: []string{"请到门诊一楼西药房 3 号窗口取药", "心电图：门诊二楼 206 室"},
		PostedAt: time.Date(2026, 11, 23, 2, 7, 8, 0, time.UTC)}
	return o
}

func TestReceipt(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	f.want(f.quote(id, "quote-0001"), 201, "")
	f.want(f.do("GET", "/orders/"+orderNo+"/receipt", ""), 409, "ORDER_STATE")
	f.want(f.do("GET", "/orders/"+orderNo+"/receipt.pdf", ""), 409, "ORDER_STATE")
	*f.orders.list[251334985728512] = *completedOrder(f, id)

	body := f.want(f.do("GET", "/orders/"+orderNo+"/receipt", ""), 200, "")
	if body["title"] != "缴费凭证 · 非发票" || body["hospital"] != "示范市人民医院" || body["patient_name"] != "张**" || body["receipt_no"] != "SJ20261123001" || body["charge_fen"] != 1602.0 {
		t.Errorf("receipt = %v", body)
	}
	w := f.do("GET", "/orders/"+orderNo+"/receipt.pdf", "")
	f.want(w, 200, "")
	if w.Header().Get("Content-Type") != "application/pdf" || !bytes.HasPrefix(w.Body.Bytes(), []byte("%PDF-")) || w.Body.Len() > 200_000 {
		t.Fatalf("%s of %d bytes", w.Header().Get("Content-Type"), w.Body.Len())
	}
	if again := f.do("GET", "/orders/"+orderNo+"/receipt.pdf", ""); !bytes.Equal(again.Body.Bytes(), w.Body.Bytes()) {
		t.Error("the same receipt at the same moment has other bytes")
	}
	if dir := os.Getenv("RECEIPT_DIR"); dir != "" { // to look at it
		if err := os.WriteFile(filepath.Join(dir, "receipt.pdf"), w.Body.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"示范市人民医院", "缴费凭证 · 非发票", orderNo, "张**", "SJ20261123001", "HISPAY0001", "2026-11-23 10:07:08", "MZ1", "心血管内科", "¥31.17",
		"统筹基金支付", "¥1.01", "其他基金支付", "¥2.02", "个人账户支付", "¥3.03", "个人账户共济支付", "¥4.04", "医院负担", "¥5.05", "个人现金支付", "¥4.02",
		"自费项目", "¥12.00", "微信支付金额", "¥16.02", "T9", "4200001234202611230000000001", "2026-11-23 10:05:06", "360100SETL0001", "2026-11-23 10:06:07",
		"请到门诊一楼西药房 3 号窗口取药", "心电图：门诊二楼 206 室", "不是发票"}
	text := extracted(t, w.Body.Bytes())
	for _, s := range want {
		if !strings.Contains(text, s) {
			t.Errorf("the receipt does not show %q:\n%s", s, text)
		}
	}
	if strings.Contains(text, "已退款") {
		t.Error("shows a refund that never was")
	}
	t.Run("by poppler", func(t *testing.T) {
		tool, err := exec.LookPath("pdftotext")
		if err != nil {
			t.Skip("pdftotext is not installed")
		}
		cmd := exec.CommandContext(t.Context(), tool, "-layout", "-", "-")
		cmd.Stdin = bytes.NewReader(w.Body.Bytes())
		out, err := cmd.Output()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range want {
			if !strings.Contains(string(out), s) {
				t.Errorf("poppler does not read %q:\n%s", s, out)
			}
		}
	})
	f.want(f.do("DELETE", "/patients/"+id, ""), 204, "")
	if body := f.want(f.do("GET", "/orders/"+orderNo+"/receipt", ""), 200, ""); body["patient_name"] != "*" {
		t.Errorf("the name of a removed patient is %v", body["patient_name"])
	}
	f.store.broken["Patient"] = errDatabase
	f.want(f.do("GET", "/orders/"+orderNo+"/receipt", ""), 500, "INTERNAL")
}

func TestReceiptAfterARefund(t *testing.T) {
	t.Parallel()
	f, id := ordering(t)
	o := completedOrder(f, id)
	f.orders.list[o.ID] = o
	p := o.Payment()
	p.State, p.RefundReserved, p.Back.ReturnedAt = payment.Refunding, 1602, f.clock.Now()
	body := f.want(f.do("GET", "/orders/"+orderNo+"/receipt", ""), 200, "")
	if first, _ := body["payments"].([]any)[0].(map[string]any); first["refunded_fen"] != 0.0 {
		t.Error("a refund on its way is shown as done")
	}
	p.State = payment.Returned
	text := extracted(t, f.do("GET", "/orders/"+orderNo+"/receipt.pdf", "").Body.Bytes())
	if !strings.Contains(text, "已退款¥16.02") && !strings.Contains(text, "已退款\n¥16.02") {
		t.Errorf("the refund is not shown:\n%s", text)
	}
}

// TestEveryAmountIsPrinted prints amounts of every digit, long numbers, rare characters and more bills than a page holds.
func TestEveryAmountIsPrinted(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	r := Receipt{Title: ReceiptTitleNotAnInvoice, Hospital: "示范市人民医院", OrderId: "1234567890", PatientName: "𠮷**", IssuedAt: f.clock.Now(),
		Guide: []string{strings.Repeat("请到门诊一楼取药。", 30), "tab\there", ""}}
	amounts := []money.Fen{0, 1, 9, 10, 99, 100, 12345, 67890, 9876543210, money.Max}
	for i := range 60 {
		fen := amounts[i%len(amounts)] + money.Fen(i)
		r.Bills = append(r.Bills, OrderBill{BillNo: fmt.Sprintf("MZ-%060d", i), Department: strings.Repeat("疑难病诊治中心", 3), TotalFen: fen, CreatedAt: f.clock.Now()})
	}
	r.Bills[0].BillNo, r.Bills[0].Department = "", ""
	pdf, err := printReceipt(f.server.fonts, r)
	if err != nil {
		t.Fatal(err)
	}
	if pages := bytes.Count(pdf, []byte("/Type /Page\n")); pages < 3 {
		t.Errorf("%d pages, want at least 3", pages)
	}
	if dir := os.Getenv("RECEIPT_DIR"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "long.pdf"), pdf, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	text := extracted(t, pdf)
	for _, b := range r.Bills {
		if !strings.Contains(text, "¥"+b.TotalFen.String()+"\n") {
			t.Errorf("¥%s is not printed", b.TotalFen)
		}
	}
	joined := strings.ReplaceAll(text, "\n", "")
	if strings.Count(joined, "请到门诊一楼取药。") < 28 { // lines may break inside one
		t.Error("the guide is cut")
	}
	if !strings.Contains(text, "tab here") {
		t.Error("a control character was not replaced")
	}
}

func TestFontHasWhatMoneyNeeds(t *testing.T) {
	t.Parallel()
	f := newFace(t)
	p := newPage(f.server.fonts, time.Time{})
	p.do(func() error { return p.pdf.SetFont(fontFamily, "", 10) })
	for _, r := range "0123456789.¥-:*·—〓…，。（）" {
		got, err := p.legible(string(r))
		if err != nil || p.err != nil || got != string(r) {
			t.Errorf("the font has no %q: %q, %v, %v", r, got, err, p.err)
		}
	}
	if got, err := p.legible("\U0001F600"); err != nil || got != string(unprintable) {
		t.Errorf("an emoji is %q, %v", got, err)
	}
	p.err = errDatabase
	p.next()
	p.field("a", "b")
	p.rule(1)
	if p.err != errDatabase { //nolint:errorlint // the very error
		t.Error("the first error is lost")
	}
}

var (
	streams = regexp.MustCompile(`(?s)stream\r?\n(.*?)endstream`)
	ranges  = regexp.MustCompile(`<([0-9A-F]{4})><[0-9A-F]{4}><([0-9A-F]+)>`)
	shown   = regexp.MustCompile(`\[((?:<[0-9A-F]*>|-?\d+)+)\] TJ`)
	glyphs  = regexp.MustCompile(`<([0-9A-F]*)>`)
)

// extracted reads a receipt's text back as a reader does: glyphs from the content, characters from the font's ToUnicode map; a line
// for each piece of text.
func extracted(t *testing.T, pdf []byte) string {
	t.Helper()
	characters := map[string]string{}
	var content strings.Builder
	for _, m := range streams.FindAllSubmatch(pdf, -1) {
		plain := m[1]
		if z, err := zlib.NewReader(bytes.NewReader(plain)); err == nil {
			if inflated, err := io.ReadAll(z); err == nil {
				plain = inflated
			}
		}
		for _, r := range ranges.FindAllSubmatch(plain, -1) {
			var code rune
			if _, err := fmt.Sscanf(string(r[2]), "%X", &code); err != nil {
				t.Fatal(err)
			}
			characters[string(r[1])] = string(code)
		}
		if bytes.Contains(plain, []byte(" TJ")) {
			content.Write(plain)
		}
	}
	var text strings.Builder
	for _, m := range shown.FindAllStringSubmatch(content.String(), -1) {
		for _, g := range glyphs.FindAllStringSubmatch(m[1], -1) {
			raw, err := hex.DecodeString(g[1])
			if err != nil || len(raw)%2 != 0 {
				t.Fatalf("glyphs %q", g[1])
			}
			for i := 0; i < len(g[1]); i += 4 {
				text.WriteString(characters[g[1][i:i+4]])
			}
		}
		text.WriteString("\n")
	}
	return text.String()
}
