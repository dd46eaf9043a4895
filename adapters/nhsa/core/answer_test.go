package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

type failingBody struct{}

func (failingBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
func (failingBody) Close() error             { return nil }

// Every way in which a call can end, and its kind.
func TestKinds(t *testing.T) {
	t.Parallel()
	fails := func(err error) tripper { return func(*http.Request) (*http.Response, error) { return nil, err } }
	for _, tc := range []struct {
		name string
		rt   http.RoundTripper
		want error
	}{
		{"dial refused", fails(&net.OpError{Op: "dial", Err: errors.New("connection refused")}), ErrNotSent},
		{"no such host", fails(&net.OpError{Op: "dial", Err: &net.DNSError{IsNotFound: true}}), ErrNotSent},
		{"reset while reading", fails(&net.OpError{Op: "read", Err: errors.New("connection reset")}), ErrNoAnswer},
		{"time-out", fails(context.DeadlineExceeded), ErrNoAnswer},
		{"end of file", fails(io.EOF), ErrNoAnswer},
		{"cut body", tripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: failingBody{}}, nil
		}), ErrNoAnswer},
		{"502", answer(502, "<html>"), ErrNoAnswer},
		{"401 of the gateway", answer(401, `{"errcode":401}`), ErrNoAnswer},
		{"302", answer(302, ""), ErrNoAnswer},
		{"empty", answer(200, ""), ErrUnreadable},
		{"HTML", answer(200, "<html>系统维护中"), ErrUnreadable},
		{"GBK", answer(200, "{\"infcode\":-1,\"err_msg\":\"\xca\xa7\xb0\xdc\"}"), ErrUnreadable},
		{"cut JSON", answer(200, `{"infcode":0,"output":{"setlinfo"`), ErrUnreadable},
		{"a list", answer(200, `[]`), ErrUnreadable},
		{"no infcode", answer(200, `{"output":{}}`), ErrUnreadable},
		{"null infcode", answer(200, `{"infcode":null,"output":{}}`), ErrUnreadable},
		{"infcode a word", answer(200, `{"infcode":"ok","output":{}}`), ErrUnreadable},
		{"encrypted output", answer(200, `{"infcode":0,"enctype":"SM4","output":"q83vEjRW"}`), ErrUnreadable},
		{"success without output", answer(200, `{"infcode":0}`), ErrUnreadable},
		{"success with null", answer(200, `{"infcode":"0","output":null}`), ErrUnreadable},
		{"success with an empty text", answer(200, `{"infcode":"0","output":""}`), ErrUnreadable},
		{"output a number", answer(200, `{"infcode":0,"output":7}`), ErrUnreadable},
		{"success without setlinfo", answer(200, `{"infcode":0,"output":{}}`), ErrUnreadable},
		{"three decimals", answer(200, `{"infcode":0,"output":{"setlinfo":{"medfee_sumamt":1.005}}}`), ErrUnreadable},
		{"too large", answer(200, `{"infcode":0,"x":"`+strings.Repeat("x", maxAnswer)+`"}`), ErrUnreadable},
		{"refused", answer(200, `{"infcode":-1,"err_msg":"余额不足"}`), ErrRefused},
		{"refused by text", answer(200, `{"infcode":"-1","err_msg":null}`), ErrRefused},
		{"refused with a positive code", answer(200, `{"infcode":1001,"err_msg":"x"}`), ErrRefused},
		{"refused, the message an object", answer(200, `{"infcode":-1,"err_msg":{"a":1}}`), ErrRefused},
		{"system error", answer(200, `{"infcode":-1,"err_msg":"系统异常"}`), ErrSystem},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := client(t, tc.rt, nil)
			if _, err := c.Settle(context.Background(), c.MsgID(), claimOf(t)); !errors.Is(err, tc.want) {
				t.Errorf("Settle() = %v, want %v", err, tc.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := client(t, answer(200, ""), nil)
	if _, err := c.Settle(ctx, c.MsgID(), claimOf(t)); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("Settle() after the caller's time = %v, want Unavailable", err)
	}
}

