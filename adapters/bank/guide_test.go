package bank_test

import (
	"os"
	"regexp"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"
)

// TestGuide: the worked example of docs/bank.zh-CN.md reads as it says.
func TestGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../docs/bank.zh-CN.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string) string {
		m := regexp.MustCompile("(?s)```" + kind + "\n(.*?)```").FindSubmatch(guide)
		if m == nil {
			t.Fatalf("the guide has no %s", kind)
		}
		return string(m[1])
	}
	file, err := simplifiedchinese.GB18030.NewEncoder().String(block("text"))
	if err != nil {
		t.Fatal(err)
	}
	lines, err := read(statements(t, block("yaml"), "6217000000008888"), day(t, "2026-11-23"), []byte(file))
	const want = "2026-11-23 09:12:13 bank leg=\"account\" transfer         2000.00 bank_no=B0000003 flow_no=2026112300000000000000000002 at 199+120\n" +
		"2026-11-23 09:00:00 bank leg=\"\" other            1220.50 bank_no=B0000002 flow_no= at 319+74\n"
	if got := written(lines); err != nil || got != want {
		t.Errorf("%swant:\n%s%v", got, want, err)
	}
}
