package his_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// This file holds everything that is said in FHIR against HL7's own definitions (testdata, trimmed by .ci/interop/fhir.js): elements that there are, how often
// they stand, of which type they are, and the codes where HL7 lists them.

// overheard writes down what is said over a wire.
func (w *ward) overheard(wire http.RoundTripper) http.RoundTripper {
	keep := func(h http.Header, body []byte) {
		if strings.HasPrefix(h.Get("Content-Type"), "application/fhir+json") {
			w.fhir = append(w.fhir, string(body))
		}
	}
	return tripper(func(r *http.Request) (*http.Response, error) {
		asked, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		keep(r.Header, asked)
		r.Body = io.NopCloser(bytes.NewReader(asked))
		res, err := wire.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		answered, err := io.ReadAll(res.Body)
		keep(res.Header, answered)
		res.Body = io.NopCloser(bytes.NewReader(answered))
		return res, err
	})
}

type tripper func(*http.Request) (*http.Response, error)

func (t tripper) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// definitions are what resources are made of.
type definitions struct {
	elements map[string]map[string]element // by what they are elements of, then by name
	forms    map[string]*regexp.Regexp     // of primitive types
}

type element struct {
	min, max string
	types    []string
	codes    []string
}

func readDefinitions(t *testing.T, version string) *definitions {
	t.Helper()
	text, err := os.ReadFile("testdata/fhir-" + version + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	d := &definitions{elements: map[string]map[string]element{}, forms: map[string]*regexp.Regexp{}}
	for line := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n") {
		f := strings.Split(line, "\t")
		if name, primitive := strings.CutPrefix(f[0], "="); primitive {
			form, err := regexp.Compile("^(?s:" + strings.Replace(f[1], "}})?", "})?", 1) + ")$") // R5's form of a decimal has a bracket too many
			if err != nil {
				form = regexp.MustCompile(`^\S+$`) // one that Go does not read: base64Binary's look-ahead
			}
			d.forms[name] = form
			continue
		}
		if len(f) < 5 {
			continue // the head
		}
		of, name := f[0][:strings.LastIndex(f[0], ".")], f[0][strings.LastIndex(f[0], ".")+1:]
		if d.elements[of] == nil {
			d.elements[of] = map[string]element{}
		}
		d.elements[of][name] = element{min: f[1], max: f[2], types: strings.Split(f[3], ","), codes: strings.FieldsFunc(f[4], func(r rune) bool { return r == ',' })}
	}
	return d
}

// resource checks a resource.
func (d *definitions) resource(value any) error {
	object, ok := value.(map[string]any)
	kind, _ := object["resourceType"].(string)
	if !ok || d.elements[kind] == nil {
		return fmt.Errorf("no resource of a known type: %q", kind)
	}
	return d.object(kind, object)
}

// find is the element that a member is, and its type: valueMoney is value[x] as Money.
func (d *definitions) find(of, name string) (element, string, bool) {
	if e, ok := d.elements[of][name]; ok {
		return e, e.types[0], true
	}
	for choice, e := range d.elements[of] {
		stem, isChoice := strings.CutSuffix(choice, "[x]")
		kind, ok := strings.CutPrefix(name, stem)
		if !isChoice || !ok {
			continue
		}
		for _, t := range e.types {
			if strings.ToUpper(t[:1])+t[1:] == kind {
				return e, t, true
			}
		}
	}
	return element{}, "", false
}

func (d *definitions) object(of string, object map[string]any) error {
	if len(object) == 0 {
		return fmt.Errorf("%s is empty", of)
	}
	seen := map[string]bool{}
	for name, value := range object {
		if name == "resourceType" {
			continue
		}
		e, kind, ok := d.find(of, name)
		if !ok {
			return fmt.Errorf("%s has no element %s", of, name)
		}
		for known := range d.elements[of] {
			if stem, isChoice := strings.CutSuffix(known, "[x]"); known == name || (isChoice && strings.HasPrefix(name, stem)) {
				seen[known] = true
			}
		}
		list, many := value.([]any)
		if many != (e.max == "*") || (many && len(list) == 0) {
			return fmt.Errorf("%s.%s stands otherwise than up to %s times", of, name, e.max)
		}
		if !many {
			list = []any{value}
		}
		for _, entry := range list {
			if err := d.value(of+"."+name, kind, e, entry); err != nil {
				return err
			}
		}
	}
	for name, e := range d.elements[of] {
		if e.min != "0" && !seen[name] {
			return fmt.Errorf("%s.%s is missing", of, name)
		}
	}
	return nil
}

