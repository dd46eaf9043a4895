package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/refund"
)

// visitor is a patient with a phone in a scene.
type visitor struct {
	*player
	scene  *scene
	caller patient.Caller
	person patient.ID
	id     order.ID
	gone   bool
	asked  int       // refunds so far
	until  time.Time // the window has asked for one, or an answer was lost: until then it may come
}

func (v *visitor) arrive(ctx context.Context) error {
	code, err := v.loginCode(ctx)
	if err != nil {
		return err
	}
	return v.scene.ask(ctx, "arrive", func(ctx context.Context, h *house) error { return v.enter(ctx, h, code) })
}

// loginCode is what the mini program gets of WeChat.
func (v *visitor) loginCode(ctx context.Context) (string, error) {
	var code struct {
		Code string `json:"code"`
	}
	err := v.client.sandbox(ctx, http.MethodPost, "/wechatmp/login", map[string]string{"user": v.role.User, "appid": v.client.appID(v.role.Institution)}, &code)
	return code.Code, err
}

// enter logs in, agrees, and binds the visitor as a patient.
func (v *visitor) enter(ctx context.Context, h *house, code string) error {
	_, session, err := h.people.Login(ctx, v.role.Institution, code, "r")
	if err != nil {
		return err
	}
	v.caller = patient.Caller{Account: session.Account, Institution: v.role.Institution, RequestID: "r"}
	agreements, err := h.people.Agreements(ctx, v.caller)
	if err != nil {
		return err
	}
	for _, a := range agreements {
		if a.Text.Kind == patient.ConsentGuardian {
			continue
		}
		if _, err := h.people.Agree(ctx, v.caller, a.Text.Kind, a.Text.Version); err != nil {
			return err
		}
	}
	n, err := patient.ReadPatient(patient.Self, v.role.Name, v.role.IDNumber, v.role.Phone)
	if err != nil {
		return err
	}
	p, err := h.people.Add(ctx, v.caller, n)
	if err != nil {
		return err
	}
	v.person = p.ID
	return v.bind(ctx, h)
}

// bind authorises at the insurer's mini program and binds what comes back.
func (v *visitor) bind(ctx context.Context, h *house) error {
	if !v.insured() {
		return nil
	}
	jump, err := h.people.Jump(ctx, v.caller)
	if err != nil {
		return err
	}
	_, query, _ := strings.Cut(jump.Path, "?")
	var code struct {
		AuthCode string `json:"authCode"`
	}
	if err := v.client.sandbox(ctx, http.MethodPost, "/wechatmp/authorise",
		map[string]string{"user": v.role.User, "appid": v.client.appID(v.role.Institution), "query": query}, &code); err != nil {
		return err
	}
	_, err = h.people.Bind(ctx, v.caller, v.person, code.AuthCode, "")
	return err
}

// live is a patient's day: one bill, and perhaps second thoughts.
func (v *visitor) live(ctx context.Context) {
	defer func() { v.gone = true }()
	s := v.scene
	end := s.virtual.Now().Add(seedLife - time.Hour)
	_ = s.virtual.Sleep(ctx, time.Duration(s.virtual.Chance(90_000))*time.Millisecond)
	for tries := 0; v.id == 0; tries++ {
		if tries > 20 {
			return // this patient goes to the window
		}
		v.quote(ctx)
		_ = s.virtual.Sleep(ctx, time.Duration(1+tries)*time.Second)
	}
	pause := 20 * time.Second
	var seen int64
	paying := false // a page that waits for money makes us look for it
	for s.virtual.Now().Before(end) {
		var o *order.Order
		err := s.ask(ctx, "look", func(ctx context.Context, h *house) (err error) {
			if paying {
				o, err = h.orders.Wait(ctx, v.caller.Account, v.id, seen, time.Second)
			} else {
				o, err = h.orders.Get(ctx, v.caller.Account, v.id)
			}
			return err
		})
		if err == nil {
			if o.Version > seen {
				pause = 20 * time.Second
			}
			seen, paying = o.Version, o.State == order.Paying
			if v.act(ctx, o) {
				return
			}
		}
		// The phone hears of news at once, as a rule.
		_ = s.virtual.Rest(ctx, pause, func() bool { return s.watch.version(v.id) > seen })
		_ = s.virtual.Sleep(ctx, time.Duration(100+s.virtual.Chance(2_000))*time.Millisecond)
		pause = min(pause*2, 10*time.Minute)
	}
}

