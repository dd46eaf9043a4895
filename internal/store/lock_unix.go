//go:build unix

package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// LockFile takes the lock file beside a database (path and ".lock"), so that no two processes use one SQLite file; it serves for any other
// file as well. Closing gives the lock back, and so does the process's end, however it ends; the file stays and tells who holds it. ErrInUse.
func LockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the path is the operator's
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 32))
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, ErrInUse.Because(fmt.Errorf("process %s holds it; stop it first", strings.TrimSpace(string(holder))))
		}
		return nil, fmt.Errorf("lock %s.lock: %w", path, err)
	}
	if err := noteHolder(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func noteHolder(f *os.File) error {
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err := f.WriteAt(fmt.Appendln(nil, os.Getpid()), 0)
	return err
}
