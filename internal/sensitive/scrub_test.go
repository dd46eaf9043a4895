package sensitive

import (
	"strings"
	"testing"
)

func TestScrub(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"参保人张三 状态异常":               "参保人*** 状态异常",
		"证件360102199003074517无效":   "证件***无效",
		"号码36010219900307451X无效":   "号码***无效",
		"AUTH36000020261125001 过期": "*** 过期",
		"手机138****8000可用":          "手机138****8000可用", // masked already
		"错误码12345678":              "错误码12345678",
		" 两\n行\u0007 ":             "两 行",
		"参保人张 三 状态异常":              "参保人*** 状态异常",
		"证件3601 0219 9003 0745 1X，手机138-0013-8000，１３８００１３８０００": "证件***，手机***，***",
		"定位115.892151,28.676493超出范围":                           "定位***超出范围",
		"2026-11-26 10:30:00 金额123.45,67.89":                   "2026-11-26 10:30:00 金额123.45,67.89",
		"":                                                     "",
	} {
		if got := Scrub(text, "张三", ""); got != want {
			t.Errorf("Scrub(%q) = %q, want %q", text, got, want)
		}
	}
	if got := Scrub(strings.Repeat("长", 300)); got != strings.Repeat("长", 200) {
		t.Errorf("Scrub() of 300 characters has %d bytes", len(got))
	}
}
