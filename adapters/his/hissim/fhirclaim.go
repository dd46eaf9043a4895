package hissim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// This file is the FHIR server's part of §3.12 to §3.17: Claims that are submitted, what is answered to them, and the operations that undo.

const (
	sidNHSA      = "http://nhsa.example/fhir/sid/"
	pathInsure   = "/his/v1/insurance/"
	predetermine = "predetermination"
	useClaim     = "claim"
)

// fhirNamed is a reference by number, or by name alone.
type fhirNamed struct {
	Identifier *fhirIdent `json:"identifier"`
	Display    string     `json:"display"`
}

func (n *fhirNamed) number(system string) string {
	if n == nil || n.Identifier == nil || n.Identifier.System != system {
		return ""
	}
	return n.Identifier.Value
}

// fhirClaim is a Claim, in the elements that this hospital reads.
type fhirClaim struct {
	ResourceType string       `json:"resourceType"`
	Status       string       `json:"status"`
	Use          string       `json:"use"`
	Type         fhirConcept  `json:"type"`
	Priority     *fhirConcept `json:"priority"` // R4 demands it, and the provider and the insurance
	Provider     *fhirNamed   `json:"provider"`
	Identifier   []fhirIdent  `json:"identifier"`
	Patient      *fhirNamed   `json:"patient"`
	Created      string       `json:"created"`
	Extension    []fhirExt    `json:"extension"`
	Related      []struct {
		Claim        *fhirNamed   `json:"claim"`
		Relationship *fhirConcept `json:"relationship"`
		Reference    fhirIdent    `json:"reference"`
	} `json:"related"`
	Insurance []struct {
		Sequence int        `json:"sequence"`
		Focal    bool       `json:"focal"`
		Coverage *fhirNamed `json:"coverage"`
	} `json:"insurance"`
	Item []struct {
		Extension []fhirExt   `json:"extension"`
		Sequence  int         `json:"sequence"`
		Product   fhirConcept `json:"productOrService"`
		Quantity  struct {
			Value json.Number `json:"value"`
		} `json:"quantity"`
		Net *fhirMoney `json:"net"`
	} `json:"item"`
	Total *fhirMoney `json:"total"`
}

// check refuses a Claim that is not whole.
func (in *fhirClaim) check() error {
	switch {
	case in.ResourceType != "Claim" || in.Status != "active" || len(in.Type.Coding) != 1 || in.Created == "" || in.Patient == nil || in.Provider == nil ||
		in.Priority == nil:
		return fmt.Errorf("%w: Claim", errRequest)
	case len(in.Insurance) != 1 || in.Insurance[0].Sequence != 1 || !in.Insurance[0].Focal || in.Insurance[0].Coverage == nil:
		return fmt.Errorf("%w: insurance", errRequest)
	case len(in.Related) != 1 || in.Related[0].Reference.System != sidOurs+"order-no":
		return fmt.Errorf("%w: of which order", errRequest)
	}
	return nil
}

// claim reads a Claim that is submitted: to be foreseen, or to be settled.
func (c *fhirCall) claim(body []byte) error {
	var in fhirClaim
	if err := read(body, &in); err != nil {
		return err
	}
	if err := in.check(); err != nil {
		return err
	}
	total, err := in.Total.fen()
	if err != nil {
		return err
	}
	order, pay := in.Related[0].Reference.Value, in.Insurance[0].Coverage.number(sidNHSA+"pay-auth-no")
	switch in.Use {
	case predetermine:
		lines, err := in.lines()
		c.path, c.members = pathInsure+"presettle", presettleRequest{OrderNo: order, ClaimNo: numberOf(in.Identifier, sidOurs+"claim-no"), TotalFen: total,
			PayAuthNo: pay, PatientID: in.Patient.number(sidHIS + "patient-no"), UseAccount: in.useAccount(), Lines: lines}
		return err
	case useClaim:
		c.path, c.members = pathInsure+"settle", settleRequest{OrderNo: order, ClaimNo: in.Related[0].Claim.number(sidOurs + "claim-no"), TotalFen: total,
			PatientID: in.Patient.number(sidHIS + "patient-no"), PayAuthNo: pay, SettleNo: numberOf(in.Identifier, sidOurs+"settle-no")}
		return nil
	}
	return fmt.Errorf("%w: use of the Claim", errRequest)
}

func (in *fhirClaim) useAccount() bool {
	use := extOf(in.Extension, extOurs+"use-account").Boolean
	return use != nil && *use
}

// lines are the items of a Claim, numbered from one.
func (in *fhirClaim) lines() ([]RefundLine, error) {
	var lines []RefundLine
	for i, item := range in.Item {
		bill, line := extOf(item.Extension, extOurs+"bill").Identifier, extOf(item.Extension, extOurs+"line").Identifier
		f, err := item.Net.fen()
		if err != nil || item.Sequence != i+1 || item.Product.Text == "" || bill == nil || bill.System != sidHIS+"bill-no" || line == nil ||
			line.System != sidHIS+"line-no" {
			return nil, fmt.Errorf("%w: an item of the Claim", errRequest)
		}
		lines = append(lines, RefundLine{BillNo: bill.Value, LineNo: line.Value, Quantity: item.Quantity.Value.String(), TotalFen: f})
	}
	return lines, nil
}

