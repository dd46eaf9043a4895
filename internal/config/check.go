package config

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// maxNode is the largest node number that ids have room for.
const maxNode = 1023

var idPattern = regexp.MustCompile(`^[a-z0-9][a-z0-9-]{0,31}$`)

// Check reports every fault of the file at once, with its key. It reads no secret; Secret does.
func (c *Config) Check() error {
	var f faults
	if c.Mode != Production && c.Mode != Sandbox {
		f.add("mode", "must be production or sandbox, is %q", c.Mode)
	}
	if c.Mode == Production {
		if c.TimeScale != 0 {
			f.add("time_scale", "is not allowed in production")
		}
		if c.Stage != nil {
			f.add("sandbox", "is not allowed in production")
		}
	}
	if c.TimeScale < 0 || c.TimeScale > 3600 {
		f.add("time_scale", "must be 1 to 3600")
	}
	if c.Node < 0 || c.Node > maxNode {
		f.add("node", "must be 0 to %d", maxNode)
	}
	c.checkListen(&f)
	switch {
	case c.Database.DSN == "" && c.Database.DSNFile == "":
		f.add("database.dsn", "is missing (or database.dsn_file)")
	case c.Database.DSN != "" && c.Database.DSNFile != "":
		f.add("database.dsn", "and database.dsn_file: only one of them")
	}
	f.need("vault.master_key_file", c.Vault.MasterKeyFile)
	c.checkLimits(&f)
	c.checkInstitutions(&f)
	return f.join()
}

func (c *Config) checkListen(f *faults) {
	seen := map[string]string{}
	for _, l := range []struct{ key, addr string }{
		{"listen.api", c.Listen.API}, {"listen.callback", c.Listen.Callback}, {"listen.ops", c.Listen.Ops},
	} {
		if _, _, err := net.SplitHostPort(l.addr); err != nil {
			f.add(l.key, "must be host:port, is %q", l.addr)
			continue
		}
		if other, taken := seen[l.addr]; taken && !strings.HasSuffix(l.addr, ":0") {
			f.add(l.key, "is the same address as %s: each face has its own", other)
		}
		seen[l.addr] = l.key
	}
	for i, text := range c.Listen.TrustedProxies {
		network, err := netip.ParsePrefix(text)
		if _, single := netip.ParseAddr(text); single == nil {
			continue
		}
		switch key := fmt.Sprintf("listen.trusted_proxies[%d]", i); {
		case err != nil:
			f.add(key, "must be an address or a network, is %q", text)
		case network.Bits() == 0:
			f.add(key, "is everybody: anyone could call himself another address")
		}
	}
}

// mostPerMinute is the highest limit that can be counted.
const mostPerMinute = 60_000_000

// checkLimits refuses numbers and durations that would silently mean something else.
func (c *Config) checkLimits(f *faults) {
	for _, n := range []struct {
		key  string
		n    int
		most int
	}{
		{"workers", c.Workers, 256}, {"max_patients", c.MaxPatients, 1000},
		{"limits.per_minute", c.Limits.PerMinute, mostPerMinute}, {"limits.login_per_minute", c.Limits.LoginPerMinute, mostPerMinute},
	} {
		if n.n < 0 || n.n > n.most {
			f.add(n.key, "must be 0 to %d, is %d", n.most, n.n)
		}
	}
	durations := map[string]time.Duration{"call_limit": c.CallLimit, "call_timeout": c.CallTimeout, "session_life": c.SessionLife}
	for i := range c.Institutions {
		in, at := &c.Institutions[i], fmt.Sprintf("institutions[%d].", i)
		durations[at+"post_limit"], durations[at+"wechat_mp.auth_life"] = in.PostLimit, in.WechatMP.AuthLife
		if in.Insurer != nil {
			durations[at+"nhsa_core.settle_wait"] = in.Insurer.SettleWait
		}
	}
	for _, key := range slices.Sorted(maps.Keys(durations)) {
		if durations[key] < 0 {
			f.add(key, "must not be negative, is %v", durations[key])
		}
	}
	if c.CallLimit > 0 && c.CallTimeout > c.CallLimit {
		f.add("call_timeout", "must not be longer than call_limit")
	}
	switch c.Log.Level {
	case "", "debug", "info", "warn", "error":
	default:
		f.add("log.level", "must be debug, info, warn or error, is %q", c.Log.Level)
	}
}

func (c *Config) checkInstitutions(f *faults) {
	if len(c.Institutions) == 0 {
		f.add("institutions", "none is configured")
	}
	seen := map[string]bool{}
	for i := range c.Institutions {
		in := &c.Institutions[i]
		at := fmt.Sprintf("institutions[%d]", i)
		if !idPattern.MatchString(in.ID) || seen[in.ID] {
			f.add(at+".id", "must be small letters, digits and hyphens, and differ from the others; is %q", in.ID)
		}
		seen[in.ID] = true
		f.need(at+".name", in.Name)
		f.need(at+".contact", in.Contact)
		if in.Route != "core" {
			f.add(at+".route", "must be core, is %q", in.Route)
		}
		c.checkWechat(f, at, in)
		c.checkURL(f, at+".his_rest.base_url", in.HIS.BaseURL, true)
		f.need(at+".his_rest.app", in.HIS.App)
		f.need(at+".his_rest.secret_file", in.HIS.SecretFile)
		if in.Insurer != nil {
			c.checkInsurer(f, at+".nhsa_core", in.Insurer)
		}
	}
}

