// Package wechatpay talks to WeChat Pay APIv3 (微信支付) for one direct merchant and one appid: JSAPI orders, mixed orders
// (医保自费混合订单), refunds, notices and bills. It is the only importer of wechatpay-go, which it uses in public-key mode
// (微信支付公钥) for signing, verifying and encrypting.
//
// What the SDK says in its errors is never passed on: its texts hold headers, even whole requests. Errors are the sentinels of
// package payment; their cause names the call, the status, WeChat's code and the number at the end of the Request-ID.
package wechatpay

import (
	"cmp"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/wechatpay-apiv3/wechatpay-go/core"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/validators"
	"github.com/wechatpay-apiv3/wechatpay-go/core/auth/verifiers"
	"github.com/wechatpay-apiv3/wechatpay-go/core/option"
	"github.com/wechatpay-apiv3/wechatpay-go/utils"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/payment"
	"github.com/tuoka/tuoka/internal/sensitive"
)

const (
	apiBase        = "https://api.mch.weixin.qq.com"
	keyIDPrefix    = "PUB_KEY_ID_"
	apiV3KeyLength = 32
	leastBits      = 2048
	usualTimeout   = 10 * time.Second
)

// Config is what the merchant platform (商户平台) gave, and how the client is run.
type Config struct {
	MchID               string            // 商户号
	AppID               string            // the mini program's
	MerchantSerial      string            // 商户API证书序列号; may be empty when the certificate is given
	MerchantCertificate string            // apiclient_cert.pem; optional, checks serial and key
	MerchantKey         sensitive.Key     // apiclient_key.pem
	PublicKeyID         string            // 微信支付公钥ID, begins PUB_KEY_ID_
	PublicKey           string            // pub_key.pem of WeChat Pay
	APIv3Key            sensitive.Key     // 32 bytes
	OldAPIv3Key         sensitive.Key     // optional: still opens notices while the key is being changed
	PayNotifyURL        string            // https, without query
	RefundNotifyURL     string            // likewise
	MedIns              *MedIns           // the mixed order; nil: not used here
	SharedMerchant      bool              // other systems take money under the merchant number, too: what cannot be ours in its bills is theirs
	BaseURL             string            // another host, for the sandbox or an egress proxy; empty: the true one
	Timeout             time.Duration     // of one call; 0: ten seconds
	Clock               clock.Clock       // deadlines, and the time stamp of the cashier
	Source              *clock.Source     // nonces of the cashier
	Transport           http.RoundTripper // nil: http.DefaultTransport
	KeyBits             int               // the shortest RSA key taken; 0: 2048. A simulation, whose keys guard nothing, takes shorter ones
}

// Client is WeChat Pay for one merchant. It is a payment.Gateway and a payment.MixedGateway, and may be shared by goroutines.
type Client struct {
	cfg     Config
	api     *core.Client // signs, verifies, and encrypts personal data under the key that is named PublicKeyID
	files   *core.Client // for bills, whose answers carry no signature
	notices *validators.WechatPayNotifyValidator
	openers []cipher.AEAD // for the content of notices: under the APIv3 key, then under the old one
}

var _ payment.Gateway = (*Client)(nil)

// New checks keys and addresses and makes the client; it calls nobody. Its errors never quote a key.
func New(cfg Config) (*Client, error) {
	if err := checkConfig(cfg); err != nil {
		return nil, fmt.Errorf("wechat pay: %w", err)
	}
	private, err := merchantKey(&cfg)
	if err != nil {
		return nil, fmt.Errorf("wechat pay: %w", err)
	}
	public, err := utils.LoadPublicKey(cfg.PublicKey)
	switch {
	case err != nil:
		return nil, errors.New("wechat pay: PublicKey is not a PEM public key (a certificate does not belong here)")
	case public.N.BitLen() < cmp.Or(cfg.KeyBits, leastBits):
		return nil, errors.New("wechat pay: PublicKey is shorter than 2048 bits")
	case public.Equal(&private.PublicKey):
		return nil, errors.New("wechat pay: PublicKey is the merchant's own, not WeChat Pay's")
	}
	base, err := baseURL(cfg.BaseURL)
	if err != nil {
		return nil, err
	}
	if cfg.MedIns != nil {
		medIns := *cfg.MedIns
		if err := medIns.check(cfg.AppID); err != nil {
			return nil, fmt.Errorf("wechat pay: %w", err)
		}
		cfg.MedIns = &medIns
	}
	c := &Client{cfg: cfg}
	if err := c.connect(base, private, public); err != nil {
		return nil, err
	}
	return c, nil
}

