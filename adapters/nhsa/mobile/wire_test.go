package mobile

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

const ordID = "ORD360100202503030900000000001"

// wireClaim is N1 of nhsa-core.md §8.6 with everything in it that 6201 can say.
func wireClaim(t testing.TB) settlement.Claim {
	t.Helper()
	b := testBill()
	b.Visit.DiseaseCode, b.Visit.DiseaseName = "M03900", "高血压\u2028\n"
	b.Visit.Diagnoses = append(b.Visit.Diagnoses, bill.Diagnosis{Type: "2", Code: "BNX010", Name: "咳嗽病", Department: "0301", DoctorCode: "D360100001",
		DoctorName: "医生甲", Order: -1, Time: start.Add(time.Minute)})
	b.Lines[1].Spec, b.Lines[1].External = "0.5g*24片", true
	b.Lines[2].PrescriptionNo, b.Lines[2].Approval, b.Lines[2].DepartmentCode = "", "", ""
	return settlement.Claim{Person: settlement.Person{Name: sensitive.NewName("张试验"), IDNumber: testID(t), Token: sensitive.NewToken("AUTH-1")},
		Visit:   settlement.Visit{VisitNo: "T7000000000000000001", PersonNo: personNo, InsuranceType: "310", CoverageArea: "360102", MdtrtID: "M1"},
		BatchNo: "B7000000000000000002", Bills: []bill.Bill{b}, Total: 52000, UseAccount: true, Location: "115.9,28.6",
		Upload: settlement.Upload{OrderNo: "700000000000000003", PayOrdID: ordID, PayToken: sensitive.NewToken("TOKEN-1"), ECToken: sensitive.NewToken("EC-1")}}
}

// goldenCalls are the five calls.
func goldenCalls(t *testing.T, c *Client) {
	t.Helper()
	claim := wireClaim(t)
	figures := settlement.Figures{Total: 52000, Fund: 5940, Account: 20000, Other: 500, Cash: 25560}
	_, err1 := c.Upload(t.Context(), claim)
	_, err2 := c.Foresee(t.Context(), "S7000000000000000004", claim)
	_, err3 := c.Query(t.Context(), claim)
	err4 := c.Revoke(t.Context(), claim)
	err5 := c.Refund(t.Context(), settlement.GiveBack{Claim: claim, Number: "F7000000000000000005", At: start.Add(time.Hour), Figures: figures,
		OutTradeNo: "P7000000000000000006"})
	for _, err := range []error{err1, err2, err3, err4, err5} {
		if !errors.Is(err, ErrNoAnswer) {
			t.Fatalf("a call without an answer: %v", err)
		}
	}
}

var transactions = []string{"6201", "6202", "6301", "6401", "6203"}

// TestGoldenWire: every request byte for byte, but for the signature, which is verified; what is encrypted is what was signed.
func TestGoldenWire(t *testing.T) {
	t.Parallel()
	n := 0
	c := client(t, tripper(func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		envelope, err := parseObject(body)
		if err != nil {
			t.Fatal(err)
		}
		key, _ := deriveKey(appID, sensitive.NewKey(appSecret))
		opener := sealer{appID: appID, secret: sensitive.NewKey(appSecret), key: key, platform: hospitalKey().Public(), userID: standardUserID,
			verify: []LeafMode{RawLeaves}} // string leaves are the same in both modes
		data, f, err := opener.open(envelope)
		if err != nil || f != (form{leaves: RawLeaves}) {
			t.Fatalf("%s: %v, %s", transactions[n], err, f)
		}
		delete(envelope, "signData")
		golden(t, transactions[n]+".request.json", pretty(t, map[string]any{"url": r.URL.String(), "envelope": envelope, "data": data}))
		n++
		return nil, io.ErrUnexpectedEOF
	}), nil)
	goldenCalls(t, c)
	if n != len(transactions) {
		t.Errorf("%d calls", n)
	}
}

