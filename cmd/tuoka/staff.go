package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"github.com/spf13/cobra"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/staff"
)

// system is who acts where nobody has signed in: whoever may read the service's keys.
const system = "system"

func staffCommand() *cobra.Command {
	f := serveFlags{base: 8080}
	cmd := &cobra.Command{Use: "staff", Short: "accounts of finance, window, audit and admin staff (财务、窗口、审计、管理人员账号)", Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() }}
	officeFlags(cmd, &f)
	cmd.AddCommand(staffAdd(&f), staffList(&f), staffSwitch(&f, "disable", "shut an account (停用账号)", "已停用", (*staff.Service).Disable),
		staffSwitch(&f, "enable", "open an account that was disabled or is locked (启用或解锁账号)", "已启用", (*staff.Service).Enable),
		staffResetPassword(&f), staffResetTOTP(&f), staffSignIn(&f), staffChangePassword(&f))
	return cmd
}

func staffAdd(f *serveFlags) *cobra.Command {
	var n staff.Newcomer
	var name string
	var roles []string
	var word newPassword
	cmd := &cobra.Command{Use: "add", Short: "add a person (添加账号)", Args: noWords, RunE: func(cmd *cobra.Command, _ []string) (err error) {
		if err := needed(cmd, "login", "name", "role"); err != nil {
			return err
		}
		n.Name = sensitive.NewName(name)
		if n.Roles, err = staff.ParseRoles(roles...); err != nil {
			return inChinese(err)
		}
		if n.Password, err = word.read(cmd); err != nil {
			return err
		}
		return withOffice(cmd.Context(), *f, func(o *office) error {
			if ids := hospitalsOf(o.config); n.Institution != "" && !slices.Contains(ids, n.Institution) {
				return fmt.Errorf("--institution %s：配置中没有这个机构，可选 %s；不给则为全部机构", n.Institution, strings.Join(ids, "、"))
			}
			p, shown, err := o.people.Add(cmd.Context(), system, n)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			if _, err := fmt.Fprintf(out, "已添加 %s（%s）：%s，%s\n", p.Login, p.ID.Actor(), roleNames(p.Roles), hospitalName(p)); err != nil {
				return err
			}
			return show(out, shown)
		})
	}}
	cmd.Flags().StringVar(&n.Login, "login", "", "login name (登录名)")
	cmd.Flags().StringVar(&name, "name", "", "the person's name (姓名)")
	cmd.Flags().StringSliceVar(&roles, "role", nil, "finance, window, audit or admin (角色); may be given again")
	cmd.Flags().StringVar(&n.Institution, "institution", "", "the only institution that the person works for (机构); empty: all")
	word.flags(cmd)
	return cmd
}

func staffList(f *serveFlags) *cobra.Command {
	return &cobra.Command{Use: "list", Short: "list everybody (列出账号)", Args: noWords, RunE: func(cmd *cobra.Command, _ []string) error {
		return withOffice(cmd.Context(), *f, func(o *office) error {
			people, err := o.people.List(cmd.Context())
			if err != nil {
				return err
			}
			return printStaff(cmd.OutOrStdout(), people)
		})
	}}
}

// printStaff writes a table; names are masked.
func printStaff(out io.Writer, people []staff.Person) error {
	if len(people) == 0 {
		_, err := fmt.Fprintln(out, "还没有账号，请用 tuoka staff add 添加")
		return err
	}
	rows := [][]string{{"登录名", "姓名", "角色", "机构", "状态", "编号"}}
	for i := range people {
		p := &people[i]
		rows = append(rows, []string{p.Login, p.Name.Masked(), roleNames(p.Roles), hospitalName(*p), stateName(*p), p.ID.Actor()})
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], width(cell))
		}
	}
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-width(cell)+2))
		}
		if _, err := fmt.Fprintln(out, strings.TrimRight(line.String(), " ")); err != nil {
			return err
		}
	}
	return nil
}

// width is how many columns of a terminal a text takes: Chinese takes two for each character.
func width(s string) (n int) {
	for _, r := range s {
		n++
		if unicode.Is(unicode.Han, r) || r >= '\u3000' {
			n++
		}
	}
	return n
}

func roleNames(roles []staff.Role) string {
	names := map[staff.Role]string{staff.Finance: "财务", staff.Window: "窗口", staff.Auditor: "审计", staff.Admin: "管理"}
	words := make([]string, len(roles))
	for i, r := range roles {
		words[i] = names[r]
	}
	return strings.Join(words, "、")
}

