package store

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// LockFile takes the lock file beside a database (path and ".lock"), so that no two processes use one SQLite file; it serves for any other
// file as well. Closing gives the lock back, and so does the process's end, however it ends. ErrInUse.
func LockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // the path is the operator's
	if err != nil {
		return nil, err
	}
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &windows.Overlapped{})
	if err != nil {
		_ = f.Close()
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) {
			return nil, ErrInUse.Because(errors.New("another process holds it; stop it first"))
		}
		return nil, fmt.Errorf("lock %s.lock: %w", path, err)
	}
	return f, nil
}