// TestGoldenWrapped: the same in the general wrapper, with what an area may choose otherwise.
func TestGoldenWrapped(t *testing.T) {
	t.Parallel()
	n := 0
	c := client(t, tripper(func(r *http.Request) (*http.Response, error) {
		body, _ := io.ReadAll(r.Body)
		wrapper, err := parseObject(body)
		if err != nil {
			t.Fatal(err)
		}
		if id := plain(wrapper["msgid"]); len(id) != 30 || !strings.HasPrefix(id, institution) {
			t.Errorf("msgid %q", id)
		}
		delete(wrapper, "msgid")
		if transactions[n] == "6201" || transactions[n] == "6203" {
			golden(t, transactions[n]+".wrapped.json", pretty(t, wrapper))
		}
		n++
		return nil, io.ErrUnexpectedEOF
	}), func(cfg *Config) {
		cfg.Transport, cfg.TrustFrontEnd, cfg.WrapperHead = Wrapped, true, map[string]string{"opter": "TUOKA01", "infver": "V1.0", "infno": "9999"}
		cfg.RefundCredential, cfg.RefundType, cfg.AccountUse, cfg.InsuCode, cfg.OrgID = "ecToken", "ALL", "never", "360100", "ORG1"
		cfg.Extra = map[string]map[string]string{"6203": {"payWay": "01", "payOrdId": "never", "totlRefdAmt": "never"}}
	})
	goldenCalls(t, c)
}

