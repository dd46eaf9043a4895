package store

import (
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/payment"
)

type mixedRow struct {
	ID               int64  `gorm:"primaryKey;autoIncrement:false"`
	Institution      string `gorm:"size:64"`
	OrderID          int64
	Seq              int64
	State            string `gorm:"size:16"`
	Version          int64
	OpenMarker       *int64
	OutTradeNo       string `gorm:"size:32"`
	SerialNo         string `gorm:"size:64"`
	PayOrderID       string `gorm:"size:64"`
	TotalFen         int64
	GovFen           int64
	SelfFen          int64
	OtherFen         int64
	CashFen          int64
	AddedFen         int64
	ReducedFen       int64
	WechatFen        int64
	RequestSealed    []byte
	ExpiresUS        int64
	MixTradeNo       *string `gorm:"size:64"`
	Asked            int64
	AwayUntilUS      int64 `gorm:"column:away_until_us"`
	Doubts           int64
	TypedUS          int64
	RefusedNo        string `gorm:"size:32"`
	FailReasonSealed []byte
	PaidUS           int64
	NoticeSealed     []byte
	NoticedUS        int64
	MAC              string `gorm:"size:80"`
}

// TableName is the table's name.
func (mixedRow) TableName() string { return "mixed_order" }

// mixedMoves lists what a move may change of a mixed order: not its numbers, not its amounts.
func mixedMoves() []string {
	return []string{"state", "version", "open_marker", "mix_trade_no", "request_sealed", "asked", "away_until_us", "doubts", "typed_us", "refused_no", "fail_reason_sealed", "paid_us",
		"notice_sealed", "noticed_us"}
}

// mixedRowOf maps an attempt as it will be stored: with its next version.
func (db *DB) mixedRowOf(o *order.Order, m *payment.Mixed) (mixedRow, error) {
	a := m.Amounts
	r := mixedRow{ID: int64(m.ID), Institution: o.Institution, OrderID: int64(o.ID), Seq: int64(m.Seq), State: string(m.State), Version: m.Version + 1,
		OpenMarker: mark(!m.State.Final()), OutTradeNo: m.OutTradeNo, SerialNo: m.SerialNo, PayOrderID: m.PayOrderID, TotalFen: int64(a.Total),
		GovFen: int64(a.Gov), SelfFen: int64(a.Self), OtherFen: int64(a.Other), CashFen: int64(a.Cash), AddedFen: int64(a.Added),
		ReducedFen: int64(a.Reduced), WechatFen: int64(a.Wechat), ExpiresUS: micros(m.ExpiresAt), MixTradeNo: orNull(m.MixTradeNo),
		Asked: int64(m.Asked), AwayUntilUS: micros(m.AwayUntil), Doubts: int64(m.Doubts), TypedUS: micros(m.TypedAt), RefusedNo: m.Refused, PaidUS: micros(m.PaidAt),
		NoticedUS: micros(m.NoticedAt)}
	s := db.sealer(r.TableName(), r.ID)
	r.RequestSealed = s.bytes("request_sealed", m.Request)
	r.FailReasonSealed = s.text("fail_reason_sealed", m.FailReason)
	r.NoticeSealed = s.bytes("notice_sealed", m.Notice)
	return r, s.err
}

func (db *DB) mixedOf(r mixedRow) (*payment.Mixed, error) {
	s := db.sealer(r.TableName(), r.ID)
	numbers := payment.MixedOrder{OutTradeNo: r.OutTradeNo, SerialNo: r.SerialNo, PayOrderID: r.PayOrderID,
		Amounts: payment.MixedAmounts{Total: money.Fen(r.TotalFen), Gov: money.Fen(r.GovFen), Self: money.Fen(r.SelfFen), Other: money.Fen(r.OtherFen),
			Cash: money.Fen(r.CashFen), Added: money.Fen(r.AddedFen), Reduced: money.Fen(r.ReducedFen), Wechat: money.Fen(r.WechatFen)}}
	m := payment.NewMixed(payment.MixedID(r.ID), int(r.Seq), numbers, s.open("request_sealed", r.RequestSealed), moment(r.ExpiresUS))
	m.State, m.MixTradeNo, m.Refused = payment.MixedState(r.State), orEmpty(r.MixTradeNo), r.RefusedNo
	m.Asked, m.AwayUntil, m.Doubts, m.TypedAt, m.PaidAt = int(r.Asked), moment(r.AwayUntilUS), int(r.Doubts), moment(r.TypedUS), moment(r.PaidUS)
	m.FailReason = s.openText("fail_reason_sealed", r.FailReasonSealed)
	m.Notice, m.NoticedAt = s.open("notice_sealed", r.NoticeSealed), moment(r.NoticedUS)
	m.Stored(r.Version)
	return m, s.err
}
