//go:build interop

package mobile

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// bodies is how many envelopes go each way (make interop).
const bodies = 1000

// peer is the same envelope in JavaScript (.ci/interop), written from the reference by itself.
type peer struct {
	t   *testing.T
	in  *json.Encoder
	out *bufio.Scanner
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "node", "../../../.ci/interop/peer.js")
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err1 != nil || err2 != nil || cmd.Start() != nil {
		t.Fatal("node does not start: run .ci/interop/run")
	}
	t.Cleanup(func() { _ = in.Close(); _ = cmd.Wait() })
	p := &peer{t: t, in: json.NewEncoder(in), out: bufio.NewScanner(out)}
	p.out.Buffer(nil, 16<<20)
	return p
}

type told struct {
	SignText string `json:"signText"`
	Envelope string `json:"envelope"`
	Verified bool   `json:"verified"`
	Data     string `json:"data"`
	Hex      string `json:"hex"`
	Error    string `json:"error"`
}

func (p *peer) ask(request map[string]any) told {
	p.t.Helper()
	if err := p.in.Encode(request); err != nil || !p.out.Scan() {
		p.t.Fatalf("the other side is gone: %v, %v", err, p.out.Err())
	}
	var a told
	if err := json.Unmarshal(p.out.Bytes(), &a); err != nil || a.Error != "" {
		p.t.Fatalf("the other side says %q, %v", a.Error, err)
	}
	return a
}

// chance makes bodies: nested, Chinese, with empty values, odd characters, and numbers in every form.
type chance struct{ *rand.Rand }

func pick[T any](c chance, from ...T) T { return from[c.IntN(len(from))] }

func (c chance) name() string {
	return pick(c, "diseCodg", "diseName", "diseinfoList", "medOrgOrd", "medType", "medfeeSumamt", "a", "A", "ab", "_x", "名称", "9", "a.b", "__proto__x") +
		pick(c, "", "", fmt.Sprint(c.IntN(20)))
}

func (c chance) leaf() any {
	switch c.IntN(8) {
	case 0:
		return nil
	case 1:
		return c.IntN(2) == 0
	case 2, 3:
		return json.Number(pick(c, "0", "1", "-1", "10.00", "15.54", "0.10", "-0.5", "1700000000000", "123456789012345678901234567890", "1.0E5", "2e-3"))
	default:
		parts := []string{"", "高平市人民医院", "张伟明", "<b>&amp;</b>", `"\/'`, "\n\t\b\f\r", "\u0001\u001f", "\u007f\u0085", "\u2028\u2029", "😀𠮷", "a=b&c", " x "}
		var s strings.Builder
		for range c.IntN(3) {
			s.WriteString(pick(c, parts...))
		}
		return s.String()
	}
}

func (c chance) value(depth int) any {
	switch {
	case depth > 0 && c.IntN(4) == 0:
		return c.object(depth-1, c.IntN(6))
	case depth > 0 && c.IntN(5) == 0:
		list := make([]any, c.IntN(5))
		for i := range list {
			list[i] = c.value(depth - 1)
		}
		return list
	}
	return c.leaf()
}

func (c chance) object(depth, members int) map[string]any {
	m := map[string]any{}
	for range members {
		m[c.name()] = c.value(depth)
	}
	return m
}

func (c chance) text(n int) string {
	var s strings.Builder
	for range n {
		s.WriteByte(pick(c, []byte("0123456789ABCDEFabcdef-_")...))
	}
	return s.String()
}

// head is an envelope around the body, with whatever else an answer may carry.
func (c chance) head(appID string) map[string]any {
	m := map[string]any{"appId": appID, "encType": "SM4", "signType": "SM2", "version": "2.0.1", "timestamp": pick[any](c, "20260903000000", json.Number("1788393600000")),
		"code": pick[any](c, "0", json.Number("0")), "success": pick[any](c, true, "true"), "message": pick[any](c, "", "成功", nil), "extra": pick[any](c, "x", map[string]any{"y": "z"})}
	if c.IntN(2) == 0 {
		m["trace"] = c.value(2)
	}
	return m
}

