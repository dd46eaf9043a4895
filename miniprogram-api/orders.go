package miniprogramapi

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/web"
)

// QuoteOrder serves POST /orders: asks who would pay for the given bills; charges nothing.
func (s *Server) QuoteOrder(c *gin.Context, params QuoteOrderParams) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		var in QuoteOrder
		if err := read(c, &in); err != nil {
			return nil, err
		}
		person, err := patientID(in.PatientId)
		if err != nil {
			return nil, err
		}
		return s.once(c, who, request{Request: s.asked(c, who, params.IdempotencyKey), done: http.StatusCreated, moving: quoting,
			act: func(ctx context.Context, asked *job.Request) (*order.Order, error) {
				if in.Insurance && tooOld(in.MedicalInsurance) && s.orders.Joint(who.Institution) {
					return nil, notKept(ErrClientTooOld)
				}
				payer, err := s.patients.MayPay(ctx, who, person, in.Insurance)
				if err != nil {
					return nil, notKept(err)
				}
				return s.orders.Quote(ctx, order.QuoteRequest{Account: who.Account, Institution: who.Institution, Patient: person, BillNos: in.BillNos,
					Insurance: in.Insurance, UseAccount: in.Insurance && in.UseAccount != nil && *in.UseAccount, Request: asked, Allowed: &payer})
			}})
	})
}

// ConfirmOrder serves POST /orders/{order_id}/confirm: the patient agrees to the amounts; the money is collected.
func (s *Server) ConfirmOrder(c *gin.Context, id OrderID, params ConfirmOrderParams) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		in := ConfirmOrder{}
		if len(bodyOf(c)) > 0 {
			if err := read(c, &in); err != nil {
				return nil, err
			}
		}
		n, err := order.ParseID(id)
		if err != nil {
			return nil, err
		}
		consent := order.Confirmation{Account: who.Account, Order: n, Allow: func(ctx context.Context, o *order.Order) error {
			_, err := s.patients.MayPay(ctx, who, o.Patient, asksInsurer(o))
			return notKept(err)
		}}
		if in.Version != nil {
			consent.Seen = *in.Version
		}
		return s.once(c, who, request{Request: s.asked(c, who, params.IdempotencyKey), done: http.StatusOK, moving: moving,
			act: func(ctx context.Context, asked *job.Request) (*order.Order, error) {
				consent.Request = asked
				o, err := s.orders.Confirm(ctx, consent)
				if errors.Is(err, order.ErrNotFound) || errors.Is(err, order.ErrChanged) { // the patient looks at the new amounts, and may confirm those under the same key
					err = notKept(err)
				}
				return o, err
			}})
	})
}

// tooOld reports a client that says it has no wx.requestMedicalInsurancePay. One that says nothing counts as having it: where that is wrong,
// nothing happens on the phone and nothing is charged.
func tooOld(medicalInsurance *bool) bool { return medicalInsurance != nil && !*medicalInsurance }

// AuthoriseOrder serves POST /orders/{order_id}/authorisation: the order, or the rest of one that is given back in part, goes on with the
// patient's newest authorisation.
func (s *Server) AuthoriseOrder(c *gin.Context, id OrderID) {
	s.onOrder(c, id, func(ctx context.Context, who patient.Caller, n order.ID) (any, error) {
		o, err := s.orders.Get(ctx, who.Account, n)
		if err != nil {
			return nil, err
		}
		if _, err := s.patients.MayPay(ctx, who, o.Patient, true); err != nil {
			return nil, err
		}
		o, err = s.orders.Renew(ctx, who.Account, n)
		if errors.Is(err, order.ErrState) || errors.Is(err, order.ErrAuthUsed) { // perhaps the answer to an earlier request was lost
			if now, again := s.orders.Get(ctx, who.Account, n); again == nil && s.renewed(now, err) {
				o, err = now, nil
			}
		}
		if err != nil {
			return nil, retrying(err)
		}
		return s.rendered(ctx, http.StatusOK, o, moving(o)), nil
	})
}

// renewed reports whether an order goes on with a living authorisation already: it is asking with it, or was quoted by it.
func (s *Server) renewed(o *order.Order, refusal error) bool {
	switch {
	case !o.Insured || o.CancelAsked || o.Renew || !s.clock.Now().Before(o.AuthUntil):
		return false
	case o.State == order.Quoting:
		return true
	case o.Refund() != nil:
		return !o.Refund().WantsAuth()
	}
	return o.State == order.Quoted && errors.Is(refusal, order.ErrAuthUsed)
}

// CancelOrder serves POST /orders/{order_id}/cancel.
func (s *Server) CancelOrder(c *gin.Context, id OrderID) {
	s.onOrder(c, id, func(ctx context.Context, who patient.Caller, n order.ID) (any, error) {
		o, err := s.orders.Cancel(ctx, who.Account, n)
		if errors.Is(err, order.ErrState) { // perhaps the answer to an earlier request was lost
			if now, again := s.orders.Get(ctx, who.Account, n); again == nil && (now.CancelAsked || now.State == order.Closed) {
				o, err = now, nil
			}
		}
		if err != nil {
			return nil, err
		}
		return s.rendered(ctx, http.StatusOK, o, moving(o)), nil
	})
}

