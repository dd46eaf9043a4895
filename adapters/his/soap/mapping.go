package soap

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/tuoka/tuoka/adapters/his"
)

// Mapping says in YAML how a vendor says what docs/his-interface.md says: names, units, codes and paths. docs/his-guide.md explains it by an example.
type Mapping struct {
	Name       string               `yaml:"name"`
	Service    Service              `yaml:"service"`
	Operations map[string]Operation `yaml:"operations"` // by the interface's name: "bills/pending"
}

// Service is how messages travel. {function} stands for the operation's function.
type Service struct {
	SOAP      string `yaml:"soap"`      // "1.1" or "1.2"; empty: the message itself is posted
	Path      string `yaml:"path"`      // below the hospital's base_url
	Namespace string `yaml:"namespace"` // of the call's element
	Action    string `yaml:"action"`    // SOAPAction
	Call      string `yaml:"call"`      // the element in the body: "{function}"
	Parameter string `yaml:"parameter"` // what holds the message in it, as text
	Result    string `yaml:"result"`    // path in the answer's body to what holds the answer, as text: "{function}Response/{function}Result"
	CDATA     bool   `yaml:"cdata"`     // the message stands in a CDATA section, not escaped
	Charset   string `yaml:"charset"`   // UTF-8, GBK, GB2312 or GB18030
	Root      string `yaml:"root"`      // the first element of what is sent
	Sign      *Sign  `yaml:"sign"`      // nil: nothing is signed, which a production configuration does not allow
}

// Sign is how messages are signed, both ways: the vendor's function over the message's elements, sorted, with the key at the end (§2 S3 of the
// hospital reference), or HMAC-SM3 over the same text without the key.
type Sign struct {
	Kind     string `yaml:"kind"`     // md5, sm3 or hmac-sm3
	Root     string `yaml:"root"`     // the first element around the message
	Function string `yaml:"function"` // element for the function's name; empty: none
	User     string `yaml:"user"`     // element for our name at the hospital
	Time     string `yaml:"time"`     // element for the time, in Layout
	Layout   string `yaml:"layout"`
	Nonce    string `yaml:"nonce"`  // element for a number used once, which the answer repeats
	Body     string `yaml:"body"`   // element that holds the message proper, as text
	Answer   string `yaml:"answer"` // and in an answer; empty: the same
	Sign     string `yaml:"sign"`   // element for the signature
	Code     string `yaml:"code"`   // the answer's element for its code, which is signed like the others
	Key      string `yaml:"key"`    // name under which the key is appended: "KEY"
}

// Operation is one of the interface's in the vendor's words.
type Operation struct {
	Function string  `yaml:"function"`
	Request  []Field `yaml:"request"`
	Answer   Answer  `yaml:"answer"`
}

// Answer is how an answer is read.
type Answer struct {
	Code  string            `yaml:"code"`  // path of the result code, from the message's first element
	Codes map[string]string `yaml:"codes"` // the vendor's code: the interface's. Any other proves nothing
	Data  []Field           `yaml:"data"`
}

// Field is one value: a member of the interface and an element of the vendor's. In a list it stands for every entry.
type Field struct {
	Member  string            `yaml:"member"`  // path in the interface's JSON: "parts/cash_fen"; "." in a list of bare values
	Element string            `yaml:"element"` // path in the vendor's XML
	As      string            `yaml:"as"`      // text, number, fen, yuan, figure, time, flag; empty: text
	Layout  string            `yaml:"layout"`  // of a time, in Go's way
	Values  map[string]string `yaml:"values"`  // the vendor's value: the interface's
	Const   *string           `yaml:"const"`   // the value, whatever was said
	Default *string           `yaml:"default"` // the vendor's value where nothing is said
	Asked   string            `yaml:"asked"`   // answers only: the request's member, which the vendor does not repeat
	Part    int               `yaml:"part"`    // the n-th part of the interface's value, from 1, which Separator divides
	Join    []string          `yaml:"join"`    // answers only: elements that together, with Separator between, are the value
	Between string            `yaml:"between"` // the separator
	Count   string            `yaml:"count"`   // answers only: how many entries that member has
	Sum     string            `yaml:"sum"`     // answers only: the sum of that member over a list: "bills/total_fen"
	Each    []Field           `yaml:"each"`    // Member and Element are a list, of which every entry has these
	Always  bool              `yaml:"always"`  // requests only: an empty element where there is no value
	When    string            `yaml:"when"`    // answers only: what this stands below exists, and is not empty
}

