// Package vault keeps patient data at rest (design.md §5): it seals column values, makes the blind indexes they are searched by, signs
// rows, and holds the data keys for it, which lie in the database wrapped by a master key that does not.
//
// What it promises: a database alone shows no name, number or token; a value moved to another row, column or table does not open; a
// row changed behind the program's back is noticed. What it does not: hide which rows have equal values in an indexed column, or
// how long a value is.
//
// A Vault may be used by several goroutines at once. It prints as a label.
package vault

import (
	"context"
	"crypto/hmac"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/gm"
)

// The faults of this package. A row that does not open is nobody's mistake but an alarm: those are Internal, which a money step counts
// as Unknown.
var (
	// ErrTampered is a sealed value or a row that was altered, moved, or made with another key.
	ErrTampered = fault.New(fault.Internal, "VAULT_TAMPERED", "系统繁忙，请稍后再试")
	// ErrNoKey is a value made with a data key that this process does not hold. Refresh, and try once more.
	ErrNoKey = fault.New(fault.Internal, "VAULT_NO_KEY", "系统繁忙，请稍后再试")
	// ErrMasterKey is a master key that is missing, unreadable or not the one that wrapped the data keys.
	ErrMasterKey = fault.New(fault.Internal, "VAULT_MASTER_KEY", "系统繁忙，请稍后再试")
	// ErrDataKeys is a set of stored data keys that does not make sense.
	ErrDataKeys = fault.New(fault.Internal, "VAULT_DATA_KEYS", "系统繁忙，请稍后再试")
	// ErrKeyExists is what Store.AddDataKey answers when a data key of that purpose and version is already there.
	ErrKeyExists = fault.New(fault.Conflict, "VAULT_KEY_EXISTS", "密钥版本已存在")
	// ErrEmpty is a place, a field or a text that is empty and must not be.
	ErrEmpty = fault.New(fault.Internal, "VAULT_EMPTY", "系统繁忙，请稍后再试")
)

// Spread is how long a new data key is known before it is used. Every process calls Refresh more often than that, so that none meets
// a value whose key it has not heard of.
const Spread = 5 * time.Minute

// indexSize is how much of HMAC-SM3 a blind index keeps: 128 bits.
const indexSize = 16

// format is the first byte of a box: the layout format, version (4 bytes, big endian) of the data key, gm.Seal's output. keyed is
// the length of what stands before that output.
const (
	format = 1
	keyed  = 1 + 4
)

// Vault seals, indexes and signs with the data keys that it loaded.
type Vault struct {
	keys  Keys
	store Store
	clock clock.Clock

	loading sync.Mutex // one Refresh or Rotate at a time
	ring    atomic.Pointer[ring]
}

// Place is where a sealed value stands: table, column and primary key. A value opens nowhere else.
type Place struct{ Table, Column, Row string }

// String is for errors and logs: table.column of row.
func (p Place) String() string { return p.Table + "." + p.Column + " of " + p.Row }

// aad binds a box to its place and key. Every part carries its length, so that no two places give the same bytes.
func (p Place) aad(keyID string) ([]byte, error) {
	if p.Table == "" || p.Column == "" || p.Row == "" {
		return nil, fmt.Errorf("place %s: %w", p, ErrEmpty)
	}
	return join("tuoka seal", p.Table, p.Column, p.Row, keyID), nil
}

// join writes each part behind its length, 4 bytes big endian.
func join(parts ...string) []byte {
	var out []byte
	for _, s := range parts {
		out = binary.BigEndian.AppendUint32(out, uint32(len(s))) //nolint:gosec // a text of 4 GB does not come here
		out = append(out, s...)
	}
	return out
}

// Seal encrypts a value for its place: 33 bytes longer than plain, different each time. Plain may be empty; place may not.
func (v *Vault) Seal(at Place, plain []byte) ([]byte, error) {
	k := v.current(Sealing)
	aad, err := at.aad(k.id)
	if err != nil {
		return nil, err
	}
	box, err := gm.Seal(k.secret, aad, plain)
	if err != nil {
		return nil, fmt.Errorf("seal %s: %w", at, err)
	}
	return append(binary.BigEndian.AppendUint32([]byte{format}, k.version), box...), nil
}

// Open gives back what Seal was given, whatever version of the key it was sealed with. ErrTampered, or ErrNoKey.
func (v *Vault) Open(at Place, box []byte) ([]byte, error) {
	if len(box) < keyed || box[0] != format {
		return nil, fmt.Errorf("open %s: not a sealed value: %w", at, ErrTampered)
	}
	k, err := v.version(Sealing, binary.BigEndian.Uint32(box[1:keyed]))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", at, err)
	}
	aad, err := at.aad(k.id)
	if err != nil {
		return nil, err
	}
	plain, err := gm.Open(k.secret, aad, box[keyed:])
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", at, ErrTampered.Because(err))
	}
	return plain, nil
}

