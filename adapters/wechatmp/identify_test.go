package wechatmp

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

func TestReadIdentity(t *testing.T) {
	t.Parallel()
	const who = `"user_name":"张三丰","user_card_no":"360102199003074517"`
	full := func(rest string) string { return `{"code":0,` + who + `,"pay_auth_no":"AUTH1"` + rest + `}` }
	quoted, err := json.Marshal(full(""))
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, answer, place string
		err                 error
	}{
		{"plain", full(""), "", nil},
		{"code as text", `{"code":"0",` + who + `,"pay_auth_no":"AUTH1"}`, "", nil},
		{"members nobody knows", full(`,"x":[1]`), "", nil},
		{"in data", `{"code":200,"data":` + full("") + `}`, "", nil},
		{"in body as text", `{"body":` + string(quoted) + `}`, "", nil},
		{"refused in output", `{"code":0,"output":{"code":5}}`, "", patient.ErrAuthCode},
		{"place as text", full(`,"user_longitude_latitude":"{\"longitude\":\"115.89\",\"latitude\":\"-28.6\"}"`), "115.89,-28.6", nil},
		{"place as numbers", full(`,"user_longitude_latitude":{"longitude":115.89,"latitude":28}`), "115.89,28", nil},
		{"place half", full(`,"user_longitude_latitude":{"longitude":115.89}`), "", nil},
		{"place not numbers", full(`,"user_longitude_latitude":{"longitude":"1e3","latitude":"2"}`), "", nil},
		{"place empty", full(`,"user_longitude_latitude":""`), "", nil},
		{"refused", `{"code":20001,"message":"张三丰"}`, "", patient.ErrAuthCode},
		{"refused in text", `{"code":"20001"}`, "", patient.ErrAuthCode},
		{"busy", `{"code":7}`, "", patient.ErrBusy},
		{"no code", `{` + who + `,"pay_auth_no":"AUTH1"}`, "", patient.ErrBusy},
		{"code not a number", `{"code":"ok"}`, "", patient.ErrBusy},
		{"family", `{"code":0,` + who + `,"pay_auth_no":"","family_pay_auth_no":"AUTH1"}`, "", nil},
		{"both numbers", full(`,"family_pay_auth_no":"AUTH2"`), "", patient.ErrAuthCode},
		{"no number", `{"code":0,` + who + `,"auth_no":"AUTH1"}`, "", patient.ErrBusy},
		{"number too long", `{"code":0,` + who + `,"pay_auth_no":"` + strings.Repeat("A", 41) + `"}`, "", patient.ErrBusy},
		{"no name", `{"code":0,"user_card_no":"360102199003074517","pay_auth_no":"AUTH1"}`, "", patient.ErrBusy},
		{"passport", `{"code":0,"user_name":"John","user_card_no":"E12345678","pay_auth_no":"AUTH1"}`, "", patient.ErrIdentity},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			got, err := readIdentity([]byte(tt.answer), []string{"7"})
			if !errors.Is(err, tt.err) || (err == nil) != (tt.err == nil) {
				t.Fatalf("readIdentity() = %v, want %v", err, tt.err)
			}
			if err != nil {
				if strings.Contains(err.Error(), "张") {
					t.Errorf("error shows the person: %v", err)
				}
				return
			}
			if got.Name.Reveal() != "张三丰" || got.PayAuthNo.Reveal() != "AUTH1" || got.Location != tt.place {
				t.Errorf("readIdentity() = %q %q %q", got.Name.Reveal(), got.PayAuthNo.Reveal(), got.Location)
			}
			if got.Family != (tt.name == "family") {
				t.Errorf("Family = %v", got.Family)
			}
		})
	}
}

func TestIdentifyAgainstTheSimulator(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name string
		do   func(*testing.T, *world) error
		want error
	}{
		{"twice", func(t *testing.T, w *world) error {
			code := w.authCode(t, "")
			if _, err := w.identify(code); err != nil {
				t.Fatal(err)
			}
			_, err := w.identify(code)
			return err
		}, patient.ErrAuthCode},
		{"too late", func(t *testing.T, w *world) error {
			code := w.authCode(t, "")
			w.clock.Advance(6 * time.Minute)
			_, err := w.identify(code)
			return err
		}, patient.ErrAuthCode},
		{"refused", func(t *testing.T, w *world) error {
			w.plan.Script(sandbox.Script{Op: "userQuery", Key: w.openID, Fault: sandbox.Refuse})
			_, err := w.identify(w.authCode(t, ""))
			return err
		}, patient.ErrAuthCode},
		{"for a relative", func(t *testing.T, w *world) error {
			who, err := w.identify(w.authCode(t, "&familyId=F1"))
			if err == nil && (!who.Family || who.Name.Reveal() != "张三丰") {
				t.Errorf("identity = %+v, want the authoriser, for a relative", who)
			}
			return err
		}, nil},
		{"answer lost", func(t *testing.T, w *world) error {
			w.plan.Script(sandbox.Script{Op: "userQuery", Key: w.openID, Fault: sandbox.LoseAfter})
			_, err := w.identify(w.authCode(t, ""))
			return err
		}, patient.ErrBusy},
		{"request doubled", func(t *testing.T, w *world) error {
			w.plan.Script(sandbox.Script{Op: "userQuery", Key: w.openID, Fault: sandbox.Repeat})
			_, err := w.identify(w.authCode(t, ""))
			return err
		}, nil},
		{"someone else's openid", func(t *testing.T, w *world) error {
			_, err := w.client.Identify(context.Background(), w.authCode(t, ""), sensitive.NewOpenID("oOther"))
			return err
		}, patient.ErrAuthCode},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if err := tt.do(t, w); !errors.Is(err, tt.want) || (err == nil) != (tt.want == nil) {
				t.Errorf("Identify() = %v, want %v", err, tt.want)
			}
		})
	}
}

func (w *world) identify(code string) (patient.Identity, error) {
	return w.client.Identify(context.Background(), code, sensitive.NewOpenID(w.openID))
}

// FuzzAnswers feeds every reader of outside bytes: none panics, none accepts an answer without the thing asked for, and every error
// has a kind.
func FuzzAnswers(f *testing.F) {
	for _, seed := range []string{phoneOK, `{"openid":"o"}`, `{"access_token":"t","expires_in":7200}`, `{"errcode":-1}`, `{"code":0}`,
		`{"code":0,"user_name":"张三丰","user_card_no":"360102199003074517","pay_auth_no":"AUTH1","user_longitude_latitude":"{\"longitude\":1}"}`,
		`{"data":"{\"code\":\"0\"}"}`, `[]`, `null`, ``} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, answer []byte) {
		if o, err := readSession(answer); err == nil && o.IsZero() {
			t.Error("a session without openid")
		}
		if p, err := readPhone(answer, appID); err == nil && p.IsZero() {
			t.Error("a phone without number")
		}
		if tok, life, err := readToken(answer); err == nil && (tok.IsZero() || life <= 0 || life > 2*time.Hour) {
			t.Errorf("a token that lives %v", life)
		}
		i, err := readIdentity(answer, nil)
		if err == nil && (i.Name.IsZero() || i.IDNumber.IsZero() || i.PayAuthNo.IsZero() || len(i.Location) > 40) {
			t.Error("half an identity")
		}
		if err != nil && fault.KindOf(err) == fault.Internal {
			t.Errorf("an error without a kind: %v", err)
		}
	})
}
