package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/rest"
	"github.com/tuoka/tuoka/adapters/his/soap"
	"github.com/tuoka/tuoka/adapters/nhsa/core"
	"github.com/tuoka/tuoka/adapters/nhsa/mobile"
	"github.com/tuoka/tuoka/adapters/wechatmp"
	"github.com/tuoka/tuoka/adapters/wechatpay"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/cache"
	"github.com/tuoka/tuoka/internal/callback"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/recon"
	"github.com/tuoka/tuoka/internal/refund"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/store"
	"github.com/tuoka/tuoka/internal/vault"
	miniprogramapi "github.com/tuoka/tuoka/miniprogram-api"
)

// world is what everything stands on: the time, and the way to others. A simulation has its own.
type world struct {
	clock   clock.Clock
	wire    http.RoundTripper
	keyBits int // the shortest RSA key that the adapters take; 0: what they demand
}

// storage is what the order engine writes to.
type storage struct {
	store order.Store
	jobs  job.Queue
	inbox job.Inbox
}

// earth is the world of every process but a simulation's.
func earth() world { return world{clock: clock.Real{}, wire: transport()} }

// house is everything that runs, put together from the configuration. It knows no simulator.
type house struct {
	config *config.Config
	world
	source *clock.Source
	log    *slog.Logger
	db     *store.DB
	cache  *cache.Cache
	storage
	vault    *vault.Vault
	people   *patient.Service
	orders   *order.Service
	bills    map[string]bill.Source
	notices  map[string]callback.Source
	books    []*recon.Party // what the counterparts keep of a day
	wake     chan struct{}  // the look-out looks at once
	finished sync.WaitGroup
	node     store.NodeLease
	leaving  atomic.Bool // the process was told to stop
	astray   atomic.Bool // its clock is too far off the database's to claim anything

	said       sync.Mutex
	complaints map[string]time.Time // when an error was logged last
}

// tokens lets the vault make session tokens for package patient.
type tokens struct{}

func (tokens) NewToken() (sensitive.Token, string, error) {
	t := vault.RandomToken(32)
	return t, vault.HashToken(t), nil
}

func (tokens) Digest(t sensitive.Token) string { return vault.HashToken(t) }

// build opens the database, the vault and every counterpart. It reports all faults of the configuration's secrets at once.
func build(ctx context.Context, cfg *config.Config, log *slog.Logger) (_ *house, err error) {
	h := &house{config: cfg, world: earth(), log: log, bills: map[string]bill.Source{}, notices: map[string]callback.Source{}, wake: make(chan struct{}, 1)}
	if cfg.Mode != config.Production {
		h.wire = metered{h.wire}
	}
	h.source = clock.NewSource(h.clock, 0)
	parties, institutions, err := h.counterparts()
	if err != nil {
		return nil, err
	}
	if h.db, h.vault, err = openDatabase(ctx, cfg, h.clock, h.source); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, h.db.Close())
		}
	}()
	if err := h.compareClocks(ctx); err != nil { // before anybody's lease is judged by it
		return nil, err
	}
	if h.astray.Load() {
		return nil, errAstray
	}
	host, _ := os.Hostname()
	owner := fmt.Sprintf("%.40s/%d/%s", host, os.Getpid(), h.source.Nonce(6))
	if h.node, err = h.db.LeaseNode(ctx, owner); err != nil {
		return nil, err
	}
	h.source.Use(h.node.Node)
	h.storage = storage{h.db.Orders(), h.db.Jobs(), h.db.Inbox()}
	if h.cache, err = openCache(ctx, cfg.Redis); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	if err := h.furnish(parties, institutions, owner); err != nil {
		return nil, errors.Join(err, h.cache.Close())
	}
	return h, nil
}

