package rest

import (
	"bytes"
	"encoding/hex"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/emmansun/gmsm/sm3"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/gm"
)

// TestCallbacksPaper recomputes the worked example of docs/his-callbacks.zh-CN.md, and finds every kind, state and member of the formal description in it.
func TestCallbacksPaper(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../../../docs/his-callbacks.zh-CN.md")
	if err != nil {
		t.Fatal(err)
	}
	paper := string(text)
	block := func(fence string, n int) string {
		t.Helper()
		found := regexp.MustCompile("(?s)```"+fence+"\n(.*?)```").FindAllStringSubmatch(paper, -1)
		if len(found) <= n {
			t.Fatalf("no %s block %d", fence, n)
		}
		return found[n][1]
	}
	body := strings.TrimSuffix(block("json", 0), "\n")
	signedText, key := block("text", 0), block("text", 1)
	digest := sm3.Sum([]byte(body))
	head, last := signedText[:strings.LastIndex(strings.TrimSuffix(signedText, "\n"), "\n")+1], hex.EncodeToString(digest[:])
	if signedText != head+last+"\n" || strings.Count(signedText, "\n") != 5 {
		t.Errorf("the text to sign is %q", signedText)
	}
	if mac := macOf(head, []byte(body)); !strings.Contains(paper, "`"+mac+"`") {
		t.Errorf("the paper does not show the HMAC %s", mac)
	}
	public, err := gm.ParsePublicKey(key, gm.PEM)
	if err != nil {
		t.Fatal(err)
	}
	signature, err := hex.DecodeString(regexp.MustCompile("`([0-9a-f]{128})`").FindStringSubmatch(paper)[1])
	if err != nil || !gm.VerifyRaw(public, []byte(signedText), signature) {
		t.Errorf("the SM2 signature is not by the key beside it: %v", err)
	}
	if n, err := his.ReadNotice([]byte(body)); err != nil || n.ID != "CT20261123000007" || !bytes.Contains(n.Body, []byte("799")) {
		t.Errorf("the example is read as %+v, %v", n, err)
	}
	doc := document(t)
	for _, name := range []string{"RefundAsked", "RefundQuery", "RefundStanding", "BillNews", "Result", "PatientMerged"} {
		for member, schema := range doc.Components.Schemas[name].Value.Properties {
			if !strings.Contains(paper, "`"+member+"`") && member != "asked_at" {
				t.Errorf("%s.%s is not in the paper", name, member)
			}
			for _, value := range schema.Value.Enum {
				if word, ok := value.(string); !ok || !strings.Contains(paper, "`"+word+"`") {
					t.Errorf("%v of %s.%s is not in the paper", value, name, member)
				}
			}
		}
	}
	content := doc.Paths.Find("/callbacks/his/{institution}").Post
	for name, example := range content.RequestBody.Value.Content.Get("application/json").Examples {
		if err := content.RequestBody.Value.Content.Get("application/json").Schema.Value.VisitJSON(example.Value.Value); err != nil {
			t.Errorf("example %s: %v", name, err)
		}
	}
	answer := content.Responses.Status(200).Value.Content.Get("application/json")
	for name, example := range answer.Examples {
		if err := answer.Schema.Value.VisitJSON(example.Value.Value); err != nil {
			t.Errorf("example %s: %v", name, err)
		}
	}
}
