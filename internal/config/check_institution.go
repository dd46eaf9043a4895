package config

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"time"
)

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
		c.checkRoute(f, at, in)
		if !slices.Contains([]string{"", "per_bill", "per_visit"}, in.Orders) {
			f.add(at+".orders", "must be per_bill or per_visit, is %q", in.Orders)
		}
		c.checkWechat(f, at, in)
		c.checkHIS(f, at, in)
		if in.Link != nil && in.Link.Credential != "token" && in.Link.Credential != "his" {
			f.add(at+".his_insurance.credential", "must be token or his, is %q", in.Link.Credential)
		}
		if in.Insurer != nil {
			c.checkInsurer(f, at+".nhsa_core", in.Insurer)
		}
		if in.Centre != nil {
			c.checkCentre(f, at+".nhsa_mobile", in.Centre)
			if in.Centre.RefundCredential == "ecToken" && in.Insurer == nil {
				f.add(at+".nhsa_core", "is missing: nhsa_mobile.refund_credential ecToken comes from its 1101")
			}
		}
		if in.WechatPay.MedIns != nil {
			c.checkMedIns(f, at+".wechat_pay.med_ins", in.WechatPay.MedIns)
		}
	}
	c.checkOwn(f)
}

// checkRoute compares an institution's route with the counterparts that it names.
func (c *Config) checkRoute(f *faults, at string, in *Institution) {
	switch in.Route {
	case "core":
		if in.Centre != nil && in.WechatPay.MedIns == nil { // kept for orders that began on mixed
			f.add(at+".wechat_pay.med_ins", "is missing: nhsa_mobile is used on route mixed only, or to end what began there, which needs both")
		}
	case "mixed":
		if in.Centre == nil {
			f.add(at+".nhsa_mobile", "is missing: route mixed settles by the mobile-payment centre")
		}
		if in.WechatPay.MedIns == nil {
			f.add(at+".wechat_pay.med_ins", "is missing: route mixed pays by WeChat's mixed order")
		}
	case "his":
		if in.Link == nil {
			f.add(at+".his_insurance", "is missing: route his settles by the HIS's own line to the insurer")
		}
	default:
		f.add(at+".route", "must be core, mixed or his, is %q", in.Route)
	}
}

// checkOwn refuses numbers that two institutions share: their money, notices and orders would be taken for each other's.
func (c *Config) checkOwn(f *faults) {
	for _, number := range []struct {
		key string
		of  func(in *Institution) string
	}{
		{"wechat_mp.app_id", func(in *Institution) string { return in.WechatMP.AppID }},
		{"wechat_pay.mch_id", func(in *Institution) string { return in.WechatPay.MchID }},
		{"nhsa_mobile.app_id", func(in *Institution) string {
			if in.Centre == nil {
				return ""
			}
			return in.Centre.AppID
		}},
	} {
		seen := map[string]int{}
		for i := range c.Institutions {
			text := number.of(&c.Institutions[i])
			if first, taken := seen[text]; taken && text != "" {
				f.add(fmt.Sprintf("institutions[%d].%s", i, number.key), "is that of institutions[%d]: each has its own", first)
				continue
			}
			seen[text] = i
		}
	}
}

// checkMedIns looks at the hospital's side of the mixed order.
func (c *Config) checkMedIns(f *faults, at string, m *MedIns) {
	f.need(at+".city_id", m.CityID)
	f.need(at+".inst_no", m.InstNo)
	if m.TestEnv && c.Mode == Production {
		f.add(at+".test_env", "is not allowed in production: real cash would be taken for insurance booked in a test system")
	}
}

