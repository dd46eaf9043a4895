package miniprogramapi

import (
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/split"
)

// orderView is an order as the page shows it at that moment.
func orderView(o *order.Order, now time.Time) Order {
	v := Order{Id: o.ID.No(), State: OrderState(o.State), StateText: stateText(o, now), Version: o.Version, NextAction: nextAction(o, now),
		PayWay: payWay(o, now), PatientId: idText(int64(o.Patient)), Insured: o.Insured, UseAccount: o.UseAccount, CashOffered: o.State == order.Quoted && o.Refusal != "",
		Refusal: textSet(o.Refusal), Cause: textSet(string(o.Cause)), TotalFen: o.Total, ChargeFen: o.Split.Charge(), Split: splitView(o.Split),
		Bills: orderBills(o), Progress: progress(o), Settlements: settlements(o), Payments: payments(o), Mixed: mixed(o),
		Refundable: o.Refundable(), Refunds: refundViews(o),
		PostingNo: textSet(o.Posted.PostingNo), ReceiptNo: textSet(o.Posted.ReceiptNo), Guide: listed(o.Posted.Guide), CreatedAt: o.CreatedAt, UpdatedAt: o.UpdatedAt}
	if o.State == order.Quoted || wantsAuth(o) {
		v.QuotedUntil = whenSet(o.QuotedUntil)
	}
	if o.State == order.Paying {
		v.PayUntil = whenSet(payUntil(o))
	}
	return v
}

// payUntil is the end of the patient's time to pay; zero where nobody has set it.
func payUntil(o *order.Order) time.Time {
	if m := o.MixedOrder(); m != nil && o.AtCentre() && !m.State.Final() {
		return m.ExpiresAt
	}
	if p := o.Payment(); p != nil {
		return p.ExpiresAt
	}
	return time.Time{}
}

// wantsAuth reports whether the order waits for a new authorisation, and for nothing else.
func wantsAuth(o *order.Order) bool { return o.State == order.Quoting && o.Renew && !o.CancelAsked }

// nextAction is what the page offers. The zero time asks regardless of deadlines.
func nextAction(o *order.Order, now time.Time) NextAction {
	switch o.State {
	case order.Quoted:
		if o.ConfirmedAt.IsZero() && !o.CancelAsked {
			return NextActionConfirm
		}
		return NextActionWait
	case order.Paying:
		if o.Payable(now) != order.NoWay {
			return NextActionPay
		}
		return NextActionWait
	case order.Quoting:
		if wantsAuth(o) {
			return NextActionAuthorise
		}
		return NextActionWait
	case order.Settling, order.BeingPosted, order.Closing, order.Unwinding:
		return NextActionWait
	}
	return NextActionNone
}

// payWay is order.Payable in the API's words.
func payWay(o *order.Order, now time.Time) PayWay {
	if way := o.Payable(now); way != order.NoWay {
		return PayWay(way)
	}
	return PayWayNone
}

func splitView(p split.Split) Split {
	return Split{PooledFundFen: p.PooledFund, OtherFundFen: p.OtherFund, AccountFen: p.Account, FamilyAccountFen: p.FamilyAccount,
		HospitalBorneFen: p.HospitalBorne, CashFen: p.Cash, UninsuredFen: p.Uninsured}
}

func orderBills(o *order.Order) []OrderBill {
	list := make([]OrderBill, len(o.Bills))
	for i := range o.Bills {
		b := &o.Bills[i].Bill
		list[i] = OrderBill{BillNo: b.No, Kind: BillKind(b.Kind.String()), KindText: b.Kind.Text(), PayBy: whenSet(b.PayBy), Department: b.Visit.DepartmentName, Doctor: b.Visit.DoctorName, CreatedAt: b.Created, TotalFen: b.Total,
			InsuredFen: b.Insured()}
	}
	return list
}

func settlements(o *order.Order) []Settlement {
	list := make([]Settlement, len(o.Settlements))
	for i, s := range o.Settlements {
		list[i] = Settlement{VisitNo: s.Visit.VisitNo, SetlId: s.SetlID, State: SettlementState(s.State), SettledAt: whenSet(s.SettledAt),
			OrderNo: textSet(s.Upload.OrderNo)}
	}
	return list
}

