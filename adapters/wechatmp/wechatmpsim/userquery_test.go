package wechatmpsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestJump(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for name, change := range map[string]struct {
		old, text, app string
		param          string // empty: accepted
	}{
		"right":               {app: app1},
		"encoded slash":       {old: "a/b+c==", text: "a%2Fb+c==", app: app1, param: "orgChnlCrtfCodg"},
		"other business":      {old: "04107", text: "04101", app: app1, param: "bizType"},
		"other open type":     {old: "getAuthCode", text: "x", app: app1, param: "openType"},
		"no city":             {old: "cityCode=360100", text: "cityCode=", app: app1, param: "cityCode"},
		"other channel":       {old: "channel=CH", text: "channel=ch", app: app1, param: "channel"},
		"unknown institution": {old: "orgCodg=H1", text: "orgCodg=H2", app: app1, param: "orgCodg"},
		"other application":   {old: "orgAppId=ORG", text: "", app: app1, param: "orgAppId"},
		"other mini program":  {app: app2, param: "appId"},
		"relative":            {old: "bizType", text: "familyId=F1&bizType", app: app1},
		"unknown relative":    {old: "bizType", text: "familyId=F9&bizType", app: app1, param: "familyId"},
	} {
		text := "auth/pages/bindcard/auth/index?" + strings.Replace(jumpText, change.old, change.text, 1)
		if change.old == "" {
			text = jumpText
		}
		code, err := b.sim.Authorise("zhang", change.app, ParseJump(text))
		wrong, _ := errors.AsType[*JumpError](err)
		switch {
		case change.param == "" && (err != nil || code == ""):
			t.Errorf("%s: %v", name, err)
		case change.param != "" && (wrong == nil || wrong.Param != change.param || !strings.Contains(err.Error(), change.param)):
			t.Errorf("%s: %v, want a JumpError of %s", name, err, change.param)
		}
	}
	for name, edit := range map[string]func(*User){
		"no e-credential": func(u *User) { u.Unbound = true },
		"declines":        func(u *User) { u.Withholds = true },
	} {
		u := zhang()
		edit(&u)
		if _, err := b.sim.AddUser(u); err != nil {
			t.Fatal(err)
		}
		if _, err := b.sim.Authorise("zhang", app1, ParseJump(jumpText)); !errors.Is(err, ErrDeclined) {
			t.Errorf("%s: %v, want ErrDeclined", name, err)
		}
	}
	if _, err := b.sim.Authorise("nobody", app1, nil); !errors.Is(err, ErrNoUser) {
		t.Errorf("Authorise() of nobody = %v", err)
	}
	if _, err := b.sim.Authorise("zhang", "", nil); !errors.Is(err, ErrNoApp) {
		t.Errorf("Authorise() from no app, with two = %v", err)
	}
}

// signed are the headers of userQuery, made here on its own.
func signed(partnerID, key string, at time.Time) []string {
	stamp := strconv.FormatInt(at.UnixMilli(), 10)
	m := hmac.New(sha256.New, []byte(key))
	_, _ = io.WriteString(m, partnerID+stamp)
	return []string{"Content-Type", "application/json", "god-portal-timestamp", stamp, "god-portal-signature", hex.EncodeToString(m.Sum(nil)),
		"god-portal-request-id", "6f02e8003ebb11ebb067e9a8515afd05"}
}

func (b *bench) query(code, openID string, header ...string) (int, map[string]any) {
	b.t.Helper()
	_, out := b.call(http.MethodPost, "/testapi/mipuserquery/userQuery/"+partner, fmt.Sprintf(`{"qrcode":%q,"openid":%q}`, code, openID), header...)
	return number(out["code"]), out
}

