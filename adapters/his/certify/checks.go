package certify

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/clock"
)

// check is one thing that a hospital's system must do.
type check struct {
	id, group, title string
	proves           string // what it is good for, in words of the hospital's
	clause           string // of docs/his-interface.md; F: of the hospital reference §4
	advice           string // what to mend when it fails
	needs            []string
	writes, refunds  bool
	insured          bool // of a hospital with a line of its own to the insurer
	run              func(k *kit, ctx context.Context) outcome
}

// outcome is what came of one.
type outcome struct {
	verdict Verdict
	text    string
}

func passed(format string, args ...any) outcome {
	return outcome{Passed, fmt.Sprintf(format, args...)}
}
func failed(format string, args ...any) outcome {
	return outcome{Failed, fmt.Sprintf(format, args...)}
}
func skipped(format string, args ...any) outcome {
	return outcome{NotRun, fmt.Sprintf(format, args...)}
}

// checks are all, in the order in which they are made: what others stand on comes first.
func checks() []check {
	return slices.Concat(securityChecks(), lookupChecks(), lockChecks(), insuranceChecks(), postingChecks(), refundChecks(), noticeChecks(), dayChecks(), speedChecks())
}

func titleOf(id string) string {
	for _, c := range checks() {
		if c.id == id {
			return c.title
		}
	}
	return id
}

// insuredCheck reports whether a check is of a hospital with a line of its own to the insurer alone.
func insuredCheck(id string) bool {
	return slices.ContainsFunc(insuranceChecks(), func(c check) bool { return c.id == id })
}

// Groups are the groups of the checks, in their order.
func Groups() (names []string) {
	for _, c := range checks() {
		if !slices.Contains(names, c.group) {
			names = append(names, c.group)
		}
	}
	return names
}

// uncovered is what no check looks at, and why.
func uncovered() []string {
	return []string{
		"日对账文件是否按时日结、零点前后的记录归在哪一日（F13）：须跨日观察，认证只看当日、早已过去的和未到的日子。",
		"微信通知重复、乱序（F3），医院系统停机期间微信已收款（F6），医保中心的各种拒绝（F15）：由平台处理，不取决于医院系统。",
		"业务高峰时的并发量与长时间稳定性：本认证逐项验证正确性，不是压力测试。",
	}
}

// The codes of docs/his-interface.md §4.
const (
	done           = "0"
	none           = "1"
	notFound       = "NOT_FOUND"
	alreadyPaid    = "ALREADY_PAID"
	billVoid       = "BILL_VOID"
	billChanged    = "BILL_CHANGED"
	locked         = "LOCKED"
	lockExpired    = "LOCK_EXPIRED"
	amountWrong    = "AMOUNT_WRONG"
	duplicate      = "DUPLICATE"
	notRefundable  = "NOT_REFUNDABLE"
	maintenance    = "MAINTENANCE"
	alreadySettled = "SETTLED"
	authExpired    = "AUTH_EXPIRED"
	insurerRefused = "INSURER_REFUSED"
)

// want says what is wrong when an answer has none of these codes; ok: it has one.
func want(a his.Answer, err error, codes ...string) (o outcome, ok bool) {
	switch {
	case err != nil:
		return failed("%s", said(err)), false
	case !slices.Contains(codes, a.Code):
		return failed("应答码是 %s，应为 %s", codeName(a.Code), codeNames(codes)), false
	}
	return outcome{}, true
}

// hands asks the hospital's people for something. Without any, or when they cannot, it says what is to be done by hand.
func (k *kit) hands(ctx context.Context, t Task, byHand string) (number string, o outcome, ok bool) {
	err := ErrNobody
	if k.Hands != nil {
		number, err = k.Hands.Do(ctx, t)
	}
	switch {
	case err == nil:
		return number, o, true
	case errors.Is(err, ErrNobody):
		return "", skipped("需要人工配合：%s", byHand), false
	default:
		return "", skipped("未能布置场景：%v", err), false
	}
}

// number is a new number of ours.
func (k *kit) number() string { return fmt.Sprint(k.Source.ID()) }

// china writes a moment as the hospital's clocks show it.
func china(t time.Time) string { return t.In(clock.Shanghai).Format("2006-01-02 15:04:05") }

// Dependants are the checks that are not made when that one does not hold.
func Dependants(id string) (ids []string) {
	for _, c := range checks() {
		if slices.ContainsFunc(c.needs, func(need string) bool { return need == id || slices.Contains(ids, need) }) {
			ids = append(ids, c.id)
		}
	}
	return ids
}
