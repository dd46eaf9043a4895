package main

import (
	"bytes"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
)

// guideExample writes the worked example of docs/his-guide.md into files: the mapping, a sample answer, and what was asked.
func guideExample(t *testing.T) (mapping, answer, request string) {
	t.Helper()
	guide, err := os.ReadFile("../../docs/his-guide.md")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	last := func(language string) []byte {
		blocks := regexp.MustCompile("(?s)```"+language+"\n(.*?)```").FindAllSubmatch(guide, -1)
		return blocks[len(blocks)-1][1]
	}
	return file("his.yaml", last("yaml")), file("sample.xml", last("xml")), file("asked.json", []byte(`{"patient_id":"P1"}`))
}

// TestHisExplain: the command tells where each value is from; an answer that cannot be read is told, and ends with an error.
func TestHisExplain(t *testing.T) {
	t.Parallel()
	mapping, answer, request := guideExample(t)
	var out bytes.Buffer
	if err := explain(&out, mapping, "", "bills/pending", answer, request); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"bills[0]/total_fen", "payAmout", "1917", "result/item/recipeType", `"patient_id": "P1"`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in %s", want, out.String())
		}
	}
	text, err := os.ReadFile(answer)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(answer, bytes.Replace(text, []byte(">1917<"), []byte(">19.17<"), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	out.Reset()
	if err := explain(&out, mapping, "", "bills/pending", answer, request); err == nil || !strings.Contains(out.String(), "19.17") || !strings.Contains(out.String(), "不能采信") {
		t.Errorf("a wrong unit: %v, %s", err, out.String())
	}
}

// TestUnsignedHIS: a vendor without a signature may be tried, and does not go into production.
func TestUnsignedHIS(t *testing.T) {
	t.Parallel()
	mapping, _, request := guideExample(t)
	for mode, refused := range map[config.Mode]bool{config.Sandbox: false, config.Production: true} {
		h := &house{config: &config.Config{Mode: mode}, world: world{clock: clock.Real{}, wire: transport()}, source: clock.NewSource(clock.Real{}, 0)}
		in := &config.Institution{ID: "h1", SOAP: &config.HISSOAP{HISRest: config.HISRest{BaseURL: "https://his.example", App: "tuoka", SecretFile: request}, Mapping: mapping}}
		_, _, err := h.hospital(in, &secrets{}, h.wire)
		if refused != (err != nil && strings.Contains(err.Error(), "service.sign")) || (!refused && err != nil) {
			t.Errorf("%s: %v", mode, err)
		}
	}
}