// setl is a 2207 answer that adds up, in the form of the document.
func setl(msgID string) map[string]any {
	m := map[string]any{"mdtrt_id": "M1", "setl_id": "S1", "psn_no": "P1", "setl_time": "2025-03-03 09:00:01", "medins_setl_id": msgID,
		"clr_optins": "360199", "clr_way": "1", "clr_type": "11"}
	for k, v := range map[string]string{"medfee_sumamt": "520.00", "fulamt_ownpay_amt": "100.00", "overlmt_selfpay": "0.00", "preselfpay_amt": "12.00",
		"inscp_scp_amt": "408.00", "act_pay_dedc": "300.00", "hifp_pay": "39.40", "cvlserv_pay": "20.00", "fund_pay_sumamt": "59.40", "psn_part_amt": "450.60",
		"acct_pay": "190.00", "acct_mulaid_pay": "0.00", "psn_cash_pay": "260.60", "hosp_part_amt": "10.00", "balc": "5"} {
		m[k] = json.Number(v)
	}
	return m
}

func setlAnswer(t *testing.T, info map[string]any) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"infcode": 0, "respond_time": "20250303090002123", "output": map[string]any{"setlinfo": info,
		"setldetail": []any{map[string]any{"fund_pay_type": "310100", "fund_payamt": 39.4}, map[string]any{"fund_pay_type": "320100", "fund_payamt": "20"},
			map[string]any{"fund_pay_type": "310200", "fund_payamt": 190}, map[string]any{"fund_pay_type": "999996", "fund_payamt": 10}}}})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// A 2207 that succeeded and cannot be trusted is Unknown, whatever is wrong with it.
func TestUntrustworthySuccess(t *testing.T) {
	t.Parallel()
	const msgID = "H36010000001202503030900000001"
	for _, tc := range []struct {
		name   string
		change map[string]any
		want   error
	}{
		{"as it should be", nil, nil},
		{"numbers as text", map[string]any{"medfee_sumamt": "520.0000", "psn_cash_pay": "260.6"}, nil},
		{"cash by its other name", map[string]any{"psn_cash_pay": nil, "pdn_cash_pay": 260.6}, nil},
		{"psn_part_amt null", map[string]any{"psn_part_amt": nil}, nil},
		{"no msgid told", map[string]any{"medins_setl_id": nil}, nil},
		{"visit as a number", map[string]any{"psn_no": "P1", "setl_id": 7001}, nil},
		{"E1", map[string]any{"inscp_scp_amt": 408.01}, ErrUnequal},
		{"E2", map[string]any{"psn_cash_pay": 260.59}, ErrUnequal},
		{"E3", map[string]any{"psn_part_amt": 450.61}, ErrUnequal},
		{"E4", map[string]any{"fund_pay_sumamt": 59.39}, ErrUnequal},
		{"E5", map[string]any{"hosp_part_amt": 9, "psn_cash_pay": 261.6, "psn_part_amt": 451.6}, ErrUnequal},
		{"E6", map[string]any{"act_pay_dedc": 408.01}, ErrUnequal},
		{"negative deductible", map[string]any{"act_pay_dedc": -1}, ErrUnequal},
		{"negative part", map[string]any{"cvlserv_pay": -20, "hifp_pay": 79.4}, ErrUnequal},
		{"negative cash", map[string]any{"psn_cash_pay": -260.6, "acct_pay": 711.2}, ErrUnequal},
		{"another total", map[string]any{"medfee_sumamt": 521, "psn_cash_pay": 261.6, "fulamt_ownpay_amt": 101}, ErrUnequal},
		{"no cash field", map[string]any{"psn_cash_pay": nil}, ErrUnreadable},
		{"no total", map[string]any{"medfee_sumamt": nil}, ErrUnreadable},
		{"no setl_id", map[string]any{"setl_id": nil}, ErrUnreadable},
		{"another visit", map[string]any{"mdtrt_id": "M2"}, ErrUnreadable},
		{"another person", map[string]any{"psn_no": "P2"}, ErrUnreadable},
		{"another message", map[string]any{"medins_setl_id": "x"}, ErrUnreadable},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			info := setl(msgID)
			for k, v := range tc.change {
				info[k] = v
			}
			c := client(t, answer(200, setlAnswer(t, info)), nil)
			out, err := c.Settle(context.Background(), msgID, claimOf(t))
			if !errors.Is(err, tc.want) || (tc.want != nil && fault.KindOf(err) != fault.Unknown) {
				t.Fatalf("Settle() = %v, want %v", err, tc.want)
			}
			if tc.want == nil && (out.Split.Cash != 26060 || out.Split.OtherFund != 2000 || out.Split.HospitalBorne != 1000 || out.Split.PooledFund != 3940) {
				t.Errorf("split = %+v", out.Split)
			}
		})
	}
	c := client(t, answer(200, setlAnswer(t, setl("other"))), func(c *Config) { c.Profile.MsgIDNotEchoed = true })
	if _, err := c.Settle(context.Background(), msgID, claimOf(t)); err != nil {
		t.Errorf("where the msgid is not echoed: %v", err)
	}
}

