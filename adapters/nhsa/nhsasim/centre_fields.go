package nhsasim

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// The field tables of the mobile-payment centre (nhsa-mobile-pay.md §4). Every leaf is a text. Where no length is sourced, that of the core
// platform's twin stands (§4.8).

func fee(name string) field    { return field{name, yuan, 17, 2, true} }
func mayFee(name string) field { return field{name, yuan, 17, 2, false} }

var table6201 = []field{must("orgCodg", 30), may("orgId", 100), must("psnNo", 30), must("insutype", 6), must("medOrgOrd", 20), may("initRxOrd", 50),
	may("rxCircFlag", 3), stamp("begntime"), must("idNo", 50), must("userName", 50), must("idType", 3), may("ecToken", 200), may("payAuthNo", 40),
	must("mdtrtCertType", 3), must("insuCode", 6), must("insuplcAdmdvs", 6), must("iptOtpNo", 30), may("atddrNo", 30), may("drName", 50),
	must("deptCode", 30), must("deptName", 100), must("caty", 6), may("mdtrtId", 30), must("medType", 6), must("feeType", 3), fee("medfeeSumamt"),
	may("acctUsedFlag", 1), may("mainCondDscr", 1000), may("diseCodg", 30), may("diseName", 500), must("psnSetlway", 6), must("chrgBchno", 30),
	must("pubHospRfomFlag", 3), {"endtime", moment, 19, 0, false}, may("invono", 20), mayFee("fulamtOwnpayAmt"), mayFee("overlmtSelfpay"),
	mayFee("preselfpayAmt"), mayFee("inscpScpAmt"), must("uldLatlnt", 40)}

var table6201Diagnosis = []field{must("diagType", 3), num("diagSrtNo", 2, 0), must("diagCode", 20), must("diagName", 100), must("diagDept", 50),
	must("diseDorNo", 30), must("diseDorName", 50), stamp("diagTime"), must("valiFlag", 3)}

var table6201Line = []field{must("feedetlSn", 30), must("psnNo", 30), must("chrgBchno", 30), may("mdtrtId", 30), may("diseCodg", 30), must("rxno", 30),
	may("rxCircFlag", 3), stamp("feeOcurTime"), must("medListCodg", 50), must("medinsListCodg", 150), may("medListName", 200), may("medListSpc", 200),
	may("itemtype", 6), fee("detItemFeeSumamt"), num("cnt", 16, 4), num("pric", 16, 6), may("sinDosDscr", 200), may("usedFrquDscr", 200),
	mayNum("prdDays", 4, 2), may("medcWayDscr", 200), must("bilgDeptCodg", 30), must("bilgDeptName", 100), must("bilgDrCodg", 30),
	must("bilgDrName", 50), may("acordDeptCodg", 30), may("acordDeptName", 100), may("ordersDrCode", 30), may("ordersDrName", 50),
	must("hospApprFlag", 3), may("tcmdrugUsedWay", 6), may("etipFlag", 3), may("etipHospCode", 30), may("dscgTkdrugFlag", 3), may("matnFeeFlag", 6),
	may("initFeedetlSn", 30), may("drordNo", 30), may("medType", 6), may("memo", 500)}

var table6202 = []field{must("payAuthNo", 40), must("payOrdId", 64), must("payToken", 200), must("orgCodg", 30), must("orgBizSer", 50),
	must("chrgBchno", 30), must("feeType", 3), must("mdtrtId", 30), may("acctUsedFlag", 1), mayFee("deposit")}

var table6203 = []field{must("payOrdId", 64), must("appRefdSn", 64), must("appRefdTime", 14), fee("totlRefdAmt"), fee("cashRefdAmt"),
	mayFee("psnAcctRefdAmt"), mayFee("fundRefdAmt"), may("ecToken", 200), may("payAuthNo", 40), must("refdType", 4), may("payWay", 3),
	may("outTradeNo", 32)}

// table6301 is 6401's too.
var table6301 = []field{must("payOrdId", 64), must("orgCodg", 30), must("payToken", 200), must("idNo", 50), must("userName", 50), must("idType", 3)}

// onlyTexts reports whether every leaf is a text, or nothing.
func onlyTexts(v any) bool {
	switch x := v.(type) {
	case map[string]any:
		for _, inner := range x {
			if !onlyTexts(inner) {
				return false
			}
		}
		return true
	case []any:
		return !slices.ContainsFunc(x, func(inner any) bool { return !onlyTexts(inner) })
	case nil, string:
		return true
	}
	return false
}

// readCentre reads one node by its table.
func readCentre(table []field, node map[string]json.RawMessage) (values, error) {
	for name, raw := range node {
		var v any
		if json.Unmarshal(raw, &v) != nil || !onlyTexts(v) {
			return nil, refuse("[%s]应为字符型", name)
		}
	}
	return read(table, node)
}

// readCentreList reads a list of nodes; it must not be empty.
func readCentreList(name string, table []field, raw json.RawMessage) ([]values, error) {
	var nodes []map[string]json.RawMessage
	if json.Unmarshal(raw, &nodes) != nil || len(nodes) == 0 {
		return nil, refuse("[%s]不能为空", name)
	}
	out := make([]values, 0, len(nodes))
	for i, node := range nodes {
		v, err := readCentre(table, node)
		if err != nil {
			return nil, refuse("[%s]第%d行%s", name, i+1, err)
		}
		out = append(out, v)
	}
	return out, nil
}

// choice is a member with its values; an optional one may be absent.
type choice struct {
	name string
	of   []string
}

func (v values) choose(choices ...choice) error {
	for _, c := range choices {
		if v[c.name] != "" && !slices.Contains(c.of, v[c.name]) {
			return refuse("[%s]值域错误", c.name)
		}
	}
	return nil
}

// place reports a position as longitude,latitude.
func place(text string) bool {
	lng, lat, two := strings.Cut(text, ",")
	x, err1 := decimal.NewFromString(lng)
	y, err2 := decimal.NewFromString(lat)
	return two && err1 == nil && err2 == nil && !strings.ContainsAny(text, "eE") && x.Abs().LessThanOrEqual(decimal.NewFromInt(180)) &&
		y.Abs().LessThanOrEqual(decimal.NewFromInt(90))
}

// refundTime is appRefdTime, yyyyMMddHHmmss.
func refundTime(text string) bool {
	_, err := time.Parse(compact, text)
	return err == nil
}
