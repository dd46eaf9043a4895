package miniprogramapi

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"
	"github.com/gin-gonic/gin"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/web"
)

// made-up persons
const (
	adultName  = "张建国"
	adultBody  = "36010219850615123"
	motherName = "李秀兰"
	phoneText  = "13812345678"
)

func withCheck(t testing.TB, first17 string) string {
	t.Helper()
	for _, c := range "0123456789X" {
		if _, err := sensitive.ParseIDNumber(first17 + string(c)); err == nil {
			return first17 + string(c)
		}
	}
	t.Fatalf("no check digit for %s", first17)
	return ""
}

// face is the API over a real patient.Service in memory, with orders, bills and replays that the test scripts. Every answer is
// compared with the specification, and searched for what must never leave.
type face struct {
	t       testing.TB
	server  *Server
	engine  *gin.Engine
	router  routers.Router
	clock   *clock.Fake
	store   *memory
	wechat  *phone
	his     *archives
	orders  *orders
	bills   *bills
	replays *replays
	log     *lines
	adultID string
	token   string
}

type lines struct {
	mu sync.Mutex
	bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.Buffer.String()
}

func newFace(t testing.TB, edit ...func(*Config)) *face {
	t.Helper()
	f := &face{t: t, clock: clock.NewFake(time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)), store: newMemory(), his: &archives{}, log: &lines{},
		wechat: &phone{login: map[string]string{"code-1": "openid-secret-1", "code-2": "openid-secret-2"}, phones: map[string]string{"phone-1": phoneText},
			people: map[string]patient.Identity{}, jump: patient.Jump{AppID: "wxnational", Path: "auth/index?orgCodg=H1", EnvVersion: "trial"}},
		bills: &bills{}, adultID: withCheck(t, adultBody)}
	f.replays = &replays{records: map[job.Key]job.Replay{}}
	f.orders = &orders{list: map[order.ID]*order.Order{}, replays: f.replays}
	source := clock.NewSeeded(f.clock, 1, 7)
	people, err := patient.New(f.store, map[string]patient.Institution{
		"h1": {Name: "示范市人民医院", Contact: "0791-88880000", WeChat: f.wechat, Authority: f.his, Insurance: true, Family: true},
		"h2": {Name: "没有费用单的医院", Contact: "前台", WeChat: f.wechat, Authority: f.his},
	}, &counter{}, f.clock, source, patient.Config{Log: f.store})
	if err != nil {
		t.Fatal(err)
	}
	var config Config
	for _, e := range edit {
		e(&config)
	}
	if f.server, err = New(people, f.orders, map[string]bill.Source{"h1": f.bills}, f.replays, f.clock, config); err != nil {
		t.Fatal(err)
	}
	if f.engine, err = web.New(web.Config{Clock: f.clock, Source: source, Log: slog.New(slog.NewJSONHandler(f.log, nil))}); err != nil {
		t.Fatal(err)
	}
	f.engine.UseRawPath = true
	if err := f.server.Routes(f.engine); err != nil {
		t.Fatal(err)
	}
	if f.router, err = legacy.NewRouter(f.server.spec); err != nil {
		t.Fatal(err)
	}
	return f
}