// The settlement's time decides its day: the platform's, else the answer's, else ours; clearing fields fall back to the Profile.
func TestSettledAt(t *testing.T) {
	t.Parallel()
	const msgID = "H36010000001202503030900000001"
	for _, tc := range []struct {
		name, setlTime, respond string
		want                    time.Time
	}{
		{"setl_time", "2025-03-03 23:59:59", "20250304000001000", time.Date(2025, 3, 3, 23, 59, 59, 0, clock.Shanghai)},
		{"respond_time", "", "20250304000001000", time.Date(2025, 3, 4, 0, 0, 1, 0, clock.Shanghai)},
		{"ours", "soon", "", time.Date(2025, 3, 3, 1, 0, 0, 0, time.UTC)},
	} {
		info := setl(msgID)
		info["setl_time"], info["clr_optins"], info["clr_way"], info["clr_type"] = tc.setlTime, nil, nil, nil
		body := strings.Replace(setlAnswer(t, info), "20250303090002123", tc.respond, 1)
		c := client(t, answer(200, body), func(c *Config) { c.Profile.ClrOptins, c.Profile.ClrWay = "360100", "99" })
		out, err := c.Settle(context.Background(), msgID, claimOf(t))
		if err != nil || !out.SettledAt.Equal(tc.want) || out.ClrOptins != "360100" || out.ClrWay != "99" || out.ClrType != "11" {
			t.Errorf("%s: %+v, %v, want %s", tc.name, out, err, tc.want)
		}
	}
}

// Whatever the area's habits, a settlement that adds up is read back exactly, and one that is a fen off is not read at all.
func TestEquations(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		fen := func(name string) money.Fen { return money.Fen(rapid.Int64Range(0, 1_000_000).Draw(t, name)) }
		p := Profile{FundContainsAccount: rapid.Bool().Draw(t, "guangdong"), FamilyAccount: Apart, HospitalPart: Apart}
		if rapid.Bool().Draw(t, "family inside") {
			p.FamilyAccount = InsideAccount
		}
		if rapid.Bool().Draw(t, "hospital inside") {
			p.HospitalPart = InsideFund
		}
		pooled, civil, large, account, family, hospital, cash := fen("pooled"), fen("civil"), fen("large"), fen("account"), fen("family"), fen("hospital"), fen("cash")
		total := pooled + civil + large + account + family + hospital + cash
		scope := money.Fen(rapid.Int64Range(0, int64(total)).Draw(t, "in scope"))
		self := money.Fen(rapid.Int64Range(0, int64(total-scope)).Draw(t, "first self-pay"))
		yuan := money.InYuan
		i := setlinfo{Total: yuan(total), FullySelf: yuan(total - scope - self), OverLimit: yuan(0), FirstSelf: yuan(self), InScope: yuan(scope),
			Deductible: yuan(scope), Pooled: yuan(pooled), CivilServant: yuan(civil), LargeAmount: yuan(large), Person: yuan(account + family + cash),
			Account: yuan(account), Cash: yuan(cash), Hospital: yuan(hospital), Family: yuan(family)}
		fund := pooled + civil + large
		if p.FamilyAccount == InsideAccount {
			i.Account = yuan(account + family)
		}
		listed := fund + i.Account.Fen + hospital
		if p.FundContainsAccount {
			fund += i.Account.Fen
		}
		if p.HospitalPart == InsideFund {
			fund += hospital
		}
		i.Fund = yuan(fund)
		detail := []setlfunds{{Kind: "310100", Amount: yuan(listed)}}
		got, err := p.normalise(settleOutput{Info: &i, Detail: detail}, total)
		want := amounts{echo: settlement.Echo{FullySelfPaid: i.FullySelf.Fen, FirstSelfPaid: self, InScope: scope}}
		want.split.PooledFund, want.split.OtherFund, want.split.Account = pooled, civil+large, account
		want.split.FamilyAccount, want.split.HospitalBorne, want.split.Cash = family, hospital, cash
		if err != nil || got != want {
			t.Fatalf("normalise() = %+v, %v\nwant %+v", got, err, want)
		}
		off := money.Fen(rapid.SampledFrom([]int64{-1, 1}).Draw(t, "off by"))
		for name, y := range map[string]*money.Yuan{"total": &i.Total, "fully": &i.FullySelf, "over": &i.OverLimit, "first": &i.FirstSelf, "scope": &i.InScope,
			"pooled": &i.Pooled, "civil": &i.CivilServant, "fund": &i.Fund, "account": &i.Account, "cash": &i.Cash, "detail": &detail[0].Amount} {
			keep := *y
			y.Fen += off
			if _, err := p.normalise(settleOutput{Info: &i, Detail: detail}, total); !errors.Is(err, ErrUnequal) {
				t.Fatalf("%s off by %d: %v, want ErrUnequal", name, off, err)
			}
			*y = keep
		}
	})
}

