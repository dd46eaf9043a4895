package wechatmpsim

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/sandbox"
)

// The operations, as the fault plan and its log name them.
const (
	opSession   = "jscode2session"
	opToken     = "stable_token"
	opPhone     = "getuserphonenumber"
	opUserQuery = "userQuery"
)

// Handler is the true-wire API of both counterparts, with the fault plan in front.
func (s *Sim) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/sns/jscode2session", s.only(http.MethodGet, s.session))
	mux.HandleFunc("/cgi-bin/stable_token", s.only(http.MethodPost, s.stableToken))
	mux.HandleFunc("/wxa/business/getuserphonenumber", s.only(http.MethodPost, s.phoneNumber))
	mux.HandleFunc("/api/mipuserquery/userQuery/{partner}", s.userQuery)
	mux.HandleFunc("/testapi/mipuserquery/userQuery/{partner}", s.userQuery)
	if s.cfg.Plan == nil {
		return mux
	}
	return s.cfg.Plan.Wrap(s.name, mux)
}

// name tells the plan which operation this is and, where it can be known, about which openid.
func (s *Sim) name(r *http.Request, body []byte) sandbox.Call {
	switch {
	case strings.HasSuffix(r.URL.Path, "/jscode2session"):
		return sandbox.Call{Op: opSession, Key: s.openIDOf(r.URL.Query().Get("js_code"))}
	case strings.HasSuffix(r.URL.Path, "/stable_token"):
		return sandbox.Call{Op: opToken}
	case strings.HasSuffix(r.URL.Path, "/getuserphonenumber"):
		var in struct{ Code string }
		_ = json.Unmarshal(body, &in) // unreadable: no key
		return sandbox.Call{Op: opPhone, Key: s.openIDOf(in.Code)}
	default:
		var in struct{ OpenID string }
		_ = json.Unmarshal(body, &in) // unreadable: no key
		return sandbox.Call{Op: opUserQuery, Key: in.OpenID, Refusable: true}
	}
}

func (s *Sim) openIDOf(value string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.codes[value]
	if c == nil {
		return ""
	}
	return s.users[c.UserID].OpenIDs[c.AppID]
}

// wxError is a refusal in WeChat's form: HTTP 200 with errcode.
type wxError struct {
	Code    int
	Message string
}

func (e *wxError) Error() string { return e.Message }

// WeChat's refusals used here (general return codes of the server API).
var (
	errBusy          = &wxError{-1, "system error"}
	errGrantType     = &wxError{40002, "invalid grant_type"}
	errAppID         = &wxError{40013, "invalid appid"}
	errTokenDead     = &wxError{40001, "invalid credential, access_token is invalid or not latest"}
	errCode          = &wxError{40029, "invalid code"}
	errSecret        = &wxError{40125, "invalid appsecret"}
	errCodeUsed      = &wxError{40163, "code been used"}
	errBlocked       = &wxError{40226, "code blocked"}
	errNoToken       = &wxError{41001, "access_token missing"}
	errNoAppID       = &wxError{41002, "appid missing"}
	errNoSecret      = &wxError{41004, "appsecret missing"}
	errNoCode        = &wxError{41008, "missing code"}
	errTokenOld      = &wxError{42001, "access_token expired"}
	errNeedsGet      = &wxError{43001, "require GET method"}
	errNeedsPost     = &wxError{43002, "require POST method"}
	errForcedTooMuch = &wxError{45009, "reach max api daily quota limit"}
	errTooOften      = &wxError{45011, "api minute-quota reach limit, must slower, retry next minute"}
	errNotJSON       = &wxError{47001, "data format error"}
)