// do sends a request with the face's token and checks the answer.
func (f *face) do(method, path, body string, header ...string) *httptest.ResponseRecorder {
	f.t.Helper()
	r := httptest.NewRequest(method, base+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if f.token != "" {
		r.Header.Set("Authorization", "Bearer "+f.token)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	f.engine.ServeHTTP(w, r)
	f.conforms(r, w)
	return w
}

// conforms fails the test unless the answer is one that openapi.yaml describes.
func (f *face) conforms(r *http.Request, w *httptest.ResponseRecorder) {
	f.t.Helper()
	for what, secret := range map[string]string{"name": adultName, "mother": motherName, "id": f.adultID, "phone": phoneText, "openid": "openid-secret", "auth": "AUTHSECRET"} {
		if strings.Contains(w.Body.String(), secret) {
			f.t.Errorf("%s %s: the answer holds the %s", r.Method, r.URL.Path, what)
		}
		if strings.Contains(f.log.String(), secret) {
			f.t.Errorf("%s %s: the log holds the %s", r.Method, r.URL.Path, what)
		}
	}
	route, params, err := f.router.FindRoute(r)
	if err != nil {
		f.t.Fatalf("%s %s is not in the specification: %v", r.Method, r.URL.Path, err)
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: r, PathParams: params, Route: route},
		Status:                 w.Code, Header: w.Header(), Body: io.NopCloser(bytes.NewReader(w.Body.Bytes())),
		Options: &openapi3filter.Options{IncludeResponseStatus: true},
	}
	if err := openapi3filter.ValidateResponse(r.Context(), input); err != nil {
		f.t.Errorf("%s %s: answer %d does not fit the specification: %v\n%s", r.Method, r.URL.Path, w.Code, err, w.Body)
	}
	if w.Code >= 400 && !strings.HasPrefix(w.Header().Get("Content-Type"), "application/problem+json") {
		f.t.Errorf("%s %s: answer %d is %s", r.Method, r.URL.Path, w.Code, w.Header().Get("Content-Type"))
	}
}

// want fails unless the answer has this status and, for a problem, this code; it returns the body.
func (f *face) want(w *httptest.ResponseRecorder, status int, code string) map[string]any {
	f.t.Helper()
	var body map[string]any
	if w.Body.Len() > 0 && strings.Contains(w.Header().Get("Content-Type"), "json") {
		if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
			f.t.Fatal(err)
		}
	}
	got, _ := body["code"].(string)
	if w.Code != status || got != code {
		f.t.Errorf("answer %d %s, want %d %s\n%s", w.Code, got, status, code, w.Body)
	}
	return body
}

func (f *face) wantField(w *httptest.ResponseRecorder, status int, code, field string) {
	f.t.Helper()
	if got := f.want(w, status, code)["field"]; got != field && (got != nil || field != "") {
		f.t.Errorf("field %v, want %q\n%s", got, field, w.Body)
	}
}

func (f *face) login(code string) {
	f.t.Helper()
	f.token = ""
	body := f.want(f.do("POST", "/sessions", `{"institution":"h1","code":"`+code+`"}`), 201, "")
	f.token, _ = body["token"].(string)
}

func (f *face) agree(kinds ...string) {
	f.t.Helper()
	for _, k := range kinds {
		f.want(f.do("POST", "/consents", `{"kind":"`+k+`","version":"`+patient.TextVersion+`"}`), 200, "")
	}
}

func (f *face) archive(name, id string, his ...string) {
	f.t.Helper()
	number, err := sensitive.ParseIDNumber(id)
	if err != nil {
		f.t.Fatal(err)
	}
	for _, p := range his {
		f.his.records = append(f.his.records, patient.HISRecord{HISPatient: p, CardNo: "****" + p, Name: sensitive.NewName(name), IDNumber: number,
			CreatedAt: f.clock.Now()})
	}
}

// addSelf logs in, agrees and adds the adult; it returns the patient's id.
func (f *face) addSelf() string {
	f.t.Helper()
	f.login("code-1")
	f.agree("privacy")
	f.archive(adultName, f.adultID, "P1")
	body := f.want(f.do("POST", "/patients", `{"relation":"self","name":"`+adultName+`","id_number":"`+f.adultID+`","phone":"`+phoneText+`"}`), 201, "")
	id, _ := body["id"].(string)
	return id
}

func (f *face) account() patient.AccountID {
	f.t.Helper()
	session, err := f.server.patients.Session(f.t.Context(), sensitive.NewToken(f.token))
	if err != nil {
		f.t.Fatal(err)
	}
	return session.Account
}

// orders are Orders whose steps the test writes.
type orders struct {
	mu      sync.Mutex
	list    map[order.ID]*order.Order
	replays *replays
	quote   func(order.QuoteRequest) (*order.Order, error)
	confirm func(*order.Order) error
	cancel  func(*order.Order) error
	renew   func(*order.Order) error
	joint   bool
	give    func(order.RefundAsk, *order.Order) error
	gives   int
	wait    func(context.Context) error
	cashier payment.Cashier
	quotes  int
	asked   order.QuoteRequest
	waited  time.Duration
	seen    int64
	limit   int
	err     error
	after   error // of a confirmation, after it has moved the order
}

func (s *orders) Quote(_ context.Context, r order.QuoteRequest) (*order.Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.quotes++
	s.asked = r
	o, err := s.quote(r)
	if err != nil {
		return nil, err
	}
	if !s.replays.store(r.Request, o.ID) { // as order.Store does
		return nil, job.ErrBusy
	}
	s.list[o.ID] = o
	return o, nil
}

