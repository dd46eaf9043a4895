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
	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// simulators are the counterparts of a sandbox, one hospital wide. They meet only through the small interfaces they declare.
type simulators struct {
	stage  stage
	config *config.Config
	clock  clock.Clock
	source *clock.Source
	plans  map[string]*sandbox.Plan
	pay    *wechatpaysim.Sim
	mp     *wechatmpsim.Sim
	nhsa   *nhsasim.Sim
	his    *hissim.Sim
	busy   sync.WaitGroup

	casting sync.Mutex // one cast at a time, so that no two get the same people
}

// merchantOpening is what the sandbox's merchant has at WeChat before the first payment.
const merchantOpening money.Fen = 100_000_000

// openSimulators replays the journals; persons of the configuration are added when they are new.
func openSimulators(s stage, cfg *config.Config) (_ *simulators, err error) {
	if len(cfg.Institutions) != 1 || cfg.Institutions[0].Insurer == nil {
		return nil, errors.New("institutions: a sandbox plays exactly one, with an insurer")
	}
	in := &cfg.Institutions[0]
	sims := &simulators{stage: s, config: cfg, clock: clock.Real{}, plans: map[string]*sandbox.Plan{}}
	sims.source = clock.NewSource(sims.clock, clock.Nodes-1)
	defer func() {
		if err != nil {
			err = errors.Join(err, sims.close())
		}
	}()
	for _, name := range []string{"wechatpay", "wechatmp", "nhsa", "his"} {
		if sims.plans[name], err = sandbox.NewPlan(sims.clock, s.journal(name+"-faults")); err != nil {
			return nil, err
		}
	}
	if err := sims.openWechat(in); err != nil {
		return nil, err
	}
	if err := sims.openHospital(in); err != nil {
		return nil, err
	}
	return sims, sims.seat()
}

func (s *simulators) secret(name string) (sensitive.Key, error) {
	return config.Secret(name, s.stage.key(name))
}

func (s *simulators) openWechat(in *config.Institution) error {
	appSecret, err1 := s.secret("app_secret")
	partnerSecret, err2 := s.secret("partner_secret")
	apiv3, err3 := s.secret("api_v3_key")
	platform, err4 := s.stage.private("wechatpay.pem")
	merchant, err5 := s.stage.private("merchant.pem")
	if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
		return err
	}
	mp := in.WechatMP
	var err error
	if s.mp, err = wechatmpsim.New(wechatmpsim.Config{Clock: s.clock, Source: s.source, Journal: s.stage.journal("wechatmp"), Plan: s.plans["wechatmp"],
		Apps: []wechatmpsim.App{{ID: mp.AppID, Secret: appSecret}}, Partners: []wechatmpsim.Partner{{ID: mp.PartnerID, Secret: partnerSecret}},
		Institutions: []wechatmpsim.Institution{{AppID: mp.AppID, CityCode: mp.CityCode, Channel: mp.Channel, ChannelCert: mp.ChannelCert,
			Code: mp.OrgCode, OrgAppID: mp.OrgAppID}}, PayAuthLife: mp.AuthLife}); err != nil {
		return fmt.Errorf("wechat mini program: %w", err)
	}
	s.pay, err = wechatpaysim.New(wechatpaysim.Config{MchID: in.WechatPay.MchID, AppIDs: []string{mp.AppID}, APIv3Key: apiv3.Reveal(),
		MerchantSerial: in.WechatPay.MerchantSerial, MerchantKey: public(merchant), KeyID: in.WechatPay.PublicKeyID, Key: platform,
		Clock: s.clock, Source: s.source, Journal: s.stage.journal("wechatpay"), Plan: s.plans["wechatpay"], Notify: gateway{s.stage.addr(callbackPort), transport()},
		KnownOpenID: s.knownOpenID, Opening: merchantOpening, Pace: clock.Pace(s.config.TimeScale), BillsAtOnce: true})
	if err != nil {
		return fmt.Errorf("wechat pay: %w", err)
	}
	return nil
}

func public(k *rsa.PrivateKey) *rsa.PublicKey { return &k.PublicKey }

func (s *simulators) knownOpenID(openID string) bool {
	for _, u := range s.mp.Users() {
		for _, known := range u.OpenIDs {
			if known == openID {
				return true
			}
		}
	}
	return false
}

func (s *simulators) openHospital(in *config.Institution) error {
	insurerSecret, err1 := s.secret("insurer_secret")
	hisSecret, err2 := s.secret("his_secret")
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	items := map[string]nhsasim.Item{}
	for _, p := range hissim.PriceList() {
		items[p.National] = nhsasim.Item{Class: map[string]string{"A": "01", "B": "02", "C": "03"}[p.Class], Kind: p.Category}
	}
	n := in.Insurer
	var err error
	if s.nhsa, err = nhsasim.New(nhsasim.Config{Clock: s.clock, Source: s.source, Journal: s.stage.journal("nhsa"), Plan: s.plans["nhsa"],
		Institutions: map[string]nhsasim.Institution{n.FixmedinsCode: {Name: n.FixmedinsName, Level: nhsasim.Level3, Area: n.MdtrtareaAdmvs}},
		PaasID:       n.PaasID, Secret: insurerSecret, Catalogue: items, Authorisations: s.mp}); err != nil {
		return fmt.Errorf("insurer: %w", err)
	}
	if s.his, err = hissim.New(hissim.Config{Clock: s.clock, Source: s.source, Journal: s.stage.journal("his"), Plan: s.plans["his"],
		App: in.HIS.App, Secret: hisSecret, Institution: in.Name}); err != nil {
		return fmt.Errorf("HIS: %w", err)
	}
	return nil
}

// close ends the journals, after the notices under way.
func (s *simulators) close() error {
	s.busy.Wait()
	var errs []error
	if s.pay != nil {
		errs = append(errs, s.pay.Close())
	}
	if s.mp != nil {
		errs = append(errs, s.mp.Close())
	}
	if s.nhsa != nil {
		errs = append(errs, s.nhsa.Close())
	}
	if s.his != nil {
		errs = append(errs, s.his.Close())
	}
	return errors.Join(errs...)
}

// serve opens the simulators' ports and the phone's, and sends WeChat's notices until the context ends.
func (s *simulators) serve(ctx context.Context, log *slog.Logger) (*servers, error) {
	run, err := newServers(ctx, log, map[string]http.Handler{
		s.stage.addr(wechatPayPort): s.pay.Handler(),
		s.stage.addr(wechatMPPort):  s.mp.Handler(),
		s.stage.addr(insurerPort):   s.nhsa.Handler(),
		s.stage.addr(hisPort):       s.his.Handler(),
		s.stage.addr(phonePort):     s.phone(),
	})
	if err != nil {
		return nil, err
	}
	s.busy.Go(func() {
		for ctx.Err() == nil {
			if !s.pay.Step(ctx) {
				_ = s.clock.Sleep(ctx, 50*time.Millisecond)
			}
		}
	})
	return run, nil
}
