package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/configs"
)

func load(t *testing.T, name string) string {
	t.Helper()
	text, err := configs.FS.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func parse(t *testing.T, text string) *Config {
	t.Helper()
	c, err := Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestExampleIsWhole: the example names every key, and is wrong only where a hospital must fill it in.
func TestExampleIsWhole(t *testing.T) {
	c := parse(t, load(t, "example.yaml"))
	err := c.Check()
	if err == nil {
		t.Fatal("the example needs no filling in")
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		if !strings.HasSuffix(line, "is missing") {
			t.Errorf("the example is wrong beyond what is left open: %s", line)
		}
	}
	if c.CallLimit != time.Minute || c.Institutions[0].Insurer.SettleWait != 2*time.Minute {
		t.Errorf("durations: %v, %v", c.CallLimit, c.Institutions[0].Insurer.SettleWait)
	}
}

// TestOneHIS: a hospital has one HIS; one with a vendor's XML needs to be told how that is read, but in the sandbox.
func TestOneHIS(t *testing.T) {
	t.Parallel()
	good := load(t, "example.yaml")
	_, own, _ := strings.Cut(good, "    # his_soap:")
	own, fhir, _ := strings.Cut(own, "    # his_fhir:")
	soap := "    his_soap:" + strings.ReplaceAll(own, "    #   ", "      ")
	text, _, _ := strings.Cut(good, "    his_rest:")
	c := parse(t, text+soap)
	if c.Institutions[0].SOAP == nil || c.Institutions[0].SOAP.Mapping == "" || c.Institutions[0].Hospital().App != "tuoka" {
		t.Fatalf("his_soap of the example: %+v", c.Institutions[0].SOAP)
	}
	c.Institutions[0].SOAP.Mapping = ""
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "his_soap.mapping_file: is missing") {
		t.Errorf("without a mapping: %v", err)
	}
	c.Institutions[0].HIS.App = "tuoka"
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "his_rest: stands beside his_soap") {
		t.Errorf("with two: %v", err)
	}
	c = parse(t, text+"    his_fhir:"+strings.ReplaceAll(fhir, "    #   ", "      "))
	f := c.Institutions[0].FHIR
	if f == nil || f.Profile == "" || c.Institutions[0].Hospital().App != "tuoka" {
		t.Fatalf("his_fhir of the example: %+v", f)
	}
	f.Profile, f.Certificate, f.BaseURL = "", "client.pem", "http://fhir.hospital.invalid"
	c.Institutions[0].SOAP = nil
	err := c.Check()
	for _, want := range []string{"his_fhir.profile_file: is missing", "his_fhir.base_url: must be https", "his_fhir.client_key_file: goes with"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	c.Institutions[0].SOAP = &HISSOAP{}
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "his_fhir: stands beside his_soap") {
		t.Errorf("with two: %v", err)
	}
}

