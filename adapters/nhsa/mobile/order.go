package mobile

import (
	"context"
	"errors"
	"fmt"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

func tokenOf(text string) sensitive.Token {
	if text == "" {
		return sensitive.Token{}
	}
	return sensitive.NewToken(text)
}

// Foresee is 6202 (支付下单): who would pay what. orgBizSer is new with every call.
func (c *Client) Foresee(ctx context.Context, serial string, claim settlement.Claim) (settlement.Stand, error) {
	data := map[string]any{"payAuthNo": claim.Person.Token.Reveal(), "payOrdId": claim.Upload.PayOrdID, "payToken": claim.Upload.PayToken.Reveal(),
		"orgCodg": c.cfg.OrgCodg, "orgBizSer": serial, "chrgBchno": claim.BatchNo, "feeType": "01", "mdtrtId": claim.Visit.MdtrtID,
		"acctUsedFlag": c.accountFlag(claim.UseAccount)}
	if err := ready(data, []string{"payOrdId", "payToken", "orgCodg", "orgBizSer", "chrgBchno", "feeType", "acctUsedFlag"}); err != nil {
		return settlement.Stand{}, fmt.Errorf("foresee: %w", err)
	}
	if data["payAuthNo"] == nil {
		return settlement.Stand{}, settlement.ErrAuth.Because(errors.New("foresee: without payAuthNo"))
	}
	out, err := c.send(ctx, message{number: "6202", data: data, wait: c.cfg.Timeouts.Upload, free: true, hide: hidden(claim)})
	if err != nil {
		return settlement.Stand{}, fmt.Errorf("foresee: %w", err)
	}
	s, err := standOf(out, claim)
	if err != nil {
		return settlement.Stand{}, fmt.Errorf("foresee: %w", err)
	}
	if !s.Told {
		return settlement.Stand{}, fmt.Errorf("foresee: %w", ErrUnreadable.Because(errors.New("without amounts")))
	}
	return s, s.Figures.Check(claim.Total)
}

// Query is 6301 (订单结算结果查询).
func (c *Client) Query(ctx context.Context, claim settlement.Claim) (settlement.Stand, error) {
	out, err := c.send(ctx, message{number: "6301", data: c.about(claim), wait: c.cfg.Timeouts.Query, hide: hidden(claim)})
	if err != nil {
		return settlement.Stand{}, fmt.Errorf("query: %w", err)
	}
	s, err := standOf(out, claim)
	if err != nil {
		return settlement.Stand{}, fmt.Errorf("query: %w", err)
	}
	return s, nil
}

// Revoke is 6401 (费用明细上传撤销). Its answer decides nothing, Query does.
func (c *Client) Revoke(ctx context.Context, claim settlement.Claim) error {
	if _, err := c.send(ctx, message{number: "6401", data: c.about(claim), wait: c.cfg.Timeouts.Upload, hide: hidden(claim)}); err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// about names an upload as 6301 and 6401 want it.
func (c *Client) about(claim settlement.Claim) map[string]any {
	return map[string]any{"payOrdId": claim.Upload.PayOrdID, "orgCodg": c.cfg.OrgCodg, "payToken": claim.Upload.PayToken.Reveal(),
		"idNo": claim.Person.IDNumber.Reveal(), "userName": cleanText(claim.Person.Name.Reveal()), "idType": "01"}
}

// Refund is 6203 (医保退费) for the whole settlement. Only a verified answer decides: SUCC is done, FAIL is a no, EXP is unknown.
func (c *Client) Refund(ctx context.Context, r settlement.GiveBack) error {
	f := r.Figures
	cash := money.Fen(0)
	if c.cfg.RefundType == "ALL" {
		cash = f.Cash
	}
	data := map[string]any{"payOrdId": r.Claim.Upload.PayOrdID, "appRefdSn": r.Number, "appRefdTime": compact(r.At),
		"totlRefdAmt": (f.Fund + f.Account + f.Other + cash).String(), "cashRefdAmt": cash.String(), "psnAcctRefdAmt": f.Account.String(),
		"fundRefdAmt": f.Fund.String(), "refdType": c.cfg.RefundType, "outTradeNo": r.OutTradeNo}
	if c.cfg.RefundCredential == "ecToken" && !r.Claim.Upload.ECToken.IsZero() {
		data["ecToken"] = r.Claim.Upload.ECToken.Reveal()
	} else {
		data["payAuthNo"] = r.Claim.Person.Token.Reveal()
	}
	if err := ready(data, []string{"payOrdId", "appRefdSn", "appRefdTime", "totlRefdAmt", "cashRefdAmt", "refdType"}); err != nil {
		return fmt.Errorf("refund: %w", err)
	}
	out, err := c.send(ctx, message{number: "6203", data: data, wait: c.cfg.Timeouts.Refund, hide: hidden(r.Claim)})
	if err != nil {
		return fmt.Errorf("refund: %w", err)
	}
	status, err := out.text("refStatus")
	switch {
	case err != nil:
		return fmt.Errorf("refund: %w", err)
	case status == "SUCC":
		return nil
	case status == "FAIL":
		said, _ := out.text("message")
		return fmt.Errorf("refund: %w", saying(ErrRefused, clean(said, hidden(r.Claim))).Because(errors.New("refStatus FAIL")))
	}
	return fmt.Errorf("refund: %w", ErrUnproved.Because(errors.New("refStatus is neither SUCC nor FAIL")))
}

// standOf reads the answer of 6202 and 6301, and proves that it is about this upload and adds up.
func standOf(out fields, claim settlement.Claim) (settlement.Stand, error) {
	id, err1 := out.text("payOrdId")
	orderNo, err2 := out.text("medOrgOrd")
	code, err3 := out.code("ordStas")
	if err := errors.Join(err1, err2, err3); err != nil {
		return settlement.Stand{}, err
	}
	if id != claim.Upload.PayOrdID {
		return settlement.Stand{}, ErrUnreadable.Because(errors.New("the answer is about another payOrdId"))
	}
	s := settlement.Stand{State: settlement.OrdStas(code), OrderNo: orderNo}
	if err := readFigures(out, &s); err != nil {
		return settlement.Stand{}, err
	}
	revs, _ := out.text("revsToken")
	s.RevsToken = tokenOf(revs)
	s.SettledAt = out.moment("hiChrgTime")
	if s.SettledAt.IsZero() {
		s.SettledAt = out.moment("traceTime")
	}
	s.MdtrtID, _ = out.text("mdtrtId")
	extension := out.object("extData")
	if s.MdtrtID == "" {
		s.MdtrtID, _ = extension.text("mdtrtId")
	}
	if info := extension.object("setlinfo"); info != nil {
		s.SetlID, _ = info.text("setlId")
		s.ClrOptins, _ = info.text("clrOptins")
		s.ClrWay, _ = info.text("clrWay")
		s.ClrType, _ = info.text("clrType")
		if at := info.moment("setltime"); !at.IsZero() {
			s.SettledAt = at
		}
	}
	if s.SetlID == "" {
		s.SetlID, _ = out.text("hiDocSn")
	}
	return s, nil
}

// readFigures reads the amounts where there are any. Either all four are there, or none counts.
func readFigures(out fields, s *settlement.Stand) error {
	var f settlement.Figures
	for name, p := range map[string]*money.Fen{"feeSumamt": &f.Total, "fundPay": &f.Fund, "psnAcctPay": &f.Account, "ownPayAmt": &f.Cash} {
		fen, told, err := out.yuan(name)
		if err != nil {
			return err
		}
		if !told {
			return nil // states 0 to 2 may have none
		}
		*p = fen
	}
	other, _, err := out.yuan("othFeeAmt")
	if err != nil {
		return err
	}
	f.Other = other
	s.Told, s.Figures = true, f
	s.Split = splitOf(out, f)
	balance, told, err := out.object("extData").object("preSetl").yuan("balc")
	if err == nil && told {
		s.Balance = &balance
	}
	return nil
}

// otherFunds are the funds of preSetl besides the pooled one.
var otherFunds = []string{"cvlserv_pay", "hifes_pay", "hifmi_pay", "hifob_pay", "maf_pay", "hifdm_pay", "oth_pay"}

// splitOf divides the figures further where the answer's detail allows it and agrees; a detail that contradicts the figures is left aside, for the
// figures are what is settled and what WeChat compares. hospPartAmt stands inside them and is not taken out.
func splitOf(out fields, f settlement.Figures) split.Split {
	s := split.Split{PooledFund: f.Fund, OtherFund: f.Other, Account: f.Account, Cash: f.Cash}
	detail := out.object("extData").object("preSetl")
	pooled, told, err := detail.yuan("hifp_pay")
	var others money.Fen
	for _, name := range otherFunds {
		fen, _, bad := detail.yuan(name)
		if bad != nil || fen < 0 {
			err = ErrUnreadable
		}
		others += fen
	}
	if told && err == nil && pooled >= 0 && pooled+others == f.Fund {
		s.PooledFund, s.OtherFund = pooled, others+f.Other
	}
	family, told, err := out.yuan("acctMulaidPay")
	if !told && err == nil {
		family, told, err = detail.yuan("acct_mulaid_pay")
	}
	own, ownTold, bad := out.yuan("selfAcctPay")
	if told && err == nil && bad == nil && family >= 0 && family <= f.Account && (!ownTold || own+family == f.Account) {
		s.Account, s.FamilyAccount = f.Account-family, family
	}
	return s
}
