package main

import (
	"go/ast"
	"go/format"
	"go/parser"
	"go/token"
	"go/types"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const example = `package example

const most = 3

func pay(n int, err error) (int, error) {
	if n > most {
		return 0, err
	}
	n++
	return n, nil
}

func (s *shop) open() {
	s.opened = true && !s.closed
}

func (s *shop) LogValue() int { return 1 }

type shop struct{ opened, closed bool }
`

func roomOf(t *testing.T, text string) *room {
	t.Helper()
	r := &room{name: "example", fset: token.NewFileSet()}
	tree, err := parser.ParseFile(r.fset, "example.go", text, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	f := &source{path: "example.go", text: []byte(text), tree: tree}
	r.files = []*source{f}
	info := &types.Info{Types: map[ast.Expr]types.TypeAndValue{}, Uses: map[*ast.Ident]types.Object{}, Defs: map[*ast.Ident]types.Object{}}
	if _, err := r.check(nil, nil, info); err != nil {
		t.Fatal(err)
	}
	r.mutants = mutantsOf(r, f, info)
	tellApart(r.mutants)
	return r
}

func TestMutants(t *testing.T) {
	t.Parallel()
	want := []string{
		"3 most: 3 → 4",
		"6 pay: n > most → true", "6 pay: n > most → false", "6 pay: n > most → >=", "6 pay: n > most → <=",
		"7 pay: return 0, err → return 0, nil", "7 pay: 0 → 1",
		"9 pay: n++ → nothing", "9 pay: n++ → --",
		"10 pay: return n, nil → return 0, nil",
		"14 shop.open: s.opened = true && !s.closed → nothing", "14 shop.open: true → false",
		"14 shop.open: true && !s.closed → ||", "14 shop.open: !s.closed → s.closed",
	}
	var got []string
	r := roomOf(t, example)
	for _, m := range r.mutants {
		line, rest, _ := strings.Cut(strings.TrimPrefix(m.String(), "example.go:"), ": example ")
		got = append(got, line+" "+rest)
		if !r.compiles(m) {
			t.Errorf("%s does not compile", m)
		}
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("mutants:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestSchema: all mutants in one file are still Go, and the functions stand there as they were, too.
func TestSchema(t *testing.T) {
	t.Parallel()
	r := roomOf(t, example)
	text := schema(r.files[0], r.mutants, 1)
	if _, err := format.Source(text); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
	for _, want := range []string{"case 1:\n\n\tif true || (n > most)", "switch mutantNumber", "case 13:", "}\n\n\tif n > most {"} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if r.mutants[0].number != 0 {
		t.Error("the constant is not built alone")
	}
}

func TestSample(t *testing.T) {
	t.Parallel()
	keys := func(seed uint64) (all []string) {
		for _, m := range draw([]*room{roomOf(t, example)}, 5, seed) {
			all = append(all, m.key())
		}
		return all
	}
	if one := keys(1); len(one) != 14 || !slices.Equal(one, keys(1)) || slices.Equal(one, keys(2)) {
		t.Errorf("a sample of the small package is %d, again the same: %v, with another seed another: %v", len(one), slices.Equal(one, keys(1)),
			!slices.Equal(one, keys(2)))
	}
}

func TestSlowTestComesLast(t *testing.T) {
	t.Parallel()
	got := parts("--- PASS: TestQuick (0.10s)\n--- PASS: TestSlow (0.00s)\n    --- PASS: TestSlow/case (2.00s)\n")
	if len(got) != 2 || got[0][0] != "-test.skip=^(TestSlow)$" || got[1][0] != "-test.run=^(TestSlow)$" {
		t.Errorf("parts() = %q", got)
	}
	if got := parts("--- PASS: TestQuick (0.10s)\n"); len(got) != 1 || got[0] != nil {
		t.Errorf("parts() = %q, want everything at once", got)
	}
}

func TestExplained(t *testing.T) {
	t.Parallel()
	page := filepath.Join(t.TempDir(), "page.md")
	if err := os.WriteFile(page, []byte("text `x`: y\n- `order f: a → b #2`: the same\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := readExplained(page); err != nil || len(got) != 1 || !got["order f: a → b #2"] {
		t.Errorf("readExplained() = %v, %v", got, err)
	}
}
