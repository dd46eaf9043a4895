package main

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
)

// mutant is one change of one place.
type mutant struct {
	room       *room
	file       *source
	line       int
	start, end int    // the bytes that are replaced
	text       string // by this
	in         string // the function, "Order.Settlement", or the package's constant or variable
	what       string // "a < b → a <= b"
	body       [2]int // the bytes within the function's braces; zero outside functions
	void       bool   // the function gives no results
	nth        int    // of the same changes in the same function, from 1
	number     int    // by which the built tests know it; 0: it is built alone
	verdict    verdict
}

// key names a mutant by what a person reads, and not by its line, so that an explanation outlives the lines above it.
func (m *mutant) key() string {
	key := m.room.name + " " + m.in + ": " + m.what
	if m.nth > 1 {
		key += fmt.Sprintf(" #%d", m.nth)
	}
	return key
}

// mutated is the file with the change.
func (m *mutant) mutated() []byte {
	return slices.Concat(m.file.text[:m.start], []byte(m.text), m.file.text[m.end:])
}

// tellApart numbers the same changes of one function.
func tellApart(mutants []*mutant) {
	slices.SortStableFunc(mutants, func(a, b *mutant) int {
		return cmp.Or(strings.Compare(a.file.path, b.file.path), cmp.Compare(a.start, b.start), cmp.Compare(a.end, b.end))
	})
	seen := map[string]int{}
	for _, m := range mutants {
		m.nth = 1
		seen[m.key()]++
		m.nth = seen[m.key()]
	}
}

// matching are all mutants whose survivor's line would match.
func matching(rooms []*room, only *regexp.Regexp) []*mutant {
	var all []*mutant
	for _, r := range rooms {
		for _, m := range r.mutants {
			if only.MatchString(m.String()) && r.compiles(m) {
				all = append(all, m)
			}
		}
	}
	return all
}

// draw chooses n mutants: each package has its part in proportion to what could be changed in it, but at least a few. A package's own part
// depends on the seed and on itself alone.
func draw(rooms []*room, n int, seed uint64) []*mutant {
	total := 0
	for _, r := range rooms {
		total += len(r.mutants)
	}
	var sample []*mutant
	for _, r := range rooms {
		part := max(least, n*len(r.mutants)/total)
		if n == 0 {
			part = len(r.mutants)
		}
		h := fnv.New64a()
		_, _ = h.Write([]byte(r.name))
		order := slices.Clone(r.mutants)
		chance := rand.New(rand.NewPCG(seed, h.Sum64())) //nolint:gosec // a sample that can be drawn again, not a secret
		chance.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, m := range order {
			if part == 0 {
				break
			}
			if r.compiles(m) {
				sample = append(sample, m)
				part--
			}
		}
	}
	// Together the long ones would come last: mixed, the cores end their work at about the same time.
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(sample), func(i, j int) { sample[i], sample[j] = sample[j], sample[i] }) //nolint:gosec // as above
	return sample
}

// String is where the mutant is and what it changes.
func (m *mutant) String() string { return fmt.Sprintf("%s:%d: %s", m.file.path, m.line, m.key()) }
