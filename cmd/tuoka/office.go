package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/staff"
	"github.com/tuoka/tuoka/internal/store"
)

// office is what a command of the staff works with.
type office struct {
	config *config.Config
	db     *store.DB
	people *staff.Service
	source *clock.Source
}

func officeFlags(cmd *cobra.Command, f *serveFlags) {
	cmd.PersistentFlags().StringVar(&f.config, "config", "", "configuration file of the service (配置文件)")
	cmd.PersistentFlags().BoolVar(&f.sandbox, "sandbox", false, "the sandbox's database instead (沙箱)")
	cmd.PersistentFlags().StringVar(&f.data, "data", "./var", "folder of the sandbox (沙箱目录)")
	cmd.PersistentFlags().StringVar(&f.dsn, "dsn", "", "the sandbox's database, where it is not in its folder (沙箱数据库)")
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("参数有误：%w；用法见 %s --help", err, cmd.CommandPath())
	})
}

// longReports is how long the database may think about a question that reads whole tables: the ledger of a city is not summed in seconds.
const longReports = time.Hour

// withOffice opens the database by the configuration, does the work, and says in Chinese what went wrong.
func withOffice(ctx context.Context, f serveFlags, work func(o *office) error) (err error) {
	f.join = f.dsn != "" // the simulators may run meanwhile: their folder is not asked for
	cfg, st, err := f.load()
	if err != nil && !errors.Is(err, store.ErrInUse) {
		return fmt.Errorf("配置有误，请用 --config 给出服务所用的配置文件，并按提示改正：%w", err)
	}
	defer func() { err = inChinese(errors.Join(err, st.release())) }()
	if err != nil {
		return err
	}
	source := clock.NewSource(clock.Real{}, 0)
	db, _, err := openStore(ctx, cfg, store.Config{Log: slog.Default(), Silent: longReports}, clock.Real{}, source)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	skew, err := db.Skew(ctx)
	if err != nil {
		return err
	}
	if skew.Abs() > mostAstray {
		return told{"本机时钟与数据库相差超过两秒，请先校时（NTP）再执行", errAstray}
	}
	node, err := db.LeaseNode(ctx, "office/"+source.Nonce(6))
	if err != nil {
		return err
	}
	source.Use(node.Node)
	kept, done := context.WithCancel(ctx)
	defer func() {
		done()
		_ = db.ReturnNode(context.WithoutCancel(ctx), node) // where another has it, or nobody answers, it runs out
	}()
	go func() { // people take their time
		for (clock.Real{}).Sleep(kept, nodeRenewal) == nil {
			_ = db.RenewNode(kept, node)
		}
	}()
	return work(&office{config: cfg, db: db, people: staff.New(db.Staff(), db.Audit(), clock.Real{}, source, staff.Config{}), source: source})
}

// told is an error in words for staff; the error itself is behind it.
type told struct {
	words string
	error
}

// Error is the words.
func (t told) Error() string { return t.words }

// Unwrap is the error.
func (t told) Unwrap() error { return t.error }

// inChinese gives an error the words of its fault. What we do not expect is kept whole, for whoever has to find out.
func inChinese(err error) error {
	f, known := fault.Find(err)
	_, spoken := errors.AsType[told](err)
	switch {
	case err == nil || spoken:
		return err
	case errors.Is(err, store.ErrInUse):
		return told{"数据库正被另一个进程使用，请先停止 tuoka serve（或另一个 tuoka 命令）再执行（" + store.ErrInUse.Code + "）", err}
	case known && f.Kind == fault.Unknown:
		return told{"无法确认操作是否完成，请用 tuoka staff list 核对；没有见到的密码和二维码须重置：" + err.Error(), err}
	case known && f.Kind != fault.Internal:
		return told{f.Msg + "（" + f.Code + "）", err}
	case known:
		return told{"操作未完成，请把这段信息交给技术人员：" + err.Error(), err}
	}
	return err
}

// noWords refuses words that are no flags.
func noWords(cmd *cobra.Command, words []string) error {
	if len(words) > 0 {
		return fmt.Errorf("多余的参数 %q；用法见 %s --help", words[0], cmd.CommandPath())
	}
	return nil
}

