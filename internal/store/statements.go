package store

import (
	"bytes"
	"compress/flate"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/recon"
)

// ErrNoStatement is a file that is not kept here.
var ErrNoStatement = fault.New(fault.NotFound, "STATEMENT_NOT_FOUND", "没有这份对账单")

// pieceSize is how much of a file is packed and sealed at once.
const pieceSize = 1 << 20

// Statements keeps other books' files, and what comparing them found.
type Statements struct{ db *DB }

var _ recon.Store = Statements{}

// Statements gives them.
func (db *DB) Statements() Statements { return Statements{db} }

type fileRow struct {
	ID          int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution string `gorm:"size:64"`
	Source      string `gorm:"size:16"`
	Day         string `gorm:"size:10"`
	Part        string `gorm:"size:64"`
	Name        string `gorm:"size:200"`
	Hash        string `gorm:"size:80"`
	SizeBytes   int64
	Final       bool
	IsEmpty     bool
	Attached    bool
	Actor       string `gorm:"size:64"`
	KeptUS      int64
	SeenUS      int64
	Version     int64
	MAC         string `gorm:"size:80"`
}

// fileMoves lists what a move may change of a file: not its bytes, nor whose they are.
func fileMoves() []string { return []string{"final", "seen_us", "version"} }

// TableName is the table's name.
func (fileRow) TableName() string { return "statement_file" }

type pieceRow struct {
	ID          int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution string `gorm:"size:64"`
	FileID      int64
	Seq         int64
	AtByte      int64
	SizeBytes   int64
	BodySealed  []byte
}

// TableName is the table's name.
func (pieceRow) TableName() string { return "statement_piece" }

// pieceSealer seals a piece for its place in its file, so that no two can change places.
func (db *DB) pieceSealer(r *pieceRow) *sealer {
	return &sealer{vault: db.vault, table: r.TableName(), row: fmt.Sprintf("%d/%d", r.FileID, r.Seq)}
}

func (r *fileRow) stored() (recon.Stored, error) {
	day, err := recon.ParseDay(r.Day)
	if err != nil {
		return recon.Stored{}, ErrTampered.Because(fmt.Errorf("day of statement %d", r.ID))
	}
	return recon.Stored{ID: recon.StatementID(r.ID), Institution: r.Institution, Hash: r.Hash, Size: r.SizeBytes, Actor: r.Actor, KeptAt: moment(r.KeptUS),
		Statement: recon.Statement{Source: recon.Source(r.Source), Day: day, Part: r.Part, Name: r.Name, Final: r.Final, Nothing: r.IsEmpty, Attached: r.Attached}}, nil
}

// Keep stores a file that write writes. The same bytes for the same book, day and part are the same file: nothing is added, but it is the last that was seen.
// Its pieces are stored one by one and the file after them, so that there is no file without all of its bytes.
func (s Statements) Keep(ctx context.Context, institution, actor string, of recon.Statement, write func(w io.Writer) error) (recon.Stored, error) {
	row := fileRow{ID: s.db.ids.ID(), Institution: institution, Source: string(of.Source), Day: of.Day.String(), Part: of.Part, Name: of.Name, Final: of.Final,
		IsEmpty: of.Nothing, Attached: of.Attached, Actor: actor, Version: 1}
	row.KeptUS = micros(s.db.clock.Now())
	row.SeenUS = row.KeptUS
	p := pieces{ctx: ctx, db: s.db, institution: institution, file: row.ID, sum: recon.NewHash()}
	err := write(&p)
	if err == nil {
		err = p.flush()
	}
	if err == nil {
		row.Hash, row.SizeBytes = hex.EncodeToString(p.sum.Sum(nil)), p.size
		err = s.db.write(ctx, func(tx *gorm.DB) error { return insert(s.db, tx, row) })
	}
	if err == nil {
		stored, err := row.stored()
		stored.Fresh = true
		return stored, err
	}
	again := duplicate(err)
	if swept := s.forget(context.WithoutCancel(ctx), row.ID); swept != nil || !again {
		return recon.Stored{}, fmt.Errorf("keep statement %s of %s: %w", of.Name, of.Day, errors.Join(err, swept))
	}
	return s.same(ctx, row)
}

// same is the file that has those bytes already.
func (s Statements) same(ctx context.Context, row fileRow) (recon.Stored, error) {
	old, found, err := one[fileRow](s.db, s.db.read(ctx).Where("institution = ? AND source = ? AND day = ? AND part = ? AND hash = ?", row.Institution, row.Source,
		row.Day, row.Part, row.Hash))
	if err == nil && !found {
		err = ErrNoStatement
	}
	if err != nil {
		return recon.Stored{}, fmt.Errorf("statement %s of %s: %w", row.Name, row.Day, err)
	}
	seen := old
	seen.Final, seen.SeenUS, seen.Version = old.Final || row.Final, row.SeenUS, old.Version+1
	err = s.db.write(ctx, func(tx *gorm.DB) error {
		return move(s.db, tx, &seen, fileMoves(), "id = ? AND version = ?", old.ID, old.Version)
	})
	if err != nil {
		return recon.Stored{}, fmt.Errorf("statement %s of %s seen again: %w", row.Name, row.Day, err)
	}
	return seen.stored()
}

// forget takes the pieces of a file back that came to nothing.
func (s Statements) forget(ctx context.Context, file int64) error {
	return s.db.write(ctx, func(tx *gorm.DB) error {
		_, err := change(tx, "DELETE FROM statement_piece WHERE file_id = ?", file)
		return err
	})
}