// openCache connects to Redis, or makes an embedded one.
func openCache(ctx context.Context, r config.Redis) (*cache.Cache, error) {
	c := cache.Config{Addr: r.Addr, MasterName: r.Master, Username: r.Username}
	if r.PasswordFile != "" {
		var err error
		if c.Password, err = config.Secret("redis.password_file", r.PasswordFile); err != nil {
			return nil, err
		}
	}
	if r.TLS {
		c.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	return cache.Open(ctx, c)
}

// furnish makes the services between the database and the counterparts. Owner is whose claims those of this process are.
func (h *house) furnish(parties []*order.Party, institutions map[string]patient.Institution, owner string) (err error) {
	people := patient.Store(h.db.Patients())
	if h.cache != nil { // a simulation has none
		people = sessions{people, h.cache, h.vault}
	}
	if h.people, err = patient.New(people, institutions, tokens{}, h.clock, h.source,
		patient.Config{SessionLife: h.config.SessionLife, MaxPatients: h.config.MaxPatients, Log: h.db.Audit(), Archives: h.db.Patients()}); err != nil {
		return err
	}
	h.orders = order.New(h.store, h.jobs, h.inbox, h.db.Patients(), parties, h.clock, h.source, order.Config{
		Owner: owner, Slots: h.config.Workers, Pace: clock.Pace(max(h.config.TimeScale, 1)), CallLimit: h.config.CallLimit,
		Archives: h.people, HISBooks: h.db.HISBooks(), MayClaim: func() bool { return !h.astray.Load() }})
	return nil
}

func (h *house) close() error {
	h.finished.Wait()
	back := h.db.ReturnNode(context.Background(), h.node)
	if errors.Is(back, job.ErrLost) { // another has it: it is no longer ours to give
		back = nil
	}
	return errors.Join(back, h.cache.Close(), h.db.Close())
}

// counterparts makes the adapters of every institution.
func (h *house) counterparts() ([]*order.Party, map[string]patient.Institution, error) {
	var parties []*order.Party
	var faults []error
	institutions := map[string]patient.Institution{}
	for i := range h.config.Institutions {
		in := &h.config.Institutions[i]
		s := &secrets{at: fmt.Sprintf("institutions[%d]", i)}
		party, inst, err := h.counterpartsOf(in, s)
		if all := errors.Join(append(s.faults, err)...); all != nil {
			faults = append(faults, fmt.Errorf("institution %s: %w", in.ID, all))
			continue
		}
		parties, institutions[in.ID] = append(parties, party), inst
	}
	return parties, institutions, errors.Join(faults...)
}

// secrets reads an institution's secret files and remembers every fault.
type secrets struct {
	at     string
	faults []error
}

func (s *secrets) read(key, path string) sensitive.Key {
	if path == "" {
		return sensitive.Key{}
	}
	k, err := config.Secret(s.at+"."+key, path)
	if err != nil {
		s.faults = append(s.faults, err)
	}
	return k
}

func (h *house) counterpartsOf(in *config.Institution, s *secrets) (*order.Party, patient.Institution, error) {
	wire := h.wire
	mp, err := wechatmp.New(wechatmp.Config{AppID: in.WechatMP.AppID, AppSecret: s.read("wechat_mp.app_secret_file", in.WechatMP.AppSecretFile),
		Transport: wire, Clock: h.clock, Source: h.source, BaseURL: in.WechatMP.BaseURL, Timeout: h.config.CallTimeout,
		Insurance: wechatmp.Insurance{QueryURL: in.WechatMP.QueryURL, PartnerID: in.WechatMP.PartnerID,
			PartnerSecret: s.read("wechat_mp.partner_secret_file", in.WechatMP.PartnerSecret), EnvVersion: in.WechatMP.EnvVersion,
			CityCode: in.WechatMP.CityCode, Channel: in.WechatMP.Channel, ChannelCert: in.WechatMP.ChannelCert, OrgCode: in.WechatMP.OrgCode,
			OrgAppID: in.WechatMP.OrgAppID, UsableFor: in.WechatMP.AuthLife}})
	faults := []error{err}
	base := strings.TrimRight(in.WechatPay.NotifyBase, "/")
	notify := base + "/callbacks/wechatpay/" + in.ID
	pay, err := wechatpay.New(wechatpay.Config{MchID: in.WechatPay.MchID, AppID: in.WechatMP.AppID, MerchantSerial: in.WechatPay.MerchantSerial,
		MerchantKey: s.read("wechat_pay.merchant_key_file", in.WechatPay.MerchantKeyFile), PublicKeyID: in.WechatPay.PublicKeyID,
		PublicKey:   s.read("wechat_pay.public_key_file", in.WechatPay.PublicKeyFile).Reveal(),
		APIv3Key:    s.read("wechat_pay.api_v3_key_file", in.WechatPay.APIv3KeyFile),
		OldAPIv3Key: s.read("wechat_pay.old_api_v3_key_file", in.WechatPay.OldAPIv3KeyFile), PayNotifyURL: notify, RefundNotifyURL: notify,
		BaseURL: in.WechatPay.BaseURL, Timeout: h.config.CallTimeout, Clock: h.clock, Source: h.source, Transport: wire, KeyBits: h.keyBits, MedIns: medIns(h.config, in, notify)})
	faults = append(faults, err)
	if m := in.WechatPay.MedIns; m != nil && m.OrderType != "" && !wechatpay.OrderType(m.OrderType) {
		faults = append(faults, fmt.Errorf("wechat_pay.med_ins.order_type: %q is none that WeChat knows", m.OrderType))
	}
	hospital, notices, err := h.hospital(in, s, wire)
	faults = append(faults, err)
	party := &order.Party{Institution: in.ID, Name: in.Name, Route: order.Route(in.Route), Gateway: pay, Hospital: hospital, Bills: hospital,
		NeedsAuth: in.NeedsAuth("core"), LinkAuth: in.NeedsAuth("his"), PostLimit: in.PostLimit, CashFirst: in.CashFirst, PerVisit: in.Orders == "per_visit"}
	if in.Hospital().Refunds {
		party.Desk = hospital
	}
	var insurer *core.Client
	if in.Insurer != nil {
		insurer, err = h.insurer(in.Insurer, s, wire)
		faults = append(faults, err)
		party.Insurer = insurer
	}
	if in.Link != nil && hospital != nil {
		party.Link, err = hospital.Link(his.LinkConfig{Source: h.source, SettleWait: in.Link.SettleWait, PresettleDeadline: h.config.CallTimeout,
			SettleDeadline: h.config.CallTimeout})
		faults = append(faults, err)
	}
	var centre *mobile.Client
	if in.Centre != nil {
		centre, err = h.centre(in.Centre, insurer, s, wire)
		faults = append(faults, err)
	}
	if err := errors.Join(faults...); err != nil {
		return nil, patient.Institution{}, err
	}
	h.bills[in.ID], h.notices["wechatpay/"+in.ID], h.notices["his/"+in.ID] = hospital, pay, notices
	h.books = append(h.books, booksOf(in, pay, hospital, insurer, centre))
	inst := patient.Institution{Name: in.Name, Contact: in.Contact, WeChat: mp, Authority: hospital, Insurance: in.Insured()}
	if centre != nil { // the core platform, where there is one, tells who the patient is, and ends what began before the centre was joined
		party.Centre, party.Mixed = centre, pay
		party.UploadTries, party.OrderType, party.Location = in.Centre.UploadTries, in.WechatPay.MedIns.OrderType, in.Centre.Location
		for _, code := range in.Centre.SettledBy {
			party.SettledBy = append(party.SettledBy, settlement.OrdStas(code))
		}
		h.notices[mobile.Source+"/"+in.ID] = centre
	}
	if party.Route.Together() {
		inst.Family = in.Centre.Family
	}
	return party, inst, nil
}

// hospital makes the client of the HIS, and what its notices are read with: those come as docs/his-interface.md says, whatever it speaks itself.
func (h *house) hospital(in *config.Institution, s *secrets, wire http.RoundTripper) (*his.Client, callback.Source, error) {
	t, at, key := h.config.CallTimeout, in.Hospital(), "his_rest"
	switch {
	case in.SOAP != nil:
		key = "his_soap"
	case in.FHIR != nil:
		key = "his_fhir"
	}
	common := his.Config{Clock: h.clock, LookupDeadline: t, LockDeadline: t, PostDeadline: t, QueryDeadline: t}
	secret := s.read(key+".secret_file", at.SecretFile)
	cfg := rest.Config{Config: common, BaseURL: at.BaseURL, App: at.App, Secret: secret, Source: h.source, CallbackPath: "/callbacks/his/" + in.ID,
		NoticeCerts: at.NoticeCerts}
	if at.Notices == "sm2" {
		if err := signedBySM2(&cfg, s.read(key+".notice_key_file", at.NoticeKeyFile), s.read(key+".answer_key_file", at.AnswerKeyFile)); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	direct, err := rest.New(cfg, wire)
	switch {
	case err != nil:
		return nil, nil, err
	case in.FHIR != nil:
		client, err := h.fhirServer(in, s, common, secret, wire)
		return client, direct, err
	case in.SOAP == nil:
		return direct.Client, direct, nil
	}
	mapping, err := readMapping(in.SOAP.Mapping)
	if err == nil && h.config.Mode == config.Production && mapping.Service.Sign == nil {
		err = errors.New("nothing is signed: service.sign is missing")
	}
	if err == nil && in.Link != nil {
		if lacks := mapping.Links(); lacks != nil {
			err = fmt.Errorf("his_insurance needs all of insurance/*: %w", lacks)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("his_soap.mapping_file: %w", err)
	}
	client, err := soap.New(soap.Config{Config: common, BaseURL: at.BaseURL, Mapping: mapping, User: at.App, Secret: secret, Source: h.source}, wire)
	if err != nil {
		return nil, nil, err
	}
	return client.Client, direct, nil
}

// signedBySM2 has a hospital's notices verified, and its questions answered, by SM2.
func signedBySM2(c *rest.Config, notice, answer sensitive.Key) error {
	var err1, err2 error
	c.NoticeKey, err1 = gm.ParsePublicKey(notice.Reveal(), gm.PEM)
	c.AnswerKey, err2 = gm.ParsePrivateKey(answer, gm.PEM)
	if err := errors.Join(err1, err2); err != nil {
		return fmt.Errorf("notices by SM2: %w", err)
	}
	return nil
}

// hisDesk tells a HIS what became of a refund, and why, in the words that staff read.
type hisDesk struct{ *order.Service }

// RefundForHIS is the service's, with the cause in words.
func (d hisDesk) RefundForHIS(ctx context.Context, institution, orderNo, no string) (refund.Standing, error) {
	s, err := d.Service.RefundForHIS(ctx, institution, orderNo, no)
	if s.Cause != "" && s.Said == "" {
		s.Said = miniprogramapi.Why(order.Cause(s.Cause))
	}
	return s, err
}

// medIns is what the hospital got for WeChat's mixed order; nil without.
func medIns(cfg *config.Config, in *config.Institution, notify string) *wechatpay.MedIns {
	m := in.WechatPay.MedIns
	if m == nil {
		return nil
	}
	return &wechatpay.MedIns{CityID: m.CityID, InstName: in.Name, InstNo: m.InstNo, ChannelNo: m.ChannelNo, CallbackURL: notify,
		NoPassthrough: m.NoPassthrough, TestEnv: m.TestEnv, AllowTestEnv: cfg.Mode != config.Production}
}

// centre makes the client of the mobile-payment centre. Persons is nil where the HIS tells everything.
func (h *house) centre(in *config.NHSAMobile, persons *core.Client, s *secrets, wire http.RoundTripper) (*mobile.Client, error) {
	from, err := callback.Networks(in.NotifyFrom)
	faults := []error{named("notify_from", err)}
	t := h.config.CallTimeout
	cfg := mobile.Config{Clock: h.clock, Source: h.source, BaseURL: in.BaseURL, Paths: in.Paths, AppID: in.AppID, SM2UserID: in.SM2UserID,
		Version: in.Version, Timestamp: in.TimestampFormat, LeafMode: mobile.LeafMode(in.LeafMode), LowerCaseTypes: in.LowerCaseTypes,
		Transport: mobile.Transport(in.Transport), NotifyMode: mobile.NotifyMode(in.NotifyMode), NotifyFrom: from, OrgCodg: in.OrgCodg,
		OrgID: in.OrgID, InsuCode: in.InsuCode, AccountUse: in.AccountUse, RefundCredential: in.RefundCredential,
		RefundType: in.RefundType, AuthErrors: in.AuthErrors, SystemErrors: in.SystemErrors,
		TrustFrontEnd: in.TrustFrontEnd, WrapperHead: in.WrapperHead, NotifyAck: mobile.Ack(in.NotifyAck), MdtrtCertType: in.MdtrtCertType,
		PsnSetlway: in.PsnSetlway, PubHospRfomFlag: in.PubHospRfomFlag, HospApprFlag: in.HospApprFlag, Required: in.Required, Extra: in.Extra,
		Waived: in.Waived, EarlyStatements: h.config.Mode == config.Sandbox,
		Timeouts: mobile.Timeouts{Query: cmp.Or(in.Timeouts.Query, t), Upload: cmp.Or(in.Timeouts.Upload, t), Refund: cmp.Or(in.Timeouts.Refund, t)}}
	if in.Sealed() {
		cfg.AppSecret = s.read("nhsa_mobile.app_secret_file", in.AppSecretFile)
		cfg.PrivateKey, err = gm.ParsePrivateKey(s.read("nhsa_mobile.sm2_private_key_file", in.PrivateKeyFile), gm.Base64)
		faults = append(faults, named("sm2_private_key_file", err))
		cfg.PlatformKey, err = gm.ParsePublicKey(s.read("nhsa_mobile.platform_public_key_file", in.PlatformKeyFile).Reveal(), gm.Base64)
		faults = append(faults, named("platform_public_key_file", err))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	for _, mode := range in.VerifyLeafModes {
		cfg.VerifyLeafModes = append(cfg.VerifyLeafModes, mobile.LeafMode(mode))
	}
	if persons != nil {
		cfg.Persons = persons
	}
	return mobile.New(cfg, wire)
}

// named says at which key of nhsa_mobile a fault is.
func named(key string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("nhsa_mobile.%s: %w", key, err)
}

func (h *house) insurer(in *config.NHSACore, s *secrets, wire http.RoundTripper) (*core.Client, error) {
	t := h.config.CallTimeout
	credential := core.ByToken
	if in.Credential == "id_card" {
		credential = core.ByCard
	}
	return core.New(core.Config{Clock: h.clock, Source: h.source, BaseURL: in.BaseURL, URLStyle: core.URLStyle(in.URLStyle), PaasID: in.PaasID,
		Secret: s.read("nhsa_core.secret_file", in.SecretFile), FixmedinsCode: in.FixmedinsCode, FixmedinsName: in.FixmedinsName,
		MdtrtareaAdmvs: in.MdtrtareaAdmvs, RecerSysCode: in.RecerSysCode, Infver: in.Infver, Opter: in.Opter, OpterName: in.OpterName,
		Timeouts: core.Timeouts{Query: t, Upload: t, Settle: t},
		Profile: core.Profile{Credential: credential, FundContainsAccount: in.FundHasAccount, SettleWait: in.SettleWait,
			SystemErrors: in.SystemErrors, Statement: core.StatementProfile{Early: h.config.Mode == config.Sandbox}}}, wire)
}

// transport is the way out: connections are kept, dialling has a limit, redirects are the adapters' business.
func transport() http.RoundTripper {
	t, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return http.DefaultTransport
	}
	own := t.Clone()
	own.MaxIdleConnsPerHost = 64
	own.ResponseHeaderTimeout = 2 * time.Minute
	return own
}
