package hissim

import (
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tuoka/tuoka/internal/gm"
)

// The headers of docs/his-interface.md §2, on requests and answers alike.
const (
	headerApp       = "X-His-App"
	headerTimestamp = "X-His-Timestamp"
	headerNonce     = "X-His-Nonce"
	headerSignature = "X-His-Signature"
)

// window is how far a message's time may be off the receiver's clock.
const window = 300 * time.Second

var (
	errApp       = errors.New("hissim: unknown app")
	errTimestamp = errors.New("hissim: time stamp absent or out of the window")
	errNonce     = errors.New("hissim: nonce absent, too short or too long")
	errSignature = errors.New("hissim: wrong signature")
	errReplay    = errors.New("hissim: nonce seen before")
)

// gate checks what knocks: app, time, signature, and that no nonce comes twice within the window.
type gate struct {
	app    string
	secret []byte
	defect Defect

	mu   sync.Mutex
	seen map[string]time.Time // nonce → when it may be forgotten
}

// open verifies one request. The signature stands before the replay check, so that a forger cannot burn nonces.
func (g *gate) open(r *http.Request, body []byte, now time.Time) error {
	if r.Header.Get(headerApp) != g.app {
		return errApp
	}
	stamp := r.Header.Get(headerTimestamp)
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil || g.late(time.Unix(seconds, 0), now) {
		return errTimestamp
	}
	nonce := r.Header.Get(headerNonce)
	if len(nonce) < 16 || len(nonce) > 64 {
		return errNonce
	}
	want := g.seal(r.Method, r.URL.EscapedPath(), stamp, nonce, body)
	if given := r.Header.Get(headerSignature); !hmac.Equal([]byte(want), []byte(given)) && !g.lax(given) {
		return errSignature
	}
	return g.once(nonce, now)
}

// late reports whether a time is out of the window.
func (g *gate) late(at, now time.Time) bool {
	switch g.defect {
	case AcceptsStale:
		return false
	case SlowClock:
		now = now.Add(-window / 2)
	}
	return now.Sub(at).Abs() > window
}

// lax reports whether a signature that does not fit is taken all the same, by a defect.
func (g *gate) lax(given string) bool {
	return g.defect == AcceptsForged || (g.defect == AcceptsUnsigned && given == "")
}

func (g *gate) once(nonce string, now time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if _, ok := g.seen[nonce]; ok && g.defect != AcceptsReplay {
		return errReplay
	}
	if len(g.seen) >= 4096 {
		for n, until := range g.seen {
			if now.After(until) {
				delete(g.seen, n)
			}
		}
	}
	g.seen[nonce] = now.Add(2 * window) // a stamp may lie one window ahead
	return nil
}

// seal signs the given head lines and the body: each line ends with a line feed, the body stands as the SM3 of its bytes.
func (g *gate) seal(head1, head2, stamp, nonce string, body []byte) string {
	mac := hmac.New(gm.NewSM3, g.secret)
	_, _ = mac.Write(signedLines(head1, head2, stamp, nonce, body))
	return hex.EncodeToString(mac.Sum(nil))
}

// signedLines is what a signature is of.
func signedLines(head1, head2, stamp, nonce string, body []byte) []byte {
	digest := gm.SM3(body)
	lines := []string{head1}
	if head2 != "" {
		lines = append(lines, head2)
	}
	lines = append(lines, stamp, nonce, hex.EncodeToString(digest[:]), "")
	return []byte(strings.Join(lines, "\n"))
}

// stamp signs an answer: the first line is the HTTP status, the nonce is that of the request.
func (g *gate) stamp(h http.Header, status int, nonce string, body []byte, now time.Time) {
	seconds := strconv.FormatInt(now.Unix(), 10)
	h.Set(headerApp, g.app)
	h.Set(headerTimestamp, seconds)
	h.Set(headerNonce, nonce)
	h.Set(headerSignature, g.seal(strconv.Itoa(status), "", seconds, nonce, body))
}
