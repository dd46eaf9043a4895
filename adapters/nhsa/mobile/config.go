package mobile

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// fill gives what is empty its default.
func (cfg *Config) fill() {
	cfg.BaseURL = strings.TrimRight(cfg.BaseURL, "/")
	paths := maps.Clone(usualPaths)
	maps.Copy(paths, cfg.Paths)
	cfg.Paths = paths
	switch cfg.SM2UserID {
	case "", "default":
		cfg.SM2UserID = standardUserID
	case "appSecret":
		cfg.SM2UserID = cfg.AppSecret.Reveal()
	}
	for _, d := range []struct {
		p *string
		v string
	}{
		{&cfg.Version, "2.0.1"}, {&cfg.Timestamp, "yyyyMMddHHmmss"}, {&cfg.AccountUse, "patient"}, {&cfg.MdtrtCertType, "01"},
		{&cfg.PsnSetlway, "01"}, {&cfg.PubHospRfomFlag, "0"}, {&cfg.HospApprFlag, "1"}, {&cfg.RefundCredential, "payAuthNo"}, {&cfg.RefundType, "HI"},
	} {
		defaults(d.p, d.v)
	}
	defaults(&cfg.LeafMode, StringLeaves)
	defaults(&cfg.Transport, Sealed)
	defaults(&cfg.NotifyMode, SealedNotices)
	defaults(&cfg.NotifyAck, AckSuccess)
	defaults(&cfg.Timeouts.Query, 20*time.Second)
	defaults(&cfg.Timeouts.Upload, 30*time.Second)
	defaults(&cfg.Timeouts.Refund, 60*time.Second)
	if len(cfg.VerifyLeafModes) == 0 {
		cfg.VerifyLeafModes = []LeafMode{StringLeaves, RawLeaves}
	}
	cfg.AuthErrors = append(slices.Clone(usualAuthErrors), cfg.AuthErrors...)
	cfg.SystemErrors = append(slices.Clone(usualSystemErrors), cfg.SystemErrors...)
}

// sealed reports whether anything sealed is sent or read.
func (cfg *Config) sealed() bool {
	return cfg.Transport != Wrapped || !cfg.TrustFrontEnd || cfg.NotifyMode != PlainNotices
}

// required are the members that the head of 6201 may not lack.
func (cfg *Config) required() []string {
	list := slices.DeleteFunc(slices.Concat(requiredHead, cfg.Required), func(name string) bool { return slices.Contains(cfg.Waived, name) })
	if cfg.RefundCredential == ecToken {
		list = append(list, ecToken)
	}
	return list
}

func (cfg *Config) check(transport http.RoundTripper) error {
	var faults []error
	add := func(bad bool, format string, args ...any) {
		if bad {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	u, err := url.Parse(cfg.BaseURL)
	add(cfg.Clock == nil || cfg.Source == nil || transport == nil, "clock, source and transport are required")
	add(err != nil || u.Host == "", "base URL is not absolute")
	if cfg.sealed() {
		add(len(cfg.AppID) < 16, "app id has fewer than 16 characters")
		add(cfg.AppSecret.IsZero(), "app secret is required")
		add(cfg.PrivateKey.Public() == nil || cfg.PlatformKey == nil, "both SM2 keys are required")
		add(cfg.PrivateKey.Public().Equal(cfg.PlatformKey), "the platform's key is our own")
	}
	add(cfg.TrustFrontEnd && cfg.Transport != Wrapped, "only a front-end (fsi_wrapped) can be trusted without a signature")
	add(cfg.OrgCodg == "" || len(cfg.OrgCodg) > 30, "institution code is required")
	for _, c := range []struct {
		name, value string
		of          []string
	}{
		{"timestamp format", cfg.Timestamp, []string{"yyyyMMddHHmmss", "millis"}}, {"leaf mode", string(cfg.LeafMode), []string{"string", "raw"}},
		{"transport", string(cfg.Transport), []string{"sealed", "fsi_wrapped"}}, {"notify mode", string(cfg.NotifyMode), []string{"sealed", "plain"}},
		{"notice acknowledgement", string(cfg.NotifyAck), []string{"success", "code", "empty"}},
		{"account use", cfg.AccountUse, []string{"patient", "always", "never"}}, {"refund type", cfg.RefundType, []string{"HI", "ALL"}},
		{"refund credential", cfg.RefundCredential, []string{"payAuthNo", ecToken}},
	} {
		add(!slices.Contains(c.of, c.value), "%s %q: %s", c.name, c.value, strings.Join(c.of, ", "))
	}
	for _, m := range cfg.VerifyLeafModes {
		add(m != StringLeaves && m != RawLeaves, "leaf mode %q: string, raw", m)
	}
	for number := range cfg.Extra {
		add(usualPaths[number] == "", "extra members of %q, which is no transaction", number)
	}
	for number := range cfg.Paths {
		add(usualPaths[number] == "", "path of %q, which is no transaction", number)
	}
	add(cfg.RefundCredential == ecToken && cfg.Persons == nil, "refund credential ecToken comes from 1101, and nobody asks it")
	for _, name := range cfg.Waived {
		add(!slices.Contains(requiredHead, name), "%q is waived, and was not required", name)
	}
	add(slices.Contains(cfg.SystemErrors, "") || slices.Contains(cfg.AuthErrors, ""), "an empty error text would be every refusal")
	add(cfg.NotifyMode == PlainNotices && len(cfg.NotifyFrom) == 0, "plain notices need the networks they may come from")
	return errors.Join(faults...)
}

func defaults[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
