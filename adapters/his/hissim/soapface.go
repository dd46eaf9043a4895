package hissim

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/encoding/simplifiedchinese"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// This file is the same hospital behind the WebService of a made-up vendor, as those of hospital-and-compliance.md §2 S3 and S5: SOAP 1.1, GBK, a message as
// text in one parameter, names in camel case, amounts in yuan, numeric codes, an SM3 signature over the sorted elements. What it does is one
// hospital's work either way; only the words differ.

// soapFunctions are the vendor's functions and the operations behind them.
func soapFunctions() map[string]string {
	return map[string]string{
		"getMZPatient": "/his/v1/patients/find", "getMZFeeList": "/his/v1/bills/pending", "getMZFeeDetail": "/his/v1/bills/detail",
		"lockMZFee": "/his/v1/locks/acquire", "unlockMZFee": "/his/v1/locks/release", "ackPayOrder": "/his/v1/postings/post",
		"queryPayOrder": "/his/v1/postings/query", "applyRefund": "/his/v1/refunds/hold", "cancelRefund": "/his/v1/refunds/drop",
		"confirmRefund": "/his/v1/refunds/book", "queryRefund": "/his/v1/refunds/query",
		"ybPreSettle": "/his/v1/insurance/presettle", "ybSettle": "/his/v1/insurance/settle", "ybReverse": "/his/v1/insurance/reverse",
		"getRecordList": pathDay, "ybCancelSettle": "/his/v1/insurance/cancel", "ybQuerySettle": "/his/v1/insurance/query", "ybWithdrawFee": "/his/v1/insurance/withdraw",
	}
}

// soapCodes are the vendor's codes.
func soapCodes() map[string]string {
	return map[string]string{codeDone: "0", codeNone: "12", codeInvalid: "1", codeApp: "6", codeTimestamp: "7", codeNonce: "8", codeSignature: "9", codeReplay: "10",
		codeNotFound: "300301", codeAlreadyPaid: "300302", codeBillVoid: "300303", codeAmountWrong: "300304", codeLocked: "300305", codeLockExpired: "300306",
		codeBillChanged: "300307", codeDuplicate: "300308", codeNotRefundable: "13", codeSettled: "300601", codeInsurer: "300603", codeMaintenance: "98",
		codeInternal: "99"}
}

// soapWords are values that the vendor has numbers for, by member.
func soapWords() map[string]map[string]string {
	return map[string]map[string]string{
		"bill.state":       {"unpaid": "0", "paid": "1", "void": "2"},
		"posting.state":    {"not_posted": "0", "posted": "1", "paid_elsewhere": "2", "void": "3"},
		"refund.state":     {"none": "0", "held": "1", "booked": "2", "dropped": "9"},
		"settlement.state": {"not_settled": "0", "settled": "1", "cancelled": "2"},
		"record.kind":      {dayPayment: "1", dayRefund: "2"},
	}
}

const (
	soapNamespace = "http://his.example/mz/"
	soapLayout    = "2006-01-02 15:04:05"
	soapStamp     = "20060102150405"
	soapResult    = "Result"
)

// SOAPHandler serves the vendor's WebService at any path, with the plan's faults in front of it.
func (s *Sim) SOAPHandler() http.Handler {
	table, functions := s.offered(), soapFunctions()
	serve := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.serveSOAP(table, functions, w, r) })
	if s.config.Plan == nil {
		return serve
	}
	return remembering(s.config.Plan.Wrap(func(r *http.Request, body []byte) sandbox.Call {
		call, err := s.readSOAP(r, body)
		if err != nil {
			return sandbox.Call{}
		}
		o := table[functions[call.function]]
		return sandbox.Call{Op: o.op, Key: keyOf(call.members), Refusable: o.refuses, Priced: o.priced, Most: o.most}
	}, serve))
}

// soapCall is a request of the vendor's WebService.
type soapCall struct {
	function, nonce string
	utf8            bool
	members         []byte // in the words of docs/his-interface.md
}

