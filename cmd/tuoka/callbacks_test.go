package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/money"
)

// sender is a HIS as somebody with its keys in hand: it signs whatever it is told to.
type sender struct {
	at     string // the path that it signs for
	secret []byte
	key    *gm.PrivateKey // signs instead of the secret
}

// senders are the two hospitals of the sandbox: the first signs by HMAC-SM3, the second by SM2.
func (p *premises) senders() map[string]*sender {
	p.t.Helper()
	out := map[string]*sender{}
	for _, id := range []string{"h1", "h2"} {
		secret, err := p.sims.secret(own(id, "his_secret"))
		if err != nil {
			p.t.Fatal(err)
		}
		out[id] = &sender{at: "/callbacks/his/" + id, secret: []byte(secret.Reveal())}
	}
	key, err := p.stage.sm2PEM(own("h2", "his_notice.pem"))
	if err != nil {
		p.t.Fatal(err)
	}
	out["h2"].key = key
	return out
}

// letter is a notice as it is sent.
type letter struct {
	path, app, stamp, nonce, contentType string
	body                                 []byte
	signature                            string
}

func (s *sender) letter(body []byte, at time.Time, nonce string) *letter {
	l := &letter{path: s.at, app: "tuoka", stamp: strconv.FormatInt(at.Unix(), 10), nonce: nonce, contentType: "application/json; charset=utf-8", body: body}
	s.sign(l)
	return l
}

// sign signs a letter as it stands.
func (s *sender) sign(l *letter) {
	digest := gm.SM3(l.body)
	text := []byte("POST\n" + s.at + "\n" + l.stamp + "\n" + l.nonce + "\n" + hex.EncodeToString(digest[:]) + "\n")
	sum, err := gm.HMACSM3(s.secret, text)
	if s.key != nil {
		sum, err = gm.SignRaw(s.key, text)
	}
	if err != nil {
		panic(err)
	}
	l.signature = hex.EncodeToString(sum)
}

func (l *letter) request() *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/", strings.NewReader(string(l.body)))
	r.URL.Path = l.path
	for name, value := range map[string]string{"X-His-App": l.app, "X-His-Timestamp": l.stamp, "X-His-Nonce": l.nonce, "X-His-Signature": l.signature,
		"Content-Type": l.contentType} {
		r.Header.Set(name, value)
	}
	return r
}

// sent is what our callback face answers.
func (p *premises) sent(l *letter) *httptest.ResponseRecorder { return p.sentAs(l.request()) }

func (p *premises) sentAs(r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	p.notes.ServeHTTP(w, r)
	return w
}

// standing asks what became of a refund, and returns the answer's data once it is known to be signed by us for this question.
func (p *premises) standing(s *sender, nonce, orderNo, no string) map[string]any {
	p.t.Helper()
	w := p.sent(s.letter(fmt.Appendf(nil, `{"kind":"refund_query","order_no":%q,"his_refund_no":%q}`, orderNo, no), p.house.clock.Now(), nonce))
	digest := gm.SM3(w.Body.Bytes())
	text := []byte("200\n" + w.Header().Get("X-His-Timestamp") + "\n" + nonce + "\n" + hex.EncodeToString(digest[:]) + "\n")
	signature, err := hex.DecodeString(w.Header().Get("X-His-Signature"))
	if err != nil || w.Code != http.StatusOK || w.Header().Get("X-His-Nonce") != nonce {
		p.t.Fatalf("answered %d %s, %v", w.Code, w.Body, w.Header())
	}
	if s.key != nil {
		ours, err := p.stage.sm2PEM(own("h2", "his_answer.pem"))
		if err != nil || !gm.VerifyRaw(ours.Public(), text, signature) {
			p.t.Errorf("the answer is not signed by our key: %v", err)
		}
	} else if sum, err := gm.HMACSM3(s.secret, text); err != nil || string(sum) != string(signature) {
		p.t.Errorf("the answer is not signed by the secret: %v", err)
	}
	var said struct {
		Data map[string]any `json:"data"`
	}
	d := json.NewDecoder(w.Body)
	d.UseNumber()
	if err := d.Decode(&said); err != nil {
		p.t.Fatal(err)
	}
	return said.Data
}

// shutAll makes every counterpart silent until it is opened again.
func (p *premises) shutAll() (open func()) {
	wall := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, port := range []int{wechatMPPort, insurerPort, centrePort, wechatPayPort(0), hisPort(0), wechatPayPort(1), hisPort(1)} {
		p.shut[p.stage.addr(port)] = wall
	}
	return func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		clear(p.shut)
		close(wall)
	}
}

