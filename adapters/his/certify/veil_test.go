package certify

import (
	"strings"
	"testing"
)

// TestStrangersAreVeiled: whoever an answer about patients names is not shown, in whatever script, also where the answer is not believed and nobody learned
// the name from it.
func TestStrangersAreVeiled(t *testing.T) {
	t.Parallel()
	v := newVeil("冯晓棠", "360102198503123042")
	for _, text := range []string{
		`{"patients": [{"name": "ZHANG \"San\"", "patient_id": "P2"}]}`, `{"patientName":"Zhang San","name":"王"}`,
		`<r><Name>Zhang San</Name><p:patName a="1">San</p:patName></r>`,
	} {
		shown := v.shown(findPatients, []byte(text))
		if low := strings.ToLower(shown); strings.Contains(low, "san") || strings.Contains(shown, "王") || !strings.Contains(shown, "**") {
			t.Errorf("%s is shown as %s", text, shown)
		}
	}
	if shown := v.shown("bills/detail", []byte(`{"name":"Aspirin"}`)); !strings.Contains(shown, "Aspirin") {
		t.Errorf("the name of an item is shown as %s", shown)
	}
}