// The captured message of §8.6 and the published inpatient sums add up in the form of the document.
func TestCapturedAmounts(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name, body string
		total      money.Fen
	}{
		{"outpatient 4.52", `{"setlinfo":{"medfee_sumamt":4.52,"fulamt_ownpay_amt":0,"overlmt_selfpay":0,"preselfpay_amt":0.23,"inscp_scp_amt":4.29,
			"act_pay_dedc":4.29,"hifp_pay":0,"fund_pay_sumamt":0,"psn_part_amt":4.52,"acct_pay":4.52,"psn_cash_pay":0,"hosp_part_amt":0,"acct_mulaid_pay":0},
			"setldetail":[{"fund_pay_type":"310200","fund_payamt":4.52}]}`, 452},
		{"23442.46", `{"setlinfo":{"medfee_sumamt":23442.46,"fulamt_ownpay_amt":2533.97,"overlmt_selfpay":1396.89,"preselfpay_amt":703.44,
			"inscp_scp_amt":18808.16,"hifp_pay":0,"hifob_pay":18785.39,"fund_pay_sumamt":18785.39,"psn_part_amt":4152.06,"acct_pay":170.04,
			"psn_cash_pay":3982.02,"hosp_part_amt":505.01},"setldetail":[{"fund_payamt":18785.39},{"fund_payamt":505.01},{"fund_payamt":170.04}]}`, 2344246},
	} {
		var out settleOutput
		if err := json.Unmarshal([]byte(tc.body), &out); err != nil {
			t.Fatal(err)
		}
		p := Profile{}
		if err := p.complete(); err != nil {
			t.Fatal(err)
		}
		if a, err := p.normalise(out, tc.total); err != nil || a.split.Total() != tc.total {
			t.Errorf("%s: %+v, %v", tc.name, a, err)
		}
	}
}

