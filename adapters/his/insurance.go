package his

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// ErrDeclined is an insurance claim that the hospital, or the insurer behind it, refuses; Msg is in the insurer's words where there are any.
var ErrDeclined = fault.New(fault.Rejected, "HIS_INSURANCE_DECLINED", "医保未通过")

// declines are what a refusal of a claim means to the patient, unless the insurer has said it himself.
var declines = map[string]string{
	codeNotFound:    "医院系统没有找到该费用或该笔医保结算",
	codeAlreadyPaid: "费用单已缴费",
	codeBillVoid:    "费用单已作废",
	codeBillChanged: "费用单已变更，请重新发起",
	codeLocked:      "费用单正在其他渠道办理",
	codeSettled:     "该费用单已有医保结算",
	codeAuthExpired: "医保授权已过期，请重新授权",
	codeRefused:     "医保未受理，原因未说明",
}

// longestWords of an insurer, in characters.
const longestWords = 200

// LinkConfig is how a hospital's own line to the insurer is used.
type LinkConfig struct {
	Source *clock.Source // of this node; its ids make the numbers of settlements, reversals and cancellations

	PresettleDeadline time.Duration // zero: 30 s
	SettleDeadline    time.Duration // of settlements, reversals and cancellations; zero: 60 s
	SettleWait        time.Duration // how long a refused reversal rests before it is asked whether the claim is settled; zero: two minutes
}

// Link is the insurer behind a hospital that presettles and settles by a line of its own: docs/his-interface.md §3.12 to §3.17. Safe for several
// goroutines.
type Link struct {
	client *Client
	config LinkConfig
}

var _ settlement.Insurer = (*Link)(nil)

// Link is the hospital's own line to the insurer.
func (c *Client) Link(config LinkConfig) (*Link, error) {
	if config.Source == nil {
		return nil, errors.New("his: the insurance link needs a source of numbers")
	}
	for _, d := range []struct {
		set  *time.Duration
		zero time.Duration
	}{{&config.PresettleDeadline, 30 * time.Second}, {&config.SettleDeadline, time.Minute}, {&config.SettleWait, 2 * time.Minute}} {
		if *d.set == 0 {
			*d.set = d.zero
		}
	}
	return &Link{client: c, config: config}, nil
}

// MsgID makes the number of a settlement, a reversal or a cancellation.
func (l *Link) MsgID() string { return "Y" + strconv.FormatInt(l.config.Source.ID(), 10) }

// SettleWait is LinkConfig.SettleWait.
func (l *Link) SettleWait() time.Duration { return l.config.SettleWait }

// claimHead is what every claim begins with.
type claimHead struct {
	OrderNo   string    `json:"order_no"`
	ClaimNo   string    `json:"claim_no"`
	PatientID string    `json:"patient_id"`
	TotalFen  money.Fen `json:"total_fen"`
	PayAuthNo string    `json:"pay_auth_no,omitempty"` // 医保电子凭证授权号
}

type presettleRequest struct {
	claimHead
	UseAccount bool       `json:"use_account"`
	Lines      []sentLine `json:"lines"`
}

type settleRequest struct {
	claimHead
	SettleNo string `json:"settle_no"`
}

// wireForeseen is what presettling and settling are answered, §3.12 and §3.13.
type wireForeseen struct {
	ClaimNo      string    `json:"claim_no"`
	VisitNo      string    `json:"visit_no"` // 门诊号, as the hospital registered the visit with the insurer
	VisitID      string    `json:"mdtrt_id"`
	PsnNo        string    `json:"psn_no"`
	Insutype     string    `json:"insutype"`
	CoverageArea string    `json:"insuplc_admdvs"`
	TotalFen     amount    `json:"total_fen"`
	Parts        wireParts `json:"parts"`
	BalanceFen   amount    `json:"balance_fen"` // 个人账户余额 afterwards

	SettleNo  string `json:"settle_no"`
	SetlID    string `json:"setl_id"`
	SettledAt moment `json:"settled_at"`
	ClrOptins string `json:"clr_optins"`
	ClrWay    string `json:"clr_way"`
	ClrType   string `json:"clr_type"`
}

// split checks that an answer is about the claim, and that its parts are the insurer's and add up.
func (w *wireForeseen) split(c *settlement.Claim) (split.Split, error) {
	parts, whole := w.Parts.split()
	switch {
	case w.ClaimNo != c.BatchNo:
		return parts, errors.New("the answer is about another claim")
	case !whole || !w.TotalFen.present || w.TotalFen.fen != c.Total || parts.Uninsured != 0:
		return parts, errors.New("the parts are not those of the claim")
	}
	return parts, parts.Check(c.Total)
}

// head is what a claim of that archive begins with. An authorisation that has run out is not sent.
func (l *Link) head(c *settlement.Claim, patient string) claimHead {
	head := claimHead{OrderNo: c.OrderNo, ClaimNo: c.BatchNo, PatientID: patient, TotalFen: c.Total}
	if p := c.Person; !p.Token.IsZero() && (p.UsableUntil.IsZero() || l.client.config.Clock.Now().Before(p.UsableUntil)) {
		head.PayAuthNo = p.Token.Reveal()
	}
	return head
}

