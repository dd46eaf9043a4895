package rest

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/emmansun/gmsm/sm3"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/callback"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/sandbox"
)

var _ callback.Source = (*Client)(nil)

const callbackPath = "/callbacks/his/h1"

// inbox keeps notices by source and id, as the database does.
type inbox struct {
	kept  []job.Notice
	spent []job.Nonce
	err   error
}

func (b *inbox) Put(ctx context.Context, n job.Notice) (bool, error) {
	if err := b.Spend(ctx, n.Source, n.Once); err != nil {
		return false, err
	}
	for _, old := range b.kept {
		if old.Source == n.Source && old.ID == n.ID {
			return false, b.err
		}
	}
	if b.err == nil {
		b.kept = append(b.kept, n)
	}
	return true, b.err
}

func (b *inbox) Spend(_ context.Context, _ string, once job.Nonce) error {
	if b.err == nil && slices.Contains(b.spent, once) {
		return job.ErrReplay
	}
	b.spent = append(b.spent, once)
	return nil
}

func (*inbox) Unread(context.Context, []string, int) ([]job.Stored, error) { return nil, nil }

func (*inbox) Mark(context.Context, int64, time.Time, string) error { return nil }

// hearing is a ward whose hospital tells the platform, order 7 posted.
type hearing struct {
	*ward
	inbox *inbox
	books books
	post  *tap // between the hospital and us
}

func newHearing(t testing.TB, key ...*gm.PrivateKey) *hearing {
	t.Helper()
	h := &hearing{inbox: &inbox{}, books: books{}, post: &tap{}}
	now := newClock()
	c := hissim.Config{Notify: h.post, NotifyURL: "https://pay.example" + callbackPath, Source: config(now).Source, Asks: len(key) > 0}
	answer := gm.GenerateKey()
	for _, k := range key {
		if c.NoticeKey = k; k != nil {
			c.AnswerKey = answer.Public()
		}
	}
	h.ward = newWard(t, c)
	if c.NoticeKey != nil {
		h.client.config.NoticeKey, h.client.config.AnswerKey = c.NoticeKey.Public(), answer
	}
	h.client.config.CallbackPath = callbackPath
	h.post.next = sandbox.Transport(callback.Handler(h.inbox, map[string]callback.Source{"his/h1": h.client}, h.books, callback.Gateway{}, func() {}))
	if err := h.calls(t)["post"](); err != nil {
		t.Fatal(err)
	}
	return h
}

// books tells of one refund.
type books map[string]refund.Standing

func (b books) RefundForHIS(_ context.Context, institution, orderNo, no string) (refund.Standing, error) {
	s, ok := b[institution+" "+orderNo+" "+no]
	if !ok {
		s = refund.Standing{HISNo: no, OrderNo: orderNo, Known: refund.NotKnown}
	}
	return s, nil
}

