package certify_test

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"html"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tuoka/tuoka/adapters/his/certify"
	"github.com/tuoka/tuoka/adapters/his/hissim"
)

// everything is a report in all its forms.
func everything(t *testing.T, r *certify.Report) map[string]string {
	t.Helper()
	var page, text bytes.Buffer
	if err := r.HTML(&page); err != nil {
		t.Fatal(err)
	}
	if err := r.Summary(&text); err != nil {
		t.Fatal(err)
	}
	for _, c := range r.Results {
		for _, e := range c.Evidence {
			text.WriteString(e.Request + e.Answer)
		}
	}
	raw, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]string{"page": page.String(), "text": text.String(), "JSON": string(raw)}
}

// TestNobodyIsShown: no name, identity number or card stands in a report, in no encoding, also of a hospital that sends somebody else's.
func TestNobodyIsShown(t *testing.T) {
	t.Parallel()
	for _, defect := range []hissim.Defect{"", hissim.OthersArchive, hissim.GBKAnswers, hissim.FindsByNumber, hissim.ShowsOthers, hissim.AcceptsForged} {
		for way := range ways {
			forms := everything(t, certified(t, way, defect, nil))
			for form, text := range forms {
				for _, value := range []string{testName, testID, testCard, testAuth, "柳无名", "110102197701010013"} {
					gbk, err := simplifiedchinese.GBK.NewEncoder().String(value)
					if err != nil {
						t.Fatal(err)
					}
					for _, written := range []string{value, gbk, base64.StdEncoding.EncodeToString([]byte(value)), html.EscapeString(value)} {
						if strings.Contains(text, written) || strings.Contains(html.UnescapeString(text), written) {
							t.Errorf("%s, %q: the %s shows %q", way, defect, form, written)
						}
					}
				}
			}
			if !strings.Contains(forms["text"], "冯**") && defect != hissim.GBKAnswers {
				t.Errorf("%s, %q: nothing was masked, so the test proves nothing", way, defect)
			}
		}
	}
}

// TestEvidenceIsThere: a failure shows the messages by which it was seen.
func TestEvidenceIsThere(t *testing.T) {
	t.Parallel()
	for way, want := range map[string]string{"rest": "POST /his/v1/postings/post", "soap": `Soapaction: "http://his.example/mz/ackPayOrder"`} {
		for _, c := range certified(t, way, hissim.PostsTwice, nil).Results {
			if c.ID == "post-twice" && (!strings.Contains(c.Evidence[0].Request, want) || !strings.HasPrefix(c.Evidence[0].Answer, "HTTP 200")) {
				t.Errorf("%s: %+v", way, c.Evidence)
			}
		}
	}
}

// TestPageNeedsNothing: the report is one file that loads nothing, runs nothing, and says what it must.
func TestPageNeedsNothing(t *testing.T) {
	t.Parallel()
	r := certified(t, "rest", hissim.PostsTwice, nil)
	page := everything(t, r)["page"]
	if found := regexp.MustCompile(`(?i)<script|<link|<img|@import|url\(|src=|<no value>|ZgotmplZ`).FindString(page); found != "" {
		t.Errorf("the page holds %q", found)
	}
	for _, want := range []string{"不通过", "需要整改（1 项）", "重复入账应答 DUPLICATE 与原记录", "整改建议", "报文证据", "日对账文件", "（北京时间）"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	if dir := os.Getenv("CERTIFY_REPORTS"); dir != "" { // to look at them
		for name, report := range map[string]*certify.Report{"failed.html": r, "passed.html": certified(t, "soap", "", nil), "connect.html": certified(t, "rest", hissim.GBKAnswers, nil)} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(everything(t, report)["page"]), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
}
