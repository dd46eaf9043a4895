package core

import (
	"errors"
	"fmt"
	"slices"
)

// RefundCount is the local agreement on what 3201 and 3202 count (§4.3, §10).
type RefundCount string

// The agreements.
const (
	CountBoth    RefundCount = "both"    // settlements positive and cancellations negative, each a transaction, as in Guangdong
	CountSettled RefundCount = "settled" // only what is in force, by a switch of the Hunan family
)

// FlagName is how 3201 and 3202 name the member that says whether refunds are counted.
type FlagName string

// The names.
const (
	FlagLower  FlagName = "lower"  // refd_setl_flag, as the newer tables have it
	FlagUpper  FlagName = "upper"  // REFD_SETL_FLAG, as one product sends it
	FlagAbsent FlagName = "absent" // not sent, as in the tables of 2021
)

// ResultOrder is which of the columns 5 and 6 of the result file is stmt_rslt (§4.4).
type ResultOrder string

// The orders. Detected takes the first of the two in which no row contradicts itself, the table's meaning or what was uploaded.
const (
	Detected     ResultOrder = "detected"
	VerdictFirst ResultOrder = "verdict_first" // stmt_rslt, refd_setl_flag
	FlagFirst    ResultOrder = "flag_first"    // refd_setl_flag, stmt_rslt
)

// Group is what one 3201 is about: 险种类型, 清算类别, 清算经办机构.
type Group struct {
	Insurance string // insutype
	ClrType   string // clr_type
	ClrOptins string // clr_optins of 2207, sent as setl_optins
}

// String is the group in names of files: 310-11-360199.
func (g Group) String() string { return g.Insurance + "-" + g.ClrType + "-" + g.ClrOptins }

// StatementProfile is in what areas differ when they compare books. The zero value is the newer document and what most products do; every field is
// a fact that only the local platform can confirm.
type StatementProfile struct {
	Refunds RefundCount // empty: CountBoth
	// Groups are asked every day, even when our ledger has nothing in them: so that what only the centre has is found on a quiet day, too.
	Groups []Group

	UploadExtension   bool     // an eighth column exp_content, empty
	UploadTrailingTab bool     // a TAB at the end of every line
	UploadCRLF        bool     // CRLF at the end of every line; else LF
	UploadArray       bool     // in of 9101 as an array of Java's signed bytes; else base64
	RefundFlag        FlagName // empty: FlagLower

	ResultColumns     int         // 7, 10 or 11; 0: any of them, the same in every row
	ResultOrder       ResultOrder // empty: Detected
	ResultDifferences bool        // the result lists differences alone; else every row of ours must be in it
	DownloadOwnCode   bool        // fixmedins_code of 9102 is ours; else plc
	NotReady          []string    // parts of err_msg that mean: not compared yet, ask again later
	Early             bool        // a day may be asked for before it is over, as in a sandbox that cannot wait
}

// complete fills the zero values and refuses what contradicts itself.
func (p *StatementProfile) complete() error {
	defaults(&p.Refunds, CountBoth)
	defaults(&p.RefundFlag, FlagLower)
	defaults(&p.ResultOrder, Detected)
	var faults []error
	refuse := func(what string, value any) { faults = append(faults, fmt.Errorf("profile: %s %v", what, value)) }
	if p.Refunds != CountBoth && p.Refunds != CountSettled {
		refuse("refunds counted", p.Refunds)
	}
	if p.RefundFlag != FlagLower && p.RefundFlag != FlagUpper && p.RefundFlag != FlagAbsent {
		refuse("refund flag", p.RefundFlag)
	}
	if p.ResultOrder != Detected && p.ResultOrder != VerdictFirst && p.ResultOrder != FlagFirst {
		refuse("order of the result's columns", p.ResultOrder)
	}
	if !slices.Contains([]int{0, 7, 10, 11}, p.ResultColumns) {
		refuse("columns of the result, 7, 10 or 11, not", p.ResultColumns)
	}
	if slices.Contains(p.NotReady, "") {
		refuse("an empty text would be every refusal: not ready", "")
	}
	for i, g := range p.Groups {
		if err := check(totalInput{Insurance: g.Insurance, ClrType: g.ClrType, Agency: g.ClrOptins, Begin: "-", End: "-"}); err != nil || len(g.ClrOptins) != 6 {
			refuse("group", g)
		}
		if slices.Contains(p.Groups[:i], g) {
			refuse("twice the group", g)
		}
	}
	return errors.Join(faults...)
}

// orders are the orders of columns to try.
func (p *StatementProfile) orders() []ResultOrder {
	if p.ResultOrder == Detected {
		return []ResultOrder{VerdictFirst, FlagFirst}
	}
	return []ResultOrder{p.ResultOrder}
}
