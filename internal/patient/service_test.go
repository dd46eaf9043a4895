package patient

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// made-up persons with valid check digits
const (
	adultName, adultID = "张建国", "360102198506151231"
	motherName         = "李秀兰"
	childName          = "张小苗"
)

// withCheck appends the check digit that ParseIDNumber accepts.
func withCheck(t *testing.T, first17 string) string {
	t.Helper()
	for _, c := range "0123456789X" {
		if _, err := sensitive.ParseIDNumber(first17 + string(c)); err == nil {
			return first17 + string(c)
		}
	}
	t.Fatalf("no check digit for %s", first17)
	return ""
}

// house is one hospital with one logged-in account.
type house struct {
	*Service
	store   *memory
	wechat  *phone
	his     *archives
	clock   *clock.Fake
	who     Caller
	token   sensitive.Token
	adultID string
}

func newHouse(t *testing.T) *house {
	t.Helper()
	h := &house{store: newMemory(), clock: clock.NewFake(time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)), his: &archives{},
		wechat: &phone{login: map[string]string{"code-1": "openid-1", "code-2": "openid-2", "again": "openid-1"},
			phones: map[string]string{"phone-1": "13812345678"}, people: map[string]Identity{},
			jump: Jump{AppID: "wxnational", Path: "auth/pages/index?orgCodg=H36010000001", EnvVersion: "release"}}}
	h.adultID = withCheck(t, adultID[:17])
	s, err := New(h.store, map[string]Institution{
		"h1": {Name: "示范市人民医院", Contact: "0791-88880000", WeChat: h.wechat, Authority: h.his, Insurance: true},
		"h2": {Name: "自费诊所", Contact: "前台", WeChat: h.wechat, Authority: h.his},
	}, &counter{}, h.clock, clock.NewSeeded(h.clock, 1, 7), Config{Log: h.store})
	if err != nil {
		t.Fatal(err)
	}
	h.Service = s
	h.token, h.who = h.login(t, "code-1")
	return h
}

func (h *house) login(t *testing.T, code string) (sensitive.Token, Caller) {
	t.Helper()
	token, session, err := h.Login(t.Context(), "h1", code, "req-1")
	if err != nil {
		t.Fatal(err)
	}
	return token, Caller{Account: session.Account, Institution: session.Institution, RequestID: "req-2"}
}

func (h *house) agree(t *testing.T, kinds ...ConsentKind) {
	t.Helper()
	for _, k := range kinds {
		if _, err := h.Agree(t.Context(), h.who, k, TextVersion); err != nil {
			t.Fatal(err)
		}
	}
}

// archive lays a HIS record down.
func (h *house) archive(t *testing.T, name, id string, his ...string) {
	t.Helper()
	number, err := sensitive.ParseIDNumber(id)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range his {
		h.his.records = append(h.his.records, HISRecord{HISPatient: p, CardNo: "****" + p, Name: sensitive.NewName(name), IDNumber: number})
	}
}