// undo reads the parameters of an operation that undoes a settlement, a cancellation or a claim.
func (c *fhirCall) undo(operation string, body []byte) error {
	p, err := readParameters(body)
	c.path = pathInsure + operation
	switch operation {
	case "reverse":
		c.members = reverseRequest{ReverseNo: p[sidOurs+"reverse-no"], VisitNo: p[sidHIS+"insured-visit-no"], Original: p["original"], OriginalNo: p["original-number"]}
	case "cancel":
		c.members = setlRequest{CancelNo: p[sidOurs+"cancel-no"], VisitNo: p[sidHIS+"insured-visit-no"], SetlID: p[sidNHSA+"setl-id"]}
	default:
		c.members = withdrawRequest{OrderNo: p[sidOurs+"order-no"], ClaimNo: p[sidOurs+"claim-no"]}
	}
	return err
}

// heardFHIR reads a request. Of which visit a settlement is, who asks for it need not know.
func (s *Sim) heardFHIR(r *http.Request, body []byte) (fhirCall, error) {
	call, err := readFHIR(r, body)
	if in, ok := call.members.(setlRequest); ok && call.path == pathInsure+"query" {
		s.mu.Lock()
		defer s.mu.Unlock()
		in.VisitNo = "none"
		if c, known := s.settledAt(in.SetlID); known {
			in.VisitNo = c.Visit.VisitNo
		}
		call.members = in
	}
	return call, err
}

// claimResponse is what a claim comes to: foreseen, or settled.
func (v speech) claimResponse(c claimView, patientID, status, now string) object {
	use, asked, created := predetermine, ident(sidOurs+"claim-no", c.ClaimNo), now
	if c.SetlID != "" {
		use, asked, created = useClaim, ident(sidOurs+"settle-no", c.SettleNo), c.SettledAt
	}
	more := []any{ext("claim", "valueIdentifier", ident(sidOurs+"claim-no", c.ClaimNo)),
		ext("visit", "valueIdentifier", ident(sidHIS+"insured-visit-no", c.VisitNo)), partsExt(c.Parts)}
	if c.MdtrtID != "" {
		more = append(more, ext("visit", "valueIdentifier", ident(sidHIS+"mdtrt-id", c.MdtrtID)))
	}
	more = said(said(said(more, "psn-no", "valueString", c.PsnNo), "insutype", "valueCode", c.Insutype), "insuplc-admdvs", "valueCode", c.CoverageArea)
	if c.BalanceFen != nil {
		more = append(more, ext("balance", "valueMoney", cny(*c.BalanceFen)))
	}
	var clearing []any
	for _, part := range [][2]string{{"optins", c.ClrOptins}, {"way", c.ClrWay}, {"type", c.ClrType}} {
		if part[1] != "" {
			clearing = append(clearing, inner(part[0], "valueCode", part[1]))
		}
	}
	if len(clearing) > 0 {
		more = append(more, object{"url": extOurs + "clearing", "extension": clearing})
	}
	o := object{"resourceType": "ClaimResponse", "id": fhirID(use+".", c.ClaimNo), "status": status, "use": use, "outcome": "complete", "created": created,
		"type": concept(hl7Terms+"claim-type", "professional"), "patient": patientRef(patientID), "extension": more,
		"insurer": object{"type": "Organization", "display": "医保经办机构"}, "request": object{"type": "Claim", "identifier": asked},
		"total": []any{object{"category": concept(hl7Terms+"adjudication", "submitted"), "amount": cny(c.TotalFen)}}}
	if c.SetlID != "" {
		o["identifier"] = []any{ident(sidNHSA+"setl-id", c.SetlID)}
	}
	return o
}

// fhirInsured answers §3.12 to §3.17; false: that is refused, or another operation's.
func (s *Sim) fhirInsured(call *fhirCall, out reply) (object, bool) {
	switch data := out.data.(type) {
	case claimView:
		s.mu.Lock()
		defer s.mu.Unlock()
		return call.claimResponse(data, s.state.claims[data.ClaimNo].PatientID, "active", wireTime(s.config.Clock.Now())), true
	case reverseAnswer:
		return undone(object{"name": "number", "valueIdentifier": ident(sidOurs+"reverse-no", data.ReverseNo)}, strings.ReplaceAll(data.State, "_", "-")), true
	case setlAnswer:
		if call.path == pathInsure+"query" {
			return searchset([]any{s.settlement(call.speech, data)}, nil), true
		}
		return undone(object{"name": "settlement", "valueIdentifier": ident(sidNHSA+"setl-id", data.SetlID)}, data.State), true
	}
	in, withdrawn := call.members.(withdrawRequest)
	switch {
	case withdrawn && (out.code == codeDone || out.code == codeNone):
		return parameters(out.code == codeDone, map[string]object{"number": ident(sidOurs+"claim-no", in.ClaimNo)}), true
	case call.path == pathInsure+"query" && out.code == codeNotFound:
		return searchset(nil, nil), true
	}
	return nil, false
}

// undone are the parameters that an operation which undoes is answered with.
func undone(number object, state string) object {
	return object{"resourceType": "Parameters", "parameter": []any{number, object{"name": "state", "valueCode": state}}}
}

// settlement is a settlement as it was made, and whether it stands.
func (s *Sim) settlement(v speech, a setlAnswer) object {
	s.mu.Lock()
	defer s.mu.Unlock()
	status := "active"
	if a.State == claimCancelled {
		status = "cancelled"
	}
	c, _ := s.settledAt(a.SetlID)
	c.State = claimSettled // as it was, whatever became of it
	return v.claimResponse(viewClaim(c), c.PatientID, status, "")
}

// reasoned puts the insurer's words into an OperationOutcome, unless they are blank: FHIR has no blank texts.
func reasoned(outcome object, words string) object {
	if strings.TrimSpace(words) != "" {
		first, _ := outcome["issue"].([]any)[0].(object) //nolint:forcetypeassert // made by outcome
		first["details"].(object)["text"] = words        //nolint:forcetypeassert // likewise
	}
	return outcome
}
