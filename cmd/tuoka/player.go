package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/money"
)

// parts says who pays, as our API and the HIS's books both write it.
type parts struct {
	Pooled    money.Fen `json:"pooled_fund_fen"`
	Other     money.Fen `json:"other_fund_fen"`
	Account   money.Fen `json:"account_fen"`
	Family    money.Fen `json:"family_account_fen"`
	Hospital  money.Fen `json:"hospital_borne_fen"`
	Cash      money.Fen `json:"cash_fen"`
	Uninsured money.Fen `json:"uninsured_fen"`
}

func (p parts) total() money.Fen {
	return p.Pooled + p.Other + p.Account + p.Family + p.Hospital + p.Cash + p.Uninsured
}

// orderView is the order resource, as far as a player reads it.
type orderView struct {
	ID          string           `json:"id"`
	State       string           `json:"state"`
	Cause       string           `json:"cause"`
	Version     int64            `json:"version"`
	UpdatedAt   time.Time        `json:"updated_at"`
	NextAction  string           `json:"next_action"`
	TotalFen    money.Fen        `json:"total_fen"`
	ChargeFen   money.Fen        `json:"charge_fen"`
	Split       parts            `json:"split"`
	Payments    []paymentView    `json:"payments"`
	Mixed       []mixedView      `json:"mixed"`
	Settlements []settlementView `json:"settlements"`
	Refunds     []refundView     `json:"refunds"`
}

type refundView struct {
	ID                    string    `json:"id"`
	State                 string    `json:"state"`
	WaitsForAuthorisation bool      `json:"waits_for_authorisation"`
	TotalFen              money.Fen `json:"total_fen"`
	CashFen               money.Fen `json:"cash_fen"`
}

func (r *refundView) over() bool {
	return r.State == "done" || r.State == "refused" || r.State == "in_review"
}

type paymentView struct {
	OutTradeNo string    `json:"out_trade_no"`
	State      string    `json:"state"`
	AmountFen  money.Fen `json:"amount_fen"`
}

type mixedView struct {
	OutTradeNo string `json:"out_trade_no"`
	State      string `json:"state"`
}

type settlementView struct {
	OrderNo string `json:"order_no"` // at the mobile-payment centre
	VisitNo string `json:"visit_no"`
	SetlID  string `json:"setl_id"`
	State   string `json:"state"`
}

func (o *orderView) over() bool {
	for i := range o.Refunds {
		if o.Refunds[i].State == "in_review" { // those behind it wait for people, too
			break
		}
		if !o.Refunds[i].over() {
			return false
		}
	}
	return o.State == "completed" || o.State == "closed" || o.State == "unwound" || o.State == "review"
}

// player is one patient with a phone.
type player struct {
	client *phoneClient
	role   role
	seed   uint64

	givesBack bool // wants the order, or a part of it, back

	token   string
	patient string
	order   orderView
	agreed  orderView // as it stood when the patient agreed to it
	took    time.Duration
	trouble error // why there is no order, or no end of it
	excused bool  // gave up, or somebody else paid: the order need not be completed
}

// lookAgain is how long a patient waits between two looks that brought nothing.
const lookAgain = 200 * time.Millisecond

// patienceOfPlayer is how long a patient keeps at it, restarts of the server included.
const patienceOfPlayer = 4 * time.Minute

func (p *player) play(ctx context.Context) {
	ctx, cancel := p.client.clock.WithDeadline(ctx, patienceOfPlayer)
	defer cancel()
	for _, step := range []func(context.Context) error{p.login, p.consent, p.enrol, p.authorise} {
		if p.trouble = p.persist(ctx, step); p.trouble != nil {
			return
		}
	}
	begun := p.client.clock.Now()
	p.trouble = p.payBill(ctx)
	p.took = p.client.clock.Now().Sub(begun)
	if p.trouble == nil && p.order.State == "completed" && p.givesBack {
		p.trouble = p.giveBack(ctx)
	}
}

// errAgain is a step that a patient simply tries again: somebody did not answer.
var errAgain = errors.New("no answer yet")

// persist repeats a step that may be begun anew: a fresh login code, a fresh authorisation.
func (p *player) persist(ctx context.Context, step func(context.Context) error) error {
	for tries := 0; ; tries++ {
		err := step(ctx)
		if err == nil || !errors.Is(err, errAgain) || tries >= 40 {
			return err
		}
		if err := p.client.clock.Sleep(ctx, p.client.chance.Spread(250*time.Millisecond)); err != nil {
			return err
		}
	}
}

