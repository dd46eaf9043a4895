// Package config reads configs/*.yaml: once, strictly, and with every fault reported together. Secrets are named by file.
package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-viper/mapstructure/v2"
	"github.com/knadh/koanf/parsers/yaml"
	"github.com/knadh/koanf/providers/rawbytes"
	"github.com/knadh/koanf/v2"
)

// Mode tells production from everything else.
type Mode string

// The modes. Sandbox alone may start simulators and scale time.
const (
	Production Mode = "production"
	Sandbox    Mode = "sandbox"
)

// Config is the whole file.
type Config struct {
	Mode         Mode          `koanf:"mode"`
	TimeScale    int64         `koanf:"time_scale"` // divides waits between polls and retries; sandbox only
	Listen       Listen        `koanf:"listen"`
	Database     Database      `koanf:"database"`
	Redis        Redis         `koanf:"redis"`
	Vault        Vault         `koanf:"vault"`
	Workers      int           `koanf:"workers"`      // how many orders of one institution are worked on at once, besides what patients ask for
	CallLimit    time.Duration `koanf:"call_limit"`   // the longest one step with a counterpart may take, a chain of calls included
	CallTimeout  time.Duration `koanf:"call_timeout"` // of one call; empty: what suits each counterpart
	Drain        time.Duration `koanf:"drain"`        // how long a process that is told to stop still takes requests, while /readyz says no
	SessionLife  time.Duration `koanf:"session_life"`
	MaxPatients  int           `koanf:"max_patients"` // per WeChat account
	Limits       Limits        `koanf:"limits"`
	Log          Log           `koanf:"log"`
	Institutions []Institution `koanf:"institutions"`
	Stage        *Stage        `koanf:"sandbox"` // persons, bills and oddities of the simulators
}

// Listen are the addresses of the faces, each on its own so that networks can be kept apart.
type Listen struct {
	API      string `koanf:"api"`
	Callback string `koanf:"callback"`
	Ops      string `koanf:"ops"`

	TrustedProxies   []string `koanf:"trusted_proxies"`    // addresses or networks of the TLS gateway, whose X-Forwarded-For is believed
	ClientCertHeader string   `koanf:"client_cert_header"` // in which that gateway writes the certificate that a caller showed, PEM, percent-encoded
}

// Database names the store.
type Database struct {
	DSN         string `koanf:"dsn"`         // postgres:// and mysql:// are servers, a path is SQLite
	DSNFile     string `koanf:"dsn_file"`    // the same, from a file that only we can read
	Connections int    `koanf:"connections"` // to a server; 0: 16
}

// Redis names the cache; without an address an embedded one is used, on one node only.
type Redis struct {
	Addr         string `koanf:"addr"`            // host:port; several, separated by commas: a Cluster, or the Sentinels of sentinel_master
	Master       string `koanf:"sentinel_master"` // what the Sentinels call the master
	Username     string `koanf:"username"`
	PasswordFile string `koanf:"password_file"`
	TLS          bool   `koanf:"tls"`
}

// Vault names the master key of patient data.
type Vault struct {
	MasterKeyFile string `koanf:"master_key_file"` // SM2 private key, PEM
}

// Limits bound what one address may ask per minute; 0 is the standard.
type Limits struct {
	PerMinute      int `koanf:"per_minute"`
	LoginPerMinute int `koanf:"login_per_minute"`
}

// Log is how much is written.
type Log struct {
	Level string `koanf:"level"` // debug, info, warn, error
}

// Institution is one hospital with its counterparts.
type Institution struct {
	ID        string        `koanf:"id"`      // ours, in addresses and rows
	Name      string        `koanf:"name"`    // what patients read
	Contact   string        `koanf:"contact"` // where a patient asks about personal data
	Route     string        `koanf:"route"`
	Orders    string        `koanf:"orders"`     // per_bill: each bill is paid by itself; per_visit: several of one visit together; empty: per_bill
	CashFirst bool          `koanf:"cash_first"` // route mixed: a refund gives the cash back before the insurance
	PostLimit time.Duration `koanf:"post_limit"` // a HIS that has not booked by then: everything goes back; empty: never, it is asked for 7 days
	WechatMP  WechatMP      `koanf:"wechat_mp"`
	WechatPay WechatPay     `koanf:"wechat_pay"`
	Insurer   *NHSACore     `koanf:"nhsa_core"`
	Link      *HISInsurance `koanf:"his_insurance"` // on route his, or to end what began there
	Centre    *NHSAMobile   `koanf:"nhsa_mobile"`   // on route mixed, or to end what began there
	HIS       HISRest       `koanf:"his_rest"`
	SOAP      *HISSOAP      `koanf:"his_soap"` // instead of his_rest
	FHIR      *HISFHIR      `koanf:"his_fhir"` // instead of his_rest
	Certify   *Certify      `koanf:"certify"`  // tuoka his certify; never in production
}