// checkCentre looks at the mobile-payment centre.
func (c *Config) checkCentre(f *faults, at string, n *NHSAMobile) {
	c.checkURL(f, at+".base_url", n.BaseURL, true)
	if n.Sealed() {
		f.need(at+".app_id", n.AppID)
		f.need(at+".app_secret_file", n.AppSecretFile)
		f.need(at+".sm2_private_key_file", n.PrivateKeyFile)
		f.need(at+".platform_public_key_file", n.PlatformKeyFile)
	}
	f.need(at+".org_codg", n.OrgCodg)
	for key, d := range map[string]time.Duration{"query": n.Timeouts.Query, "upload": n.Timeouts.Upload, "refund": n.Timeouts.Refund} {
		if d < 0 || (c.CallLimit > 0 && d > c.CallLimit) {
			f.add(at+".timeouts."+key, "must be between 0 and call_limit, is %s", d)
		}
	}
	if n.AppID != "" && len(n.AppID) < 16 {
		f.add(at+".app_id", "must have at least 16 characters: the cipher's key is made of them")
	}
	for _, choice := range []struct {
		key, value string
		of         []string
	}{
		{"timestamp_format", n.TimestampFormat, []string{"yyyyMMddHHmmss", "millis"}},
		{"leaf_mode", n.LeafMode, []string{"string", "raw"}},
		{"transport", n.Transport, []string{"sealed", "fsi_wrapped"}},
		{"notify_ack", n.NotifyAck, []string{"success", "code", "empty"}},
		{"notify_mode", n.NotifyMode, []string{"sealed", "plain"}},
		{"acct_used_flag", n.AccountUse, []string{"patient", "always", "never"}},
		{"refund_credential", n.RefundCredential, []string{"payAuthNo", "ecToken"}},
		{"refund_type", n.RefundType, []string{"HI", "ALL"}},
	} {
		if choice.value != "" && !slices.Contains(choice.of, choice.value) {
			f.add(at+"."+choice.key, "must be %s, is %q", strings.Join(choice.of, " or "), choice.value)
		}
	}
	for i, mode := range n.VerifyLeafModes {
		if mode != "string" && mode != "raw" {
			f.add(fmt.Sprintf("%s.verify_leaf_modes[%d]", at, i), "must be string or raw, is %q", mode)
		}
	}
	for key, numbers := range map[string][]string{"paths": slices.Sorted(maps.Keys(n.Paths)), "extra": slices.Sorted(maps.Keys(n.Extra))} {
		for _, number := range numbers {
			if !slices.Contains([]string{"6201", "6202", "6203", "6301", "6401"}, number) {
				f.add(at+"."+key+"."+number, "is not a transaction of the centre")
			}
		}
	}
	if n.TrustFrontEnd && n.Transport != "fsi_wrapped" {
		f.add(at+".trust_front_end", "goes with transport fsi_wrapped only")
	}
	if f.need(at+".location", n.Location); n.Location != "" && !place.MatchString(n.Location) {
		f.add(at+".location", "must be longitude,latitude in plain decimals, is %q", n.Location)
	}
	if n.NotifyMode == "plain" && len(n.NotifyFrom) == 0 {
		f.add(at+".notify_from", "is missing: plain notices are taken from named networks only")
	}
	for i, network := range n.NotifyFrom {
		if _, err := netip.ParsePrefix(network); err != nil {
			if _, err := netip.ParseAddr(network); err != nil {
				f.add(fmt.Sprintf("%s.notify_from[%d]", at, i), "must be an address or a network, is %q", network)
			}
		}
	}
	for i, code := range n.SettledBy {
		if code < 4 || code > 6 {
			f.add(fmt.Sprintf("%s.settled_by[%d]", at, i), "must be 4, 5 or 6, is %d", code)
		}
	}
	if n.UploadTries < 0 || n.UploadTries > 10 {
		f.add(at+".upload_tries", "must be 0 to 10, is %d", n.UploadTries)
	}
}

func (c *Config) checkWechat(f *faults, at string, in *Institution) {
	mp, pay := in.WechatMP, in.WechatPay
	f.need(at+".wechat_mp.app_id", mp.AppID)
	f.need(at+".wechat_mp.app_secret_file", mp.AppSecretFile)
	c.checkURL(f, at+".wechat_mp.base_url", mp.BaseURL, false)
	if in.Insured() {
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

// hisKey is the key under which an institution's HIS stands.
func hisKey(in *Institution) string {
	if in.SOAP != nil {
		return ".his_soap"
	}
	if in.FHIR != nil {
		return ".his_fhir"
	}
	return ".his_rest"
}

func (c *Config) checkHIS(f *faults, at string, in *Institution) {
	if in.Certify != nil && c.Mode == Production {
		f.add(at+".certify", "is not allowed in production")
	}
	key, his := at+hisKey(in), in.Hospital()
	c.checkURL(f, key+".base_url", his.BaseURL, true)
	f.need(key+".app", his.App)
	f.need(key+".secret_file", his.SecretFile)
	switch his.Notices {
	case "", "hmac-sm3":
		if his.NoticeKeyFile != "" || his.AnswerKeyFile != "" {
			f.add(key+".notices", "must be sm2 where notice_key_file or answer_key_file is named")
		}
	case "sm2":
		f.need(key+".notice_key_file", his.NoticeKeyFile)
		f.need(key+".answer_key_file", his.AnswerKeyFile)
	default:
		f.add(key+".notices", "must be hmac-sm3 or sm2, is %q", his.Notices)
	}
	if len(his.NoticeCerts) > 0 && (c.Listen.ClientCertHeader == "" || len(c.Listen.TrustedProxies) == 0) {
		f.add(key+".notice_certs", "needs listen.client_cert_header and listen.trusted_proxies: the gateway sees the certificates")
	}
	for i, digest := range his.NoticeCerts {
		if !digestPattern.MatchString(digest) {
			f.add(fmt.Sprintf("%s.notice_certs[%d]", key, i), "must be 64 digits of hexadecimal, small: the SM3 of the certificate")
		}
	}
	if key != at+".his_rest" && !reflect.ValueOf(in.HIS).IsZero() {
		f.add(at+".his_rest", "stands beside %s: a hospital has one HIS", hisKey(in)[1:])
	}
	if in.SOAP != nil && in.FHIR != nil {
		f.add(at+".his_fhir", "stands beside his_soap: a hospital has one HIS")
	}
	if c.Mode == Sandbox { // which has everything built in
		return
	}
	if in.SOAP != nil {
		f.need(key+".mapping_file", in.SOAP.Mapping)
	}
	if in.FHIR == nil {
		return
	}
	f.need(key+".profile_file", in.FHIR.Profile)
	if !strings.HasPrefix(his.BaseURL, "https://") {
		f.add(key+".base_url", "must be https: what a FHIR server answers is not signed")
	}
	if (in.FHIR.Certificate == "") != (in.FHIR.Key == "") {
		f.add(key+".client_key_file", "goes with client_certificate_file")
	}
}