// only runs serve for that method and writes its answer, or its refusal, as WeChat does.
func (s *Sim) only(method string, serve func(r *http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var answer any
		var err error
		switch {
		case r.Method == method:
			answer, err = serve(r)
		case method == http.MethodGet:
			err = errNeedsGet
		default:
			err = errNeedsPost
		}
		if err != nil {
			refusal, ok := errors.AsType[*wxError](err)
			if !ok {
				refusal = errBusy // the journal could not be written: nothing was done
			}
			answer = map[string]any{"errcode": refusal.Code, "errmsg": refusal.Message + ", rid: " + s.cfg.Source.Nonce(16)}
		}
		if method == http.MethodGet {
			w.Header().Set("Content-Type", "text/plain") // code2Session really answers so
		} else {
			w.Header().Set("Content-Type", "application/json; encoding=utf-8")
		}
		_ = json.NewEncoder(w).Encode(answer) // the caller has left
	}
}

// session is code2Session.
func (s *Sim) session(r *http.Request) (any, error) {
	q := r.URL.Query()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.checkSecret(q.Get("appid"), q.Get("secret")); err != nil {
		return nil, err
	}
	if q.Get("grant_type") != "authorization_code" {
		return nil, errGrantType
	}
	c, err := s.liveCode(loginCode, q.Get("js_code"), q.Get("appid"))
	if err != nil {
		return nil, err
	}
	u := s.users[c.UserID]
	if s.tooOften(opSession, u.ID) {
		return nil, errTooOften
	}
	if u.Blocked {
		return nil, errBlocked
	}
	if err := s.commit(entry{Spent: c.Value}); err != nil {
		return nil, err
	}
	return map[string]string{
		"openid":      u.OpenIDs[c.AppID],
		"session_key": base64.StdEncoding.EncodeToString([]byte(s.cfg.Source.Nonce(16))),
	}, nil
}

func (s *Sim) checkSecret(appID, secret string) error {
	if appID == "" {
		return errNoAppID
	}
	want, ok := s.apps[appID]
	if !ok {
		return errAppID
	}
	if secret == "" {
		return errNoSecret
	}
	if secret != want.Reveal() {
		return errSecret
	}
	return nil
}

func (s *Sim) liveCode(kind, value, appID string) (*code, error) {
	if value == "" {
		return nil, errNoCode
	}
	c := s.codes[value]
	if c == nil || c.Kind != kind || c.AppID != appID || s.cfg.Clock.Now().After(c.Until) {
		return nil, errCode
	}
	if c.Spent {
		return nil, errCodeUsed
	}
	return c, nil
}

// pace counts a user's calls within one minute.
type pace struct {
	since time.Time
	calls int
}

// perMinute is how often one user may log in or give a phone number in a minute.
const perMinute = 100

func (s *Sim) tooOften(op, userID string) bool {
	now := s.cfg.Clock.Now()
	p := s.recent[op+userID]
	if p == nil || now.Sub(p.since) >= time.Minute {
		p = &pace{since: now}
		s.recent[op+userID] = p
	}
	p.calls++
	return p.calls > perMinute
}

// phoneNumber is getuserphonenumber.
func (s *Sim) phoneNumber(r *http.Request) (any, error) {
	var in struct {
		Code string `json:"code"`
	}
	err := readJSON(r, &in)
	s.mu.Lock()
	defer s.mu.Unlock()
	appID, tokenErr := s.appOfToken(r.URL.Query().Get("access_token"))
	if tokenErr != nil {
		return nil, tokenErr
	}
	if err != nil {
		return nil, errNotJSON
	}
	c, err := s.liveCode(phoneCode, in.Code, appID)
	if err != nil {
		return nil, err
	}
	u := s.users[c.UserID]
	if s.tooOften(opPhone, u.ID) {
		return nil, errTooOften
	}
	if err := s.commit(entry{Spent: c.Value}); err != nil {
		return nil, err
	}
	return map[string]any{"errcode": 0, "errmsg": "ok", "phone_info": map[string]any{
		"phoneNumber":     u.Phone,
		"purePhoneNumber": u.Phone,
		"countryCode":     "86",
		"watermark":       map[string]any{"timestamp": s.cfg.Clock.Now().Unix(), "appid": appID},
	}}, nil
}

// maxBody is far above any request of these interfaces.
const maxBody = 64 << 10

func readJSON(r *http.Request, into any) error {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}
