package hissim

import (
	"context"
	"net/http"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
)

// Defect is something that a hospital's system does wrongly all the time, so that a certification must find it (adapters/his/certify). What is ordered for
// single answers is an Oddity.
type Defect string

// The defects. Those of the first group are of the JSON face alone; those of insurance, from PresettleLocks to WithdrawDeaf, of a hospital with a line
// of its own to the insurer.
const (
	UnsignedAnswers Defect = "unsigned answers"
	StaleAnswers    Defect = "answers signed an hour ago"
	GBKAnswers      Defect = "GBK that calls itself UTF-8"
	PageAnswers     Defect = "a page instead of answers"
	YuanAmounts     Defect = "yuan instead of fen"
	HundredAmounts  Defect = "amounts a hundred times too large"
	WrongLines      Defect = "line sums that do not add up"
	OthersArchive   Defect = "someone else's archive"
	ShortList       Defect = "a page of the list is missing"

	SlowClock       Defect = "a clock that is minutes slow"
	AcceptsStale    Defect = "stale time stamps accepted"
	AcceptsForged   Defect = "bad signatures accepted"
	AcceptsUnsigned Defect = "unsigned requests accepted"
	AcceptsReplay   Defect = "nonces forgotten"

	FindsByNumber   Defect = "finds by identity number alone"
	EmptyFind       Defect = "nobody found is success, empty"
	EmptyPending    Defect = "nothing to pay is success, empty"
	UnknownIsEmpty  Defect = "an unknown archive is success, empty"
	NoDiagnosis     Defect = "bills without diagnoses"
	ShowsOthers     Defect = "another patient's bill shown"
	UnknownBill     Defect = "an unknown bill is success, empty"
	PostedUnknown   Defect = "query says posted for unknown"
	LockEternal     Defect = "locks of two days"
	LockProlonged   Defect = "a repeated lock lives longer"
	LockShared      Defect = "a lock that does not exclude"
	LocksOthers     Defect = "another patient's bill locked"
	ReleaseDeaf     Defect = "a release that does nothing"
	ReleaseAnybody  Defect = "release frees another's lock"
	NumberReused    Defect = "a number that locks other bills, too"
	NumberReborn    Defect = "a released number locks again"
	LockNeverEnds   Defect = "a lock that never ends"
	OldTotal        Defect = "a changed bill locked at its old total"
	LocksVoid       Defect = "a withdrawn bill locked"
	LocksPaid       Defect = "a bill paid at the window locked"
	WindowTakes     Defect = "the window takes a locked bill"
	PostsAnything   Defect = "wrong totals posted"
	OtherRecord     Defect = "a record of other parts"
	ForgetsPosting  Defect = "a posting that the query forgets"
	PostsTwice      Defect = "posts twice"
	Overwrites      Defect = "accepts other amounts"
	StaysUnpaid     Defect = "a posted bill stays unpaid"
	HalfRollback    Defect = "a posting half undone when its caller leaves"
	RacesPostings   Defect = "duplicate bookings under concurrency"
	ClosesSilently  Defect = "maintenance without its code"
	RefundsUnknown  Defect = "query says booked for an unknown refund"
	RefundsUnposted Defect = "what was never posted may go back"
	ForgetsHold     Defect = "a hold that the query forgets"
	RefusesOwnHold  Defect = "a hold that refuses its own repeat"
	KeepsNothing    Defect = "items held twice"
	DropDeaf        Defect = "a drop that does nothing"
	DropNotFinal    Defect = "drop not final"
	RefundsTooMuch  Defect = "refund beyond what is left"
	RefundsHanded   Defect = "drugs handed out may go back"
	OtherRest       Defect = "a refund's record with another rest"
	BooksTwice      Defect = "refunds twice"
	HalfRefund      Defect = "a refund half undone when its caller leaves"
	RefundsForever  Defect = "what went back goes back again"

	PresettleLocks  Defect = "a presettlement that locks its bills"
	PresettleOff    Defect = "foreseen parts that do not add up"
	PresettleOnce   Defect = "a claim that may be asked about once only"
	ClaimsPart      Defect = "a claim of fewer items taken"
	ClaimsOthers    Defect = "another patient's bill claimed"
	SettleOff       Defect = "settled parts that do not add up"
	SettlesAgain    Defect = "a repeated number is another settlement"
	SettlesTwice    Defect = "a settled bill settled under another claim"
	ForgetsSettled  Defect = "a settled claim foreseen again"
	QueryForgets    Defect = "a settlement that the query forgets"
	PostsUnsettled  Defect = "a posting not compared with its settlement"
	CancelDeaf      Defect = "a cancellation that does nothing"
	CancelOnce      Defect = "a cancellation that refuses its own repeat"
	HalfSettlement  Defect = "a settlement forgotten when its caller leaves"
	ReversalDeaf    Defect = "a reversed settlement stands"
	NumberSettles   Defect = "a reversed number settles again"
	ReversalForgets Defect = "a number reversed before it came settles"
	RestoresNothing Defect = "a reversed cancellation stays cancelled"
	WithdrawDeaf    Defect = "a withdrawal that does nothing"

	DayCountOff    Defect = "a day's count that is not its records'"
	DaySumOff      Defect = "a day's sum that is not its records'"
	DayPagesRepeat Defect = "every page of the day is its first"
	DayEndless     Defect = "no page is beyond the day's end"
	DayEmptyDone   Defect = "a day without records is success, empty"
	DayTomorrow    Defect = "a day that has not begun is empty"
	DayNeverCloses Defect = "a day that is never closed"
	DayNoRefunds   Defect = "a day's list without refunds"
	DayPartsPosted Defect = "a day's refunds with the parts as posted"
	DayUnposted    Defect = "what was never posted in the day's list"

	NoticeUnsigned  Defect = "notices with a wrong signature"
	NoticeHundred   Defect = "notices with a hundred times the amounts"
	NoticeOnce      Defect = "notices never repeated"
	NoticeSameNonce Defect = "notices repeated with the same nonce"
	Slow            Defect = "answers after the deadline"
)