// call asks our API and reads what it gives. Anything that a patient would try again is errAgain.
func (p *player) call(ctx context.Context, method, path string, body, into any) error {
	a, err := p.client.ask(ctx, method, "/api/v1"+path, p.token, "", body)
	if err != nil {
		return err
	}
	if a.status >= 300 || a.status == http.StatusAccepted {
		err := fmt.Errorf("%s %s: status %d %s", method, path, a.status, a.problem())
		if a.status == http.StatusAccepted || slices.Contains([]string{"AUTH_CODE_INVALID", "LOGIN_CODE_INVALID", "ORDER_BUSY", "IDEMPOTENCY_RUNNING",
			"CLAIM_LOST", "PATIENT_EXISTS"}, a.problem()) {
			return errors.Join(errAgain, err)
		}
		return err
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(a.body, into)
}

func (p *player) login(ctx context.Context) error {
	var code struct {
		Code string `json:"code"`
	}
	if err := p.client.sandbox(ctx, http.MethodPost, "/wechatmp/login", map[string]string{"user": p.role.User, "appid": p.client.appID(p.role.Institution)}, &code); err != nil {
		return err
	}
	var session struct {
		Token string `json:"token"`
	}
	p.token = ""
	err := p.call(ctx, http.MethodPost, "/sessions", map[string]string{"institution": p.role.Institution, "code": code.Code}, &session)
	p.token = session.Token
	return err
}

func (p *player) consent(ctx context.Context) error {
	var all struct {
		Consents []struct {
			Text struct {
				Kind    string `json:"kind"`
				Version string `json:"version"`
			} `json:"text"`
			Current bool `json:"current"`
		} `json:"consents"`
	}
	if err := p.call(ctx, http.MethodGet, "/consents", nil, &all); err != nil {
		return err
	}
	for _, c := range all.Consents {
		if c.Current || c.Text.Kind == "guardian" {
			continue
		}
		if err := p.call(ctx, http.MethodPost, "/consents", map[string]string{"kind": c.Text.Kind, "version": c.Text.Version}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (p *player) enrol(ctx context.Context) error {
	var known struct {
		Patients []struct {
			ID string `json:"id"`
		} `json:"patients"`
	}
	if err := p.call(ctx, http.MethodGet, "/patients", nil, &known); err != nil {
		return err
	}
	if len(known.Patients) > 0 { // an earlier try got through, its answer did not
		p.patient = known.Patients[0].ID
		return nil
	}
	var made struct {
		ID string `json:"id"`
	}
	err := p.call(ctx, http.MethodPost, "/patients", map[string]any{"relation": "self", "name": p.role.Name, "id_number": p.role.IDNumber,
		"phone": p.role.Phone}, &made)
	p.patient = made.ID
	return err
}

func (p *player) insured() bool { return p.role.Insurance != "none" }

// useAccount: one patient in eight keeps the personal account for later.
func (p *player) useAccount() bool { return p.seed%8 != 0 }

func (p *player) authorise(ctx context.Context) error {
	if !p.insured() {
		return nil
	}
	var jump struct {
		Path string `json:"path"`
	}
	if err := p.call(ctx, http.MethodGet, "/insurance/jump", nil, &jump); err != nil {
		return err
	}
	_, query, _ := strings.Cut(jump.Path, "?")
	var code struct {
		AuthCode string `json:"authCode"`
	}
	if err := p.client.sandbox(ctx, http.MethodPost, "/wechatmp/authorise",
		map[string]string{"user": p.role.User, "appid": p.client.appID(p.role.Institution), "query": query}, &code); err != nil {
		return err
	}
	return p.call(ctx, http.MethodPost, "/patients/"+p.patient+"/insurance-binding", map[string]string{"auth_code": code.AuthCode}, nil)
}

// payBill is one order, from the list of bills to its end.
func (p *player) payBill(ctx context.Context) error {
	if err := p.persist(ctx, p.seeBill); err != nil {
		return err
	}
	if err := p.persist(ctx, p.quote); err != nil {
		return err
	}
	key := p.client.chance.Nonce(24)
	for !p.order.over() {
		seen := p.order.Version
		switch p.order.NextAction {
		case "confirm":
			if err := p.confirm(ctx, key); err != nil {
				return err
			}
			key = p.client.chance.Nonce(24)
		case "authorise":
			if err := p.renew(ctx); err != nil {
				return err
			}
		case "pay":
			if err := p.cashier(ctx); err != nil {
				return err
			}
		}
		if p.order.Version != seen { // the answer was the news already
			continue
		}
		if err := p.look(ctx); err != nil {
			return err
		}
	}
	return nil
}

// renew authorises anew for an order that waits for it. What it answers the order tells better.
func (p *player) renew(ctx context.Context) error {
	if err := p.persist(ctx, p.authorise); err != nil {
		return err
	}
	a, err := p.client.ask(ctx, http.MethodPost, "/api/v1/orders/"+p.order.ID+"/authorisation", p.token, "", nil)
	if err != nil {
		return err
	}
	if a.status >= 400 && a.status != http.StatusConflict {
		return fmt.Errorf("authorise anew: status %d %s", a.status, a.problem())
	}
	return nil
}

func (p *player) seeBill(ctx context.Context) error {
	var list struct {
		Bills []struct {
			No string `json:"bill_no"`
		} `json:"bills"`
	}
	if err := p.call(ctx, http.MethodGet, "/patients/"+p.patient+"/bills", nil, &list); err != nil {
		return err
	}
	for _, b := range list.Bills {
		if slices.Contains(p.role.Bills, b.No) {
			return nil
		}
	}
	return fmt.Errorf("patient %s does not see bill %v", p.role.User, p.role.Bills)
}

func (p *player) quote(ctx context.Context) error {
	body := map[string]any{"patient_id": p.patient, "bill_nos": p.role.Bills, "insurance": p.insured(), "use_account": p.useAccount()}
	key := fmt.Sprintf("quote-%s-%s", p.role.User, p.role.Bills[0])
	a, err := p.client.ask(ctx, http.MethodPost, "/api/v1/orders", p.token, key, body)
	if err != nil {
		return err
	}
	switch a.status {
	case http.StatusCreated, http.StatusOK:
		return json.Unmarshal(a.body, &p.order)
	case http.StatusAccepted:
		if err := json.Unmarshal(a.body, &p.order); err == nil && p.order.ID != "" {
			return nil // it is being quoted
		}
	case http.StatusConflict: // it runs, or an answer was lost on the way: the live order is ours
		if err := p.resume(ctx); err == nil {
			return nil
		}
		if a.problem() == "AUTH_EXPIRED" {
			return fmt.Errorf("quote: %s", a.problem())
		}
	default:
		return fmt.Errorf("quote: status %d %s", a.status, a.problem())
	}
	return errors.Join(errAgain, fmt.Errorf("quote: status %d %s", a.status, a.problem()))
}

func (p *player) resume(ctx context.Context) error {
	return p.call(ctx, http.MethodGet, "/orders/live", nil, &p.order)
}

// confirm repeats under one key until it is decided; the order's state tells what became of it.
func (p *player) confirm(ctx context.Context, key string) error {
	p.agreed = p.order
	a, err := p.client.ask(ctx, http.MethodPost, "/api/v1/orders/"+p.order.ID+"/confirm", p.token, key, map[string]any{"version": p.order.Version})
	if err != nil {
		return err
	}
	if a.status == http.StatusOK || a.status == http.StatusAccepted {
		var o orderView
		if err := json.Unmarshal(a.body, &o); err == nil && o.ID == p.order.ID {
			p.order = o
		}
		return nil
	}
	if a.status != http.StatusConflict { // ORDER_CONFIRMED, ORDER_CHANGED, ORDER_BUSY …: look, and act by what is seen
		return fmt.Errorf("confirm: status %d %s", a.status, a.problem())
	}
	return p.client.clock.Sleep(ctx, 100*time.Millisecond)
}

// cashier pays at WeChat's cashier. What it says is a signal only: the order tells.
func (p *player) cashier(ctx context.Context) error {
	a, err := p.client.ask(ctx, http.MethodGet, "/api/v1/orders/"+p.order.ID+"/cashier", p.token, "", nil)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return p.client.clock.Sleep(ctx, 100*time.Millisecond)
	}
	var args map[string]string
	if err := json.Unmarshal(a.body, &args); err != nil {
		return err
	}
	paid, err := p.client.ask(ctx, http.MethodPost, p.counter(args), "", "", args)
	if err != nil {
		return err
	}
	if paid.status >= 300 && !strings.Contains(string(paid.body), "已支付") {
		return p.client.clock.Sleep(ctx, 200*time.Millisecond) // the bank refused, or the order moved: look again
	}
	return nil
}

// counter is where the password is typed that the cashier's parameters are for; it adds who types it.
func (p *player) counter(args map[string]string) (path string) {
	args["openid"] = p.role.OpenID
	path = "/sandbox/" + p.role.Institution + "/wechatpay"
	if args["mixTradeNo"] == "" {
		return path + "/pay"
	}
	args["appId"] = p.client.appID(p.role.Institution)
	return path + "/pay-mixed"
}

// look waits for news of the order.
func (p *player) look(ctx context.Context) error {
	q := url.Values{"wait": {"5"}, "version": {fmt.Sprint(p.order.Version)}}
	a, err := p.client.ask(ctx, http.MethodGet, "/api/v1/orders/"+p.order.ID+"?"+q.Encode(), p.token, "", nil)
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return fmt.Errorf("order %s: status %d %s", p.order.ID, a.status, a.problem())
	}
	return json.Unmarshal(a.body, &p.order)
}
