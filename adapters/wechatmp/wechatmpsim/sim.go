// Package wechatmpsim plays two counterparts of a mini program on one handler: the WeChat server API (code2Session, stable token,
// phone number; reference wechat-pay.md §4) and Tencent's authorisation service of the national insurance mini program (userQuery;
// reference wechat-med-ins.md a.3, a.4).
//
// It keeps made-up users, one-time codes, access tokens and insurance authorisations, journals each effect before it answers, and
// refuses what the originals refuse. What a person does on the phone is a method here and a plain JSON call on Control.
package wechatmpsim

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// App is one mini program that WeChat knows.
type App struct {
	ID     string        // appid
	Secret sensitive.Key // AppSecret
}

// Partner is one caller of userQuery.
type Partner struct {
	ID     string        // partnerId, in the path
	Secret sensitive.Key // key of the HMAC
}

// Institution is what the national insurance mini program knows of a hospital; the jump must carry exactly these (a.3).
type Institution struct {
	AppID       string // the hospital's mini program, from which the jump comes
	CityCode    string // cityCode
	Channel     string // channel 渠道号
	ChannelCert string // orgChnlCrtfCodg 机构渠道认证编码, raw
	Code        string // orgCodg 定点机构编码, begins with H
	OrgAppID    string // orgAppId 机构应用ID
}

// Config is what the two counterparts know.
type Config struct {
	Clock        clock.Clock
	Source       *clock.Source
	Journal      string        // file; empty: memory
	Plan         *sandbox.Plan // nil: no faults
	Apps         []App
	Partners     []Partner
	Institutions []Institution

	AuthCodeLife time.Duration // of an authCode; zero: 5 minutes
	PayAuthLife  time.Duration // of a pay_auth_no; zero: 10 minutes
	SignWindow   time.Duration // allowed distance of god-portal-timestamp; zero: 15 minutes
}

// codeLife is how long a login code and a phone code live.
const codeLife = 5 * time.Minute

// Sim is both counterparts. Safe for several goroutines.
type Sim struct {
	cfg          Config
	apps         map[string]sensitive.Key
	partners     map[string]sensitive.Key
	institutions map[string]Institution // by orgCodg

	mu      sync.Mutex
	journal *sandbox.Journal
	users   map[string]*User
	holders map[string]string // by openid, the user's id
	codes   map[string]*code
	tokens  map[string][]token // by appid, newest last; at most two
	forced  map[string][]time.Time
	grants  map[string]*grant
	issued  int // authCodes ever issued
	recent  map[string]*pace
}

// Relative is a person for whose bills a user may pay with that person's insurance (亲情付).
type Relative struct {
	FamilyID string `json:"family_id"` // familyId of the jump
	Name     string `json:"name"`
	IDNumber string `json:"id_number"`
}

// User is a made-up WeChat user and the person behind the account.
type User struct {
	ID        string            `json:"id"` // chosen by whoever adds the user
	Name      string            `json:"name"`
	IDNumber  string            `json:"id_number"`
	Phone     string            `json:"phone,omitempty"`   // eleven digits
	OpenIDs   map[string]string `json:"openids,omitempty"` // by appid; missing ones are made
	Longitude string            `json:"longitude,omitempty"`
	Latitude  string            `json:"latitude,omitempty"`
	Relatives []Relative        `json:"relatives,omitempty"`
	Blocked   bool              `json:"blocked,omitempty"`   // WeChat thinks this login risky: 40226
	Unbound   bool              `json:"unbound,omitempty"`   // no activated insurance e-credential (医保电子凭证)
	Withholds bool              `json:"withholds,omitempty"` // turns the insurance authorisation down
}

// The kinds of one-time codes.
const (
	loginCode = "login"
	phoneCode = "phone"
	authCode  = "auth"
)

// code is a one-time code that a phone has received.
type code struct {
	Kind   string    `json:"kind"`
	Value  string    `json:"value"`
	UserID string    `json:"user"`
	AppID  string    `json:"appid"`
	City   string    `json:"city,omitempty"`   // authCode: the jump's cityCode
	Family string    `json:"family,omitempty"` // authCode: the jump's familyId
	Until  time.Time `json:"until"`
	Spent  bool      `json:"spent,omitempty"`
}

// token is an access token of one app.
type token struct {
	AppID  string    `json:"appid"`
	Value  string    `json:"value"`
	Until  time.Time `json:"until"`
	Forced bool      `json:"forced,omitempty"` // made by force_refresh: the ones before are dead
	At     time.Time `json:"at"`
}

// grant is one insurance authorisation, pay_auth_no.
type grant struct {
	Number   string    `json:"number"`
	IDNumber string    `json:"id_number"`        // whose insurance it opens
	OpenID   string    `json:"openid,omitempty"` // who gave it
	Until    time.Time `json:"until"`
}

