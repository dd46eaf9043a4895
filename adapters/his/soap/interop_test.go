//go:build interop

package soap

import (
	"bufio"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/configs"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// script plays the other side with the npm package soap (make interop).
const script = "../../../.ci/interop/his.js"

// inUTF8 is the example's mapping for a server that speaks UTF-8.
func inUTF8(t *testing.T) *Mapping {
	t.Helper()
	text, err := configs.FS.ReadFile("his-soap.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m, err := ParseMapping([]byte(strings.Replace(string(text), "charset: GBK", "charset: UTF-8", 1)))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestInteropSOAPServer: the adapter asks a WebService that others wrote.
func TestInteropSOAPServer(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "node", script, "serve", testSecret)
	out, err := cmd.StdoutPipe()
	if err != nil || cmd.Start() != nil {
		t.Fatal("node does not start: run .ci/interop/run")
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	port := bufio.NewScanner(out)
	if !port.Scan() {
		t.Fatal("the server says no port")
	}
	c, err := New(Config{Config: his.Config{Clock: clock.Real{}}, BaseURL: "http://127.0.0.1:" + port.Text(), Mapping: inUTF8(t), User: "tuoka",
		Secret: sensitive.NewKey(testSecret), Source: clock.NewSource(clock.Real{}, 0)}, http.DefaultTransport)
	if err != nil {
		t.Fatal(err)
	}
	list, err := c.Pending(t.Context(), "P<1>")
	if err != nil || len(list) != 1 || list[0].No != "MZ&1" || list[0].Total != 1917 || list[0].Department != "内分泌科门诊" {
		t.Errorf("Pending = %+v, %v", list, err)
	}
	if _, err := c.Pending(t.Context(), ""); err == nil {
		t.Error("a request of nobody was answered")
	}
}

// TestInteropSOAPClient: somebody else's client asks the simulator.
func TestInteropSOAPClient(t *testing.T) {
	sim, err := hissim.New(hissim.Config{Clock: clock.Real{}, App: "tuoka", Secret: sensitive.NewKey(testSecret)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sim.AddPatient(hissim.Patient{ID: "P1", Name: "冯晓棠", IDNo: "360102198503123042"}); err != nil {
		t.Fatal(err)
	}
	b, err := sim.AddBill("P1", "D360102000211", hissim.Order{Code: "W10231", Quantity: "24"})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(sim.SOAPHandler())
	defer server.Close()
	out, err := exec.CommandContext(t.Context(), "node", script, "call", server.URL, testSecret).CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var heard map[string]string
	if err := json.Unmarshal(out, &heard); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if heard["RETURN_CODE"] != "0" || !strings.Contains(heard["RES_DATA"], "<billNo>"+b.No+"</billNo>") || !strings.Contains(heard["RES_DATA"], "顾怀民") {
		t.Errorf("heard %v", heard)
	}
	if out, err := exec.CommandContext(t.Context(), "node", script, "call", server.URL, "another-secret-of-nobody-0001").CombinedOutput(); err == nil {
		t.Errorf("a stranger was answered: %s", out)
	}
}
