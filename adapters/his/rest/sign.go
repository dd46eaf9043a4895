package rest

import (
	"crypto/hmac"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/tuoka/tuoka/internal/gm"
)

// skew is how far an answer's time may be off our clock; docs/his-interface.md §2.
const skew = 300 * time.Second

// sign fills the four headers of a request and returns its nonce, which the answer must repeat.
func (c *Client) sign(req *http.Request, body []byte) (nonce string) {
	nonce = c.config.Source.Nonce(32)
	stamp := strconv.FormatInt(c.config.Clock.Now().Unix(), 10)
	req.Header.Set("X-His-App", c.config.App)
	req.Header.Set("X-His-Timestamp", stamp)
	req.Header.Set("X-His-Nonce", nonce)
	req.Header.Set("X-His-Signature", hex.EncodeToString(
		c.mac(req.Method+"\n"+req.URL.EscapedPath()+"\n"+stamp+"\n"+nonce+"\n", body)))
	return nonce
}

// signedText is what a signature is of: the head and the hex SM3 of the body, each line ended by a line feed.
func signedText(head string, body []byte) []byte {
	digest := gm.SM3(body)
	return []byte(head + hex.EncodeToString(digest[:]) + "\n")
}

// mac is HMAC-SM3 over that. New made sure that the key is long enough.
func (c *Client) mac(head string, body []byte) []byte {
	sum, err := gm.HMACSM3([]byte(c.config.Secret.Reveal()), signedText(head, body))
	if err != nil {
		return nil
	}
	return sum
}

// verify believes an answer that is signed by the hospital, now, and for the request with this nonce.
func (c *Client) verify(res *http.Response, nonce string, body []byte) error {
	h := res.Header
	stamp := h.Get("X-His-Timestamp")
	seconds, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return fmt.Errorf("status %d without a time stamp", res.StatusCode)
	}
	given, err := hex.DecodeString(h.Get("X-His-Signature"))
	want := c.mac(strconv.Itoa(res.StatusCode)+"\n"+stamp+"\n"+h.Get("X-His-Nonce")+"\n", body)
	switch {
	case err != nil || len(want) == 0 || !hmac.Equal(given, want):
		return fmt.Errorf("status %d with a wrong signature", res.StatusCode)
	case h.Get("X-His-App") != c.config.App || h.Get("X-His-Nonce") != nonce:
		return errors.New("the answer belongs to another request")
	case c.config.Clock.Now().Sub(time.Unix(seconds, 0)).Abs() > skew:
		return errors.New("the answer's time is out of the window")
	}
	return nil
}

// Unsign takes the signature off a request, for those who try whether a hospital wants one.
func Unsign(r *http.Request, body []byte) []byte {
	r.Header.Del("X-His-Signature")
	return body
}
