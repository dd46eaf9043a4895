package main

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"database/sql"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	qr "github.com/piglig/go-qr"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/staff"
	"github.com/tuoka/tuoka/internal/store"
)

// typist is somebody at a keyboard. An answer may be worked out when it is asked for.
type typist struct {
	t       *testing.T
	answers []func() string
}

func typing(t *testing.T, answers ...any) *typist {
	k := &typist{t: t}
	for _, a := range answers {
		if text, ok := a.(string); ok {
			a = func() string { return text }
		}
		k.answers = append(k.answers, a.(func() string))
	}
	return k
}

func (k *typist) Read([]byte) (int, error) { return 0, io.EOF }

func (k *typist) line(context.Context) (string, error) {
	if len(k.answers) == 0 {
		k.t.Error("a question too many")
		return "", io.EOF
	}
	answer := k.answers[0]
	k.answers = k.answers[1:]
	return answer(), nil
}

func (k *typist) hidden(ctx context.Context) (string, error) { return k.line(ctx) }

// desk runs staff commands on the database of one sandbox folder.
type desk struct {
	t    *testing.T
	data string
	step int64 // of the newest code that was used
	said bytes.Buffer
}

// run gives what a staff command printed.
func (d *desk) run(in io.Reader, args ...string) (string, error) {
	d.t.Helper()
	return d.tuoka(in, "staff", args...)
}

// tuoka gives what any command printed. Prompts and errors are kept in said.
func (d *desk) tuoka(in io.Reader, word string, args ...string) (string, error) {
	d.t.Helper()
	cmd := root()
	cmd.SetArgs(append([]string{word, "--sandbox", "--data", d.data}, args...))
	var out bytes.Buffer
	if in == nil { // whoever runs the tests is not asked
		in = strings.NewReader("")
	}
	cmd.SetIn(in)
	cmd.SetOut(&out)
	cmd.SetErr(&d.said)
	err := cmd.ExecuteContext(d.t.Context())
	if err != nil {
		fmt.Fprintln(&d.said, err)
	}
	return out.String(), err
}

func (d *desk) must(in io.Reader, args ...string) string {
	d.t.Helper()
	out, err := d.run(in, args...)
	if err != nil {
		d.t.Fatalf("tuoka staff %s: %v", strings.Join(args, " "), err)
	}
	return out
}

// refused wants an error of that fault, in Chinese.
func (d *desk) refused(want *fault.Error, in io.Reader, args ...string) {
	d.t.Helper()
	_, err := d.run(in, args...)
	if !errors.Is(err, want) || !strings.Contains(err.Error(), want.Code) || !regexp.MustCompile(`\p{Han}{4}`).MatchString(err.Error()) {
		d.t.Errorf("tuoka staff %s: %v, want %s in Chinese", args[0], err, want.Code)
	}
}

func (d *desk) file(name, text string) string {
	d.t.Helper()
	path := filepath.Join(d.data, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		d.t.Fatal(err)
	}
	return path
}

// code is RFC 6238 once more, of a step that no sign-in has used: the present one, then the next, which is good already. After these two the
// phone gets another secret.
func (d *desk) code(uri string) string {
	d.t.Helper()
	u, err := url.Parse(uri)
	if err != nil {
		d.t.Fatal(err)
	}
	key, err := base32.StdEncoding.DecodeString(u.Query().Get("secret"))
	if err != nil {
		d.t.Fatal(err)
	}
	d.step = max(d.step+1, clock.Real{}.Now().Unix()/30)
	m := hmac.New(sha1.New, key)
	m.Write(binary.BigEndian.AppendUint64(nil, uint64(d.step)))
	sum := m.Sum(nil)
	return fmt.Sprintf("%06d", binary.BigEndian.Uint32(sum[sum[19]&15:])&0x7fffffff%1e6)
}

var (
	uriPattern  = regexp.MustCompile(`otpauth://\S+`)
	oncePattern = regexp.MustCompile(`[a-z2-7]{5}(-[a-z2-7]{5}){3}`)
)

