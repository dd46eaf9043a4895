package wechatpaysim

import (
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	scheme      = "WECHATPAY2-SHA256-RSA2048"
	window      = 300 * time.Second // how far a timestamp may be off
	nonceLength = 32
	maxBody     = 1 << 20
	noNumber    = 0 // the numeric code at the end of a Request-ID when all is well
)

// refusal is an answer outside 2xx. WeChat Pay sends it without a signature, as far as anybody has looked.
type refusal struct {
	status  int
	code    string
	message string
	number  int // the finer numeric code that ends the Request-ID
}

func refuse(status int, code, message string) *refusal {
	return &refusal{status: status, code: code, message: message, number: 268435456 + status}
}

// numbered gives the refusal the numeric code that WeChat Pay is known to use for it.
func (r *refusal) numbered(n int) *refusal {
	r.number = n
	return r
}

func paramError(message string) *refusal {
	return refuse(http.StatusBadRequest, "PARAM_ERROR", message)
}

func signError(message string) *refusal {
	return refuse(http.StatusUnauthorized, "SIGN_ERROR", message)
}

// systemError is our own trouble, such as a full disk: nothing was done.
func systemError() *refusal {
	return refuse(http.StatusInternalServerError, "SYSTEM_ERROR", "系统异常，请稍后重试")
}

// handler does one call whose sender is known. A nil answer is a 204.
type handler func(r *http.Request, body []byte) (answer any, no *refusal)

// signed checks the request's signature, calls, and signs the answer.
func (s *Sim) signed(next handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, no := s.authentic(w, r)
		if no != nil {
			s.writeRefusal(w, no)
			return
		}
		answer, no := next(r, body)
		if no != nil {
			s.writeRefusal(w, no)
			return
		}
		s.writeSigned(w, answer)
	})
}

func (s *Sim) writeRefusal(w http.ResponseWriter, no *refusal) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("Request-ID", s.requestID(no.number))
	w.WriteHeader(no.status)
	_ = json.NewEncoder(w).Encode(map[string]string{"code": no.code, "message": no.message})
}

func (s *Sim) writeSigned(w http.ResponseWriter, answer any) {
	var body []byte
	status := http.StatusNoContent
	if answer != nil {
		var err error
		if body, err = json.Marshal(answer); err != nil {
			s.writeRefusal(w, systemError())
			return
		}
		status = http.StatusOK
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
	}
	for k, v := range s.signature(body) {
		w.Header()[k] = v
	}
	w.Header().Set("Request-ID", s.requestID(noNumber))
	w.WriteHeader(status)
	_, _ = w.Write(body)
}

func (s *Sim) requestID(number int) string {
	return fmt.Sprintf("08%016X-%d", s.cfg.Source.ID(), number)
}

// signature makes the headers that WeChat Pay puts on answers and notices: timestamp, nonce and body, each with a line feed,
// signed by RSA with SHA-256. A probe (签名探测) is a wrong one, sent on purpose.
func (s *Sim) signature(body []byte) http.Header {
	timestamp, nonce := strconv.FormatInt(s.stamp.Now().Unix(), 10), s.cfg.Source.Nonce(nonceLength)
	sum := sha256.Sum256([]byte(timestamp + "\n" + nonce + "\n" + string(body) + "\n"))
	raw, err := rsa.SignPKCS1v15(nil, s.cfg.Key, crypto.SHA256, sum[:])
	text := base64.StdEncoding.EncodeToString(raw)
	if err != nil || s.probe() { // a key too short to sign is refused by every client, as it should be
		text = "WECHATPAY/SIGNTEST/" + text
	}
	return http.Header{
		"Wechatpay-Timestamp":      {timestamp},
		"Wechatpay-Nonce":          {nonce},
		"Wechatpay-Serial":         {s.cfg.KeyID},
		"Wechatpay-Signature":      {text},
		"Wechatpay-Signature-Type": {scheme},
	}
}

func (s *Sim) probe() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.probes == 0 {
		return false
	}
	s.probes--
	return true
}

// Probe makes the next n signatures, of answers or notices, wrong ones, as WeChat Pay sends them now and then to see who checks.
func (s *Sim) Probe(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.probes = n
}

