package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// variable says in the environment which mutant a test program is to be.
const variable = "TUOKA_MUTANT"

// Building takes longer than testing. So the tests are built once, with all mutants inside: every changed function begins with a switch over the
// mutants it has, each case the whole body changed in one place, and behind the switch stands the body as it is.
//
//	func (s Split) Check(total money.Fen) error {
//		switch mutantNumber {
//		case 17:
//			… a copy with one change …
//		}
//		… the function as it is …
//	}
//
// What is changed outside functions is built alone.

// schema is a file with all its mutants of the sample, and gives them their numbers, beginning with first.
func schema(f *source, mutants []*mutant, first int) []byte {
	bodies := map[[2]int][]*mutant{}
	var order [][2]int
	for _, m := range mutants {
		if m.file != f || m.body == [2]int{} {
			continue
		}
		m.number = first
		first++
		if bodies[m.body] == nil {
			order = append(order, m.body)
		}
		bodies[m.body] = append(bodies[m.body], m)
	}
	slices.SortFunc(order, func(a, b [2]int) int { return a[0] - b[0] })
	var out bytes.Buffer
	done := 0
	for _, b := range order {
		out.Write(f.text[done:b[0]])
		done = b[0]
		out.WriteString("\nswitch mutantNumber {\n")
		for _, m := range bodies[b] {
			fmt.Fprintf(&out, "case %d:\n%s%s%s\n", m.number, f.text[b[0]:m.start], m.text, f.text[m.end:b[1]])
			if m.void {
				out.WriteString("return\n") // not on into the body as it is
			}
		}
		out.WriteString("}\n")
	}
	out.Write(f.text[done:])
	return out.Bytes()
}

// writeSchemas writes all files with their mutants into dir, and the overlay that puts them in their places.
func writeSchemas(dir, root string, rooms []*room, sample []*mutant) (string, error) {
	replace := map[string]string{}
	put := func(path string, text []byte) error {
		at := filepath.Join(dir, fmt.Sprintf("%d.go", len(replace)))
		replace[filepath.Join(root, path)] = at
		return os.WriteFile(at, text, 0o600)
	}
	first := 1
	for _, r := range rooms {
		which := "package " + r.name + "\n\nimport (\n\t\"os\"\n\t\"strconv\"\n)\n\nvar mutantNumber, _ = strconv.Atoi(os.Getenv(\"" + variable + "\"))\n"
		if err := put(filepath.Join("internal", r.name, "mutant_number.go"), []byte(which)); err != nil {
			return "", err
		}
		for _, f := range r.files {
			if err := put(f.path, schema(f, sample, first)); err != nil {
				return "", err
			}
			for _, m := range sample {
				first = max(first, m.number+1)
			}
		}
	}
	return writeOverlay(dir, replace)
}

func writeOverlay(dir string, replace map[string]string) (string, error) {
	text, err := json.Marshal(map[string]map[string]string{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, text, 0o600)
}
