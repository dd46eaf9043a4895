package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/adapters/his/certify"
	"github.com/tuoka/tuoka/adapters/his/rest"
	"github.com/tuoka/tuoka/adapters/his/soap"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/sensitive"
)

type certifyFlags struct {
	config, institution, report, listen, simulator string
	readOnly, json, ask                            bool
}

func hisCertify() *cobra.Command {
	var f certifyFlags
	cmd := &cobra.Command{Use: "certify", Short: "try a hospital's HIS before its first patient (医院系统接口认证)", Args: noWords,
		Long: `Asks a HIS under test everything that docs/his-interface.md promises, and reports in Chinese what holds, what does not, by which messages that was
seen, and what to mend. It locks, settles, posts and gives back the bills that the configuration's certify section names: never run it against a HIS in production.
Exit code 0 when nothing failed. docs/his-certify.zh-CN.md explains it; configs/his-certify.yaml is an example.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needed(cmd, "config"); err != nil {
				return err
			}
			return f.run(cmd.Context(), cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		}}
	cmd.Flags().StringVar(&f.config, "config", "", "configuration; mode must not be production (配置文件)")
	cmd.Flags().StringVar(&f.institution, "institution", "", "which institution, where there are several (机构)")
	cmd.Flags().BoolVar(&f.readOnly, "read-only", false, "look only: lock, settle, post and give back nothing (只读)")
	cmd.Flags().StringVar(&f.report, "report", "", "write the report as one HTML file (认证报告)")
	cmd.Flags().BoolVar(&f.json, "json", false, "print the report as JSON (供程序读取)")
	cmd.Flags().StringVar(&f.listen, "listen", "", "address on which the HIS's notices are awaited, at /callbacks/his/<institution> (接收通知的地址)")
	cmd.Flags().StringVar(&f.simulator, "simulator", "", "the control of a HIS simulator, which then arranges what people would (模拟器控制地址)")
	cmd.Flags().BoolVar(&f.ask, "ask", false, "ask the person at the keyboard to arrange situations at the window (由操作者配合)")
	return cmd
}

// run certifies one hospital.
func (f certifyFlags) run(ctx context.Context, in io.Reader, out, progress io.Writer) error {
	at, err := f.load()
	if err != nil {
		return err
	}
	c, err := certification(at)
	if err != nil {
		return err
	}
	c.ReadOnly, c.About.Version = f.readOnly, version()
	if control := cmp.Or(f.simulator, at.Certify.Simulator); control != "" {
		c.Hands, c.About.HandsName = simulatedHands{base: control, wire: c.Wire}, "模拟器"
	} else if f.ask {
		c.Hands, c.About.HandsName = &askedHands{in: bufio.NewReader(in), out: progress}, "操作者"
	}
	if f.listen != "" {
		path := "/callbacks/his/" + at.ID
		notices, err := directHIS(at, c.Clock, c.Source, c.Wire, path)
		if err != nil {
			return err
		}
		c.Notices = certify.NewListener(notices, path)
		run, err := newServers(ctx, newLog(os.Stderr, "error"), map[string]http.Handler{f.listen: c.Notices})
		if err != nil {
			return err
		}
		defer func() { _ = run.stop(time.Second) }()
	}
	c.Told = func(r certify.Result) { _, _ = fmt.Fprintf(progress, "%s  %s\n", r.Verdict.Name(), r.Title) }
	report, err := certify.Run(ctx, c)
	if report == nil {
		return err
	}
	return errors.Join(err, f.tell(report, out))
}

// tell writes the report where it was asked for, and says by its error that something failed.
func (f certifyFlags) tell(r *certify.Report, out io.Writer) error {
	if f.report != "" {
		file, err := os.OpenFile(f.report, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
		if err != nil {
			return fmt.Errorf("认证报告：%w", err)
		}
		if err := errors.Join(r.HTML(file), file.Close()); err != nil {
			return fmt.Errorf("认证报告：%w", err)
		}
	}
	var err error
	if f.json {
		e := json.NewEncoder(out)
		e.SetIndent("", "  ")
		err = e.Encode(r)
	} else {
		err = r.Summary(out)
	}
	if err == nil && !r.OK() {
		err = errSaid
	}
	return err
}

// load reads as much of the configuration as a certification needs: mode, institution, HIS and test data. The rest may be missing.
func (f certifyFlags) load() (*config.Institution, error) {
	text, err := os.ReadFile(f.config)
	if err != nil {
		return nil, fmt.Errorf("配置文件：%w", err)
	}
	cfg, err := config.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("配置文件有误，请按提示改正：%w", err)
	}
	if cfg.Mode != config.Sandbox {
		return nil, fmt.Errorf("mode 是 %q：认证会锁单、结算、入账、退费，只能对测试环境进行（mode: sandbox），不能用于生产", cfg.Mode)
	}
	if f.institution == "" && len(cfg.Institutions) > 1 {
		return nil, errors.New("配置中有多个机构，请用 --institution 指定一个")
	}
	i := slices.IndexFunc(cfg.Institutions, func(in config.Institution) bool { return f.institution == "" || in.ID == f.institution })
	if i < 0 {
		return nil, fmt.Errorf("配置中没有机构 %q", f.institution)
	}
	at := &cfg.Institutions[i]
	if at.FHIR != nil { // what it answers is not signed: half of the checks would ask for what it does not have
		return nil, fmt.Errorf("机构 %s 是 his_fhir：认证目前只支持 his_rest 与 his_soap", at.ID)
	}
	if at.Certify == nil || at.Hospital().BaseURL == "" {
		return nil, fmt.Errorf("机构 %s 缺少 his_rest（或 his_soap）或 certify 一节；写法见 configs/his-certify.yaml", at.ID)
	}
	return at, nil
}

// certification is what the kit is given of one institution.
func certification(at *config.Institution) (certify.Config, error) {
	w := earth()
	data, hospital := at.Certify, at.Hospital()
	id, err := sensitive.ParseIDNumber(data.IDNumber)
	if err != nil || data.Name == "" {
		return certify.Config{}, errors.New("certify.name 或 certify.id_number 有误：需要测试患者的姓名与 18 位证件号码")
	}
	c := certify.Config{Clock: w.clock, Source: clock.NewSource(w.clock, clock.Nodes-2), Wire: w.wire, Refunds: hospital.Refunds, Insured: at.Link != nil,
		Data: certify.Data{Name: sensitive.NewName(data.Name), ID: id, Patient: data.PatientID, Bills: data.Bills, OtherBill: data.OtherBill,
			WindowPaid: data.WindowPaid, Void: data.Void, IdlePatient: data.IdlePatientID, Wait: data.Wait, PayAuth: sensitive.NewToken(data.PayAuthNo)},
		About: certify.About{Hospital: cmp.Or(at.Name, at.ID), Transport: "JSON over HTTP，docs/his-interface.md 1.3 版"}}
	if address, err := url.Parse(hospital.BaseURL); err == nil {
		c.About.Address = address.Redacted()
	}
	if at.SOAP == nil {
		c.Unsign = rest.Unsign
		c.Open = func(clk clock.Clock, s *clock.Source, wire http.RoundTripper) (his.Carrier, error) {
			return directHIS(at, clk, s, wire, "")
		}
		return c, nil
	}
	mapping, err := readMapping(at.SOAP.Mapping)
	if err != nil {
		return c, fmt.Errorf("his_soap.mapping_file：%w", err)
	}
	secret, err := hisSecret(at)
	if err != nil {
		return c, err
	}
	c.About.Transport = "SOAP/XML，对照文件“" + mapping.Name + "”"
	c.Unsign = func(_ *http.Request, body []byte) []byte { return mapping.Service.Unsign(body) }
	c.Open = func(clk clock.Clock, s *clock.Source, wire http.RoundTripper) (his.Carrier, error) {
		return soap.New(soap.Config{Config: his.Config{Clock: clk}, BaseURL: hospital.BaseURL, Mapping: mapping, User: hospital.App, Secret: secret, Source: s}, wire)
	}
	return c, nil
}

func hisSecret(at *config.Institution) (sensitive.Key, error) {
	return config.Secret("secret_file", at.Hospital().SecretFile)
}

// directHIS speaks the interface as it stands, which the notices of every HIS do.
func directHIS(at *config.Institution, c clock.Clock, s *clock.Source, wire http.RoundTripper, callbackPath string) (*rest.Client, error) {
	secret, err := hisSecret(at)
	if err != nil {
		return nil, err
	}
	cfg := rest.Config{Config: his.Config{Clock: c}, BaseURL: at.Hospital().BaseURL, App: at.Hospital().App, Secret: secret, Source: s, CallbackPath: callbackPath}
	if h := at.Hospital(); h.Notices == "sm2" && callbackPath != "" {
		notice, err1 := config.Secret("notice_key_file", h.NoticeKeyFile)
		answer, err2 := config.Secret("answer_key_file", h.AnswerKeyFile)
		if err := errors.Join(err1, err2); err != nil {
			return nil, err
		}
		if err := signedBySM2(&cfg, notice, answer); err != nil {
			return nil, err
		}
	}
	return rest.New(cfg, wire)
}
