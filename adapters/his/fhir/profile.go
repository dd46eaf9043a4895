package fhir

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Profile says in YAML how a hospital's FHIR server says what docs/his-interface.md says: names, paths, codes and addresses. docs/his-fhir.md explains it.
type Profile struct {
	Name       string               `yaml:"name"`
	Version    string               `yaml:"version"`    // R5 or R4
	Names      map[string]string    `yaml:"names"`      // what %name stands for
	Operations map[string]Operation `yaml:"operations"` // by the interface's name: "bills/pending"
	Shapes     map[string]Shape     `yaml:"shapes"`
}

// Operation is how one of the interface's is asked: by searches, by a conditional create, or by a call of an operation of the server's.
type Operation struct {
	Search   []string `yaml:"search"`    // "Type?query"; {member} is one of the request's
	SearchR4 []string `yaml:"search_r4"` // where R4 searches otherwise
	Create   string   `yaml:"create"`    // shape of what is created
	Once     string   `yaml:"once"`      // query that finds it when it is there already
	Call     string   `yaml:"call"`      // "Type/$name"
	With     string   `yaml:"with"`      // shape of its parameters, and of its answer's
	Answered string   `yaml:"answered"`  // of insurance/*: shape of its answer, where it is another
}

// heard is the shape of a call's answer.
func (o *Operation) heard() string { return cmp.Or(o.Answered, o.With) }

// Shape is a resource.
type Shape struct {
	Type   string  `yaml:"type"`
	Fields []Field `yaml:"fields"`
}

// Field is one value: a member of the interface and a path in the resource. In a list it stands for every entry.
type Field struct {
	Member string            `yaml:"member"` // path in the interface's JSON: "parts/cash_fen"; "." in a list of bare values
	Path   string            `yaml:"path"`
	R4     string            `yaml:"r4"`     // the path in R4, where it is another
	As     string            `yaml:"as"`     // money, figure, number, flag, time, count; empty: text
	Values map[string]string `yaml:"values"` // FHIR's value: the interface's
	Const  *string           `yaml:"const"`  // what is always written, and must stand in an answer
	In     string            `yaml:"in"`     // request, answer; empty: both
	Each   []Field           `yaml:"each"`   // Member and Path are a list, of which every entry has these

	path path
}

const (
	inRequest = "request"
	inAnswer  = "answer"
	versionR4 = "R4"

	opStanding = "insurance/query"
	opDay      = "statements/list"
)

var (
	needed   = []string{"patients/find", "bills/pending", "bills/detail", "locks/acquire", "locks/release", "postings/post", "postings/query"}
	optional = []string{"refunds/hold", "refunds/drop", "refunds/book", "refunds/query", opDay}
	insuring = []string{"insurance/presettle", "insurance/settle", "insurance/reverse", "insurance/cancel", opStanding, "insurance/withdraw"}
	shapes   = []string{"patient", "summary", "bill", "lock", "release", "posting", "paid", "hold", "drop", "booking", "refusal"}
	ofDay    = []string{"closing", "entry"} // shapes of statements/list alone
	kinds    = []string{"", "money", "figure", "number", "flag", "time", "count"}

	memberForm = regexp.MustCompile(`^(\.|[a-z_]+(/[a-z_]+)*)$`)
	searchForm = regexp.MustCompile(`^[A-Z][A-Za-z]+\?`)
	holeForm   = regexp.MustCompile(`(?:%([a-zA-Z]+)\|)?\{([a-z_]+)\}`)
)

// ParseProfile reads a profile and checks it; every fault is reported, with its place.
func ParseProfile(text []byte) (*Profile, error) {
	p := &Profile{}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(p); err != nil {
		return nil, fmt.Errorf("profile: %w", err)
	}
	return p, p.check()
}

// faults collects what is wrong.
type faults []error

func (f *faults) add(at, format string, args ...any) {
	*f = append(*f, fmt.Errorf("%s: "+format, append([]any{at}, args...)...))
}