// paidOrder is a patient whose order is completed.
func (p *premises) paidOrder(institution string, seed uint64) *player {
	p.t.Helper()
	one := p.patient(institution, seed)
	if err := one.payBill(p.t.Context()); err != nil || one.order.State != "completed" {
		p.t.Fatalf("the order is %s (%s), %v", one.order.State, one.order.Cause, err)
	}
	return one
}

// TestCallbacksWhileNobodyAnswers: every kind is acknowledged within a second, and a question answered, while no counterpart answers at all. What was
// stored takes its course when they are back; what the HIS hears adds up.
func TestCallbacksWhileNobodyAnswers(t *testing.T) {
	t.Parallel()
	for i, institution := range []string{"h1", "h2"} {
		t.Run(institution, func(t *testing.T) {
			t.Parallel()
			p := openPremises(t, t.TempDir())
			one, his, s := p.paidOrder(institution, 5), p.sims.hospitals[i].his, p.senders()[institution]
			open := p.shutAll()
			ask, err := his.AskRefund(one.order.ID, hissim.Ask{})
			if err != nil {
				t.Fatal(err)
			}
			lines, err := json.Marshal(ask.Lines)
			if err != nil {
				t.Fatal(err)
			}
			bill := one.role.Bills[0]
			for n, body := range []string{
				fmt.Sprintf(`{"kind":"refund_asked","his_refund_no":%q,"order_no":%q,"whole":true,"lines":%s,"total_fen":%d,"note":false}`, ask.HISRefundNo, one.order.ID,
					lines, ask.TotalFen),
				fmt.Sprintf(`{"kind":"bill_created","bill_no":"MZ-NEW","patient_id":%q,"happened_at":"2026-01-01T00:00:00+08:00"}`, one.role.HISID),
				`{"kind":"bill_void","bill_no":"MZ-NEW","order_no":"99"}`, // out of order, of an order that is not ours
				fmt.Sprintf(`{"kind":"bill_changed","bill_no":%q,"order_no":%q}`, bill, one.order.ID),
				fmt.Sprintf(`{"kind":"posting_result","order_no":%q}`, one.order.ID),
				fmt.Sprintf(`{"kind":"settlement_result","order_no":%q}`, one.order.ID),
				`{"kind":"patient_merged","patient_id":"P-B","merged_patient_id":"P-A"}`,
			} {
				began := clock.Real{}.Now()
				w := p.sent(s.letter([]byte(body), began, fmt.Sprintf("nonce-of-notice-%03d", n)))
				if took := (clock.Real{}).Now().Sub(began); w.Code != http.StatusOK || w.Body.String() != `{"code":"0","message":""}` || took > time.Second {
					t.Errorf("%s: answered %d %s after %v", body, w.Code, w.Body, took)
				}
			}
			began := clock.Real{}.Now()
			first := p.standing(s, "nonce-of-question-1", one.order.ID, ask.HISRefundNo)
			if took := (clock.Real{}).Now().Sub(began); (first["state"] != "asked" && first["state"] != "under_way") || took > time.Second {
				t.Errorf("asked while nobody answers: %v after %v", first, took)
			}
			open()
			p.wait("the refund is done, and the hospital has heard so", func() bool {
				a := his.Truth().Asks[0].Platform
				return a != nil && a.State == "done"
			})
			last := p.standing(s, "nonce-of-question-2", one.order.ID, ask.HISRefundNo)
			fen := func(member string) money.Fen {
				n, err := strconv.ParseInt(fmt.Sprint(last[member]), 10, 64)
				if err != nil {
					t.Errorf("%s: %v", member, err)
				}
				return money.Fen(n)
			}
			if last["state"] != "done" || fen("total_fen") != ask.TotalFen || fen("cash_fen")+fen("insurance_fen") != ask.TotalFen || last["done_at"] == nil || last["refund_no"] == "" {
				t.Errorf("at last: %v", last)
			}
			for _, of := range [][2]string{{one.order.ID, "CT-NEVER"}, {"99", ask.HISRefundNo}} {
				if other := p.standing(s, "nonce-of-"+of[1]+"-"+of[0], of[0], of[1]); other["state"] != "unknown" || len(other) != 3 {
					t.Errorf("of %v: %v", of, other)
				}
			}
		})
	}
}

