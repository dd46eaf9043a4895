package vault

import (
	"strings"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// Revealer is any value of package sensitive.
type Revealer interface{ Reveal() string }

// SealText is Seal for a hidden value; its text never passes through the caller.
func (v *Vault) SealText(at Place, s Revealer) ([]byte, error) { return v.Seal(at, []byte(s.Reveal())) }

// IndexText is Index for a hidden value, normalised by its kind.
func (v *Vault) IndexText(field string, s Revealer) (string, error) { return v.Index(field, normal(s)) }

// IndexesText is Indexes for a hidden value, normalised by its kind.
func (v *Vault) IndexesText(field string, s Revealer) ([]string, error) {
	return v.Indexes(field, normal(s))
}

// normal folds what people type. Openids, tokens and keys are made by machines and stay as they are: their case counts.
func normal(s Revealer) string {
	switch s.(type) {
	case sensitive.IDNumber:
		return NormalIDNumber(s.Reveal())
	case sensitive.Name, sensitive.Phone:
		return NormalText(s.Reveal())
	}
	return s.Reveal()
}

// NormalText drops blanks around a text and makes full-width characters narrow, so that one name or number has one index however it
// was typed.
func NormalText(s string) string { return strings.TrimSpace(strings.Map(narrow, s)) }

// NormalIDNumber is NormalText with the check digit's x raised.
func NormalIDNumber(s string) string { return strings.ReplaceAll(NormalText(s), "x", "X") }

func narrow(r rune) rune {
	switch {
	case r >= '！' && r <= '～': // full-width forms stand 0xFEE0 above ASCII
		return r - 0xFEE0
	case r == '\u3000': // ideographic space
		return ' '
	}
	return r
}
