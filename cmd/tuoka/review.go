package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/staff"
	miniprogramapi "github.com/tuoka/tuoka/miniprogram-api"
)

// errMayNot is somebody who is signed in and has no say here.
var errMayNot = fault.New(fault.Forbidden, "REVIEW_ROLE", "只有该机构的财务人员可以经办、复核")

func reviewCommand() *cobra.Command {
	f := serveFlags{base: 8080}
	cmd := &cobra.Command{Use: "review", Short: "orders and refunds that two people must judge (人工核实：经办与复核)", Args: noWords,
		Long: `An order or a refund that no counterpart's answer decides waits in review. Two different people, signed in with password and phone, end it:
the first vote (经办) stands, the second (复核) must say the same, and then the service goes on with it. With SQLite stop the service first.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	officeFlags(cmd, &f)
	cmd.AddCommand(reviewList(&f), reviewShow(&f), reviewVote(&f))
	return cmd
}

// orders is the engine as far as people need it: it calls nobody.
func (o *office) orders(source *clock.Source) *order.Service {
	parties := make([]*order.Party, len(o.config.Institutions))
	for i := range o.config.Institutions {
		in := &o.config.Institutions[i]
		parties[i] = &order.Party{Institution: in.ID, Name: in.Name, Route: order.Route(in.Route)}
	}
	return order.New(o.db.Orders(), o.db.Jobs(), o.db.Inbox(), o.db.Patients(), parties, clock.Real{}, source, order.Config{Owner: "review"})
}

func reviewList(f *serveFlags) *cobra.Command {
	var institution string
	cmd := &cobra.Command{Use: "list", Short: "what waits for people, oldest first (待核实)", Args: noWords, RunE: func(cmd *cobra.Command, _ []string) error {
		return withOffice(cmd.Context(), *f, func(o *office) error {
			cases, err := o.orders(o.source).Cases(cmd.Context(), institution, 100)
			if err != nil {
				return err
			}
			if len(cases) == 0 {
				_, err := fmt.Fprintln(cmd.OutOrStdout(), "没有待核实的订单")
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			_, _ = fmt.Fprintln(w, "订单号\t机构\t自\t原因\t经办")
			for _, c := range cases {
				maker := "—"
				if len(c.Votes) > 0 {
					maker = c.Votes[0].Person + "：" + c.Votes[0].Verdict.String()
				}
				_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s（%s）\t%s\n", c.Order.No(), c.Institution, local(c.OpenedAt), miniprogramapi.Why(c.Cause), c.Cause, maker)
			}
			return w.Flush()
		})
	}}
	cmd.Flags().StringVar(&institution, "institution", "", "of this hospital alone (机构)")
	return cmd
}

func reviewShow(f *serveFlags) *cobra.Command {
	return &cobra.Command{Use: "show ORDER", Short: "the evidence of a case: numbers, answers, time line (证据)", Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, words []string) error {
			return withOffice(cmd.Context(), *f, func(o *office) error {
				id, err := order.ParseID(words[0])
				if err != nil {
					return err
				}
				found, history, c, err := o.orders(o.source).Evidence(cmd.Context(), id)
				if err != nil && !errors.Is(err, order.ErrNoCase) {
					return err
				}
				return showEvidence(cmd.OutOrStdout(), found, history, c)
			})
		}}
}

// showEvidence prints numbers, states and the time line; no person's data.
func showEvidence(out io.Writer, o *order.Order, history []order.Event, c order.Case) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name string, values ...any) {
		_, _ = fmt.Fprintln(w, name+"\t"+strings.TrimSpace(fmt.Sprintln(values...)))
	}
	row("订单", o.ID.No(), o.Institution, o.Route, o.State, "合计", o.Total, "微信", o.Split.Charge())
	if c.ID != 0 {
		row("核实", local(c.OpenedAt), miniprogramapi.Why(c.Cause), "("+string(c.Cause)+")")
	}
	for _, s := range o.Settlements {
		row("医保结算", s.State, "结算ID", s.SetlID, "报文", s.MsgID, "丢失的报文", s.LostMsgID, "支付订单", s.Upload.PayOrdID, "医院订单", s.Upload.OrderNo, "ordStas", int(s.OrdStas),
			"基金", s.Actual.Fund(), "账户", s.Actual.Account)
	}
	for _, p := range o.Payments {
		row("微信支付", p.State, "商户单号", p.OutTradeNo, "支付单号", p.TransactionID, "金额", p.Amount, "退款单号", p.Back.OutRefundNo, p.Back.RefundID)
	}
	for _, m := range o.Mixed {
		row("微信医保订单", m.State, m.MixTradeNo, "商户单号", m.OutTradeNo, "流水", m.SerialNo)
	}
	for _, r := range o.Refunds {
		row("退费", r.State, r.ID.No(), "合计", r.Total(), "现金", r.CashDue(), "窗口代退", r.Till, "现金退款单号", r.Cash.OutRefundNo, r.Cash.RefundID, "医院", r.Desk, r.BookingNo, r.Cause)
	}
	for _, v := range c.Votes {
		row("已投", local(v.At), v.Person, v.Position, v.Verdict, v.Reason)
	}
	_, _ = fmt.Fprintln(w)
	for i := range history {
		e := &history[i]
		row(local(e.At), e.Actor, e.Subject, e.Verb, e.From+"→"+e.To, e.Number, e.Detail)
	}
	return w.Flush()
}

// local is a moment as the hospital's clock shows it.
func local(t time.Time) string { return t.In(clock.Shanghai).Format("01-02 15:04:05") }

func reviewVote(f *serveFlags) *cobra.Command {
	var who identity
	var v order.Verdict
	var outcome, reason string
	cmd := &cobra.Command{Use: "vote ORDER", Short: "say how a case ends (经办或复核)", Args: cobra.ExactArgs(1),
		Long: `The first vote is the maker's, the second another person's; it must say the same, or --outcome reject.

Outcomes of an order: post 入账 · settle 医保结算 · unwind 撤销退回 · close 关闭 · complete 医院已入账.
Of a refund: resume 继续 · done 已完成 · refuse 不退.
Where WeChat cannot give the cash of a refund back, --till says what the window has handed out (below zero: taken in); a refund number that stands needs
--cash paid with it: the money is still here. --rest says who bears what a refund made by the window left insured, as pooled_fund:10.00,account:5.00
(pooled_fund 统筹, other_fund 其他基金, account 个人账户, family_account 共济账户, hospital_borne 医院负担); the rest is the patient's, who bears all
of it with cash:40.00.
A leg that is in review itself wants what was found out at the counterpart: --insurance settled|cancelled|not_settled, --cash paid|closed|returned,
--mixed succeeded|failed|dead.`,
		RunE: func(cmd *cobra.Command, words []string) error {
			if err := needed(cmd, "outcome", "reason"); err != nil {
				return err
			}
			v.Outcome = order.Outcome(outcome)
			return withOffice(cmd.Context(), *f, func(o *office) error { return o.vote(cmd, words[0], who, v, reason) })
		}}
	who.flags(cmd)
	cmd.Flags().StringVar(&outcome, "outcome", "", "how the case ends (结论)")
	cmd.Flags().StringVar(&v.Insurance, "insurance", "", "how the insurance leg stands (医保)")
	cmd.Flags().StringVar(&v.SetlID, "setl-id", "", "结算ID, where it is not known here")
	cmd.Flags().StringVar(&v.Cash, "cash", "", "how the cash leg stands (微信支付)")
	cmd.Flags().StringVar(&v.TransactionID, "transaction-id", "", "微信支付单号, where it is not known here")
	cmd.Flags().StringVar(&v.Mixed, "mixed", "", "how WeChat's mixed order stands (微信医保订单)")
	cmd.Flags().StringVar(&v.PostingNo, "posting-no", "", "入账流水号, to complete")
	cmd.Flags().StringVar(&v.Till, "till", "", "what the window has handed out, in yuan (窗口代退)")
	cmd.Flags().StringVar(&v.Rest, "rest", "", "who bears what is left insured (剩余费用由谁承担)")
	cmd.Flags().StringVar(&reason, "reason", "", "what was found out, without personal data (依据)")
	return cmd
}

// mayVote lets those of the finance staff who work for that hospital.
func mayVote(p staff.Person, institution string) error {
	if !slices.Contains(p.Roles, staff.Finance) || (p.Institution != "" && p.Institution != institution) {
		return errMayNot
	}
	return nil
}

// codeOf is an error in one word, as it is recorded.
func codeOf(err error) string {
	if f, known := fault.Find(err); known {
		return f.Code
	}
	return "INTERNAL"
}

func (o *office) vote(cmd *cobra.Command, number string, who identity, v order.Verdict, reason string) error {
	id, err := order.ParseID(number)
	if err != nil {
		return err
	}
	if _, err := order.ParseVerdict(v.String()); err != nil {
		return err
	}
	if err := who.ask(cmd); err != nil {
		return err
	}
	person, err := o.fromTerminal(cmd, who)
	if err != nil {
		return err
	}
	orders := o.orders(o.source)
	found, _, _, err := orders.Evidence(cmd.Context(), id)
	if err != nil && !errors.Is(err, order.ErrNoCase) { // that one is told, and recorded, by the vote
		return err
	}
	ctx := context.WithoutCancel(cmd.Context())
	applied := false
	if err = mayVote(person, found.Institution); err == nil {
		_, applied, err = orders.Vote(ctx, person.ID.Actor(), id, v, reason) // recorded with the vote itself
	}
	if err != nil {
		return errors.Join(err, o.db.Audit().Record(ctx, audit.Record{Institution: found.Institution, Actor: person.ID.Actor(), Action: "review.vote",
			Object: "order:" + id.No(), Result: codeOf(err), Detail: v.String()}))
	}
	words := "已记为经办意见，等待另一位财务人员复核"
	switch {
	case applied:
		words = "复核一致，已执行；启动服务后继续办理"
	case v.Outcome == order.ToReject:
		words = "已退回，由经办人重新提出"
	}
	_, err = fmt.Fprintln(cmd.OutOrStdout(), words)
	return err
}
