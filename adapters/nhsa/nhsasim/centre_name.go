package nhsasim

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/tuoka/tuoka/internal/sandbox"
)

// nameCentreCall names a request for the fault plan: by medOrgOrd, whatever the call is about. Nothing is verified for that.
func (s *Sim) nameCentreCall(r *http.Request, body []byte) sandbox.Call {
	s.mu.Lock()
	defer s.mu.Unlock()
	call := sandbox.Call{Op: centrePaths[r.URL.Path]}
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return call
	}
	app := s.apps[textOf(members["appId"])]
	if app == nil {
		return call
	}
	_, data, err := app.decrypt(members)
	if err != nil {
		return call
	}
	call.Key = s.centreKeyOf(call.Op, data)
	switch call.Op {
	case "6201":
		call.Refusable, call.Most = true, s.mostUploads(call.Key, data)
	case "6202":
		call.Refusable, call.Priced = true, true
		call.Most = 2 // the patient waits for it, and each loss costs a 6301 that may be lost as well
	case "6301":
		call.Priced = true
	}
	return call
}

// centreKeyOf names what a call is about, for refusals and faults: the hospital's medOrgOrd, or the payOrdId that nobody knows.
func (s *Sim) centreKeyOf(number string, data map[string]json.RawMessage) string {
	if number == "6201" {
		return textOf(data["medOrgOrd"])
	}
	id := textOf(data["payOrdId"])
	if u := s.uploads[id]; u != nil {
		return u.OrderNo
	}
	return id
}

// mostUploads is how often a level may disturb this 6201. A lost one is repeated under new numbers, and an order has two tries only; so of
// all uploads of one charge a single one is disturbed, else an order that met nothing but lost messages could not be completed.
func (s *Sim) mostUploads(orderNo string, data map[string]json.RawMessage) int {
	charge := chargeOf(data)
	disturbed := func(no string) bool {
		return no != orderNo && slices.ContainsFunc(s.centre.Plan.Injected(), func(i sandbox.Injection) bool { return i.Op == "6201" && i.Key == no })
	}
	most := 1
	if slices.ContainsFunc(s.charges[charge], disturbed) {
		most = -1
	}
	if !slices.Contains(s.charges[charge], orderNo) {
		s.charges[charge] = append(s.charges[charge], orderNo)
	}
	return most
}

// chargeOf is what stays the same when one charge is uploaded again under new numbers.
func chargeOf(data map[string]json.RawMessage) string {
	var lines []map[string]json.RawMessage
	_ = json.Unmarshal(data["feedetailList"], &lines) // what cannot be read is refused later, under any name
	parts := []string{textOf(data["orgCodg"]), textOf(data["psnNo"]), textOf(data["begntime"])}
	for _, l := range lines {
		parts = append(parts, textOf(l["rxno"]), textOf(l["medListCodg"]), textOf(l["detItemFeeSumamt"]))
	}
	return strings.Join(parts, "|")
}

// textOf is a JSON text; empty for everything else.
func textOf(raw json.RawMessage) string {
	var v string
	if json.Unmarshal(raw, &v) != nil {
		return ""
	}
	return v
}