func checkConfig(cfg Config) error {
	switch {
	case cfg.MchID == "" || cfg.AppID == "":
		return errors.New("config: MchID and AppID are required")
	case cfg.Clock == nil || cfg.Source == nil:
		return errors.New("config: Clock and Source are required")
	case !strings.HasPrefix(cfg.PublicKeyID, keyIDPrefix):
		return errors.New("PublicKeyID must begin with PUB_KEY_ID_; a certificate serial does not belong here")
	case len(cfg.APIv3Key.Reveal()) != apiV3KeyLength:
		return errors.New("APIv3Key must have 32 bytes")
	case !cfg.OldAPIv3Key.IsZero() && len(cfg.OldAPIv3Key.Reveal()) != apiV3KeyLength:
		return errors.New("OldAPIv3Key must have 32 bytes")
	}
	for _, address := range []string{cfg.PayNotifyURL, cfg.RefundNotifyURL} {
		u, err := url.Parse(address)
		if err != nil || u.Scheme != "https" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || len(address) > 255 {
			return errors.New("PayNotifyURL and RefundNotifyURL must be https, without query, at most 255 characters")
		}
	}
	return nil
}

// merchantKey reads the merchant's key and, when there is a certificate, checks that both and the serial belong together.
func merchantKey(cfg *Config) (*rsa.PrivateKey, error) {
	private, err := utils.LoadPrivateKey(cfg.MerchantKey.Reveal())
	switch {
	case err != nil:
		return nil, errors.New("MerchantKey is not a PKCS #8 RSA key in PEM")
	case private.N.BitLen() < cmp.Or(cfg.KeyBits, leastBits):
		return nil, errors.New("MerchantKey is shorter than 2048 bits")
	case cfg.MerchantCertificate == "" && cfg.MerchantSerial == "":
		return nil, errors.New("MerchantSerial or MerchantCertificate is required")
	case cfg.MerchantCertificate == "":
		return private, nil
	}
	block, _ := pem.Decode([]byte(cfg.MerchantCertificate))
	if block == nil {
		return nil, errors.New("MerchantCertificate is not PEM")
	}
	certificate, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, errors.New("MerchantCertificate is not a certificate")
	}
	if !private.PublicKey.Equal(certificate.PublicKey) {
		return nil, errors.New("MerchantCertificate does not belong to MerchantKey")
	}
	serial := utils.GetCertificateSerialNumber(*certificate)
	if cfg.MerchantSerial == "" {
		cfg.MerchantSerial = serial
	}
	if !strings.EqualFold(cfg.MerchantSerial, serial) {
		return nil, errors.New("MerchantSerial is not that of MerchantCertificate")
	}
	return private, nil
}

// baseURL reads the address that replaces WeChat's; nil for the true one.
func baseURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, nil
	}
	u, err := url.Parse(strings.TrimSuffix(text, "/"))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return nil, errors.New("wechat pay: BaseURL must be http or https with a host, without query")
	}
	return u, nil
}

func (c *Client) connect(base *url.URL, private *rsa.PrivateKey, public *rsa.PublicKey) error {
	next := c.cfg.Transport
	if next == nil {
		next = http.DefaultTransport
	}
	over := func(limit int64) core.ClientOption {
		return option.WithHTTPClient(&http.Client{Transport: carrier{base: base, next: next, limit: limit}, CheckRedirect: stay})
	}
	api, err := core.NewClient(context.Background(), over(maxAnswer), option.WithWechatPayPublicKeyAuthCipher(c.cfg.MchID,
		c.cfg.MerchantSerial, private, c.cfg.PublicKeyID, public))
	if err != nil {
		return errors.New("wechat pay: the SDK refuses these settings")
	}
	files, err := core.NewClient(context.Background(), over(maxBill), option.WithMerchantCredential(c.cfg.MchID,
		c.cfg.MerchantSerial, private), option.WithoutValidator())
	if err != nil {
		return errors.New("wechat pay: the SDK refuses these settings")
	}
	c.api, c.files = api, files
	c.notices = validators.NewWechatPayNotifyValidator(verifiers.NewSHA256WithRSAPubkeyVerifier(c.cfg.PublicKeyID, *public))
	for _, key := range []sensitive.Key{c.cfg.APIv3Key, c.cfg.OldAPIv3Key} {
		if key.IsZero() {
			continue
		}
		block, err := aes.NewCipher([]byte(key.Reveal()))
		if err != nil {
			return errors.New("wechat pay: the APIv3 key is no AES key")
		}
		opener, err := cipher.NewGCM(block)
		if err != nil {
			return errors.New("wechat pay: the APIv3 key is no AES key")
		}
		c.openers = append(c.openers, opener)
	}
	return nil
}

func (c *Client) timeout() time.Duration {
	if c.cfg.Timeout > 0 {
		return c.cfg.Timeout
	}
	return usualTimeout
}