// claimed writes the insured lines of a claim, which are of one archive and sum to its total.
func claimed(o operation, c *settlement.Claim) (patient string, lines []sentLine, err error) {
	sum := money.Fen(0)
	for i := range c.Bills {
		b := &c.Bills[i]
		if i > 0 && b.HISPatient != patient {
			return "", nil, ErrRequest.Because(fmt.Errorf("his %s: bills of two archives", o.name))
		}
		patient = b.HISPatient
		for j := range b.Lines {
			line := &b.Lines[j]
			if line.Uninsured {
				continue
			}
			quantity := line.Quantity.String()
			sum, err = money.Add(sum, line.Total)
			if err != nil || !plainFigure.MatchString(quantity) {
				return "", nil, ErrRequest.Because(fmt.Errorf("his %s: bill %s line %s cannot be written", o.name, b.No, line.No))
			}
			lines = append(lines, sentLine{BillNo: b.No, LineNo: line.No, Quantity: quantity, TotalFen: line.Total})
		}
	}
	if len(lines) == 0 || sum != c.Total {
		return "", nil, ErrRequest.Because(fmt.Errorf("his %s: the insured lines sum to %s, the claim says %s", o.name, sum, c.Total))
	}
	return patient, lines, nil
}

const claimCodes = codeNotFound + " " + codeAlreadyPaid + " " + codeBillVoid + " " + codeBillChanged + " " + codeLocked + " " + codeSettled + " " +
	codeAuthExpired + " " + codeRefused

// Presettle asks the hospital to ask the insurer who pays, §3.12. It moves no money. A later claim of the same order takes the place of one that was
// not settled.
func (l *Link) Presettle(ctx context.Context, c settlement.Claim) (settlement.Presettlement, error) {
	result := settlement.Presettlement{Visit: c.Visit}
	o := operation{name: "insurance/presettle", deadline: l.config.PresettleDeadline, codes: claimCodes}
	patient, lines, err := claimed(o, &c)
	if err != nil {
		return result, err
	}
	var out wireForeseen
	in := presettleRequest{claimHead: l.head(&c, patient), UseAccount: c.UseAccount, Lines: lines}
	code, rest, err := l.client.call(ctx, o, in, &out)
	switch {
	case err != nil:
		return result, err
	case code != codeDone:
		return result, declined(o, code, rest)
	}
	foreseen, err := out.split(&c)
	switch {
	case err != nil:
		return result, unreadable(o, "%w", err)
	case !Number64(out.VisitNo) || len(out.VisitNo) > 30 || !atMost30(out.VisitID, out.PsnNo) || len(out.Insutype) > 6 || len(out.CoverageArea) > 6:
		return result, unreadable(o, "no visit, or numbers that are too long")
	}
	result.Visit = settlement.Visit{VisitNo: out.VisitNo, MdtrtID: out.VisitID, PersonNo: out.PsnNo, InsuranceType: out.Insutype, CoverageArea: out.CoverageArea}
	result.Split = foreseen
	if out.BalanceFen.present {
		result.Balance = &out.BalanceFen.fen
	}
	return result, nil
}

func atMost30(numbers ...string) bool {
	return !slices.ContainsFunc(numbers, func(s string) bool { return len(s) > 30 || (s != "" && !Number64(s)) })
}

// Repeat asks the same once more for the claim as it stands; a claim that is settled is refused.
func (l *Link) Repeat(ctx context.Context, c settlement.Claim) (settlement.Presettlement, error) {
	return l.Presettle(ctx, c)
}

// Settle has the hospital settle the claim under msgID, §3.13. The same number again changes nothing.
func (l *Link) Settle(ctx context.Context, msgID string, c settlement.Claim) (settlement.Outcome, error) {
	o := operation{name: "insurance/settle", deadline: l.config.SettleDeadline, codes: claimCodes}
	patient, _, err := claimed(o, &c)
	if err != nil {
		return settlement.Outcome{}, err
	}
	var out wireForeseen
	code, rest, err := l.client.call(ctx, o, settleRequest{claimHead: l.head(&c, patient), SettleNo: msgID}, &out)
	switch {
	case err != nil:
		return settlement.Outcome{}, err
	case code != codeDone:
		return settlement.Outcome{}, declined(o, code, rest)
	}
	actual, err := out.split(&c)
	switch {
	case err != nil:
		return settlement.Outcome{}, unreadable(o, "%w", err)
	case out.SettleNo != msgID || !Number64(out.SetlID) || len(out.SetlID) > 30 || out.SettledAt.IsZero():
		return settlement.Outcome{}, unreadable(o, "another settlement, or none with a number and a date")
	case len(out.ClrOptins) > 6 || len(out.ClrWay) > 6 || len(out.ClrType) > 6:
		return settlement.Outcome{}, unreadable(o, "a clearing agency, way or type is too long")
	}
	return settlement.Outcome{SetlID: out.SetlID, Split: actual, SettledAt: out.SettledAt.Time, ClrOptins: out.ClrOptins, ClrWay: out.ClrWay,
		ClrType: out.ClrType}, nil
}

