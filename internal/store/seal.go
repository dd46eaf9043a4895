package store

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/vault"
)

// sealer seals or opens the values of one row: the one hook through which patient data enters and leaves a column. It keeps the first error,
// so that a mapping reads as a list of columns; err is asked at its end. Nothing to seal is NULL.
type sealer struct {
	vault *vault.Vault
	table string
	row   string
	err   error
}

func (db *DB) sealer(table string, row int64) *sealer {
	return &sealer{vault: db.vault, table: table, row: fmt.Sprint(row)}
}

func (s *sealer) at(column string) vault.Place {
	return vault.Place{Table: s.table, Column: column, Row: s.row}
}

func (s *sealer) keep(err error) {
	if s.err == nil && err != nil {
		s.err = err
	}
}

// hidden is a value of package sensitive.
type hidden interface {
	vault.Revealer
	IsZero() bool
}

// secret seals a value of package sensitive.
func (s *sealer) secret(column string, v hidden) []byte {
	if v.IsZero() {
		return nil
	}
	box, err := s.vault.SealText(s.at(column), v)
	s.keep(err)
	return box
}

// bytes seals bytes; nil is NULL, no bytes are sealed as such.
func (s *sealer) bytes(column string, plain []byte) []byte {
	if plain == nil {
		return nil
	}
	box, err := s.vault.Seal(s.at(column), plain)
	s.keep(err)
	return box
}

// text seals a text; empty is NULL.
func (s *sealer) text(column, plain string) []byte {
	if plain == "" {
		return nil
	}
	return s.bytes(column, []byte(plain))
}

// json seals a value as JSON.
func (s *sealer) json(column string, v any) []byte {
	plain, err := json.Marshal(v)
	s.keep(err)
	return s.bytes(column, plain)
}

// open gives back what bytes was given.
func (s *sealer) open(column string, box []byte) []byte {
	if box == nil || s.err != nil {
		return nil
	}
	plain, err := s.vault.Open(s.at(column), box)
	if err != nil {
		s.keep(tampered(err))
		return nil
	}
	if plain == nil {
		plain = []byte{}
	}
	return plain
}

// openText gives back what text or secret was given.
func (s *sealer) openText(column string, box []byte) string { return string(s.open(column, box)) }

// openToken opens a token; without a box there is none.
func (s *sealer) openToken(column string, box []byte) sensitive.Token {
	if box == nil {
		return sensitive.Token{}
	}
	return sensitive.NewToken(s.openText(column, box))
}

// openJSON gives back what json was given.
func (s *sealer) openJSON(column string, box []byte, v any) {
	plain := s.open(column, box)
	if s.err != nil {
		return
	}
	if plain == nil {
		s.keep(ErrTampered.Because(errors.New(s.table + "." + column + " is missing")))
		return
	}
	if err := json.Unmarshal(plain, v); err != nil {
		s.keep(ErrTampered.Because(fmt.Errorf("%s is not as it was written: %w", s.at(column), err)))
	}
}