// operations are those that a mapping must have, in the order of docs/his-interface.md, and those that it may lack: no refunds on the phone then, no
// insurance by the hospital's own line, or no day's list.
var (
	needed    = []string{"patients/find", "bills/pending", "bills/detail", "locks/acquire", "locks/release", "postings/post", "postings/query"}
	refunds   = []string{"refunds/hold", "refunds/drop", "refunds/book", "refunds/query"}
	insurance = []string{"insurance/presettle", "insurance/settle", "insurance/reverse", "insurance/cancel", "insurance/query", "insurance/withdraw"}
	optional  = slices.Concat(refunds, insurance, []string{"statements/list"})
)

var (
	kinds    = []string{"", "text", "number", "fen", "yuan", "figure", "time", "flag"}
	signs    = []string{"md5", "sm3", "hmac-sm3"}
	xmlPath  = regexp.MustCompile(`^(\.|[\pL_][\pL\pN_.-]*(/[\pL_][\pL\pN_.-]*)*)$`)
	jsonPath = regexp.MustCompile(`^(\.|[a-z_]+(/[a-z_]+)*)$`)
)

const functions = "{function}"

// ParseMapping reads a mapping and checks it; every fault is reported, with its place.
func ParseMapping(text []byte) (*Mapping, error) {
	m := &Mapping{}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(m); err != nil {
		return nil, fmt.Errorf("mapping: %w", err)
	}
	return m, m.check()
}

// Links reports every operation that the mapping lacks for a hospital that settles by its own line to the insurer (docs/his-interface.md §3.12 to §3.17);
// nil: it has all six.
func (m *Mapping) Links() error {
	var f faults
	m.has(&f, insurance)
	return errors.Join(f...)
}

// has reports those of the operations that the mapping lacks.
func (m *Mapping) has(f *faults, operations []string) {
	for _, name := range operations {
		if _, ok := m.Operations[name]; !ok {
			f.add("operations."+name, "is missing")
		}
	}
}

// faults collects what is wrong.
type faults []error

func (f *faults) add(at, format string, args ...any) {
	*f = append(*f, fmt.Errorf("%s: "+format, append([]any{at}, args...)...))
}

func (m *Mapping) check() error {
	var f faults
	m.Service.check(&f)
	m.has(&f, needed)
	for name, o := range m.Operations {
		at := "operations." + name
		if !slices.Contains(needed, name) && !slices.Contains(optional, name) {
			f.add(at, "docs/his-interface.md has no such operation")
		}
		if o.Function == "" {
			f.add(at+".function", "is missing")
		}
		checkFields(&f, at+".request", o.Request, true)
		if signed := m.Service.Sign != nil && m.Service.Sign.Code != ""; signed != (o.Answer.Code == "") {
			f.add(at+".answer.code", "says where the code is unless service.sign.code does")
		} else if !signed && !xmlPath.MatchString(o.Answer.Code) {
			f.add(at+".answer.code", "%q is not a path of elements", o.Answer.Code)
		}
		if !slices.ContainsFunc(valuesOf(o.Answer.Codes), func(code string) bool { return code == "0" }) {
			f.add(at+".answer.codes", "no code means done (\"0\")")
		}
		for theirs, ours := range o.Answer.Codes {
			if !his.KnownCode(ours) {
				f.add(at+".answer.codes", "%q: docs/his-interface.md has no code %q", theirs, ours)
			}
		}
		checkFields(&f, at+".answer.data", o.Answer.Data, false)
	}
	return errors.Join(f...)
}

func valuesOf(m map[string]string) (values []string) {
	for _, v := range m {
		values = append(values, v)
	}
	return values
}