func (p *Profile) check() error {
	var f faults
	if p.Version != "R5" && p.Version != versionR4 {
		f.add("version", "is R5 or R4, not %q", p.Version)
	}
	for name, text := range p.Names {
		if u, err := url.Parse(text); err != nil || u.Scheme == "" {
			f.add("names."+name, "%q is no URI", text)
		}
	}
	for _, name := range needed {
		if _, ok := p.Operations[name]; !ok {
			f.add("operations."+name, "is missing")
		}
	}
	for name, o := range p.Operations {
		if !slices.Contains(slices.Concat(needed, optional, insuring), name) {
			f.add("operations."+name, "docs/his-interface.md has no such operation")
		}
		p.checkOperation(&f, name, o)
	}
	must := slices.Clone(shapes)
	if _, ok := p.Operations[opDay]; ok {
		must = append(must, ofDay...)
	}
	read := slices.Clone(must)
	for _, name := range insuring {
		if o, ok := p.Operations[name]; ok {
			read = append(read, o.With, o.heard())
		}
	}
	for _, name := range must {
		if _, ok := p.Shapes[name]; !ok {
			f.add("shapes."+name, "is missing")
		}
	}
	written := map[string]bool{}
	for _, o := range p.Operations {
		written[o.Create], written[o.With] = true, true
	}
	for name, s := range p.Shapes {
		if s.Type == "" {
			f.add("shapes."+name, "has no type")
		}
		if !slices.Contains(read, name) {
			f.add("shapes."+name, "nothing reads such a shape")
		}
		p.checkFields(&f, "shapes."+name, s.Fields, true)
		if written[name] {
			checkWritten(&f, "shapes."+name, s.Fields)
		}
	}
	return errors.Join(f...)
}

// Links reports every operation that the profile lacks for a hospital that settles by its own line to the insurer (docs/his-interface.md §3.12 to §3.17); nil:
// it has all six.
func (p *Profile) Links() error {
	var f faults
	for _, name := range insuring {
		if _, ok := p.Operations[name]; !ok {
			f.add("operations."+name, "is missing")
		}
	}
	return errors.Join(f...)
}

func (p *Profile) checkOperation(f *faults, name string, o Operation) {
	at, ways := "operations."+name, 0
	for _, given := range []bool{len(o.Search) > 0, o.Create != "", o.Call != ""} {
		if given {
			ways++
		}
	}
	if ways != 1 || (o.Create == "") != (o.Once == "") || (o.Call == "") != (o.With == "") {
		f.add(at, "is a search, a create with once, or a call with parameters")
	}
	switch insures := slices.Contains(insuring, name); {
	case insures && (len(o.Search) > 0) != (name == opStanding), insures && o.Create != "":
		f.add(at, "is a call; of insurance/*, %s alone is a search", opStanding)
	case name == opStanding && (len(o.Search) != 1 || o.Answered == ""):
		f.add(at, "is one search, with the shape that it is answered with")
	case name == opDay && len(o.Search) != 2:
		f.add(at, "is two searches: the day's closing, and its entries")
	case !insures && o.Answered != "":
		f.add(at+".answered", "is for insurance/* alone")
	}
	for _, shape := range []string{o.Create, o.With, o.Answered} {
		if _, ok := p.Shapes[shape]; shape != "" && !ok {
			f.add(at, "there is no shape %q", shape)
		}
	}
	for _, search := range slices.Concat(o.Search, o.SearchR4) {
		if !searchForm.MatchString(search) {
			f.add(at, "%q is not a search", search)
		}
		p.checkNames(f, at, search)
	}
	p.checkNames(f, at, o.Once)
}

func (p *Profile) checkNames(f *faults, at, query string) {
	for _, m := range holeForm.FindAllStringSubmatch(query, -1) {
		if m[1] != "" && p.Names[m[1]] == "" {
			f.add(at, "%%%s is not among the names", m[1])
		}
	}
}