func (v *visitor) quote(ctx context.Context) {
	err := v.scene.ask(ctx, "quote", func(ctx context.Context, h *house) error {
		o, err := h.orders.Quote(ctx, order.QuoteRequest{Account: v.caller.Account, Institution: v.role.Institution, Patient: v.person, BillNos: v.role.Bills,
			Insurance: v.insured(), UseAccount: v.useAccount(), Request: &job.Request{Key: job.Key{Account: int64(v.caller.Account), Route: "quote", Key: v.role.Bills[0]}, BodyDigest: "d"}})
		if err == nil {
			v.id = o.ID
		}
		return err
	})
	if v.id != 0 || err == nil {
		return
	}
	v.scene.note("%s quotes: %v", v.role.User, err)
	if errors.Is(err, patient.ErrAuthExpired) || errors.Is(err, patient.ErrNotBound) {
		_ = v.scene.ask(ctx, "bind", v.bind)
	}
	_ = v.scene.ask(ctx, "live", func(ctx context.Context, h *house) error { // an answer may have been lost
		o, err := h.orders.Live(ctx, v.caller.Account)
		if err == nil {
			v.id = o.ID
		}
		return err
	})
}

// act does what the order asks of its patient, and reports whether nothing more will come.
func (v *visitor) act(ctx context.Context, o *order.Order) (over bool) {
	s := v.scene
	f := o.Refund()
	v.scene.note("%s sees %s %s %s", v.role.User, o.ID.No(), o.State, o.Cause)
	switch {
	case (o.State == order.Quoting && o.Renew) || (f != nil && f.WantsAuth()):
		v.renew(ctx)
	case o.State == order.Quoted && o.ConfirmedAt.IsZero():
		if v.seed%11 == 0 {
			v.cancel(ctx)
			break
		}
		v.agreed = viewOf(o)
		for range 1 + s.virtual.Chance(2) { // some press twice
			err := s.ask(ctx, "confirm", func(ctx context.Context, h *house) error {
				_, err := h.orders.Confirm(ctx, order.Confirmation{Account: v.caller.Account, Order: v.id, Seen: o.Version})
				return err
			})
			if errors.Is(err, patient.ErrAuthExpired) {
				v.renew(ctx)
			}
		}
	case o.Payable(s.virtual.Now()) != order.NoWay:
		if v.seed%13 == 0 && s.virtual.Chance(2) == 0 {
			v.cancel(ctx)
			break
		}
		v.payAt(ctx)
	case o.State == order.Completed && f == nil && v.asked < int(v.seed%4) && len(o.Left()) > 0:
		v.asked++
		if s.virtual.Chance(4) == 0 {
			v.windowAsks(ctx, o)
		} else {
			v.giveBack(ctx, o)
		}
	case o.State == order.Completed && f == nil:
		return !s.virtual.Now().Before(v.until)
	case o.State.Final() && f == nil:
		return true
	case o.State == order.InReview:
		return true
	case f != nil && f.State == refund.InReview:
		return true
	}
	return false
}

// renew authorises anew for an order that waits for it.
func (v *visitor) renew(ctx context.Context) {
	_ = v.scene.ask(ctx, "bind", v.bind)
	_ = v.scene.ask(ctx, "renew", func(ctx context.Context, h *house) error {
		_, err := h.orders.Renew(ctx, v.caller.Account, v.id)
		return err
	})
}

func (v *visitor) cancel(ctx context.Context) {
	err := v.scene.ask(ctx, "cancel", func(ctx context.Context, h *house) error {
		_, err := h.orders.Cancel(ctx, v.caller.Account, v.id)
		return err
	})
	v.excused = v.excused || !errors.Is(err, order.ErrState) // a lost answer may have been a yes
}

// payAt opens WeChat's cashier and types the password.
func (v *visitor) payAt(ctx context.Context) {
	s := v.scene
	var args map[string]string
	err := s.ask(ctx, "cashier", func(ctx context.Context, h *house) (err error) {
		args, err = cashierArgs(ctx, h, v.caller.Account, v.id)
		return err
	})
	if err != nil {
		return
	}
	_ = s.virtual.Sleep(ctx, time.Duration(s.virtual.Chance(30_000))*time.Millisecond)
	paid, err := s.door.once(ctx, http.MethodPost, v.counter(args), "", "", args)
	s.note("%s pays: %d %s %v", v.role.User, paid.status, paid.body, err)
}