func (s *Service) check(f *faults) {
	if !slices.Contains([]string{"", "1.1", "1.2"}, s.SOAP) {
		f.add("service.soap", "is 1.1, 1.2 or empty, not %q", s.SOAP)
	}
	if _, ok := charsets[s.Charset]; !ok {
		f.add("service.charset", "is UTF-8, GBK, GB2312 or GB18030, not %q", s.Charset)
	}
	for _, need := range []struct{ key, value string }{{"call", s.Call}, {"parameter", s.Parameter}, {"result", s.Result}, {"namespace", s.Namespace}} {
		if s.SOAP != "" && need.value == "" {
			f.add("service."+need.key, "is missing")
		}
	}
	if !xmlPath.MatchString(s.Root) || strings.Contains(s.Root, "/") {
		f.add("service.root", "%q is not an element", s.Root)
	}
	if s.Sign == nil {
		return
	}
	if !slices.Contains(signs, s.Sign.Kind) {
		f.add("service.sign.kind", "is one of %s, not %q", strings.Join(signs, ", "), s.Sign.Kind)
	}
	if s.Sign.Sign == "" || s.Sign.Body == "" || s.Sign.Root == "" {
		f.add("service.sign", "root, body or sign is missing")
	}
	if (s.Sign.Kind == "hmac-sm3") != (s.Sign.Key == "") {
		f.add("service.sign.key", "names the key for md5 and sm3, and nothing for hmac-sm3")
	}
	if (s.Sign.Time == "") != (s.Sign.Layout == "") {
		f.add("service.sign.layout", "goes with time")
	}
}

// checkFields checks a list of fields: of a request, or of an answer.
func checkFields(f *faults, at string, fields []Field, request bool) {
	read := map[string]bool{}
	for i := range fields {
		x, here := &fields[i], fmt.Sprintf("%s[%d]", at, i)
		sources := 0
		for _, given := range []bool{x.Const != nil, x.Asked != "", len(x.Join) > 0, x.Count != "", x.Sum != "", x.Element != "" && !request, x.Member != "" && request} {
			if given {
				sources++
			}
		}
		switch {
		case sources != 1:
			f.add(here, "takes its value from one place, not from %d", sources)
		case request && (len(x.Join) > 0 || x.Asked != "" || x.Count != "" || x.Sum != "" || x.When != ""):
			f.add(here, "join, asked, count, sum and when are for answers")
		case !request && (x.Part != 0 || x.Always):
			f.add(here, "part and always are for requests")
		}
		if request != (x.Element != "") && request {
			f.add(here+".element", "is missing")
		}
		if !request && x.Member == "" {
			f.add(here+".member", "is missing")
		}
		for _, path := range append([]string{x.Element, x.When}, x.Join...) {
			if path != "" && !xmlPath.MatchString(path) {
				f.add(here, "%q is not a path of elements", path)
			}
		}
		for _, path := range []string{x.Member, x.Asked, x.Count, x.Sum} {
			if path != "" && !jsonPath.MatchString(path) {
				f.add(here, "%q is not a path of members", path)
			}
		}
		if !slices.Contains(kinds, x.As) {
			f.add(here+".as", "is one of%s, not %q", strings.Join(kinds, " "), x.As)
		}
		if strings.HasSuffix(x.Member, "_fen") && x.Asked == "" && x.Sum == "" && ((x.As != "fen" && x.As != "yuan") || len(x.Values) > 0) {
			f.add(here+".as", "%s is an amount in fen: as fen or yuan, without values", x.Member)
		}
		if !request && x.When == "" { // what stands under a condition may have another field for where it is not met
			if read[x.Member] && x.Member != "" {
				f.add(here, "%s stands there twice", x.Member)
			}
			read[x.Member] = true
		}
		if (x.As == "time") != (x.Layout != "") {
			f.add(here+".layout", "goes with as: time")
		}
		if (x.Part != 0 || len(x.Join) > 0) && x.Between == "" {
			f.add(here+".between", "is missing")
		}
		if len(x.Each) > 0 {
			checkFields(f, here+".each", x.Each, request)
		}
	}
}