// broken reports whether the hospital has that defect.
func (s *Sim) broken(d Defect) bool { return s.config.Defect == d }

// always is the oddity that every answer of that operation has by the defect; nil: none.
func (d Defect) always(op string) *Oddity {
	table := map[Defect]Oddity{UnsignedAnswers: {Kind: Unsigned}, StaleAnswers: {Kind: Stale}, GBKAnswers: {Kind: GBK}, PageAnswers: {Kind: HTML},
		YuanAmounts: {Kind: Yuan}, HundredAmounts: {Kind: Hundredfold}, WrongLines: {Kind: LineSum, Op: "bills.detail"},
		OthersArchive: {Kind: WrongPerson, Op: "patients.find"}, ShortList: {Kind: ShortPage, Op: "bills.pending"},
		NoticeHundred: {Kind: Hundredfold, Op: "notice"}}
	o, ok := table[d]
	if !ok || (o.Op != op && (o.Op != "" || op == "notice")) {
		return nil
	}
	return &o
}

// callerKey holds the caller's own context, which a fault plan takes away: with it, what is under way outlives who asked.
type callerKey struct{}

// remembering lets the defects of a hospital see that a caller has gone.
func remembering(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), callerKey{}, r.Context())))
	})
}

// left waits a moment, and reports whether the caller has gone meanwhile.
func left(ctx context.Context) bool {
	caller, ok := ctx.Value(callerKey{}).(context.Context)
	if !ok {
		caller = ctx
	}
	return clock.Real{}.Sleep(caller, 150*time.Millisecond) != nil
}

// races waits a moment for a second posting of the same order; contended tells both that there was one. End it with the mutex held.
func (s *Sim) races(ctx context.Context, order string) (contended func() bool, end func()) {
	s.mu.Lock()
	s.racing[order]++
	if s.racing[order] == 2 {
		s.contended = order
	}
	s.mu.Unlock()
	_ = left(ctx)
	return func() bool { return s.contended == order }, func() { s.racing[order]-- }
}