func TestInForceAnswers(t *testing.T) {
	t.Parallel()
	visit := settlement.Visit{PersonNo: "P1", MdtrtID: "M1", CoverageArea: area}
	for _, tc := range []struct {
		name, info string
		on         bool
		want       error
	}{
		{"flag 0", `{"setl_id":"S1","refd_setl_flag":"0"}`, true, nil},
		{"flag as a number", `{"refd_setl_flag":1}`, false, nil},
		{"negative amounts", `{"setl_id":"S1","medfee_sumamt":-5}`, false, nil},
		{"no flag", `{"setl_id":"S1","medfee_sumamt":5}`, false, ErrUnreadable},
		{"another settlement", `{"setl_id":"S2","refd_setl_flag":"0"}`, false, ErrUnreadable},
		{"another visit", `{"mdtrt_id":"M2","refd_setl_flag":"0"}`, false, ErrUnreadable},
		{"nothing", `null`, false, ErrUnreadable},
	} {
		c := client(t, answer(200, `{"infcode":0,"output":{"setlinfo":`+tc.info+`}}`), nil)
		if on, err := c.InForce(context.Background(), visit, "S1"); on != tc.on || !errors.Is(err, tc.want) {
			t.Errorf("%s: %v, %v, want %v, %v", tc.name, on, err, tc.on, tc.want)
		}
	}
}

func TestCancelAnswers(t *testing.T) {
	t.Parallel()
	visit := settlement.Visit{PersonNo: "P1", MdtrtID: "M1", CoverageArea: area}
	for _, tc := range []struct {
		name, output string
		want         error
	}{
		{"nulls", `{"setlinfo":{"mdtrt_id":"M1","medfee_sumamt":null,"pdn_cash_pay":"-1.00"}}`, nil},
		{"another visit", `{"setlinfo":{"mdtrt_id":"M2"}}`, ErrUnreadable},
		{"no node", `{}`, nil},
	} {
		c := client(t, answer(200, `{"infcode":0,"output":`+tc.output+`}`), nil)
		if err := c.Cancel(context.Background(), c.MsgID(), visit, "S1"); !errors.Is(err, tc.want) {
			t.Errorf("%s: Cancel() = %v, want %v", tc.name, err, tc.want)
		}
	}
}

// What a claim lacks is found before anything is sent.
func TestClaimRefused(t *testing.T) {
	t.Parallel()
	b := func(c *settlement.Claim) *bill.Bill { return &c.Bills[0] }
	for name, change := range map[string]func(*settlement.Claim, *Config){
		"no bills": func(c *settlement.Claim, _ *Config) { c.Bills = nil },
		"two visits": func(c *settlement.Claim, _ *Config) {
			x := testBill()
			x.Visit.No = "GH2"
			c.Bills = append(c.Bills, x)
		},
		"total":              func(c *settlement.Claim, _ *Config) { c.Total-- },
		"nothing insured":    func(c *settlement.Claim, _ *Config) { b(c).Lines = b(c).Lines[3:]; c.Total = 0 },
		"no time":            func(c *settlement.Claim, _ *Config) { b(c).Lines[0].OccurredAt = time.Time{} },
		"external, no rx":    func(c *settlement.Claim, _ *Config) { b(c).Lines[0].External, b(c).Lines[0].PrescriptionNo = true, "" },
		"decimals":           func(c *settlement.Claim, _ *Config) { l := &b(c).Lines[0]; l.Price = l.Price.Shift(-9).Add(l.Price) },
		"no catalogue code":  func(c *settlement.Claim, _ *Config) { b(c).Lines[0].CatalogueCode = "" },
		"code too long":      func(c *settlement.Claim, _ *Config) { b(c).Lines[0].HospitalCode = strings.Repeat("x", 151) },
		"no diagnosis":       func(c *settlement.Claim, _ *Config) { b(c).Visit.Diagnoses = nil },
		"diagnosis order":    func(c *settlement.Claim, _ *Config) { b(c).Visit.Diagnoses[0].Order = 100 },
		"diagnosis code":     func(c *settlement.Claim, _ *Config) { b(c).Visit.Diagnoses[0].Code = "" },
		"medical type":       func(c *settlement.Claim, _ *Config) { b(c).Visit.MedType = "" },
		"chronic, no code":   func(c *settlement.Claim, _ *Config) { b(c).Visit.MedType = "14" },
		"no doctor code":     func(c *settlement.Claim, _ *Config) { c.Visit.MdtrtID, b(c).Visit.DoctorCode = "", "" },
		"batch too long":     func(c *settlement.Claim, _ *Config) { c.BatchNo = strings.Repeat("9", 31) },
		"visit without area": func(c *settlement.Claim, _ *Config) { c.Visit.MdtrtID = strings.Repeat("9", 31) },
		"chronic, no days": func(c *settlement.Claim, cfg *Config) {
			cfg.Profile.DaysRequired = true
			b(c).Visit.MedType, b(c).Visit.DiseaseCode, b(c).Lines[0].Days = "14", "M1", "一周"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			claim := claimOf(t)
			cfg := testConfig(clock.NewFake(time.Date(2025, 3, 3, 1, 0, 0, 0, time.UTC)))
			change(&claim, &cfg)
			sent := ""
			c, err := New(cfg, tripper(func(r *http.Request) (*http.Response, error) {
				body, _ := io.ReadAll(r.Body)
				sent += string(body)
				return answer(200, `{"infcode":0,"output":{}}`)(r)
			}))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Presettle(context.Background(), claim); !errors.Is(err, ErrClaim) {
				t.Errorf("Presettle() = %v, want ErrClaim", err)
			}
			if sent != "" {
				t.Errorf("something was sent: %s", sent)
			}
		})
	}
	c := client(t, answer(200, ""), nil)
	if _, err := c.Settle(context.Background(), "short", claimOf(t)); !errors.Is(err, ErrClaim) {
		t.Errorf("Settle with a short msgid = %v, want ErrClaim", err)
	}
	if err := c.Reverse(context.Background(), c.MsgID(), settlement.Visit{}, "2201", c.MsgID()); !errors.Is(err, ErrClaim) {
		t.Errorf("Reverse of a 2201 = %v, want ErrClaim", err)
	}
	if err := c.Cancel(context.Background(), c.MsgID(), settlement.Visit{}, ""); !errors.Is(err, ErrClaim) {
		t.Errorf("Cancel without numbers = %v, want ErrClaim", err)
	}
	if _, err := c.InForce(context.Background(), settlement.Visit{}, ""); !errors.Is(err, ErrClaim) {
		t.Errorf("InForce without numbers = %v, want ErrClaim", err)
	}
	if err := c.Withdraw(context.Background(), settlement.Claim{}); err != nil {
		t.Errorf("Withdraw of what never was = %v", err)
	}
}

