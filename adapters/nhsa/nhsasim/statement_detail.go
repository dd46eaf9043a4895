package nhsasim

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/tuoka/tuoka/internal/money"
)

// uploaded is one row of a file that an institution sent.
type uploaded struct {
	setlID, mdtrtID, psnNo string
	total, fund, account   money.Fen
	refund                 bool
}

// statementDetail is 3202: the rows of an uploaded file against our own, and the result as a file to be fetched.
func (s *Sim) statementDetail(c call) (reply, error) {
	in, err := c.node("data", table3202)
	if err != nil {
		return reply{}, err
	}
	q, err := s.readQuestion(c, in)
	if err != nil {
		return reply{}, err
	}
	f := s.files[in["file_qury_no"]]
	switch {
	case f == nil || f.Institution != c.institution || f.Result:
		return reply{}, refuse("文件[%s]不存在或已失效", in["file_qury_no"])
	case c.now.After(f.Until):
		return reply{}, refuse("文件[%s]已过期,请重新上传", in["file_qury_no"])
	}
	rows, err := s.readList(f.Content)
	if err != nil {
		return reply{}, err
	}
	if err := sameSums(in, rows); err != nil {
		return reply{}, err
	}
	if !s.oddities.Statements.AllInsurances { // 3202 does not say which: the rows do
		if q.insutype, err = s.insuranceOf(rows); err != nil {
			return reply{}, err
		}
	}
	made, err := s.makeResult(s.compareRows(rows, s.books(q)))
	if err != nil {
		return reply{}, err
	}
	result, err := s.keepFile(c, fmt.Sprintf("%s_%s_result.zip", c.institution, strings.ReplaceAll(q.from, "-", "")), made, true)
	if err != nil {
		return reply{}, err
	}
	return reply{output: map[string]any{"fileinfo": map[string]any{"file_qury_no": result.No, "filename": result.Name,
		"dld_endtime": inChina(result.Until)}}}, nil
}

// insuranceOf is the insurance of the rows that we know; empty when we know none.
func (s *Sim) insuranceOf(rows []uploaded) (string, error) {
	found := ""
	for _, r := range rows {
		v := s.visits[r.mdtrtID]
		if v == nil {
			continue
		}
		if found != "" && found != v.InsuType {
			return "", refuse("对账文件包含多个险种")
		}
		found = v.InsuType
	}
	return found, nil
}

func sameSums(in values, rows []uploaded) error {
	var total, fund money.Fen
	for _, r := range rows {
		total, fund = total+r.total, fund+r.fund
	}
	switch {
	case in.decimal("fixmedins_setl_cnt").IntPart() != int64(len(rows)):
		return refuse("结算笔数[fixmedins_setl_cnt]与文件行数[%d]不符", len(rows))
	case in.fen("medfee_sumamt") != total:
		return refuse("医疗费总额[medfee_sumamt]与文件合计[%s]不符", total)
	case in.fen("fund_pay_sumamt") != fund:
		return refuse("基金支付总额[fund_pay_sumamt]与文件合计[%s]不符", fund)
	}
	return nil
}

// readList reads the list of §4.4 in the form of this area.
func (s *Sim) readList(content []byte) ([]uploaded, error) {
	text, err := unpack(content)
	if err != nil {
		return nil, err
	}
	o := s.oddities.Statements
	if !utf8.Valid(text) {
		return nil, refuse("对账文件编码应为UTF-8")
	}
	end := "\n"
	if o.CRLF {
		end = "\r\n"
	}
	lines := strings.Split(string(text), end)
	if lines[len(lines)-1] != "" {
		return nil, refuse("对账文件最后一行不完整")
	}
	var rows []uploaded
	for i, line := range lines[:len(lines)-1] {
		r, err := o.readLine(line)
		if err != nil {
			return nil, refuse("对账文件第%d行%s", i+1, err)
		}
		rows = append(rows, r)
	}
	return rows, nil
}

