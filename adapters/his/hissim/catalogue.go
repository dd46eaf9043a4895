package hissim

import (
	"fmt"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/money"
)

// Department is a department of the hospital (科室): the hospital's own code, the national specialty (科别 caty), where it is.
type Department struct {
	Code  string `json:"code"`
	Name  string `json:"name"`
	Caty  string `json:"caty"`
	Place string `json:"-"`
}

// Doctor is a physician with the national insurance code (医保医师代码).
type Doctor struct {
	Code string `json:"code"`
	Name string `json:"name"`
	dept string
}

// item is one row of the hospital's price list (收费项目), tied to the national catalogue.
type item struct {
	national, own string // 医疗目录编码, 院内编码
	name, spec    string
	unit          string
	category      string // 收费项目类别 med_chrgitm_type: 03 examination, 04 laboratory, 05 treatment, 09 western, 11 patent TCM, 14 other
	class         string // A 甲, B 乙, C 丙, N 不报医保
	price         string // yuan, up to four decimals
	dose          string
	frequency     string
	route         string
	usual         []string // quantities that a doctor orders
	exec          string   // executing department
	approval      string   // hosp_appr_flag
}

// departments, doctors and the price list are made up but shaped after public price and catalogue lists.
func departments() map[string]Department {
	list := []Department{
		{"0301", "心血管内科门诊", "A03.04", "门诊楼三楼 A 区"},
		{"0303", "内分泌科门诊", "A03.07", "门诊楼三楼 C 区"},
		{"0401", "普外科门诊", "A04.01", "门诊楼四楼 A 区"},
		{"0701", "儿科门诊", "A07", "儿童楼一楼"},
		{"1301", "皮肤科门诊", "A13", "门诊楼五楼 B 区"},
		{"3001", "检验科", "A30", "门诊楼二楼检验窗口"},
		{"3201", "放射影像科", "A32.01", "医技楼一楼"},
		{"3203", "超声科", "A32.05", "医技楼二楼"},
		{"9001", "门诊西药房", "A69", "门诊楼一楼西药房 3 号窗口"},
		{"9002", "门诊中药房", "A69", "门诊楼一楼中药房 1 号窗口"},
		{"9101", "门诊治疗室", "A69", "门诊楼二楼治疗室"},
	}
	out := make(map[string]Department, len(list))
	for _, d := range list {
		out[d.Code] = d
	}
	return out
}

func doctors() []Doctor {
	return []Doctor{
		{"D360102000101", "周明远", "0301"}, {"D360102000102", "沈若兰", "0301"},
		{"D360102000211", "顾怀民", "0303"}, {"D360102000305", "程立新", "0401"},
		{"D360102000402", "叶知秋", "0701"}, {"D360102000507", "罗素心", "1301"},
	}
}