// TestStaffCommands is a life of an account, on a SQLite file.
func TestStaffCommands(t *testing.T) {
	t.Parallel()
	d := &desk{t: t, data: t.TempDir()}
	const name, own, second, third = "欧阳小明", "correct horse battery", "battery horse correct", "horse correct battery"
	if out := d.must(nil, "list"); !strings.Contains(out, "还没有账号") {
		t.Errorf("list of nobody: %s", out)
	}
	out := d.must(nil, "add", "--login", "ouyang", "--name", name, "--role", "finance", "--role", "window", "--institution", "h1")
	uri, once := uriPattern.FindString(out), oncePattern.FindString(out)
	if uri == "" || once == "" || !strings.Contains(out, "▄") || strings.Contains(out, "\x1b") {
		t.Fatalf("add printed %s", out)
	}
	d.refused(staff.ErrExists, nil, "add", "--login", "ouyang", "--name", name, "--role", "finance")

	// The first sign-in, by files alone, says what to do; at the terminal it does it.
	onceFile := d.file("once", once+"\n")
	d.refused(staff.ErrOnce, nil, "sign-in", "--login", "ouyang", "--password-file", onceFile, "--code", d.code(uri))
	out = d.must(nil, "reset-totp", "--login", "ouyang")
	old := uri
	uri, d.step = uriPattern.FindString(out), 0
	if uri == old || oncePattern.MatchString(out) {
		t.Errorf("reset-totp printed %s", out)
	}
	fresh := func() string { return d.code(uri) }
	out = d.must(typing(t, "Ouyang", once, fresh, own, own, fresh), "sign-in")
	if !strings.Contains(out, "登录成功") || !strings.Contains(out, "财务、窗口") {
		t.Errorf("sign-in printed %s", out)
	}
	if out = d.must(nil, "list"); !strings.Contains(out, "欧***") || !strings.Contains(out, "正常") || strings.Contains(out, name) {
		t.Errorf("list printed %s", out)
	}

	uri, d.step = uriPattern.FindString(d.must(nil, "reset-totp", "--login", "ouyang")), 0
	d.refused(staff.ErrSignIn, typing(t, "not it at all"), "sign-in", "--login", "ouyang", "--code", "000000")
	d.must(nil, "disable", "--login", "ouyang")
	d.refused(staff.ErrMove, nil, "disable", "--login", "ouyang")
	d.refused(staff.ErrSignIn, nil, "sign-in", "--login", "ouyang", "--password-file", d.file("own", own), "--code", fresh())
	if out = d.must(nil, "list"); !strings.Contains(out, "停用") {
		t.Errorf("list printed %s", out)
	}
	d.must(nil, "enable", "--login", "ouyang")
	d.step--
	d.must(nil, "change-password", "--login", "ouyang", "--password-file", d.file("own", own), "--new-password-file", d.file("second", second), "--code", fresh())
	d.must(typing(t, "ouyang", second, fresh, third, third), "change-password")
	if out = d.must(typing(t, own, own), "reset-password", "--login", "ouyang", "--ask-password"); oncePattern.MatchString(out) {
		t.Errorf("reset-password printed %s", out)
	}
	if out = d.must(nil, "reset-password", "--login", "ouyang"); oncePattern.FindString(out) == "" || uriPattern.MatchString(out) {
		t.Errorf("reset-password printed %s", out)
	}
	d.audited("staff.add system ok", "staff.sign_in staff STAFF_PASSWORD_ONCE", "staff.reset_totp system ok", "staff.sign_in staff STAFF_PASSWORD_ONCE",
		"staff.change_password staff ok", "staff.reset_totp system ok", "staff.sign_in staff STAFF_SIGN_IN", "staff.disable system ok",
		"staff.sign_in staff STAFF_SIGN_IN", "staff.enable system ok", "staff.change_password staff ok", "staff.change_password staff ok",
		"staff.reset_password system ok", "staff.reset_password system ok")
	d.unprinted(name, own, second, third, once, uri, "secret=")
}