func written(t *testing.T, v any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func canonicalOf(t *testing.T, data map[string]any) string {
	t.Helper()
	f := form{leaves: RawLeaves, keepEmpty: true}
	var b bytes.Buffer
	if err := canonical(&b, tidy(data, f), f); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// TestInteropEnvelope: what Go seals JavaScript opens and verifies, what JavaScript seals Go opens and verifies, the signed texts are the same
// byte for byte, and neither takes what was altered.
func TestInteropEnvelope(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	for half := range 2 { // one node process for each core
		t.Run(fmt.Sprint("part ", half+1), func(t *testing.T) {
			t.Parallel()
			c, p := chance{rand.New(rand.NewPCG(seed, uint64(half)))}, newPeer(t)
			counts := map[string]int{}
			for range bodies / 2 {
				round(t, c, p, counts)
				if t.Failed() {
					return
				}
			}
			t.Logf("envelopes: %v", counts)
		})
	}
}

func round(t *testing.T, c chance, p *peer, counts map[string]int) {
	t.Helper()
	appID, secret := c.text(16+c.IntN(17)), sensitive.NewKey(c.text(1+c.IntN(40)))
	userID := pick(c, standardUserID, secret.Reveal(), "用户标识")
	ours, theirs := gm.GenerateKey(), gm.GenerateKey()
	key, err := deriveKey(appID, secret)
	if err != nil {
		t.Fatal(err)
	}
	s := sealer{appID: appID, secret: secret, key: key, private: ours, platform: theirs.Public(), userID: userID, leaves: pick(c, StringLeaves, RawLeaves),
		verify: []LeafMode{StringLeaves, RawLeaves}}
	request := map[string]any{"appId": appID, "secret": secret.Reveal(), "userId": userID, "privateKey": hex.EncodeToString(theirs.Reveal()),
		"ownPublicKey": hex.EncodeToString(theirs.Public().Bytes()), "publicKey": hex.EncodeToString(ours.Public().Bytes())}
	goToJS(t, c, p, s, request, counts)
	jsToGo(t, c, p, s, request, counts)
}

func goToJS(t *testing.T, c chance, p *peer, s sealer, request map[string]any, counts map[string]int) {
	t.Helper()
	envelope, f := c.head(s.appID), form{leaves: s.leaves}
	envelope["data"] = c.object(4, 1+c.IntN(12))
	want, err := signText(envelope, s.secret.Reveal(), f)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := s.seal(envelope)
	if err != nil {
		t.Fatal(err)
	}
	request["op"], request["leaves"], request["keep"], request["envelope"] = "open", f.leaves, f.keepEmpty, written(t, sealed)
	var sent bytes.Buffer
	if err := canonical(&sent, tidy(envelope["data"], f), f); err != nil {
		t.Fatal(err)
	}
	a := p.ask(request)
	if !a.Verified || a.SignText != want || a.Data != sent.String() {
		t.Fatalf("JavaScript opens what Go sealed: verified %v\n%s\n%s", a.Verified, a.SignText, want)
	}
	counts["Go to JavaScript"]++
	if c.IntN(10) == 0 {
		sealed["version"] = "2.0.2"
		request["envelope"] = written(t, sealed)
		if p.ask(request).Verified {
			t.Fatal("JavaScript takes an altered envelope")
		}
		counts["altered, refused by JavaScript"]++
	}
}

func jsToGo(t *testing.T, c chance, p *peer, s sealer, request map[string]any, counts map[string]int) {
	t.Helper()
	f := form{leaves: pick(c, StringLeaves, RawLeaves), keepEmpty: c.IntN(2) == 0}
	head, body := c.head(s.appID), c.object(4, 1+c.IntN(12))
	request["op"], request["leaves"], request["keep"], request["head"], request["body"] = "seal", f.leaves, f.keepEmpty, written(t, head), written(t, body)
	a := p.ask(request)
	envelope, err := parseObject([]byte(a.Envelope))
	if err != nil {
		t.Fatal(err)
	}
	data, _, err := s.open(envelope)
	if err != nil {
		t.Fatalf("Go opens what JavaScript sealed as %s: %v\n%s", f, err, a.SignText)
	}
	head["data"] = data
	if got, err := signText(head, s.secret.Reveal(), f); err != nil || got != a.SignText || canonicalOf(t, data) != canonicalOf(t, body) {
		t.Fatalf("sign text of JavaScript and of Go (%s), %v:\n%s\n%s", f, err, a.SignText, got)
	}
	counts["JavaScript to Go"]++
	if c.IntN(10) == 0 {
		envelope["timestamp"] = "20260903000001"
		if _, _, err := s.open(envelope); err == nil {
			t.Fatal("Go takes an altered envelope")
		}
		counts["altered, refused by Go"]++
	}
}