func hospitalName(p staff.Person) string {
	if p.Institution == "" {
		return "全部机构"
	}
	return p.Institution
}

func stateName(p staff.Person) string {
	switch {
	case p.State == staff.Locked:
		return "锁定至 " + p.LockedUntil.In(clock.Shanghai).Format("01-02 15:04:05")
	case p.State == staff.Disabled:
		return "停用"
	case p.PasswordOnce:
		return "待设密码"
	}
	return "正常"
}

// staffSwitch is a command that opens or shuts an account.
func staffSwitch(f *serveFlags, use, short, done string, do func(s *staff.Service, ctx context.Context, actor, login string) error) *cobra.Command {
	var login string
	cmd := &cobra.Command{Use: use, Short: short, Args: noWords, RunE: func(cmd *cobra.Command, _ []string) error {
		if err := needed(cmd, "login"); err != nil {
			return err
		}
		return withOffice(cmd.Context(), *f, func(o *office) error {
			if err := do(o.people, cmd.Context(), system, login); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "%s %s\n", done, login)
			return err
		})
	}}
	cmd.Flags().StringVar(&login, "login", "", "whose (登录名)")
	return cmd
}

func staffResetPassword(f *serveFlags) *cobra.Command {
	var login string
	var word newPassword
	cmd := &cobra.Command{Use: "reset-password", Short: "set another password (重置密码)", Args: noWords, RunE: func(cmd *cobra.Command, _ []string) error {
		if err := needed(cmd, "login"); err != nil {
			return err
		}
		password, err := word.read(cmd)
		if err != nil {
			return err
		}
		return withOffice(cmd.Context(), *f, func(o *office) error {
			shown, err := o.people.ResetPassword(cmd.Context(), system, login, password)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "已重置 %s 的密码\n", login); err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), shown)
		})
	}}
	cmd.Flags().StringVar(&login, "login", "", "whose (登录名)")
	word.flags(cmd)
	return cmd
}

func staffResetTOTP(f *serveFlags) *cobra.Command {
	var login string
	cmd := &cobra.Command{Use: "reset-totp", Short: "give the person's phone another secret (重置验证器)", Args: noWords, RunE: func(cmd *cobra.Command, _ []string) error {
		if err := needed(cmd, "login"); err != nil {
			return err
		}
		return withOffice(cmd.Context(), *f, func(o *office) error {
			shown, err := o.people.ResetSecondFactor(cmd.Context(), system, login)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "已重置 %s 的验证器，旧验证码不再有效\n", login); err != nil {
				return err
			}
			return show(cmd.OutOrStdout(), shown)
		})
	}}
	cmd.Flags().StringVar(&login, "login", "", "whose (登录名)")
	return cmd
}

func staffSignIn(f *serveFlags) *cobra.Command {
	var who identity
	cmd := &cobra.Command{Use: "sign-in", Short: "try password and phone, and set one's own first password (试登录；首次登录设置自己的密码)", Args: noWords,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := who.ask(cmd); err != nil {
				return err
			}
			return withOffice(cmd.Context(), *f, func(o *office) error {
				p, err := o.fromTerminal(cmd, who)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintf(cmd.OutOrStdout(), "登录成功：%s（%s），%s，%s\n", p.Login, p.ID.Actor(), roleNames(p.Roles), hospitalName(p))
				return err
			})
		}}
	who.flags(cmd)
	return cmd
}

func staffChangePassword(f *serveFlags) *cobra.Command {
	var who identity
	var path string
	cmd := &cobra.Command{Use: "change-password", Short: "set one's own password (修改自己的密码)", Args: noWords, RunE: func(cmd *cobra.Command, _ []string) error {
		err := who.ask(cmd)
		if err != nil {
			return err
		}
		if path != "" {
			who.fresh, err = passwordFile("--new-password-file", path)
		} else {
			who.fresh, err = askTwice(cmd, "新密码")
		}
		if err != nil {
			return err
		}
		return withOffice(cmd.Context(), *f, func(o *office) error {
			p, err := o.people.ChangePassword(cmd.Context(), who.login, who.password, who.code, who.fresh)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "已修改 %s 的密码\n", p.Login)
			return err
		})
	}}
	who.flags(cmd)
	cmd.Flags().StringVar(&path, "new-password-file", "", "file with the new password; without it, it is asked for")
	return cmd
}
