package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"github.com/shopspring/decimal"
	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
)

type payFlags struct {
	server      string
	orders      int
	concurrency int
	route       string
	seed        uint64
	faults      string
	refunds     string
	most        time.Duration
	patience    time.Duration
	reconcile   bool
	json        bool
}

func payCommand() *cobra.Command {
	var f payFlags
	cmd := &cobra.Command{Use: "pay", Short: "play patients against a running sandbox, then compare every side's books", Args: cobra.NoArgs,
		Long: `Plays N patients who log in, consent, authorise, see who pays what, pay and wait, through the public API only. It rides over a restart of
the server. Afterwards it compares every order with the truth in the simulators' books and prints a table. Exit code 1 when anything
differs, or an order is still under way a minute after the last request.`,
		RunE: func(cmd *cobra.Command, _ []string) error { return pay(cmd.Context(), cmd.OutOrStdout(), os.Stderr, f) }}
	cmd.Flags().StringVar(&f.server, "server", "http://127.0.0.1:8080", "address of the sandbox: its API's or its phone's")
	cmd.Flags().IntVar(&f.orders, "orders", 50, "how many patients pay a bill each: outpatient fees, registrations, deposits, two bills of a visit")
	cmd.Flags().IntVar(&f.concurrency, "concurrency", 8, "how many of them at once")
	cmd.Flags().StringVar(&f.route, "route", "all", "whose patients pay: those of the hospitals on that route (core, mixed, his), or all")
	cmd.Flags().Uint64Var(&f.seed, "seed", 1, "who comes, with what, and which faults they meet")
	cmd.Flags().StringVar(&f.faults, "faults", "none", "none, mild or harsh")
	cmd.Flags().StringVar(&f.refunds, "refunds", "0", "share of the completed orders that are given back, wholly or in part: 0 to 1")
	cmd.Flags().DurationVar(&f.most, "for", 0, "let nobody begin to pay after that time, however many --orders are left; 0: all of them pay")
	cmd.Flags().DurationVar(&f.patience, "patience", time.Minute, "how long to wait for orders under way after the last request")
	cmd.Flags().BoolVar(&f.reconcile, "reconcile", false, "reconcile the day of every hospital afterwards, on a sandbox that was empty before: what differs must be an order that people have in hand")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the result as one line of JSON")
	return cmd
}

// result is what pay prints. Amounts are in fen; the net figures are the counterparts' own books, for these orders alone.
type result struct {
	Orders        int       `json:"orders"`
	Completed     int       `json:"completed"`
	Closed        int       `json:"closed"`
	Unwound       int       `json:"unwound"`
	Review        int       `json:"review"`
	Pending       int       `json:"pending"`
	TotalFen      money.Fen `json:"total_fen"`
	FundFen       money.Fen `json:"fund_fen"`
	AccountFen    money.Fen `json:"account_fen"`
	CashFen       money.Fen `json:"cash_fen"`
	WechatNetFen  money.Fen `json:"wechat_net_fen"`
	InsurerNetFen money.Fen `json:"insurer_net_fen"`
	HISPostedFen  money.Fen `json:"his_posted_fen"`
	Refunds       int       `json:"refunds"` // asked for; done, refused, and those that people must judge
	RefundsDone   int       `json:"refunds_done"`
	RefundsNot    int       `json:"refunds_refused"`
	RefundsReview int       `json:"refunds_review"`
	RefundedFen   money.Fen `json:"refunded_fen"` // what is back on every side
	Mismatches    int       `json:"mismatches"`
	Reconciled    int       `json:"reconciled,omitempty"`  // lines of all books
	Differences   int       `json:"differences,omitempty"` // between them
	Unexplained   int       `json:"unexplained"`           // of which nobody has the order in hand
	DurationMS    int64     `json:"duration_ms"`
	P50MS         int64     `json:"p50_ms"`
	P99MS         int64     `json:"p99_ms"`

	Causes map[string]int `json:"causes"` // why orders ended otherwise than completed, by "state: cause"

	findings []string
}

