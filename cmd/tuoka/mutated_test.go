package main

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
)

// The bounds of a hostile callback.
const (
	mostAllocated = 64 << 20        // by one of them
	mostTaken     = 5 * time.Second // alone they take some milliseconds; the machine may do other things
	allTaken      = time.Minute
)

// mutations is how many are sent. With -short, or under the race detector, it is a fifth.
func mutations() int {
	if testing.Short() || raced {
		return 2_000
	}
	return 10_000
}

// mill makes hostile callbacks of good ones.
type mill struct {
	*rand.Rand
	senders map[string]*sender
	good    map[string][]string // bodies, by institution
	sent    map[string]*letter  // one that was sent, stored and acknowledged, by institution
	now     time.Time
	n       int
}

// institution is the first hospital mostly: the second's signatures take the test a millisecond each, twice.
func (m *mill) institution() string {
	if m.IntN(5) == 0 {
		return "h2"
	}
	return "h1"
}

// letter is a good one, under a nonce of its own.
func (m *mill) letter(institution string) *letter {
	m.n++
	bodies := m.good[institution]
	return m.senders[institution].letter([]byte(bodies[m.IntN(len(bodies))]), m.now, fmt.Sprintf("nonce-mutated-%08d", m.n))
}

// with is a good letter with another body, signed.
func (m *mill) with(body []byte) *letter {
	l := m.letter(m.institution())
	l.body = body
	m.senderOf(l).sign(l)
	return l
}

func (m *mill) senderOf(l *letter) *sender { return m.senders[l.path[len(l.path)-2:]] }

// swapped is the text with one occurrence of something replaced; it must be there.
func swapped(text, old, fresh string) []byte {
	if !strings.Contains(text, old) {
		panic("no " + old + " in " + text)
	}
	return []byte(strings.Replace(text, old, fresh, 1))
}

// refund is the good letter that asks for money.
func (m *mill) refund(institution string) string { return m.good[institution][0] }

// expanding, external and their kind are what a parser of XML must not be fed.
func documents() []string {
	entities := `<!DOCTYPE r [<!ENTITY a0 "ha">`
	for i := range 30 {
		entities += fmt.Sprintf(`<!ENTITY a%d "&a%d;&a%d;&a%d;&a%d;">`, i+1, i, i, i, i)
	}
	notice := `<kind>refund_asked</kind><his_refund_no>CT1</his_refund_no><order_no>7</order_no><total_fen>1</total_fen>`
	return []string{
		`<?xml version="1.0"?>` + entities + `]><r>&a30;</r>`,
		`<?xml version="1.0"?><!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]><r>&x;</r>`,
		`<?xml version="1.0"?><!DOCTYPE r SYSTEM "http://his.invalid/r.dtd"><r>` + notice + `</r>`,
		`<?xml version="1.0"?><!DOCTYPE r [<!ENTITY % p SYSTEM "http://his.invalid/p"> %p;]><r/>`,
		`<?xml version="1.0" encoding="GBK"?><r>` + notice + `</r>`,
		`<soap:Envelope xmlns:soap="http://schemas.xmlsoap.org/soap/envelope/"><soap:Body>` + notice + `</soap:Body></soap:Envelope>`,
		`<r>` + notice, `<r><![CDATA[` + notice + `]]]]><![CDATA[></r>`, strings.Repeat("<r>", 40_000),
	}
}

