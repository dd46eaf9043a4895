package wechatmp

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// maxAuthNo is the length of pay_auth_no on WeChat's mixed order.
const maxAuthNo = 40

// Identify exchanges the authCode that the jump brought back (userQuery, a.4). Errors: patient.ErrAuthCode when it was refused,
// ErrIdentity when the person has no resident identity number, ErrBusy, ErrSetup. Which number came back tells whether the user
// authorised for a relative; both at once are refused.
func (c *Client) Identify(ctx context.Context, authCode string, openID sensitive.OpenID) (patient.Identity, error) {
	if c.queryURL == "" {
		return patient.Identity{}, ErrSetup.Because(errors.New("insurance authorisation is not configured"))
	}
	if authCode == "" || len(authCode) > maxCode || openID.IsZero() {
		return patient.Identity{}, patient.ErrAuthCode
	}
	stamp := strconv.FormatInt(c.cfg.Clock.Now().UnixMilli(), 10)
	header := http.Header{}
	header.Set("god-portal-timestamp", stamp)
	header.Set("god-portal-request-id", hex.EncodeToString([]byte(c.cfg.Source.Nonce(16))))
	header.Set("god-portal-signature", portalSignature(c.cfg.Insurance.PartnerSecret, c.cfg.Insurance.PartnerID, stamp))
	body := map[string]string{"qrcode": authCode, "openid": openID.Reveal()}
	answer, err := c.call(ctx, http.MethodPost, c.queryURL, body, header)
	if err != nil {
		return patient.Identity{}, err
	}
	identity, err := readIdentity(answer, c.cfg.Insurance.BusyCodes)
	if err != nil {
		return patient.Identity{}, err
	}
	identity.UsableFor = c.cfg.Insurance.UsableFor
	return identity, nil
}

// portalSignature is lower-case hex of HMAC-SHA256 over partner id and milliseconds, nothing between. It does not cover the body.
func portalSignature(secret sensitive.Key, partnerID, stamp string) string {
	sum := hmac.New(sha256.New, []byte(secret.Reveal()))
	sum.Write([]byte(partnerID + stamp))
	return hex.EncodeToString(sum.Sum(nil))
}

// userQueryAnswer is the answer of userQuery; its schema is not published, so members not named here are let pass.
type userQueryAnswer struct {
	Code     json.RawMessage `json:"code"` // 0 is success; a number, or a text in some cities
	Name     string          `json:"user_name"`
	IDNumber string          `json:"user_card_no"`
	Own      string          `json:"pay_auth_no"`
	Family   string          `json:"family_pay_auth_no"`
	Place    json.RawMessage `json:"user_longitude_latitude"` // JSON text, or the object itself

	Data   json.RawMessage `json:"data"` // a relay may wrap the answer in one of these
	Body   json.RawMessage `json:"body"`
	Output json.RawMessage `json:"output"`
}

func readIdentity(answer []byte, busy []string) (patient.Identity, error) {
	var a userQueryAnswer
	if err := decode(answer, &a); err != nil {
		return patient.Identity{}, err
	}
	a = unwrap(a)
	switch code := codeText(a.Code); {
	case code == "" || slices.Contains(busy, code):
		return patient.Identity{}, patient.ErrBusy.Because(fmt.Errorf("userQuery code %q", code))
	case code != "0":
		return patient.Identity{}, patient.ErrAuthCode.Because(fmt.Errorf("userQuery code %q", code))
	case a.Own != "" && a.Family != "": // which of them it is decides who pays
		return patient.Identity{}, patient.ErrAuthCode.Because(errors.New("userQuery answer with both authorisations"))
	}
	number := a.Own + a.Family
	if a.Name == "" || a.IDNumber == "" || !authNumber(number) {
		return patient.Identity{}, patient.ErrBusy.Because(errors.New("userQuery answer without name, number or authorisation"))
	}
	id, err := sensitive.ParseIDNumber(a.IDNumber)
	if err != nil {
		return patient.Identity{}, patient.ErrIdentity.Because(err)
	}
	return patient.Identity{Name: sensitive.NewName(a.Name), IDNumber: id, PayAuthNo: sensitive.NewToken(number),
		Location: location(a.Place), Family: a.Family != ""}, nil
}

// unwrap takes a relay's wrapping off, once.
func unwrap(a userQueryAnswer) userQueryAnswer {
	if a.Name != "" || a.Own != "" || a.Family != "" {
		return a
	}
	for _, raw := range []json.RawMessage{a.Data, a.Body, a.Output} {
		var inner userQueryAnswer
		if json.Unmarshal(unquote(raw), &inner) == nil && inner.Code != nil {
			return inner
		}
	}
	return a
}

// unquote gives the JSON inside a JSON text, or the value as it stands.
func unquote(raw json.RawMessage) json.RawMessage {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		return json.RawMessage(text)
	}
	return raw
}

// codeText is the code's digits, empty for anything but a number or its text.
func codeText(raw json.RawMessage) string {
	text := string(unquote(raw))
	if _, err := strconv.ParseInt(text, 10, 32); err != nil {
		return ""
	}
	return text
}

func authNumber(s string) bool {
	return s != "" && len(s) <= maxAuthNo && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' })
}

// location is longitude,latitude for geo_location; empty when the answer does not carry both as plain decimals.
func location(raw json.RawMessage) string {
	var place struct {
		Longitude json.RawMessage `json:"longitude"`
		Latitude  json.RawMessage `json:"latitude"`
	}
	if json.Unmarshal(unquote(raw), &place) != nil {
		return ""
	}
	longitude, latitude := string(unquote(place.Longitude)), string(unquote(place.Latitude))
	if !degrees(longitude) || !degrees(latitude) {
		return ""
	}
	return longitude + "," + latitude
}

// degrees reports a plain decimal of at most 19 characters, so that two fit geo_location's 40.
func degrees(s string) bool {
	whole, part, dotted := strings.Cut(strings.TrimPrefix(s, "-"), ".")
	return len(s) <= 19 && len(whole) >= 1 && len(whole) <= 3 && strings.Trim(whole+part, "0123456789") == "" && (!dotted || part != "")
}
