package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/configs"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/sensitive"
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

// TestHisExplainFHIR: a FHIR server's answer is explained by its profile, whether it is named or the sandbox's.
func TestHisExplainFHIR(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	text, err := configs.FS.ReadFile("his-fhir.yaml")
	if err != nil {
		t.Fatal(err)
	}
	profile, answer := filepath.Join(dir, "profile.yaml"), filepath.Join(dir, "sample.json")
	sample := `{"resourceType":"Parameters","parameter":[{"name":"ended","valueBoolean":true},{"name":"number","valueIdentifier":` +
		`{"system":"http://tuoka.example/fhir/sid/order-no","value":"7"}}]}`
	if err := errors.Join(os.WriteFile(profile, text, 0o600), os.WriteFile(answer, []byte(sample), 0o600)); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ mapping, speaks string }{{profile, "soap"}, {"", "fhir"}} {
		var out bytes.Buffer
		if err := explain(&out, tt.mapping, tt.speaks, "locks/release", answer, ""); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"parameter.where(name='ended').valueBoolean", `"order_no": "7"`, `"code": "0"`} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%q is not in %s", want, out.String())
			}
		}
	}
}

// TestMutualTLS: on the wire to a FHIR server we show the hospital's certificate, and believe nobody but its own authority.
func TestMutualTLS(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, kind string, der []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: clock.Real{}.Now().Add(-time.Hour), NotAfter: clock.Real{}.Now().Add(time.Hour),
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	ours, err1 := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	key, err2 := x509.MarshalPKCS8PrivateKey(private)
	root, err3 := x509.ParseCertificate(ours)
	if err := errors.Join(err1, err2, err3); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	clients := x509.NewCertPool()
	clients.AddCert(root)
	server.TLS = &tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: clients, MinVersion: tls.VersionTLS12}
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	secret := sensitive.NewKey(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})))
	certificate, authority := file("client.pem", "CERTIFICATE", ours), file("ca.pem", "CERTIFICATE", server.Certificate().Raw)
	for _, tt := range []struct {
		name string
		in   config.HISFHIR
		want bool
	}{
		{"both", config.HISFHIR{Certificate: certificate, CA: authority}, true},
		{"nobody", config.HISFHIR{CA: authority}, false},
		{"a server that nobody knows", config.HISFHIR{Certificate: certificate}, false},
	} {
		wire, err := known(&tt.in, secret)
		if err != nil {
			t.Fatal(err)
		}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		res, err := wire.RoundTrip(r)
		if err == nil {
			err = res.Body.Close()
		}
		if (err == nil) != tt.want {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if _, err := known(&config.HISFHIR{Certificate: certificate}, sensitive.NewKey("no key")); err == nil {
		t.Error("a certificate without its key was taken")
	}
}

// TestUnlinkedHIS: a mapping without the insurance does for a hospital that has none, and for no other.
func TestUnlinkedHIS(t *testing.T) {
	t.Parallel()
	mapping, _, request := guideExample(t)
	for _, tt := range []struct {
		name, mapping string
		link          *config.HISInsurance
		want          string
	}{
		{"no line", mapping, nil, ""},
		{"a line, and the sandbox's mapping", "", &config.HISInsurance{}, ""},
		{"a line, and a mapping without it", mapping, &config.HISInsurance{}, "his_soap.mapping_file: his_insurance needs all of insurance/*: operations.insurance/presettle: is missing"},
	} {
		h := &house{config: &config.Config{Mode: config.Sandbox}, world: world{clock: clock.Real{}, wire: transport()}, source: clock.NewSource(clock.Real{}, 0)}
		in := &config.Institution{ID: "h1", Link: tt.link,
			SOAP: &config.HISSOAP{HISRest: config.HISRest{BaseURL: "https://his.example", App: "tuoka", SecretFile: request}, Mapping: tt.mapping}}
		_, _, err := h.hospital(in, &secrets{}, h.wire)
		if (err == nil) != (tt.want == "") || (err != nil && !strings.HasPrefix(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
}

// TestUnlinkedFHIR: the same of a FHIR server's profile.
func TestUnlinkedFHIR(t *testing.T) {
	t.Parallel()
	text, err := configs.FS.ReadFile("his-fhir.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	file := func(name, content string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	less := regexp.MustCompile(`(?m)^  insurance/.*\n`).ReplaceAllString(string(text), "")
	less = regexp.MustCompile(`(?s)\n  estimate:.*?\n  refusal:`).ReplaceAllString(less, "\n  refusal:")
	at := config.HISRest{BaseURL: "https://his.example", App: "tuoka", SecretFile: file("secret", "a-token-of-the-front-office-0001")}
	h := &house{config: &config.Config{Mode: config.Sandbox}, world: world{clock: clock.Real{}, wire: transport()}, source: clock.NewSource(clock.Real{}, 0)}
	for _, tt := range []struct {
		name, profile string
		link          *config.HISInsurance
		want          string
	}{
		{"whole", file("whole.yaml", string(text)), &config.HISInsurance{}, ""},
		{"without insurance", file("less.yaml", less), nil, ""},
		{"less than it needs", file("less.yaml", less), &config.HISInsurance{},
			"his_fhir.profile_file: his_insurance needs all of insurance/*: operations.insurance/presettle: is missing"},
	} {
		in := &config.Institution{ID: "h1", FHIR: &config.HISFHIR{HISRest: at, Profile: tt.profile}, Link: tt.link}
		_, _, err := h.hospital(in, &secrets{}, h.wire)
		if (err == nil) != (tt.want == "") || (err != nil && !strings.HasPrefix(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
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
