package wechatpaysim

import (
	"crypto/md5" //nolint:gosec // the wire's digest, not protection
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // the wire's OAEP hash
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Credentials is what WeChat knows of people's medical-insurance e-credentials (医保电子凭证).
type Credentials interface {
	// Credential is whose e-credential is bound to the WeChat account; not ok: none is.
	Credential(openID string) (name, idNumber string, ok bool)
	// Kin reports whether the account has bound that relative. WeChat learns the identity only as a digest: see IDDigest.
	Kin(openID, relativeIDDigest, relativeName string) bool
	// Authorisation is who gave that pay_auth_no and how long it can be used; not ok: nobody did.
	Authorisation(payAuthNo string) (openID string, usableUntil time.Time, ok bool)
}

var fifteenDigits = regexp.MustCompile(`^\d{15}$`)

// IDDigest is the 身份ID摘要 of an identity number: letters in upper case, fifteen digits extended to eighteen, MD5 in lower hex.
func IDDigest(idNumber string) string {
	id := strings.ToUpper(idNumber)
	if fifteenDigits.MatchString(id) {
		id = id[:6] + "19" + id[6:]
		sum := 0
		for i, weight := range []int{7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2} {
			sum += weight * int(id[i]-'0')
		}
		id += "10X98765432"[sum%11 : sum%11+1]
	}
	digest := md5.Sum([]byte(id)) //nolint:gosec // see import
	return hex.EncodeToString(digest[:])
}

// opened is a person after decryption.
type opened struct{ name, digest string }

var hexDigest = regexp.MustCompile(`^[0-9a-f]{32}$`)

// open decrypts a person. The zero value for none.
func (s *Sim) open(p *person) (opened, *refusal) {
	if p == nil {
		return opened{}, nil
	}
	name, ok1 := s.decrypt(p.Name)
	digest, ok2 := s.decrypt(p.IDDigest)
	switch {
	case !ok1 || !ok2:
		return opened{}, badParameter("敏感信息解密失败，请检查加密使用的微信支付公钥")
	case !text(name, 1, 128) || !hexDigest.MatchString(digest):
		return opened{}, badParameter("name或id_digest有误")
	}
	return opened{name, digest}, nil
}

// decrypt opens RSA-OAEP with SHA-1.
func (s *Sim) decrypt(field string) (string, bool) {
	raw, err := base64.StdEncoding.DecodeString(field)
	if err != nil {
		return "", false
	}
	plain, err := rsa.DecryptOAEP(sha1.New(), nil, s.cfg.Key, raw, nil) //nolint:gosec // see import
	return string(plain), err == nil
}

func invalidRequest(message string) *refusal {
	return refuse(http.StatusBadRequest, "INVALID_REQUEST", message)
}

// entitled checks hospital, e-credential, kinship and authorisation.
func (s *Sim) entitled(in *mixedRequest, payer, relative opened, now time.Time) *refusal {
	if in.MedInstNo != s.cfg.MedIns.MedInstNo || in.CityID != s.cfg.MedIns.CityID {
		return invalidRequest("医疗机构编码或城市ID与开通医保支付时登记的不一致")
	}
	if in.hasInsurer() && s.cfg.NeedsPassthrough && !in.passesThrough() {
		return invalidRequest("医保局未找到该授权").numbered(numberPassthrough)
	}
	if s.cfg.Credentials == nil {
		return nil
	}
	name, idNumber, ok := s.cfg.Credentials.Credential(in.OpenID)
	switch {
	case !ok:
		return invalidRequest("该微信账号未绑定医保电子凭证").numbered(numberNoCredential)
	case IDDigest(idNumber) != payer.digest:
		return invalidRequest("身份证件号码与医保电子凭证不一致").numbered(numberDigest)
	case name != payer.name:
		return invalidRequest("姓名与医保电子凭证不一致").numbered(numberName)
	case in.Relative != nil && !s.cfg.Credentials.Kin(in.OpenID, relative.digest, relative.name):
		return invalidRequest("亲属关系不存在").numbered(numberNoKin)
	case in.hasInsurer():
		return s.authorised(in, now)
	}
	return nil
}

// authorised checks that pay_auth_no is this payer's, still usable, and not used up by another order of the insurer.
func (s *Sim) authorised(in *mixedRequest, now time.Time) *refusal {
	openID, until, ok := s.cfg.Credentials.Authorisation(in.PayAuthNo)
	used := s.books.payAuths[in.PayAuthNo]
	if !ok || openID != in.OpenID || !now.Before(until) || (used != "" && used != in.PayOrderID) {
		return invalidRequest("医保授权码无效，请重新授权").numbered(numberPayAuth)
	}
	return nil
}

// passesThrough reports whether the text for the insurer repeats authorisation, order and place.
func (m *mixedRequest) passesThrough() bool {
	var in struct {
		PayAuthNo  string `json:"payAuthNo"`
		PayOrdID   string `json:"payOrdId"`
		SetlLatlnt string `json:"setlLatlnt"`
	}
	return json.Unmarshal([]byte(m.Passthrough), &in) == nil && in.PayAuthNo == m.PayAuthNo && in.PayOrdID == m.PayOrderID &&
		in.SetlLatlnt == m.GeoLocation
}
