package miniprogramapi

import (
	_ "embed"
	"fmt"
	"time"

	"github.com/signintech/gopdf"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

// fontData is Noto Sans SC Regular (SIL Open Font License, font/OFL.txt). A receipt carries only the glyphs it uses.
//
//go:embed font/NotoSansSC-Regular.ttf
var fontData []byte

const fontFamily = "noto"

// Measures of an A4 page, in points.
const (
	left, right = 56.0, 539.0
	top, bottom = 56.0, 770.0
	labelWidth  = 110.0
	body        = 10.0
	lineHeight  = 16.0
)

// unprintable stands for a character that the font has no glyph of; a missing one would vanish without an error.
const unprintable = '〓'

// printReceipt draws the receipt on A4. Every amount is written in yuan with two decimals behind ¥; times are China's.
func printReceipt(fonts *gopdf.FontContainer, r Receipt) ([]byte, error) {
	p := newPage(fonts, r.IssuedAt)
	p.heading(r)
	p.identity(r)
	p.billTable(r)
	p.splitTable(r)
	p.proofs(r)
	p.guidance(r)
	p.footer(r)
	if p.err != nil {
		return nil, p.err
	}
	return p.pdf.GetBytesPdfReturnErr()
}

// page draws downwards, and remembers the first error.
type page struct {
	pdf *gopdf.GoPdf
	y   float64
	err error
}

func newPage(fonts *gopdf.FontContainer, at time.Time) *page {
	p := &page{pdf: &gopdf.GoPdf{}}
	p.pdf.Start(gopdf.Config{PageSize: *gopdf.PageSizeA4})
	p.pdf.SetInfo(gopdf.PdfInfo{Title: string(ReceiptTitleNotAnInvoice), Producer: "Tuoka", CreationDate: at})
	p.do(func() error { return p.pdf.AddTTFFontFromFontContainer(fontFamily, fonts) })
	p.next()
	return p
}

func (p *page) do(draw func() error) {
	if p.err == nil {
		p.err = draw()
	}
}

// next begins a page.
func (p *page) next() {
	if p.err == nil {
		p.pdf.AddPage()
	}
	p.y = top
}

// room begins a page when less than height is left.
func (p *page) room(height float64) {
	if p.y+height > bottom {
		p.next()
	}
}

// at writes one line of text; align is gopdf.Left, Right or Center within width from x.
func (p *page) at(x, width, size float64, align int, text string) {
	p.do(func() error {
		if err := p.pdf.SetFont(fontFamily, "", size); err != nil {
			return err
		}
		text, err := p.legible(text)
		if err != nil {
			return err
		}
		p.pdf.SetXY(x, p.y)
		return p.pdf.CellWithOption(&gopdf.Rect{W: width, H: size * 1.5}, text, gopdf.CellOption{Align: align | gopdf.Middle})
	})
}

// wrap writes text in as many lines as the width needs, and moves down below them.
func (p *page) wrap(x, width, size float64, text string) {
	lines := []string{""}
	p.do(func() error {
		if err := p.pdf.SetFont(fontFamily, "", size); err != nil {
			return err
		}
		text, err := p.legible(text)
		if err != nil || text == "" {
			return err
		}
		lines, err = p.pdf.SplitText(text, width)
		return err
	})
	for _, line := range lines {
		p.room(lineHeight)
		p.at(x, width, size, gopdf.Left, line)
		p.y += lineHeight
	}
}

// legible replaces what the font cannot show.
func (p *page) legible(text string) (string, error) {
	out := []rune(text)
	for i, r := range out {
		if r < ' ' {
			out[i] = ' '
			continue
		}
		known, err := p.pdf.IsCurrFontContainGlyph(r)
		if err != nil {
			return "", fmt.Errorf("look for a glyph: %w", err)
		}
		if !known {
			out[i] = unprintable
		}
	}
	return string(out), nil
}

func (p *page) rule(weight float64) {
	if p.err == nil {
		p.pdf.SetLineWidth(weight)
		p.pdf.Line(left, p.y, right, p.y)
	}
}

// field writes a label and its value, wrapped beside it.
func (p *page) field(label, value string) {
	if value == "" {
		value = "—"
	}
	p.room(lineHeight)
	p.at(left, labelWidth, body, gopdf.Left, label)
	p.wrap(left+labelWidth, right-left-labelWidth, body, value)
}

// amount writes a label on the left and yuan on the right.
func (p *page) amount(label string, f money.Fen, size float64) {
	p.room(size * 1.8)
	p.at(left, 300, size, gopdf.Left, label)
	p.at(right-150, 150, size, gopdf.Right, yuan(f))
	p.y += size * 1.8
}

func (p *page) title(text string) {
	p.room(3 * lineHeight)
	p.y += 8
	p.at(left, right-left, 12, gopdf.Left, text)
	p.y += 20
	p.rule(0.5)
	p.y += 4
}

func (p *page) heading(r Receipt) {
	p.at(left, right-left, 14, gopdf.Center, r.Hospital)
	p.y += 26
	p.at(left, right-left, 20, gopdf.Center, string(r.Title))
	p.y += 38
	p.rule(1)
	p.y += 8
}

func (p *page) identity(r Receipt) {
	p.field("订单号", r.OrderId)
	p.field("就诊人", r.PatientName)
	if len(r.Bills) > 0 {
		p.field("费用类型", r.Bills[0].KindText)
	}
	p.field("医院收据号", r.ReceiptNo)
	p.field("医院缴费流水号", r.PostingNo)
	p.field("入账时间", chinaTime(r.PostedAt))
}

func (p *page) billTable(r Receipt) {
	p.title("费用单")
	columns := []struct{ x, width float64 }{{left, 160}, {left + 165, 120}, {left + 290, 105}, {left + 395, right - left - 395}}
	row := func(size float64, cells ...string) {
		p.room(lineHeight)
		for i, text := range cells {
			align := gopdf.Left
			if i == len(cells)-1 {
				align = gopdf.Right
			}
			p.at(columns[i].x, columns[i].width, size, align, text)
		}
		p.y += lineHeight
	}
	row(9, "费用单号", "科室", "开单时间", "金额")
	for _, b := range r.Bills {
		p.cut(columns[0].width, b.BillNo, func(no string, rest bool) {
			if rest {
				row(9, no, "", "", "")
				return
			}
			row(9, no, p.fit(columns[1].width, b.Department), chinaTime(b.CreatedAt), yuan(b.TotalFen))
		})
	}
	p.rule(0.3)
	p.y += 4
	p.amount("合计", r.TotalFen, 12)
}

// cut gives a long number line by line.
func (p *page) cut(width float64, text string, line func(part string, rest bool)) {
	parts := []string{text}
	p.do(func() error {
		if err := p.pdf.SetFont(fontFamily, "", 9); err != nil {
			return err
		}
		text, err := p.legible(text)
		if err != nil || text == "" {
			return err
		}
		parts, err = p.pdf.SplitText(text, width)
		return err
	})
	for i, part := range parts {
		line(part, i > 0)
	}
}

// fit shortens a name to the width.
func (p *page) fit(width float64, text string) string {
	short := text
	p.cut(width-9, text, func(part string, rest bool) {
		if !rest {
			short = part
		}
	})
	if short != text {
		return short + "…"
	}
	return text
}

func (p *page) splitTable(r Receipt) {
	p.title("费用分担")
	s := r.Split
	for _, part := range []struct {
		label string
		fen   money.Fen
	}{
		{"统筹基金支付", s.PooledFundFen}, {"其他基金支付", s.OtherFundFen}, {"个人账户支付", s.AccountFen}, {"个人账户共济支付", s.FamilyAccountFen},
		{"医院负担", s.HospitalBorneFen}, {"个人现金支付（医保结算后）", s.CashFen}, {"自费项目（未进医保）", s.UninsuredFen},
	} {
		p.amount(part.label, part.fen, body)
	}
	p.rule(0.3)
	p.y += 4
	p.amount("微信支付金额", r.ChargeFen, 12)
}

// proofs are the numbers by which the counterparts know the payment.
func (p *page) proofs(r Receipt) {
	if len(r.Payments)+len(r.Settlements)+len(r.Mixed) > 0 {
		p.title("支付与结算")
	}
	for _, w := range r.Payments {
		p.field("微信商户单号", w.OutTradeNo)
		p.field("微信支付单号", w.TransactionId)
		p.field("微信支付时间", chinaTime(w.PaidAt))
		p.field("微信支付", yuan(w.AmountFen))
		if w.RefundedFen > 0 {
			p.field("已退款", yuan(w.RefundedFen))
		}
	}
	for _, m := range r.Mixed {
		p.field("微信医保订单号", m.MixTradeNo)
		p.field("微信医保商户单号", m.OutTradeNo)
		p.field("医保支付时间", chinaTime(m.PaidAt))
	}
	for _, st := range r.Settlements {
		p.field("医保结算ID", st.SetlId)
		p.field("门诊号", st.VisitNo)
		p.field("医保结算时间", chinaTime(st.SettledAt))
	}
}

func (p *page) guidance(r Receipt) {
	if len(r.Guide) == 0 {
		return
	}
	p.title("导诊")
	for _, line := range r.Guide {
		p.wrap(left, right-left, body, line)
	}
}

func (p *page) footer(r Receipt) {
	p.room(3 * lineHeight)
	p.y += 10
	p.rule(0.5)
	p.y += 6
	p.wrap(left, right-left, 8, "本凭证由"+r.Hospital+"小程序于 "+chinaTime(r.IssuedAt)+" 生成，供核对使用，不是发票，不作报销依据。医疗收费电子票据以医院开具的为准。")
}

// chinaTime is a moment as the receipt writes it; a dash for none.
func chinaTime(t time.Time) string {
	if t.IsZero() {
		return "—"
	}
	return t.In(clock.Shanghai).Format("2006-01-02 15:04:05")
}