// TestNotices: how a hospital's notices are signed, and with which keys and certificates, is said wholly or not at all.
func TestNotices(t *testing.T) {
	t.Parallel()
	digest := strings.Repeat("0f", 32)
	for _, tt := range []struct {
		name, want string
		set        func(c *Config, his *HISRest)
	}{
		{"nothing", "", func(*Config, *HISRest) {}},
		{"the usual way", "", func(_ *Config, his *HISRest) { his.Notices = "hmac-sm3" }},
		{"by SM2", "", func(_ *Config, his *HISRest) { his.Notices, his.NoticeKeyFile, his.AnswerKeyFile = "sm2", "a", "b" }},
		{"by SM2 without its key", "notice_key_file: is missing", func(_ *Config, his *HISRest) { his.Notices, his.AnswerKeyFile = "sm2", "b" }},
		{"by SM2 without ours", "answer_key_file: is missing", func(_ *Config, his *HISRest) { his.Notices, his.NoticeKeyFile = "sm2", "a" }},
		{"a key that nobody uses", "notices: must be sm2", func(_ *Config, his *HISRest) { his.NoticeKeyFile = "a" }},
		{"by another way", "notices: must be hmac-sm3 or sm2", func(_ *Config, his *HISRest) { his.Notices = "md5" }},
		{"certificates", "", func(c *Config, his *HISRest) {
			c.Listen.TrustedProxies, c.Listen.ClientCertHeader, his.NoticeCerts = []string{"10.1.2.3"}, "X-Client-Cert", []string{digest}
		}},
		{"certificates that nobody sees", "notice_certs: needs", func(_ *Config, his *HISRest) { his.NoticeCerts = []string{digest} }},
		{"no digest", "notice_certs[0]: must be 64 digits", func(c *Config, his *HISRest) {
			c.Listen.TrustedProxies, c.Listen.ClientCertHeader, his.NoticeCerts = []string{"10.1.2.3"}, "X-Client-Cert", []string{"AB:CD"}
		}},
		{"a header that anybody may write", "client_cert_header: must be", func(c *Config, _ *HISRest) { c.Listen.ClientCertHeader = "X-Client-Cert" }},
	} {
		c := parse(t, load(t, "example.yaml"))
		tt.set(c, &c.Institutions[0].HIS)
		var said []string // the example is not filled in: other faults are its own
		for line := range strings.Lines(c.Check().Error()) {
			if strings.Contains(line, "notice") || strings.Contains(line, "answer_key") || strings.Contains(line, "client_cert") {
				said = append(said, line)
			}
		}
		if all := strings.Join(said, ""); (tt.want == "") != (all == "") || !strings.Contains(all, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, all, tt.want)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	good := load(t, "sandbox.yaml")
	tests := []struct{ name, text, want string }{
		{"unknown key", good + "\nsurprise: 1\n", "surprise"},
		{"unknown key deep inside", strings.Replace(good, "app: tuoka", "app: tuoka\n      colour: red", 1), "colour"},
		{"wrong type", strings.Replace(good, "workers: 8", "workers: many", 1), "workers"},
		{"duration without unit", strings.Replace(good, "call_limit: 8s", "call_limit: 8", 1), "unit"},
		{"not YAML", "\t{", "not YAML"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := Parse([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Parse: %v, want %q in it", err, tt.want)
			}
		})
	}
}

// TestRoutesAndCentre: a route names its counterparts, two hospitals share no number, and every choice of the centre is one that is known.
func TestRoutesAndCentre(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(c *Config)
		want   string
	}{
		"mixed without centre":    {func(c *Config) { c.Institutions[1].Centre = nil }, "institutions[1].nhsa_mobile: is missing"},
		"mixed without med_ins":   {func(c *Config) { c.Institutions[1].WechatPay.MedIns = nil }, "institutions[1].wechat_pay.med_ins: is missing"},
		"core with half of mixed": {func(c *Config) { c.Institutions[1].Route, c.Institutions[1].WechatPay.MedIns = "core", nil }, "institutions[1].wechat_pay.med_ins: is missing"},
		"his without its line":    {func(c *Config) { c.Institutions[2].Link = nil }, "institutions[2].his_insurance: is missing"},
		"a line by card":          {func(c *Config) { c.Institutions[2].Link.Credential = "card" }, "his_insurance.credential: must be token or his"},
		"a line that never rests": {func(c *Config) { c.Institutions[2].Link.SettleWait = -time.Second }, "his_insurance.settle_wait"},
		"one merchant for both":   {func(c *Config) { c.Institutions[1].WechatPay.MchID = c.Institutions[0].WechatPay.MchID }, "institutions[1].wechat_pay.mch_id: is that of institutions[0]"},
		"one mini program":        {func(c *Config) { c.Institutions[1].WechatMP.AppID = c.Institutions[0].WechatMP.AppID }, "wechat_mp.app_id: is that of"},
		"no place":                {func(c *Config) { c.Institutions[1].Centre.Location = "" }, "nhsa_mobile.location: is missing"},
		"a place nowhere":         {func(c *Config) { c.Institutions[1].Centre.Location = "199.9,95.1" }, "nhsa_mobile.location: must be longitude,latitude"},
		"ecToken of nobody": {func(c *Config) {
			c.Institutions[1].Centre.RefundCredential, c.Institutions[1].Insurer = "ecToken", nil
		}, "institutions[1].nhsa_core: is missing"},
		"a wait before now":         {func(c *Config) { c.Institutions[1].Centre.Timeouts.Refund = -time.Second }, "nhsa_mobile.timeouts.refund: must be between"},
		"a place in words":          {func(c *Config) { c.Institutions[1].Centre.Location = "南昌" }, "nhsa_mobile.location: must be longitude,latitude"},
		"a front-end trusted alone": {func(c *Config) { c.Institutions[1].Centre.TrustFrontEnd = true }, "trust_front_end: goes with"},
		"acknowledgement":           {func(c *Config) { c.Institutions[1].Centre.NotifyAck = "ok" }, "notify_ack: must be"},
		"extra of nothing":          {func(c *Config) { c.Institutions[1].Centre.Extra = map[string]map[string]string{"6302": {}} }, "extra.6302"},
		"short app id":              {func(c *Config) { c.Institutions[1].Centre.AppID = "short" }, "nhsa_mobile.app_id: must have at least 16"},
		"leaf mode":                 {func(c *Config) { c.Institutions[1].Centre.LeafMode = "x" }, "leaf_mode"},
		"verify leaf mode":          {func(c *Config) { c.Institutions[1].Centre.VerifyLeafModes = []string{"x"} }, "verify_leaf_modes[0]"},
		"path":                      {func(c *Config) { c.Institutions[1].Centre.Paths = map[string]string{"6302": "/x"} }, "paths.6302"},
		"plain without networks":    {func(c *Config) { c.Institutions[1].Centre.NotifyMode = "plain" }, "notify_from: is missing"},
		"no network":                {func(c *Config) { c.Institutions[1].Centre.NotifyFrom = []string{"here"} }, "notify_from[0]"},
		"settled by refunded":       {func(c *Config) { c.Institutions[1].Centre.SettledBy = []int{7} }, "settled_by[0]"},
		"uploads without end":       {func(c *Config) { c.Institutions[1].Centre.UploadTries = 100 }, "upload_tries"},
		"test system in production": {func(c *Config) { c.Mode, c.Institutions[1].WechatPay.MedIns.TestEnv = Production, true }, "test_env: is not allowed"},
	} {
		c := parse(t, load(t, "sandbox.yaml"))
		tt.change(c)
		if err := c.Check(); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q in it", name, err, tt.want)
		}
	}
}