func (o StatementOddities) readLine(line string) (uploaded, error) {
	if o.TrailingTab {
		if !strings.HasSuffix(line, "\t") {
			return uploaded{}, refuse("格式错误")
		}
		line = strings.TrimSuffix(line, "\t")
	}
	cols, want := strings.Split(line, "\t"), 7
	if o.Columns != 0 {
		want = o.Columns
	}
	if len(cols) != want {
		return uploaded{}, refuse("列数[%d]应为%d", len(cols), want)
	}
	r := uploaded{setlID: cols[0], mdtrtID: cols[1], psnNo: cols[2], refund: cols[6] == "1"}
	for i, name := range []string{"setl_id", "mdtrt_id", "psn_no"} {
		if f := must(name, 30); cols[i] == "" || !f.fits(cols[i]) {
			return uploaded{}, refuse("[%s]格式或长度错误", name)
		}
	}
	for i, m := range []struct {
		name string
		to   *money.Fen
	}{{"medfee_sumamt", &r.total}, {"fund_pay_sumamt", &r.fund}, {"acct_pay", &r.account}} {
		f := num(m.name, 16, 2)
		fen, err := money.ParseYuan(cols[3+i])
		if err != nil || !f.fits(cols[3+i]) || (r.refund && fen > 0) || (!r.refund && fen < 0) {
			return uploaded{}, refuse("[%s]格式或正负错误", m.name)
		}
		*m.to = fen
	}
	if cols[6] != "0" && cols[6] != "1" {
		return uploaded{}, refuse("[refd_setl_flag]值域错误")
	}
	return r, nil
}

// compared is one row of a result.
type compared struct {
	uploaded
	msgID, said string
	amounts     bool // told, where the layout has them
}

// compareRows holds an uploaded list against our books: each of their rows, and then what they do not have. A refund is known by the number of its
// settlement or by that of the cancelling record.
func (s *Sim) compareRows(theirs []uploaded, ours []stated) []compared {
	var out []compared
	found := make([]bool, len(ours))
	for _, t := range theirs {
		one := compared{uploaded: t, said: sayOursMore}
		for i, x := range ours {
			if found[i] || x.refund != t.refund || (x.setlID != t.setlID && (!x.refund || x.of != t.setlID)) {
				continue
			}
			found[i], one.said, one.msgID, one.amounts = true, sayBalanced, x.msgID, true
			if t.mdtrtID != x.mdtrtID || t.psnNo != x.psnNo || t.total != x.total || t.fund != x.fund || t.account != x.account {
				one.said = sayDiffers
			}
			one.uploaded = s.rowOf(x, t.setlID)
			break
		}
		if one.said != sayBalanced || !s.oddities.Statements.Differences {
			out = append(out, one)
		}
	}
	for i, x := range ours {
		if !found[i] {
			out = append(out, compared{uploaded: s.rowOf(x, x.setlID), msgID: x.msgID, said: sayCentreMore, amounts: true})
		}
	}
	return out
}

// rowOf is one of ours as a result names it.
func (s *Sim) rowOf(x stated, named string) uploaded {
	if s.oddities.Statements.CancelNumbers {
		named = x.setlID
	}
	return uploaded{setlID: named, mdtrtID: x.mdtrtID, psnNo: x.psnNo, total: x.total, fund: x.fund, account: x.account, refund: x.refund}
}

// makeResult writes the result in the form of this area, missing values as the word null, and packs it.
func (s *Sim) makeResult(rows []compared) ([]byte, error) {
	o := s.oddities.Statements
	var out strings.Builder
	for _, r := range rows {
		cols := []string{r.psnNo, r.mdtrtID, r.setlID, orWord(r.msgID), s.verdict(r.said), flag(r.refund), verdictWords[r.said]}
		if o.FlagFirst {
			cols[4], cols[5] = cols[5], cols[4]
		}
		if o.ResultColumns != 7 {
			sums := []string{"null", "null", "null"}
			if r.amounts {
				sums = []string{r.total.String(), r.fund.String(), r.account.String()}
			}
			cols = append(cols, sums...)
		}
		if o.ResultColumns == 11 {
			cols = append(cols, "null")
		}
		out.WriteString(strings.Join(cols, "\t"))
		if o.CRLF {
			out.WriteString("\r")
		}
		out.WriteString("\n")
	}
	return o.pack([]byte(out.String()))
}

func orWord(s string) string {
	if s == "" {
		return "null"
	}
	return s
}
