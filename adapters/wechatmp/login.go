package wechatmp

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// maxCode is above the length of any one-time code.
const maxCode = 512

// session is the answer of code2Session. session_key is not read: the phone number comes by Phone, and nothing else needs the key.
type session struct {
	answered
	OpenID string `json:"openid"`
}

// Login exchanges a wx.login code (code2Session, §4.1). WeChat's "busy" is asked once more; a code whose answer was lost is not, it
// may be spent. Errors: patient.ErrLoginCode, ErrLoginBlocked, ErrBusy; ErrLimited, ErrSetup.
func (c *Client) Login(ctx context.Context, code string) (sensitive.OpenID, error) {
	if code == "" || len(code) > maxCode {
		return sensitive.OpenID{}, patient.ErrLoginCode
	}
	query := url.Values{"appid": {c.cfg.AppID}, "secret": {c.cfg.AppSecret.Reveal()}, "js_code": {code},
		"grant_type": {"authorization_code"}}
	target := c.base + "/sns/jscode2session?" + query.Encode()
	openID, err := c.login(ctx, target)
	if cause, ok := errors.AsType[codeError](err); ok && cause == codeBusy && c.pause(ctx) == nil {
		openID, err = c.login(ctx, target)
	}
	return openID, err
}

func (c *Client) login(ctx context.Context, target string) (sensitive.OpenID, error) {
	answer, err := c.call(ctx, http.MethodGet, target, nil, nil)
	if err != nil {
		return sensitive.OpenID{}, err
	}
	return readSession(answer)
}

func readSession(answer []byte) (sensitive.OpenID, error) {
	var s session
	if err := decode(answer, &s); err != nil {
		return sensitive.OpenID{}, err
	}
	if err := judge(s.Code, patient.ErrLoginCode); err != nil {
		return sensitive.OpenID{}, err
	}
	if s.OpenID == "" || len(s.OpenID) > 128 {
		return sensitive.OpenID{}, patient.ErrBusy.Because(errors.New("answer without openid"))
	}
	return sensitive.NewOpenID(s.OpenID), nil
}

func (c *Client) pause(ctx context.Context) error {
	return c.cfg.Clock.Sleep(ctx, c.cfg.Source.Spread(200*time.Millisecond))
}

// phoneAnswer is the answer of getuserphonenumber.
type phoneAnswer struct {
	answered
	Info struct {
		Full      string `json:"phoneNumber"` // with the country code, if abroad
		Pure      string `json:"purePhoneNumber"`
		Country   string `json:"countryCode"`
		Watermark struct {
			AppID string `json:"appid"`
		} `json:"watermark"`
	} `json:"phone_info"`
}

// Phone exchanges the phone button's code (getuserphonenumber, §4.4). Errors: patient.ErrPhone, ErrBusy; ErrLimited, ErrSetup.
func (c *Client) Phone(ctx context.Context, code string) (sensitive.Phone, error) {
	if code == "" || len(code) > maxCode {
		return sensitive.Phone{}, patient.ErrPhone
	}
	body := map[string]string{"code": code}
	answer, err := c.authorised(ctx, "/wxa/business/getuserphonenumber", body)
	if err != nil {
		return sensitive.Phone{}, err
	}
	return readPhone(answer, c.cfg.AppID)
}

func readPhone(answer []byte, appID string) (sensitive.Phone, error) {
	var p phoneAnswer
	if err := decode(answer, &p); err != nil {
		return sensitive.Phone{}, err
	}
	if err := judge(p.Code, patient.ErrPhone); err != nil {
		return sensitive.Phone{}, err
	}
	if p.Info.Watermark.AppID != appID {
		return sensitive.Phone{}, patient.ErrPhone.Because(errors.New("watermark of another appid"))
	}
	number := p.Info.Full
	if p.Info.Country == "86" {
		number = p.Info.Pure
	}
	if number == "" || len(number) > 20 || strings.Trim(number, "+-0123456789") != "" {
		return sensitive.Phone{}, patient.ErrBusy.Because(errors.New("answer without a phone number"))
	}
	return sensitive.NewPhone(number), nil
}