var errSOAP = errors.New("hissim: not a call of this WebService")

// element is any element.
type element struct {
	XMLName  xml.Name
	Text     string    `xml:",chardata"`
	Children []element `xml:",any"`
}

func (e *element) child(name string) *element {
	for i := range e.Children {
		if e.Children[i].XMLName.Local == name {
			return &e.Children[i]
		}
	}
	return nil
}

func (e *element) textOf(name string) string {
	if c := e.child(name); c != nil {
		return strings.TrimSpace(c.Text)
	}
	return ""
}

// parseXML reads a document whose declaration may name any charset: it is in UTF-8 by then.
func parseXML(document []byte) (*element, error) {
	d := xml.NewDecoder(bytes.NewReader(document))
	d.CharsetReader = func(_ string, in io.Reader) (io.Reader, error) { return in, nil }
	var e element
	if err := d.Decode(&e); err != nil {
		return nil, fmt.Errorf("%w: %w", errSOAP, err)
	}
	return &e, nil
}

// readSOAP reads a call and checks its signature, as the vendor's server does: in GBK, and in UTF-8 for whoever says that he speaks it.
func (s *Sim) readSOAP(r *http.Request, body []byte) (soapCall, error) {
	_, kind, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return soapCall{}, errSOAP
	}
	inUTF8 := strings.EqualFold(kind["charset"], "utf-8")
	text := body
	if !inUTF8 {
		if text, err = simplifiedchinese.GBK.NewDecoder().Bytes(body); err != nil {
			return soapCall{}, errSOAP
		}
	}
	envelope, err := parseXML(text)
	if err != nil {
		return soapCall{}, err
	}
	in := envelope.child("Body")
	if envelope.XMLName.Local != "Envelope" || in == nil || len(in.Children) != 1 || in.Children[0].XMLName.Space != soapNamespace {
		return soapCall{}, errSOAP
	}
	root, err := parseXML([]byte(in.Children[0].textOf("reqXml")))
	if err != nil {
		return soapCall{}, err
	}
	call := soapCall{function: root.textOf("FUN_CODE"), nonce: root.textOf("NONCE"), utf8: inUTF8}
	at, err := time.ParseInLocation(soapStamp, root.textOf("TIME"), clock.Shanghai)
	switch {
	case root.XMLName.Local != "ROOT" || call.function != in.Children[0].XMLName.Local:
		return call, errSOAP
	case root.textOf("USER_ID") != s.config.App:
		return call, errApp
	case err != nil || s.gate.late(at, s.config.Clock.Now()):
		return call, errTimestamp
	case len(call.nonce) < 16 || len(call.nonce) > 64:
		return call, errNonce
	case !strings.EqualFold(root.textOf("SIGN"), s.soapSign(root.Children)) && !s.gate.lax(root.textOf("SIGN")):
		return call, errSignature
	}
	message, err := parseXML([]byte(root.textOf("REQ_DATA")))
	if err != nil {
		return call, err
	}
	members := map[string]any{}
	if err := fromVendor(message.Children, members); err != nil {
		return call, fmt.Errorf("%w: %w", errSOAP, err)
	}
	call.members, err = json.Marshal(members)
	return call, err
}

// soapSign is the vendor's signature: SM3 over the elements with a text, sorted, and the key.
func (s *Sim) soapSign(elements []element) string {
	var pairs []string
	for _, e := range elements {
		if text := strings.TrimSpace(e.Text); text != "" && e.XMLName.Local != "SIGN" {
			pairs = append(pairs, e.XMLName.Local+"="+text)
		}
	}
	slices.Sort(pairs)
	sum := gm.SM3([]byte(strings.Join(append(pairs, "KEY="+s.config.Secret.Reveal()), "&")))
	return hex.EncodeToString(sum[:])
}

