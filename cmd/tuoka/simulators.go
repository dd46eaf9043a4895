package main

import (
	"context"
	"crypto/rsa"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/tuoka/tuoka/adapters/his/hissim"
	"github.com/tuoka/tuoka/adapters/nhsa/nhsasim"
	"github.com/tuoka/tuoka/adapters/wechatmp/wechatmpsim"
	"github.com/tuoka/tuoka/adapters/wechatpay/wechatpaysim"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// simulators are the counterparts of a sandbox: one insurer and one WeChat for all hospitals, and for each hospital its merchant at WeChat
// Pay and its HIS. They meet only through the small interfaces they declare.
type simulators struct {
	stage  stage
	config *config.Config
	world
	source    *clock.Source
	plans     map[string]*sandbox.Plan
	mp        *wechatmpsim.Sim
	nhsa      *nhsasim.Sim
	hospitals []*hospital // as the configuration lists them
	busy      sync.WaitGroup

	casting sync.Mutex // one cast at a time, so that no two get the same people
}

// hospital is what a sandbox plays of one hospital alone.
type hospital struct {
	config *config.Institution
	pay    *wechatpaysim.Sim
	his    *hissim.Sim
}

// face is what the hospital's HIS speaks.
func (h *hospital) face() http.Handler {
	if h.config.SOAP != nil {
		return h.his.SOAPHandler()
	}
	if h.config.FHIR != nil {
		return h.his.FHIRHandler()
	}
	return h.his.Handler()
}

// merchantOpening is what a sandbox's merchant has at WeChat before the first payment.
const merchantOpening money.Fen = 100_000_000

// counterpartsSource makes the numbers and the chance of a sandbox's counterparts.
func counterpartsSource() *clock.Source { return clock.NewSource(clock.Real{}, clock.Nodes-1) }

// openSimulators replays the journals; persons of the configuration are added when they are new.
func openSimulators(s stage, cfg *config.Config, w world, source *clock.Source) (_ *simulators, err error) {
	sims := &simulators{stage: s, config: cfg, world: w, plans: map[string]*sandbox.Plan{}, source: source}
	defer func() {
		if err != nil {
			err = errors.Join(err, sims.close())
		}
	}()
	if err := sims.openWechat(); err != nil {
		return nil, err
	}
	if err := sims.openInsurer(); err != nil {
		return nil, err
	}
	for i := range cfg.Institutions {
		if err := sims.openHospital(&cfg.Institutions[i]); err != nil {
			return nil, fmt.Errorf("institution %s: %w", cfg.Institutions[i].ID, err)
		}
	}
	return sims, sims.seat()
}

// plan opens the fault plan of one counterpart.
func (s *simulators) plan(name string) (*sandbox.Plan, error) {
	p, err := sandbox.NewPlan(s.clock, s.stage.journal(name+"-faults"))
	if err == nil {
		s.plans[name] = p
	}
	return p, err
}

func (s *simulators) secret(name string) (sensitive.Key, error) {
	return config.Secret(name, s.stage.key(name))
}

// openWechat opens the mini-program platform, which all hospitals share.
func (s *simulators) openWechat() error {
	partnerSecret, err := s.secret("partner_secret")
	if err != nil {
		return err
	}
	cfg := wechatmpsim.Config{Clock: s.clock, Source: s.source, Journal: s.stage.journal("wechatmp")}
	partners := map[string]bool{}
	for i := range s.config.Institutions {
		in := &s.config.Institutions[i]
		secret, err := s.secret(own(in.ID, "app_secret"))
		if err != nil {
			return err
		}
		mp := in.WechatMP
		cfg.Apps = append(cfg.Apps, wechatmpsim.App{ID: mp.AppID, Secret: secret})
		if !partners[mp.PartnerID] {
			partners[mp.PartnerID] = true
			cfg.Partners = append(cfg.Partners, wechatmpsim.Partner{ID: mp.PartnerID, Secret: partnerSecret})
		}
		cfg.Institutions = append(cfg.Institutions, wechatmpsim.Institution{AppID: mp.AppID, CityCode: mp.CityCode, Channel: mp.Channel,
			ChannelCert: mp.ChannelCert, Code: mp.OrgCode, OrgAppID: mp.OrgAppID})
		cfg.PayAuthLife = max(cfg.PayAuthLife, mp.AuthLife)
	}
	if cfg.Plan, err = s.plan("wechatmp"); err != nil {
		return err
	}
	if s.mp, err = wechatmpsim.New(cfg); err != nil {
		return fmt.Errorf("wechat mini program: %w", err)
	}
	return nil
}

// openInsurer opens the insurance platform, which all hospitals share.
func (s *simulators) openInsurer() error {
	secret, err := s.secret("insurer_secret")
	if err != nil {
		return err
	}
	cfg := nhsasim.Config{Clock: s.clock, Source: s.source, Journal: s.stage.journal("nhsa"), Secret: secret, Authorisations: s.mp, StatementsAtOnce: true,
		Institutions: map[string]nhsasim.Institution{}, Catalogue: map[string]nhsasim.Item{}}
	for _, p := range hissim.PriceList() {
		cfg.Catalogue[p.National] = nhsasim.Item{Class: map[string]string{"A": "01", "B": "02", "C": "03"}[p.Class], Kind: p.Category}
	}
	for i := range s.config.Institutions {
		in := &s.config.Institutions[i]
		switch {
		case in.Insurer != nil:
			cfg.Institutions[in.Insurer.FixmedinsCode] = nhsasim.Institution{Name: in.Insurer.FixmedinsName, Level: nhsasim.Level3, Area: in.Insurer.MdtrtareaAdmvs}
		case in.Link != nil:
			cfg.Institutions[in.WechatMP.OrgCode] = nhsasim.Institution{Name: in.Name, Level: nhsasim.Level3, Area: in.WechatMP.CityCode}
		default:
			return fmt.Errorf("institutions[%d].nhsa_core: a sandbox plays hospitals with an insurer", i)
		}
	}
	cfg.PaasID = s.paasID()
	if cfg.Plan, err = s.plan("nhsa"); err != nil {
		return err
	}
	if cfg.Centre, err = s.centre(); err != nil {
		return err
	}
	if s.nhsa, err = nhsasim.New(cfg); err != nil {
		return fmt.Errorf("insurer: %w", err)
	}
	return nil
}

// paasID is what the insurance platform calls who speaks to it.
func (s *simulators) paasID() string {
	for i := range s.config.Institutions {
		if n := s.config.Institutions[i].Insurer; n != nil {
			return n.PaasID
		}
	}
	return "sandbox_his"
}

// centre is the insurance platform's mobile-payment centre, with the hospitals that have access to it.
func (s *simulators) centre() (nhsasim.Centre, error) {
	platform, err := s.sm2("centre_platform")
	if err != nil {
		return nhsasim.Centre{}, err
	}
	c := nhsasim.Centre{Key: platform, Notify: gateway{s.stage.addr(callbackPort), s.wire}, Pace: clock.Pace(s.config.TimeScale)}
	if c.Plan, err = s.plan("centre"); err != nil {
		return nhsasim.Centre{}, err
	}
	for i := range s.config.Institutions {
		in := &s.config.Institutions[i]
		if in.Centre == nil {
			continue
		}
		secret, err1 := s.secret(own(in.ID, "centre_app_secret"))
		key, err2 := s.sm2(own(in.ID, "centre_hospital"))
		if err := errors.Join(err1, err2); err != nil {
			return nhsasim.Centre{}, err
		}
		c.Apps = append(c.Apps, nhsasim.CentreApp{AppID: in.Centre.AppID, Secret: secret, HospitalKey: key.Public(), OrgCodg: in.Centre.OrgCodg,
			NotifyURL: "https://callback.sandbox.invalid/callbacks/nhsamobile/" + in.ID, Plain: in.Centre.NotifyMode == "plain"})
	}
	return c, nil
}

func (s *simulators) sm2(name string) (*gm.PrivateKey, error) {
	secret, err := s.secret(name)
	if err != nil {
		return nil, err
	}
	return gm.ParsePrivateKey(secret, gm.Base64)
}

// credentials lets a merchant's simulator ask the mini-program platform, which knows whose e-credential an account holds.
type credentials struct{ mp *wechatmpsim.Sim }

func (c credentials) Credential(openID string) (name, idNumber string, ok bool) {
	return c.mp.Credential(openID)
}

func (c credentials) Kin(openID, digest, name string) bool {
	return c.mp.Kin(openID, name, func(idNumber string) bool { return wechatpaysim.IDDigest(idNumber) == digest })
}

func (c credentials) Authorisation(payAuthNo string) (openID string, usableUntil time.Time, ok bool) {
	return c.mp.PayAuthorisation(payAuthNo)
}

// openHospital opens what one hospital has alone.
func (s *simulators) openHospital(in *config.Institution) error {
	h := &hospital{config: in}
	apiv3, err1 := s.secret(own(in.ID, "api_v3_key"))
	platform, err2 := s.stage.private(own(in.ID, "wechatpay.pem"))
	merchant, err3 := s.stage.private(own(in.ID, "merchant.pem"))
	hisSecret, err4 := s.secret(own(in.ID, "his_secret"))
	payPlan, err5 := s.plan(in.ID + "/wechatpay")
	hisPlan, err6 := s.plan(in.ID + "/his")
	if err := errors.Join(err1, err2, err3, err4, err5, err6); err != nil {
		return err
	}
	var medIns *wechatpaysim.MedIns
	if m := in.WechatPay.MedIns; m != nil {
		medIns = &wechatpaysim.MedIns{MedInstNo: m.InstNo, CityID: m.CityID}
	}
	var err error
	if h.pay, err = wechatpaysim.New(wechatpaysim.Config{MchID: in.WechatPay.MchID, AppIDs: []string{in.WechatMP.AppID}, APIv3Key: apiv3.Reveal(),
		MerchantSerial: in.WechatPay.MerchantSerial, MerchantKey: public(merchant), KeyID: in.WechatPay.PublicKeyID, Key: platform,
		Clock: s.clock, Stamp: clock.Real{}, Source: s.source, Journal: s.stage.journal(in.ID + "/wechatpay"), Plan: payPlan,
		Notify: gateway{s.stage.addr(callbackPort), s.wire}, KnownOpenID: s.mp.KnowsOpenID, Opening: merchantOpening,
		Pace: clock.Pace(s.config.TimeScale), BillsAtOnce: true, MedIns: medIns, Centre: s.nhsa, Credentials: credentials{s.mp},
		NeedsPassthrough: medIns != nil}); err != nil {
		return fmt.Errorf("wechat pay: %w", err)
	}
	s.hospitals = append(s.hospitals, h) // from here on close looks after it
	cfg := hissim.Config{Clock: s.clock, Source: s.source, Journal: s.stage.journal(in.ID + "/his"), Plan: hisPlan,
		App: in.Hospital().App, Secret: hisSecret, Institution: in.Name, Notify: gateway{s.stage.addr(callbackPort), s.wire},
		NotifyURL: "https://callback.sandbox.invalid/callbacks/his/" + in.ID, Pace: clock.Pace(s.config.TimeScale), Asks: true,
		TellsBills: true}
	if in.Hospital().Notices == "sm2" {
		if cfg.NoticeKey, cfg.AnswerKey, err = s.noticeKeys(in.ID); err != nil {
			return err
		}
	}
	if cfg.Link, err = s.hisLink(in); err != nil {
		return err
	}
	if h.his, err = hissim.New(cfg); err != nil {
		return fmt.Errorf("HIS: %w", err)
	}
	return nil
}

// noticeKeys are by which a hospital signs its notices, and verifies what its questions are answered.
func (s *simulators) noticeKeys(institution string) (*gm.PrivateKey, *gm.PublicKey, error) {
	notice, err1 := s.stage.sm2PEM(own(institution, "his_notice.pem"))
	answer, err2 := s.stage.sm2PEM(own(institution, "his_answer.pem"))
	return notice, answer.Public(), errors.Join(err1, err2)
}

func public(k *rsa.PrivateKey) *rsa.PublicKey { return &k.PublicKey }

// at finds a hospital; the first one without a name.
func (s *simulators) at(institution string) (*hospital, error) {
	for _, h := range s.hospitals {
		if institution == "" || h.config.ID == institution {
			return h, nil
		}
	}
	return nil, fmt.Errorf("institution %q: not in this sandbox", institution)
}

// close ends the journals, after the notices under way.
func (s *simulators) close() error {
	s.busy.Wait()
	var errs []error
	if s.mp != nil {
		errs = append(errs, s.mp.Close())
	}
	if s.nhsa != nil {
		errs = append(errs, s.nhsa.Close())
	}
	for _, h := range s.hospitals {
		errs = append(errs, h.pay.Close())
		if h.his != nil {
			errs = append(errs, h.his.Close())
		}
	}
	return errors.Join(errs...)
}

// faces are who listens where.
func (s *simulators) faces() map[string]http.Handler {
	handlers := map[string]http.Handler{
		s.stage.addr(wechatMPPort): s.mp.Handler(),
		s.stage.addr(insurerPort):  s.nhsa.Handler(),
		s.stage.addr(centrePort):   s.nhsa.CentreHandler(),
		s.stage.addr(phonePort):    s.phone(),
	}
	for i, h := range s.hospitals {
		handlers[s.stage.addr(wechatPayPort(i))], handlers[s.stage.addr(hisPort(i))] = h.pay.Handler(), h.face()
	}
	return handlers
}

// serve opens the simulators' ports and the phone's, and sends their notices until the context ends.
func (s *simulators) serve(ctx context.Context, log *slog.Logger) (*servers, error) {
	run, err := newServers(ctx, log, s.faces())
	if err != nil {
		return nil, err
	}
	s.repeat(ctx, s.nhsa.StepCentre)
	for _, h := range s.hospitals {
		s.repeat(ctx, h.pay.Step)
		s.repeat(ctx, h.his.Step)
	}
	return run, nil
}

// repeat does a simulator's own work, which nobody asks for, until the context ends.
func (s *simulators) repeat(ctx context.Context, step func(context.Context) bool) {
	s.busy.Go(func() {
		for ctx.Err() == nil {
			if !step(ctx) {
				_ = s.clock.Sleep(ctx, 50*time.Millisecond)
			}
		}
	})
}
