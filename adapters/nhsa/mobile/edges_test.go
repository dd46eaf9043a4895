package mobile

import (
	"context"
	"encoding/json"
	"errors"

	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

func textOf(t testing.TB, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// sealedAnswer is a success of the centre with that data.
func sealedAnswer(t testing.TB, data map[string]any) map[string]any {
	t.Helper()
	return signedBy(t, centreKey(), nil, data, form{leaves: StringLeaves})
}

// insured is a Persons of one answer.
type insured struct {
	visit settlement.Visit
	token sensitive.Token
	err   error
}

func (i insured) Insured(context.Context, settlement.Person) (settlement.Visit, sensitive.Token, error) {
	return i.visit, i.token, i.err
}

// TestWhoThePatientIs: what 1101 tells is taken where the HIS is silent, and where they differ nothing is sent.
func TestWhoThePatientIs(t *testing.T) {
	t.Parallel()
	whole := settlement.Visit{PersonNo: personNo, InsuranceType: "310", CoverageArea: area}
	rejected := func(words string) error { return fault.New(fault.Rejected, "INSURER_REFUSED", words) }
	for _, tt := range []struct {
		name string
		his  settlement.Visit
		asks Persons
		want error
		kind fault.Kind
	}{
		{"the HIS tells all", whole, nil, ErrNoAnswer, fault.Unknown},
		{"1101 tells all", settlement.Visit{}, insured{visit: whole}, ErrNoAnswer, fault.Unknown},
		{"both, and agree", settlement.Visit{PersonNo: personNo}, insured{visit: whole}, ErrNoAnswer, fault.Unknown},
		{"another person number", settlement.Visit{PersonNo: "9"}, insured{visit: whole}, ErrClaim, fault.Rejected},
		{"another insurance", settlement.Visit{InsuranceType: "390"}, insured{visit: whole}, ErrClaim, fault.Rejected},
		{"another area", settlement.Visit{CoverageArea: "110000"}, insured{visit: whole}, ErrClaim, fault.Rejected},
		{"nobody tells the area", settlement.Visit{}, insured{visit: settlement.Visit{PersonNo: personNo, InsuranceType: "310"}}, ErrClaim, fault.Rejected},
		{"nobody to ask", settlement.Visit{PersonNo: personNo}, nil, ErrClaim, fault.Rejected},
		{"1101 says no", settlement.Visit{}, insured{err: rejected("未参保")}, nil, fault.Rejected},
		{"1101 says no to the authorisation", settlement.Visit{}, insured{err: rejected("授权码已失效")}, settlement.ErrAuth, fault.Rejected},
		{"1101 does not answer", settlement.Visit{}, insured{err: fault.New(fault.Unknown, "INSURER_NO_ANSWER", "")}, ErrNotSent, fault.Unavailable},
		{"1101 fails without a kind", settlement.Visit{}, insured{err: errors.New("x")}, ErrNotSent, fault.Unavailable},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := client(t, answer(502, ""), func(cfg *Config) { cfg.Persons = tt.asks })
			claim := wireClaim(t)
			claim.Visit = tt.his
			claim.Visit.VisitNo = "T1"
			_, err := c.Upload(t.Context(), claim)
			if (tt.want != nil && !errors.Is(err, tt.want)) || err == nil || fault.KindOf(err) != tt.kind {
				t.Errorf("Upload() = %v, want %v of kind %s", err, tt.want, tt.kind)
			}
		})
	}
	c := client(t, answer(200, textOf(t, sealedAnswer(t, map[string]any{"pay_ord_id": "ORD9", "payToken": "T9", "extData": map[string]any{"mdtrtId": "M9"}}))),
		func(cfg *Config) { cfg.Persons = insured{visit: whole, token: sensitive.NewToken("EC-9")} })
	claim := wireClaim(t)
	claim.Visit = settlement.Visit{VisitNo: "T1"}
	u, err := c.Upload(t.Context(), claim)
	want := settlement.Visit{PersonNo: personNo, InsuranceType: "310", CoverageArea: area, VisitNo: "T1", MdtrtID: "M9"}
	if err != nil || u.Visit != want || u.PayOrdID != "ORD9" || !u.PayToken.Equal(sensitive.NewToken("T9")) || !u.ECToken.Equal(sensitive.NewToken("EC-9")) {
		t.Errorf("Upload() = %+v, %v", u, err)
	}
}

