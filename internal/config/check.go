package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
)

var digestPattern = regexp.MustCompile(`^[0-9a-f]{64}$`)

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
	if c.Redis.Addr == "" && c.Redis != (Redis{}) {
		f.add("redis.addr", "is missing, although other keys of redis are there")
	}
	c.checkListen(&f)
	switch {
	case c.Database.DSN == "" && c.Database.DSNFile == "":
		f.add("database.dsn", "is missing (or database.dsn_file)")
	case c.Database.DSN != "" && c.Database.DSNFile != "":
		f.add("database.dsn", "and database.dsn_file: only one of them")
	case c.Mode == Production && holdsPassword(c.Database.DSN):
		f.add("database.dsn", "holds a password: put the DSN into a file of mode 600 and name that in database.dsn_file")
	}
	if c.Database.Connections < 0 || c.Database.Connections > mostConnections {
		f.add("database.connections", "must be 0 to %d", mostConnections)
	}
	f.need("vault.master_key_file", c.Vault.MasterKeyFile)
	c.checkLimits(&f)
	c.checkInstitutions(&f)
	return f.join()
}

// mostConnections bounds the connections to a database server; far fewer are the fastest.
const mostConnections = 500

func holdsPassword(dsn string) bool {
	u, err := url.Parse(dsn)
	if err != nil {
		return strings.Contains(dsn, "://") // not even readable: better not in the configuration
	}
	_, has := u.User.Password()
	return has || u.Query().Has("password")
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
	if c.Listen.ClientCertHeader != "" && (len(c.Listen.TrustedProxies) == 0 || strings.ContainsAny(c.Listen.ClientCertHeader, " :\t\r\n")) {
		f.add("listen.client_cert_header", "must be a header's name, and needs listen.trusted_proxies: of others it is not believed")
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
		if in.Link != nil {
			durations[at+"his_insurance.settle_wait"] = in.Link.SettleWait
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

// place is longitude,latitude, as geo_location and uldLatlnt take it.
var place = regexp.MustCompile(`^-?(180(\.0{1,14})?|(1[0-7]\d|\d{1,2})(\.\d{1,14})?),-?(90(\.0{1,14})?|[0-8]?\d(\.\d{1,14})?)$`)

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