// credential is an Authorization header.
type credential struct{ mchID, nonce, timestamp, serial, signature string }

// parseAuthorization reads scheme and the five quoted parts, in any order, each once.
func parseAuthorization(header string) (credential, bool) {
	kind, rest, _ := strings.Cut(header, " ")
	if kind != scheme {
		return credential{}, false
	}
	var c credential
	places := map[string]*string{"mchid": &c.mchID, "nonce_str": &c.nonce, "timestamp": &c.timestamp, "serial_no": &c.serial,
		"signature": &c.signature}
	for part := range strings.SplitSeq(rest, ",") {
		key, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		place, known := places[key]
		if !known || len(value) < 3 || value[0] != '"' || value[len(value)-1] != '"' {
			return credential{}, false
		}
		*place = value[1 : len(value)-1]
		delete(places, key)
	}
	return c, len(places) == 0
}

// authentic reads the body and checks who sent it. The signed line is the path and query as they stood on the wire.
func (s *Sim) authentic(w http.ResponseWriter, r *http.Request) ([]byte, *refusal) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		return nil, paramError("请求体过大或不完整")
	}
	c, ok := parseAuthorization(r.Header.Get("Authorization"))
	switch {
	case r.Header.Get("Accept") == "" || r.Header.Get("User-Agent") == "":
		return nil, paramError("Http头缺少Accept或User-Agent")
	case r.Method == http.MethodPost && !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json"):
		return nil, refuse(http.StatusUnsupportedMediaType, "PARAM_ERROR", "Content-Type应为application/json")
	case r.Header.Get("Wechatpay-Serial") != "" && r.Header.Get("Wechatpay-Serial") != s.cfg.KeyID:
		return nil, paramError("Wechatpay-Serial不是该商户的微信支付公钥ID")
	case !ok:
		return nil, signError("Http头Authorization值格式错误，请参考《微信支付商户REST API签名规则》")
	case c.mchID != s.cfg.MchID || c.serial != s.cfg.MerchantSerial:
		return nil, signError("商户证书序列号有误，请使用签名私钥匹配的证书序列号")
	case len(c.nonce) != nonceLength:
		return nil, signError("nonce_str长度有误")
	}
	seconds, err := strconv.ParseInt(c.timestamp, 10, 64)
	now := s.stamp.Now()
	if off := now.Sub(time.Unix(seconds, 0)); err != nil || off > window || off < -window {
		return nil, signError("Http头Authorization中的timestamp与发起请求的时间不得超过5分钟")
	}
	uri := r.URL.EscapedPath()
	if r.URL.RawQuery != "" || r.URL.ForceQuery {
		uri += "?" + r.URL.RawQuery
	}
	message := strings.Join([]string{r.Method, uri, c.timestamp, c.nonce, string(body), ""}, "\n")
	if !verify(s.cfg.MerchantKey, message, c.signature) {
		return nil, signError("签名错误，请检查后再试")
	}
	if !s.fresh(c, now) {
		return nil, signError("nonce_str重复")
	}
	return body, nil
}

func verify(key *rsa.PublicKey, message, signature string) bool {
	raw, err := base64.StdEncoding.DecodeString(signature)
	if err != nil {
		return false
	}
	sum := sha256.Sum256([]byte(message))
	return rsa.VerifyPKCS1v15(key, crypto.SHA256, sum[:], raw) == nil
}

// seen is a nonce that was used: by which signature and when.
type seen struct {
	signature string
	at        time.Time
}

// fresh reports whether the nonce is new. The very same request again is let through, for networks double messages and Go's
// transport repeats a GET with the Authorization it had; the same nonce on another request is a forgery or a broken client.
func (s *Sim) fresh(c credential, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.noncesPurged) > 2*window {
		for nonce, old := range s.nonces {
			if now.Sub(old.at) > 2*window {
				delete(s.nonces, nonce)
			}
		}
		s.noncesPurged = now
	}
	if old, used := s.nonces[c.nonce]; used {
		return old.signature == c.signature
	}
	s.nonces[c.nonce] = seen{c.signature, now}
	return true
}