// TestRefundableByToken: where a refund wants an ecToken, nothing is uploaded without one, whoever tells the person.
func TestRefundableByToken(t *testing.T) {
	t.Parallel()
	whole := settlement.Visit{PersonNo: personNo, InsuranceType: "310", CoverageArea: area, VisitNo: "T1"}
	good := textOf(t, sealedAnswer(t, map[string]any{"payOrdId": "ORD9", "payToken": "T9", "mdtrtId": "M9"}))
	for _, tt := range []struct {
		token string
		want  error
	}{{"EC-9", nil}, {"", ErrClaim}} {
		c := client(t, answer(200, good), func(cfg *Config) {
			cfg.RefundCredential, cfg.Persons = "ecToken", insured{visit: whole, token: sensitive.NewToken(tt.token)}
		})
		claim := wireClaim(t)
		claim.Visit, claim.Upload.ECToken = whole, sensitive.Token{}
		u, err := c.Upload(t.Context(), claim)
		if !errors.Is(err, tt.want) || (err == nil && !u.ECToken.Equal(sensitive.NewToken(tt.token))) {
			t.Errorf("with token %q: %+v, %v, want %v", tt.token, u, err, tt.want)
		}
	}
}

// TestWaived: a centre that does not demand a member gets uploads without it.
func TestWaived(t *testing.T) {
	t.Parallel()
	good := textOf(t, sealedAnswer(t, map[string]any{"payOrdId": "ORD9", "payToken": "T9", "mdtrtId": "M9"}))
	claim := wireClaim(t)
	claim.Bills = slices.Clone(claim.Bills)
	claim.Bills[0].Visit.Caty = ""
	if _, err := client(t, answer(200, good), nil).Upload(t.Context(), claim); !errors.Is(err, ErrClaim) {
		t.Errorf("without caty: %v, want ErrClaim", err)
	}
	if _, err := client(t, answer(200, good), func(cfg *Config) { cfg.Waived = []string{"caty"} }).Upload(t.Context(), claim); err != nil {
		t.Errorf("caty waived: %v", err)
	}
}

