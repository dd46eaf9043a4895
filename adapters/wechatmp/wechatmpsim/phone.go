package wechatmpsim

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// Errors of the phone side.
var (
	ErrNoUser   = errors.New("wechatmpsim: no such user")
	ErrNoApp    = errors.New("wechatmpsim: no such mini program")
	ErrNoPhone  = errors.New("wechatmpsim: the user has no phone number")
	ErrBadUser  = errors.New("wechatmpsim: a user needs an id, a name, a valid identity number and, if any, a phone of eleven digits")
	ErrDeclined = errors.New("wechatmpsim: the user did not authorise")
)

// AddUser adds a user, or replaces the one of the same id; openids once given stay. It returns the user as kept.
func (s *Sim) AddUser(u User) (User, error) {
	if err := checkUser(&u); err != nil {
		return User{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	openIDs := maps.Clone(u.OpenIDs)
	if openIDs == nil {
		openIDs = map[string]string{}
	}
	if old := s.users[u.ID]; old != nil {
		maps.Copy(openIDs, old.OpenIDs)
	}
	for _, openID := range openIDs {
		if holder := s.holders[openID]; holder != "" && holder != u.ID {
			return User{}, fmt.Errorf("%w; an openid is another user's", ErrBadUser)
		}
	}
	for _, app := range s.cfg.Apps { // in their order: a seeded source gives the same openids again
		if openIDs[app.ID] == "" {
			openIDs[app.ID] = "o" + s.cfg.Source.Nonce(27)
		}
	}
	u.OpenIDs = openIDs
	u.Relatives = slices.Clone(u.Relatives)
	if err := s.commit(entry{User: &u}); err != nil {
		return User{}, err
	}
	return u.copy(), nil
}

func (u *User) copy() User {
	c := *u
	c.OpenIDs, c.Relatives = maps.Clone(u.OpenIDs), slices.Clone(u.Relatives)
	return c
}

func checkUser(u *User) error {
	if u.ID == "" || strings.TrimSpace(u.Name) == "" {
		return ErrBadUser
	}
	people := []*string{&u.IDNumber}
	for i := range u.Relatives {
		r := &u.Relatives[i]
		if r.FamilyID == "" || strings.TrimSpace(r.Name) == "" || u.relative(r.FamilyID) != r {
			return fmt.Errorf("%w; relative %d has no name or no family_id of its own", ErrBadUser, i)
		}
		people = append(people, &r.IDNumber)
	}
	for _, p := range people {
		id, err := sensitive.ParseIDNumber(*p)
		if err != nil {
			return ErrBadUser
		}
		*p = id.Reveal()
	}
	for _, r := range u.Relatives {
		if r.IDNumber == u.IDNumber {
			return fmt.Errorf("%w; nobody is one's own relative", ErrBadUser)
		}
	}
	if u.Phone != "" && (len(u.Phone) != 11 || strings.Trim(u.Phone, "0123456789") != "") {
		return ErrBadUser
	}
	return nil
}

// Users lists the users by id.
func (s *Sim) Users() []User {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []User
	for _, id := range slices.Sorted(maps.Keys(s.users)) {
		all = append(all, s.users[id].copy())
	}
	return all
}

// KnowsOpenID reports whether somebody has that openid.
func (s *Sim) KnowsOpenID(openID string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, known := s.holders[openID]
	return known
}

// Login is wx.login on the user's phone: it gives a js_code.
func (s *Sim) Login(userID, appID string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.issue(&code{Kind: loginCode, UserID: userID, AppID: appID}, codeLife)
}

// PhoneCode is a tap on the phone-number button (手机号快速验证): it gives the code for getuserphonenumber.
func (s *Sim) PhoneCode(userID, appID string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u := s.users[userID]; u != nil && u.Phone == "" {
		return "", ErrNoPhone
	}
	return s.issue(&code{Kind: phoneCode, UserID: userID, AppID: appID}, codeLife)
}

// issue makes a one-time code. The caller holds the mutex. An empty appid means the only one there is.
func (s *Sim) issue(c *code, life time.Duration) (string, error) {
	u := s.users[c.UserID]
	if u == nil {
		return "", ErrNoUser
	}
	app, err := s.app(c.AppID)
	if err != nil {
		return "", err
	}
	c.AppID = app
	if u.OpenIDs[app] == "" { // the app was added after the user
		more := u.copy()
		more.OpenIDs[app] = "o" + s.cfg.Source.Nonce(27)
		if err := s.commit(entry{User: &more}); err != nil {
			return "", err
		}
	}
	now := s.cfg.Clock.Now()
	s.forget(now)
	c.Value, c.Until = "0"+s.cfg.Source.Nonce(31), now.Add(life)
	return c.Value, s.commit(entry{Code: c})
}

func (s *Sim) app(id string) (string, error) {
	if id == "" && len(s.cfg.Apps) == 1 {
		return s.cfg.Apps[0].ID, nil
	}
	if _, ok := s.apps[id]; !ok {
		return "", ErrNoApp
	}
	return id, nil
}

// JumpError says which parameter of the jump the national insurance mini program did not accept.
type JumpError struct{ Param string }

// Error names the parameter.
func (e *JumpError) Error() string { return "wechatmpsim: jump parameter " + e.Param + " is wrong" }

// ParseJump reads the query of the jump, with or without the path before it, as the target page receives it: WeChat decodes nothing, so a percent-encoded value stays so.
func ParseJump(query string) map[string]string {
	if path, after, ok := strings.Cut(query, "?"); ok && !strings.Contains(path, "=") {
		query = after
	}
	params := map[string]string{}
	for pair := range strings.SplitSeq(query, "&") {
		if name, value, _ := strings.Cut(pair, "="); name != "" {
			params[name] = value
		}
	}
	return params
}

// Authorise is the user's consent inside the national insurance mini program, reached from the mini program appID by a jump with
// these parameters. It gives the authCode that extraData brings back; *JumpError if the parameters are wrong, ErrDeclined if the
// user has no e-credential or does not agree.
func (s *Sim) Authorise(userID, appID string, jump map[string]string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[userID]
	if u == nil {
		return "", ErrNoUser
	}
	app, err := s.app(appID)
	if err != nil {
		return "", err
	}
	if err := s.checkJump(u, app, jump); err != nil {
		return "", err
	}
	if u.Unbound || u.Withholds {
		return "", ErrDeclined
	}
	c := &code{Kind: authCode, UserID: userID, AppID: app, City: jump["cityCode"], Family: jump["familyId"]}
	return s.issue(c, s.cfg.AuthCodeLife)
}

func (s *Sim) checkJump(u *User, app string, jump map[string]string) error {
	inst, known := s.institutions[jump["orgCodg"]]
	if !known {
		return &JumpError{Param: "orgCodg"}
	}
	for _, want := range []struct{ param, value string }{
		{"openType", "getAuthCode"},
		{"bizType", "04107"},
		{"cityCode", inst.CityCode},
		{"channel", inst.Channel},
		{"orgChnlCrtfCodg", inst.ChannelCert},
		{"orgAppId", inst.OrgAppID},
	} {
		if jump[want.param] == "" || jump[want.param] != want.value {
			return &JumpError{Param: want.param}
		}
	}
	if inst.AppID != app { // referrerInfo of the jump is not the registered mini program
		return &JumpError{Param: "appId"}
	}
	if family := jump["familyId"]; family != "" && u.relative(family) == nil {
		return &JumpError{Param: "familyId"}
	}
	return nil
}

func (u *User) relative(family string) *Relative {
	for i := range u.Relatives {
		if u.Relatives[i].FamilyID == family {
			return &u.Relatives[i]
		}
	}
	return nil
}