type reverseRequest struct {
	ReverseNo  string `json:"reverse_no"`
	VisitNo    string `json:"visit_no"`
	Original   string `json:"original"` // settle or cancel
	OriginalNo string `json:"original_no"`
}

// Reverse has the hospital make sure that what was asked under a number has no effect, now or later, §3.14.
func (l *Link) Reverse(ctx context.Context, msgID string, visit settlement.Visit, original, originalMsgID string) error {
	o := operation{name: "insurance/reverse", deadline: l.config.SettleDeadline, codes: codeRefused}
	what, stands := "settle", "not_settled"
	if original == "2208" {
		what, stands = "cancel", "settled"
	}
	var out struct {
		ReverseNo string `json:"reverse_no"`
		State     string `json:"state"`
	}
	code, rest, err := l.client.call(ctx, o, reverseRequest{ReverseNo: msgID, VisitNo: visit.VisitNo, Original: what, OriginalNo: originalMsgID}, &out)
	switch {
	case err != nil:
		return err
	case code != codeDone:
		return declined(o, code, rest)
	case out.ReverseNo != msgID || out.State != stands:
		return unreadable(o, "another reversal, or state %s", short(strings.ToUpper(out.State)))
	}
	return nil
}

type setlRequest struct {
	VisitNo  string `json:"visit_no"`
	CancelNo string `json:"cancel_no,omitempty"`
	SetlID   string `json:"setl_id"`
}

type setlAnswer struct {
	SetlID string `json:"setl_id"`
	State  string `json:"state"` // settled, cancelled
}

// Cancel has the hospital cancel a settlement as a whole under msgID, §3.15.
func (l *Link) Cancel(ctx context.Context, msgID string, visit settlement.Visit, setlID string) error {
	o := operation{name: "insurance/cancel", deadline: l.config.SettleDeadline, codes: codeNotFound + " " + codeRefused}
	var out setlAnswer
	code, rest, err := l.client.call(ctx, o, setlRequest{VisitNo: visit.VisitNo, CancelNo: msgID, SetlID: setlID}, &out)
	switch {
	case err != nil:
		return err
	case code != codeDone:
		return declined(o, code, rest)
	case out.SetlID != setlID || out.State != "cancelled":
		return unreadable(o, "another settlement, or state %s", short(strings.ToUpper(out.State)))
	}
	return nil
}

// InForce asks whether a settlement stands, §3.16.
func (l *Link) InForce(ctx context.Context, visit settlement.Visit, setlID string) (bool, error) {
	o := operation{name: "insurance/query", deadline: l.client.config.QueryDeadline, codes: codeNotFound}
	var out setlAnswer
	code, rest, err := l.client.call(ctx, o, setlRequest{VisitNo: visit.VisitNo, SetlID: setlID}, &out)
	switch {
	case err != nil:
		return false, err
	case code != codeDone:
		return false, declined(o, code, rest)
	case out.SetlID != setlID || (out.State != "settled" && out.State != "cancelled"):
		return false, unreadable(o, "another settlement, or state %s", short(strings.ToUpper(out.State)))
	}
	return out.State == "settled", nil
}

// Withdraw gives a claim up that is not settled, §3.17.
func (l *Link) Withdraw(ctx context.Context, c settlement.Claim) error {
	o := operation{name: "insurance/withdraw", deadline: l.config.PresettleDeadline, codes: codeNone + " " + codeSettled + " " + codeRefused}
	var out struct {
		ClaimNo string `json:"claim_no"`
	}
	in := struct {
		OrderNo string `json:"order_no"`
		ClaimNo string `json:"claim_no"`
	}{c.OrderNo, c.BatchNo}
	code, rest, err := l.client.call(ctx, o, in, &out)
	switch {
	case err != nil || code == codeNone:
		return err
	case code != codeDone:
		return declined(o, code, rest)
	case out.ClaimNo != c.BatchNo:
		return unreadable(o, "another claim was withdrawn")
	}
	return nil
}

// declined is what a refusal means: the insurer's own words where the answer has them.
func declined(o operation, code string, data json.RawMessage) error {
	words, known := declines[code]
	if !known {
		return bill.ErrUnreadable.Because(fmt.Errorf("his %s: code %s", o.name, short(code)))
	}
	var said struct {
		Reason string `json:"reason"`
	}
	if code == codeRefused && into(data, &said) == nil {
		if text := plain(said.Reason, longestWords); text != "" {
			words = text
		}
	}
	cause := fmt.Errorf("his %s: code %s", o.name, short(code))
	if code == codeSettled {
		cause = fmt.Errorf("%w: %w", settlement.ErrStands, cause)
	}
	return ErrDeclined.Saying(words).Because(cause)
}
