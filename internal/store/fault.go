package store

import (
	"errors"
	"fmt"

	"gorm.io/gorm"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/vault"
)

const sorry = "系统繁忙，请稍后再试"

// The faults of this package. The domain's own (order.ErrBillLive, job.ErrLost …) are returned wherever they say what happened.
var (
	// ErrEngine is a DSN of a database that this version does not speak to.
	ErrEngine = fault.New(fault.Invalid, "STORE_ENGINE", "暂不支持该数据库")
	// ErrInUse is a database file that another process holds.
	ErrInUse = fault.New(fault.Conflict, "STORE_IN_USE", "数据库文件正被另一个进程使用")
	// ErrNoVault is a store that was asked for rows before WithVault: a bug.
	ErrNoVault = fault.New(fault.Internal, "STORE_NO_VAULT", sorry)
	// ErrTampered is a row that was changed behind the program's back, or a sealed value that stands in another place than its own.
	ErrTampered = fault.New(fault.Internal, "ROW_TAMPERED", sorry)
	// ErrRow is a row that must not be written: parts that do not sum, texts that do not fit. A bug, or a counterpart beyond its document.
	ErrRow = fault.New(fault.Internal, "ROW_REFUSED", sorry)
	// ErrDuplicate is a number that another row has already. Callers that expect it answer something better.
	ErrDuplicate = fault.New(fault.Internal, "ROW_DUPLICATE", sorry)
	// ErrBusy is a database that could not be had in time; nothing was written.
	ErrBusy = fault.New(fault.Unavailable, "STORE_BUSY", sorry)
	// ErrAway is a database that cannot be reached, or takes nobody now: it starts, stops, or is left by its cluster. Nothing was written.
	ErrAway = fault.New(fault.Unavailable, "STORE_AWAY", sorry)
	// ErrCommit is a commit without an answer: it may have happened. Read again by the business number before any repeat.
	ErrCommit = fault.New(fault.Unknown, "STORE_COMMIT", sorry)
)

// errConflict is what a dialector answers for a transaction that the engine gave up in favour of another: nothing of it was written.
var errConflict = errors.New("store: the database preferred another transaction")

// errBusy is what a dialector answers for a lock that could not be had.
var errBusy = errors.New("store: the database is locked")

// translated gives a fault to what the dialector recognised. Whatever has one keeps it; a context's end and everything else stay as they are.
func translated(err error) error {
	if known, ok := errors.AsType[*fault.Error](err); err == nil || (ok && known != nil) {
		return err
	}
	switch {
	case errors.Is(err, gorm.ErrDuplicatedKey):
		return ErrDuplicate.Because(err)
	case errors.Is(err, gorm.ErrCheckConstraintViolated), errors.Is(err, gorm.ErrForeignKeyViolated), errors.Is(err, errNull):
		return ErrRow.Because(err)
	case errors.Is(err, errBusy), errors.Is(err, errConflict):
		return ErrBusy.Because(err)
	case away(err):
		return ErrAway.Because(err)
	}
	return err
}

// errNull is what a dialector answers for a column that must not be NULL.
var errNull = errors.New("store: a value is missing")

func duplicate(err error) bool {
	return errors.Is(err, gorm.ErrDuplicatedKey) || errors.Is(err, ErrDuplicate)
}

// tampered names what the vault could not open or verify; a key that is not known here is something else.
func tampered(err error) error {
	if errors.Is(err, vault.ErrTampered) {
		return ErrTampered.Because(err)
	}
	return err
}

func refuse(format string, args ...any) error { return ErrRow.Because(fmt.Errorf(format, args...)) }