// entry is one line of the journal; the fields set are one effect.
type entry struct {
	User  *User  `json:"user,omitempty"`
	Code  *code  `json:"code,omitempty"`
	Spent string `json:"spent,omitempty"` // a code's value
	Token *token `json:"token,omitempty"`
	Grant *grant `json:"grant,omitempty"`
}

// New starts the simulator from its journal.
func New(cfg Config) (*Sim, error) {
	if cfg.Clock == nil || cfg.Source == nil {
		return nil, errors.New("wechatmpsim: clock and source are required")
	}
	for life, standard := range map[*time.Duration]time.Duration{
		&cfg.AuthCodeLife: 5 * time.Minute, &cfg.PayAuthLife: 10 * time.Minute, &cfg.SignWindow: 15 * time.Minute,
	} {
		if *life == 0 {
			*life = standard
		}
	}
	s := &Sim{cfg: cfg, apps: map[string]sensitive.Key{}, partners: map[string]sensitive.Key{}, institutions: map[string]Institution{},
		users: map[string]*User{}, holders: map[string]string{}, codes: map[string]*code{}, tokens: map[string][]token{}, forced: map[string][]time.Time{},
		grants: map[string]*grant{}, recent: map[string]*pace{}}
	for _, a := range cfg.Apps {
		if _, twice := s.apps[a.ID]; twice || a.ID == "" || a.Secret.IsZero() {
			return nil, errors.New("wechatmpsim: an app needs an appid of its own and a secret")
		}
		s.apps[a.ID] = a.Secret
	}
	for _, p := range cfg.Partners {
		if p.ID == "" || p.Secret.IsZero() {
			return nil, errors.New("wechatmpsim: a partner needs an id and a secret")
		}
		s.partners[p.ID] = p.Secret
	}
	for _, i := range cfg.Institutions {
		if _, ok := s.apps[i.AppID]; !ok || !strings.HasPrefix(i.Code, "H") {
			return nil, fmt.Errorf("wechatmpsim: institution %q needs a known appid and a code that begins with H", i.Code)
		}
		if _, twice := s.institutions[i.Code]; twice {
			return nil, fmt.Errorf("wechatmpsim: institution %q stands twice", i.Code)
		}
		s.institutions[i.Code] = i
	}
	journal, err := sandbox.OpenJournal(cfg.Journal, func(line []byte) error {
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return err
		}
		s.apply(e)
		return nil
	})
	if err != nil {
		return nil, err
	}
	s.journal = journal
	return s, nil
}

// Close closes the journal.
func (s *Sim) Close() error { return s.journal.Close() }

// commit writes the effect and then applies it. The caller holds the mutex.
func (s *Sim) commit(e entry) error {
	if err := s.journal.Append(e); err != nil {
		return err
	}
	s.apply(e)
	return nil
}

func (s *Sim) apply(e entry) {
	if e.User != nil {
		s.users[e.User.ID] = e.User
		for _, openID := range e.User.OpenIDs {
			s.holders[openID] = e.User.ID
		}
	}
	if e.Code != nil {
		s.codes[e.Code.Value] = e.Code
		if e.Code.Kind == authCode {
			s.issued++
		}
	}
	if c := s.codes[e.Spent]; c != nil {
		c.Spent = true
	}
	if e.Token != nil {
		s.applyToken(*e.Token)
	}
	if e.Grant != nil {
		s.grants[e.Grant.Number] = e.Grant
	}
}

func (s *Sim) applyToken(t token) {
	old := s.tokens[t.AppID]
	if t.Forced {
		old = nil
		s.forced[t.AppID] = append(s.forced[t.AppID], t.At)
	}
	if len(old) > 1 {
		old = old[1:]
	}
	s.tokens[t.AppID] = append(old[:len(old):len(old)], t)
}

// crowd is how many codes are kept before the dead ones are dropped; a dead code and an unknown one get the same answer.
const crowd = 10_000

func (s *Sim) forget(now time.Time) {
	if len(s.codes) < crowd {
		return
	}
	for value, c := range s.codes {
		if now.After(c.Until) {
			delete(s.codes, value)
		}
	}
}

// Authorisation tells the insurer's simulator whose insurance a pay_auth_no opens and until when. An expired number is still known.
func (s *Sim) Authorisation(number string) (idNumber string, usableUntil time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.grants[number]
	if !ok {
		return "", time.Time{}, false
	}
	return g.IDNumber, g.Until, true
}

// Truth is what an audit may ask: no money is here, so it is only counts.
type Truth struct {
	Authorised int `json:"authorised"` // authCodes issued
	Exchanged  int `json:"exchanged"`  // pay_auth_no issued
}

// Truth counts the authorisations.
func (s *Sim) Truth() Truth {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Truth{Authorised: s.issued, Exchanged: len(s.grants)}
}
