package hissim

import (
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"regexp"
	"strings"
)

// This file reads what is asked in FHIR, strictly: an element, a search parameter or a system that this hospital does not know refuses the request.

// fhirCall is a request in the words of docs/his-interface.md.
type fhirCall struct {
	speech
	path    string // in operations
	members any
}

func (c *fhirCall) json() []byte {
	text, err := json.Marshal(c.members)
	if err != nil {
		return nil
	}
	return text
}

// readFHIR reads a request.
func readFHIR(r *http.Request, body []byte) (fhirCall, error) {
	call := fhirCall{}
	_, accepted, err := mime.ParseMediaType(r.Header.Get("Accept"))
	if err != nil {
		return call, fmt.Errorf("%w: Accept", errRequest)
	}
	call.r4 = accepted["fhirversion"] == "4.0"
	kind := r.Header.Get("Content-Type")
	at := strings.Trim(r.URL.Path, "/")
	if resource, ok := strings.CutSuffix(at, "/_search"); ok {
		if kind != "application/x-www-form-urlencoded" || r.URL.RawQuery != "" {
			return call, fmt.Errorf("%w: a search is a form", errRequest)
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return call, fmt.Errorf("%w: form", errRequest)
		}
		return call, call.search(resource, form)
	}
	if kind != call.kind() {
		return call, fmt.Errorf("%w: Content-Type", errRequest)
	}
	switch at {
	case "":
		return call, call.batch(body)
	case "Task":
		return call, call.task(body, r.Header)
	case "PaymentReconciliation":
		return call, call.entry(body, r.Header)
	case "Task/$release":
		p, err := readParameters(body)
		call.path, call.members = "/his/v1/locks/release", releaseRequest{OrderNo: p[sidOurs+"order-no"]}
		return call, err
	case "Task/$drop":
		p, err := readParameters(body)
		call.path, call.members = "/his/v1/refunds/drop", refundKey{OrderNo: p[sidOurs+"order-no"], RefundNo: p[sidOurs+"refund-no"]}
		return call, err
	case "Claim/$submit":
		return call, call.claim(body)
	case "Claim/$reverse", "Claim/$cancel", "Claim/$withdraw":
		return call, call.undo(strings.TrimPrefix(at, "Claim/$"), body)
	}
	return call, fmt.Errorf("%w: no such interaction", errRequest)
}