// audited compares the audit records with what was done.
func (d *desk) audited(want ...string) {
	d.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(d.data, "tuoka.db"))
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	rows, err := db.Query("SELECT action, actor, result FROM audit_record ORDER BY id")
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var got []string
	for rows.Next() {
		var action, actor, result string
		if err := rows.Scan(&action, &actor, &result); err != nil {
			d.t.Fatal(err)
		}
		got = append(got, action+" "+regexp.MustCompile(`^staff:\d+$`).ReplaceAllString(actor, "staff")+" "+result)
	}
	if diff := cmp.Diff(want, got); diff != "" || rows.Err() != nil {
		d.t.Errorf("audit records (-want +got): %v\n%s", rows.Err(), diff)
	}
}

// unprinted looks for secrets in prompts, errors and the database.
func (d *desk) unprinted(secrets ...string) {
	d.t.Helper()
	files, err := filepath.Glob(filepath.Join(d.data, "tuoka.db*"))
	if err != nil || len(files) == 0 {
		d.t.Fatalf("%v, %v", files, err)
	}
	content := d.said.Bytes()
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			d.t.Fatal(err)
		}
		content = append(content, b...)
	}
	for _, s := range secrets {
		if bytes.Contains(content, []byte(s)) {
			d.t.Errorf("%q was printed or stored", s)
		}
	}
}

// TestStaffRefuses says in Chinese what to do.
func TestStaffRefuses(t *testing.T) {
	t.Parallel()
	d := &desk{t: t, data: t.TempDir()}
	open := d.file("open", "correct horse battery")
	if err := os.Chmod(open, 0o644); err != nil {
		t.Fatal(err)
	}
	add := []string{"add", "--login", "wang", "--name", "王", "--role", "finance"}
	for _, tt := range []struct {
		name string
		in   io.Reader
		args []string
		want string
	}{
		{"a word too many", nil, []string{"list", "wang"}, "多余的参数"}, {"a command that is none", nil, []string{"fire"}, "多余的参数"},
		{"a flag that is none", nil, []string{"list", "--password", "x"}, "参数有误"}, {"nothing of a person", nil, []string{"add"}, "--login、--name、--role"},
		{"nobody", nil, []string{"disable"}, "--login"}, {"nobody's password", nil, []string{"reset-password"}, "--login"}, {"nobody's phone", nil, []string{"reset-totp"}, "--login"},
		{"a role that is none", nil, append(slices.Clone(add), "--role", "root"), "STAFF_ROLES"}, {"a hospital that is none", nil, append(slices.Clone(add), "--institution", "h9"), "h1、h2"},
		{"a password that others read", nil, append(slices.Clone(add), "--password-file", open), "chmod 600"},
		{"two sources", nil, append(slices.Clone(add), "--password-file", open, "--ask-password"), "只能给一个"},
		{"no terminal", strings.NewReader("correct horse battery\n"), append(slices.Clone(add), "--ask-password"), "没有可以输入的终端"},
		{"no terminal to sign in", strings.NewReader(""), []string{"sign-in"}, "没有可以输入的终端"},
		{"no terminal for the code", strings.NewReader(""), []string{"sign-in", "--login", "wang", "--password-file", d.file("good", "correct horse battery")}, "没有可以输入的终端"},
		{"two that differ", typing(t, "correct horse battery", "correct horse"), append(slices.Clone(add), "--ask-password"), "不一致"},
		{"none typed", typing(t, "", ""), append(slices.Clone(add), "--ask-password"), "密码为空"},
		{"a short one", typing(t, "short", "short"), append(slices.Clone(add), "--ask-password"), "至少 12 位"},
		{"a stranger", nil, []string{"enable", "--login", "wang"}, "STAFF_NOT_FOUND"},
		{"a new password that others read", typing(t, "wang", "x", "1"), []string{"change-password", "--new-password-file", open}, "chmod 600"},
	} {
		if out, err := d.run(tt.in, tt.args...); err == nil || !strings.Contains(err.Error(), tt.want) || out != "" {
			t.Errorf("%s: %v, printed %q, want %q", tt.name, err, out, tt.want)
		}
	}
	if err := withOffice(t.Context(), serveFlags{}, func(*office) error { return nil }); err == nil || !strings.Contains(err.Error(), "--config") {
		t.Errorf("without a configuration: %v", err)
	}
	st := claimed(t, d.data)
	d.refused(store.ErrInUse, nil, "list")
	if err := st.release(); err != nil {
		t.Fatal(err)
	}
	if out := d.must(nil); !strings.Contains(out, "change-password") {
		t.Errorf("help: %s", out)
	}
}