func pretty(t *testing.T, v any) []byte {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// answering is a client of a centre that signs the data of that file, with members changed.
func answering(t *testing.T, file string, change map[string]any) *Client {
	t.Helper()
	text, err := os.ReadFile("testdata/" + file)
	if err != nil {
		t.Fatal(err)
	}
	data, err := parseObject(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, v := range change {
		data[name] = v
		if v == nil {
			delete(data, name)
		}
	}
	return client(t, answer(200, string(pretty(t, signedBy(t, centreKey(), nil, data, form{leaves: StringLeaves})))), nil)
}

var goldenFigures = settlement.Figures{Total: 52000, Fund: 5940, Account: 20000, Other: 500, Cash: 25560}

// seen is what of a Stand can be compared.
func seen(s settlement.Stand) settlement.Stand {
	s.RevsToken = sensitive.Token{}
	return s
}

// TestGoldenAnswers reads an answer of 6202 and of 6301 in full.
func TestGoldenAnswers(t *testing.T) {
	t.Parallel()
	balance := money.Fen(1234)
	c := answering(t, "6202.answer.json", nil)
	got, err := c.Foresee(t.Context(), "S1", wireClaim(t))
	want := settlement.Stand{State: settlement.Foreseen, OrderNo: "700000000000000003", Told: true, Figures: goldenFigures, Balance: &balance,
		Split: split.Split{PooledFund: 3940, OtherFund: 2500, Account: 15000, FamilyAccount: 5000, Cash: 25560}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" || got.Split.Check(52000) != nil {
		t.Errorf("6202: %v (-want +got):\n%s", err, diff)
	}
	if c.SignedAs() != "raw" && c.SignedAs() != "string" {
		t.Errorf("signed as %q", c.SignedAs())
	}
	got, err = answering(t, "6301.answer.json", map[string]any{"othFeeAmt": "5.00"}).Query(t.Context(), wireClaim(t))
	want = settlement.Stand{State: settlement.AllDone, OrderNo: "700000000000000003", Told: true, Figures: goldenFigures, MdtrtID: "M1", SetlID: "360100S0001",
		SettledAt: time.Date(2025, 3, 3, 1, 1, 5, 0, time.UTC), ClrOptins: "360199", ClrWay: "1", ClrType: "11"}
	if diff := cmp.Diff(want, seen(got)); err != nil || diff != "" || !got.RevsToken.Equal(sensitive.NewToken("REVS-1")) {
		t.Errorf("6301: %v (-want +got):\n%s", err, diff)
	}
}

// TestForeseeAnswers: a 6202 that is signed and cannot be trusted is Unknown, whatever is wrong with it.
func TestForeseeAnswers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change map[string]any
		want   error
	}{
		{"as it should be", nil, nil},
		{"without extension", map[string]any{"extData": nil}, nil},
		{"a part that is nothing is left out", map[string]any{"psnAcctPay": nil, "ownPayAmt": "455.60", "acctMulaidPay": nil, "selfAcctPay": nil}, nil},
		{"a part that is something is left out", map[string]any{"psnAcctPay": nil}, ErrUnreadable},
		{"no amounts", map[string]any{"psnAcctPay": nil, "ownPayAmt": nil, "fundPay": nil, "feeSumamt": nil, "othFeeAmt": nil}, ErrUnreadable},
		{"the total alone", map[string]any{"psnAcctPay": nil, "ownPayAmt": nil, "fundPay": nil, "othFeeAmt": nil}, ErrUnreadable},
		{"nothing but zeros", map[string]any{"psnAcctPay": "0", "ownPayAmt": "0.00", "fundPay": "0", "feeSumamt": "0", "othFeeAmt": nil}, ErrUnreadable},
		{"one fen short", map[string]any{"ownPayAmt": "255.59"}, ErrUnequal},
		{"othFeeAmt missing from the sum", map[string]any{"othFeeAmt": nil}, ErrUnequal},
		{"another total that adds up", map[string]any{"feeSumamt": "520.01", "ownPayAmt": "255.61"}, ErrUnequal},
		{"a negative part", map[string]any{"ownPayAmt": "-255.60", "fundPay": "570.60"}, ErrUnequal},
		{"three decimals", map[string]any{"ownPayAmt": "255.601"}, ErrUnreadable},
		{"no number", map[string]any{"ownPayAmt": "255,60"}, ErrUnreadable},
		{"an object for an amount", map[string]any{"fundPay": map[string]any{"v": "59.40"}}, ErrUnreadable},
		{"both spellings differ", map[string]any{"ownpayAmt": "255.61"}, ErrUnequal},
		{"both spellings differ as texts", map[string]any{"own_pay_amt": "255.6"}, ErrUnequal},
		{"another payOrdId", map[string]any{"payOrdId": "ORD2"}, ErrUnreadable},
		{"no payOrdId", map[string]any{"payOrdId": nil}, ErrUnreadable},
		{"another medOrgOrd", map[string]any{"medOrgOrd": "700000000000000009"}, ErrUnreadable},
		{"no medOrgOrd", map[string]any{"medOrgOrd": nil}, nil},
		{"no ordStas", map[string]any{"ordStas": nil}, ErrUnreadable},
		{"a word for ordStas", map[string]any{"ordStas": "done"}, ErrUnreadable},
		{"an ordStas that nobody published", map[string]any{"ordStas": "23"}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s, err := answering(t, "6202.answer.json", tt.change).Foresee(t.Context(), "S1", wireClaim(t))
			if !errors.Is(err, tt.want) {
				t.Fatalf("Foresee() = %v, want %v", err, tt.want)
			}
			if err == nil && (s.Split.Check(52000) != nil || s.Split.Cash != s.Figures.Cash || s.Split.HospitalBorne != 0 || s.Split.Uninsured != 0) {
				t.Errorf("split %+v of %+v", s.Split, s.Figures)
			}
		})
	}
}

// TestUserIDs: what sm2_user_id means.
func TestUserIDs(t *testing.T) {
	t.Parallel()
	for setting, id := range map[string]string{"": standardUserID, "default": standardUserID, "appSecret": appSecret, "somebody": "somebody"} {
		c := client(t, nil2(), func(cfg *Config) { cfg.SM2UserID = setting })
		envelope := map[string]any{"appId": appID, "data": map[string]any{"a": "1"}}
		sealed, err := c.sealer.seal(envelope)
		if err != nil {
			t.Fatal(err)
		}
		text, _ := signText(envelope, appSecret, form{leaves: StringLeaves})
		sig, _ := base64.StdEncoding.DecodeString(plain(sealed["signData"]))
		if !gm.VerifyRawAs(hospitalKey().Public(), id, []byte(text), sig) {
			t.Errorf("%q does not sign as %q", setting, id)
		}
	}
}
