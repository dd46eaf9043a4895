// Package bank reads what the hospital's bank has in its books: the account statements (银行流水, 账户明细) that finance staff save from the bank, or that the bank
// puts into a folder. There is no API and no common form: a Mapping in YAML says how the hospital's bank writes its file (docs/bank.zh-CN.md). The statement
// proves that what WeChat paid out arrived.
//
// It reads in this order: mapping.go, how a file is described; drop.go, how it is found; csv.go and xlsx.go, its rows; cell.go, its cells; read.go and account.go,
// what they mean.
package bank

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/recon"
)

// Config is one account of an institution. Account and DateLayout apart, all is required.
type Config struct {
	Mapping    *Mapping // as ParseMapping gave it
	Folder     string   // where the files are put
	Name       string   // of a day's files: "流水_{date}*.csv". {date} is the day; *, at most once, is what tells several files of a day apart
	DateLayout string   // of {date}, in Go's way; empty: 20060102
	Account    string   // the account's number, digits hidden behind * as the bank or the hospital likes; required where the file tells it, else empty
	Clock      clock.Clock
}

// Statements reads the statements of one account.
type Statements struct {
	cfg Config
}

var _ recon.Statements = (*Statements)(nil)

var (
	accountForm = regexp.MustCompile(`^[0-9*]{8,32}$`)
	nameForm    = regexp.MustCompile(`^[\pL\pN_.()（）*{} -]{1,100}$`)
)

const (
	dateMark      = "{date}"
	usualDateForm = "20060102"
)

// New checks a configuration; all that is wrong with it is reported together.
func New(cfg Config) (*Statements, error) {
	var f faults
	if cfg.DateLayout == "" {
		cfg.DateLayout = usualDateForm
	}
	if cfg.Folder == "" {
		f.add("folder", "is missing")
	}
	if !nameForm.MatchString(cfg.Name) || strings.Count(cfg.Name, dateMark) != 1 || strings.Count(cfg.Name, "*") > 1 || strings.HasPrefix(cfg.Name, ".") {
		f.add("name", "is a file name with %s once and at most one *, not %q", dateMark, cfg.Name)
	}
	if l, ok := layoutOf(cfg.DateLayout); !ok || !l.date || l.clock || !nameForm.MatchString(cfg.DateLayout) {
		f.add("date_layout", "%q is not the layout of a day in a file name", cfg.DateLayout)
	}
	if cfg.Account != "" && (!accountForm.MatchString(cfg.Account) || len(cfg.Account)-strings.Count(cfg.Account, "*") < 4) {
		f.add("account", "has 8 to 32 digits, of which four at least are not hidden behind *")
	}
	switch {
	case cfg.Mapping == nil:
		f.add("mapping", "is missing")
	case cfg.Mapping.tellsAccount() != (cfg.Account != ""):
		f.add("account", "is given where the mapping says how the file tells it, and only there")
	}
	if cfg.Clock == nil {
		f.add("clock", "is missing")
	}
	if err := errors.Join(f...); err != nil {
		return nil, fmt.Errorf("bank: %w", err)
	}
	return &Statements{cfg: cfg}, nil
}