func TestInChinese(t *testing.T) {
	t.Parallel()
	plain := errors.New("plain")
	for _, tt := range []struct {
		err  error
		want string
	}{
		{fmt.Errorf("read: %w", store.ErrTampered), "交给技术人员"}, {store.ErrCommit, "无法确认"}, {staff.ErrRoles, "审计不能兼任"}, {plain, "plain"},
		{told{"说过了", staff.ErrRoles}, "说过了"},
	} {
		if got := inChinese(tt.err); !errors.Is(got, tt.err) || !strings.Contains(got.Error(), tt.want) {
			t.Errorf("inChinese(%v) = %v, want %q", tt.err, got, tt.want)
		}
	}
	if inChinese(nil) != nil {
		t.Error("no error became one")
	}
}

// TestQR reads the code off the drawing.
func TestQR(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"otpauth://totp/Tuoka:wang?algorithm=SHA1&digits=6&issuer=Tuoka&period=30&secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "x"} {
		drawn, err := drawQR(text, true)
		if err != nil || !strings.HasPrefix(drawn, "\x1b[97;40m") {
			t.Fatalf("drawQR() = %q, %v", drawn, err)
		}
		plain, err := drawQR(text, false)
		if err != nil || strings.NewReplacer("\x1b[97;40m", "", "\x1b[0m", "").Replace(drawn) != plain {
			t.Errorf("the drawing differs in more than colour: %v", err)
		}
		lines := strings.Split(strings.TrimSuffix(plain, "\n"), "\n")
		const zoom = 4
		side := len([]rune(lines[0]))
		img := image.NewGray(image.Rect(0, 0, (side+8)*zoom, (side+8)*zoom)) // a wider margin: the reader is no phone
		for i := range img.Pix {
			img.Pix[i] = 255
		}
		for y, line := range lines {
			for x, r := range []rune(line) {
				for half, light := range []bool{r == '█' || r == '▀', r == '█' || r == '▄'} {
					for px := range zoom * zoom {
						if !light && 2*y+half < side {
							img.SetGray((x+4)*zoom+px%zoom, (2*y+half+4)*zoom+px/zoom, color.Gray{})
						}
					}
				}
			}
		}
		if got, err := qr.Decode(img); got != text || err != nil {
			t.Errorf("the drawing reads %q, %v", got, err)
		}
	}
	if _, err := drawQR(strings.Repeat("x", 9999), false); err == nil {
		t.Error("a text that fits no code was drawn")
	}
}

func TestStaffTable(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	until := time.Date(2026, 11, 23, 8, 15, 0, 0, time.UTC)
	err := printStaff(&out, []staff.Person{
		{ID: 1, Login: "li.4", Name: sensitive.NewName("李四"), Roles: []staff.Role{staff.Auditor}, State: staff.Locked, LockedUntil: until},
		{ID: 22, Login: "wang", Name: sensitive.NewName("王小明"), Institution: "h1", Roles: []staff.Role{staff.Admin, staff.Finance}, State: staff.Active},
	})
	want := `登录名  姓名  角色        机构      状态                   编号
li.4    李*   审计        全部机构  锁定至 11-23 16:15:00  staff:1
wang    王**  管理、财务  h1        正常                   staff:22
`
	if diff := cmp.Diff(want, out.String()); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
