package certify_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/adapters/his/certify"
	"github.com/tuoka/tuoka/adapters/his/hissim"
)

// defects are the broken hospitals, and the one check that each of them fails. Those of an answer's form are of the JSON face alone.
var defects = []struct {
	defect hissim.Defect
	fails  string
	ways   string
}{
	{hissim.UnsignedAnswers, "connect", "rest"},
	{hissim.StaleAnswers, "connect", "rest"},
	{hissim.GBKAnswers, "connect", "rest"},
	{hissim.PageAnswers, "connect", "rest"},
	{hissim.YuanAmounts, "amounts", "rest"},
	{hissim.HundredAmounts, "amounts", "rest"},
	{hissim.WrongLines, "amounts", "rest"},
	{hissim.OthersArchive, "patient", "rest"},
	{hissim.ShortList, "pending", "rest"},
	{hissim.SlowClock, "clock", "rest soap"},
	{hissim.AcceptsStale, "stale", "rest soap"},
	{hissim.AcceptsForged, "signature", "rest soap"},
	{hissim.AcceptsUnsigned, "signature", "rest soap"},
	{hissim.AcceptsReplay, "replay", "rest soap"},
	{hissim.FindsByNumber, "patient-name", "rest soap"},
	{hissim.EmptyFind, "patient-none", "rest soap"},
	{hissim.EmptyPending, "pending-empty", "rest soap"},
	{hissim.UnknownIsEmpty, "pending-none", "rest soap"},
	{hissim.NoDiagnosis, "detail", "rest soap"},
	{hissim.ShowsOthers, "detail-other", "rest soap"},
	{hissim.UnknownBill, "detail-none", "rest soap"},
	{hissim.PostedUnknown, "query-none", "rest soap"},
	{hissim.LockEternal, "lock", "rest soap"},
	{hissim.LockProlonged, "lock-again", "rest soap"},
	{hissim.LockShared, "lock-excludes", "rest soap"},
	{hissim.LocksOthers, "lock-other", "rest soap"},
	{hissim.ReleaseDeaf, "release", "rest soap"},
	{hissim.ReleaseAnybody, "release-late", "rest soap"},
	{hissim.NumberReused, "lock-reuse", "rest soap"},
	{hissim.NumberReborn, "release-spent", "rest soap"},
	{hissim.LockNeverEnds, "lock-expires", "rest soap"},
	{hissim.OldTotal, "changed", "rest soap"},
	{hissim.LocksVoid, "void", "rest soap"},
	{hissim.LocksPaid, "window", "rest soap"},
	{hissim.WindowTakes, "window-locked", "rest soap"},
	{hissim.PostsAnything, "post-wrong", "rest soap insured"},
	{hissim.OtherRecord, "post", "rest soap insured"},
	{hissim.ForgetsPosting, "post-query", "rest soap insured"},
	{hissim.PostsTwice, "post-twice", "rest soap insured"},
	{hissim.Overwrites, "post-other", "rest soap insured"},
	{hissim.StaysUnpaid, "post-closes", "rest soap insured"},
	{hissim.HalfRollback, "post-lost", "rest soap insured"},
	{hissim.RacesPostings, "post-together", "rest soap insured"},
	{hissim.ClosesSilently, "maintenance", "rest soap insured"},
	{hissim.RefundsUnknown, "refund-none", "rest soap insured"},
	{hissim.RefundsUnposted, "refund-unposted", "rest soap insured"},
	{hissim.ForgetsHold, "refund-hold", "rest soap insured"},
	{hissim.RefusesOwnHold, "refund-hold-twice", "rest soap insured"},
	{hissim.KeepsNothing, "refund-kept", "rest soap insured"},
	{hissim.DropDeaf, "refund-drop", "rest soap insured"},
	{hissim.DropNotFinal, "refund-drop-final", "rest soap insured"},
	{hissim.RefundsTooMuch, "refund-too-much", "rest soap insured"},
	{hissim.RefundsHanded, "refund-handed-out", "rest soap insured"},
	{hissim.OtherRest, "refund-book", "rest soap insured"},
	{hissim.BooksTwice, "refund-book-twice", "rest soap insured"},
	{hissim.HalfRefund, "refund-lost", "rest soap insured"},
	{hissim.RefundsForever, "refund-exhausted", "rest soap insured"},
	{hissim.PresettleLocks, "presettle", "insured soap-insured"},
	{hissim.PresettleOff, "presettle", "insured soap-insured"},
	{hissim.PresettleOnce, "presettle-again", "insured soap-insured"},
	{hissim.ClaimsPart, "presettle-part", "insured soap-insured"},
	{hissim.ClaimsOthers, "presettle-other", "insured soap-insured"},
	{hissim.SettleOff, "settle", "insured soap-insured"},
	{hissim.SettlesAgain, "settle-again", "insured soap-insured"},
	{hissim.QueryForgets, "settle-query", "insured soap-insured"},
	{hissim.ForgetsSettled, "presettle-settled", "insured soap-insured"},
	{hissim.SettlesTwice, "settle-other", "insured soap-insured"},
	{hissim.PostsUnsettled, "post-settlement", "insured soap-insured"},
	{hissim.RestoresNothing, "cancel-lost", "insured soap-insured"},
	{hissim.CancelDeaf, "cancel", "insured soap-insured"},
	{hissim.CancelOnce, "cancel-again", "insured soap-insured"},
	{hissim.HalfSettlement, "settle-lost", "insured soap-insured"},
	{hissim.ReversalDeaf, "settle-lost", "insured soap-insured"},
	{hissim.NumberSettles, "settle-spent", "insured soap-insured"},
	{hissim.ReversalForgets, "reverse-unknown", "insured soap-insured"},
	{hissim.WithdrawDeaf, "withdraw", "insured soap-insured"},
	{hissim.DayCountOff, "day", "rest soap insured"},
	{hissim.DaySumOff, "day", "rest soap insured"},
	{hissim.DayPagesRepeat, "day-pages", "rest soap insured"},
	{hissim.DayEndless, "day-pages", "rest soap insured"},
	{hissim.DayEmptyDone, "day-empty", "rest soap insured"},
	{hissim.DayNeverCloses, "day-empty", "rest soap insured"},
	{hissim.DayTomorrow, "day-empty", "rest soap insured"},
	{hissim.DayNoRefunds, "day-ours", "rest soap insured"},
	{hissim.DayPartsPosted, "day-ours", "rest soap insured"},
	{hissim.DayUnposted, "day-ours", "rest soap insured"},
	{hissim.NoticeUnsigned, "notice", "rest soap"},
	{hissim.NoticeHundred, "notice", "rest soap"},
	{hissim.NoticeOnce, "notice-again", "rest soap"},
	{hissim.NoticeSameNonce, "notice-again", "rest soap"},
	{hissim.Slow, "speed", "rest soap"},
}