// TestInsurance: who may pay by insurance, and with what, follows from the route alone, whatever is kept to end what began on another.
func TestInsurance(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name           string
		at             int
		change         func(in *Institution)
		insured, needs bool
	}{
		{"core", 0, func(*Institution) {}, true, true},
		{"core by card", 0, func(in *Institution) { in.Insurer.Credential = "id_card" }, true, false},
		{"cash alone", 0, func(in *Institution) { in.Insurer = nil }, false, false},
		{"cash alone, and a line kept", 0, func(in *Institution) { in.Insurer, in.Link = nil, &HISInsurance{Credential: "token"} }, false, false},
		{"mixed", 1, func(*Institution) {}, true, true},
		{"his", 2, func(*Institution) {}, true, true},
		{"his that proves the patient", 2, func(in *Institution) { in.Link.Credential = "his" }, true, false},
		{"his, and the core platform kept", 2, func(in *Institution) { in.Link.Credential, in.Insurer = "his", &NHSACore{Credential: "token"} }, true, false},
	} {
		in := parse(t, load(t, "sandbox.yaml")).Institutions[tt.at]
		tt.change(&in)
		if in.Insured() != tt.insured || in.NeedsAuth(in.Route) != tt.needs {
			t.Errorf("%s: insured %v, needs an authorisation %v", tt.name, in.Insured(), in.NeedsAuth(in.Route))
		}
	}
}