func TestUserQuery(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	open := b.sim.Users()[0].OpenIDs[app1]
	code := b.must(b.sim.Authorise("zhang", app1, ParseJump(jumpText)))
	now := b.clock.Now()
	good := signed(partner, partnerKey, now)
	without := func(i int) []string { return append(append([]string{}, good[:2*i]...), good[2*i+2:]...) }
	for _, tt := range []struct {
		name, code, openID string
		header             []string
		want               *refusal
	}{
		{"no content type", code, open, without(0), refusedRequest},
		{"no timestamp", code, open, without(1), refusedTime},
		{"no signature", code, open, without(2), refusedSignature},
		{"no request id", code, open, without(3), refusedRequest},
		{"wrong key", code, open, signed(partner, "x", now), refusedSignature},
		{"too old", code, open, signed(partner, partnerKey, now.Add(-16*time.Minute)), refusedTime},
		{"from the future", code, open, signed(partner, partnerKey, now.Add(16*time.Minute)), refusedTime},
		{"no code", "", open, good, refusedRequest},
		{"no openid", code, "", good, refusedRequest},
		{"unknown code", "x", open, good, refusedCode},
		{"login code", b.must(b.sim.Login("zhang", app1)), open, good, refusedCode},
		{"openid of another app", code, b.sim.Users()[0].OpenIDs[app2], good, refusedOpenID},
		{"right", code, open, good, nil},
		{"twice", code, open, good, refusedCode},
	} {
		got, out := b.query(tt.code, tt.openID, tt.header...)
		want := 0
		if tt.want != nil {
			want = tt.want.Code
		}
		if got != want {
			t.Errorf("%s: %v, want %d", tt.name, out, want)
		}
		if want == 0 && (out["user_name"] != "张三丰" || out["user_card_no"] != zhangID || out["family_pay_auth_no"] != "") {
			t.Errorf("%s: %v", tt.name, out)
		}
	}
	if _, out := b.call(http.MethodPost, "/api/mipuserquery/userQuery/1", `{}`, good...); number(out["code"]) != refusedPartner.Code {
		t.Errorf("unknown partner: %v", out)
	}
	if status, _ := b.call(http.MethodGet, "/api/mipuserquery/userQuery/"+partner, ""); status != http.StatusMethodNotAllowed {
		t.Errorf("GET: %d", status)
	}
	late := b.must(b.sim.Authorise("zhang", app1, ParseJump(jumpText)))
	b.clock.Advance(5*time.Minute + time.Second)
	if got, out := b.query(late, open, signed(partner, partnerKey, b.clock.Now())...); got != refusedCode.Code {
		t.Errorf("expired: %v", out)
	}
	if diff := cmp.Diff(Truth{Authorised: 2, Exchanged: 1}, b.sim.Truth()); diff != "" {
		t.Errorf("Truth() (-want +got):\n%s", diff)
	}
}

func TestFamilyAuthorisation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	open := b.sim.Users()[0].OpenIDs[app1]
	code := b.must(b.sim.Authorise("zhang", app1, ParseJump(jumpText+"&familyId=F1")))
	_, out := b.query(code, open, signed(partner, partnerKey, b.clock.Now())...)
	family, _ := out["family_pay_auth_no"].(string)
	id, _, ok := b.sim.Authorisation(family)
	if !ok || id != childID || out["user_card_no"] != zhangID || out["pay_auth_no"] != "" {
		t.Errorf("answer %v, insurance of %s", out, id)
	}
	if openID, until, ok := b.sim.PayAuthorisation(family); !ok || openID != b.sim.Users()[0].OpenIDs[app1] || !until.After(b.clock.Now()) {
		t.Errorf("PayAuthorisation() = %s, %v, %v", openID, until, ok)
	}
	if _, _, ok := b.sim.Authorisation("AUTH"); ok {
		t.Error("an authorisation nobody gave")
	}
	code = b.must(b.sim.Authorise("zhang", app1, ParseJump(jumpText+"&familyId=F1")))
	alone := zhang()
	alone.Relatives = nil
	if _, err := b.sim.AddUser(alone); err != nil {
		t.Fatal(err)
	}
	if got, _ := b.query(code, open, signed(partner, partnerKey, b.clock.Now())...); got != refusedUser.Code {
		t.Errorf("relation ended meanwhile: %d, want %d", got, refusedUser.Code)
	}
}

