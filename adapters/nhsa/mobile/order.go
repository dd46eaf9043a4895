package mobile

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/settlement"
)

// Foresee is 6202 (支付下单): who would pay what. orgBizSer is new with every call.
func (c *Client) Foresee(ctx context.Context, serial string, claim settlement.Claim) (settlement.Stand, error) {
	if err := c.alive(claim.Person); err != nil {
		return settlement.Stand{}, fmt.Errorf("foresee: %w", err)
	}
	data := map[string]any{"payAuthNo": claim.Person.Token.Reveal(), "payOrdId": claim.Upload.PayOrdID, "payToken": claim.Upload.PayToken.Reveal(),
		"orgCodg": c.cfg.OrgCodg, "orgBizSer": serial, "chrgBchno": claim.BatchNo, "feeType": "01", "mdtrtId": claim.Visit.MdtrtID,
		"acctUsedFlag": c.accountFlag(claim.UseAccount)}
	if err := ready(data, []string{"payAuthNo", "payOrdId", "payToken", "orgCodg", "orgBizSer", "chrgBchno"}); err != nil {
		return settlement.Stand{}, fmt.Errorf("foresee: %w", err)
	}
	out, err := c.send(ctx, message{number: "6202", data: data, wait: c.cfg.Timeouts.Upload, free: true, hide: hidden(claim)})
	if err != nil {
		return settlement.Stand{}, fmt.Errorf("foresee: %w", err)
	}
	s, err := standOf(out.fields, claim)
	switch {
	case err != nil:
	case !s.Told:
		err = ErrUnreadable.Because(errors.New("without amounts"))
	case s.OrderNo != "" && s.OrderNo != claim.Upload.OrderNo:
		err = ErrUnreadable.Because(errors.New("the answer is about another medOrgOrd"))
	default:
		if unequal := s.Figures.Check(claim.Total); unequal != nil {
			err = ErrUnequal.Because(unequal)
		}
	}
	if err != nil {
		return settlement.Stand{}, fmt.Errorf("foresee: %w", err)
	}
	s.Split = splitOf(out.fields, s.Figures)
	return s, nil
}

// Query is 6301 (订单结算结果查询). What the answer says is passed on as it is told: the domain compares it with what the patient agreed to.
func (c *Client) Query(ctx context.Context, claim settlement.Claim) (settlement.Stand, error) {
	out, err := c.ask(ctx, "6301", c.cfg.Timeouts.Query, claim)
	if err != nil {
		return settlement.Stand{}, fmt.Errorf("query: %w", err)
	}
	s, err := standOf(out.fields, claim)
	if err != nil {
		return settlement.Stand{}, fmt.Errorf("query: %w", err)
	}
	return s, nil
}

// Revoke is 6401 (费用明细上传撤销). Its answer decides nothing, Query does; a success without a signature is ErrUnverified like every other.
func (c *Client) Revoke(ctx context.Context, claim settlement.Claim) error {
	out, err := c.ask(ctx, "6401", c.cfg.Timeouts.Upload, claim)
	if err == nil {
		err = out.same("payOrdId", claim.Upload.PayOrdID)
	}
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// ask sends what names an upload, as 6301 and 6401 want it. Without that nothing leaves.
func (c *Client) ask(ctx context.Context, number string, wait time.Duration, claim settlement.Claim) (reply, error) {
	data := map[string]any{"payOrdId": claim.Upload.PayOrdID, "orgCodg": c.cfg.OrgCodg, "payToken": claim.Upload.PayToken.Reveal(),
		"idNo": claim.Person.IDNumber.Reveal(), "userName": claim.Person.Name.Reveal(), "idType": "01"}
	if err := ready(data, []string{"payOrdId", "payToken", "idNo", "userName"}); err != nil {
		return reply{}, ErrNotSent.Because(err)
	}
	return c.send(ctx, message{number: number, data: data, wait: wait, hide: hidden(claim)})
}

// same proves that a member, where it is told, is ours.
func (f fields) same(name, ours string) error {
	told, err := f.text(name)
	if err == nil && told != "" && told != ours {
		err = ErrUnreadable.Because(fmt.Errorf("the answer is about another %s", name))
	}
	return err
}
