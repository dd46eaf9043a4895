//go:build interop

package his_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestInteropFHIR: what is said holds against HL7's whole JSON schema, and the tests' definitions are HL7's (make interop).
func TestInteropFHIR(t *testing.T) {
	const script = "../../.ci/interop/fhir.js"
	for _, version := range []string{"R5", "R4"} {
		cmd := exec.CommandContext(t.Context(), "node", script, "validate", version)
		cmd.Stdin = strings.NewReader(strings.Join(playFHIR(t, version), "\n"))
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s", version, err, out)
		} else {
			t.Logf("%s: %s", version, out)
		}
		cmd = exec.CommandContext(t.Context(), "node", script, "validate", version)
		cmd.Stdin = strings.NewReader(`{"resourceType":"Task","status":"requested","intent":"order","inputs":[]}`)
		if out, err := cmd.CombinedOutput(); err == nil {
			t.Errorf("%s: what is not FHIR was let pass: %s", version, out)
		}
		out, err := exec.CommandContext(t.Context(), "node", script, "trim", version).Output()
		kept, err2 := os.ReadFile("testdata/fhir-" + version + ".txt")
		if err != nil || err2 != nil || string(out) != string(kept) {
			t.Errorf("%s: testdata is not what HL7's definitions trim to: %v, %v", version, err, err2)
		}
	}
}
