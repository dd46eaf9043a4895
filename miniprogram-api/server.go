// Package miniprogramapi is the mini program's API under /api/v1. openapi.yaml decides: the shapes are generated from it, every request is
// validated by it, and the tests validate every answer. Handlers read, make one call and answer; no amount is ever read from the client.
package miniprogramapi

import (
	"context"
	_ "embed" // the specification and the receipt's font
	"errors"
	"fmt"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/signintech/gopdf"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/refund"
)

//go:generate go tool -modfile=../.ci/tools.mod oapi-codegen -config oapi-codegen.yaml openapi.yaml

// What this face alone may tell.
var (
	// ErrKeyReused is an Idempotency-Key that came with another request before.
	ErrKeyReused = fault.New(fault.Rejected, "IDEMPOTENCY_KEY_REUSED", "请求编号重复，请返回后重新操作")
	// ErrClientTooOld is a WeChat without wx.requestMedicalInsurancePay where it is needed. Ordinary payment is no way out: the insurer's part
	// would never settle.
	ErrClientTooOld = fault.New(fault.Conflict, "CLIENT_TOO_OLD", "请将微信升级到 8.0.44 或以上版本（鸿蒙 8.0.13）后再用医保支付")
)

// Orders is what the API asks of package order; *order.Service serves it.
type Orders interface {
	Quote(ctx context.Context, r order.QuoteRequest) (*order.Order, error)
	Confirm(ctx context.Context, c order.Confirmation) (*order.Order, error)
	Cancel(ctx context.Context, account patient.AccountID, id order.ID) (*order.Order, error)
	Renew(ctx context.Context, account patient.AccountID, id order.ID) (*order.Order, error)
	Cashier(ctx context.Context, account patient.AccountID, id order.ID) (payment.Cashier, error)
	Joint(institution string) bool
	PerVisit(institution string) bool
	Refunder
	OrderReader
}

// Refunder is the part of Orders that gives back.
type Refunder interface {
	AskRefund(ctx context.Context, a order.RefundAsk) (*order.Order, *refund.Refund, error)
	WholeOnly(o *order.Order) bool
}

// OrderReader is the part of Orders that changes nothing.
type OrderReader interface {
	Get(ctx context.Context, account patient.AccountID, id order.ID) (*order.Order, error)
	Wait(ctx context.Context, account patient.AccountID, id order.ID, seen int64, most time.Duration) (*order.Order, error)
	List(ctx context.Context, account patient.AccountID, before order.ID, limit int) ([]*order.Order, error)
	Live(ctx context.Context, account patient.AccountID) (*order.Order, error)
}

// Config are what may be chosen. The zero value is production's.
type Config struct {
	Docs     bool            // serve the specification as pages at /docs; never in production
	Stopping <-chan struct{} // closed when the process is told to stop: long polls then answer at once; nil: never
}

// Server answers the mini program.
type Server struct {
	patients *patient.Service
	orders   Orders
	bills    map[string]bill.Source // by institution
	replays  job.Replays
	clock    clock.Clock
	config   Config
	spec     *openapi3.T
	fonts    *gopdf.FontContainer
}

var _ ServerInterface = (*Server)(nil)

// New reads the specification and the receipt's font.
func New(patients *patient.Service, orders Orders, bills map[string]bill.Source, replays job.Replays, clk clock.Clock, config Config) (*Server, error) {
	if patients == nil || orders == nil || replays == nil || clk == nil {
		return nil, errors.New("mini-program api: patients, orders, replays and clock are required")
	}
	spec, err := Spec()
	if err != nil {
		return nil, err
	}
	fonts := &gopdf.FontContainer{}
	if err := fonts.AddTTFFontData(fontFamily, fontData); err != nil {
		return nil, fmt.Errorf("read the receipt's font: %w", err)
	}
	return &Server{patients: patients, orders: orders, bills: bills, replays: replays, clock: clk, config: config, spec: spec, fonts: fonts}, nil
}