// catalogue is the price list.
func catalogue() []item {
	return []item{
		{"XC08CAA179A001010103452", "W10231", "苯磺酸氨氯地平片", "5mg*7片", "片", "09", "A", "0.7988", "5mg", "qd", "口服", []string{"24", "14", "28"}, "9001", "0"},
		{"XA10BAE046A001010102211", "W10417", "盐酸二甲双胍片", "0.25g*48片", "片", "09", "A", "0.0875", "0.5g", "bid", "口服", []string{"48", "96"}, "9001", "0"},
		{"XC10AAA112A001010204403", "W10544", "阿托伐他汀钙片", "20mg*7片", "盒", "09", "B", "26.4600", "20mg", "qn", "口服", []string{"2", "4"}, "9001", "0"},
		{"XB01ACL215A001010101007", "W10602", "硫酸氢氯吡格雷片", "75mg*7片", "盒", "09", "B", "17.8533", "75mg", "qd", "口服", []string{"1", "3", "4"}, "9001", "1"},
		{"XJ01CAA040E001010103310", "W10733", "阿莫西林胶囊", "0.25g*24粒", "盒", "09", "A", "7.3150", "0.5g", "tid", "口服", []string{"1", "2"}, "9001", "0"},
		{"XR05CBA183X001010101899", "W10788", "盐酸氨溴索口服溶液", "100ml:0.3g", "瓶", "09", "B", "12.5000", "5ml", "tid", "口服", []string{"1", "2"}, "9001", "0"},
		{"ZA04BAX0287010101022", "Z20115", "连花清瘟胶囊", "0.35g*24粒", "盒", "11", "B", "13.9017", "1.4g", "tid", "口服", []string{"1", "2", "3"}, "9002", "0"},
		{"ZC02AAD0114010200345", "Z20231", "复方丹参滴丸", "27mg*180丸", "瓶", "11", "A", "24.7300", "10丸", "tid", "口服", []string{"1", "2"}, "9002", "0"},
		{"T000500512", "Z30012", "黄芪", "统货", "g", "10", "A", "0.0965", "15g", "bid", "水煎服", []string{"105", "150.5"}, "9002", "0"},
		{"T000600177", "Z30025", "当归", "统货", "g", "10", "A", "0.1328", "10g", "bid", "水煎服", []string{"70", "100.25"}, "9002", "0"},
		{"002503010010000-250301001", "L40011", "糖化血红蛋白测定", "色谱法", "次", "04", "A", "66.00", "", "", "", []string{"1"}, "3001", "0"},
		{"002501010150000-250101015", "L40002", "血细胞分析(五分类)", "仪器法", "次", "04", "A", "20.00", "", "", "", []string{"1"}, "3001", "0"},
		{"002503050070000-250305007", "L40087", "肾功能三项", "酶法", "项", "04", "B", "8.50", "", "", "", []string{"3"}, "3001", "0"},
		{"002103000010000-210300001", "E50003", "CT 胸部平扫", "每部位", "部位", "03", "B", "218.00", "", "", "", []string{"1"}, "3201", "0"},
		{"002203020010000-220302001", "E50017", "腹部彩色多普勒超声", "每次", "次", "03", "B", "115.00", "", "", "", []string{"1"}, "3203", "0"},
		{"003107010010000-310701001", "E50031", "常规心电图检查", "十二通道", "次", "03", "A", "24.00", "", "", "", []string{"1"}, "3203", "0"},
		{"001204000030000-120400003", "C60007", "静脉输液", "每组", "组", "05", "A", "9.60", "", "", "", []string{"1", "2"}, "9101", "0"},
		{"001205000010000-120500001", "C60015", "小换药", "每次", "次", "05", "A", "14.40", "", "", "", []string{"1"}, "9101", "0"},
		{"C0301011130000000001", "H70021", "一次性使用输液器", "带针 0.55", "套", "08", "C", "3.2600", "", "", "", []string{"1", "2"}, "9101", "0"},
		{"", "S80004", "医学美容护肤套装", "50ml", "套", "14", "N", "128.00", "", "", "外用", []string{"1"}, "9001", "0"},
		{"", "S80011", "自费营养制剂", "400g", "罐", "14", "N", "96.80", "20g", "bid", "口服", []string{"1", "2"}, "9001", "0"},
	}
}

// diagnosis pairs a code of the insurance edition of ICD-10 with the department that makes it.
type diagnosisCode struct{ code, name, dept string }

func diagnosisCodes() []diagnosisCode {
	return []diagnosisCode{
		{"I10.x00x002", "高血压病", "0301"}, {"I25.103", "冠状动脉粥样硬化性心脏病", "0301"},
		{"E11.900", "2型糖尿病", "0303"}, {"E78.500", "高脂血症", "0303"},
		{"K29.500", "慢性胃炎", "0401"}, {"K80.200", "胆囊结石", "0401"},
		{"J20.900", "急性支气管炎", "0701"}, {"J06.900", "急性上呼吸道感染", "0701"},
		{"L30.900", "湿疹", "1301"}, {"L20.900", "特应性皮炎", "1301"},
	}
}

// lineTotal is price × quantity in fen, rounded half up as the insurer does (nhsa-core §5); an error for text that is not a number.
func lineTotal(price, quantity string) (money.Fen, error) {
	p, err := decimal.NewFromString(price)
	if err != nil {
		return 0, fmt.Errorf("price %q: %w", price, err)
	}
	q, err := decimal.NewFromString(quantity)
	if err != nil {
		return 0, fmt.Errorf("quantity %q: %w", quantity, err)
	}
	if p.IsNegative() || !q.IsPositive() || p.Exponent() < -4 || q.Exponent() < -4 {
		return 0, fmt.Errorf("price %q, quantity %q: out of range", price, quantity)
	}
	return money.Fen(p.Mul(q).Shift(2).Round(0).IntPart()), nil
}
