package miniprogramapi

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/refund"
)

// GetRefundable serves GET /orders/{order_id}/refundable: what can still be asked back.
func (s *Server) GetRefundable(c *gin.Context, id OrderID) {
	s.onOrder(c, id, func(ctx context.Context, who patient.Caller, n order.ID) (any, error) {
		o, err := s.orders.Get(ctx, who.Account, n)
		if err != nil {
			return nil, err
		}
		if o.State != order.Completed && o.State != order.BeingPosted {
			return nil, order.ErrState
		}
		out := Refundable{Lines: []RefundableLine{}, WholeOnly: s.orders.WholeOnly(o)}
		for _, b := range o.Left() {
			for _, l := range b.Lines {
				out.Lines = append(out.Lines, RefundableLine{BillNo: b.No, LineNo: l.No, Name: l.Name, Spec: textSet(l.Spec), Unit: textSet(l.Unit),
					Insured: !l.Uninsured && asksInsurer(o), Quantity: l.Quantity.String(), AmountFen: l.Total})
			}
		}
		return out, nil
	})
}

// AskRefund serves POST /orders/{order_id}/refunds: the amounts are the server's own; a repeated request is the same refund.
func (s *Server) AskRefund(c *gin.Context, id OrderID, params AskRefundParams) {
	s.onOrder(c, id, func(ctx context.Context, who patient.Caller, n order.ID) (any, error) {
		var in AskRefund
		if err := read(c, &in); err != nil {
			return nil, err
		}
		ask, err := refundAsk(in)
		if err != nil {
			return nil, err
		}
		if _, err := s.orders.Get(ctx, who.Account, n); err != nil {
			return nil, err
		}
		ask.Order, ask.Account, ask.Actor, ask.Key = n, who.Account, fmt.Sprintf("account:%d", who.Account), "api "+params.IdempotencyKey
		return s.once(c, who, request{Request: s.asked(c, who, params.IdempotencyKey), done: http.StatusCreated,
			moving: func(*order.Order) bool { return false },
			act: func(ctx context.Context, asked *job.Request) (*order.Order, error) {
				ask.Request = asked
				o, _, err := s.orders.AskRefund(ctx, ask)
				return o, err
			}})
	})
}

// refundAsk reads what the patient wants back. Which items and quantities there are, the engine knows.
func refundAsk(in AskRefund) (order.RefundAsk, error) {
	a := order.RefundAsk{By: refund.ByPatient, Whole: in.Whole, KeptAgain: in.KeptAgain != nil && *in.KeptAgain}
	if in.Reason != nil {
		a.Reason = *in.Reason
	}
	if in.Lines == nil {
		if !in.Whole {
			return a, refund.ErrLine
		}
		return a, nil
	}
	if in.Whole { // which of the two is meant?
		return a, refund.ErrLine
	}
	for _, l := range *in.Lines {
		w := refund.Want{BillNo: l.BillNo, All: l.Quantity == nil}
		if l.LineNo != nil {
			w.LineNo = *l.LineNo
		}
		if l.Quantity != nil {
			quantity, err := decimal.NewFromString(*l.Quantity)
			if err != nil {
				return a, refund.ErrQuantity
			}
			w.Quantity = quantity
		}
		a.Wants = append(a.Wants, w)
	}
	return a, nil
}

// refundViews are the refunds of an order as the page shows them.
func refundViews(o *order.Order) []Refund {
	names := map[[2]string][2]string{}
	for i := range o.Bills {
		b := &o.Bills[i].Bill
		for _, l := range b.Lines {
			names[[2]string{b.No, l.No}] = [2]string{l.Name, l.Unit}
		}
	}
	list := make([]Refund, len(o.Refunds))
	for i, f := range o.Refunds {
		v := Refund{Id: f.ID.No(), State: RefundState(f.State), StateText: refundText(o, f), By: RefundBy(f.By), Whole: f.Whole,
			WaitsForAuthorisation: f.WantsAuth(), TotalFen: f.Total(), Lines: make([]RefundLine, len(f.Lines)), AskedAt: f.AskedAt,
			InsuranceAt: whenSet(f.InsuredAt), CashAt: whenSet(f.CashAt), DoneAt: whenSet(f.DoneAt)}
		if f.Counted() {
			cash, insurance := max(f.CashDue(), 0), max(f.Total()-f.CashDue(), 0) // below zero it is a matter for people
			v.CashFen, v.InsuranceFen = &cash, &insurance
		}
		for k, l := range f.Lines {
			name := names[[2]string{l.BillNo, l.LineNo}]
			v.Lines[k] = RefundLine{BillNo: l.BillNo, LineNo: l.LineNo, Name: name[0], Unit: textSet(name[1]), Quantity: l.Quantity.String(), AmountFen: l.Amount,
				Kept: l.Kept}
		}
		list[i] = v
	}
	return list
}

// refundText is what the patient reads of a refund. Unknown is never called failed.
func refundText(o *order.Order, f *refund.Refund) string {
	r := reasons[order.Cause(f.Cause)]
	switch {
	case f.State == refund.Asked && o.State == order.BeingPosted:
		return "退费已受理，医院入账后办理，请稍候"
	case f.State == refund.Asked:
		return "退费已受理，等待医院审核"
	case f.State == refund.Refused:
		return "未予退费：" + r.why + advice(r)
	case f.State == refund.InReview:
		return "退费正在人工核实（" + r.why + "），您的资金安全。需要帮助请凭退费单号 " + f.ID.No() + " 联系医院"
	case f.State == refund.Done:
		return doneText(f)
	case f.WantsAuth():
		return "保留的项目需要重新医保结算，请重新完成医保授权，24 小时内有效"
	case f.Dropping:
		return "退费正在取消，请稍候"
	}
	text := "退费办理中"
	if !f.InsuredAt.IsZero() {
		text += "，医保已于 " + dayTime(f.InsuredAt) + " 退回"
	}
	switch {
	case f.Returned():
		text += "，现金已于 " + dayTime(f.CashAt) + " 原路退回"
	case f.ByHand():
		text += "，现金由医院窗口办理"
	case f.Cash.OutRefundNo != "":
		text += "，" + yuan(f.CashDue()) + " 正在原路退回，银行卡通常 1 至 3 个工作日到账"
	}
	return text + "，请稍候"
}

func doneText(f *refund.Refund) string {
	text := "退费完成"
	switch {
	case f.Note:
		return "退费完成，款项已在医院窗口退还"
	case !f.InsuredAt.IsZero() && f.Total() > f.CashDue():
		text += "，医保部分已退回"
	}
	switch due := f.CashDue(); {
	case f.ByHand():
		text += "，现金已由医院窗口办理"
	case due > 0:
		text += "，" + yuan(due) + " 已原路退回，银行卡通常 1 至 3 个工作日到账"
	}
	if len(f.Kept()) > 0 {
		text += "。保留的项目由医院重新开单，请在待缴费中缴纳"
	}
	return text
}

func advice(r reason) string {
	if r.advice == "" {
		return ""
	}
	return "。" + r.advice
}

// dayTime is the day, hour and minute in China.
func dayTime(t time.Time) string { return t.In(clock.Shanghai).Format("1月2日 15:04") }