func (d *definitions) value(at, kind string, e element, value any) error {
	object, isObject := value.(map[string]any)
	form, primitive := d.forms[kind]
	switch {
	case kind == "Resource":
		return d.resource(value)
	case primitive:
		text, isText := value.(string)
		number, isNumber := value.(json.Number)
		flag, isFlag := value.(bool)
		said := text
		if isNumber {
			said = number.String()
		} else if isFlag {
			said = fmt.Sprint(flag)
		}
		wantNumber := slices.Contains([]string{"decimal", "integer", "positiveInt", "unsignedInt"}, kind)
		if isNumber != wantNumber || isFlag != (kind == "boolean") || (!isText && !isNumber && !isFlag) || said == "" || !form.MatchString(said) {
			return fmt.Errorf("%s is no %s: %v", at, kind, value)
		}
		if len(e.codes) > 0 && !slices.Contains(e.codes, said) {
			return fmt.Errorf("%s: HL7 has no code %q", at, said)
		}
		return nil
	case !isObject:
		return fmt.Errorf("%s is no %s", at, kind)
	case strings.HasPrefix(kind, "#"):
		return d.object(kind[1:], object)
	case kind == "BackboneElement" || (kind == "Element" && d.elements[at] != nil):
		return d.object(at, object)
	case d.elements[kind] == nil:
		return errors.New(at + ": no definition of " + kind)
	}
	return d.object(kind, object)
}

func (d *definitions) document(text string) error {
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.UseNumber()
	var value any
	if err := decoder.Decode(&value); err != nil {
		return err
	}
	return d.resource(value)
}

// playFHIR plays every story in FHIR, and gives what was said by resource.
func playFHIR(t *testing.T, version string) (said []string) {
	t.Helper()
	for _, s := range speakers {
		if s.name != "fhir "+version {
			continue
		}
		for linked, all := range map[bool]map[string]func(w *ward){false: stories, true: insuredStories} {
			for _, story := range all {
				w := newWard(t, s.open, linked)
				story(w)
				said = append(said, w.fhir...)
			}
		}
	}
	return said
}

// TestFHIRIsHL7s: every resource that client and simulator send is one of HL7's.
func TestFHIRIsHL7s(t *testing.T) {
	t.Parallel()
	for _, version := range []string{"R5", "R4"} {
		d, kinds := readDefinitions(t, version), map[string]int{}
		for _, text := range playFHIR(t, version) {
			if err := d.document(text); err != nil {
				t.Errorf("%s: %v in %s", version, err, text)
			}
			for _, m := range regexp.MustCompile(`"resourceType":"([A-Za-z]+)"`).FindAllStringSubmatch(text, -1) {
				kinds[m[1]]++
			}
		}
		if len(kinds) != 13 {
			t.Errorf("%s: seen %v, want thirteen kinds of resources", version, kinds)
		}
	}
}

// TestDefinitionsRefuse: what is not FHIR is told.
func TestDefinitionsRefuse(t *testing.T) {
	t.Parallel()
	d := readDefinitions(t, "R5")
	good := `{"resourceType":"Task","status":"requested","intent":"order","input":[{"type":{"text":"total"},"valueMoney":{"value":19.17,"currency":"CNY"}}]}`
	if err := d.document(good); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct{ old, fresh, want string }{
		{`"intent":"order",`, ``, "Task.intent is missing"},
		{`"requested"`, `"asked"`, "no code"},
		{`19.17`, `"19.17"`, "is no decimal"},
		{`"valueMoney"`, `"valueFen"`, "no element valueFen"},
		{`"type":{"text":"total"}`, `"type":[{"text":"total"}]`, "otherwise than"},
		{`,"valueMoney":{"value":19.17,"currency":"CNY"}`, ``, "value[x] is missing"},
		{`"currency":"CNY"`, `"unit":"CNY"`, "no element unit"},
		{`"resourceType":"Task"`, `"resourceType":"Tasks"`, "known type"},
	} {
		if err := d.document(strings.Replace(good, tt.old, tt.fresh, 1)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q", tt.fresh, err, tt.want)
		}
	}
}