func (c *Config) checkWechat(f *faults, at string, in *Institution) {
	mp, pay := in.WechatMP, in.WechatPay
	f.need(at+".wechat_mp.app_id", mp.AppID)
	f.need(at+".wechat_mp.app_secret_file", mp.AppSecretFile)
	c.checkURL(f, at+".wechat_mp.base_url", mp.BaseURL, false)
	if in.Insurer != nil {
		c.checkURL(f, at+".wechat_mp.insurance_query_url", mp.QueryURL, true)
		f.need(at+".wechat_mp.partner_id", mp.PartnerID)
		f.need(at+".wechat_mp.partner_secret_file", mp.PartnerSecret)
		f.need(at+".wechat_mp.org_codg", mp.OrgCode)
	}
	f.need(at+".wechat_pay.mch_id", pay.MchID)
	f.need(at+".wechat_pay.merchant_serial", pay.MerchantSerial)
	f.need(at+".wechat_pay.merchant_key_file", pay.MerchantKeyFile)
	f.need(at+".wechat_pay.public_key_file", pay.PublicKeyFile)
	f.need(at+".wechat_pay.api_v3_key_file", pay.APIv3KeyFile)
	if !strings.HasPrefix(pay.PublicKeyID, "PUB_KEY_ID_") {
		f.add(at+".wechat_pay.public_key_id", "must begin with PUB_KEY_ID_: a merchant certificate's serial does not belong here")
	}
	c.checkURL(f, at+".wechat_pay.notify_base", pay.NotifyBase, true)
	if c.Mode == Production && (mp.BaseURL != "" || pay.BaseURL != "") {
		f.add(at, "wechat_mp.base_url and wechat_pay.base_url are not allowed in production: personal data would travel to a host of a setting's choice")
	}
}

func (c *Config) checkInsurer(f *faults, at string, n *NHSACore) {
	c.checkURL(f, at+".base_url", n.BaseURL, true)
	f.need(at+".paas_id", n.PaasID)
	f.need(at+".secret_file", n.SecretFile)
	f.need(at+".fixmedins_name", n.FixmedinsName)
	if len(n.FixmedinsCode) != 12 {
		f.add(at+".fixmedins_code", "must have 12 characters, has %d", len(n.FixmedinsCode))
	}
	if len(n.MdtrtareaAdmvs) != 6 {
		f.add(at+".mdtrtarea_admvs", "must have 6 digits")
	}
	if n.Credential != "token" && n.Credential != "id_card" {
		f.add(at+".credential", "must be token or id_card, is %q", n.Credential)
	}
	switch n.URLStyle {
	case "one", "appended", "services":
	default:
		f.add(at+".url_style", "must be one, appended or services, is %q", n.URLStyle)
	}
}

func (c *Config) checkURL(f *faults, key, text string, required bool) {
	if text == "" {
		if required {
			f.add(key, "is missing")
		}
		return
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https"):
		f.add(key, "must be an http or https address")
	case u.RawQuery != "" || u.Fragment != "" || u.User != nil:
		f.add(key, "must have no query, fragment or password")
	case c.Mode == Production && u.Scheme != "https" && (strings.HasSuffix(key, "notify_base") || strings.HasSuffix(key, "insurance_query_url")):
		f.add(key, "must be https")
	}
}

// Secret reads a secret from its file. Others than the owner must not be able to read it.
func Secret(key, path string) (sensitive.Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return sensitive.Key{}, fmt.Errorf("%s: the file cannot be read: %w", key, err)
	}
	if !info.Mode().IsRegular() {
		return sensitive.Key{}, fmt.Errorf("%s: %s is not a file", key, path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return sensitive.Key{}, fmt.Errorf("%s: %s can be read by others (mode %04o): chmod 600", key, path, info.Mode().Perm())
	}
	if info.Size() > 64<<10 {
		return sensitive.Key{}, fmt.Errorf("%s: %s is too large for a secret", key, path)
	}
	text, err := os.ReadFile(path) //nolint:gosec // the operator's own file
	if err != nil {
		return sensitive.Key{}, fmt.Errorf("%s: %w", key, err)
	}
	s := strings.TrimSpace(string(text))
	if s == "" {
		return sensitive.Key{}, fmt.Errorf("%s: %s is empty", key, path)
	}
	return sensitive.NewKey(s), nil
}

// CheckSecrets reports every secret file that is missing, empty or readable by others, at once. Files that the configuration does not
// name are Check's business.
func (c *Config) CheckSecrets() error {
	var errs []error
	try := func(key, path string) {
		if path == "" {
			return
		}
		if _, err := Secret(key, path); err != nil {
			errs = append(errs, err)
		}
	}
	try("database.dsn_file", c.Database.DSNFile)
	try("vault.master_key_file", c.Vault.MasterKeyFile)
	for i := range c.Institutions {
		in, at := &c.Institutions[i], fmt.Sprintf("institutions[%d]", i)
		try(at+".wechat_mp.app_secret_file", in.WechatMP.AppSecretFile)
		try(at+".wechat_mp.partner_secret_file", in.WechatMP.PartnerSecret)
		try(at+".wechat_pay.merchant_key_file", in.WechatPay.MerchantKeyFile)
		try(at+".wechat_pay.public_key_file", in.WechatPay.PublicKeyFile)
		try(at+".wechat_pay.api_v3_key_file", in.WechatPay.APIv3KeyFile)
		try(at+".wechat_pay.old_api_v3_key_file", in.WechatPay.OldAPIv3KeyFile)
		try(at+".his_rest.secret_file", in.HIS.SecretFile)
		if in.Insurer != nil {
			try(at+".nhsa_core.secret_file", in.Insurer.SecretFile)
		}
	}
	return errors.Join(errs...)
}
