package recon

import (
	"fmt"
	"hash/fnv"
	"io"
	"os"
)

const (
	// piles is into how many piles the lines of a book are sorted by the hash of a number. One pile of each side is in memory at a time.
	piles    = 64
	pageSize = 32 << 10
)

// spill keeps lines in piles, on disk beyond a page for each pile: memory does not grow with the day.
type spill struct {
	dir   string
	file  *os.File // nil until a page is full
	size  int64
	piles [piles]pile
}

// pile is one of them: full pages in the file, and the page that is being filled.
type pile struct {
	full []extent
	page []byte
}

type extent struct {
	at   int64
	size int
}

// pileOf is where lines of a kind with that number belong.
func pileOf(kind Kind, no string) int {
	h := fnv.New64a()
	_, _ = io.WriteString(h, string(kind)) // a hash takes everything
	_, _ = io.WriteString(h, no)
	sum := h.Sum64()
	return int((sum ^ sum>>32) % piles)
}

func (s *spill) add(n int, l *Line) error {
	p := &s.piles[n]
	p.page = appendLine(p.page, l)
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
	p.full = append(p.full, extent{s.size, len(p.page)})
	s.size += int64(len(p.page))
	p.page = p.page[:0]
	return nil
}

// pile reads all lines of a pile back.
func (s *spill) pile(n int) ([]Line, error) {
	var lines []Line
	err := s.each(n, func(l Line) error {
		lines = append(lines, l)
		return nil
	})
	return lines, err
}

// each hands over the lines of a pile, page by page.
func (s *spill) each(n int, do func(Line) error) error {
	p := &s.piles[n]
	for i := range len(p.full) + 1 {
		page := p.page
		if i < len(p.full) {
			page = make([]byte, p.full[i].size)
			if _, err := s.file.ReadAt(page, p.full[i].at); err != nil {
				return fmt.Errorf("lines waiting to be compared: %w", err)
			}
		}
		for rest := string(page); rest != ""; {
			l, after, err := cutLine(rest)
			if err != nil {
				return err
			}
			if err := do(l); err != nil {
				return err
			}
			rest = after
		}
	}
	return nil
}

func (s *spill) close() {
	if s.file != nil {
		_ = s.file.Close()
		_ = os.Remove(s.file.Name())
	}
	*s = spill{dir: s.dir}
}
