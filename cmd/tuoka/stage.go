package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
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
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/store"
	"github.com/tuoka/tuoka/internal/vault"
)

// stage is where a sandbox's files are and which ports it listens on. Everything in it is made at the first start.
type stage struct {
	dir  string
	base int      // the first of the ports below
	lock *os.File // held while the process uses dir

	dsn     string // of a database elsewhere; empty: a file in dir
	his     string // what the hospitals' HISes speak: rest, soap or fhir; empty: as the configuration says
	memory  bool   // the simulators keep no journals
	keyBits int    // of RSA keys that are made
}

// The ports of a sandbox, counted from its base. After them each hospital has two of its own: its merchant at WeChat Pay, and its HIS.
const (
	apiPort = iota
	callbackPort
	opsPort
	phonePort
	wechatMPPort
	insurerPort
	centrePort
	sharedPorts
)

// mostHospitals is how many hospitals a sandbox plays.
const mostHospitals = 4

func wechatPayPort(hospital int) int { return sharedPorts + 2*hospital }
func hisPort(hospital int) int       { return sharedPorts + 2*hospital + 1 }

// ports is how many a sandbox of so many hospitals takes.
func ports(hospitals int) int { return sharedPorts + 2*hospitals }

func (s stage) addr(port int) string   { return net.JoinHostPort("127.0.0.1", strconv.Itoa(s.base+port)) }
func (s stage) url(port int) string    { return "http://" + s.addr(port) }
func (s stage) key(name string) string { return filepath.Join(s.dir, "keys", name) }

// journal is where a simulator writes down what it did; empty for one that need not outlive the process.
func (s stage) journal(name string) string {
	if s.memory {
		return ""
	}
	return filepath.Join(s.dir, "simulators", name+".jsonl")
}

// sandboxConfig reads the sandbox's configuration (the built-in one when path is empty) and points every counterpart at its simulator.
// Every fault is reported at once, and nothing is written yet.
func (s stage) sandboxConfig(path string) (*config.Config, error) {
	text, err := configs.FS.ReadFile("sandbox.yaml")
	if path != "" {
		text, err = os.ReadFile(path) //nolint:gosec // the operator's own file
	}
	if err != nil {
		return nil, err
	}
	cfg, err := config.Parse(text)
	if cfg == nil {
		return nil, err
	}
	if cfg.Mode != config.Sandbox {
		return nil, errors.Join(fmt.Errorf("mode: is %q: --sandbox starts only with mode: sandbox", cfg.Mode), err, cfg.Check())
	}
	cfg.Listen.API, cfg.Listen.Callback, cfg.Listen.Ops = s.addr(apiPort), s.addr(callbackPort), s.addr(opsPort)
	cfg.Database = config.Database{DSN: cmp.Or(s.dsn, filepath.Join(s.dir, "tuoka.db")), Connections: cfg.Database.Connections}
	cfg.Vault.MasterKeyFile = s.key("master.pem")
	if n := len(cfg.Institutions); n > mostHospitals {
		err = errors.Join(err, fmt.Errorf("institutions: a sandbox plays at most %d, not %d", mostHospitals, n))
		cfg.Institutions = cfg.Institutions[:mostHospitals]
	}
	for i := range cfg.Institutions {
		s.point(i, &cfg.Institutions[i])
	}
	return cfg, errors.Join(err, cfg.Check())
}

// claim takes the folder for this process, since keys and journals have one writer, and makes the keys of these hospitals that are not there
// yet.
func (s *stage) claim(hospitals []string) error {
	dirs := []string{filepath.Join(s.dir, "keys"), filepath.Join(s.dir, "simulators")}
	for _, hospital := range hospitals {
		dirs = append(dirs, filepath.Join(s.dir, "simulators", hospital))
	}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return fmt.Errorf("sandbox folder: %w", err)
		}
	}
	lock, err := store.LockFile(filepath.Join(s.dir, "sandbox"))
	if err != nil {
		return fmt.Errorf("sandbox folder %s: %w", s.dir, err)
	}
	s.lock = lock
	if err := s.makeKeys(hospitals); err != nil {
		return errors.Join(fmt.Errorf("sandbox keys: %w", err), s.release())
	}
	return nil
}

// release gives the folder back; without a claim it does nothing.
func (s *stage) release() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// own names a key of one hospital.
func own(hospital, name string) string { return hospital + "_" + name }