// Hospital is the HIS, whatever it speaks.
func (in *Institution) Hospital() *HISRest {
	if in.SOAP != nil {
		return &in.SOAP.HISRest
	}
	if in.FHIR != nil {
		return &in.FHIR.HISRest
	}
	return &in.HIS
}

// Insured reports whether patients may pay by insurance here.
func (in *Institution) Insured() bool {
	return in.Route == "mixed" || (in.Route == "his" && in.Link != nil) || (in.Route == "core" && in.Insurer != nil)
}

// NeedsAuth reports whether who pays by insurance on that route, which need not be the one on which orders begin now, must have authorised it just before.
func (in *Institution) NeedsAuth(route string) bool {
	switch route {
	case "mixed":
		return true
	case "his":
		return in.Link != nil && in.Link.Credential == "token"
	}
	return in.Insurer != nil && in.Insurer.Credential == "token"
}

// HISInsurance is a HIS that presettles and settles by its own line to the insurer (docs/his-interface.md §3.12 to §3.17).
type HISInsurance struct {
	Credential string        `koanf:"credential"`  // token: the patient's fresh authorisation is handed to the HIS; his: the HIS proves the patient by itself
	SettleWait time.Duration `koanf:"settle_wait"` // rest after a refused reversal; empty: two minutes
}

// WechatMP is the mini program and the national authorisation.
type WechatMP struct {
	AppID         string        `koanf:"app_id"`
	AppSecretFile string        `koanf:"app_secret_file"`
	BaseURL       string        `koanf:"base_url"`
	QueryURL      string        `koanf:"insurance_query_url"` // base of userQuery
	PartnerID     string        `koanf:"partner_id"`
	PartnerSecret string        `koanf:"partner_secret_file"`
	EnvVersion    string        `koanf:"env_version"`
	CityCode      string        `koanf:"city_code"`
	Channel       string        `koanf:"channel"`
	ChannelCert   string        `koanf:"org_chnl_crtf_codg"`
	OrgCode       string        `koanf:"org_codg"`
	OrgAppID      string        `koanf:"org_app_id"`
	AuthLife      time.Duration `koanf:"auth_life"` // of a pay_auth_no
}

// WechatPay is the merchant.
type WechatPay struct {
	MchID           string `koanf:"mch_id"`
	MerchantSerial  string `koanf:"merchant_serial"`
	MerchantKeyFile string `koanf:"merchant_key_file"`
	PublicKeyID     string `koanf:"public_key_id"`
	PublicKeyFile   string `koanf:"public_key_file"`
	APIv3KeyFile    string `koanf:"api_v3_key_file"`
	OldAPIv3KeyFile string `koanf:"old_api_v3_key_file"`
	NotifyBase      string `koanf:"notify_base"` // https address of our callback face, without path
	BaseURL         string `koanf:"base_url"`    // sandbox only

	MedIns *MedIns `koanf:"med_ins"` // the mixed order; on route mixed
}

// MedIns is what WeChat's mixed order (医保自费混合订单) says of the hospital.
type MedIns struct {
	CityID        string `koanf:"city_id"`        // Tencent's own code
	InstNo        string `koanf:"inst_no"`        // 定点医药机构编号
	ChannelNo     string `koanf:"channel_no"`     // where one was issued
	OrderType     string `koanf:"order_type"`     // DIAG_PAY …
	NoPassthrough bool   `koanf:"no_passthrough"` // leave passthrough_request_content out
	TestEnv       bool   `koanf:"test_env"`       // the bureau's test system; refused in production
}