// ask lets the window ask for ten tablets.
func (h *hearing) ask(t testing.TB) hissim.Ask {
	t.Helper()
	a, err := h.sim.AskRefund("7", hissim.Ask{Reason: "患者\n窗口退药", Lines: []hissim.RefundLine{{BillNo: h.bills[0].No,
		LineNo: h.bills[0].Lines[0].No, Quantity: "10"}}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (h *hearing) asked(no string) refund.AskedByHIS {
	return refund.AskedByHIS{HISNo: no, OrderNo: "7", Lines: []refund.Line{{BillNo: h.bills[0].No, LineNo: h.bills[0].Lines[0].No,
		Quantity: decimal.NewFromInt(10), Amount: 799}}, Total: 799, Reason: "患者 窗口退药"}
}

// TestNoticeStory: the window asks, we hold what it asked for, and book it.
func TestNoticeStory(t *testing.T) {
	t.Parallel()
	h := newHearing(t)
	a := h.ask(t)
	if !h.sim.Step(t.Context()) || len(h.inbox.kept) != 1 {
		t.Fatalf("inbox = %+v", h.inbox.kept)
	}
	n := h.inbox.kept[0]
	if n.Source != "his/h1" || n.ID != a.HISRefundNo || n.Kind != refund.KindAsked || n.Number != "7" || !n.ReceivedAt.Equal(h.clock.Now()) {
		t.Errorf("notice = %+v", n)
	}
	var asked refund.AskedByHIS
	if err := json.Unmarshal(n.Body, &asked); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(h.asked(a.HISRefundNo), asked); diff != "" {
		t.Errorf("asked: %s", diff)
	}
	r := h.refund("R1")
	r.HISNo, r.Lines, r.Total = asked.HISNo, asked.Lines, asked.Total
	want(t, "HoldRefund", h.client.HoldRefund(t.Context(), r), nil)
	b := h.booking("R1")
	b.RefundRequest, b.Rest.HospitalBorne = r, 6600
	_, err := h.client.BookRefund(t.Context(), b)
	want(t, "BookRefund", err, nil)
	if asks := h.sim.Truth().Asks; asks[0].State != hissim.AskBooked {
		t.Errorf("the window still waits: %+v", asks)
	}
}

// TestRepeatedNotices: doubled, lost, changed or not stored, the notice comes again, and is one.
func TestRepeatedNotices(t *testing.T) {
	t.Parallel()
	for _, f := range []sandbox.Fault{sandbox.LoseBefore, sandbox.LoseAfter, sandbox.ErrorAfter, sandbox.Repeat, sandbox.LateAnswer,
		sandbox.ChangeAmount} {
		t.Run(string(f), func(t *testing.T) {
			t.Parallel()
			h := newHearing(t)
			h.plan.Script(sandbox.Script{Op: "notice", Key: "7", Fault: f})
			a := h.ask(t)
			for range 3 {
				h.sim.Step(t.Context())
				h.clock.Advance(10 * time.Minute)
			}
			if len(h.inbox.kept) != 1 || h.inbox.kept[0].ID != a.HISRefundNo || !h.sim.Notices()[0].Stored {
				t.Errorf("inbox = %+v, %+v", h.inbox.kept, h.sim.Notices())
			}
		})
	}
	h := newHearing(t)
	h.inbox.err = errors.New("no space left")
	h.ask(t)
	if h.sim.Step(t.Context()); h.post.status != http.StatusInternalServerError || h.sim.Notices()[0].Stored {
		t.Errorf("what we could not store was answered %d", h.post.status)
	}
}

// TestOddNotices meets every bad habit in a notice: what is distorted is not stored, and comes again rightly.
func TestOddNotices(t *testing.T) {
	t.Parallel()
	for kind, status := range map[hissim.Kind]int{hissim.GBK: 400, hissim.BOM: 400, hissim.Exponent: 400, hissim.Grouped: 400,
		hissim.FullWidth: 400, hissim.Negative: 400, hissim.Yuan: 400, hissim.LineSum: 400, hissim.EmptySuccess: 400, hissim.NullData: 400,
		hissim.ShortPage: 400, hissim.TwiceListed: 400, hissim.UnknownCode: 400, hissim.CutShort: 400, hissim.HTML: 401, hissim.Unsigned: 401,
		hissim.Forged: 401, hissim.Stale: 401, hissim.OtherRequest: 401} {
		h := newHearing(t)
		if err := h.sim.Distort(hissim.Oddity{Op: "notice", Kind: kind}); err != nil {
			t.Fatal(err)
		}
		h.ask(t)
		if h.sim.Step(t.Context()); h.post.status != status || len(h.inbox.kept) != 0 || string(h.post.received) != `{"code":"INVALID","message":""}` {
			t.Errorf("%s: answered %d %s, want %d; inbox %+v", kind, h.post.status, h.post.received, status, h.inbox.kept)
		}
		h.clock.Advance(time.Minute)
		if h.sim.Step(t.Context()); h.post.status != 200 || len(h.inbox.kept) != 1 {
			t.Errorf("%s: the next try was answered %d", kind, h.post.status)
		}
	}
}

// TestNoticeDocument holds the notices against the formal description, and their bytes against a golden file.
func TestNoticeDocument(t *testing.T) {
	t.Parallel()
	doc, h := document(t), newHearing(t)
	conform := func(what string) {
		t.Helper()
		h.conformNotice(t, doc, what)
	}
	h.ask(t)
	h.sim.Step(t.Context())
	conform("refund_asked")
	r := h.post.request
	var text bytes.Buffer
	fmt.Fprintf(&text, "%s %s\n", r.Method, r.URL.Path)
	for _, name := range []string{"Content-Type", "X-His-App", "X-His-Timestamp", "X-His-Nonce", "X-His-Signature"} {
		fmt.Fprintf(&text, "%s: %s\n", name, r.Header.Get(name))
	}
	fmt.Fprintf(&text, "\n%s\n\n%d\n%s\n", pretty(t, h.post.sent), h.post.status, pretty(t, h.post.received))
	golden(t, "notice.txt", text.Bytes())
	if _, err := h.sim.WithdrawAsk(h.sim.Truth().Asks[0].HISRefundNo); err != nil {
		t.Fatal(err)
	}
	b, err := h.sim.AddBill("P1", "", hissim.Order{Code: "W10231", Quantity: "7"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.sim.VoidPosting("7"); err != nil {
		t.Fatal(err)
	}
	h.sim.Step(t.Context())
	conform("posting_result")
	if _, err := h.client.Lock(t.Context(), order.LockRequest{OrderNo: "8", HISPatient: "P1", Bills: []string{b.No}, Total: b.TotalFen}); err != nil {
		t.Fatal(err)
	}
	if err := h.client.Release(t.Context(), "8"); err != nil {
		t.Fatal(err)
	}
	if _, err := h.sim.VoidBill(b.No); err != nil {
		t.Fatal(err)
	}
	h.sim.Step(t.Context())
	conform("bill_void")
	if n := h.inbox.kept[2]; len(h.inbox.kept) != 3 || n.Kind != "bill_void" || n.Number != "8" || n.ID != "nonce "+h.post.request.Header.Get("X-His-Nonce") ||
		!bytes.Equal(n.Body, h.post.sent) {
		t.Errorf("notice = %+v", n)
	}
}

// conformNotice checks the last notice and its answer against the document.
func (h *hearing) conformNotice(t *testing.T, doc *openapi3.T, what string) {
	t.Helper()
	item := doc.Paths.Find("/callbacks/his/{institution}").Post
	var in, out any
	if err := errors.Join(json.Unmarshal(h.post.sent, &in), json.Unmarshal(h.post.received, &out)); err != nil {
		t.Fatal(err)
	}
	answer := item.Responses.Status(h.post.status)
	if answer == nil {
		answer = item.Responses.Default()
	}
	if err := errors.Join(item.RequestBody.Value.Content.Get("application/json").Schema.Value.VisitJSON(in),
		answer.Value.Content.Get("application/json").Schema.Value.VisitJSON(out)); err != nil {
		t.Errorf("%s is not as documented: %v", what, err)
	}
}

// signed are the headers of a notice, made by another library.
func signed(now time.Time, body string) http.Header {
	h := http.Header{}
	stamp := strconv.FormatInt(now.Unix(), 10)
	h.Set("Content-Type", "application/json")
	h.Set("X-His-App", testApp)
	h.Set("X-His-Timestamp", stamp)
	h.Set("X-His-Nonce", "nonce-0000000001")
	h.Set("X-His-Signature", macOf("POST\n"+callbackPath+"\n"+stamp+"\nnonce-0000000001\n", []byte(body)))
	return h
}

const lookAt7 = `{"kind":"posting_result","order_no":"7"}`

// TestOpenRefuses lets nobody in who is not the hospital, now, at our address.
func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	now := newClock()
	sign := func(h http.Header, head string) { h.Set("X-His-Signature", macOf(head, []byte(lookAt7))) }
	stamp := func(d time.Duration) string { return strconv.FormatInt(now.Now().Add(d).Unix(), 10) }
	at := func(d time.Duration) func(h http.Header, c *Config) {
		return func(h http.Header, _ *Config) {
			h.Set("X-His-Timestamp", stamp(d))
			sign(h, "POST\n"+callbackPath+"\n"+stamp(d)+"\nnonce-0000000001\n")
		}
	}
	nonce := func(nonce string) func(h http.Header, c *Config) {
		return func(h http.Header, _ *Config) {
			h.Set("X-His-Nonce", nonce)
			sign(h, "POST\n"+callbackPath+"\n"+stamp(0)+"\n"+nonce+"\n")
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(h http.Header, c *Config)
		want  *fault.Error
	}{
		{"as it should be", func(http.Header, *Config) {}, nil},
		{"300 seconds old", at(-300 * time.Second), nil},
		{"301 seconds old", at(-301 * time.Second), his.ErrStranger},
		{"301 seconds ahead", at(301 * time.Second), his.ErrStranger},
		{"no time", func(h http.Header, _ *Config) { h.Del("X-His-Timestamp") }, his.ErrStranger},
		{"another app", func(h http.Header, _ *Config) { h.Set("X-His-App", "other") }, his.ErrStranger},
		{"a short nonce", nonce("nonce-000000001"), his.ErrStranger},
		{"a long nonce", nonce(strings.Repeat("n", 65)), his.ErrStranger},
		{"a nonce with blanks", nonce("nonce 0000000001"), his.ErrStranger},
		{"no signature", func(h http.Header, _ *Config) { h.Del("X-His-Signature") }, his.ErrStranger},
		{"signed as an answer", func(h http.Header, _ *Config) { sign(h, "200\n"+stamp(0)+"\nnonce-0000000001\n") }, his.ErrStranger},
		{"signed for another address", func(_ http.Header, c *Config) { c.CallbackPath = "/callbacks/his/h2" }, his.ErrStranger},
		{"nobody is expected", func(_ http.Header, c *Config) { c.CallbackPath = "" }, his.ErrStranger},
		{"not JSON", func(h http.Header, _ *Config) { h.Set("Content-Type", "text/plain") }, his.ErrNotice},
	} {
		c, h := config(now), signed(now.Now(), lookAt7)
		c.CallbackPath = callbackPath
		tt.spoil(h, &c)
		client, err := New(c, http.DefaultTransport)
		if err != nil {
			t.Fatal(err)
		}
		n, err := client.Open(h, []byte(lookAt7))
		want(t, tt.name, err, tt.want)
		if (err == nil) != (n.Number == "7") {
			t.Errorf("%s: notice %+v", tt.name, n)
		}
	}
	c := config(now)
	for _, path := range []string{"callbacks/his/h1", "/callbacks/his/h1?x=1", "/callbacks/his/h1\n"} {
		c.CallbackPath = path
		if _, err := New(c, http.DefaultTransport); err == nil {
			t.Errorf("New with callback path %q succeeded", path)
		}
	}
}

// TestNoticesBySM2: a hospital that signs by SM2 is believed by its key alone, not by the secret that it has, too.
func TestNoticesBySM2(t *testing.T) {
	t.Parallel()
	now, theirs, ours := newClock(), gm.GenerateKey(), gm.GenerateKey()
	c := config(now)
	c.CallbackPath, c.NoticeKey, c.AnswerKey = callbackPath, theirs.Public(), ours
	client, err := New(c, http.DefaultTransport)
	if err != nil {
		t.Fatal(err)
	}
	head := "POST\n" + callbackPath + "\n" + strconv.FormatInt(now.Now().Unix(), 10) + "\nnonce-0000000001\n"
	by := func(key *gm.PrivateKey, text string) string {
		digest := gm.SM3([]byte(lookAt7))
		sig, err := gm.SignRaw(key, []byte(text+hex.EncodeToString(digest[:])+"\n"))
		if err != nil {
			t.Fatal(err)
		}
		return hex.EncodeToString(sig)
	}
	for _, tt := range []struct {
		name, signature string
		want            *fault.Error
	}{
		{"by its key", by(theirs, head), nil},
		{"by another's", by(ours, head), his.ErrStranger},
		{"of another address", by(theirs, strings.Replace(head, "h1", "h2", 1)), his.ErrStranger},
		{"by the secret", signed(now.Now(), lookAt7).Get("X-His-Signature"), his.ErrStranger},
		{"not at all", "", his.ErrStranger},
		{"nothing but zeros", strings.Repeat("0", 128), his.ErrStranger},
	} {
		h := signed(now.Now(), lookAt7)
		h.Set("X-His-Signature", tt.signature)
		_, err := client.Open(h, []byte(lookAt7))
		want(t, tt.name, err, tt.want)
	}
	c.AnswerKey = nil
	if _, err := New(c, http.DefaultTransport); err == nil {
		t.Error("New without a key for answers succeeded")
	}
}

// TestNoticeCerts asks for one of the certificates that were agreed, where some were.
func TestNoticeCerts(t *testing.T) {
	t.Parallel()
	c, digest := config(newClock()), sm3.Sum([]byte("its certificate"))
	for _, tt := range []struct {
		agreed []string
		der    string
		want   bool
	}{{nil, "", true}, {nil, "any", true}, {[]string{hex.EncodeToString(digest[:])}, "its certificate", true}, {[]string{hex.EncodeToString(digest[:])}, "another", false},
		{[]string{hex.EncodeToString(digest[:])}, "", false}} {
		c.NoticeCerts = tt.agreed
		client, err := New(c, http.DefaultTransport)
		if err != nil {
			t.Fatal(err)
		}
		if got := client.AdmitsCertificate([]byte(tt.der)); got != tt.want {
			t.Errorf("AdmitsCertificate(%q) of %v = %v", tt.der, tt.agreed, got)
		}
	}
}

// TestReplays: the very bytes a second time are refused, also when they say what is kept already, and are nothing to anybody else.
func TestReplays(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]*gm.PrivateKey{"hmac-sm3": nil, "sm2": gm.GenerateKey()} {
		h := newHearing(t, key)
		h.ask(t)
		h.sim.Step(t.Context())
		if len(h.inbox.kept) != 1 || h.post.status != http.StatusOK {
			t.Fatalf("%s: answered %d, inbox %+v", name, h.post.status, h.inbox.kept)
		}
		again := func(spoil func(r *http.Request)) (int, string) {
			r := h.post.request.Clone(t.Context())
			r.Body = io.NopCloser(bytes.NewReader(h.post.sent))
			spoil(r)
			res, err := h.post.next.RoundTrip(r)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(res.Body)
			if err != nil {
				t.Fatal(err)
			}
			return res.StatusCode, string(body)
		}
		for range 2 {
			if status, body := again(func(*http.Request) {}); status != 401 || body != `{"code":"REPLAY","message":""}` || len(h.inbox.kept) != 1 {
				t.Errorf("%s: a copy was answered %d %s", name, status, body)
			}
		}
		if status, _ := again(func(r *http.Request) { r.Header.Set("X-His-Nonce", "nonce-0000000002") }); status != 401 || len(h.inbox.spent) != 1 {
			t.Errorf("%s: a copy under another nonce was answered %d; %d nonces spent", name, status, len(h.inbox.spent))
		}
		once := h.inbox.spent[0]
		if once.Text != h.post.request.Header.Get("X-His-Nonce") || once.Until.Sub(h.clock.Now()) < skew {
			t.Errorf("%s: spent %+v", name, once)
		}
	}
}

// TestRefundQuery: the window asks what became of its refund until that is certain, and believes signed answers to its question alone.
func TestRefundQuery(t *testing.T) {
	t.Parallel()
	for name, key := range map[string]*gm.PrivateKey{"hmac-sm3": nil, "sm2": gm.GenerateKey()} {
		h, doc := newHearing(t, key), document(t)
		a := h.ask(t)
		h.sim.Step(t.Context())
		at := h.clock.Now()
		known := h.asked(a.HISRefundNo)
		said := refund.Standing{HISNo: a.HISRefundNo, OrderNo: "7", Known: refund.KnownUnderWay, RefundNo: "R1", Total: known.Total, AskedAt: at, HeldAt: at}
		step := func(want string, asked bool) {
			t.Helper()
			h.clock.Advance(15 * time.Minute)
			if h.sim.Step(t.Context()) != asked {
				t.Errorf("%s: asked: %v", name, !asked)
			}
			var got string
			if p := h.sim.Truth().Asks[0].Platform; p != nil {
				got = p.State
			}
			if got != want {
				t.Errorf("%s: the window takes it for %q, want %q", name, got, want)
			}
			h.conformNotice(t, doc, "refund_query")
		}
		spoilt := h.post.next
		h.post.next = roundTripper(func(r *http.Request) (*http.Response, error) {
			res, err := spoilt.RoundTrip(r)
			if err == nil {
				res.Header.Set("X-His-Nonce", "nonce-0000000009")
			}
			return res, err
		})
		step("", true)
		h.post.next = spoilt
		step("unknown", true)
		h.books["h1 7 "+a.HISRefundNo] = said
		step("under_way", true)
		said.Known, said.Counted, said.Insurer, said.Cash, said.DoneAt, said.InsuredAt, said.CashAt = refund.KnownDone, true, 700, 99, at, at, at
		h.books["h1 7 "+a.HISRefundNo] = said
		step("done", true)
		step("done", false)
		if p := h.sim.Truth().Asks[0].Platform; p.CashFen != 99 || p.InsuranceFen != 700 || p.TotalFen != 799 || len(h.inbox.kept) != 1 {
			t.Errorf("%s: heard %+v, inbox %+v", name, p, h.inbox.kept)
		}
	}
}

// roundTripper is a function as one.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestNoticeContent(t *testing.T) {
	t.Parallel()
	const line = `{"bill_no":"B","line_no":"L","quantity":"1","total_fen":1}`
	asked := func(members string) string {
		return `{"kind":"refund_asked","his_refund_no":"CT1","order_no":"7","lines":[` + line + `],"total_fen":1,"note":false` + members + `}`
	}
	now := newClock()
	c := config(now)
	c.CallbackPath = callbackPath
	client, err := New(c, http.DefaultTransport)
	if err != nil {
		t.Fatal(err)
	}
	for body, ok := range map[string]bool{
		asked(`,"whole":false`):                          true,
		" " + asked(`,"whole":true,"window":"3"`) + "\n": true, // a notice may grow
		asked(``):                            false,
		asked(`,"whole":null`):               false,
		asked(`,"whole":"true"`):             false,
		asked(`,"whole":true,"whole":false`): false,
		asked(`,"whole":true,"reason":7`):    false,
		strings.Replace(asked(`,"whole":true`), `"CT1"`, `"C T1"`, 1):          false,
		strings.Replace(asked(`,"whole":true`), `"CT1"`, `""`, 1):              false,
		strings.Replace(asked(`,"whole":true`), `"7"`, `""`, 1):                false,
		strings.Replace(asked(`,"whole":true`), `"7"`, `"七"`, 1):               false,
		strings.Replace(asked(`,"whole":true`), `"total_fen":1,"n`, `"n`, 1):   false,
		strings.Replace(asked(`,"whole":true`), line, line+","+line, 1):        false,
		strings.Replace(asked(`,"whole":true`), line, ``, 1):                   false,
		strings.Replace(asked(`,"whole":true`), `"note":false`, `"n":0`, 1):    false,
		strings.Replace(asked(`,"whole":true`), `"kind":"refund_`, `"k":"`, 1): false,
		lookAt7:                     true,
		`{"kind":"posting_result"}`: false,
		`{"kind":"posting_result","order_no":"` + strings.Repeat("7", 33) + `"}`:                                       false,
		`{"kind":"bill_void","bill_no":"B"}`:                                                                           true,
		`{"kind":"bill_changed","bill_no":"B","order_no":"7"}`:                                                         true,
		`{"kind":"bill_changed","order_no":"7"}`:                                                                       false,
		`{"kind":"REFUND_ASKED","bill_no":"B","order_no":"7"}`:                                                         false,
		`{"kind":"settlement_result","order_no":"7","happened_at":"2026-11-01T00:00:00+08:00"}`:                        true,
		`{"kind":"settlement_result","order_no":"7","happened_at":"2026-11-01 00:00:00"}`:                              false,
		`{"kind":"settlement_result"}`:                                                                                 false,
		`{"kind":"bill_created","bill_no":"B","patient_id":"P1"}`:                                                      true,
		`{"kind":"bill_created","bill_no":"B"}`:                                                                        false,
		`{"kind":"bill_created","patient_id":"P1"}`:                                                                    false,
		`{"kind":"patient_merged","patient_id":"P2","merged_patient_id":"P1"}`:                                         true,
		`{"kind":"patient_merged","patient_id":"P1","merged_patient_id":"P1"}`:                                         false,
		`{"kind":"patient_merged","patient_id":"P2"}`:                                                                  false,
		`{"kind":"refund_query","his_refund_no":"CT1","order_no":"7"}`:                                                 true,
		`{"kind":"refund_query","his_refund_no":"CT1"}`:                                                                false,
		`{"kind":"refund_query","order_no":"7"}`:                                                                       false,
		strings.Replace(asked(`,"whole":true`), `"total_fen":1}],"total_fen":1`, `"total_fen":-1}],"total_fen":-1`, 1): false,
		strings.Replace(asked(`,"whole":true`), `"total_fen":1}],"total_fen":1`, `"total_fen":999999999999999}],"total_fen":999999999999999`, 1): false,
		`{"kind":"patient_died","order_no":"7"}`: false,
		`{}`:                                     false, `null`: false, `[]`: false, ``: false, `{"kind":`: false, "\xff": false,
		`{"kind":"posting_result","order_no":"7","x":"` + strings.Repeat("x", maxNotice) + `"}`: false,
	} {
		n, err := client.Open(signed(now.Now(), body), []byte(body))
		var expected *fault.Error
		if !ok {
			expected = his.ErrNotice
		}
		want(t, body[:min(len(body), 200)], err, expected)
		if ok && (n.ID == "" || n.Kind == "" || n.Source != Source || len(n.Body) == 0) {
			t.Errorf("%s: notice %+v", body, n)
		}
	}
}

func TestAcknowledge(t *testing.T) {
	t.Parallel()
	w := newWard(t, hissim.Config{})
	for _, tt := range []struct {
		err    error
		status int
		body   string
	}{
		{nil, 200, `{"code":"0","message":""}`},
		{his.ErrStranger, 401, `{"code":"INVALID","message":""}`},
		{fmt.Errorf("open: %w", his.ErrNotice), 400, `{"code":"INVALID","message":""}`},
		{job.ErrReplay.Because(errors.New("seen")), 401, `{"code":"REPLAY","message":""}`},
		{errors.New("no space left"), 500, `{"code":"INTERNAL","message":""}`},
	} {
		r := httptest.NewRecorder()
		w.client.Acknowledge(r, tt.err)
		if body, err := io.ReadAll(r.Body); err != nil || r.Code != tt.status || string(body) != tt.body {
			t.Errorf("Acknowledge(%v) = %d %s, want %d %s", tt.err, r.Code, body, tt.status, tt.body)
		}
	}
}
