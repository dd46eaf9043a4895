package core

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// Credential is how an area wants the patient to be proved (mdtrt_cert_type, §6.3).
type Credential string

// The credentials that need no card in the hand.
const (
	ByToken Credential = "token" // 01, the electronic credential's token; it lives for minutes
	ByCard  Credential = "card"  // 02, the identity number
)

// Place is where an area's fund or account figures keep an amount that others state apart.
type Place string

// The places.
const (
	Apart         Place = "apart"
	InsideAccount Place = "inside_account" // acct_pay contains acct_mulaid_pay
	InsideFund    Place = "inside_fund"    // fund_pay_sumamt contains hosp_part_amt
)

// MsgIDLayout is how the 30 characters of a msgid are put together (§1.1). In each of them the number is made of a clock.Source id, so
// that no two nodes and no two restarts ever meet; none has a random tail.
type MsgIDLayout string

// The layouts.
const (
	CodeTimeTail MsgIDLayout = "code_time_tail" // institution (12), yyyyMMddHHmmss, 4 letters or digits
	TimeCodeTail MsgIDLayout = "time_code_tail" // yyMMddHHmmss-institution-4 letters or digits, as in Henan
	CodeNumber   MsgIDLayout = "code_number"    // institution (12) and 18 digits, for platforms that refuse letters
)

// Profile is everything in which one insurance area differs from the next. The zero value of a field is the document.
type Profile struct {
	Area       string     // for logs and for the README: "360100 Nanchang"
	Document   string     // which document, which version
	Credential Credential // empty: ByToken
	// CardAfterToken falls back to the identity number when the token has run out, where the area takes it.
	CardAfterToken bool

	FundContainsAccount bool   // Guangdong: fund_pay_sumamt contains acct_pay
	FamilyAccount       Place  // acct_mulaid_pay: Apart (empty) or InsideAccount
	HospitalPart        Place  // hosp_part_amt: Apart (empty) or InsideFund
	MsgIDNotEchoed      bool   // medins_setl_id is not our msgid here
	ClrOptins           string // what to book under when the answer leaves them out
	ClrWay              string
	ClrType             string

	MsgIDLayout   MsgIDLayout   // empty: CodeTimeTail
	ExtensionName string        // expContent (empty) or exp_content
	Extension     string        // its JSON text in 2206 and 2207, where the area wants one
	PlainVisit    bool          // 2203 instead of 2203A
	RowsPerCall   int           // rows of one 2204; 0: 99, which is also the most
	ChronicTypes  []string      // med_type that needs dise_codg; nil: 14
	DaysRequired  bool          // prd_days of chronic drugs
	Insurances    []string      // insutype in order of preference; nil: 310, 390, then the rest
	SystemErrors  []string      // parts of err_msg that mean a system error: Unknown, not Rejected
	SettleWait    time.Duration // rest after a refused 2601; 0: two minutes

	Statement StatementProfile // 3201, 3202, 9101, 9102
}

// complete fills the zero values and refuses what contradicts itself.
func (p *Profile) complete() error {
	defaults(&p.Credential, ByToken)
	defaults(&p.FamilyAccount, Apart)
	defaults(&p.HospitalPart, Apart)
	defaults(&p.MsgIDLayout, CodeTimeTail)
	defaults(&p.ExtensionName, "expContent")
	defaults(&p.RowsPerCall, 99)
	defaults(&p.SettleWait, 2*time.Minute)
	defaults(&p.ClrType, "11")
	if p.ChronicTypes == nil {
		p.ChronicTypes = []string{"14"}
	}
	if p.Insurances == nil {
		p.Insurances = []string{"310", "390"}
	}
	var faults []error
	refuse := func(what string, value any) { faults = append(faults, fmt.Errorf("profile: %s %v", what, value)) }
	if p.Credential != ByToken && p.Credential != ByCard {
		refuse("credential", p.Credential)
	}
	if p.FamilyAccount != Apart && p.FamilyAccount != InsideAccount {
		refuse("family account", p.FamilyAccount)
	}
	if p.HospitalPart != Apart && p.HospitalPart != InsideFund {
		refuse("hospital part", p.HospitalPart)
	}
	if p.ExtensionName != "expContent" && p.ExtensionName != "exp_content" {
		refuse("extension name", p.ExtensionName)
	}
	if p.MsgIDLayout != CodeTimeTail && p.MsgIDLayout != TimeCodeTail && p.MsgIDLayout != CodeNumber {
		refuse("msgid layout", p.MsgIDLayout)
	}
	if p.RowsPerCall < 1 || p.RowsPerCall > 99 {
		refuse("rows per call, 1 to 99, not", p.RowsPerCall)
	}
	if slices.Contains(p.SystemErrors, "") {
		refuse("an empty system error would be every refusal", "")
	}
	return errors.Join(append(faults, p.Statement.complete())...)
}

func (p *Profile) chronic(medType string) bool { return slices.Contains(p.ChronicTypes, medType) }