func TestCredential(t *testing.T) {
	t.Parallel()
	now := time.Date(2025, 3, 3, 1, 0, 0, 0, time.UTC)
	both := settlement.Person{IDNumber: testID(t), Token: sensitive.NewToken("T"), UsableUntil: now.Add(time.Second)}
	old := both
	old.UsableUntil = now
	for _, tc := range []struct {
		name   string
		p      settlement.Person
		prof   Profile
		kind   string
		refuse bool
	}{
		{"token", both, Profile{}, "01", false},
		{"token run out", old, Profile{}, "", true},
		{"token run out, card allowed", old, Profile{CardAfterToken: true}, "02", false},
		{"card", both, Profile{Credential: ByCard}, "02", false},
		{"nobody", settlement.Person{}, Profile{Credential: ByCard}, "", true},
	} {
		c := client(t, answer(200, ""), func(c *Config) { c.Profile = tc.prof })
		kind, _, err := c.credential(tc.p)
		if kind != tc.kind || errors.Is(err, ErrCredential) != tc.refuse {
			t.Errorf("%s: %q, %v", tc.name, kind, err)
		}
	}
}

func TestChooseInsurance(t *testing.T) {
	t.Parallel()
	row := func(kind, state, paused, where string) insuranceRow {
		return insuranceRow{Type: loose(kind), State: loose(state), Paused: loose(paused), Area: loose(where)}
	}
	c := client(t, answer(200, ""), nil)
	for _, tc := range []struct {
		name, wanted string
		rows         []insuranceRow
		want         string
	}{
		{"310 before 390", "", []insuranceRow{row("390", "1", "", "110000"), row("310", "1", "", area)}, "310 " + area},
		{"any before none", "", []insuranceRow{row("340", "1", "", area)}, "340 " + area},
		{"our area first", "", []insuranceRow{row("310", "1", "", "110000"), row("310", "", "", area)}, "310 " + area},
		{"paused today", "", []insuranceRow{row("310", "1", "2025-03-03", area), row("390", "1", "", area)}, "390 " + area},
		{"paused tomorrow", "", []insuranceRow{row("310", "1", "2025-03-04 00:00:00", area)}, "310 " + area},
		{"ended", "", []insuranceRow{row("310", "4", "", area)}, ""},
		{"what the HIS chose", "390", []insuranceRow{row("390", "1", "", area), row("310", "1", "", area)}, "390 " + area},
		{"the HIS chose what is not there", "510", []insuranceRow{row("310", "1", "", area)}, ""},
		{"no area", "", []insuranceRow{row("310", "1", "", "")}, ""},
		{"none", "", nil, ""},
	} {
		got, err := c.choose(tc.rows, &settlement.Visit{InsuranceType: tc.wanted}, &bill.Visit{})
		if s := fmt.Sprintf("%s %s", got.Type, got.Area); (tc.want == "") != errors.Is(err, ErrNoCover) || (tc.want != "" && s != tc.want) {
			t.Errorf("%s: %s, %v, want %q", tc.name, s, err, tc.want)
		}
	}
}

