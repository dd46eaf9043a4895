package wechatmpsim

import (
	"encoding/json"
	"errors"
	"net/http"

	"github.com/tuoka/tuoka/internal/sandbox"
)

// Control is the phone and the operator as plain JSON, without signatures, for the sandbox page and `tuoka pay`:
//
//	GET  /users                                  everyone
//	POST /users          User                    adds or replaces
//	POST /login          {user, appid}           → {code}       wx.login
//	POST /phone-code     {user, appid}           → {code}       the phone-number button
//	POST /authorise      {user, appid, query}    → {authCode}   query: the jump's parameters as received, as text or as an object; with
//	                                                            the familyId of one of the user's relatives it is for that relative
//	POST /drop-tokens    {appid}                 every access token becomes invalid
//	GET  /truth, GET and PUT /faults, POST /faults/script
//
// The appid may be left out when there is only one.
func (s *Sim) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /users", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Users(), nil) })
	mux.HandleFunc("POST /users", func(w http.ResponseWriter, r *http.Request) {
		var u User
		if read(w, r, &u) {
			kept, err := s.AddUser(u)
			reply(w, kept, err)
		}
	})
	mux.HandleFunc("POST /login", s.giveCode("code", func(in phoneRequest) (string, error) { return s.Login(in.User, in.AppID) }))
	mux.HandleFunc("POST /phone-code", s.giveCode("code", func(in phoneRequest) (string, error) { return s.PhoneCode(in.User, in.AppID) }))
	mux.HandleFunc("POST /authorise", s.giveCode("authCode", func(in phoneRequest) (string, error) {
		return s.Authorise(in.User, in.AppID, in.Query)
	}))
	mux.HandleFunc("POST /drop-tokens", func(w http.ResponseWriter, r *http.Request) {
		var in phoneRequest
		if read(w, r, &in) {
			reply(w, struct{}{}, s.DropTokens(in.AppID))
		}
	})
	mux.HandleFunc("GET /truth", func(w http.ResponseWriter, _ *http.Request) { reply(w, s.Truth(), nil) })
	mux.HandleFunc("GET /faults", s.showFaults)
	mux.HandleFunc("PUT /faults", s.setFaults)
	mux.HandleFunc("POST /faults/script", s.scriptFault)
	return mux
}

// phoneRequest is what the page says a user does.
type phoneRequest struct {
	User  string `json:"user"`
	AppID string `json:"appid"`
	Query params `json:"query"`
}

// params are the jump's parameters, from an object or from the raw query text.
type params map[string]string

// UnmarshalJSON reads either form.
func (p *params) UnmarshalJSON(b []byte) error {
	var text string
	if json.Unmarshal(b, &text) == nil {
		*p = ParseJump(text)
		return nil
	}
	return json.Unmarshal(b, (*map[string]string)(p))
}

func (s *Sim) giveCode(name string, act func(phoneRequest) (string, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in phoneRequest
		if read(w, r, &in) {
			value, err := act(in)
			reply(w, map[string]string{name: value}, err)
		}
	}
}

// faults is the state of the plan as Control shows it.
type faults struct {
	Level    sandbox.Level       `json:"level"`
	Seed     uint64              `json:"seed"`
	Injected []sandbox.Injection `json:"injected"`
}

var errNoPlan = errors.New("wechatmpsim: started without a fault plan")

func (s *Sim) showFaults(w http.ResponseWriter, _ *http.Request) {
	f := faults{Level: sandbox.None, Injected: []sandbox.Injection{}}
	if s.cfg.Plan != nil {
		f.Level, f.Seed = s.cfg.Plan.Level()
		f.Injected = s.cfg.Plan.Injected()
	}
	reply(w, f, nil)
}

func (s *Sim) setFaults(w http.ResponseWriter, r *http.Request) {
	var in faults
	if !read(w, r, &in) {
		return
	}
	err := errNoPlan
	if s.cfg.Plan != nil {
		err = s.cfg.Plan.SetLevel(in.Level, in.Seed)
	}
	reply(w, in, err)
}

func (s *Sim) scriptFault(w http.ResponseWriter, r *http.Request) {
	var in sandbox.Script
	if !read(w, r, &in) {
		return
	}
	err := errNoPlan
	if s.cfg.Plan != nil {
		err = nil
		s.cfg.Plan.Script(in)
	}
	reply(w, in, err)
}

func read(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := readJSON(r, into); err != nil {
		say(w, http.StatusBadRequest, map[string]string{"error": "unreadable JSON"})
		return false
	}
	return true
}

func reply(w http.ResponseWriter, answer any, err error) {
	switch {
	case err == nil:
		say(w, http.StatusOK, answer)
	case errors.Is(err, ErrNoUser), errors.Is(err, ErrNoApp):
		say(w, http.StatusNotFound, map[string]string{"error": err.Error()})
	default:
		say(w, http.StatusConflict, map[string]string{"error": err.Error()})
	}
}

func say(w http.ResponseWriter, status int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(answer) // the page has left
}