// TestRefundsThatTheHISAsksInVain: what cannot be made is refused with its reason, whoever asks for too much, the wrong sum, or of an order that there is not.
func TestRefundsThatTheHISAsksInVain(t *testing.T) {
	t.Parallel()
	p := openPremises(t, t.TempDir())
	one, s := p.paidOrder("h1", 5), p.senders()["h1"]
	line := func(quantity string, fen int) string {
		b, ok := p.sims.hospitals[0].his.Bill(one.role.Bills[0])
		if !ok {
			t.Fatal("no bill")
		}
		return fmt.Sprintf(`[{"bill_no":%q,"line_no":%q,"quantity":%q,"total_fen":%d}]`, b.No, b.Lines[0].No, quantity, fen)
	}
	for i, tt := range []struct{ name, order, lines, total, cause string }{
		{"more than there is", one.order.ID, line("999999", 100), "100", "REFUND_QUANTITY"},
		{"another amount than the items'", one.order.ID, line("1", 99_999_999), "99999999", "REFUND_AMOUNT"},
		{"an item that is not of it", one.order.ID, `[{"bill_no":"MZ-NOT","line_no":"1","quantity":"1","total_fen":1}]`, "1", "REFUND_LINE_UNKNOWN"},
		{"of an order that there is not", "4711", line("1", 1), "1", "ORDER_NOT_FOUND"},
	} {
		no := fmt.Sprintf("CT-VAIN-%d", i)
		w := p.sent(s.letter(fmt.Appendf(nil, `{"kind":"refund_asked","his_refund_no":%q,"order_no":%q,"whole":false,"lines":%s,"total_fen":%s,"note":false}`, no, tt.order,
			tt.lines, tt.total), p.house.clock.Now(), "nonce-in-vain-00000"+strconv.Itoa(i)))
		if w.Code != http.StatusOK {
			t.Fatalf("%s: answered %d %s", tt.name, w.Code, w.Body)
		}
		var said map[string]any
		tries := 0
		p.wait(tt.name+" is refused", func() bool {
			tries++
			said = p.standing(s, fmt.Sprintf("nonce-in-vain-%d-%08d", i, tries), tt.order, no)
			return said["state"] != "asked"
		})
		if other := p.standing(s, fmt.Sprintf("nonce-of-another-%d", i), "4712", no); other["state"] != "unknown" || len(other) != 3 {
			t.Errorf("%s, asked of another order: %v", tt.name, other)
		}
		if text, _ := said["cause_text"].(string); said["state"] != "refused" || said["cause"] != tt.cause || text == "" {
			t.Errorf("%s: %v", tt.name, said)
		}
	}
	if n := count(t, p.data, "SELECT COUNT(*) FROM refund"); n != 0 {
		t.Errorf("%d refunds", n)
	}
}

// TestMergedArchives: an archive is merged while its order waits for the password. The order ends under the old number, and goes back under it; the next
// one has the new number.
func TestMergedArchives(t *testing.T) {
	t.Parallel()
	p := openPremises(t, t.TempDir())
	one, his := p.prepared("h1", 5), p.sims.hospitals[0].his
	if one.order.NextAction != "pay" {
		t.Fatalf("the order waits for %s", one.order.NextAction)
	}
	old := one.role.HISID
	kept, err := his.AddPatient(hissim.Patient{Name: one.role.Name, IDNo: one.role.IDNumber})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := his.MergeArchives(old, kept.ID); err != nil {
		t.Fatal(err)
	}
	p.wait("the patient has the archive that remains", func() bool {
		return count(t, p.data, "SELECT COUNT(*) FROM patient WHERE his_patient = ?", kept.ID) == 1
	})
	if n := count(t, p.data, "SELECT COUNT(*) FROM audit_record WHERE action = 'patient.merge' AND actor = 'his:h1' AND result = 'ok'"); n != 1 {
		t.Errorf("%d audit records", n)
	}
	if err := one.cashier(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.wait("the order ends", func() bool { return p.look(one).over() })
	if n := count(t, p.data, "SELECT COUNT(*) FROM orders WHERE his_patient = ? AND state = 'completed'", old); n != 1 {
		t.Fatalf("the order is %s (%s)", one.order.State, one.order.Cause)
	}
	ask, err := his.AskRefund(one.order.ID, hissim.Ask{})
	if err != nil {
		t.Fatal(err)
	}
	p.wait("everything goes back", func() bool {
		for _, a := range his.Truth().Asks {
			if a.HISRefundNo == ask.HISRefundNo && a.State == hissim.AskBooked {
				return true
			}
		}
		return false
	})
	b, err := his.Deal(kept.ID, 9, 1)
	if err != nil {
		t.Fatal(err)
	}
	one.role.Bills = []string{b[0].No}
	p.steps(one, one.authorise)
	if err := one.payBill(context.WithoutCancel(t.Context())); err != nil || one.order.State != "completed" {
		t.Fatalf("the next order is %s (%s), %v", one.order.State, one.order.Cause, err)
	}
	if n := count(t, p.data, "SELECT COUNT(*) FROM orders WHERE his_patient = ? AND state = 'completed'", kept.ID); n != 1 {
		t.Errorf("%d orders under the archive that remains", n)
	}
}