// TestUploadAnswers: without both numbers nothing was uploaded that could be found again.
func TestUploadAnswers(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]map[string]any{
		"no payToken": {"payOrdId": "ORD9"}, "no payOrdId": {"payToken": "T9"}, "payOrdId too long": {"payOrdId": strings.Repeat("9", 65), "payToken": "T9"},
		"another order's": {"payOrdId": "ORD9", "payToken": "T9", "medOrgOrd": "1"},
	} {
		_, err := client(t, answer(200, textOf(t, sealedAnswer(t, data))), nil).Upload(t.Context(), wireClaim(t))
		if !errors.Is(err, ErrUnreadable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	dead := wireClaim(t)
	dead.Person.UsableUntil = start
	two := wireClaim(t)
	two.Bills = append(two.Bills, bill.Bill{No: "MZ2", Visit: bill.Visit{No: "GH0002"}})
	tokenless := wireClaim(t)
	tokenless.Person.Token = sensitive.Token{}
	for name, tt := range map[string]struct {
		claim settlement.Claim
		want  error
	}{"an authorisation that has run out": {dead, settlement.ErrAuth}, "no authorisation": {tokenless, settlement.ErrAuth}, "two visits": {two, ErrClaim}} {
		sent := false
		c := client(t, tripper(func(*http.Request) (*http.Response, error) { sent = true; return nil, errors.New("x") }), nil)
		if _, err := c.Upload(t.Context(), tt.claim); !errors.Is(err, tt.want) || sent {
			t.Errorf("%s: %v, sent %v", name, err, sent)
		}
		if _, err := c.Foresee(t.Context(), "S1", tt.claim); name != "two visits" && (!errors.Is(err, tt.want) || sent) {
			t.Errorf("%s, 6202: %v, sent %v", name, err, sent)
		}
	}
}

// TestRelays: what stands around an answer decides nothing, and what stands inside it is the answer.
func TestRelays(t *testing.T) {
	t.Parallel()
	good := sealedAnswer(t, map[string]any{"payOrdId": "ORD1", "ordStas": "1"})
	no := map[string]any{"code": -1, "success": false, "message": "费用已上传"}
	for name, tt := range map[string]struct {
		body string
		want error
	}{
		"a relay's own code around":       {textOf(t, map[string]any{"code": 200, "message": "ok", "data": good}), nil},
		"a relay's own success, and text": {textOf(t, map[string]any{"success": true, "body": textOf(t, good)}), nil},
		"JSON in a JSON text":             {textOf(t, textOf(t, good)), nil},
		"twice in a text":                 {textOf(t, textOf(t, textOf(t, good))), nil},
		"three deep":                      {textOf(t, map[string]any{"body": map[string]any{"output": map[string]any{"data": good}}}), nil},
		"a refusal inside":                {textOf(t, map[string]any{"code": 0, "success": true, "data": no}), ErrRefused},
		"a relay's refusal":               {textOf(t, map[string]any{"code": 500, "message": "upstream", "data": nil}), ErrSystem},
		"a relay's text":                  {textOf(t, map[string]any{"code": "-1", "message": "系统繁忙", "data": nil}), ErrSystem},
		"a failure without a reason":      {`{"success":false}`, ErrSystem},
		"success and failure at once":     {`{"code":-1,"success":true}`, ErrUnreadable},
		"success without a verdict":       {textOf(t, map[string]any{"encData": good["encData"], "signData": good["signData"]}), ErrUnreadable},
		"a text behind it":                {textOf(t, good) + "}", ErrUnreadable},
		"another application's":           {textOf(t, signedBy(t, centreKey(), map[string]any{"appId": strings.Repeat("A", 32)}, map[string]any{"payOrdId": "ORD1"}, form{leaves: StringLeaves})), ErrUnverified},
		"no appId at all":                 {textOf(t, signedBy(t, centreKey(), map[string]any{"appId": ""}, map[string]any{"payOrdId": "ORD1", "ordStas": "1"}, form{leaves: StringLeaves})), nil},
	} {
		out, err := client(t, answer(200, tt.body), nil).send(t.Context(), message{number: "6202", data: map[string]any{"a": "1"}, free: true, wait: time.Second})
		if !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
		if err == nil {
			if id, _ := out.text("payOrdId"); id != "ORD1" || !out.signed {
				t.Errorf("%s: %+v", name, out)
			}
		}
	}
}

// TestFrontEnd: unsigned answers are read only where the front-end is trusted, and even there decide nothing about money.
func TestFrontEnd(t *testing.T) {
	t.Parallel()
	done := map[string]any{"payOrdId": ordID, "refStatus": "SUCC"}
	refund := func(trust bool, output any, code any) error {
		c := client(t, answer(200, textOf(t, map[string]any{"infcode": code, "err_msg": "退费失败", "output": output})), func(cfg *Config) {
			cfg.Transport, cfg.TrustFrontEnd = Wrapped, trust
		})
		return c.Refund(t.Context(), settlement.GiveBack{Claim: wireClaim(t), Number: "F1", At: start, Figures: goldenFigures})
	}
	for name, tt := range map[string]struct {
		trust  bool
		output any
		code   any
		want   error
	}{
		"unsigned, not trusted":         {false, done, 0, ErrUnverified},
		"unsigned, trusted":             {true, done, 0, ErrUnproved},
		"sealed":                        {false, sealedAnswer(t, done), 0, nil},
		"sealed, in data, as text":      {false, textOf(t, map[string]any{"data": sealedAnswer(t, done)}), "0", nil},
		"sealed by somebody else":       {true, signedBy(t, hospitalKey(), nil, done, form{leaves: StringLeaves}), 0, ErrUnverified},
		"refused":                       {true, nil, -1, ErrUnproved},
		"sealed, and FAIL":              {false, sealedAnswer(t, map[string]any{"payOrdId": ordID, "refStatus": "FAIL", "message": "账户已注销"}), 0, ErrRefused},
		"sealed, another order's":       {false, sealedAnswer(t, map[string]any{"payOrdId": "ORD2", "refStatus": "SUCC"}), 0, ErrUnreadable},
		"sealed, another refund's":      {false, sealedAnswer(t, map[string]any{"payOrdId": ordID, "appRefdSn": "F2", "refStatus": "SUCC"}), 0, ErrUnreadable},
		"nothing":                       {true, nil, 0, ErrUnreadable},
		"neither number nor its letter": {true, done, nil, ErrUnreadable},
	} {
		if err := refund(tt.trust, tt.output, tt.code); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	keyless := testConfig(clock.NewFake(start))
	keyless.AppID, keyless.AppSecret, keyless.PrivateKey, keyless.PlatformKey = "", sensitive.Key{}, nil, nil
	keyless.Transport, keyless.TrustFrontEnd, keyless.NotifyMode = Wrapped, true, PlainNotices
	keyless.NotifyFrom = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	c, err := New(keyless, answer(200, textOf(t, map[string]any{"infcode": 0, "output": map[string]any{"data": sealedAnswer(t, done)}})))
	if err != nil {
		t.Fatalf("a front-end that needs no keys: %v", err)
	}
	if err := c.Refund(t.Context(), settlement.GiveBack{Claim: wireClaim(t), Number: "F1", At: start}); fault.KindOf(err) != fault.Unknown {
		t.Errorf("something sealed without keys to open it: %v", err)
	}
	keyless.TrustFrontEnd = false
	if _, err := New(keyless, nil2()); err == nil {
		t.Error("no keys, and nothing trusted")
	}
	keyless = testConfig(keyless.Clock)
	keyless.TrustFrontEnd = true
	if _, err := New(keyless, nil2()); err == nil {
		t.Error("a sealed transport that trusts the unsigned")
	}
}

// TestNothingLeaves: what lacks something is not sent, and of a call about money that is not a refusal.
func TestNothingLeaves(t *testing.T) {
	t.Parallel()
	c := client(t, tripper(func(*http.Request) (*http.Response, error) { t.Error("sent"); return nil, errors.New("x") }), func(cfg *Config) {
		cfg.RefundCredential = "ecToken"
	})
	unnamed := wireClaim(t)
	unnamed.Upload.PayToken, unnamed.Upload.ECToken = sensitive.Token{}, sensitive.Token{}
	_, query := c.Query(t.Context(), unnamed)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	_, late := c.Query(gone, wireClaim(t))
	for name, err := range map[string]error{"6301 without payToken": query, "6401 without payToken": c.Revoke(t.Context(), unnamed), "after the caller's time": late,
		"6203 without credential": c.Refund(t.Context(), settlement.GiveBack{Claim: unnamed, Number: "F1", At: start, Figures: goldenFigures}),
		"6203 without number":     c.Refund(t.Context(), settlement.GiveBack{Claim: wireClaim(t), At: start, Figures: goldenFigures}),
		"6203 without time":       c.Refund(t.Context(), settlement.GiveBack{Claim: wireClaim(t), Number: "F1", Figures: goldenFigures})} {
		if !errors.Is(err, ErrNotSent) || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s: %v, want ErrNotSent", name, err)
		}
	}
}

// TestQueryAnswers: 6301 passes on what it is told, and refuses what cannot be told.
func TestQueryAnswers(t *testing.T) {
	t.Parallel()
	none := map[string]any{"feeSumamt": nil, "ownpayAmt": nil, "psnAcctPay": nil, "fundPay": nil}
	with := func(more map[string]any) map[string]any {
		m := map[string]any{}
		for k, v := range none {
			m[k] = v
		}
		for k, v := range more {
			m[k] = v
		}
		return m
	}
	for name, tt := range map[string]struct {
		change map[string]any
		told   bool
		want   error
	}{
		"no amounts":              {none, false, nil},
		"the total alone":         {with(map[string]any{"feeSumamt": "520"}), false, nil},
		"another total alone":     {with(map[string]any{"feeSumamt": "521"}), false, ErrUnreadable},
		"zeros":                   {with(map[string]any{"feeSumamt": "0", "ownpayAmt": json.Number("0"), "fundPay": "0.00"}), false, nil},
		"a part alone":            {with(map[string]any{"ownpayAmt": "1.00"}), false, ErrUnreadable},
		"everything but othFee":   {nil, true, nil}, // the domain compares
		"another medOrgOrd":       {map[string]any{"medOrgOrd": "9"}, true, nil},
		"an amount out of range":  {map[string]any{"fundPay": "99999999999999.00"}, false, ErrUnreadable},
		"two revsToken":           {map[string]any{"revs_token": "another"}, false, ErrUnequal},
		"a code as a long number": {map[string]any{"ordStas": "99999999999999999999"}, false, ErrUnreadable},
	} {
		s, err := answering(t, "6301.answer.json", tt.change).Query(t.Context(), wireClaim(t))
		if !errors.Is(err, tt.want) || s.Told != tt.told {
			t.Errorf("%s: told %v, %v, want %v, %v", name, s.Told, err, tt.told, tt.want)
		}
	}
	info := func(id, at string) map[string]any { return map[string]any{"setl_id": id, "setl_time": at} }
	for name, tt := range map[string]struct {
		extension any
		id        string
		at        time.Time
	}{
		"one in an array":  {map[string]any{"setlinfo": []any{info("S1", "2025-03-03 10:00:00")}}, "S1", time.Date(2025, 3, 3, 2, 0, 0, 0, time.UTC)},
		"an object":        {map[string]any{"setlinfo": info("S1", "1740967200000")}, "S1", time.Date(2025, 3, 3, 2, 0, 0, 0, time.UTC)},
		"a text of either": {textOf(t, map[string]any{"setlinfo": textOf(t, []any{info("S1", "20250303100000")})}), "S1", time.Date(2025, 3, 3, 2, 0, 0, 0, time.UTC)},
		"two of them":      {map[string]any{"setlinfo": []any{info("S1", ""), info("S2", "")}}, "", time.Date(2025, 3, 3, 1, 1, 10, 0, time.UTC)},
		"none":             {nil, "", time.Date(2025, 3, 3, 1, 1, 10, 0, time.UTC)},
	} {
		s, err := answering(t, "6301.answer.json", map[string]any{"extData": tt.extension}).Query(t.Context(), wireClaim(t))
		if err != nil || s.SetlID != tt.id || !s.SettledAt.Equal(tt.at) {
			t.Errorf("%s: %q at %s, %v", name, s.SetlID, s.SettledAt, err)
		}
	}
}

// TestNoticeDoors: which notices are read where, and how they are answered.
func TestNoticeDoors(t *testing.T) {
	t.Parallel()
	data := map[string]any{"payOrdId": "ORD1", "ordStas": "6"}
	network := []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}
	plainly := client(t, nil2(), func(c *Config) { c.NotifyMode, c.NotifyFrom = PlainNotices, network })
	sealed := client(t, nil2(), func(c *Config) { c.NotifyFrom = network })
	forged := signedBy(t, hospitalKey(), nil, data, form{leaves: StringLeaves})
	for name, tt := range map[string]struct {
		c    *Client
		body string
		ok   bool
	}{
		"sealed at a plain door":             {plainly, textOf(t, sealedAnswer(t, data)), true},
		"forged at a plain door":             {plainly, textOf(t, forged), false},
		"forged, with the content beside it": {plainly, textOf(t, map[string]any{"payOrdId": "ORD1", "data": forged}), false},
		"plain in a wrapper":                 {plainly, textOf(t, map[string]any{"input": "x", "data": data}), true},
		"snake case":                         {plainly, `{"pay_ord_id":"ORD1"}`, true},
		"sealed in a wrapper":                {sealed, textOf(t, map[string]any{"data": textOf(t, sealedAnswer(t, data))}), true},
		"another application's":              {sealed, textOf(t, signedBy(t, centreKey(), map[string]any{"appId": "x"}, data, form{leaves: StringLeaves})), false},
		"a number too long":                  {plainly, `{"payOrdId":"` + strings.Repeat("1", 65) + `"}`, false},
		"not UTF-8":                          {plainly, "{\"payOrdId\":\"\xff\"}", false},
	} {
		n, err := tt.c.Open(nil, []byte(tt.body))
		if (err == nil) != tt.ok || (tt.ok && n.Number != "ORD1") || (err != nil && fault.KindOf(err) != fault.Invalid) {
			t.Errorf("%s: %+v, %v", name, n, err)
		}
	}
	one, err1 := plainly.Open(nil, []byte(textOf(t, sealedAnswer(t, data))))
	two, err2 := plainly.Open(nil, []byte(textOf(t, data)))
	three, err3 := plainly.Open(nil, []byte(`{"payOrdId":"ORD1","ordStas":"7"}`))
	if err1 != nil || err2 != nil || err3 != nil || one.ID != two.ID || one.ID == three.ID || len(one.ID) > 128 {
		t.Errorf("the same content, and another: %q, %q, %q", one.ID, two.ID, three.ID)
	}
	if sealed.Admits(netip.MustParseAddr("8.8.8.8")) || !sealed.Admits(netip.MustParseAddr("10.1.2.3")) || plainly.Admits(netip.Addr{}) {
		t.Error("networks that are named count for sealed notices, too")
	}
	for ack, want := range map[Ack][2]string{AckSuccess: {`{"message":"成功","success":true}`, `{"message":"验签失败","success":false}`},
		AckCode: {`{"code":0,"message":"成功"}`, `{"code":-1,"message":"验签失败"}`}, AckEmpty: {"", ""}} {
		c := client(t, nil2(), func(cfg *Config) { cfg.NotifyAck = ack })
		for i, err := range []error{nil, ErrNotice} {
			w := httptest.NewRecorder()
			c.Acknowledge(w, err)
			if got := strings.TrimSpace(w.Body.String()); got != want[i] || w.Code != [2]int{200, 401}[i] {
				t.Errorf("%s, %v: %d %s, want %s", ack, err, w.Code, got, want[i])
			}
		}
	}
}

func FuzzNotice(f *testing.F) {
	f.Add([]byte(textOf(f, sealedAnswer(f, map[string]any{"payOrdId": "ORD1"}))))
	f.Add([]byte(`{"payOrdId":"ORD1","extData":{"setlinfo":[{}]}}`))
	f.Add([]byte(`"{\"data\":{\"pay_ord_id\":1}}"`))
	c := client(f, nil2(), func(c *Config) {
		c.NotifyMode, c.NotifyFrom = PlainNotices, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	})
	f.Fuzz(func(t *testing.T, body []byte) {
		n, err := c.Open(nil, body)
		if err != nil && !errors.Is(err, ErrNotice) {
			t.Errorf("%v", err)
		}
		if err == nil && (n.Number == "" || len(n.Number) > 64 || n.ID == "" || !json.Valid(n.Body)) {
			t.Errorf("%+v", n)
		}
	})
}
