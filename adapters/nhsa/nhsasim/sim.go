// Package nhsasim is the insurer's core platform (国家医保信息平台 定点医药机构接口) as a sandbox: a gateway that speaks the true wire,
// keeps persons, visits, fee rows, settlements and yearly counters, computes who pays by published city rules, and misbehaves on
// command. It shares no code with the client in adapters/nhsa/core.
//
// Transactions: 1101, 2201, 2202, 2203A, 2204, 2205, 2206, 2207, 2208, 2601, 3201, 3202, 5203, 9101, 9102. Behind a door of its own (Config.Centre) stands the
// mobile-payment centre with 6201, 6202, 6203, 6301, 6401 and the notice 6302, for the same persons, accounts and counters. Every effect is
// in the journal before it is answered, and the journal is replayed by New.
package nhsasim

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"sync"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Authorisations is where the platform asks what a credential token (医保电子凭证, mdtrt_cert_type 01) stands for: the identity
// number behind it and the moment it stops being usable. The mini-program simulator answers it in the sandbox.
type Authorisations interface {
	Authorisation(token string) (idNumber string, usableUntil time.Time, ok bool)
}

// Institution is a hospital under contract (定点医药机构), keyed by its code in Config.
type Institution struct {
	Name  string
	Level Level
	Area  string // 6-digit area code; mdtrtarea_admvs must equal it
}

// Config is what the platform knows when it starts. Clock, Source, PaasID, Secret and at least one institution are required.
type Config struct {
	Clock        clock.Clock
	Source       *clock.Source
	Journal      string        // file; empty keeps everything in memory
	Plan         *sandbox.Plan // nil: no faults
	Institutions map[string]Institution
	PaasID       string
	Secret       sensitive.Key
	// Catalogue is the insurer's item catalogue by med_list_codg; what is not in it is wholly self-funded (§8.1). AddItem adds to it.
	Catalogue      map[string]Item
	Oddities       Oddities
	Authorisations Authorisations // nil: credential 01 is refused
	Centre         Centre         // the mobile-payment centre; without applications there is none
	// StatementsAtOnce compares the current day as it stands, for a sandbox that cannot wait until tomorrow.
	StatementsAtOnce bool
}

// Oddities are the ways in which real platforms differ from the document and from each other (nhsa-core.md §9, §11). The zero value
// is the document, and the stricter of two readings.
type Oddities struct {
	InfcodeString         bool   `json:"infcode_string"`           // "0" for 0
	SuccessMessage        string `json:"success_message"`          // err_msg of a success
	OutputString          bool   `json:"output_string"`            // output as JSON text inside a string
	OutputAbsent          bool   `json:"output_absent"`            // no output member where the transaction has no node; else {}
	NullsIn2208           bool   `json:"nulls_in_2208"`            // psn_part_amt, hosp_part_amt, acct_mulaid_pay null
	PdnCashPay            bool   `json:"pdn_cash_pay"`             // 2208 spells the cash field as its table does
	FundContainsAccount   bool   `json:"fund_contains_account"`    // Guangdong: fund_pay_sumamt contains acct_pay
	FamilyInsideAccount   bool   `json:"family_inside_account"`    // acct_pay contains acct_mulaid_pay
	HospitalInsideFund    bool   `json:"hospital_inside_fund"`     // fund_pay_sumamt contains hosp_part_amt
	HospitalBears         int    `json:"hospital_bears"`           // basis points of the person's in-scope part that the hospital bears
	ExpContentSnake       bool   `json:"exp_content_snake"`        // exp_content for expContent in 1101
	IdentityBesideOutput  bool   `json:"identity_beside_output"`   // 1101: idetinfo next to output
	EchoUnchecked         bool   `json:"echo_unchecked"`           // 2207 does not compare the four echoed amounts
	AnyOrderCancel        bool   `json:"any_order_cancel"`         // 2208 of a settlement that is not the person's latest
	CancelAfterClearing   bool   `json:"cancel_after_clearing"`    // 2208 and 2601 of a cleared settlement
	MissingOriginalIsDone bool   `json:"missing_original_is_done"` // 2601 of an original that never came: 0, and the original is refused if it comes
	SystemErrorText       string `json:"system_error_text"`        // refuse everything with this text, as a sick platform does

	Statements StatementOddities `json:"statements"` // 3201, 3202, 9101, 9102
	Centre     CentreOddities    `json:"centre"`     // of the mobile-payment centre
}