// mutate makes one, and tells how it must be answered; 0: it may be good, and is counted apart.
func (m *mill) mutate() (*letter, []int) {
	institution := m.institution()
	l, s := m.letter(institution), m.senders[institution]
	unauthorised, malformed := []int{http.StatusUnauthorized}, []int{http.StatusBadRequest}
	switch m.IntN(14) {
	case 0: // bad signature
		digits := []byte(l.signature)
		i := m.IntN(len(digits))
		digits[i] = "0123456789abcdef"[(strings.IndexByte("0123456789abcdef", digits[i])+1+m.IntN(15))%16]
		l.signature = string(digits)
		return l, unauthorised
	case 1: // changed after it was signed
		l.body = bytes.Clone(l.body)
		l.body[m.IntN(len(l.body))] ^= byte(1 + m.IntN(255))
		return l, unauthorised
	case 2: // replay
		return m.sent[institution], unauthorised
	case 3: // stale, or of tomorrow
		off := time.Duration(302+m.IntN(10_000_000)) * time.Second
		if m.IntN(2) == 0 {
			off = -off
		}
		l.stamp = strconv.FormatInt(m.now.Add(off).Unix(), 10)
		s.sign(l)
		return l, unauthorised
	case 4: // wrong amount
		good := m.refund(institution)
		total := good[strings.LastIndex(good, `"total_fen":`):]
		total = total[:strings.IndexAny(total, ",}")]
		value := strings.TrimPrefix(total, `"total_fen":`)
		wrong := []string{"-" + value, value + "0", value + ".0", value + "e2",
			`"` + value + `"`, "0" + value, "null", "[]", "1" + strings.Repeat("0", 14), strings.Repeat("9", 400),
			"９", "true", "9223372036854775808"}
		at := strings.LastIndex(good, total)
		return m.with([]byte(good[:at] + `"total_fen":` + wrong[m.IntN(len(wrong))] + good[at+len(total):])), malformed
	case 5: // wrong institution
		l.path = []string{"/callbacks/his/h1", "/callbacks/his/h2", "/callbacks/his/h3", "/callbacks/his/", "/callbacks/hiss/h1"}[m.IntN(5)]
		if l.path == s.at {
			l.path = "/callbacks/his/H1"
		}
		return l, []int{http.StatusUnauthorized, http.StatusNotFound}
	case 6: // huge
		l = m.with(append(bytes.Clone(l.body), bytes.Repeat([]byte(" "), 256<<10+m.IntN(64<<10))...))
		return l, malformed
	case 7: // XML
		all := documents()
		l = m.with([]byte(all[m.IntN(len(all))]))
		l.contentType = []string{"text/xml; charset=utf-8", "application/soap+xml", "application/json"}[m.IntN(3)]
		return l, malformed
	case 8: // no JSON, or not one object, or not once
		text := string(l.body)
		bad := [][]byte{l.body[:m.IntN(len(l.body))], []byte("\xef\xbb\xbf" + text), []byte(strings.Repeat("[", 100_000)),
			[]byte(strings.Repeat(`{"a":`, 40_000)), []byte(text + text),
			swapped(text, `{`, `{"kind":"bill_void",`), swapped(text, `{`, `{"x":"`+string([]byte{0xff, 0xfe})+`",`), []byte("null"),
			[]byte("[" + text + "]"), []byte(`"` + strings.Repeat("a", 200_000)),
			[]byte(strings.Repeat("9", 200_000)), swapped(text, `"kind"`, `"Kind":1,"kind"`)}
		return m.with(bad[m.IntN(len(bad))]), malformed
	case 9: // a header is missing, or absurd
		absurd := []string{"", " ", "-1", strings.Repeat("9", 400), "１７９５", "\x00", "1e9", "0x10"}[m.IntN(8)]
		switch m.IntN(5) {
		case 0:
			l.app = absurd
		case 1:
			l.stamp = absurd
			s.sign(l)
		case 2:
			l.nonce = absurd
			if len(absurd) == 400 {
				l.nonce = strings.Repeat("n", 65)
			}
			s.sign(l)
		case 3:
			l.signature = absurd
		default:
			l.contentType = []string{"", "text/plain", "application/json; charset=gbk", "application/x-www-form-urlencoded", ";;;"}[m.IntN(5)]
			return l, malformed
		}
		return l, unauthorised
	case 10: // signed in the other way, or by the other hospital
		other := &sender{at: s.at, secret: s.secret, key: m.senders["h2"].key}
		if institution == "h2" {
			other.key = nil
		}
		if m.IntN(2) == 0 {
			other.secret = []byte("the secret of somebody else")
		}
		other.sign(l)
		return l, unauthorised
	case 11: // members are missing, or say what they cannot
		bad := []string{`{"kind":"patient_died","order_no":"7"}`, `{}`, `{"kind":""}`, `{"kind":"REFUND_ASKED"}`,
			`{"kind":"patient_merged","patient_id":"P1","merged_patient_id":"P1"}`,
			`{"kind":"patient_merged","patient_id":"P 1","merged_patient_id":"P2"}`, `{"kind":"bill_created","bill_no":"B"}`, `{"kind":"posting_result"}`,
			`{"kind":"posting_result","order_no":"` + strings.Repeat("7", 33) + `"}`, `{"kind":"refund_query","order_no":"7"}`,
			`{"kind":"refund_query","his_refund_no":"C"}`,
			`{"kind":"bill_void","bill_no":"` + strings.Repeat("b", 65) + `"}`, `{"kind":"settlement_result","order_no":"7' OR 1=1 --"}`,
			string(swapped(m.refund(institution), `"whole":`, `"hole":`)), string(swapped(m.refund(institution), `"note":`, `"not":`)),
			string(swapped(m.refund(institution), `"his_refund_no":"`, `"his_refund_no":"C T`)), string(swapped(m.refund(institution), `"quantity":"`, `"quantity":"-`)),
			string(swapped(m.refund(institution), `"lines":[`, `"lines":[null,`))}
		return m.with([]byte(bad[m.IntN(len(bad))])), malformed
	case 12: // too many items, or one twice
		good := m.refund(institution)
		items := good[strings.Index(good, `"lines":[`)+9:]
		item := items[:strings.Index(items, "}")+1]
		return m.with(swapped(good, `"lines":[`, `"lines":[`+strings.Repeat(item+",", 1+m.IntN(2200)))), malformed
	}
	body := bytes.Clone(l.body) // bytes at random, signed by the hospital: what it says may be good
	for range 1 + m.IntN(3) {
		body[m.IntN(len(body))] = byte(m.IntN(256))
	}
	return m.with(body), nil
}