func (s *Sim) serveSOAP(table map[string]operation, functions map[string]string, w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil || r.Method != http.MethodPost {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	call, err := s.readSOAP(r, body)
	if err == nil {
		err = s.gate.once(call.nonce, s.config.Clock.Now())
	}
	if errors.Is(err, errSOAP) || call.function == "" {
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, `<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><soap:Fault><faultcode>soap:Client</faultcode>`+
			`<faultstring>Bad request</faultstring></soap:Fault></soap:Body></soap:Envelope>`)
		return
	}
	if err != nil {
		s.answerSOAP(w, call, reply{code: gateCode(err)})
		return
	}
	o, ok := table[functions[call.function]]
	if !ok {
		s.answerSOAP(w, call, reply{code: codeInvalid})
		return
	}
	if s.broken(Slow) && o.op == "bills.pending" {
		_ = s.config.Clock.Sleep(r.Context(), 6*time.Second)
	}
	out, err := o.handle(s, r.Context(), call.members)
	switch {
	case errors.Is(err, errRequest):
		out = reply{code: codeInvalid, message: err.Error()}
	case err != nil:
		out = reply{code: codeInternal, message: "internal error"}
	}
	s.answerSOAP(w, call, out)
}

// answerSOAP writes and signs an answer.
func (s *Sim) answerSOAP(w http.ResponseWriter, call soapCall, out reply) {
	var data bytes.Buffer
	data.WriteString("<response>")
	if out.data != nil {
		text, err := marshal(out.data)
		var members any
		d := json.NewDecoder(bytes.NewReader(text))
		d.UseNumber()
		if err == nil {
			err = d.Decode(&members)
		}
		if err != nil {
			http.Error(w, "answer cannot be written", http.StatusInternalServerError)
			return
		}
		toVendor(&data, call.function, members)
	}
	data.WriteString("</response>")
	elements := []element{named("RETURN_CODE", soapCodes()[out.code]), named("RETURN_MSG", out.message), named("TIME", s.config.Clock.Now().In(clock.Shanghai).Format(soapStamp)),
		named("NONCE", call.nonce), named("RES_DATA", data.String())}
	elements = append(elements, named("SIGN", s.soapSign(elements)))
	var root bytes.Buffer
	root.WriteString("<ROOT>")
	for _, e := range elements {
		writeText(&root, e.XMLName.Local, e.Text)
	}
	root.WriteString("</ROOT>")
	var b bytes.Buffer
	charset := "GBK"
	if call.utf8 {
		charset = "UTF-8"
	}
	b.WriteString(`<?xml version="1.0" encoding="` + charset + `"?><soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body><` + call.function +
		`Response xmlns="` + soapNamespace + `"><` + call.function + soapResult + `>`)
	_ = xml.EscapeText(&b, root.Bytes())
	b.WriteString(`</` + call.function + soapResult + `></` + call.function + `Response></soap:Body></soap:Envelope>`)
	body := b.Bytes()
	if !call.utf8 {
		var err error
		if body, err = simplifiedchinese.GBK.NewEncoder().Bytes(body); err != nil {
			http.Error(w, "answer cannot be written", http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", "text/xml; charset="+charset)
	_, _ = w.Write(body)
}

func named(name, text string) element { return element{XMLName: xml.Name{Local: name}, Text: text} }

func writeText(b *bytes.Buffer, name, text string) {
	b.WriteString("<" + name + ">")
	_ = xml.EscapeText(b, []byte(text)) // a buffer takes everything
	b.WriteString("</" + name + ">")
}

// vendorName is a member's name at the vendor: bill_no is billNo, total_fen is totalAmt.
func vendorName(member string) string {
	member = strings.TrimSuffix(member, "_fen")
	var b strings.Builder
	up := false
	for _, r := range member {
		switch {
		case r == '_':
			up = true
		case up:
			b.WriteRune(unicode.ToUpper(r))
			up = false
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// toVendor writes members as the vendor does, in the order of their names. Kind is what the answer is about, for words that depend on it: its function, or the
// member around.
func toVendor(b *bytes.Buffer, kind string, value any) {
	object, _ := value.(map[string]any)
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		at := vendorName(name)
		switch v := object[name].(type) {
		case map[string]any:
			b.WriteString("<" + at + ">")
			toVendor(b, name, v)
			b.WriteString("</" + at + ">")
		case []any:
			b.WriteString("<" + at + "List>")
			for _, entry := range v {
				if text, bare := entry.(string); bare {
					writeText(b, "item", text)
					continue
				}
				b.WriteString("<item>")
				toVendor(b, name, entry)
				b.WriteString("</item>")
			}
			b.WriteString("</" + at + "List>")
		case json.Number:
			if strings.HasSuffix(name, "_fen") {
				fen, _ := v.Int64()
				writeText(b, at+"Amt", fmt.Sprintf("%d.%02d", fen/100, fen%100))
			} else {
				writeText(b, at, v.String())
			}
		case bool:
			writeText(b, at, map[bool]string{true: "1", false: "0"}[v])
		case string:
			writeText(b, at, vendorText(kind, name, v))
		}
	}
}

func vendorText(kind, name, text string) string {
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t.In(clock.Shanghai).Format(soapLayout)
	}
	if number, ok := soapWords()["record.kind"][text]; ok && kind == "records" && name == "kind" {
		return number
	}
	if name == "state" {
		if number, ok := soapWords()[stateOf(kind)][text]; ok {
			return number
		}
	}
	return text
}

// stateOf is whose state an answer of that kind tells.
func stateOf(kind string) string {
	switch {
	case kind == "bill", kind == "bills":
		return "bill.state"
	case kind == "queryPayOrder":
		return "posting.state"
	case strings.HasSuffix(kind, "Refund"):
		return "refund.state"
	case strings.HasPrefix(kind, "yb"):
		return "settlement.state"
	}
	return ""
}

// fromVendor reads a request of the vendor's.
func fromVendor(elements []element, members map[string]any) error {
	for _, e := range elements {
		name := memberName(e.XMLName.Local)
		text := strings.TrimSpace(e.Text)
		switch {
		case strings.HasSuffix(e.XMLName.Local, "List"):
			list := []any{}
			for _, item := range e.Children {
				if len(item.Children) == 0 {
					list = append(list, strings.TrimSpace(item.Text))
					continue
				}
				entry := map[string]any{}
				if err := fromVendor(item.Children, entry); err != nil {
					return err
				}
				list = append(list, entry)
			}
			members[memberName(strings.TrimSuffix(e.XMLName.Local, "List"))] = list
		case len(e.Children) > 0:
			object := map[string]any{}
			if err := fromVendor(e.Children, object); err != nil {
				return err
			}
			members[name] = object
		case text == "": // nothing is said
		case strings.HasSuffix(e.XMLName.Local, "Amt"):
			fen, err := money.ParseYuan(text)
			if err != nil {
				return err
			}
			members[memberName(strings.TrimSuffix(e.XMLName.Local, "Amt"))+"_fen"] = fen
		case strings.HasSuffix(e.XMLName.Local, "At"):
			t, err := time.ParseInLocation(soapLayout, text, clock.Shanghai)
			if err != nil {
				return err
			}
			members[name] = t.Format(time.RFC3339)
		case slices.Contains([]string{"whole", "note", "byHand", "useAccount"}, e.XMLName.Local):
			members[name] = text == "1"
		case slices.Contains([]string{"page", "pageSize"}, e.XMLName.Local):
			members[name] = json.Number(text)
		default:
			members[name] = text
		}
	}
	return nil
}

// memberName is the interface's name: billNo is bill_no.
func memberName(vendor string) string {
	var b strings.Builder
	for i, r := range vendor {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToLower(r))
	}
	return b.String()
}