// A person whom the platform does not take for the patient is nobody to settle for.
func TestPersonAnswers(t *testing.T) {
	t.Parallel()
	id := testID(t).Reveal()
	cover := `,"insuinfo":[{"insutype":"310","psn_insu_stas":"1","insuplc_admdvs":"360100"}]`
	for _, tc := range []struct {
		name, output string
		want         error
	}{
		{"another identity number", `{"baseinfo":{"psn_no":"P1","certno":"110101199003071233","psn_name":"张试验"}` + cover + `}`, ErrPerson},
		{"another name", `{"baseinfo":{"psn_no":"P1","certno":"` + id + `","psn_name":"李试验"}` + cover + `}`, ErrPerson},
		{"no number", `{"baseinfo":{"psn_name":"张试验"}` + cover + `}`, ErrUnreadable},
		{"no cover", `{"baseinfo":{"psn_no":"P1"},"insuinfo":[]}`, ErrNoCover},
		{"another number than the HIS's", `{"baseinfo":{"psn_no":"P2"}` + cover + `}`, ErrPerson},
		{"masked", `{"baseinfo":{"psn_no":"P1","certno":"360***","psn_name":"张*"}` + cover + `}`, nil},
	} {
		c := client(t, answer(200, `{"infcode":0,"output":`+tc.output+`}`), nil)
		claim := claimOf(t)
		claim.Visit = settlement.Visit{VisitNo: "V1", PersonNo: map[bool]string{true: "P1"}[tc.name == "another number than the HIS's"]}
		at := claim.Visit
		err := c.findPerson(context.Background(), claim, &claim.Bills[0].Visit, &at)
		if !errors.Is(err, tc.want) || (tc.want == nil && at.PersonNo != "P1") {
			t.Errorf("%s: %v, %+v, want %v", tc.name, err, at, tc.want)
		}
	}
}

