package certify

import (
	"errors"
	"fmt"
	"strings"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/fault"
)

func codeNames(codes []string) (text string) {
	for i, c := range codes {
		if i > 0 {
			text += " 或 "
		}
		text += codeName(c)
	}
	return text
}

// codeName is a code with its meaning.
func codeName(code string) string {
	meaning := map[string]string{done: "完成", none: "完成，无数据", notFound: "不存在", alreadyPaid: "已缴费", billVoid: "已作废", billChanged: "金额已变更", locked: "已被锁定",
		lockExpired: "锁单已失效", amountWrong: "金额不符", duplicate: "重复提交", notRefundable: "不可退", maintenance: "维护中",
		alreadySettled: "已有医保结算", authExpired: "医保授权已过期", insurerRefused: "医保不受理"}[code]
	if meaning == "" {
		return fmt.Sprintf("%q", code)
	}
	return fmt.Sprintf("%q（%s）", code, meaning)
}

// said puts an error of package his into the words of the hospital's engineer.
func said(err error) string {
	why := cause(err)
	f, ok := errors.AsType[*fault.Error](err)
	if !ok {
		return "应答不可采信：" + why
	}
	if f.Code == his.ErrDeclined.Code {
		return "医保不受理，“" + f.Msg + "”：" + why
	}
	text := map[string]string{
		his.ErrUnreachable.Code: "连接不上医院系统", bill.ErrNoAnswer.Code: "没有得到可采信的应答（超时、断线，或 HTTP 状态不是 200）",
		bill.ErrUnreadable.Code: "应答不可采信", his.ErrRequest.Code: "医院系统认为请求有误，或编号已作他用", bill.ErrMaintenance.Code: "医院系统称正在维护",
		bill.ErrNotFound.Code: "应答为不存在", bill.ErrPaid.Code: "应答为已缴费", bill.ErrVoid.Code: "应答为已作废", bill.ErrChanged.Code: "应答为金额已变更",
		bill.ErrLocked.Code: "应答为已被锁定", his.ErrLockExpired.Code: "应答为锁单已失效", his.ErrAmountWrong.Code: "应答为金额不符", his.ErrHoldDropped.Code: "应答为退费申请已取消",
		bill.ErrNotRefundable.Code: "应答为不可退", his.ErrStranger.Code: "验签不通过", his.ErrNotice.Code: "内容有误",
	}[f.Code]
	if text == "" {
		text = f.Code
	}
	return text + "：" + why
}

// reasons put what package his and its carriers say most often into Chinese, by a part of it.
var reasons = []struct{ part, text string }{
	{"wrong signature", "签名不符"}, {"without a time stamp", "没有时间戳"}, {"belongs to another request", "不是本次请求的应答（应用名或 nonce 不符）"},
	{"answer of another request", "不是本次请求的应答（nonce 不符）"}, {"time is out of the window", "时间与本机相差超过五分钟"}, {"absent or out of the window", "时间戳缺失或相差超过五分钟"},
	{"not in UTF-8", "不是 UTF-8 编码"}, {"not in GB", "不是约定的 GBK 编码"}, {"not a JSON document", "不是一份完整的 JSON（含 BOM、网页、截断）"},
	{"does not call itself JSON", "Content-Type 不是 application/json"}, {"not a whole XML document", "不是一份完整的 XML"}, {"named twice", "同一成员出现两次"},
	{"not a whole number of fen", "金额不是整数分"}, {"not plain decimal text", "数量或单价不是小数文本"}, {"not RFC 3339", "时间不是带时区的 RFC 3339 格式"},
	{"is not documented here", "应答码不在接口文档之内"}, {"the mapping does not know", "结果码不在对照文件之内"}, {"another person's", "含有他人的数据"},
	{"without a diagnosis", "有医保项目却没有有效诊断"}, {"the visit is not complete", "就诊信息不全（门诊号、时间、医疗类别、科室、科别、医师）"}, {"diagnosis", "诊断信息不全"},
	{"the records sum to", "清单合计与各条之和不符"}, {"stands there twice", "清单中同一流水号出现两次"}, {"is of another day", "清单中有别日的记录"},
	{"what the whole day is", "没有写明当日的条数、合计，或是否已日结"}, {"not over is closed", "当日还没有过完，却称已日结"}, {"with 0 records", "应答成功却没有记录：没有时应答码应为 1"},
	{"changed between two pages", "两页所说的条数、合计不同"}, {"another day or page", "不是所查的日期或页码"}, {"of which day is not said", "应答码 1 没有带当日的条数与合计"},
	{"or with a refund's", "缴费记录没有入账流水号，或带着退费的内容"}, {"or with a payment's", "退费记录没有退费单号、流水号，或带着缴费的内容"},
	{"the bills sum to", "列表合计与各单之和不符"}, {"said to be", "条数与声明的不符"}, {"done, but no data", "应答成功却没有数据"}, {"without its evidence", "状态没有带相应的凭据"},
	{"other amounts", "账上的金额与发送的不同"}, {"other items or amounts", "账上的项目或金额与发送的不同"}, {"does not add up", "记录的各部分之和不等于总额"},
	{"the parts sum to", "各部分之和不等于总额"}, {"a part is", "有一部分是负数"}, {"not those of the claim", "各部分不全，或总额不是结算单的"}, {"about another claim", "应答的不是这张结算单"},
	{"no visit, or numbers", "没有就诊号，或编号过长"}, {"another settlement, or none", "不是这次结算，或没有结算 ID、时间"}, {"another settlement, or state", "不是这笔结算，或状态不对"},
	{"another reversal", "不是这次冲正，或状态不对"},
	{"end is missing or absurd", "锁单到期时间缺失，或超过 24 小时"}, {"malformed", "格式有误"}, {"connection refused", "连接被拒绝，地址或端口不对，或服务没有启动"},
	{"no such host", "找不到主机"}, {"i/o timeout", "连接超时"}, {"deadline exceeded", "等待超时"}, {"certificate", "TLS 证书不可信"},
}

// cause is why, with the program's own words behind it for whoever asks us.
func cause(err error) string {
	text := err.Error()
	for _, r := range reasons {
		if strings.Contains(text, r.part) {
			return r.text + "（" + text + "）"
		}
	}
	return text
}
