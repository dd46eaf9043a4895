package nhsasim

import (
	"encoding/json"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

// kind is a type of the document's field tables.
type kind uint8

const (
	text   kind = iota // C: characters
	number             // N: a JSON number or its text
	yuan               // an amount as a text with two decimals, not negative: the mobile-payment centre's
	day                // D: yyyy-MM-dd
	moment             // DT: yyyy-MM-dd HH:mm:ss
)

// field is one row of a field table: C30 is {text, 30}, N16,2 is {number, 16, 2}.
type field struct {
	name     string
	kind     kind
	size     int
	scale    int
	required bool
}

// values are the checked texts of one node; an absent optional field is "".
type values map[string]string

// read checks one node by its table. The first violation is the refusal, named as the platform names it.
func read(table []field, node map[string]json.RawMessage) (values, error) {
	out := make(values, len(table))
	for _, f := range table {
		v, err := f.read(node[f.name])
		if err != nil {
			return nil, err
		}
		out[f.name] = v
	}
	return out, nil
}

func (f field) read(raw json.RawMessage) (string, error) {
	v, isText := "", false
	if len(raw) > 0 && string(raw) != "null" {
		if raw[0] == '"' {
			isText = true
			if err := json.Unmarshal(raw, &v); err != nil {
				return "", refuse("[%s]格式错误", f.name)
			}
		} else {
			v = string(raw)
		}
	}
	switch {
	case v == "" && f.required:
		return "", refuse("[%s]不能为空", f.name)
	case v == "":
		return "", nil
	case f.kind != number && !isText:
		return "", refuse("[%s]应为字符型", f.name)
	case !f.fits(v):
		return "", refuse("[%s]格式或长度错误", f.name)
	}
	return v, nil
}

func (f field) fits(v string) bool {
	switch f.kind {
	case yuan:
		fen, err := money.ParseYuan(v)
		return err == nil && fen >= 0 && fen.String() == v
	case day:
		_, err := time.Parse(date, v)
		return err == nil
	case moment:
		_, err := time.Parse(dateTime, v)
		return err == nil
	case number:
		whole, frac, point := strings.Cut(strings.TrimPrefix(v, "-"), ".")
		return whole != "" && strings.Trim(whole+frac, "0123456789") == "" && (!point || frac != "") && len(frac) <= f.scale && len(whole) <= f.size-f.scale
	}
	return len([]rune(v)) <= f.size
}

// fen is a checked N16,2 or yuan.
func (v values) fen(name string) money.Fen {
	f, _ := money.ParseYuan(v[name]) // the table was checked; beyond money.Max reads as 0 and fails every comparison
	return f
}

func (v values) decimal(name string) decimal.Decimal {
	d, _ := decimal.NewFromString(v[name]) // the table was checked
	return d
}

func inChina(t time.Time) string { return inShanghai(t).Format(dateTime) }

func inShanghai(t time.Time) time.Time { return t.In(clock.Shanghai) }

func must(name string, size int) field          { return field{name, text, size, 0, true} }
func may(name string, size int) field           { return field{name, text, size, 0, false} }
func num(name string, size, scale int) field    { return field{name, number, size, scale, true} }
func mayNum(name string, size, scale int) field { return field{name, number, size, scale, false} }
func stamp(name string) field                   { return field{name, moment, 19, 0, true} }

var table1101 = []field{must("mdtrt_cert_type", 3), must("mdtrt_cert_no", 50), may("card_sn", 32), {"begntime", moment, 19, 0, false},
	may("psn_cert_type", 6), may("certno", 50), may("psn_name", 50)}

var table2201 = []field{must("psn_no", 30), must("insutype", 6), stamp("begntime"), must("mdtrt_cert_type", 3), must("mdtrt_cert_no", 50),
	must("ipt_otp_no", 30), must("atddr_no", 30), must("dr_name", 50), must("dept_code", 30), must("dept_name", 100), must("caty", 6), may("expContent", 4000)}

var table2202 = []field{must("psn_no", 30), must("mdtrt_id", 30), must("ipt_otp_no", 30), may("expContent", 4000)}

var table2203 = []field{must("mdtrt_id", 30), must("psn_no", 30), must("med_type", 6), stamp("begntime"), may("main_cond_dscr", 1000), may("dise_codg", 30),
	may("dise_name", 500), may("birctrl_type", 6), {"birctrl_matn_date", day, 10, 0, false}, may("matn_type", 6), mayNum("geso_val", 2, 0), may("expContent", 4000)}

var tableDiagnosis = []field{must("diag_type", 3), num("diag_srt_no", 2, 0), must("diag_code", 20), must("diag_name", 100), must("diag_dept", 50),
	must("dise_dor_no", 30), must("dise_dor_name", 50), stamp("diag_time"), must("vali_flag", 3)}

var table2204 = []field{must("feedetl_sn", 30), must("mdtrt_id", 30), must("psn_no", 30), must("chrg_bchno", 30), may("dise_codg", 30), may("rxno", 30),
	must("rx_circ_flag", 3), stamp("fee_ocur_time"), must("med_list_codg", 50), must("medins_list_codg", 150), num("det_item_fee_sumamt", 16, 2),
	num("cnt", 16, 4), num("pric", 16, 6), may("sin_dos_dscr", 200), may("used_frqu_dscr", 200), mayNum("prd_days", 4, 2), may("medc_way_dscr", 200),
	must("bilg_dept_codg", 30), must("bilg_dept_name", 100), must("bilg_dr_codg", 30), must("bilg_dr_name", 50), may("acord_dept_codg", 30),
	may("acord_dept_name", 100), may("orders_dr_code", 30), may("orders_dr_name", 50), must("hosp_appr_flag", 3), may("tcmdrug_used_way", 6),
	may("etip_flag", 3), may("etip_hosp_code", 30), may("dscg_tkdrug_flag", 3), may("matn_fee_flag", 6), may("expContent", 4000)}

var table2205 = []field{must("mdtrt_id", 30), must("chrg_bchno", 30), must("psn_no", 30), may("expContent", 4000)}

var table2206 = []field{must("psn_no", 30), must("mdtrt_cert_type", 3), must("mdtrt_cert_no", 50), must("med_type", 6), num("medfee_sumamt", 16, 2),
	must("psn_setlway", 6), must("mdtrt_id", 30), must("chrg_bchno", 30), must("acct_used_flag", 1), must("insutype", 6), may("expContent", 4000)}

// table2207 is table2206, the invoice number and the four echoed amounts.
var table2207 = append(append([]field{}, table2206...), may("invono", 20), num("fulamt_ownpay_amt", 16, 2), num("overlmt_selfpay", 16, 2),
	num("preselfpay_amt", 16, 2), num("inscp_scp_amt", 16, 2))

var table2208 = []field{must("setl_id", 30), must("mdtrt_id", 30), must("psn_no", 30), may("expContent", 4000)}

var table2601 = []field{must("psn_no", 30), must("omsgid", 30), must("oinfno", 4)}

var table5203 = []field{must("psn_no", 30), must("setl_id", 30), may("mdtrt_id", 30)}

// table3201 and table3202 are without the member that says whether refunds are counted: its name is local.
var table3201 = []field{must("insutype", 6), must("clr_type", 6), must("setl_optins", 6), {"stmt_begndate", day, 10, 0, true},
	{"stmt_enddate", day, 10, 0, true}, num("medfee_sumamt", 16, 2), num("fund_pay_sumamt", 16, 2), num("acct_pay", 16, 2),
	num("fixmedins_setl_cnt", 10, 0), may("exp_content", 4000)}

var table3202 = []field{must("setl_optins", 6), must("file_qury_no", 30), {"stmt_begndate", day, 10, 0, true}, {"stmt_enddate", day, 10, 0, true},
	num("medfee_sumamt", 16, 2), num("fund_pay_sumamt", 16, 2), num("cash_payamt", 16, 2), num("fixmedins_setl_cnt", 10, 0), must("clr_type", 6),
	may("exp_content", 4000)}

// table9101 is without the file itself.
var table9101 = []field{must("filename", 200), must("fixmedins_code", 30)}

var table9102 = []field{must("file_qury_no", 30), must("filename", 200), must("fixmedins_code", 30)}