// needed refuses a command without these flags.
func needed(cmd *cobra.Command, flags ...string) error {
	var missing []string
	for _, name := range flags {
		if !cmd.Flags().Changed(name) {
			missing = append(missing, "--"+name)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fmt.Errorf("请给出 %s", strings.Join(missing, "、"))
}

// newPassword says where a password to be set comes from. Without either one is made.
type newPassword struct {
	file string
	ask  bool
}

func (n *newPassword) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&n.file, "password-file", "", "file with the password; without it one is made, for its first use")
	cmd.Flags().BoolVar(&n.ask, "ask-password", false, "ask for the password at the terminal")
}

func (n *newPassword) read(cmd *cobra.Command) (sensitive.Key, error) {
	switch {
	case n.file != "" && n.ask:
		return sensitive.Key{}, errors.New("--password-file 与 --ask-password 只能给一个")
	case n.file != "":
		return passwordFile("--password-file", n.file)
	case n.ask:
		return askTwice(cmd, "密码")
	}
	return sensitive.Key{}, nil
}

// identity is what somebody gives to sign in.
type identity struct {
	login    string
	file     string
	code     string
	password sensitive.Key
	fresh    sensitive.Key // the password to be set
}

func (i *identity) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&i.login, "login", "", "login name (登录名); asked for when empty")
	cmd.Flags().StringVar(&i.file, "password-file", "", "file with the password; asked for when empty")
	cmd.Flags().StringVar(&i.code, "code", "", "present code of the phone (验证码); asked for when empty")
}

// ask asks for what the flags did not give.
func (i *identity) ask(cmd *cobra.Command) (err error) {
	if i.login == "" {
		if i.login, err = ask(cmd, "登录名："); err != nil {
			return err
		}
	}
	if i.file != "" {
		i.password, err = passwordFile("--password-file", i.file)
	} else {
		i.password, err = askSecret(cmd, "密码（输入时不显示）：")
	}
	if err != nil {
		return err
	}
	if i.code == "" {
		i.code, err = ask(cmd, "验证码：")
	}
	return err
}

// fromTerminal signs in whoever has answered, for commands that need a person. After a one-time password he sets his own at the terminal.
func (o *office) fromTerminal(cmd *cobra.Command, who identity) (staff.Person, error) {
	p, err := o.people.SignIn(cmd.Context(), who.login, who.password, who.code)
	if !errors.Is(err, staff.ErrOnce) {
		return p, err
	}
	if _, nobody := keyboardOf(cmd.InOrStdin()); nobody != nil {
		return staff.Person{}, err
	}
	cmd.PrintErrln("密码正确，但它是一次性密码，请设置自己的密码")
	if who.fresh, err = askTwice(cmd, "新密码"); err != nil {
		return staff.Person{}, err
	}
	if who.code, err = ask(cmd, "请等验证码更新后，输入新的验证码："); err != nil {
		return staff.Person{}, err
	}
	return o.people.ChangePassword(cmd.Context(), who.login, who.password, who.code, who.fresh)
}

// show prints what is shown once.
func show(out io.Writer, c staff.Credentials) error {
	var b strings.Builder
	if !c.Password.IsZero() {
		fmt.Fprintf(&b, "\n一次性密码，只显示这一次，首次登录时须改为自己的密码：\n\n  %s\n", c.Password.Reveal())
	}
	if !c.Enrolment.IsZero() {
		code, err := drawQR(c.Enrolment.Reveal(), isTerminal(out))
		if err != nil {
			return fmt.Errorf("二维码：%w", err)
		}
		fmt.Fprintf(&b, "\n请本人用手机验证器扫描二维码，或录入链接；只显示这一次，请勿截图、转发：\n\n  %s\n\n%s", c.Enrolment.Reveal(), code)
		b.WriteString("\n然后请本人执行 tuoka staff sign-in 试登录\n")
	}
	_, err := io.WriteString(out, b.String())
	return err
}
