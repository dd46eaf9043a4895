package wechatmpsim

import "time"

// Credential is whose insurance e-credential (医保电子凭证) is bound to the WeChat account of that openid; not ok: none is.
func (s *Sim) Credential(openID string) (name, idNumber string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[s.holders[openID]]
	if u == nil || u.Unbound {
		return "", "", false
	}
	return u.Name, u.IDNumber, true
}

// Kin reports whether the account has bound a relative (亲情账户) of that name whose identity number is the one: who asks may know only its
// digest.
func (s *Sim) Kin(openID, name string, is func(idNumber string) bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[s.holders[openID]]
	if u == nil {
		return false
	}
	for _, r := range u.Relatives {
		if r.Name == name && is(r.IDNumber) {
			return true
		}
	}
	return false
}

// PayAuthorisation is which openid gave a pay_auth_no and how long it can be used. An expired number is still known.
func (s *Sim) PayAuthorisation(payAuthNo string) (openID string, usableUntil time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, ok := s.grants[payAuthNo]
	if !ok {
		return "", time.Time{}, false
	}
	return g.OpenID, g.Until, true
}