func TestOtherAnswers(t *testing.T) {
	t.Parallel()
	claim := claimOf(t)
	ctx := context.Background()
	v := &claim.Bills[0].Visit
	for name, output := range map[string]string{"no number": `{"data":{}}`, "another visit": `{"data":{"mdtrt_id":"M1","ipt_otp_no":"V9"}}`} {
		at := claim.Visit
		at.MdtrtID = ""
		if err := client(t, answer(200, `{"infcode":0,"output":`+output+`}`), nil).register(ctx, claim, v, &at); !errors.Is(err, ErrUnreadable) {
			t.Errorf("2201, %s: %v, want ErrUnreadable", name, err)
		}
	}
	for name, tc := range map[string]struct {
		output string
		want   error
	}{
		"too few rows":   {`{"result":[]}`, ErrUnreadable},
		"another amount": {`{"result":[{"feedetl_sn":"B1-0001","det_item_fee_sumamt":1},{"feedetl_sn":"B1-0002"},{"feedetl_sn":"B1-0003"}]}`, ErrUnequal},
		"a row twice":    {`{"result":[{"feedetl_sn":"B1-0001"},{"feedetl_sn":"B1-0001"},{"feedetl_sn":"B1-0003"}]}`, ErrUnequal},
		"all rows":       {`{"result":[{"feedetl_sn":"B1-0003"},{"feedetl_sn":"B1-0001","det_item_fee_sumamt":"300"},{"feedetl_sn":"B1-0002"}]}`, nil},
	} {
		if err := client(t, answer(200, `{"infcode":0,"output":`+tc.output+`}`), nil).uploadRows(ctx, claim, v, &claim.Visit); !errors.Is(err, tc.want) {
			t.Errorf("2204, %s: %v, want %v", name, err, tc.want)
		}
	}
	lost := client(t, answer(500, ""), nil)
	if err := lost.Withdraw(ctx, claim); fault.KindOf(err) != fault.Unknown || !strings.Contains(err.Error(), "2205") {
		t.Errorf("Withdraw = %v, want Unknown at 2205", err)
	}
	refused := client(t, answer(200, `{"infcode":-1,"err_msg":"x"}`), func(c *Config) { c.Profile.PlainVisit = true })
	if err := refused.Withdraw(ctx, claim); fault.KindOf(err) != fault.Rejected || !strings.Contains(err.Error(), "2202") {
		t.Errorf("Withdraw = %v, want Rejected at 2202", err)
	}
	if _, err := refused.Presettle(ctx, claim); fault.KindOf(err) != fault.Rejected || !strings.Contains(err.Error(), "2203A visit") {
		t.Errorf("Presettle = %v, want Rejected at the visit", err)
	}
}

func TestClean(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ in, want string }{
		{"余额不足", "余额不足"},
		{" 第一行\r\n第二行\t\x00 ", "第一行  第二行"},
		{"证件36010019900307123X无效", "证件***无效"},
		{"电话13812345678,批次B1", "电话***,批次B1"},
		{"张试验待遇暂停", "***待遇暂停"},
		{strings.Repeat("长", 300), strings.Repeat("长", 200)},
	} {
		if got := sensitive.Scrub(tc.in, "张试验", ""); got != tc.want {
			t.Errorf("Scrub(%q) = %q, want %q", tc.in, got, tc.want)
		}
	}
}

func TestRowNo(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, batch := range []string{"B1", strings.Repeat("9", 30)} {
		for i := range 2000 {
			no := rowNo(batch, i+1, "MZ1", fmt.Sprint(i))
			if len(no) > 30 || seen[no] {
				t.Fatalf("row number %q is too long or taken", no)
			}
			seen[no] = true
		}
	}
}

// FuzzAnswer reads arbitrary bytes as the answer to each call: no panic, and never a success without a split that adds up.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte(`{"infcode":0,"output":{"setlinfo":{"medfee_sumamt":"4.52"}}}`))
	f.Add([]byte(`{"infcode":"0","output":"{\"baseinfo\":{}}"}`))
	f.Add([]byte(`{"infcode":-1,"err_msg":"x"}`))
	f.Add([]byte("\xef\xbb\xbf{}"))
	f.Fuzz(func(t *testing.T, body []byte) {
		c := client(t, answer(200, string(body)), nil)
		claim := claimOf(t)
		ctx := context.Background()
		if out, err := c.Settle(ctx, c.MsgID(), claim); err == nil && (out.Split.Check(claim.Total) != nil || out.SetlID == "") {
			t.Errorf("Settle() = %+v without an error", out)
		}
		if p, err := c.Repeat(ctx, claim); err == nil && p.Split.Check(claim.Total) != nil {
			t.Errorf("Repeat() = %+v without an error", p)
		}
		_, err := c.InForce(ctx, claim.Visit, "S1")
		for _, e := range []error{err, c.Cancel(ctx, c.MsgID(), claim.Visit, "S1"), c.Reverse(ctx, c.MsgID(), claim.Visit, "2207", c.MsgID())} {
			if e != nil && fault.KindOf(e) != fault.Rejected && fault.KindOf(e) != fault.Unknown {
				t.Errorf("%v has kind %s", e, fault.KindOf(e))
			}
		}
		claim.Visit = settlement.Visit{VisitNo: "V1"}
		if _, err := c.Presettle(ctx, claim); err == nil {
			t.Error("one answer for a whole chain, and no error")
		}
	})
}
