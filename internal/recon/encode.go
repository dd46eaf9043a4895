package recon

import (
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/split"
)

// The codes under which a line's words are kept while lines wait to be compared.
var (
	sources  = Sources()
	kinds    = []Kind{Pay, Refund, Reversal, Fee, FeeBack, RefundBack, Transfer, TransferIn, Other}
	legs     = []Leg{Cash, Insurance, Posting, Account, Foreign}
	statuses = []Status{Done, UnderWay, Due, Closed, Failed}
)

var errEncoded = errors.New("recon: a line was cut while it waited")

// appendLine adds a line to b in a form that is read back without copying its numbers.
func appendLine(b []byte, l *Line) []byte {
	b = append(b, code(sources, l.Source), code(legs, l.Leg), code(kinds, l.Kind), code(statuses, l.Status), byte(l.Tells))
	b = binary.AppendVarint(b, l.At.UnixMicro())
	for _, n := range [...]int64{int64(l.Amount), int64(l.Split.PooledFund), int64(l.Split.OtherFund), int64(l.Split.Account), int64(l.Split.FamilyAccount),
		int64(l.Split.HospitalBorne), int64(l.Split.Cash), int64(l.Split.Uninsured), int64(l.Fee), int64(l.Place.File), l.Place.Offset, int64(l.Place.Length)} {
		b = binary.AppendVarint(b, n)
	}
	var present uint64
	for i, no := range l.Numbers {
		if no != "" {
			present |= 1 << i
		}
	}
	b = binary.AppendUvarint(b, present)
	for _, no := range l.Numbers {
		if no != "" {
			b = binary.AppendUvarint(b, uint64(len(no)))
			b = append(b, no...)
		}
	}
	return b
}

// code is a word's place in its list; of a word that is not there, one that is not read back.
func code[T comparable](words []T, w T) byte { return byte(slices.Index(words, w)) } //nolint:gosec // lists are short, and -1 is 255

// cutLine reads the line at the front of s, which the line's numbers then share, and returns what follows.
func cutLine(s string) (l Line, rest string, err error) {
	c := cutter{s: s}
	l.Source, l.Leg, l.Kind, l.Status = word(&c, sources), word(&c, legs), word(&c, kinds), word(&c, statuses)
	l.Tells = Parts(c.byte())
	l.At = time.UnixMicro(c.varint()).UTC()
	l.Amount = money.Fen(c.varint())
	l.Split = split.Split{PooledFund: money.Fen(c.varint()), OtherFund: money.Fen(c.varint()), Account: money.Fen(c.varint()),
		FamilyAccount: money.Fen(c.varint()), HospitalBorne: money.Fen(c.varint()), Cash: money.Fen(c.varint()), Uninsured: money.Fen(c.varint())}
	l.Fee = MilliFen(c.varint())
	l.Place = Place{File: int32(c.varint()), Offset: c.varint(), Length: int32(c.varint())} //nolint:gosec // appendLine wrote an int32
	present := c.uvarint()
	for i := range l.Numbers {
		if present&(1<<i) != 0 {
			l.Numbers[i] = c.text(c.uvarint())
		}
	}
	if c.bad {
		return Line{}, "", errEncoded
	}
	return l, c.s, nil
}

// cutter reads from the front of a text.
type cutter struct {
	s   string
	bad bool
}

func word[T any](c *cutter, words []T) (w T) {
	i := int(c.byte())
	if i >= len(words) {
		c.bad = true
		return w
	}
	return words[i]
}

func (c *cutter) byte() byte {
	if c.s == "" {
		c.bad = true
		return 0
	}
	b := c.s[0]
	c.s = c.s[1:]
	return b
}

func (c *cutter) uvarint() uint64 {
	var v uint64
	for shift := uint(0); shift < 64; shift += 7 {
		b := c.byte()
		v |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return v
		}
	}
	c.bad = true
	return 0
}

func (c *cutter) varint() int64 {
	u := c.uvarint()
	return int64(u>>1) ^ -int64(u&1) // the inverse of encoding/binary's zigzag
}

func (c *cutter) text(n uint64) string {
	if n > uint64(len(c.s)) {
		c.bad = true
		return ""
	}
	t := c.s[:n]
	c.s = c.s[n:]
	return t
}