// TestCentreNeedsNoMore: what need not be there is not asked for.
func TestCentreNeedsNoMore(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(n *NHSAMobile){
		"a place at the edge": func(n *NHSAMobile) { n.Location = "180.0,-90" },
		"keys where a front-end seals": func(n *NHSAMobile) {
			n.Transport, n.TrustFrontEnd, n.NotifyMode, n.NotifyFrom = "fsi_wrapped", true, "plain", []string{"10.0.0.1"}
			n.AppID, n.AppSecretFile, n.PrivateKeyFile, n.PlatformKeyFile = "", "", "", ""
		},
	} {
		c := parse(t, load(t, "sandbox.yaml"))
		n := c.Institutions[1].Centre
		n.BaseURL, n.AppSecretFile, n.PrivateKeyFile, n.PlatformKeyFile = "https://centre.invalid", "a", "b", "c"
		change(n)
		if err := c.Check(); err != nil && strings.Contains(err.Error(), "nhsa_mobile") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCheckReportsAllAtOnce breaks many things and expects every one named.
func TestCheckReportsAllAtOnce(t *testing.T) {
	c := parse(t, load(t, "sandbox.yaml"))
	c.Mode, c.Workers, c.Redis.Master = Production, -1, "mymaster"
	c.Listen = Listen{API: "nonsense", Callback: "127.0.0.1:1", Ops: "127.0.0.1:1"}
	in := &c.Institutions[0]
	in.ID, in.Name, in.Route = "H 1", " ", "bus"
	in.WechatMP.BaseURL = "https://elsewhere.invalid"
	in.WechatPay.PublicKeyID = "5157F09E"
	in.WechatPay.NotifyBase = "http://pay.invalid?x=1"
	in.Insurer.FixmedinsCode, in.Insurer.MdtrtareaAdmvs, in.Insurer.Credential, in.Insurer.URLStyle = "H1", "36", "card", "x"
	err := c.Check()
	if err == nil {
		t.Fatal("Check found nothing")
	}
	for _, want := range []string{"time_scale: is not allowed in production", "sandbox: is not allowed in production", "redis.addr", "workers:",
		"listen.api:", "is the same address as", "database.dsn", "vault.master_key_file", "institutions[0].id", "institutions[0].name",
		"institutions[0].route", "base_url are not allowed in production", "PUB_KEY_ID_", "notify_base", "fixmedins_code", "mdtrtarea_admvs",
		"credential", "url_style", "his_rest.base_url", "app_secret_file", "merchant_key_file"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Check does not report %q in:\n%v", want, err)
		}
	}
}

// TestParseGivesWhatItCouldRead, so that an unknown key hides no other fault, not even of its own section.
func TestParseGivesWhatItCouldRead(t *testing.T) {
	text := strings.Replace(load(t, "sandbox.yaml"), "fixmedins_code: H36010000001", "fixmedins_code: H1\n      colour: red", 1)
	c, err := Parse([]byte(text + "\nsurprise: 1\n"))
	if err == nil || c == nil {
		t.Fatalf("Parse = %v, %v", c, err)
	}
	for _, want := range []string{"surprise: is not a key", "institutions[0].nhsa_core.colour: is not a key"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("Parse = %v, want %q in it", err, want)
		}
	}
	if err := c.Check(); err == nil || !strings.Contains(err.Error(), "fixmedins_code") {
		t.Errorf("Check = %v, want the fault beside the unknown key", err)
	}
}

func TestCheckLimits(t *testing.T) {
	for name, tt := range map[string]struct {
		edit func(c *Config)
		want string
	}{
		"negative rate":      {func(c *Config) { c.Limits.PerMinute = -1 }, "limits.per_minute"},
		"negative logins":    {func(c *Config) { c.Limits.LoginPerMinute = -1 }, "limits.login_per_minute"},
		"negative patients":  {func(c *Config) { c.MaxPatients = -1 }, "max_patients"},
		"negative session":   {func(c *Config) { c.SessionLife = -time.Second }, "session_life"},
		"negative auth life": {func(c *Config) { c.Institutions[0].WechatMP.AuthLife = -1 }, "institutions[0].wechat_mp.auth_life"},
		"negative rest":      {func(c *Config) { c.Institutions[0].Insurer.SettleWait = -1 }, "institutions[0].nhsa_core.settle_wait"},
		"negative posting":   {func(c *Config) { c.Institutions[0].PostLimit = -1 }, "institutions[0].post_limit"},
		"call above limit":   {func(c *Config) { c.CallTimeout = c.CallLimit + 1 }, "call_timeout"},
		"log level":          {func(c *Config) { c.Log.Level = "loud" }, "log.level"},
		"two DSNs":           {func(c *Config) { c.Database = Database{DSN: "a", DSNFile: "b"} }, "only one"},
		"DSN with password":  {func(c *Config) { c.Mode = Production; c.Database.DSN = "postgres://tuoka:secret@db/tuoka" }, "holds a password"},
		"password apart": {func(c *Config) {
			c.Mode = Production
			c.Database.DSN = "postgres://db/tuoka?user=tuoka&password=secret"
		}, "holds a password"},
		"DSN not readable":   {func(c *Config) { c.Mode = Production; c.Database.DSN = "postgres://tuoka:se%cret@db/tuoka" }, "holds a password"},
		"connections":        {func(c *Config) { c.Database.Connections = 501 }, "database.connections"},
		"proxy by name":      {func(c *Config) { c.Listen.TrustedProxies = []string{"10.0.0.1", "gateway"} }, "listen.trusted_proxies[1]: must be an address"},
		"proxies everywhere": {func(c *Config) { c.Listen.TrustedProxies = []string{"10.0.0.0/8", "::/0"} }, "listen.trusted_proxies[1]: is everybody"},
		"plain query":        {func(c *Config) { c.Mode = Production; c.Institutions[0].WechatMP.QueryURL = "http://query.invalid" }, "insurance_query_url: must be https"},
	} {
		t.Run(name, func(t *testing.T) {
			c := parse(t, load(t, "sandbox.yaml"))
			c.Listen.TrustedProxies = []string{"10.0.0.1", "10.0.0.0/24", "fd00::/8"}
			if err := c.Check(); err == nil || strings.Contains(err.Error(), tt.want) {
				t.Fatalf("before: %v", err)
			}
			tt.edit(c)
			err := c.Check()
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Check = %v, want %q in it", err, tt.want)
			}
		})
	}
}