func (h *house) addSelf(t *testing.T) Patient {
	t.Helper()
	h.agree(t, ConsentPrivacy)
	h.archive(t, adultName, h.adultID, "P1")
	p, err := h.Add(t.Context(), h.who, typed(t, Self, adultName, h.adultID, "13812345678"))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func typed(t *testing.T, r Relation, name, id, phone string) NewPatient {
	t.Helper()
	n, err := ReadPatient(r, name, id, phone)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (h *house) last(t *testing.T) audit.Record {
	t.Helper()
	if len(h.store.records) == 0 {
		t.Fatal("no audit record")
	}
	return h.store.records[len(h.store.records)-1]
}

func (h *house) recorded(t *testing.T, action, object, result string) {
	t.Helper()
	r := h.last(t)
	if r.Action != action || (object != "" && r.Object != object) || r.Result != result || r.Actor != h.who.actor() || r.Institution != "h1" || r.RequestID == "" || r.At.IsZero() {
		t.Errorf("last record = %+v, want %s of %s: %s", r, action, object, result)
	}
}

func wantErr(t *testing.T, got error, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("error = %v, want %v", got, want)
	}
}

func TestNewWantsWholeInstitutions(t *testing.T) {
	t.Parallel()
	whole := Institution{Name: "医院", Contact: "电话", WeChat: &phone{}, Authority: &archives{}}
	for name, spoil := range map[string]func(*Institution){
		"no name":      func(i *Institution) { i.Name = "" },
		"no contact":   func(i *Institution) { i.Contact = "" },
		"no WeChat":    func(i *Institution) { i.WeChat = nil },
		"no authority": func(i *Institution) { i.Authority = nil },
		"family alone": func(i *Institution) { i.Family = true },
		"a text fails": func(i *Institution) { i.Texts = []Text{NewText(ConsentPrivacy, "1", "t", "b")} },
		"empty text": func(i *Institution) {
			i.Texts = append(StandardTexts("a", "b")[1:], NewText(ConsentPrivacy, "1", "t", ""))
		},
	} {
		i := whole
		spoil(&i)
		if _, err := New(newMemory(), map[string]Institution{"h": i}, &counter{}, clock.Real{}, nil, Config{}); err == nil {
			t.Errorf("%s: New accepted it", name)
		}
	}
	s, err := New(newMemory(), map[string]Institution{"h": whole}, &counter{}, clock.Real{}, nil, Config{})
	if err != nil || s.config.SessionLife != 2*time.Hour || s.config.MaxPatients != 6 {
		t.Errorf("New = %+v, %v", s, err)
	}
}

func TestSession(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	h.recorded(t, "session.open", "session", "ok")

	s, err := h.Session(ctx, h.token)
	if err != nil || s.Account != h.who.Account || s.Institution != "h1" {
		t.Fatalf("Session = %+v, %v", s, err)
	}
	_, again := h.login(t, "again")
	if again.Account != h.who.Account {
		t.Error("the same openid has two accounts")
	}
	if _, other := h.login(t, "code-2"); other.Account == h.who.Account {
		t.Error("two openids share an account")
	}
	_, err = h.Session(ctx, sensitive.NewToken("guessed"))
	wantErr(t, err, ErrSession)
	_, err = h.Session(ctx, sensitive.Token{})
	wantErr(t, err, ErrSession)

	h.clock.Advance(2*time.Hour - time.Second)
	if _, err := h.Session(ctx, h.token); err != nil {
		t.Errorf("a second before its end the session is gone: %v", err)
	}
	h.clock.Advance(time.Second)
	_, err = h.Session(ctx, h.token)
	wantErr(t, err, ErrSession)

	token, who := h.login(t, "again")
	if err := h.Logout(ctx, who, token); err != nil {
		t.Fatal(err)
	}
	h.recorded(t, "session.close", "session", "ok")
	_, err = h.Session(ctx, token)
	wantErr(t, err, ErrSession)
	if err := h.Logout(ctx, who, token); err != nil {
		t.Errorf("a second logout: %v", err)
	}
}

func TestLoginRefused(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, _, err := h.Login(t.Context(), "nowhere", "code-1", "")
	wantErr(t, err, ErrInstitution)
	_, _, err = h.Login(t.Context(), "h1", "spent", "")
	wantErr(t, err, ErrLoginCode)
	h.store.broken["Enter"] = errDatabase
	_, _, err = h.Login(t.Context(), "h1", "code-1", "")
	wantErr(t, err, errDatabase)
	h.tokens = &counter{err: errDatabase}
	_, _, err = h.Login(t.Context(), "h1", "code-1", "")
	wantErr(t, err, errDatabase)
}

func TestSessionOfAnInstitutionThatIsGone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	delete(h.institutions, "h1")
	_, err := h.Session(t.Context(), h.token)
	wantErr(t, err, ErrSession)
	for name, call := range h.calls() {
		if name == "Session" || name == "Logout" || name == "Remove" || name == "Coverage" || name == "Patients" || name == "Patient" {
			continue
		}
		wantErr(t, call(t.Context()), ErrInstitution)
	}
}

