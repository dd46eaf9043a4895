package miniprogramapi

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/gin-gonic/gin"
	"github.com/swaggest/swgui/v5emb"

	"github.com/tuoka/tuoka/internal/web"
)

// base is where the routes stand; the specification's server.
const base = "/api/v1"

// Routes puts every route on the engine: guard, then the specification, then the handler. It fails when a route is not in the
// specification, or an operation of the specification has no route. The engine should use raw paths (UseRawPath), for a bill number
// may hold a slash.
func (s *Server) Routes(e *gin.Engine) error {
	w := &ServerInterfaceWrapper{Handler: s, ErrorHandler: func(c *gin.Context, _ error, _ int) { web.Refuse(c, web.ErrBadRequest) }}
	open, session := pass, s.signedIn
	routes := []struct {
		method, path string
		guard, serve gin.HandlerFunc
	}{
		{http.MethodGet, "/institutions/:institution", open, w.GetInstitution},
		{http.MethodPost, "/sessions", open, w.OpenSession},
		{http.MethodDelete, "/sessions/current", session, w.CloseSession},
		{http.MethodGet, "/consents", session, w.ListConsents},
		{http.MethodPost, "/consents", session, w.GiveConsent},
		{http.MethodDelete, "/consents/:kind", session, w.WithdrawConsent},
		{http.MethodPost, "/account/phone", session, w.SetPhone},
		{http.MethodGet, "/patients", session, w.ListPatients},
		{http.MethodPost, "/patients", session, w.AddPatient},
		{http.MethodDelete, "/patients/:patient_id", session, w.RemovePatient},
		{http.MethodGet, "/patients/:patient_id/insurance-binding", session, w.GetInsuranceBinding},
		{http.MethodPost, "/patients/:patient_id/insurance-binding", session, w.BindInsurance},
		{http.MethodGet, "/insurance/jump", session, w.GetInsuranceJump},
		{http.MethodGet, "/patients/:patient_id/bills", session, w.ListBills},
		{http.MethodGet, "/patients/:patient_id/bills/:bill_no", session, w.GetBill},
		{http.MethodPost, "/orders", session, w.QuoteOrder},
		{http.MethodGet, "/orders", session, w.ListOrders},
		{http.MethodGet, "/orders/live", session, w.GetLiveOrder},
		{http.MethodGet, "/orders/:order_id", session, w.GetOrder},
		{http.MethodPost, "/orders/:order_id/confirm", session, w.ConfirmOrder},
		{http.MethodPost, "/orders/:order_id/authorisation", session, w.AuthoriseOrder},
		{http.MethodPost, "/orders/:order_id/cancel", session, w.CancelOrder},
		{http.MethodGet, "/orders/:order_id/cashier", session, w.GetCashier},
		{http.MethodGet, "/orders/:order_id/refundable", session, w.GetRefundable},
		{http.MethodPost, "/orders/:order_id/refunds", session, w.AskRefund},
		{http.MethodGet, "/orders/:order_id/receipt", session, w.GetReceipt},
		{http.MethodGet, "/orders/:order_id/receipt.pdf", session, w.GetReceiptPDF},
	}
	operations := operationsOf(s.spec)
	for _, r := range routes {
		op, ok := operations[r.method+" "+r.path]
		if !ok {
			return fmt.Errorf("%s %s is not in the specification", r.method, r.path)
		}
		delete(operations, r.method+" "+r.path)
		e.Handle(r.method, base+r.path, r.guard, s.valid(op), r.serve)
	}
	for missing := range operations {
		return fmt.Errorf("%s of the specification has no route", missing)
	}
	if s.config.Docs {
		e.GET("/docs/*page", docs())
	}
	return nil
}

func pass(c *gin.Context) { c.Next() }

// docs shows the specification, for development.
func docs() gin.HandlerFunc {
	pages := v5emb.New("脱卡小程序接口", "/docs/openapi.yaml", "/docs/")
	return func(c *gin.Context) {
		c.Header("Content-Security-Policy", "default-src 'self'; style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; img-src 'self' data:")
		if c.Param("page") == "/openapi.yaml" {
			c.Data(http.StatusOK, "application/yaml; charset=utf-8", document)
			return
		}
		pages.ServeHTTP(c.Writer, c.Request)
	}
}

var errNoCaller = errors.New("no caller: the route has no session guard")