// GetCashier serves GET /orders/{order_id}/cashier: the arguments of wx.requestMedicalInsurancePay, or of wx.requestPayment.
func (s *Server) GetCashier(c *gin.Context, id OrderID, params GetCashierParams) {
	s.onOrder(c, id, func(ctx context.Context, who patient.Caller, n order.ID) (any, error) {
		cashier, err := s.orders.Cashier(ctx, who.Account, n)
		if err != nil {
			return nil, err
		}
		if cashier.MixTradeNo != "" && tooOld(params.MedicalInsurance) {
			return nil, ErrClientTooOld
		}
		return Cashier{MixTradeNo: textSet(cashier.MixTradeNo), AppId: textSet(cashier.AppID), TimeStamp: textSet(cashier.TimeStamp),
			NonceStr: textSet(cashier.NonceStr), Package: textSet(cashier.Package), SignType: textSet(cashier.SignType), PaySign: textSet(cashier.PaySign)}, nil
	})
}

// GetOrder serves GET /orders/{order_id}: the order, or with wait its next version.
func (s *Server) GetOrder(c *gin.Context, id OrderID, params GetOrderParams) {
	s.onOrder(c, id, func(ctx context.Context, who patient.Caller, n order.ID) (any, error) {
		var o *order.Order
		var err error
		if params.Wait == nil || *params.Wait == 0 {
			o, err = s.orders.Get(ctx, who.Account, n)
		} else {
			seen := int64(0)
			if params.Version != nil {
				seen = *params.Version
			}
			o, err = s.await(ctx, who, n, seen, time.Duration(*params.Wait)*time.Second)
		}
		if err != nil {
			return nil, err
		}
		return orderView(o, s.clock.Now()), nil
	})
}

// await waits for a version above the one seen, but not longer than the process lives: the order as it stands is an answer, too.
func (s *Server) await(ctx context.Context, who patient.Caller, n order.ID, seen int64, most time.Duration) (*order.Order, error) {
	waiting, leave := context.WithCancel(ctx)
	defer leave()
	go func() {
		select {
		case <-s.config.Stopping:
			leave()
		case <-waiting.Done():
		}
	}()
	o, err := s.orders.Wait(waiting, who.Account, n, seen, most)
	if errors.Is(err, context.Canceled) && ctx.Err() == nil {
		return s.orders.Get(ctx, who.Account, n)
	}
	return o, err
}

// ListOrders serves GET /orders.
func (s *Server) ListOrders(c *gin.Context, params ListOrdersParams) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		before, limit := order.ID(0), 20
		if params.Limit != nil {
			limit = *params.Limit
		}
		if params.Before != nil {
			n, err := order.ParseID(*params.Before)
			if err != nil {
				return nil, err
			}
			before = n
		}
		list, err := s.orders.List(ctx, who.Account, before, limit)
		if err != nil {
			return nil, err
		}
		out, now := OrderList{Orders: make([]Order, len(list))}, s.clock.Now()
		for i, o := range list {
			out.Orders[i] = orderView(o, now)
		}
		return out, nil
	})
}

// GetLiveOrder serves GET /orders/live: the order to resume.
func (s *Server) GetLiveOrder(c *gin.Context) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		o, err := s.orders.Live(ctx, who.Account)
		if err != nil {
			return nil, err
		}
		return orderView(o, s.clock.Now()), nil
	})
}

// onOrder answers a request about one order of the caller.
func (s *Server) onOrder(c *gin.Context, id OrderID, h func(ctx context.Context, who patient.Caller, n order.ID) (any, error)) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		n, err := order.ParseID(id)
		if err != nil {
			return nil, err
		}
		return h(ctx, who, n)
	})
}

// rendered is an order as an answer: 202 and a time to come again while what was asked has no outcome.
func (s *Server) rendered(ctx context.Context, done int, o *order.Order, moving bool) web.Rendered {
	if moving {
		done = http.StatusAccepted
	}
	r := web.Render(web.Answer{Status: done, Body: orderView(o, s.clock.Now())}, nil, web.RequestID(ctx))
	if moving {
		r.RetryAfter = time.Second
	}
	return r
}

// quoting reports whether a quote has no outcome yet: the amounts are not known, or the order is being given up. That a new authorisation is
// needed is an outcome.
func quoting(o *order.Order) bool {
	return (o.State == order.Quoting && !wantsAuth(o)) || o.State == order.Closing
}

// moving reports whether a confirmed or cancelled order goes on by itself.
func moving(o *order.Order) bool {
	switch o.State {
	case order.Settling, order.BeingPosted, order.Closing, order.Unwinding:
		return true
	case order.Quoting, // unless a new authorisation is waited for
		order.Quoted, // confirmed, and the bills are being locked; or given up this moment
		order.Paying: // until WeChat has the order there is nothing for the patient to do
		return nextAction(o, time.Time{}) == NextActionWait
	}
	return false
}