func TestCredentials(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	openID := b.sim.Users()[0].OpenIDs[app1]
	name, id, ok := b.sim.Credential(openID)
	if !ok || name != "张三丰" || id != zhangID {
		t.Errorf("Credential() = %s %s %v", name, id, ok)
	}
	if _, _, ok := b.sim.Credential("nobody"); ok {
		t.Error("Credential() of nobody")
	}
	child := func(n string) bool { return n == childID }
	for name, want := range map[string]bool{"张小宝": true, "张小贝": false} {
		if b.sim.Kin(openID, name, child) != want {
			t.Errorf("Kin(%s) = %v", name, !want)
		}
	}
	if b.sim.Kin(openID, "张小宝", func(string) bool { return false }) || b.sim.Kin("nobody", "张小宝", child) {
		t.Error("kin by name alone, or of nobody")
	}
	u := zhang()
	u.Unbound = true
	if _, err := b.sim.AddUser(u); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := b.sim.Credential(openID); ok {
		t.Error("Credential() of an account without one")
	}
	if _, _, ok := b.sim.PayAuthorisation("AUTH"); ok {
		t.Error("PayAuthorisation() of a number nobody gave")
	}
}

// TestTwoHospitals has one person use the mini programs of two hospitals: nothing that the one got serves at the other.
func TestTwoHospitals(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) {
		c.Institutions = append(c.Institutions, Institution{AppID: app2, CityCode: "360100", Channel: "CH2", ChannelCert: "d/e+f==", Code: "H2", OrgAppID: "ORG2"})
	})
	openIDs := b.sim.Users()[0].OpenIDs
	if openIDs[app1] == "" || openIDs[app2] == "" || openIDs[app1] == openIDs[app2] {
		t.Fatalf("openids %v, want one for each mini program", openIDs)
	}
	jump2 := "openType=getAuthCode&bizType=04107&cityCode=360100&channel=CH2&orgChnlCrtfCodg=d/e+f==&orgCodg=H2&orgAppId=ORG2"
	for app, jump := range map[string]string{app1: jump2, app2: jumpText} {
		if _, err := b.sim.Authorise("zhang", app, ParseJump(jump)); err == nil {
			t.Errorf("%s jumped with the other hospital's parameters", app)
		}
	}
	for app, c := range map[string]struct{ jump, other string }{app1: {jumpText, app2}, app2: {jump2, app1}} {
		for _, family := range []string{"", "&familyId=F1"} {
			code := b.must(b.sim.Authorise("zhang", app, ParseJump(c.jump+family)))
			if got, out := b.query(code, openIDs[c.other], signed(partner, partnerKey, b.clock.Now())...); got != refusedOpenID.Code {
				t.Errorf("%s: exchanged under the other mini program's openid: %v", app, out)
			}
			got, out := b.query(code, openIDs[app], signed(partner, partnerKey, b.clock.Now())...)
			number, _ := out["pay_auth_no"].(string)
			if family != "" {
				number, _ = out["family_pay_auth_no"].(string)
			}
			if owner, _, ok := b.sim.PayAuthorisation(number); got != 0 || !ok || owner != openIDs[app] {
				t.Errorf("%s%s: %v, given by %s", app, family, out, owner)
			}
		}
		if name, id, ok := b.sim.Credential(openIDs[app]); !ok || name != "张三丰" || id != zhangID {
			t.Errorf("Credential() at %s = %s %s %v", app, name, id, ok)
		}
		if !b.sim.Kin(openIDs[app], "张小宝", func(n string) bool { return n == childID }) {
			t.Errorf("no kin at %s", app)
		}
	}
}
