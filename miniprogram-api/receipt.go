package miniprogramapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"

	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/web"
)

// ErrNoReceipt is a receipt of an order that the HIS has not booked.
var ErrNoReceipt = order.ErrState.Saying("缴费完成后可查看凭证")

// GetReceipt serves GET /orders/{order_id}/receipt: our own voucher, which is not an invoice.
func (s *Server) GetReceipt(c *gin.Context, id OrderID) {
	s.onOrder(c, id, func(ctx context.Context, who patient.Caller, n order.ID) (any, error) { return s.receipt(ctx, who, n) })
}

// GetReceiptPDF serves GET /orders/{order_id}/receipt.pdf: the same on paper.
func (s *Server) GetReceiptPDF(c *gin.Context, id OrderID) {
	s.onOrder(c, id, func(ctx context.Context, who patient.Caller, n order.ID) (any, error) {
		r, err := s.receipt(ctx, who, n)
		if err != nil {
			return nil, err
		}
		pdf, err := printReceipt(s.fonts, r)
		if err != nil {
			return nil, fmt.Errorf("print the receipt of order %s: %w", id, err)
		}
		c.Header("Content-Disposition", `inline; filename="receipt-`+r.OrderId+`.pdf"`)
		return web.Rendered{Status: http.StatusOK, ContentType: "application/pdf", Body: pdf}, nil
	})
}

func (s *Server) receipt(ctx context.Context, who patient.Caller, n order.ID) (Receipt, error) {
	o, err := s.orders.Get(ctx, who.Account, n)
	if err != nil {
		return Receipt{}, err
	}
	if o.State != order.Completed {
		return Receipt{}, ErrNoReceipt
	}
	inst, err := s.patients.Institution(o.Institution)
	if err != nil {
		return Receipt{}, err
	}
	name := "*" // removed since
	p, err := s.patients.Patient(ctx, who, o.Patient)
	switch {
	case err == nil:
		name = p.Name.Masked()
	case !errors.Is(err, patient.ErrNotFound):
		return Receipt{}, err
	}
	return Receipt{Title: ReceiptTitleNotAnInvoice, Hospital: inst.Name, OrderId: o.ID.No(), PatientName: name, Bills: orderBills(o), TotalFen: o.Total,
		ChargeFen: o.Split.Charge(), Split: splitView(o.Split), Payments: paid(o), Settlements: settled(o), Mixed: paidTogether(o),
		PostingNo: o.Posted.PostingNo, ReceiptNo: o.Posted.ReceiptNo, PostedAt: o.Posted.PostedAt, Guide: listed(o.Posted.Guide), IssuedAt: s.clock.Now()}, nil
}

// paid lists the payments that WeChat took, with what came back since.
func paid(o *order.Order) []ReceiptPayment {
	list := []ReceiptPayment{}
	for _, p := range o.Payments {
		switch p.State {
		case payment.Paid, payment.Refunding, payment.Returned, payment.InReview:
			if p.TransactionID != "" {
				list = append(list, ReceiptPayment{OutTradeNo: p.OutTradeNo, TransactionId: p.TransactionID, AmountFen: p.Amount,
					RefundedFen: refunded(o, p), PaidAt: p.PaidAt})
			}
		}
	}
	return list
}

// paidTogether lists the mixed orders that succeeded, whatever was given back since.
func paidTogether(o *order.Order) []ReceiptMixed {
	list := []ReceiptMixed{}
	for _, m := range o.Mixed {
		switch m.State {
		case payment.MixedSucceeded, payment.MixedTelling, payment.MixedTold, payment.MixedUntold:
			list = append(list, ReceiptMixed{OutTradeNo: m.OutTradeNo, MixTradeNo: m.MixTradeNo, PaidAt: m.PaidAt})
		}
	}
	return list
}

// settled lists the settlements that stand.
func settled(o *order.Order) []ReceiptSettlement {
	list := []ReceiptSettlement{}
	for _, st := range o.Settlements {
		if st.State == settlement.Settled {
			list = append(list, ReceiptSettlement{SetlId: st.SetlID, VisitNo: st.Visit.VisitNo, SettledAt: st.SettledAt})
		}
	}
	return list
}