// tally is everything that a callback could move: the rows of every table, and the versions of those that move.
func tally(t *testing.T, db *sql.DB) map[string]int64 {
	t.Helper()
	out := map[string]int64{}
	for _, query := range []string{"orders", "order_bill", "settlement", "payment", "mixed_order", "refund", "order_event", "ledger_line", "review_case",
		"job", "job_history", "inbox",
		"inbox_nonce", "audit_record", "patient"} {
		var rows int64
		if err := db.QueryRowContext(t.Context(), "SELECT COUNT(*) FROM "+query).Scan(&rows); err != nil {
			t.Fatal(err)
		}
		out[query] = rows
	}
	for _, sum := range []string{"SELECT SUM(version) FROM orders", "SELECT COALESCE(SUM(version), 0) FROM refund", "SELECT COALESCE(SUM(version), 0) FROM job",
		"SELECT SUM(amount_fen) FROM payment"} {
		var n int64
		if err := db.QueryRowContext(t.Context(), sum).Scan(&n); err != nil {
			t.Fatal(err)
		}
		out[sum] = n
	}
	return out
}

// TestMutatedCallbacks sends ten thousand hostile callbacks to the true handler on the true database. None has an effect, is answered with 5xx, takes much
// memory, or calls anybody. It runs alone, for it counts what is allocated.
func TestMutatedCallbacks(t *testing.T) {
	p := openPremises(t, t.TempDir())
	m := &mill{Rand: rand.New(rand.NewPCG(7, 11)), senders: p.senders(), good: map[string][]string{}, sent: map[string]*letter{}}
	for i, institution := range []string{"h1", "h2"} {
		one := p.paidOrder(institution, 5)
		b, ok := p.sims.hospitals[i].his.Bill(one.role.Bills[0])
		if !ok {
			t.Fatal("no bill")
		}
		line := b.Lines[0]
		asked, err := json.Marshal(map[string]any{"bill_no": b.No, "line_no": line.No, "quantity": line.Quantity, "total_fen": line.TotalFen})
		if err != nil {
			t.Fatal(err)
		}
		order := one.order.ID
		m.good[institution] = []string{
			fmt.Sprintf(`{"kind":"refund_asked","his_refund_no":"CT-M","order_no":%q,"whole":false,"lines":[%s],"note":false,"reason":"退药","total_fen":%d}`,
				order, asked, line.TotalFen),
			fmt.Sprintf(`{"kind":"bill_created","bill_no":%q,"patient_id":%q}`, b.No, one.role.HISID),
			fmt.Sprintf(`{"kind":"bill_changed","bill_no":%q,"order_no":%q}`, b.No, order),
			fmt.Sprintf(`{"kind":"bill_void","bill_no":%q,"order_no":%q}`, b.No, order),
			fmt.Sprintf(`{"kind":"posting_result","order_no":%q}`, order),
			fmt.Sprintf(`{"kind":"settlement_result","order_no":%q}`, order),
			fmt.Sprintf(`{"kind":"patient_merged","patient_id":"P-ELSE","merged_patient_id":%q}`, one.role.HISID),
			fmt.Sprintf(`{"kind":"refund_query","order_no":%q,"his_refund_no":"CT-M"}`, order),
		}
	}
	p.stop() // nobody works, so that only callbacks move anything
	p.house.finished.Wait()
	p.sims.busy.Wait()
	m.now = clock.Real{}.Now()
	for institution, s := range m.senders {
		m.sent[institution] = s.letter([]byte(m.good[institution][1]), m.now, "nonce-sent-before-1")
		if w := p.sent(m.sent[institution]); w.Code != http.StatusOK {
			t.Fatalf("a good callback of %s was answered %d %s", institution, w.Code, w.Body)
		}
	}
	was := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(io.Discard, nil)))
	defer slog.SetDefault(was)
	db := openFile(t, p.data)
	defer func() { _ = db.Close() }()
	before, calls := tally(t, db), p.called("")
	answers, good := map[int]int{}, 0
	var most uint64
	var longest, took time.Duration
	for i := range mutations() {
		l, want := m.mutate()
		r := l.request()
		var start, end runtime.MemStats
		runtime.ReadMemStats(&start)
		began := clock.Real{}.Now()
		w := p.sentAs(r)
		one := clock.Real{}.Now().Sub(began)
		runtime.ReadMemStats(&end)
		longest, took = max(longest, one), took+one
		most = max(most, end.TotalAlloc-start.TotalAlloc)
		answers[w.Code]++
		switch {
		case want == nil && w.Code == http.StatusOK:
			good++
		case w.Code >= 500 || w.Code < 400:
			t.Errorf("mutation %d: answered %d to %s %.200q", i, w.Code, l.path, l.body)
		case want != nil && !slices.Contains(want, w.Code):
			t.Errorf("mutation %d: answered %d, want %v, to %s %.200q", i, w.Code, want, l.path, l.body)
		}
		if t.Failed() && i > 100 {
			break
		}
	}
	after := tally(t, db)
	for _, table := range []string{"inbox", "inbox_nonce"} { // what is good after all is stored, and some of it asks
		if grown := after[table] - before[table]; grown < 0 || grown > int64(good) {
			t.Errorf("%s grew by %d, %d were good", table, grown, good)
		}
		delete(before, table)
		delete(after, table)
	}
	for what, n := range before {
		if after[what] != n {
			t.Errorf("%s: %d, was %d", what, after[what], n)
		}
	}
	n := mutations()
	if most > mostAllocated || longest > mostTaken || took > allTaken || p.called("") != calls {
		t.Errorf("at most %d bytes and %v each, %v in all, %d calls", most, longest, took, p.called("")-calls)
	}
	if good > n/50 || answers[401] < n/3 || answers[400] < n/3 {
		t.Errorf("the mill made too much of one kind: %d good after all, answers %v", good, answers)
	}
	t.Logf("answers %v, %d good after all, at most %d KiB and %v each, %v in all", answers, good, most>>10, longest, took)
}
