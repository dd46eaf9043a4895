package certify

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
)

const findPatients = "patients/find"

type find struct {
	Name   string `json:"name"`
	IDType string `json:"id_type"`
	IDNo   string `json:"id_no"`
}

func (k *kit) findRequest() find {
	return find{Name: k.Data.Name.Reveal(), IDType: "01", IDNo: k.Data.ID.Reveal()}
}

func securityChecks() []check {
	const group = "连通与安全"
	return []check{
		{id: "connect", group: group, title: "能连通，应答可采信", clause: "§1、§2、§4；F9",
			proves: "应答有本次请求的正确签名、时间在五分钟内、编码与声明一致、没有 BOM、是一份完整的文档。没有这些，平台把任何应答当作没有应答。",
			advice: "按 §2 给每一个应答签名：对发出的字节签名，应答重复请求的 nonce，时间取发出应答的时刻；编码用约定的一种，不加 BOM，不返回网页。",
			run: func(k *kit, ctx context.Context) outcome {
				k.doing("查询测试患者")
				a, err := k.ask(ctx, findPatients, k.findRequest())
				if o, ok := want(a, err, done, none); !ok {
					return o
				}
				return passed("应答可采信")
			}},
		{id: "clock", group: group, title: "时钟相差不大，容许四分钟偏差", clause: "§2", needs: []string{"connect"},
			proves: "双方时钟各有快慢；只要相差不到五分钟，请求就应受理，否则高峰时会成片失败。",
			advice: "医院前置机接入时间同步（NTP），时间窗设为前后各 300 秒。",
			run: func(k *kit, ctx context.Context) outcome {
				for _, by := range []time.Duration{-4 * time.Minute, 4 * time.Minute} {
					k.doing("以偏差 %v 的时间签名", by)
					c, err := k.at(by)
					if err != nil {
						return failed("%v", err)
					}
					_, a, err := k.spoil(ctx, c, k.findRequest(), &how{})
					if o, ok := want(a, err, done, none); !ok {
						return failed("时间偏差 %v 的请求未被受理，双方时钟可能相差一分钟以上：%s", by, o.text)
					}
				}
				return passed("偏差正负四分钟的请求均被受理")
			}},
		{id: "stale", group: group, title: "过时的请求被拒绝", clause: "§2", needs: []string{"connect"},
			proves: "截获的旧请求不能在以后再用。",
			advice: "时间戳与本机时间相差超过 300 秒（含将来的时间）的请求一律拒绝，再查签名和内容。",
			run: func(k *kit, ctx context.Context) outcome {
				for _, by := range []time.Duration{-10 * time.Minute, 10 * time.Minute} {
					k.doing("以偏差 %v 的时间签名", by)
					c, err := k.at(by)
					if err != nil {
						return failed("%v", err)
					}
					came, a, err := k.spoil(ctx, c, k.findRequest(), &how{})
					if o, ok := turnedAway(came, a, err); !ok {
						return failed("时间偏差 %v：%s", by, o.text)
					}
				}
				return passed("偏差正负十分钟的请求均被拒绝")
			}},
		{id: "signature", group: group, title: "签名不符的请求被拒绝", clause: "§2；F11", needs: []string{"connect"},
			proves: "别人不能冒充平台查询患者、锁单或入账，途中改动的报文不被受理。",
			advice: "用约定的密钥对收到的字节重算签名并比较；不符或没有签名时应答 401 SIGNATURE（SOAP：约定的签名错误码），不处理内容。",
			run:    (*kit).forged},
		{id: "replay", group: group, title: "重复的 nonce 被拒绝", clause: "§2", needs: []string{"connect"},
			proves: "同一份报文被重放时不再处理。",
			advice: "记住 600 秒内见过的 nonce，多台前置机共用一份记录；再次出现时应答 401 REPLAY。",
			run: func(k *kit, ctx context.Context) outcome {
				first, second, err := k.twins()
				if err != nil {
					return failed("%v", err)
				}
				k.doing("一份新的请求")
				_, a, err := k.spoil(ctx, first, k.findRequest(), &how{})
				if o, ok := want(a, err, done, none); !ok {
					return o
				}
				k.doing("同样的字节再发一次")
				came, a, err := k.spoil(ctx, second, k.findRequest(), &how{})
				if o, ok := turnedAway(came, a, err); !ok {
					return o
				}
				return passed("重放被拒绝")
			}},
	}
}

// turnedAway holds for an answer by which the hospital did nothing of what it was asked.
func turnedAway(came bool, a his.Answer, err error) (o outcome, ok bool) {
	switch {
	case err == nil:
		return failed("请求被受理了，应答码 %s", codeName(a.Code)), false
	case !came:
		return failed("没有应答：%s", said(err)), false
	}
	return o, true
}

// forged sends a request that was changed on the way, and one without a signature.
func (k *kit) forged(ctx context.Context) outcome {
	in := k.findRequest()
	other := strangers[0]
	if other == in.IDNo {
		other = strangers[1]
	}
	k.doing("签名后改动请求中的证件号码")
	came, a, err := k.spoil(ctx, k.carrier, in, &how{alter: func(_ *http.Request, body []byte) []byte {
		return []byte(strings.ReplaceAll(string(body), in.IDNo, other))
	}})
	if o, ok := turnedAway(came, a, err); !ok {
		return failed("签名后改动的%s", o.text)
	}
	if k.Unsign == nil {
		return passed("途中改动的请求被拒绝")
	}
	k.doing("去掉签名")
	came, a, err = k.spoil(ctx, k.carrier, in, &how{alter: k.Unsign})
	if o, ok := turnedAway(came, a, err); !ok {
		return failed("没有签名的%s", o.text)
	}
	return passed("途中改动的、没有签名的请求均被拒绝")
}

// strangers are identity numbers in right form, of people born in 1900.
var strangers = []string{"110101190001020028", "110101190001030031"}