func mixed(o *order.Order) []Mixed {
	list := make([]Mixed, len(o.Mixed))
	for i, m := range o.Mixed {
		list[i] = Mixed{OutTradeNo: m.OutTradeNo, MixTradeNo: textSet(m.MixTradeNo), State: MixedState(m.State), SerialNo: m.SerialNo}
	}
	return list
}

func payments(o *order.Order) []Payment {
	list := make([]Payment, len(o.Payments))
	for i, p := range o.Payments {
		list[i] = Payment{OutTradeNo: p.OutTradeNo, State: PaymentState(p.State), AmountFen: p.Amount, RefundedFen: refunded(o, p),
			PaidAt: whenSet(p.PaidAt), RefundedAt: whenSet(p.Back.ReturnedAt)}
	}
	return list
}

// refunded is what is proved to be back with the patient; a refund on its way is not.
func refunded(o *order.Order, p *payment.Payment) money.Fen {
	if p.State == payment.Returned {
		return p.RefundReserved
	}
	var sum money.Fen
	if p == o.Payment() {
		for _, f := range o.Refunds {
			if f.Returned() {
				sum += f.Cash.Amount
			}
		}
	}
	return sum
}

func listed(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// asksInsurer reports whether the order has an insurance part; a refused one that offers cash has none, nor one without insured lines.
func asksInsurer(o *order.Order) bool { return o.Insured && o.Refusal == "" && o.InsuredTotal() > 0 }

// joint reports whether the order's legs move together, as one step: it is at the centre, or about to go there.
func joint(o *order.Order) bool {
	return asksInsurer(o) && (o.AtCentre() || (o.Route.Together() && len(o.Settlements) == 0))
}

// progress is the order's way as steps. A step that was not reached when the order was stopped is marked so.
func progress(o *order.Order) []Step {
	steps := []Step{{Step: StepStepQuote, Text: "预结算"}, {Step: StepStepConfirm, Text: "确认金额"}}
	if !asksInsurer(o) {
		steps[0].Text = "读取费用"
	}
	switch cash := o.State == order.Quoting || o.Split.Charge() > 0 || len(o.Payments) > 0; {
	case joint(o) && !cash:
		steps = append(steps, Step{Step: StepStepPay, Text: "医保支付"})
	case joint(o):
		steps = append(steps, Step{Step: StepStepPay, Text: "医保与微信支付"})
	case cash:
		steps = append(steps, Step{Step: StepStepPay, Text: "微信支付"})
	}
	if asksInsurer(o) && !joint(o) {
		steps = append(steps, Step{Step: StepStepSettle, Text: "医保结算"})
	}
	steps = append(steps, Step{Step: StepStepPost, Text: "医院入账"})
	at, status := reached(o)
	if at == ranks[StepStepSettle] && joint(o) {
		at = ranks[StepStepPay]
	}
	for i := range steps {
		switch rank := ranks[steps[i].Step]; {
		case rank < at:
			steps[i].Status = StepStatusDone
		case rank == at:
			steps[i].Status = status
		default:
			steps[i].Status = StepStatusWaiting
		}
	}
	return steps
}

// ranks is the order of the steps; beyond the last one everything is done.
var ranks = map[StepStep]int{StepStepQuote: 1, StepStepConfirm: 2, StepStepPay: 3, StepStepSettle: 4, StepStepPost: 5}

// reached is the rank of the step that the order is at, and how that step stands.
func reached(o *order.Order) (int, StepStatus) {
	switch o.State {
	case order.Quoting:
		return 1, StepStatusDoing
	case order.Quoted:
		return 2, StepStatusDoing
	case order.Paying:
		return 3, StepStatusDoing
	case order.Settling:
		return 4, StepStatusDoing
	case order.BeingPosted:
		return 5, StepStatusDoing
	case order.Completed:
		return 6, StepStatusDone
	}
	return stoppedAt(o), StepStatusStopped
}

// stoppedAt finds the step where an order was given up: the first that has no proof. A missing cash or insurance leg needs none.
func stoppedAt(o *order.Order) int {
	p, st := o.Payment(), o.Settlement()
	switch {
	case o.Split.Total() == 0:
		return 1
	case o.ConfirmedAt.IsZero():
		return 2
	case o.Split.Charge() > 0 && (p == nil || p.TransactionID == ""):
		return 3
	case asksInsurer(o) && (st == nil || st.SetlID == ""):
		return 4
	}
	return 5
}