func (s *orders) change(id order.ID, account patient.AccountID, how func(*order.Order) error) (*order.Order, error) {
	o, err := s.Get(context.Background(), account, id)
	if err == nil {
		err = how(o)
	}
	if err != nil {
		return nil, err
	}
	return o, nil
}

func (s *orders) Confirm(ctx context.Context, c order.Confirmation) (*order.Order, error) {
	return s.change(c.Order, c.Account, func(o *order.Order) error {
		if c.Seen != 0 && c.Seen != o.Version && o.ConfirmedAt.IsZero() && !o.State.Final() {
			return order.ErrChanged
		}
		if err := c.Allow(ctx, o); err != nil {
			return err
		}
		if err := s.confirm(o); err != nil {
			return err
		}
		if !s.replays.store(c.Request, o.ID) {
			return job.ErrBusy
		}
		return s.after
	})
}

func (s *orders) Cancel(_ context.Context, a patient.AccountID, id order.ID) (*order.Order, error) {
	return s.change(id, a, s.cancel)
}

func (s *orders) Get(_ context.Context, a patient.AccountID, id order.ID) (*order.Order, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	o, ok := s.list[id]
	if !ok || o.Account != a {
		return nil, order.ErrNotFound
	}
	return o, nil
}

func (s *orders) Wait(ctx context.Context, a patient.AccountID, id order.ID, seen int64, most time.Duration) (*order.Order, error) {
	s.seen, s.waited = seen, most
	if s.wait != nil {
		if err := s.wait(ctx); err != nil {
			return nil, err
		}
	}
	return s.Get(ctx, a, id)
}

func (s *orders) Cashier(ctx context.Context, a patient.AccountID, id order.ID) (payment.Cashier, error) {
	o, err := s.Get(ctx, a, id)
	if err == nil && o.State != order.Paying {
		err = order.ErrState
	}
	return s.cashier, err
}

func (s *orders) List(_ context.Context, a patient.AccountID, before order.ID, limit int) ([]*order.Order, error) {
	s.limit = limit
	var out []*order.Order
	for _, o := range s.list {
		if o.Account == a && (before == 0 || o.ID < before) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(x, y *order.Order) int { return int(y.ID - x.ID) })
	return out[:min(limit, len(out))], s.err
}

func (s *orders) Live(_ context.Context, a patient.AccountID) (*order.Order, error) {
	for _, o := range s.list {
		if o.Account == a && !o.State.Final() {
			return o, nil
		}
	}
	return nil, order.ErrNotFound
}

// bills is a bill.Source.
type bills struct {
	pending []bill.Summary
	detail  *bill.Bill
	err     error
	asked   string
}

func (b *bills) Pending(_ context.Context, his string) ([]bill.Summary, error) {
	b.asked = his
	return b.pending, b.err
}

func (b *bills) Detail(_ context.Context, his, no string) (*bill.Bill, error) {
	b.asked = his + " " + no
	if b.err == nil && (b.detail == nil || b.detail.No != no) {
		return nil, bill.ErrNotFound
	}
	return b.detail, b.err
}

// replays are job.Replays in a map.
type replays struct {
	mu      sync.Mutex
	records map[job.Key]job.Replay
	broken  map[string]error
}

// store stores a request's record with what it moved.
func (r *replays) store(asked *job.Request, made order.ID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, there := r.records[asked.Key]; there {
		return false
	}
	asked.Record = int64(len(r.records) + 1)
	r.records[asked.Key] = job.Replay{Record: asked.Record, BodyDigest: asked.BodyDigest, Ref: made.No(), CreatedAt: asked.At}
	return true
}

func (r *replays) FindReplay(_ context.Context, k job.Key) (job.Replay, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	rec, ok := r.records[k]
	return rec, ok, r.broken["FindReplay"]
}

func (r *replays) KeepAnswer(_ context.Context, institution string, asked job.Request, ref string, status int, answer []byte) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.broken["KeepAnswer"]; err != nil {
		return false, err
	}
	rec, there := r.records[asked.Key]
	if rec.Answer != nil || there != (asked.Record != 0) || institution != "h1" {
		return false, nil
	}
	if !there {
		rec = job.Replay{Record: int64(len(r.records) + 1), BodyDigest: asked.BodyDigest, Ref: ref, CreatedAt: asked.At}
	}
	rec.Status, rec.Answer = status, bytes.Clone(answer)
	r.records[asked.Key] = rec
	return true, nil
}
