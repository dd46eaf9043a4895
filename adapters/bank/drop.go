package bank

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/recon"
)

// ErrFolder is a drop folder that cannot be read: nothing was taken from it.
var ErrFolder = fault.New(fault.Unavailable, "BANK_FOLDER", "银行对账单目录无法读取")

const (
	maxFile  = 64 << 20         // of a statement; a day has thousands of rows, not millions
	maxParts = 100              // files of one day
	settled  = 30 * time.Second // for which a file must not have changed
)

var (
	notFile   = &wrong{"不是普通文件（链接、目录等不采用）", "not a regular file"}
	hugeFile  = &wrong{"超过 64 MB", "larger than 64 MB"}
	manyFiles = &wrong{"同一天的文件过多", "too many files of one day"}
)

// Fetch takes the day's files from the folder, each as it is. Several files of a day are parts of it, by what * stands for in their names. A file that was
// last changed when its day was over is final. Errors: recon.ErrNotReady, when there is none yet or one of them is still being written; recon.ErrForm, for what
// is not a file, or too large a one; ErrFolder; and those of keep.
func (s *Statements) Fetch(ctx context.Context, day recon.Day, _ recon.Claims, keep recon.Keeper) error {
	root, err := os.OpenRoot(s.cfg.Folder) // nothing outside it is opened, whatever a name or a link says
	if err != nil {
		return ErrFolder.Because(err)
	}
	defer func() { _ = root.Close() }()
	found, err := s.find(root, day)
	if err != nil {
		return err
	}
	for i := range found { // all of them, before the first is taken
		if err := s.ready(root, &found[i]); err != nil {
			return err
		}
	}
	for i := range found {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := take(root, &found[i], day, keep); err != nil {
			return err
		}
	}
	return nil
}

// dropped is a file of the folder.
type dropped struct {
	name, part string
	info       fs.FileInfo
}

// find lists the day's files, by part.
func (s *Statements) find(root *os.Root, day recon.Day) ([]dropped, error) {
	pattern := regexp.QuoteMeta(strings.Replace(s.cfg.Name, dateMark, day.Begin().Format(s.cfg.DateLayout), 1))
	re, err := regexp.Compile("^" + strings.Replace(pattern, `\*`, `([\pL\pN_()（）-]{0,40})`, 1) + "$")
	if err != nil {
		return nil, ErrFolder.Because(err)
	}
	dir, err := root.Open(".")
	if err != nil {
		return nil, ErrFolder.Because(err)
	}
	defer func() { _ = dir.Close() }()
	var found []dropped
	for {
		entries, err := dir.ReadDir(1000)
		for _, e := range entries {
			if m := re.FindStringSubmatch(e.Name()); m != nil {
				found = append(found, dropped{name: e.Name(), part: strings.Join(m[1:], "")})
			}
		}
		switch {
		case len(found) > maxParts:
			return nil, refusedWhole(" "+day.String()+" ", manyFiles)
		case errors.Is(err, io.EOF) && len(found) == 0:
			return nil, recon.ErrNotReady.Because(fmt.Errorf("no file of %s in the folder", day))
		case errors.Is(err, io.EOF):
			slices.SortFunc(found, func(a, b dropped) int { return strings.Compare(a.part, b.part) })
			return found, nil
		case err != nil:
			return nil, ErrFolder.Because(err)
		}
	}
}

// ready checks that a file is one, and that nobody writes it any more. A file from the future has a clock before it that is wrong: it waits.
func (s *Statements) ready(root *os.Root, d *dropped) error {
	var err error
	if d.info, err = root.Lstat(d.name); err != nil {
		return recon.ErrNotReady.Because(fmt.Errorf("file %s: %w", d.name, err))
	}
	switch {
	case !d.info.Mode().IsRegular():
		return refusedWhole(" "+d.name+" ", notFile)
	case d.info.Size() > maxFile:
		return refusedWhole(" "+d.name+" ", hugeFile)
	case s.cfg.Clock.Now().Sub(d.info.ModTime()) < settled:
		return recon.ErrNotReady.Because(fmt.Errorf("file %s was changed less than %s ago", d.name, settled))
	}
	return nil
}

// take hands a file over: the one that was looked at, and whole.
func take(root *os.Root, d *dropped, day recon.Day, keep recon.Keeper) error {
	file, err := root.OpenFile(d.name, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe in its place must not hold us
	if err != nil {
		return recon.ErrNotReady.Because(fmt.Errorf("file %s: %w", d.name, err))
	}
	defer func() { _ = file.Close() }()
	if !d.same(file) {
		return recon.ErrNotReady.Because(fmt.Errorf("file %s changes", d.name))
	}
	final := !d.info.ModTime().Before(day.End())
	return keep(recon.Statement{Source: recon.Bank, Day: day, Part: d.part, Name: d.name, Final: final}, func(w io.Writer) error {
		if _, err := io.CopyN(w, file, d.info.Size()); err != nil && !errors.Is(err, io.EOF) {
			return err
		} else if err != nil || !d.same(file) {
			return recon.ErrNotReady.Because(fmt.Errorf("file %s changed while it was read", d.name))
		}
		return nil
	})
}

// same reports whether an open file is the one that was found, and as it was.
func (d *dropped) same(file *os.File) bool {
	now, err := file.Stat()
	return err == nil && os.SameFile(d.info, now) && now.Size() == d.info.Size() && now.ModTime().Equal(d.info.ModTime())
}
