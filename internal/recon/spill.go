package recon

import (
	"fmt"
	"hash/fnv"
	"io"
	"os"
	"slices"
	"strings"
)

const (
	// partitions is into how many piles the lines of a book are sorted by the hash of a number. One pile of each side is in memory at a time.
	partitions = 64
	pageSize   = 32 << 10
)

// spill keeps lines in piles, on disk beyond a page for each pile: memory does not grow with the day. The last pile is of lines without the number.
type spill struct {
	dir   string
	file  *os.File // nil until a page is full
	size  int64
	piles [partitions + 1]pile
	lines int
}

type pile struct {
	page  []byte
	pages []int64 // where its full pages stand in the file
	sizes []int
}

// pileOf is where lines of that key belong; the last one for none.
func pileOf(key string) int {
	if key == "" {
		return partitions
	}
	h := fnv.New64a()
	_, _ = io.WriteString(h, key) // a hash takes everything
	sum := h.Sum64()
	return int((sum ^ sum>>32) % partitions)
}

func (s *spill) add(key string, l *Line) error {
	p := &s.piles[pileOf(key)]
	p.page = appendLine(p.page, l)
	s.lines++
	if len(p.page) < pageSize {
		return nil
	}
	if s.file == nil {
		file, err := os.CreateTemp(s.dir, "recon-*")
		if err != nil {
			return fmt.Errorf("lines waiting to be compared: %w", err)
		}
		_ = os.Remove(file.Name()) // where that is not possible, close removes it
		s.file = file
	}
	if _, err := s.file.WriteAt(p.page, s.size); err != nil {
		return fmt.Errorf("lines waiting to be compared: %w", err)
	}
	p.pages, p.sizes = append(p.pages, s.size), append(p.sizes, len(p.page))
	s.size += int64(len(p.page))
	p.page = p.page[:0]
	return nil
}

// pile reads all lines of a pile back.
func (s *spill) pile(n int) ([]Line, error) {
	p := &s.piles[n]
	total := len(p.page)
	for _, size := range p.sizes {
		total += size
	}
	if total == 0 {
		return nil, nil
	}
	var all strings.Builder
	all.Grow(total)
	var page []byte
	for i, at := range p.pages {
		page = slices.Grow(page[:0], p.sizes[i])[:p.sizes[i]]
		if _, err := s.file.ReadAt(page, at); err != nil {
			return nil, fmt.Errorf("lines waiting to be compared: %w", err)
		}
		all.Write(page)
	}
	all.Write(p.page)
	var lines []Line
	for rest := all.String(); rest != ""; {
		var l Line
		var err error
		if l, rest, err = cutLine(rest); err != nil {
			return nil, err
		}
		lines = append(lines, l)
	}
	return lines, nil
}

func (s *spill) close() {
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
	}
}
