package recon

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/tuoka/tuoka/internal/fault"
)

// ErrNoEvidence is a number that a run has matched nothing by.
var ErrNoEvidence = fault.New(fault.NotFound, "EVIDENCE_NOT_FOUND", "该次对账没有按此单号核对的记录")

// Shown is one match of a run as it can be shown: which books, by which number, and what each of them had.
type Shown struct {
	Comparison string
	Text       string // of the comparison, in Chinese
	Key        string // by which number, in Chinese
	Left       []RawLine
	Right      []RawLine
}

// RawLine is a row as its book has it.
type RawLine struct {
	Source Source
	File   *Stored // nil: our own ledger, which has no file
	Offset int64
	Text   string
}

// Show finds what a run has matched by a number, with the rows as their books have them. ErrNoEvidence.
func (s *Service) Show(ctx context.Context, r Record, number string) ([]Shown, error) {
	files := make([]Stored, len(r.Files))
	for i, id := range r.Files {
		var err error
		if files[i], err = s.store.Statement(ctx, id); err != nil {
			return nil, err
		}
	}
	var out []Shown
	for _, c := range Comparisons() {
		for k, key := range c.Keys {
			for _, kind := range key.Kinds {
				text, err := s.store.Evidence(ctx, r.ID, c.Name, k, pileOf(kind, number))
				if err != nil {
					return nil, err
				}
				left, right, found := findProof(text, string(kind)+" "+number+" ")
				if !found {
					continue
				}
				shown := Shown{Comparison: c.Name, Text: c.Text, Key: key.Name}
				if shown.Left, err = s.raw(ctx, r, files, c.Left, left); err != nil {
					return nil, err
				}
				if shown.Right, err = s.raw(ctx, r, files, c.Right, right); err != nil {
					return nil, err
				}
				out = append(out, shown)
			}
		}
	}
	if len(out) == 0 {
		return nil, ErrNoEvidence.Because(fmt.Errorf("number %.40q", number))
	}
	return out, nil
}

// findProof finds the line of a pile that begins so, and its places; see Match.proof.
func findProof(text []byte, begin string) (left, right []string, found bool) {
	at := 0
	if !bytes.HasPrefix(text, []byte(begin)) {
		if at = bytes.Index(text, []byte("\n"+begin)) + 1; at == 0 {
			return nil, nil, false
		}
	}
	line, _, _ := bytes.Cut(text[at:], []byte("\n"))
	l, r, _ := strings.Cut(string(line[len(begin):]), "|")
	return strings.Fields(l), strings.Fields(r), true
}

// raw reads rows from where they stand.
func (s *Service) raw(ctx context.Context, r Record, files []Stored, source Source, places []string) ([]RawLine, error) {
	var out []RawLine
	for _, place := range places {
		p, err := parsePlace(place)
		if err != nil || int(p.File) > len(r.Files) {
			return nil, fmt.Errorf("evidence of run %d: place %.40q", r.ID, place)
		}
		line := RawLine{Source: source, Offset: p.Offset}
		if p.File > 0 {
			line.File = &files[p.File-1]
			if line.Text, err = s.rawText(ctx, line.File.ID, p); err != nil {
				return nil, err
			}
		}
		out = append(out, line)
	}
	return out, nil
}

func (s *Service) rawText(ctx context.Context, id StatementID, p Place) (string, error) {
	if p.Length == 0 { // a row of a workbook has a number and no place
		return "", nil
	}
	file, err := s.store.Open(ctx, id, p.Offset)
	if err != nil {
		return "", err
	}
	row := make([]byte, p.Length)
	_, err = io.ReadFull(file, row)
	return string(row), errors.Join(err, file.Close())
}

// parsePlace reads what Place.append writes.
func parsePlace(s string) (Place, error) {
	file, rest, ok1 := strings.Cut(s, ":")
	offset, length, ok2 := strings.Cut(rest, "+")
	n, err1 := strconv.ParseInt(file, 10, 32)
	at, err2 := strconv.ParseInt(offset, 10, 64)
	size, err3 := strconv.ParseInt(length, 10, 32)
	if err := errors.Join(err1, err2, err3); err != nil || !ok1 || !ok2 || n < 0 || at < 0 || size < 0 {
		return Place{}, errors.Join(err, errors.New("not a place"))
	}
	return Place{File: int32(n), Offset: at, Length: int32(size)}, nil
}
