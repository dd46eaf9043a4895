package wechatpay

import (
	"io"

	"github.com/tuoka/tuoka/internal/recon"
)

// ReadTrades reads a merchant's trade bill that somebody has downloaded from the merchant platform (商户平台), which keeps bills for longer than the interface.
func ReadTrades(of recon.Statement, mchID string, r io.Reader, row func(recon.Line) error) error {
	return readTrades(newSheet(r, of.Day), mchID, false, row)
}

// ReadFlows does so with a fund-flow bill.
func ReadFlows(of recon.Statement, r io.Reader, row func(recon.Line) error) error {
	return readFlows(newSheet(r, of.Day), false, row)
}