func TestCheckOtherFaults(t *testing.T) {
	c := &Config{Mode: "test", TimeScale: 5000}
	err := c.Check()
	for _, want := range []string{"mode: must be production or sandbox", "time_scale: must be 1 to 3600", "institutions: none"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Check = %v, want %q in it", err, want)
		}
	}
}

func TestSecret(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	k, err := Secret("key", write("good", " s3cret\n", 0o600))
	if err != nil || k.Reveal() != "s3cret" {
		t.Errorf("Secret = %q, %v", k.Reveal(), err)
	}
	for name, path := range map[string]string{
		"readable by the group": write("group", "s3cret", 0o640),
		"readable by others":    write("world", "s3cret", 0o604),
		"empty":                 write("empty", " \n", 0o600),
		"too large":             write("large", strings.Repeat("x", 70_000), 0o600),
		"a folder":              dir,
		"missing":               filepath.Join(dir, "missing"),
	} {
		if _, err := Secret("some.key_file", path); err == nil || !strings.Contains(err.Error(), "some.key_file") || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: err = %v, want one that names the key and not the secret", name, err)
		}
	}
}

func TestCheckSecretsReportsAllAtOnce(t *testing.T) {
	c := parse(t, load(t, "example.yaml"))
	err := c.CheckSecrets()
	for _, want := range []string{"vault.master_key_file", "app_secret_file", "partner_secret_file", "merchant_key_file", "public_key_file",
		"api_v3_key_file", "his_rest.secret_file", "nhsa_core.secret_file"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("CheckSecrets = %v, want %q in it", err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	text, err := configs.FS.ReadFile("sandbox.yaml")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add([]byte("mode: production\nlisten: [1]"))
	f.Fuzz(func(_ *testing.T, b []byte) {
		if c, _ := Parse(b); c != nil {
			_ = c.Check()
		}
	})
}

// TestCertifyNotInProduction: what a HIS under test offers has no place in production.
func TestCertifyNotInProduction(t *testing.T) {
	for mode, refused := range map[Mode]bool{Production: true, Sandbox: false} {
		c := &Config{Mode: mode, Institutions: []Institution{{ID: "h1", Certify: &Certify{Name: "测试"}}}}
		if err := c.Check(); refused != strings.Contains(err.Error(), "certify: is not allowed in production") {
			t.Errorf("%s: %v", mode, err)
		}
	}
}

// TestOrdersPerWhat: what one order may hold is said in one of two words, or not at all.
func TestOrdersPerWhat(t *testing.T) {
	t.Parallel()
	good := load(t, "example.yaml")
	for _, tt := range []struct {
		word string
		ok   bool
	}{{"per_bill", true}, {"per_visit", true}, {`""`, true}, {"per_day", false}} {
		c := parse(t, strings.Replace(good, "orders: per_bill", "orders: "+tt.word, 1))
		if err := c.Check(); strings.Contains(err.Error(), "orders: must be per_bill or per_visit") == tt.ok {
			t.Errorf("orders: %s: %v", tt.word, err)
		}
	}
}