// pieces takes a file's bytes and stores them piece by piece.
type pieces struct {
	ctx         context.Context //nolint:containedctx // a writer has no other way to know it
	db          *DB
	institution string
	file        int64
	seq         int64
	size        int64
	sum         hash.Hash
	plain       []byte
	packer      *flate.Writer
}

// Write implements io.Writer.
func (p *pieces) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(len(rest), pieceSize-len(p.plain))
		p.plain = append(p.plain, rest[:n]...)
		rest = rest[n:]
		if len(p.plain) == pieceSize {
			if err := p.flush(); err != nil {
				return 0, err
			}
		}
	}
	return len(b), nil
}

func (p *pieces) flush() error {
	if len(p.plain) == 0 {
		return nil
	}
	var packed bytes.Buffer
	if p.packer == nil {
		p.packer, _ = flate.NewWriter(nil, flate.BestSpeed) // a level that it knows
	}
	p.packer.Reset(&packed)
	if _, err := p.packer.Write(p.plain); err != nil {
		return err
	}
	if err := p.packer.Close(); err != nil {
		return err
	}
	_, _ = p.sum.Write(p.plain) // a hash takes everything
	p.seq++
	row := pieceRow{ID: p.db.ids.ID(), Institution: p.institution, FileID: p.file, Seq: p.seq, AtByte: p.size, SizeBytes: int64(len(p.plain))}
	seal := p.db.pieceSealer(&row)
	row.BodySealed = seal.bytes("body_sealed", packed.Bytes())
	if seal.err != nil {
		return seal.err
	}
	p.size += row.SizeBytes
	p.plain = p.plain[:0]
	return p.db.write(p.ctx, func(tx *gorm.DB) error { return insert(p.db, tx, row) })
}

// Statements lists the files of a day: of each book and part the one that was seen last.
func (s Statements) Statements(ctx context.Context, institution string, day recon.Day) ([]recon.Stored, error) {
	rows, err := find[fileRow](s.db, s.db.read(ctx).Where("institution = ? AND day = ?", institution, day.String()).Order("source, part, seen_us DESC, id DESC"))
	if err != nil {
		return nil, fmt.Errorf("statements of %s: %w", day, err)
	}
	var out []recon.Stored
	for i := range rows {
		if i > 0 && rows[i].Source == rows[i-1].Source && rows[i].Part == rows[i-1].Part {
			continue
		}
		stored, err := rows[i].stored()
		if err != nil {
			return nil, err
		}
		out = append(out, stored)
	}
	return out, nil
}

// Statement is one file, whatever came after it. ErrNoStatement.
func (s Statements) Statement(ctx context.Context, id recon.StatementID) (recon.Stored, error) {
	file, found, err := one[fileRow](s.db, s.db.read(ctx).Where("id = ?", int64(id)))
	if err == nil && !found {
		err = ErrNoStatement
	}
	if err != nil {
		return recon.Stored{}, fmt.Errorf("statement %d: %w", id, err)
	}
	return file.stored()
}

// Open reads a file's bytes from an offset on.
func (s Statements) Open(ctx context.Context, id recon.StatementID, from int64) (io.ReadCloser, error) {
	file, found, err := one[fileRow](s.db, s.db.read(ctx).Where("id = ?", int64(id)))
	switch {
	case err != nil:
		return nil, fmt.Errorf("statement %d: %w", id, err)
	case !found || from < 0 || from > file.SizeBytes:
		return nil, ErrNoStatement.Because(fmt.Errorf("statement %d from %d", id, from))
	}
	r := &pieceReader{ctx: ctx, db: s.db, file: file, seq: from / pieceSize}
	if from%pieceSize != 0 {
		if err := r.next(); err != nil {
			return nil, err
		}
		r.left = r.left[from%pieceSize:]
	}
	return r, nil
}

// pieceReader reads a file piece by piece.
type pieceReader struct {
	ctx  context.Context //nolint:containedctx // a reader has no other way to know it
	db   *DB
	file fileRow
	seq  int64 // of the last piece that was read
	left []byte
}

// Read implements io.Reader.
func (r *pieceReader) Read(b []byte) (int, error) {
	if len(r.left) == 0 {
		if r.seq*pieceSize >= r.file.SizeBytes {
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(b, r.left)
	r.left = r.left[n:]
	return n, nil
}

func (r *pieceReader) next() error {
	err := r.db.opened(r.ctx, func() error {
		row, found, err := one[pieceRow](r.db, r.db.read(r.ctx).Where("file_id = ? AND seq = ?", r.file.ID, r.seq+1))
		if err != nil {
			return err
		}
		want := min(pieceSize, r.file.SizeBytes-r.seq*pieceSize)
		if !found || row.SizeBytes != want || row.AtByte != r.seq*pieceSize {
			return ErrTampered.Because(errors.New("a piece is missing"))
		}
		seal := r.db.pieceSealer(&row)
		packed := seal.open("body_sealed", row.BodySealed)
		if seal.err != nil {
			return seal.err
		}
		plain := make([]byte, want)
		if _, err := io.ReadFull(flate.NewReader(bytes.NewReader(packed)), plain); err != nil {
			return ErrTampered.Because(err)
		}
		r.left = plain
		return nil
	})
	if err != nil {
		return fmt.Errorf("piece %d of statement %d: %w", r.seq+1, r.file.ID, err)
	}
	r.seq++
	return nil
}

// Close implements io.Closer.
func (r *pieceReader) Close() error { return nil }