// NHSAMobile is the mobile-payment centre (医保移动支付中心). What the local bureau decides is a key with the safe default.
type NHSAMobile struct {
	BaseURL          string            `koanf:"base_url"`
	Paths            map[string]string `koanf:"paths"` // by transaction: 6201, 6202, 6203, 6301, 6401
	AppID            string            `koanf:"app_id"`
	AppSecretFile    string            `koanf:"app_secret_file"`
	PrivateKeyFile   string            `koanf:"sm2_private_key_file"`     // ours, Base64
	PlatformKeyFile  string            `koanf:"platform_public_key_file"` // the centre's, Base64
	SM2UserID        string            `koanf:"sm2_user_id"`              // default, appSecret, or the text itself
	Version          string            `koanf:"envelope_version"`
	TimestampFormat  string            `koanf:"timestamp_format"` // yyyyMMddHHmmss or millis
	LeafMode         string            `koanf:"leaf_mode"`        // string or raw
	VerifyLeafModes  []string          `koanf:"verify_leaf_modes"`
	LowerCaseTypes   bool              `koanf:"lower_case_types"` // sm4 and sm2
	Transport        string            `koanf:"transport"`        // sealed or fsi_wrapped
	NotifyMode       string            `koanf:"notify_mode"`      // sealed or plain
	NotifyFrom       []string          `koanf:"notify_from"`      // plain notices are taken from these networks only
	OrgCodg          string            `koanf:"org_codg"`
	OrgID            string            `koanf:"org_id"`
	InsuCode         string            `koanf:"insu_code"`         // empty: the insured's area
	Location         string            `koanf:"location"`          // longitude,latitude of the hospital, where nobody knows the patient's
	AccountUse       string            `koanf:"acct_used_flag"`    // patient, always or never
	RefundCredential string            `koanf:"refund_credential"` // payAuthNo or ecToken
	RefundType       string            `koanf:"refund_type"`       // HI or ALL
	TrustFrontEnd    bool              `koanf:"trust_front_end"`   // fsi_wrapped: read answers that carry no signature
	WrapperHead      map[string]string `koanf:"wrapper_head"`      // fsi_wrapped: more members of the wrapper's head
	NotifyAck        string            `koanf:"notify_ack"`        // success, code or empty
	MdtrtCertType    string            `koanf:"mdtrt_cert_type"`
	PsnSetlway       string            `koanf:"psn_setlway"`
	PubHospRfomFlag  string            `koanf:"pub_hosp_rfom_flag"`
	HospApprFlag     string            `koanf:"hosp_appr_flag"` // of lines whose HIS tells none
	Required         []string          `koanf:"required"`       // more members that the head of 6201 may not lack
	Waived           []string          `koanf:"waived"`         // members that this centre does not demand

	Extra    map[string]map[string]string `koanf:"extra"` // by transaction: members to send besides
	Timeouts CentreTimeouts               `koanf:"timeouts"`

	AuthErrors   []string `koanf:"auth_errors"`
	SystemErrors []string `koanf:"system_errors"`
	UploadTries  int      `koanf:"upload_tries"`
	SettledBy    []int    `koanf:"settled_by"` // ordStas codes that count as settled
	Family       bool     `koanf:"family"`     // 亲情付
}

// CentreTimeouts are the longest waits for an answer, by what is asked; empty: call_timeout.
type CentreTimeouts struct {
	Query  time.Duration `koanf:"query"`  // 6301 and 6401
	Upload time.Duration `koanf:"upload"` // 6201 and 6202
	Refund time.Duration `koanf:"refund"` // 6203
}

// Sealed reports whether anything is sealed for the centre, or by it, so that keys are needed.
func (n *NHSAMobile) Sealed() bool {
	return n.Transport != "fsi_wrapped" || !n.TrustFrontEnd || n.NotifyMode != "plain"
}

// NHSACore is the insurer's core platform.
type NHSACore struct {
	BaseURL        string        `koanf:"base_url"`
	URLStyle       string        `koanf:"url_style"` // one, appended or services
	PaasID         string        `koanf:"paas_id"`
	SecretFile     string        `koanf:"secret_file"`
	FixmedinsCode  string        `koanf:"fixmedins_code"`
	FixmedinsName  string        `koanf:"fixmedins_name"`
	MdtrtareaAdmvs string        `koanf:"mdtrtarea_admvs"`
	RecerSysCode   string        `koanf:"recer_sys_code"`
	Infver         string        `koanf:"infver"`
	Opter          string        `koanf:"opter"`
	OpterName      string        `koanf:"opter_name"`
	Credential     string        `koanf:"credential"` // token or id_card
	SettleWait     time.Duration `koanf:"settle_wait"`
	SystemErrors   []string      `koanf:"system_errors"`
	FundHasAccount bool          `koanf:"fund_contains_account"`
}

// HISRest is the hospital's HIS by docs/his-interface.md.
type HISRest struct {
	BaseURL    string `koanf:"base_url"`
	App        string `koanf:"app"`
	SecretFile string `koanf:"secret_file"`
	Refunds    bool   `koanf:"refunds"` // it speaks version 1.1 of the interface, so that refunds can be asked for on the phone
	Notices    string `koanf:"notices"` // how its notices are signed: hmac-sm3, by the secret, or sm2

	NoticeKeyFile string `koanf:"notice_key_file"` // sm2: the HIS's public key, PEM
	AnswerKeyFile string `koanf:"answer_key_file"` // sm2: our private key, PEM, by which its questions are answered

	NoticeCerts []string `koanf:"notice_certs"` // TLS certificates that senders of notices must show besides, by the hex SM3 of their DER
}

// HISSOAP is a HIS that speaks a vendor's own XML.
type HISSOAP struct {
	HISRest `koanf:",squash"`

	Mapping string `koanf:"mapping_file"` // how the vendor says what docs/his-interface.md says; docs/his-guide.md
}

