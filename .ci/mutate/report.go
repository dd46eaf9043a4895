package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// readExplained reads which survivors people have judged: the lines of the page that begin with "- `", up to the closing "`:".
func readExplained(path string) (map[string]bool, error) {
	text, err := os.ReadFile(path) //nolint:gosec // a page of ours
	if err != nil {
		return nil, err
	}
	explained := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		rest, ok := strings.CutPrefix(line, "- `")
		if !ok {
			continue
		}
		if key, _, ok := strings.Cut(rest, "`:"); ok {
			explained[key] = true
		}
	}
	return explained, nil
}

// survivors writes a line for each, in the order of the files.
func survivors(out io.Writer, sample []*mutant, explained map[string]bool) {
	sorted := slices.Clone(sample)
	slices.SortFunc(sorted, func(a, b *mutant) int {
		return cmp.Or(strings.Compare(a.file.path, b.file.path), cmp.Compare(a.line, b.line), cmp.Compare(a.start, b.start))
	})
	for _, m := range sorted {
		if m.verdict != survived {
			continue
		}
		word := "survived"
		if explained[m.key()] {
			word = "explained"
		}
		_, _ = fmt.Fprintf(out, "%-9s %s\n", word, m)
	}
}

// count is a line of the table.
type count struct{ own, last, long, survived, explained, broken int }

func (c *count) add(v verdict, explained bool) {
	switch v {
	case byOwn:
		c.own++
	case byLast:
		c.last++
	case tooLong:
		c.long++
	case survived:
		c.survived++
		if explained {
			c.explained++
		}
	default:
		c.broken++
	}
}

func (c *count) killed() int { return c.own + c.last + c.long }

func (c *count) percent() int {
	return 100 * c.killed() / max(1, c.killed()+c.survived)
}

// table writes the figures per package, and returns how many per cent of all were killed, rounded down. What does not build is not counted.
func table(out io.Writer, rooms []*room, sample []*mutant, explained map[string]bool) int {
	var all count
	_, _ = fmt.Fprintf(out, "\n%-12s %8s %8s %8s %8s %8s %8s %8s %8s\n", "package", "places", "tried", "by own", "by "+last, "no end", "survived", "of these", "killed")
	_, _ = fmt.Fprintf(out, "%-12s %8s %8s %8s %8s %8s %8s %8s %8s\n", "", "", "", "tests", "tests", "", "", "explained", "")
	places := 0
	line := func(name string, places int, c *count) {
		_, _ = fmt.Fprintf(out, "%-12s %8d %8d %8d %8d %8d %8d %9d %7d%%\n", name, places, c.killed()+c.survived, c.own, c.last, c.long, c.survived,
			c.explained, c.percent())
	}
	for _, r := range rooms {
		var c count
		for _, m := range sample {
			if m.room == r {
				c.add(m.verdict, explained[m.key()])
				all.add(m.verdict, explained[m.key()])
			}
		}
		line(r.name, len(r.mutants), &c)
		places += len(r.mutants)
	}
	line("all", places, &all)
	if all.broken > 0 {
		_, _ = fmt.Fprintf(out, "not counted, for they do not build: %d\n", all.broken)
	}
	return all.percent()
}
