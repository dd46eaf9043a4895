package main

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"

	"github.com/tuoka/tuoka/configs"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/vault"
)

// stage is where a sandbox's files are and which ports it listens on. Everything in it is made at the first start.
type stage struct {
	dir  string
	base int // the first of the ports below
}

// The ports of a sandbox, counted from its base.
const (
	apiPort = iota
	callbackPort
	opsPort
	phonePort
	wechatPayPort
	wechatMPPort
	insurerPort
	hisPort
)

func (s stage) addr(port int) string       { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.base+port)) }
func (s stage) url(port int) string        { return "http://" + s.addr(port) }
func (s stage) key(name string) string     { return filepath.Join(s.dir, "keys", name) }
func (s stage) journal(name string) string { return filepath.Join(s.dir, "simulators", name+".jsonl") }

// sandboxConfig reads the sandbox's configuration (the built-in one when path is empty), makes the keys that are not there yet, and
// points every counterpart at its simulator.
func (s stage) sandboxConfig(path string) (*config.Config, error) {
	text, err := configs.FS.ReadFile("sandbox.yaml")
	if path != "" {
		text, err = os.ReadFile(path) //nolint:gosec // the operator's own file
	}
	if err != nil {
		return nil, err
	}
	cfg, err := config.Parse(text)
	if err != nil {
		return nil, err
	}
	if cfg.Mode != config.Sandbox {
		return nil, fmt.Errorf("mode: is %q: --sandbox starts only with mode: sandbox", cfg.Mode)
	}
	if err := s.makeKeys(); err != nil {
		return nil, fmt.Errorf("sandbox keys: %w", err)
	}
	cfg.Listen = config.Listen{API: s.addr(apiPort), Callback: s.addr(callbackPort), Ops: s.addr(opsPort)}
	cfg.Database.DSN = filepath.Join(s.dir, "tuoka.db")
	cfg.Vault.MasterKeyFile = s.key("master.pem")
	for i := range cfg.Institutions {
		s.point(&cfg.Institutions[i])
	}
	return cfg, nil
}

// point turns an institution towards the simulators and their keys.
func (s stage) point(in *config.Institution) {
	in.WechatMP.BaseURL, in.WechatMP.QueryURL = s.url(wechatMPPort), s.url(wechatMPPort)+"/api"
	in.WechatMP.AppSecretFile, in.WechatMP.PartnerSecret = s.key("app_secret"), s.key("partner_secret")
	in.WechatPay.BaseURL, in.WechatPay.NotifyBase = s.url(wechatPayPort), "https://callback.sandbox.invalid" // see gateway
	in.WechatPay.MerchantKeyFile, in.WechatPay.PublicKeyFile = s.key("merchant.pem"), s.key("wechatpay_public.pem")
	in.WechatPay.APIv3KeyFile = s.key("api_v3_key")
	in.HIS.BaseURL, in.HIS.SecretFile = s.url(hisPort), s.key("his_secret")
	if in.Insurer != nil {
		in.Insurer.BaseURL, in.Insurer.SecretFile = s.url(insurerPort), s.key("insurer_secret")
	}
}

// gateway plays the hospital's TLS gateway: whatever address WeChat was given, the notice arrives at our callback face.
type gateway struct {
	to   string
	next http.RoundTripper
}

// RoundTrip sends the request on.
func (g gateway) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.URL.Scheme, in.URL.Host = "http", g.to
	return g.next.RoundTrip(in)
}

// makeKeys makes what is missing; what is there is kept, so that a restart knows the same counterparts.
func (s stage) makeKeys() error {
	for _, dir := range []string{filepath.Join(s.dir, "keys"), filepath.Join(s.dir, "simulators")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	if _, err := os.Stat(s.key("master.pem")); errors.Is(err, fs.ErrNotExist) {
		if _, err := vault.NewMasterKeyFile(s.key("master.pem")); err != nil {
			return err
		}
	}
	for _, name := range []string{"app_secret", "partner_secret", "his_secret", "insurer_secret", "api_v3_key"} {
		if err := s.makeFile(name, func() ([]byte, error) { return []byte(vault.RandomToken(24).Reveal()), nil }); err != nil {
			return err
		}
	}
	if err := s.makeRSA("merchant.pem", "merchant_public.pem"); err != nil {
		return err
	}
	return s.makeRSA("wechatpay.pem", "wechatpay_public.pem")
}

func (s stage) makeFile(name string, content func() ([]byte, error)) error {
	if _, err := os.Stat(s.key(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	b, err := content()
	if err != nil {
		return err
	}
	return os.WriteFile(s.key(name), b, 0o600)
}

func (s stage) makeRSA(private, public string) error {
	var key *rsa.PrivateKey
	err := s.makeFile(private, func() (_ []byte, err error) {
		if key, err = rsa.GenerateKey(rand.Reader, 2048); err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), err
	})
	if err != nil || key == nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return os.WriteFile(s.key(public), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), 0o600)
}

func (s stage) private(name string) (*rsa.PrivateKey, error) {
	secret, err := config.Secret(name, s.key(name))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode([]byte(secret.Reveal()))
	if block == nil {
		return nil, fmt.Errorf("%s is not PEM", name)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	private, ok := key.(*rsa.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("%s is not an RSA key", name)
	}
	return private, nil
}

// listen opens all ports before anything is served, so that a port in use is one clear error.
func listen(ctx context.Context, addrs ...string) ([]net.Listener, error) {
	var open []net.Listener
	for _, addr := range addrs {
		l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
		if err != nil {
			for _, l := range open {
				err = errors.Join(err, l.Close())
			}
			return nil, fmt.Errorf("%w (another instance? choose --port-base and --data)", err)
		}
		open = append(open, l)
	}
	return open, nil
}