func pay(ctx context.Context, out, progress io.Writer, f payFlags) error {
	if f.orders < 1 || f.concurrency < 1 {
		return errors.New("--orders and --concurrency must be at least 1")
	}
	share, err := decimal.NewFromString(f.refunds)
	if err != nil || share.Sign() < 0 || share.GreaterThan(decimal.New(1, 0)) {
		return errors.New("--refunds must be between 0 and 1")
	}
	level := sandbox.Level(f.faults)
	c := newPhoneClient(f.server)
	if err := c.findOut(ctx); err != nil {
		return fmt.Errorf("no sandbox answers at %s: %w", f.server, err)
	}
	hospitals := c.about.on(f.route)
	if len(hospitals) == 0 {
		return fmt.Errorf("--route %s: no hospital of this sandbox is on it", f.route)
	}
	if err := c.setFaults(ctx, sandbox.None, f.seed); err != nil {
		return err
	}
	roles, err := c.castAll(ctx, hospitals, f.orders, f.seed, true)
	if err != nil {
		return err
	}
	if err := c.setFaults(ctx, level, f.seed); err != nil {
		return err
	}
	before, err := c.readBooks(ctx)
	if err != nil {
		return err
	}
	begun := c.clock.Now()
	played := playAll(ctx, progress, c, roles, f, uint64(share.Shift(3).IntPart())) //nolint:gosec // 0 to 1000
	if err := c.setFaults(ctx, sandbox.None, f.seed); err != nil {
		return err
	}
	c.settleDown(ctx, played, f.patience)
	after, err := c.readBooks(ctx)
	if err != nil {
		return err
	}
	r := compare(played, before, after)
	r.undeserved(level)
	r.DurationMS = c.clock.Now().Sub(begun).Milliseconds()
	if f.reconcile {
		if err := c.reconcileAll(ctx, r, played, begun); err != nil {
			return err
		}
	}
	if err := r.print(out, f.json); err != nil {
		return err
	}
	if r.Mismatches > 0 || r.Pending > 0 || r.Unexplained > 0 {
		if f.json { // the line of JSON only counts them
			_, _ = fmt.Fprintln(progress, strings.Join(r.findings, "\n"))
		}
		return errSaid
	}
	return nil
}

// playAll lets every player pay, some at a time, and shows how far they are.
func playAll(ctx context.Context, progress io.Writer, c *phoneClient, roles []role, f payFlags, refundsOf1000 uint64) []*player {
	bar := progressbar.NewOptions(len(roles), progressbar.OptionSetWriter(progress), progressbar.OptionSetDescription("patients"),
		progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(false), progressbar.OptionThrottle(200*time.Millisecond),
		progressbar.OptionOnCompletion(func() { _, _ = fmt.Fprintln(progress) }), progressbar.OptionSetVisibility(!f.json && term.IsTerminal(int(os.Stderr.Fd()))))
	players := make([]*player, len(roles))
	queue := make(chan int)
	var wg sync.WaitGroup
	for range f.concurrency {
		wg.Go(func() {
			for i := range queue {
				seed := mix(f.seed, uint64(i)) //nolint:gosec // an index
				players[i] = &player{client: c, role: roles[i], seed: seed, givesBack: (seed>>20)%1000 < refundsOf1000}
				players[i].play(ctx)
				_ = bar.Add(1)
			}
		})
	}
	begun, begin := 0, c.clock.Now()
	for begun < len(roles) && (begun == 0 || f.most <= 0 || c.clock.Now().Sub(begin) < f.most) {
		queue <- begun
		begun++
	}
	close(queue)
	wg.Wait()
	return players[:begun]
}

func (r *result) print(out io.Writer, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(out).Encode(r)
	}
	var b strings.Builder
	row := func(name string, value any) { fmt.Fprintf(&b, "  %-30s %14v\n", name, value) }
	fmt.Fprintln(&b, "Orders")
	row("played", r.Orders)
	row("completed 已完成", r.Completed)
	row("closed 已关闭", r.Closed)
	row("unwound 已撤销", r.Unwound)
	row("review 人工核实中", r.Review)
	row("pending", r.Pending)
	for _, cause := range sortedKeys(r.Causes) {
		row("  · "+cause, r.Causes[cause])
	}
	fmt.Fprintln(&b, "Completed orders, yuan")
	row("total", r.TotalFen)
	row("funds 基金", r.FundFen)
	row("accounts 个人账户", r.AccountFen)
	row("WeChat 微信支付", r.CashFen)
	fmt.Fprintln(&b, "The counterparts' books, yuan")
	row("WeChat net", r.WechatNetFen)
	row("insurer net", r.InsurerNetFen)
	row("HIS posted", r.HISPostedFen)
	if r.Refunds > 0 {
		fmt.Fprintln(&b, "Refunds")
		row("asked 已受理", r.Refunds)
		row("done 已退费", r.RefundsDone)
		row("refused 未予退费", r.RefundsNot)
		row("review 人工核实中", r.RefundsReview)
		row("given back, yuan", r.RefundedFen)
	}
	fmt.Fprintln(&b, "Time")
	row("all", time.Duration(r.DurationMS)*time.Millisecond)
	row("one patient, median", time.Duration(r.P50MS)*time.Millisecond)
	row("one patient, 99 of 100", time.Duration(r.P99MS)*time.Millisecond)
	row("Mismatches", r.Mismatches)
	if r.Reconciled > 0 {
		fmt.Fprintln(&b, "Reconciliation 对账")
		row("lines", r.Reconciled)
		row("differences 差异", r.Differences)
		row("unexplained", r.Unexplained)
	}
	for _, f := range r.findings {
		fmt.Fprintln(&b, "  ! "+f)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func sortedKeys(m map[string]int) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