// asked takes the search's parameters, each once and no other: tokens of a system, or as they are.
func asked(form url.Values, want map[string]string) (map[string][]string, error) {
	out := map[string][]string{}
	for name, values := range form {
		system, ok := want[name]
		if !ok && name != "_include" && name != "_include:iterate" && name != "_revinclude" && name != "_revinclude:iterate" {
			return nil, fmt.Errorf("%w: search parameter %s", errRequest, name)
		}
		for _, text := range values {
			for _, one := range splitTokens(text) {
				value, fits := one, true
				if system != "" {
					value, fits = strings.CutPrefix(one, system+"|")
				}
				if !fits || value == "" {
					return nil, fmt.Errorf("%w: value of %s", errRequest, name)
				}
				out[name] = append(out[name], strings.NewReplacer(`\,`, ",", `\|`, "|", `\$`, "$", `\\`, `\`).Replace(value))
			}
		}
	}
	for name := range want {
		if len(out[name]) == 0 {
			return nil, fmt.Errorf("%w: search parameter %s is missing", errRequest, name)
		}
	}
	return out, nil
}

var tokens = regexp.MustCompile(`(?:\\.|[^,\\])+`)

func splitTokens(text string) []string { return tokens.FindAllString(text, -1) }

func (c *fhirCall) search(resource string, form url.Values) error {
	switch resource {
	case "Patient":
		p, err := asked(form, map[string]string{"identifier": sidHIS + "resident-id", "name:exact": ""})
		if err != nil {
			return err
		}
		c.path, c.members = "/his/v1/patients/find", findRequest{Name: p["name:exact"][0], IDType: "01", IDNo: p["identifier"][0]}
		return nil
	case "Invoice":
		p, err := asked(form, map[string]string{"identifier": sidHIS + "bill-no", "subject:identifier": sidHIS + "patient-no"})
		if err != nil {
			return err
		}
		context := "ChargeItem:" + map[bool]string{true: "context", false: "encounter"}[c.r4]
		if form.Get("_include") != "Invoice:charge-item" || form.Get("_include:iterate") != context || form.Get("_revinclude:iterate") != "Condition:encounter" {
			return fmt.Errorf("%w: what is to be included", errRequest)
		}
		c.path, c.members = "/his/v1/bills/detail", detailRequest{PatientID: p["subject:identifier"][0], BillNo: p["identifier"][0]}
		return nil
	case "Task":
		p, err := asked(form, map[string]string{"identifier": sidOurs + "refund-no", "group-identifier": sidOurs + "order-no"})
		if err != nil || form.Get("_revinclude") != "PaymentReconciliation:request" {
			return fmt.Errorf("%w: what is to be included, %w", errRequest, err)
		}
		c.path, c.members = "/his/v1/refunds/query", refundKey{OrderNo: p["group-identifier"][0], RefundNo: p["identifier"][0]}
		return nil
	case "ClaimResponse":
		p, err := asked(form, map[string]string{"identifier": sidNHSA + "setl-id"})
		if err != nil {
			return err
		}
		c.path, c.members = pathInsure+"query", setlRequest{SetlID: p["identifier"][0]}
		return nil
	}
	return fmt.Errorf("%w: nothing is searched there", errRequest)
}

// batch reads the pairs of searches that this hospital's clients ask together.
func (c *fhirCall) batch(body []byte) error {
	var in struct {
		ResourceType string `json:"resourceType"`
		Type         string `json:"type"`
		Entry        []struct {
			Request struct {
				Method string `json:"method"`
				URL    string `json:"url"`
			} `json:"request"`
		} `json:"entry"`
	}
	if err := read(body, &in); err != nil {
		return err
	}
	if in.ResourceType != "Bundle" || in.Type != "batch" || len(in.Entry) != 2 ||
		in.Entry[0].Request.Method != http.MethodGet || in.Entry[1].Request.Method != http.MethodGet {
		return fmt.Errorf("%w: a batch of two searches", errRequest)
	}
	first, err1 := url.Parse(in.Entry[0].Request.URL)
	second, err2 := url.Parse(in.Entry[1].Request.URL)
	if err1 != nil || err2 != nil || (second.Path != "Invoice") != (first.Path == "Task") {
		return fmt.Errorf("%w: address of a search", errRequest)
	}
	switch first.Path {
	case "Task":
		return c.day(first.Query(), second)
	case "Patient":
		p, err := asked(first.Query(), map[string]string{"identifier": sidHIS + "patient-no", "_summary": ""})
		if err != nil {
			return err
		}
		i, err := asked(second.Query(), map[string]string{"subject:identifier": sidHIS + "patient-no", "status": "", "_count": ""})
		if err != nil {
			return err
		}
		if p["_summary"][0] != "count" || i["status"][0] != "issued" || i["subject:identifier"][0] != p["identifier"][0] {
			return fmt.Errorf("%w: a patient, and what he has to pay", errRequest)
		}
		c.path, c.members = "/his/v1/bills/pending", pendingRequest{PatientID: p["identifier"][0]}
		return nil
	case "PaymentReconciliation":
		p, err := asked(first.Query(), map[string]string{"identifier": sidOurs + "order-no"})
		if err != nil {
			return err
		}
		i, err := asked(second.Query(), map[string]string{"identifier": sidHIS + "bill-no"})
		if err != nil || second.Query().Get("_revinclude") != "PaymentNotice:request" {
			return fmt.Errorf("%w: what is to be included", errRequest)
		}
		c.path, c.members = "/his/v1/postings/query", queryRequest{OrderNo: p["identifier"][0], BillNos: i["identifier"]}
		return nil
	}
	return fmt.Errorf("%w: no such batch", errRequest)
}