// HISFHIR is a HIS that is a FHIR server. SecretFile is the bearer token, which its notices are signed with, too.
type HISFHIR struct {
	HISRest `koanf:",squash"`

	Profile     string `koanf:"profile_file"`            // how the server says what docs/his-interface.md says; docs/his-fhir.md
	Certificate string `koanf:"client_certificate_file"` // ours, for mutual TLS; empty: none
	Key         string `koanf:"client_key_file"`
	CA          string `koanf:"ca_file"` // who signed the server's certificate, if nobody whom this machine knows
}

// Certify is what a HIS under test offers to tuoka his certify: a test patient and bills that may be used up.
type Certify struct {
	Name          string        `koanf:"name"`
	IDNumber      string        `koanf:"id_number"`
	PatientID     string        `koanf:"patient_id"`       // the archive to use; empty: the newest
	Bills         []string      `koanf:"bills"`            // unpaid bills that may be locked, posted and given back
	OtherBill     string        `koanf:"other_bill"`       // another patient's
	WindowPaid    string        `koanf:"window_paid_bill"` // of the test patient, paid at the window
	Void          string        `koanf:"void_bill"`        // of the test patient, withdrawn
	IdlePatientID string        `koanf:"idle_patient_id"`  // an archive with nothing to pay
	PayAuthNo     string        `koanf:"pay_auth_no"`      // with his_insurance: the test patient's authorisation, where the insurer's test platform wants one
	Wait          time.Duration `koanf:"wait"`             // how long a lock's end may be waited for
	Simulator     string        `koanf:"simulator"`        // the control of hissim, where that is the HIS: it arranges what people would
}

// Stage is what the simulators start with.
type Stage struct {
	Persons []Person `koanf:"persons"`
}

// Person is one of the sandbox's made-up people.
type Person struct {
	Key        string   `koanf:"key"` // how the phone page and scripts call the person
	Name       string   `koanf:"name"`
	IDNumber   string   `koanf:"id_number"`
	Phone      string   `koanf:"phone"`
	Insurance  string   `koanf:"insurance"` // employee, retired, resident, civil, none
	Area       string   `koanf:"area"`
	BalanceFen int64    `koanf:"balance_fen"`         // 个人账户余额
	UsedFen    int64    `koanf:"deductible_used_fen"` // of this year's deductible (起付线)
	Story      string   `koanf:"story"`               // what the person is good to try out
	Bills      []uint64 `koanf:"bills"`               // one seed for each bill the HIS simulator deals

	Registrations []uint64 `koanf:"registrations"` // likewise for registrations (挂号), whose slots are held for half an hour
	Deposits      []uint64 `koanf:"deposits"`      // for inpatients' deposits (住院预交金)
	Visits        []uint64 `koanf:"visits"`        // for visits of two bills, where orders are per_visit
}

// Parse reads a file's text. Unknown keys and values of the wrong type are faults, all of them named; what could be read comes with
// them, so that Check can report its own at once. Nil for what is no YAML.
func Parse(text []byte) (*Config, error) {
	k := koanf.New(".")
	if err := k.Load(rawbytes.Provider(text), yaml.Parser()); err != nil {
		return nil, fmt.Errorf("configuration is not YAML: %w", err)
	}
	c, told := &Config{}, &mapstructure.Metadata{}
	err := k.UnmarshalWithConf("", c, koanf.UnmarshalConf{Tag: "koanf", DecoderConfig: &mapstructure.DecoderConfig{
		Result: c, Metadata: told, TagName: "koanf",
		DecodeHook: mapstructure.ComposeDecodeHookFunc(mapstructure.StringToTimeDurationHookFunc(), refuseNumbersAsDurations),
	}})
	var f faults
	if err != nil {
		f = append(f, fmt.Errorf("configuration: %w", err))
	}
	slices.Sort(told.Unused)
	for _, key := range told.Unused { // ErrorUnused would leave out the whole section, and with it the rest of its faults
		f.add(key, "is not a key of the configuration")
	}
	return c, f.join()
}

// refuseNumbersAsDurations: durations are written "10s"; a bare 10 would be ten nanoseconds.
func refuseNumbersAsDurations(from, to reflect.Type, v any) (any, error) {
	if to == reflect.TypeFor[time.Duration]() && from.Kind() != reflect.String && from != to {
		return nil, fmt.Errorf("duration %v has no unit: write \"10s\"", v)
	}
	return v, nil
}

// faults collects what is wrong, each with the key it is about.
type faults []error

func (f *faults) add(key, format string, args ...any) {
	*f = append(*f, fmt.Errorf("%s: "+format, append([]any{key}, args...)...))
}

func (f *faults) need(key, value string) {
	if strings.TrimSpace(value) == "" {
		f.add(key, "is missing")
	}
}

func (f *faults) join() error { return errors.Join(*f...) }
