package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tuoka/tuoka/adapters/his/certify"
	"github.com/tuoka/tuoka/configs"
)

// certifyExample writes configs/his-certify.yaml for a sandbox of the test's own, on free ports, and starts that. "sm2" is rest with notices signed so,
// "insured" the third hospital, whose HIS settles by a line of its own.
func certifyExample(t *testing.T, his string) (file string) {
	t.Helper()
	base, dir := freeBase(t), t.TempDir()
	cfg, st, err := serveFlags{sandbox: true, data: dir, base: base, his: strings.NewReplacer("sm2", "rest", "insured", "rest").Replace(his)}.load()
	if err != nil {
		t.Fatal(err)
	}
	if his == "sm2" {
		cfg.Institutions[0].HIS.Notices = "sm2"
	}
	sims, err := openSimulators(st, cfg, earth(), counterpartsSource())
	if err != nil {
		t.Fatal(err)
	}
	run, err := sims.serve(t.Context(), newLog(os.Stderr, "error"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(run.stop(0), sims.close(), st.release()); err != nil {
			t.Log(err)
		}
	})
	text, err := configs.FS.ReadFile("his-certify.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if his == "sm2" {
		const secret = "secret_file: var/keys/h1_his_secret"
		text = bytes.Replace(text, []byte(secret), []byte(secret+"\n      notices: sm2\n      notice_key_file: var/keys/h1_his_notice_public.pem\n      answer_key_file: var/keys/h1_his_answer.pem"), 1)
	}
	if his == "insured" {
		text = bytes.ReplaceAll(text, []byte("h1"), []byte("h3"))
		text = bytes.ReplaceAll(text, []byte("127.0.0.1:8088"), []byte(st.addr(hisPort(2))))
		text = bytes.Replace(text, []byte("    certify:\n"), []byte("    his_insurance:\n      credential: token\n    certify:\n"), 1)
	}
	out := strings.NewReplacer("127.0.0.1:8088", st.addr(hisPort(0)), "127.0.0.1:8083", st.addr(phonePort), "var/keys", filepath.Join(dir, "keys")).Replace(string(text))
	if his == "soap" {
		out = strings.Replace(out, "his_rest:", "his_soap:", 1)
	}
	file = filepath.Join(dir, "certify.yaml")
	if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestHisCertify: the example works against the sandbox, over both carriers, notices in either signature and the insurance of a HIS with a line of its own included, and
// shows nobody's data.
func TestHisCertify(t *testing.T) {
	for his, notRun := range map[string]string{"rest": "未执行 18", "soap": "未执行 18", "sm2": "未执行 18", "insured": "未执行 1\n"} {
		t.Run(his, func(t *testing.T) {
			config := certifyExample(t, his)
			report := filepath.Join(t.TempDir(), "report.html")
			var out, progress bytes.Buffer
			listen := callbackOf(t, config)
			f := certifyFlags{config: config, report: report, listen: listen}
			if err := f.run(t.Context(), strings.NewReader(""), &out, &progress); err != nil {
				t.Fatalf("%v: %s", err, out.String())
			}
			page, err := os.ReadFile(report)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(out.String(), "不通过 0，"+notRun) || !strings.Contains(string(page), "已执行的全部通过") { // a lock of 15 minutes is not waited for
				t.Errorf("%s", out.String())
			}
			for _, hidden := range []string{"张伟明", "360102198506120314", "柳无名", "110102197701010013"} {
				if strings.Contains(out.String()+progress.String()+string(page), hidden) {
					t.Errorf("%s is shown", hidden)
				}
			}
		})
	}
}

// callbackOf is where the sandbox of that configuration sends its notices.
func callbackOf(t *testing.T, config string) string {
	t.Helper()
	at, err := certifyFlags{config: config}.load()
	if err != nil {
		t.Fatal(err)
	}
	var host string
	var port int
	if _, err := fmt.Sscanf(strings.ReplaceAll(at.Hospital().BaseURL, ":", " "), "http //%s %d", &host, &port); err != nil {
		t.Fatal(err)
	}
	hospital := int(at.ID[1] - '1') // h1, h2, h3
	return stage{base: port - hisPort(hospital)}.addr(callbackPort)
}

// TestHisCertifyRefuses: production, a missing section, and a HIS that fails.
func TestHisCertifyRefuses(t *testing.T) {
	t.Parallel()
	text, err := configs.FS.ReadFile("his-certify.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("a-secret-of-the-front-office-0001"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ old, changed, want string }{
		"production":    {"\nmode: sandbox", "\nmode: production", "不能用于生产"},
		"FHIR":          {"his_rest:", "his_fhir:", "只支持 his_rest"},
		"no HIS":        {"base_url: http://127.0.0.1:8088", "base_url: \"\"", "his_rest"},
		"no patient":    {`"360102198506120314"`, `"360102198506120315"`, "certify.id_number"},
		"unknown key":   {"bills: []", "bill: []", "bill"},
		"nobody there":  {"127.0.0.1:8088", "127.0.0.1:1", ""},
		"no such place": {"- id: h1", "- id: h2", "h1"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "certify.yaml")
			out := strings.Replace(string(text), tt.old, tt.changed, 1)
			if err := os.WriteFile(file, []byte(strings.Replace(out, "var/keys/h1_his_secret", secret, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
			f := certifyFlags{config: file}
			if name == "no such place" {
				f.institution = "h1"
			}
			var said, progress bytes.Buffer
			err := f.run(t.Context(), strings.NewReader(""), &said, &progress)
			switch {
			case err == nil:
				t.Error("nothing was refused")
			case tt.want == "" && (!errors.Is(err, errSaid) || !strings.Contains(said.String(), "连接不上医院系统") || !strings.Contains(said.String(), "不通过 1")):
				t.Errorf("%v: %s", err, said.String())
			case !strings.Contains(err.Error(), tt.want):
				t.Errorf("%v, want %q", err, tt.want)
			}
		})
	}
}

// TestPersonAtHand: what the person at the keyboard says is done, refused, or nobody's.
func TestPersonAtHand(t *testing.T) {
	t.Parallel()
	for said, want := range map[string]struct {
		do     certify.Doing
		number string
		err    error
	}{
		"y\n":         {certify.PayAtWindow, "", nil},
		"R\n":         {certify.PayAtWindow, "", certify.ErrRefused},
		"\n":          {certify.PayAtWindow, "", certify.ErrNobody},
		"perhaps\n":   {certify.PayAtWindow, "", certify.ErrNobody},
		"":            {certify.VoidBill, "", certify.ErrNobody},
		" MZ20261 \n": {certify.WriteBill, "MZ20261", nil},
		"P2":          {certify.OpenArchive, "P2", nil},
		"\nMZ20262\n": {certify.WriteBill, "", certify.ErrNobody},
	} {
		var out bytes.Buffer
		a := &askedHands{in: bufio.NewReader(strings.NewReader(said)), out: &out}
		number, err := a.Do(t.Context(), certify.Task{Do: want.do, Bill: "MZ1", Patient: "P1"})
		if number != want.number || !errors.Is(err, want.err) || !strings.Contains(out.String(), "请配合") {
			t.Errorf("%q: %q, %v, after %q", said, number, err, out.String())
		}
	}
}