// cashierArgs are the parameters of the cashier as the mini program gets them: those that are not for this order are left out.
func cashierArgs(ctx context.Context, h *house, account patient.AccountID, id order.ID) (map[string]string, error) {
	c, err := h.orders.Cashier(ctx, account, id)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(c)
	if err != nil {
		return nil, err
	}
	args := map[string]string{}
	err = json.Unmarshal(text, &args)
	maps.DeleteFunc(args, func(_, value string) bool { return value == "" })
	return args, err
}

// giveBack asks for the order back, or for an item of it.
func (v *visitor) giveBack(ctx context.Context, o *order.Order) {
	s := v.scene
	ask := order.RefundAsk{By: refund.ByPatient, Actor: "phone", Account: v.caller.Account, Order: v.id, Key: fmt.Sprint("back ", v.asked), KeptAgain: true}
	left := o.Left()
	if len(left) == 0 || len(left[0].Lines) == 0 {
		return
	}
	line := left[0].Lines[s.virtual.Chance(len(left[0].Lines))]
	if s.virtual.Chance(3) == 0 {
		ask.Whole = true
	} else {
		ask.Wants = []refund.Want{{BillNo: left[0].No, LineNo: line.No, All: true}}
	}
	for range 5 {
		err := s.ask(ctx, "give back", func(ctx context.Context, h *house) error {
			_, _, err := h.orders.AskRefund(ctx, ask)
			return err
		})
		s.note("%s asks a refund: %v", v.role.User, err)
		if !errors.Is(err, errDown) && !errors.Is(err, job.ErrBusy) && !errors.Is(err, job.ErrLost) {
			return
		}
		v.until = s.virtual.Now().Add(30 * time.Minute)
		_ = s.virtual.Sleep(ctx, 3*time.Second)
	}
}

// windowAsks lets the hospital's window ask for the order back, or for an item of it.
func (v *visitor) windowAsks(ctx context.Context, o *order.Order) {
	s := v.scene
	body := map[string]any{"reason": "窗口退费"}
	if s.virtual.Chance(3) != 0 {
		left := o.Left()[0]
		line := left.Lines[s.virtual.Chance(len(left.Lines))]
		body["lines"] = []map[string]any{{"bill_no": left.No, "line_no": line.No, "quantity": line.Quantity.String()}}
	}
	err := s.door.sandbox(ctx, http.MethodPost, "/"+v.role.Institution+"/his/postings/"+o.ID.No()+"/ask-refund", body, nil)
	s.note("the window asks %v back: %v", body, err)
	if err == nil {
		v.until = s.virtual.Now().Add(30 * time.Minute)
	}
}

// window pays the visitor's bill at the hospital's window, where the HIS lets it.
func (v *visitor) window(ctx context.Context) {
	s := v.scene
	_ = s.virtual.Sleep(ctx, time.Duration(s.virtual.Chance(300_000))*time.Millisecond)
	err := s.door.sandbox(ctx, http.MethodPost, "/"+v.role.Institution+"/his/bills/"+v.role.Bills[0]+"/window-pay", nil, nil)
	v.excused = v.excused || err == nil
	s.note("window pays %s: %v", v.role.Bills[0], err)
}

// viewOf is an order as the comparison reads it.
func viewOf(o *order.Order) orderView {
	v := orderView{ID: o.ID.No(), State: string(o.State), Cause: string(o.Cause), UpdatedAt: o.UpdatedAt, TotalFen: o.Split.Total(), ChargeFen: o.Split.Charge(), Split: parts{
		Pooled: o.Split.PooledFund, Other: o.Split.OtherFund, Account: o.Split.Account, Family: o.Split.FamilyAccount, Hospital: o.Split.HospitalBorne,
		Cash: o.Split.Cash, Uninsured: o.Split.Uninsured}}
	for _, p := range o.Payments {
		v.Payments = append(v.Payments, paymentView{p.OutTradeNo, string(p.State), p.Amount})
	}
	for _, m := range o.Mixed {
		v.Mixed = append(v.Mixed, mixedView{m.OutTradeNo, string(m.State)})
	}
	for _, l := range o.Settlements {
		v.Settlements = append(v.Settlements, settlementView{l.Upload.OrderNo, l.Visit.VisitNo, l.SetlID, string(l.State)})
	}
	for _, f := range o.Refunds {
		v.Refunds = append(v.Refunds, refundView{f.ID.No(), string(f.State), f.WantsAuth(), f.Total(), f.CashDue()})
	}
	return v
}
