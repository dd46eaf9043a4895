package nhsasim

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Centre is the mobile-payment centre (医保移动支付中心) beside the core platform: the same persons, accounts and yearly counters behind another
// door (nhsa-mobile-pay.md). Its calls are 6201, 6202, 6203, 6301 and 6401; WeChat has an upload settled by SettleMixed, and 6302 tells the
// hospital.
type Centre struct {
	Key    *gm.PrivateKey // signs answers and notices
	Plan   *sandbox.Plan  // nil: no faults
	Apps   []CentreApp
	Notify http.RoundTripper // carries 6302; nil: none is pushed
	Pace   clock.Pace        // divides the waits between pushes
}

// CentreApp is one hospital's access.
type CentreApp struct {
	AppID       string
	Secret      sensitive.Key
	HospitalKey *gm.PublicKey  // checks requests
	OrgCodg     string         // an institution of Config
	Key         *gm.PrivateKey // the centre's for this hospital; nil: Centre.Key
	NotifyURL   string         // where 6302 goes; empty: nowhere
	Plain       bool           // 6302 unsealed
}

// CentreOddities are the ways in which centres differ (nhsa-mobile-pay.md §4, §11). The zero value is what most sources say.
type CentreOddities struct {
	CodeString       bool `json:"code_string"`        // "0" for 0
	Numbers          bool `json:"numbers"`            // amounts and ordStas as JSON numbers
	RawLeaves        bool `json:"raw_leaves"`         // and signed as they stand, where others sign every leaf as a text
	OwnpayAmt        bool `json:"ownpay_amt"`         // 6301 and 6302 spell the cash field so
	AmountsLate      bool `json:"amounts_late"`       // no amounts in 6301 at the codes 0 to 2
	OtherUntold      bool `json:"other_untold"`       // no othFeeAmt in 6301 and 6302
	OtherSplitOff    bool `json:"other_split_off"`    // fundPay is the pooled fund alone, the other funds stand in othFeeAmt
	VisitInExtension bool `json:"visit_in_extension"` // mdtrtId inside extData
	EmptyExtension   bool `json:"empty_extension"`    // extData {} where it holds nothing
	BareRevoke       bool `json:"bare_revoke"`        // 6401 is answered without anything sealed
	BusinessToken    bool `json:"business_token"`     // 1101 tells a token of the e-credential, 6201 and 6203 take it as ecToken
}

type centreApp struct {
	CentreApp
	sm4 []byte
}

// openCentre makes the applications ready; without any there is no centre.
func (s *Sim) openCentre(c Centre) error {
	s.centre, s.apps, s.charges = c, map[string]*centreApp{}, map[string][]string{}
	institutions := map[string]bool{}
	for _, a := range c.Apps {
		if a.Key == nil {
			a.Key = c.Key
		}
		if len(a.AppID) < 16 || a.Secret.IsZero() || a.HospitalKey == nil || a.Key == nil || s.institutions[a.OrgCodg].Area == "" {
			return fmt.Errorf("nhsasim: application %q of the centre: id, secret, both keys and a known institution are required", a.AppID)
		}
		if s.apps[a.AppID] != nil || institutions[a.OrgCodg] {
			return fmt.Errorf("nhsasim: application %q of the centre: its id or its institution stands twice", a.AppID)
		}
		key, err := centreKey(a.AppID, a.Secret)
		if err != nil {
			return fmt.Errorf("nhsasim: application %q of the centre: %w", a.AppID, err)
		}
		s.apps[a.AppID], institutions[a.OrgCodg] = &centreApp{a, key}, true
	}
	if s.centre.Plan == nil {
		plan, err := sandbox.NewPlan(s.clock, "")
		if err != nil {
			return err
		}
		s.centre.Plan = plan
	}
	s.noticeDoor = s.openNoticeDoor()
	return nil
}

// centrePaths are the calls by path (§1.1).
var centrePaths = map[string]string{
	"/org/local/api/hos/uldFeeInfo":       "6201",
	"/org/local/api/hos/pay_order":        "6202",
	"/org/local/api/hos/refund_Order":     "6203",
	"/org/local/api/hos/query_order_info": "6301",
	"/org/local/api/hos/revoke_order":     "6401",
}

// CentreHandler is the centre's door, behind its own fault plan. Without applications it knows no path.
func (s *Sim) CentreHandler() http.Handler {
	if len(s.apps) == 0 {
		return http.NotFoundHandler()
	}
	return s.centre.Plan.Wrap(s.nameCentreCall, http.HandlerFunc(s.serveCentre))
}

// centreCall is one request that was opened.
type centreCall struct {
	app      *centreApp
	number   string
	data     map[string]json.RawMessage
	now      time.Time
	injected sandbox.Fault
}

func (s *Sim) serveCentre(w http.ResponseWriter, r *http.Request) {
	number := centrePaths[r.URL.Path]
	switch {
	case number == "":
		http.NotFound(w, r)
		return
	case r.Method != http.MethodPost || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		http.Error(w, "POST application/json only", http.StatusMethodNotAllowed)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, "body too large or cut", http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.openCall(body)
	var data map[string]any
	if err == nil {
		c.number, c.injected = number, sandbox.Injected(r.Context())
		data, err = s.transactCentre(c)
	}
	s.answerCentre(w, c, data, err)
}

// answerCentre seals what was done. A refusal is neither signed nor encrypted (§1.3), and so is what the area answers bare.
func (s *Sim) answerCentre(w http.ResponseWriter, c centreCall, data map[string]any, err error) {
	var answer []byte
	if no, business := errors.AsType[refused](err); business {
		answer, err = json.Marshal(map[string]any{"code": s.centreCode(-1), "success": false, "message": string(no)})
	} else if err == nil && data == nil {
		answer, err = json.Marshal(map[string]any{"code": s.centreCode(0), "success": true, "message": "成功"})
	} else if err == nil {
		answer, err = s.sealAnswer(c.app, data)
	}
	if err != nil {
		http.Error(w, "<html>500 Internal Server Error</html>", http.StatusInternalServerError) // the journal failed: nothing is promised
		return
	}
	w.Header().Set("Content-Type", "application/json;charset=utf-8")
	_, _ = w.Write(answer)
}

func (s *Sim) centreCode(code int) any {
	if s.oddities.Centre.CodeString {
		return fmt.Sprint(code)
	}
	return code
}

// transactCentre runs one call that was opened. The mutex is held.
func (s *Sim) transactCentre(c centreCall) (map[string]any, error) {
	if s.oddities.SystemErrorText != "" {
		return nil, refused(s.oddities.SystemErrorText)
	}
	r, ordered := s.ordered(c.number, s.centreKeyOf(c.number, c.data))
	if ordered && !r.after {
		return nil, refused(r.text)
	}
	out, err := s.dispatchCentre(c)
	if ordered && err == nil {
		return nil, refused(r.text)
	}
	return out, err
}

func (s *Sim) dispatchCentre(c centreCall) (map[string]any, error) {
	switch c.number {
	case "6201":
		return s.takeUpload(c)
	case "6202":
		return s.foresee(c)
	case "6203":
		return s.giveBack(c)
	case "6301":
		return s.queryUpload(c)
	default:
		return s.revokeUpload(c)
	}
}