// Sim is the platform. Safe for several goroutines.
type Sim struct {
	clock          clock.Clock
	source         *clock.Source
	plan           *sandbox.Plan
	journal        *sandbox.Journal
	institutions   map[string]Institution
	paasID         string
	secret         sensitive.Key
	authorisations Authorisations

	mu       sync.Mutex
	oddities Oddities
	early    bool // see Config.StatementsAtOnce
	refusals []refusal
	state

	centre     Centre
	apps       map[string]*centreApp // by appId
	noticeDoor http.RoundTripper     // carries 6302 through the centre's fault plan
	charges    map[string][]string   // medOrgOrds of 6201 by what is charged
	scripts    centreScripts
}

// refusal is a refusal ordered by RefuseNext or FailAfterNext.
type refusal struct {
	infno, key, text string
	after            bool
}

// New opens the platform and replays its journal.
func New(cfg Config) (*Sim, error) {
	if cfg.Clock == nil || cfg.Source == nil || cfg.PaasID == "" || cfg.Secret.IsZero() || len(cfg.Institutions) == 0 {
		return nil, errors.New("nhsasim: clock, source, paasid, secret and an institution are required")
	}
	s := &Sim{clock: cfg.Clock, source: cfg.Source, plan: cfg.Plan, institutions: maps.Clone(cfg.Institutions), paasID: cfg.PaasID,
		secret: cfg.Secret, authorisations: cfg.Authorisations, oddities: cfg.Oddities, early: cfg.StatementsAtOnce, state: newState()}
	maps.Copy(s.items, cfg.Catalogue)
	for code, i := range cfg.Institutions {
		if len(code) > 30 || len(i.Area) != 6 || i.Level.index() < 0 {
			return nil, fmt.Errorf("nhsasim: institution %s: code up to 30, area of 6 digits, level community, 1, 2 or 3", code)
		}
	}
	if s.plan == nil {
		plan, err := sandbox.NewPlan(cfg.Clock, "")
		if err != nil {
			return nil, err
		}
		s.plan = plan
	}
	if err := s.openCentre(cfg.Centre); err != nil {
		return nil, err
	}
	journal, err := sandbox.OpenJournal(cfg.Journal, func(line []byte) error {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		return s.apply(e)
	})
	if err != nil {
		return nil, fmt.Errorf("nhsasim: %w", err)
	}
	s.journal = journal
	return s, nil
}

// Close closes the journal.
func (s *Sim) Close() error { return s.journal.Close() }

// Handler is the gateway: one URL by infno, an infno appended to the URL, or the /fsi/api/ paths, all at once.
func (s *Sim) Handler() http.Handler {
	return s.plan.Wrap(s.nameCall, http.HandlerFunc(s.serve))
}

// Line is the gateway as a HIS of the sandbox reaches it by its own line: it never misbehaves.
func (s *Sim) Line() http.Handler { return http.HandlerFunc(s.serve) }

// SetOddities changes the platform's habits from now on; it is not journaled, as it is configuration.
func (s *Sim) SetOddities(o Oddities) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.oddities = o
}

// RefuseNext makes the next call of a transaction (about key, or about anything when key is empty) be refused with that text and
// without effect. It is the only way to have a 2208, a 2601 or a 5203 refused out of the blue.
func (s *Sim) RefuseNext(infno, key, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = append(s.refusals, refusal{infno: infno, key: key, text: text})
}

// FailAfterNext makes the next such call take effect and yet be answered with infcode −1 and that text, as a platform does whose
// database answered and whose middle did not.
func (s *Sim) FailAfterNext(infno, key, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refusals = append(s.refusals, refusal{infno: infno, key: key, text: text, after: true})
}

// ordered takes the first refusal that was ordered for this call.
func (s *Sim) ordered(infno, key string) (refusal, bool) {
	for i, r := range s.refusals {
		if r.infno == infno && (r.key == "" || r.key == key) {
			s.refusals = append(s.refusals[:i], s.refusals[i+1:]...)
			return r, true
		}
	}
	return refusal{}, false
}

// record writes an effect to the journal and then makes it true. Callers hold the mutex and have validated it.
func (s *Sim) record(e entry) error {
	e.At = s.clock.Now()
	if err := s.journal.Append(e); err != nil {
		return err
	}
	return s.apply(e)
}