// calls is every method of the service that takes a caller.
func (h *house) calls() map[string]func(context.Context) error {
	return map[string]func(context.Context) error{
		"Session":    func(ctx context.Context) error { _, err := h.Session(ctx, h.token); return err },
		"Logout":     func(ctx context.Context) error { return h.Logout(ctx, h.who, h.token) },
		"Agreements": func(ctx context.Context) error { _, err := h.Agreements(ctx, h.who); return err },
		"Agree": func(ctx context.Context) error {
			_, err := h.Agree(ctx, h.who, ConsentPrivacy, TextVersion)
			return err
		},
		"Withdraw": func(ctx context.Context) error { return h.Withdraw(ctx, h.who, ConsentGuardian) },
		"SetPhone": func(ctx context.Context) error { _, err := h.SetPhone(ctx, h.who, "phone-1"); return err },
		"Patients": func(ctx context.Context) error { _, err := h.Patients(ctx, h.who); return err },
		"Patient":  func(ctx context.Context) error { _, err := h.Patient(ctx, h.who, 1); return err },
		"Remove":   func(ctx context.Context) error { return h.Remove(ctx, h.who, 1) },
		"Coverage": func(ctx context.Context) error { _, err := h.Coverage(ctx, h.who, 1); return err },
		"Jump":     func(ctx context.Context) error { _, err := h.Jump(ctx, h.who); return err },
		"Bind":     func(ctx context.Context) error { _, err := h.Bind(ctx, h.who, 1, "auth", ""); return err },
		"Add": func(ctx context.Context) error {
			n, err := ReadPatient(Self, adultName, h.adultID, "")
			if err == nil {
				_, err = h.Add(ctx, h.who, n)
			}
			return err
		},
	}
}

func TestABrokenStoreIsNeverASuccess(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ method, call string }{
		{"SessionOf", "Session"}, {"Leave", "Logout"}, {"Record", "Logout"}, {"Consents", "Agreements"}, {"Consents", "Agree"},
		{"Consents", "Add"}, {"Consents", "Jump"}, {"Withdraw", "Withdraw"}, {"SetPhone", "SetPhone"}, {"Patients", "Patients"}, {"Patients", "Add"},
		{"Account", "Add"}, {"Add", "Add"}, {"Patient", "Patient"}, {"Patient", "Bind"}, {"Remove", "Remove"}, {"Patient", "Coverage"},
	} {
		t.Run(c.method+" in "+c.call, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t)
			h.agree(t, ConsentPrivacy, ConsentInsurance)
			h.archive(t, adultName, h.adultID, "P1")
			if c.method == "Add" {
				if _, err := h.SetPhone(t.Context(), h.who, "phone-1"); err != nil {
					t.Fatal(err)
				}
			}
			h.store.broken[c.method] = errDatabase
			err := h.calls()[c.call](t.Context())
			wantErr(t, err, errDatabase)
			if fault.KindOf(err) != fault.Internal {
				t.Errorf("kind = %v, want internal", fault.KindOf(err))
			}
		})
	}
}

func TestTextsNameTheReceivers(t *testing.T) {
	t.Parallel()
	want := map[ConsentKind][]string{
		ConsentPrivacy:   {"财付通支付科技有限公司", "深圳市腾讯计算机系统有限公司", "医院信息系统", "撤回", "退款照常办理", "不满十四周岁", "位置"},
		ConsentInsurance: {"国家医疗保障局", "医疗保障经办机构", "敏感个人信息", "不同意不影响", "撤回", "亲属", "位置", "亲情付", "授权人"},
		ConsentGuardian:  {"监护", "敏感个人信息", "撤回"},
	}
	texts := StandardTexts("示范市人民医院", "0791-88880000")
	if len(texts) != len(want) {
		t.Fatalf("%d texts, want %d", len(texts), len(want))
	}
	for _, text := range texts {
		for _, w := range append(want[text.Kind], "示范市人民医院", "0791-88880000") {
			if !strings.Contains(text.Body, w) {
				t.Errorf("%s does not say %q", text.Kind, w)
			}
		}
		if strings.Contains(text.Body, "{{") {
			t.Errorf("%s has an unfilled place", text.Kind)
		}
	}
	if a, b := NewText(ConsentPrivacy, "1", "t", "b"), NewText(ConsentPrivacy, "1", "t", "b."); a.Digest == b.Digest || len(a.Digest) != 64 {
		t.Error("the digest does not tell one wording from another")
	}
}

func mayPay(ctx context.Context, h *house, who Caller, id ID, insured bool) error {
	_, err := h.MayPay(ctx, who, id, insured)
	return err
}
