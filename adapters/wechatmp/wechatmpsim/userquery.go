package wechatmpsim

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// refusal is an answer of userQuery with code ≠ 0. The true codes are not published (wechat-med-ins.md a.4): these are this
// simulator's own, and a client must not tell them apart.
type refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

var (
	refusedRequest   = &refusal{10001, "请求参数错误"}
	refusedPartner   = &refusal{10002, "partnerId不存在"}
	refusedTime      = &refusal{10003, "时间戳已失效"}
	refusedSignature = &refusal{10004, "签名校验失败"}
	refusedCode      = &refusal{20001, "授权码无效或已过期"}
	refusedOpenID    = &refusal{20002, "授权用户与openid不一致"}
	refusedUser      = &refusal{20003, "用户未授权或授权已取消"}
	refusedBusy      = &refusal{-1, "系统繁忙"}
)

// userQuery exchanges an authCode for a pay_auth_no (a.4).
func (s *Sim) userQuery(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json;charset=UTF-8")
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	answer, refused := s.exchange(r)
	if refused != nil {
		answer = refused
	}
	_ = json.NewEncoder(w).Encode(answer) // the caller has left
}

func (s *Sim) exchange(r *http.Request) (any, *refusal) {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		return nil, refusedRequest
	}
	if refused := s.checkPortal(r); refused != nil {
		return nil, refused
	}
	var in struct {
		QRCode string `json:"qrcode"`
		OpenID string `json:"openid"`
	}
	if err := readJSON(r, &in); err != nil || in.QRCode == "" || in.OpenID == "" {
		return nil, refusedRequest
	}
	if sandbox.Injected(r.Context()) == sandbox.Refuse {
		return nil, refusedUser
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.cfg.Clock.Now()
	c := s.codes[in.QRCode]
	if c == nil || c.Kind != authCode || c.Spent || now.After(c.Until) {
		return nil, refusedCode
	}
	u := s.users[c.UserID]
	if u.OpenIDs[c.AppID] != in.OpenID {
		return nil, refusedOpenID
	}
	g := &grant{Number: s.authorisationNumber(now), IDNumber: u.IDNumber, OpenID: in.OpenID, Until: now.Add(s.cfg.PayAuthLife)}
	if c.Family != "" {
		rel := u.relative(c.Family)
		if rel == nil {
			return nil, refusedUser
		}
		g.IDNumber = rel.IDNumber
	}
	if err := s.commit(entry{Spent: c.Value, Grant: g}); err != nil {
		return nil, refusedBusy
	}
	return identity(u, c, g), nil
}

// identity is the answer of userQuery: the person who authorised, and the number for oneself or for the relative, never both.
func identity(u *User, c *code, g *grant) map[string]any {
	own, family := g.Number, ""
	if c.Family != "" {
		own, family = "", g.Number
	}
	answer := map[string]any{
		"code": 0, "message": "success", "user_name": u.Name, "user_card_no": u.IDNumber, "city_id": c.City,
		"pay_auth_no": own, "family_pay_auth_no": family,
	}
	if u.Longitude != "" && u.Latitude != "" {
		place, _ := json.Marshal(map[string]string{"longitude": u.Longitude, "latitude": u.Latitude}) // strings always encode
		answer["user_longitude_latitude"] = string(place)
	}
	return answer
}

// authorisationNumber begins with AUTH and has 37 characters of the 40 allowed.
func (s *Sim) authorisationNumber(now time.Time) string {
	return fmt.Sprintf("AUTH%s%019d", now.In(clock.Shanghai).Format("20060102150405"), s.cfg.Source.ID())
}

// checkPortal checks partner, time and signature: hex HMAC-SHA256 of partnerId and timestamp under the partner's secret.
func (s *Sim) checkPortal(r *http.Request) *refusal {
	partner := r.PathValue("partner")
	secret, ok := s.partners[partner]
	if !ok {
		return refusedPartner
	}
	stamp := r.Header.Get("god-portal-timestamp")
	ms, err := strconv.ParseInt(stamp, 10, 64)
	if err != nil {
		return refusedTime
	}
	if away := s.cfg.Clock.Now().Sub(time.UnixMilli(ms)); away > s.cfg.SignWindow || away < -s.cfg.SignWindow {
		return refusedTime
	}
	if id, err := hex.DecodeString(r.Header.Get("god-portal-request-id")); err != nil || len(id) != 16 {
		return refusedRequest
	}
	sum := hmac.New(sha256.New, []byte(secret.Reveal()))
	sum.Write([]byte(partner))
	sum.Write([]byte(stamp))
	if r.Header.Get("god-portal-signature") != hex.EncodeToString(sum.Sum(nil)) {
		return refusedSignature
	}
	return nil
}