// TestDefects: each broken hospital fails its own check and no other; what is not run besides stands on that one, or on something that does.
func TestDefects(t *testing.T) {
	t.Parallel()
	for _, tt := range defects {
		for way := range strings.FieldsSeq(tt.ways) {
			t.Run(fmt.Sprint(way, " ", tt.defect), func(t *testing.T) {
				t.Parallel()
				r := certified(t, way, tt.defect, nil)
				if got := failures(r); !slices.Equal(got, []string{tt.fails}) {
					t.Errorf("failed %v, want %s", got, tt.fails)
					for _, c := range r.Results {
						if c.Verdict == certify.Failed {
							t.Logf("%s: %s", c.ID, c.Text)
						}
					}
				}
				without := certify.Dependants(tt.fails)
				for _, c := range r.Results {
					if c.Verdict == certify.NotRun && !slices.Contains(without, c.ID) && (c.Group != insurance || ways[way].insured) {
						t.Errorf("%s was not run: %s", c.ID, c.Text)
					}
					if c.Verdict == certify.Failed && (c.Advice == "" || c.Text == "" || (len(c.Evidence) == 0 && c.ID != "speed" && c.ID != "notice-again")) {
						t.Errorf("%s says not why, what to mend or by which messages: %+v", c.ID, c)
					}
				}
			})
		}
	}
}

// TestEveryCheckHasADefect: no check is there that nothing fails.
func TestEveryCheckHasADefect(t *testing.T) {
	t.Parallel()
	for _, c := range certified(t, "rest", "", nil).Results {
		found := false
		for _, d := range defects {
			found = found || d.fails == c.ID
		}
		if !found {
			t.Errorf("%s: no broken hospital fails it", c.ID)
		}
	}
}
