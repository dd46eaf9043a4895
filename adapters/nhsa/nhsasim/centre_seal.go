package nhsasim

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// The envelope of the mobile-payment centre (nhsa-mobile-pay.md §1–§3), written from the reference alone.

// centreVersion is the protocol version of mobile payment.
const centreVersion = "2.0.1"

// centreKey is the SM4 key of an application: sixteen hex digits taken as they are printed (§3).
func centreKey(appID string, secret sensitive.Key) ([]byte, error) {
	box, err := gm.EncryptECB([]byte(appID)[:16], []byte(secret.Reveal()))
	if err != nil {
		return nil, err
	}
	return []byte(strings.ToUpper(hex.EncodeToString(box[:8]))), nil
}

// centreText is what is signed (§2.1): the members that count, in ASCII order, and the secret. False for what is no JSON.
func centreText(members map[string]json.RawMessage, secret string, rawLeaves bool) (string, bool) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(members)) {
		if name == "signData" || name == "encData" || name == "extra" {
			continue
		}
		value, ok := signedForm(members[name], rawLeaves)
		if !ok {
			return "", false
		}
		if value == "" {
			continue
		}
		if value[0] == '"' { // an outermost text stands bare
			value = textOf(json.RawMessage(value))
		}
		b.WriteString(name + "=" + value + "&")
	}
	b.WriteString("key=" + secret)
	return b.String(), true
}

// signedForm writes one value: names sorted, nothing empty, leaves as texts or as they stand. Nothing for what is empty.
func signedForm(raw json.RawMessage, rawLeaves bool) (string, bool) {
	value := strings.TrimSpace(string(raw))
	switch {
	case value == "" || value == "null" || value == `""`:
		return "", true
	case value[0] == '{':
		var inner map[string]json.RawMessage
		if json.Unmarshal(raw, &inner) != nil {
			return "", false
		}
		var parts []string
		for _, name := range slices.Sorted(maps.Keys(inner)) {
			one, ok := signedForm(inner[name], rawLeaves)
			if !ok {
				return "", false
			}
			if one != "" {
				parts = append(parts, quoted(name)+":"+one)
			}
		}
		return enclosed("{", parts, "}"), true
	case value[0] == '[':
		var inner []json.RawMessage
		if json.Unmarshal(raw, &inner) != nil {
			return "", false
		}
		var parts []string
		for _, one := range inner {
			written, ok := signedForm(one, rawLeaves)
			if !ok {
				return "", false
			}
			if written != "" {
				parts = append(parts, written)
			}
		}
		return enclosed("[", parts, "]"), true
	case value[0] == '"':
		var text string
		if json.Unmarshal(raw, &text) != nil {
			return "", false
		}
		return quoted(text), true
	case rawLeaves:
		return value, true
	}
	return quoted(value), true
}

func enclosed(left string, parts []string, right string) string {
	if len(parts) == 0 {
		return ""
	}
	return left + strings.Join(parts, ",") + right
}

// quoted is a JSON text in which <, > and & stand as they are.
func quoted(s string) string {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	_ = e.Encode(s) // a text can be written
	return strings.TrimSuffix(b.String(), "\n")
}

// openCall checks an envelope and opens it.
func (s *Sim) openCall(body []byte) (centreCall, error) {
	c := centreCall{now: s.clock.Now()}
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil || members == nil {
		return c, refuse("请求报文格式错误:不是JSON对象")
	}
	c.app = s.apps[textOf(members["appId"])]
	switch {
	case c.app == nil:
		return c, refuse("应用[appId]不存在")
	case !strings.EqualFold(textOf(members["encType"]), "SM4") || !strings.EqualFold(textOf(members["signType"]), "SM2"):
		return c, refuse("加密方式[encType]或签名方式[signType]不支持")
	case textOf(members["version"]) != centreVersion:
		return c, refuse("版本号[version]不支持")
	case members["data"] != nil:
		return c, refuse("业务数据[data]不能明文传输")
	case !recent(textOf(members["timestamp"]), c.now):
		return c, refuse("时间戳[timestamp]格式错误或已失效")
	}
	plain, data, err := c.app.decrypt(members)
	if err == nil {
		err = c.app.verify(members, plain)
	}
	c.data = data
	return c, err
}

// recent accepts both forms of a timestamp (§11.3), within the skew of the core platform's gateway.
func recent(stamp string, now time.Time) bool {
	at, err := time.ParseInLocation(compact, stamp, clock.Shanghai)
	if err != nil {
		ms, err := strconv.ParseInt(stamp, 10, 64)
		if err != nil || len(stamp) != 13 {
			return false
		}
		at = time.UnixMilli(ms)
	}
	off := now.Sub(at)
	return off <= skew && off >= -skew
}

// decrypt opens encData. What it gives is not yet verified.
func (a *centreApp) decrypt(members map[string]json.RawMessage) (plain []byte, data map[string]json.RawMessage, err error) {
	encrypted := textOf(members["encData"])
	box, err := hex.DecodeString(encrypted)
	if err != nil || encrypted == "" || encrypted != strings.ToUpper(encrypted) {
		return nil, nil, refuse("密文[encData]应为大写十六进制")
	}
	plain, err = gm.DecryptECB(a.sm4, box)
	if err != nil || json.Unmarshal(plain, &data) != nil || data == nil {
		return nil, nil, refuse("密文[encData]解密失败")
	}
	return plain, data, nil
}

// verify checks the hospital's signature over the envelope with the plain data in it.
func (a *centreApp) verify(members map[string]json.RawMessage, plain []byte) error {
	sig, err := base64.StdEncoding.DecodeString(textOf(members["signData"]))
	if err != nil || len(sig) != 64 {
		return refuse("签名[signData]应为64字节的Base64")
	}
	whole := maps.Clone(members)
	whole["data"] = plain
	signed, ok := centreText(whole, a.Secret.Reveal(), false)
	if !ok || !gm.VerifyRaw(a.HospitalKey, []byte(signed), sig) {
		return refuse("验签失败")
	}
	return nil
}

// sealAnswer signs and encrypts what the centre says, in an answer or in a notice.
func (s *Sim) sealAnswer(a *centreApp, data map[string]any) ([]byte, error) {
	plain, err := marshalPlain(data)
	if err != nil {
		return nil, err
	}
	members := map[string]json.RawMessage{"data": plain}
	for name, v := range map[string]any{"code": s.centreCode(0), "success": true, "message": "成功", "appId": a.AppID,
		"timestamp": s.clock.Now().In(clock.Shanghai).Format(compact), "encType": "SM4", "signType": "SM2", "version": centreVersion} {
		if members[name], err = marshalPlain(v); err != nil {
			return nil, err
		}
	}
	signed, _ := centreText(members, a.Secret.Reveal(), s.oddities.Centre.RawLeaves) // written a moment ago, so it is JSON
	sig, err := gm.SignRaw(a.Key, []byte(signed))
	if err != nil {
		return nil, err
	}
	box, err := gm.EncryptECB(a.sm4, plain)
	if err != nil {
		return nil, err
	}
	delete(members, "data")
	members["encData"] = json.RawMessage(quoted(strings.ToUpper(hex.EncodeToString(box))))
	members["signData"] = json.RawMessage(quoted(base64.StdEncoding.EncodeToString(sig)))
	return json.Marshal(members)
}

// marshalPlain is JSON in which <, > and & stand as they are.
func marshalPlain(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(v)
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), err
}