// checkFields checks fields, and reads their paths.
func (p *Profile) checkFields(f *faults, at string, fields []Field, top bool) {
	read := map[string]bool{}
	for i := range fields {
		x, here := &fields[i], fmt.Sprintf("%s[%d]", at, i)
		var err error
		text := x.Path
		if p.Version == versionR4 && x.R4 != "" {
			text = x.R4
		}
		if x.path, err = parsePath(text, p.Names); err != nil {
			f.add(here+".path", "%v", err)
		}
		if x.R4 != "" && p.Version != versionR4 {
			if _, err := parsePath(x.R4, p.Names); err != nil {
				f.add(here+".r4", "%v", err)
			}
		}
		x.Path = text
		switch {
		case (x.Member == "") == (x.Const == nil):
			f.add(here, "is a member or a constant")
		case x.Member != "" && !memberForm.MatchString(x.Member):
			f.add(here, "%q is not a path of members", x.Member)
		case strings.HasSuffix(x.Member, "_fen") && (x.As != "money" || len(x.Values) > 0):
			f.add(here+".as", "%s is an amount in fen: as money, without values", x.Member)
		case x.Member != "" && x.In != inRequest && read[x.Member]:
			f.add(here, "%s stands there twice", x.Member)
		case x.Member == "." && top:
			f.add(here, "a bare value stands in a list")
		case !slices.Contains(kinds, x.As):
			f.add(here+".as", "is one of%s, not %q", strings.Join(kinds, " "), x.As)
		case !slices.Contains([]string{"", inRequest, inAnswer}, x.In):
			f.add(here+".in", "is request, answer or empty, not %q", x.In)
		case x.Const != nil && x.As != "" && x.In != inRequest:
			f.add(here, "a constant of an answer is a text")
		case x.Const != nil && x.As == "flag" && *x.Const != "true" && *x.Const != "false":
			f.add(here, "a constant flag is true or false, not %q", *x.Const)
		}
		read[x.Member] = read[x.Member] || x.In != inRequest
		if len(x.Each) > 0 {
			p.checkFields(f, here+".each", x.Each, false)
		}
	}
}

// checkWritten checks the paths at which something is written: names and conditions; of a list one name and its conditions.
func checkWritten(f *faults, at string, fields []Field) {
	for i := range fields {
		x, here := &fields[i], fmt.Sprintf("%s[%d]", at, i)
		if x.In == inAnswer {
			continue
		}
		for j, s := range x.path {
			if s.kind != member && (s.kind != where || j == 0) || (s.kind == member && j > 0 && len(x.Each) > 0) {
				f.add(here+".path", "%q: such a path is for reading", x.Path)
			}
		}
		if len(x.path) == 0 {
			f.add(here+".path", "%q: such a path is for reading", x.Path)
		}
		checkWritten(f, here+".each", x.Each)
	}
}

// query fills a query: {member} is one of the request's, escaped; with a system before it, each of a list's.
func (p *Profile) query(template string, members map[string]any) (url.Values, error) {
	var err error
	text := holeForm.ReplaceAllStringFunc(template, func(hole string) string {
		m := holeForm.FindStringSubmatch(hole)
		var values []string
		for _, v := range flat(members[m[2]]) {
			value, ok := v.(string)
			if !ok || value == "" {
				err = fmt.Errorf("%s is no text", m[2])
			}
			value = strings.NewReplacer(`\`, `\\`, `$`, `\$`, `,`, `\,`, `|`, `\|`).Replace(value)
			if m[1] != "" {
				value = p.Names[m[1]] + "|" + value
			}
			values = append(values, value)
		}
		if len(values) == 0 {
			err = fmt.Errorf("%s is missing", m[2])
		}
		return url.QueryEscape(strings.Join(values, ","))
	})
	if err != nil {
		return nil, err
	}
	return url.ParseQuery(text)
}
