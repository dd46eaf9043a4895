package main

import (
	"context"
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/ledger"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/order"
)

func ledgerCommand() *cobra.Command {
	f := serveFlags{base: 8080}
	cmd := &cobra.Command{Use: "ledger", Short: "the ledger behind every fen (总账)", Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	officeFlags(cmd, &f)
	cmd.AddCommand(ledgerVerify(&f), ledgerBalances(&f))
	return cmd
}

func ledgerVerify(f *serveFlags) *cobra.Command {
	var institution string
	cmd := &cobra.Command{Use: "verify", Short: "reckon every order anew and compare (逐单重算核对)", Args: noWords,
		Long: `Reckons every order anew from its events and from its legs, compares both with the ledger, and sums the ledger up. Exit code 1 when
anything differs. With SQLite stop the service first.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withOffice(cmd.Context(), *f, func(o *office) error { return o.verify(cmd, institution) })
		}}
	cmd.Flags().StringVar(&institution, "institution", "", "of this hospital alone (机构)")
	return cmd
}

// errDiffers is a ledger that is not what the orders say.
var errDiffers = errors.New("总账与订单不符")

func (o *office) verify(cmd *cobra.Command, institution string) error {
	orders, differences, readable := 0, 0, true
	sums := map[ledger.Account]money.Fen{}
	err := o.db.Orders().Each(cmd.Context(), institution, func(x *order.Order, history []order.Event) error {
		orders++
		for account, amount := range order.Balances(history) {
			sums[account] += amount
		}
		for _, finding := range order.Verify(x, history) {
			differences++
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "订单 %s（%s）：%s\n", x.ID.No(), x.State, finding); err != nil {
				return err
			}
		}
		return nil
	}, func(id order.ID, err error) error {
		orders++
		differences++
		readable = false
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "订单 %s：数据在库中被改动，不能核对：%v\n", id.No(), err)
		return err
	})
	if err != nil {
		return err
	}
	if readable { // what no order accounts for
		kept, err := o.accounts(cmd.Context(), institution)
		if err != nil {
			return err
		}
		for _, account := range ledger.Accounts() {
			if kept[account] == sums[account] {
				continue
			}
			differences++
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "科目 %s：总账共 %s，各订单合计 %s\n", account, kept[account], sums[account]); err != nil {
				return err
			}
		}
	}
	w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', tabwriter.AlignRight)
	var all money.Fen
	for _, account := range ledger.Accounts() {
		all += sums[account]
		_, _ = fmt.Fprintf(w, "%s\t%s\t\n", account, sums[account])
	}
	_, _ = fmt.Fprintf(w, "合计\t%s\t\n", all)
	if err := w.Flush(); err != nil {
		return err
	}
	if all != 0 {
		differences++
	}
	_, err = fmt.Fprintf(cmd.OutOrStdout(), "%d 个订单，%d 处差异\n", orders, differences)
	if err == nil && differences > 0 {
		err = errDiffers
	}
	return err
}

// accounts sums the whole ledger by account, whatever orders there are.
func (o *office) accounts(ctx context.Context, institution string) (map[ledger.Account]money.Fen, error) {
	list, err := o.db.Balances(ctx, institution, time.Unix(0, 0).UTC(), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		return nil, err
	}
	sums := map[ledger.Account]money.Fen{}
	for _, b := range list {
		sums[b.Account] += b.Amount
	}
	return sums, nil
}

func ledgerBalances(f *serveFlags) *cobra.Command {
	var institution, first, last string
	cmd := &cobra.Command{Use: "balances", Short: "sums by hospital, day and account (按机构、日、科目汇总)", Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			today := clock.Real{}.Now().In(clock.Shanghai)
			from, err1 := dayOf(first, today.AddDate(0, 0, -30))
			to, err2 := dayOf(last, today)
			if err := errors.Join(err1, err2); err != nil {
				return err
			}
			return withOffice(cmd.Context(), *f, func(o *office) error {
				list, err := o.db.Balances(cmd.Context(), institution, from, to)
				if err != nil {
					return err
				}
				w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
				_, _ = fmt.Fprintln(w, "机构\t日\t科目\t金额")
				for _, b := range list {
					_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", b.Institution, b.Day, b.Account, b.Amount)
				}
				return w.Flush()
			})
		}}
	cmd.Flags().StringVar(&institution, "institution", "", "of this hospital alone (机构)")
	cmd.Flags().StringVar(&first, "from", "", "first day, 2006-01-02; default 30 days ago (起始日)")
	cmd.Flags().StringVar(&last, "to", "", "last day; default today (截止日)")
	return cmd
}

func dayOf(text string, otherwise time.Time) (time.Time, error) {
	if text == "" {
		return otherwise, nil
	}
	day, err := time.ParseInLocation(time.DateOnly, text, clock.Shanghai)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q 不是日期，请写成 2026-11-26 的形式", text)
	}
	return day, nil
}