// point turns the i-th institution towards the simulators and their keys.
func (s stage) point(i int, in *config.Institution) {
	key := func(name string) string { return s.key(own(in.ID, name)) }
	in.WechatMP.BaseURL, in.WechatMP.QueryURL = s.url(wechatMPPort), s.url(wechatMPPort)+"/api"
	in.WechatMP.AppSecretFile, in.WechatMP.PartnerSecret = key("app_secret"), s.key("partner_secret")
	in.WechatPay.BaseURL, in.WechatPay.NotifyBase = s.url(wechatPayPort(i)), "https://callback.sandbox.invalid" // see gateway
	in.WechatPay.MerchantKeyFile, in.WechatPay.PublicKeyFile = key("merchant.pem"), key("wechatpay_public.pem")
	in.WechatPay.APIv3KeyFile = key("api_v3_key")
	his := in.Hospital()
	his.BaseURL, his.SecretFile = s.url(hisPort(i)), key("his_secret")
	if his.Notices == "sm2" {
		his.NoticeKeyFile, his.AnswerKeyFile = key("his_notice_public.pem"), key("his_answer.pem")
	}
	switch {
	case s.his == "soap" && in.SOAP == nil:
		in.HIS, in.SOAP, in.FHIR = config.HISRest{}, &config.HISSOAP{HISRest: *his}, nil
	case s.his == "fhir" && in.FHIR == nil:
		in.HIS, in.SOAP, in.FHIR = config.HISRest{}, nil, &config.HISFHIR{HISRest: *his}
	case s.his == "rest":
		in.HIS, in.SOAP, in.FHIR = *his, nil, nil
	}
	if in.Insurer != nil {
		in.Insurer.BaseURL, in.Insurer.SecretFile = s.url(insurerPort), s.key("insurer_secret")
	}
	if in.Centre != nil {
		in.Centre.BaseURL, in.Centre.AppSecretFile = s.url(centrePort), key("centre_app_secret")
		in.Centre.PrivateKeyFile, in.Centre.PlatformKeyFile = key("centre_hospital"), s.key("centre_platform.pub")
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
func (s stage) makeKeys(hospitals []string) error {
	err := s.makeFile("master.pem", func(path string) error {
		_, err := vault.NewMasterKeyFile(path)
		return err
	})
	if err != nil {
		return err
	}
	secrets := []string{"partner_secret", "insurer_secret"}
	pairs := []string{"centre_platform"}
	for _, hospital := range hospitals {
		for _, name := range []string{"app_secret", "his_secret", "api_v3_key", "centre_app_secret"} {
			secrets = append(secrets, own(hospital, name))
		}
		pairs = append(pairs, own(hospital, "centre_hospital"))
		for _, name := range []string{"his_notice", "his_answer"} {
			if err := s.makeSM2PEM(own(hospital, name+".pem"), own(hospital, name+"_public.pem")); err != nil {
				return err
			}
		}
		for _, name := range []string{"merchant", "wechatpay"} {
			if err := s.makeRSA(own(hospital, name+".pem"), own(hospital, name+"_public.pem")); err != nil {
				return err
			}
		}
	}
	for _, name := range secrets {
		err := s.makeFile(name, func(path string) error { return writeSecret(path, []byte(vault.RandomToken(24).Reveal())) })
		if err != nil {
			return err
		}
	}
	for _, name := range pairs {
		if err := s.makeSM2(name, name+".pub"); err != nil {
			return err
		}
	}
	return nil
}

// makeSM2 makes a key pair as the mobile-payment centre hands them out: the raw scalar and the raw point, in Base64.
func (s stage) makeSM2(private, public string) error {
	err := s.makeFile(private, func(path string) error {
		return writeSecret(path, []byte(base64.StdEncoding.EncodeToString(gm.GenerateKey().Reveal())))
	})
	if err != nil {
		return err
	}
	return s.makeFile(public, func(path string) error {
		secret, err := config.Secret(private, s.key(private))
		if err != nil {
			return err
		}
		key, err := gm.ParsePrivateKey(secret, gm.Base64)
		if err != nil {
			return err
		}
		return writeSecret(path, []byte(base64.StdEncoding.EncodeToString(key.Public().Bytes())))
	})
}

// makeSM2PEM makes a key pair as OpenSSL writes it.
func (s stage) makeSM2PEM(private, public string) error {
	err := s.makeFile(private, func(path string) error {
		text, err := gm.GenerateKey().PEM()
		if err != nil {
			return err
		}
		return writeSecret(path, text)
	})
	if err != nil {
		return err
	}
	return s.makeFile(public, func(path string) error {
		key, err := s.sm2PEM(private)
		if err != nil {
			return err
		}
		text, err := key.Public().PEM()
		if err != nil {
			return err
		}
		return writeSecret(path, text)
	})
}

func (s stage) sm2PEM(name string) (*gm.PrivateKey, error) {
	secret, err := config.Secret(name, s.key(name))
	if err != nil {
		return nil, err
	}
	return gm.ParsePrivateKey(secret, gm.PEM)
}

// makeFile makes a key file unless it is there. It gets its name when it is whole: a process that was killed in between leaves nothing
// that the next one would take for a key.
func (s stage) makeFile(name string, write func(path string) error) error {
	if _, err := os.Stat(s.key(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	fresh := s.key(name + ".new")
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := write(fresh); err != nil {
		return err
	}
	return os.Rename(fresh, s.key(name))
}

// writeSecret writes a new file that the disk has when it returns.
func writeSecret(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) //nolint:gosec // in the sandbox's own folder
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

func (s stage) makeRSA(private, public string) error {
	err := s.makeFile(private, func(path string) error {
		key, err := rsa.GenerateKey(rand.Reader, cmp.Or(s.keyBits, 2048))
		if err != nil {
			return err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return err
		}
		return writeSecret(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	})
	if err != nil {
		return err
	}
	return s.makeFile(public, func(path string) error {
		key, err := s.private(private)
		if err != nil {
			return err
		}
		der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
		if err != nil {
			return err
		}
		return writeSecret(path, pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
	})
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