// Outdated reports whether a box was sealed with another key than Seal would take now, so that rotation has to seal it again. True for
// what is no box.
func (v *Vault) Outdated(box []byte) bool {
	return len(box) < keyed || box[0] != format || binary.BigEndian.Uint32(box[1:keyed]) != v.current(Sealing).version
}

// Index is what a sealed column is searched by: "1:" and 32 hex digits, the number being the version of the index key. field names what
// is searched, as patient.id_number; rows that shall find each other use the same name. The text is normalised by the caller. ErrEmpty
// for an empty text: all who have none would find each other.
func (v *Vault) Index(field, normalized string) (string, error) {
	return indexWith(v.current(Indexing), field, normalized)
}

// Indexes are the values of Index under every version that is still active, the one that Index gives first. Look-ups ask for any of
// them, so that rows are found while rotation is under way.
func (v *Vault) Indexes(field, normalized string) ([]string, error) {
	now := v.current(Indexing)
	out := make([]string, 0, 2)
	for _, k := range append([]dataKey{now}, v.ring.Load().active(Indexing)...) {
		if k.version == now.version && len(out) > 0 {
			continue
		}
		s, err := indexWith(k, field, normalized)
		if err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

func indexWith(k dataKey, field, normalized string) (string, error) {
	if field == "" || normalized == "" {
		return "", fmt.Errorf("index %s: %w", field, ErrEmpty)
	}
	sum, err := gm.BlindIndex(k.secret, field, normalized)
	if err != nil {
		return "", fmt.Errorf("index %s: %w", field, err)
	}
	return versioned(k, sum[:indexSize]), nil
}

// MAC signs a row: HMAC-SM3 over the table, the primary key and the fields that must not be changed, as "1:" and 64 hex digits, the
// number being the version of the key. Every part carries its length. ErrEmpty for an empty table or row.
func (v *Vault) MAC(table, row string, parts ...string) (string, error) {
	return macWith(v.current(Signing), table, row, parts)
}

// CheckMAC compares a stored MAC with the row. ErrTampered, or ErrNoKey.
func (v *Vault) CheckMAC(mac, table, row string, parts ...string) error {
	number, _, found := strings.Cut(mac, ":")
	version, err := strconv.ParseUint(number, 10, 32)
	if !found || err != nil {
		return fmt.Errorf("%s %s: not a mac: %w", table, row, ErrTampered)
	}
	k, err := v.version(Signing, uint32(version))
	if err != nil {
		return fmt.Errorf("%s %s: %w", table, row, err)
	}
	want, err := macWith(k, table, row, parts)
	if err != nil {
		return err
	}
	if !hmac.Equal([]byte(want), []byte(mac)) {
		return fmt.Errorf("%s %s: mac: %w", table, row, ErrTampered)
	}
	return nil
}

func macWith(k dataKey, table, row string, parts []string) (string, error) {
	if table == "" || row == "" {
		return "", fmt.Errorf("mac of %s %s: %w", table, row, ErrEmpty)
	}
	sum, err := gm.HMACSM3(k.secret, join("tuoka row", table, row), join(parts...))
	if err != nil {
		return "", fmt.Errorf("mac of %s %s: %w", table, row, err)
	}
	return versioned(k, sum), nil
}

func versioned(k dataKey, sum []byte) string {
	return strconv.FormatUint(uint64(k.version), 10) + ":" + hex.EncodeToString(sum)
}

func (v *Vault) current(p Purpose) dataKey { return v.ring.Load().current(p, v.clock.Now()) }

func (v *Vault) version(p Purpose, n uint32) (dataKey, error) {
	k, ok := v.ring.Load().version(p, n)
	if !ok {
		return dataKey{}, fmt.Errorf("data key %s: %w", keyID(p, n), ErrNoKey)
	}
	return k, nil
}

// Format answers every verb with a label.
func (v *Vault) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "[vault]") }

// LogValue is a label.
func (v *Vault) LogValue() slog.Value { return slog.StringValue("[vault]") }

// Open loads the data keys, creates the first one of each purpose where there is none, and gives a Vault that holds them unwrapped.
// ErrMasterKey when keys does not have the master that wrapped them. Several processes may start at the same time.
func Open(ctx context.Context, keys Keys, store Store, clk clock.Clock) (*Vault, error) {
	v := &Vault{keys: keys, store: store, clock: clk}
	if err := v.Refresh(ctx); err != nil {
		return nil, fmt.Errorf("open vault: %w", err)
	}
	return v, nil
}
