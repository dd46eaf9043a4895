package soap

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestGuide reads the worked example of docs/his-guide.md as a vendor's hospital would have it.
func TestGuide(t *testing.T) {
	t.Parallel()
	guide, err := os.ReadFile("../../../docs/his-guide.md")
	if err != nil {
		t.Fatal(err)
	}
	block := func(language string) []byte {
		t.Helper()
		found := regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(guide, -1)
		if len(found) == 0 {
			t.Fatalf("no %s in the guide", language)
		}
		return found[len(found)-1][1] // the first YAML is of the service's own configuration
	}
	m, err := ParseMapping(block("yaml"))
	if err != nil {
		t.Fatal(err)
	}
	e, err := m.Explain("bills/pending", []byte(`{"patient_id":"P1"}`), block("xml"))
	if err != nil {
		t.Fatal(err)
	}
	if want := strings.TrimSpace(string(block("json"))); e.JSON() != want {
		t.Errorf("read as %s", e.JSON())
	}
	if want := []string{"result/item/recipeType", "resultMessage"}; !slices.Equal(e.Unread, want) {
		t.Errorf("unread: %q, want %q", e.Unread, want)
	}
}
