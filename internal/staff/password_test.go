package staff

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/argon2"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// TestReferenceHash is a hash of the reference implementation (P-H-C/phc-winner-argon2, src/test.c).
func TestReferenceHash(t *testing.T) {
	t.Parallel()
	const text = "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	d, err := parseDigest(sensitive.NewKey(text))
	if err != nil || d.params != (Params{MemoryKiB: 256, Passes: 2, Lanes: 1}) || string(d.salt) != "somesalt" {
		t.Fatalf("parseDigest() = %v, %q, %v", d.params, d.salt, err)
	}
	if k := kdf(argon2.IDKey); !k.matches(d, sensitive.NewKey("password")) || k.matches(d, sensitive.NewKey("Password")) {
		t.Error("the reference's password does not match, or another one does")
	}
	if d.encoded().Reveal() != text {
		t.Errorf("encoded() = %s", d.encoded().Reveal())
	}
}

func TestDigestRoundTrip(t *testing.T) {
	t.Parallel()
	k, word := kdf(argon2.IDKey), sensitive.NewKey(password)
	one, two := k.digest(small, word), k.digest(small, word)
	if one.Equal(two) {
		t.Error("two hashes of one password are equal: where is the salt?")
	}
	d, err := parseDigest(one)
	if err != nil || d.params != small || len(d.salt) != saltSize || !k.matches(d, word) || k.matches(d, sensitive.NewKey(password+" ")) {
		t.Errorf("parseDigest() = %v, %v", d.params, err)
	}
	if !strings.HasPrefix(k.digest(standard, word).Reveal(), "$argon2id$v=19$m=65536,t=3,p=4$") {
		t.Error("production's parameters are not 64 MiB, 3 passes, 4 lanes")
	}
}

func TestDigestRefused(t *testing.T) {
	t.Parallel()
	good := kdf(argon2.IDKey).digest(small, sensitive.NewKey(password)).Reveal()
	for name, text := range map[string]string{
		"empty": "", "no hash": "SECRET", "another algorithm": strings.Replace(good, "argon2id", "argon2i", 1),
		"another version": strings.Replace(good, "v=19", "v=16", 1), "all the memory": strings.Replace(good, "m=16", "m=4294967295", 1),
		"too little memory": strings.Replace(good, "m=16", "m=1", 1), "no passes": strings.Replace(good, "t=1", "t=0", 1),
		"no lanes": strings.Replace(good, "p=1", "p=0", 1), "lanes beyond a byte": strings.Replace(good, "p=1", "p=257", 1),
		"endless passes": strings.Replace(good, "t=1", "t=4000000000", 1), "leading zero": strings.Replace(good, "m=16", "m=016", 1),
		"cut": good[:len(good)-1], "longer": good + "A", "one more part": good + "$", "no salt": good[:strings.LastIndex(good, "$")-20] + good[strings.LastIndex(good, "$"):],
		"text before": "x" + good, "blanks": strings.Replace(good, "m=16", "m= 16", 1),
	} {
		if _, err := parseDigest(sensitive.NewKey(text)); !errors.Is(err, errDigest) {
			t.Errorf("%s: %v, want %v", name, err, errDigest)
		}
	}
}

func FuzzDigest(f *testing.F) {
	f.Add(kdf(argon2.IDKey).digest(small, sensitive.NewKey(password)).Reveal())
	f.Add("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f.Fuzz(func(t *testing.T, text string) {
		d, err := parseDigest(sensitive.NewKey(text))
		if err == nil && (d.encoded().Reveal() != text || d.params.MemoryKiB > mostMemoryKiB || d.params.Passes > mostPasses || d.params.Lanes == 0) {
			t.Errorf("%q was read as %v", text, d.params)
		}
	})
}

func TestCheckPassword(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, login, word, why string }{
		{"words", "wang", "correct horse battery", ""}, {"twelve", "wang", "kx7-pq2-mm9d", ""}, {"Chinese", "wang", "春眠不觉晓处处闻啼鸟夜来", ""},
		{"the most", "wang", strings.Repeat("abcdef12", 16), ""}, {"contains the login", "wang", "wang's own horse", ""},
		{"eleven", "wang", "kx7-pq2-mm9", "至少 12 位"}, {"none", "wang", "", "至少 12 位"}, {"eleven characters of many bytes", "wang", "春眠不觉晓处处闻啼鸟夜", "至少 12 位"},
		{"one too many", "wang", strings.Repeat("abcdef12", 16) + "x", "最多 128 位"}, {"one character", "wang", "aaaaaaaaaaaa", "太少"},
		{"four characters", "wang", "123412341234", "太少"}, {"the login", "wang.xiaoming", "wang.xiaoming", "登录名"},
		{"the login, shouted", "wang.xiaoming", "Wang.XiaoMing", "登录名"}, {"common", "wang", "password1234", "太常见"},
		{"common with a capital and blanks", "wang", "Pass Word 1234", "太常见"}, {"a blank at the end", "wang", "correct horse battery ", "空格"}, {"no text", "wang", "kx7-pq2-mm9d\xff", "无法识别"},
	} {
		err := checkPassword(tt.login, sensitive.NewKey(tt.word))
		f, _ := fault.Find(err)
		if (tt.why == "") != (err == nil) || (err != nil && (!errors.Is(err, ErrPassword) || !strings.Contains(f.Msg, tt.why))) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.why)
		}
	}
	for _, c := range common {
		if err := checkPassword("wang", sensitive.NewKey(c)); !errors.Is(err, ErrPassword) || len(c) < fewestCharacters {
			t.Errorf("common password %q: %v", c, err)
		}
		if f, _ := fault.Find(checkPassword("wang", sensitive.NewKey(c))); !strings.Contains(f.Msg, "太常见") {
			t.Errorf("common password %q is refused anyway: %s", c, f.Msg)
		}
	}
}

func TestNewPassword(t *testing.T) {
	t.Parallel()
	form := regexp.MustCompile(`^[a-z2-7]{5}(-[a-z2-7]{5}){3}$`)
	seen := map[string]bool{}
	for range 100 {
		p := newPassword()
		if !form.MatchString(p.Reveal()) || seen[p.Reveal()] || checkPassword("wang", p) != nil {
			t.Fatalf("newPassword() = %q", p.Reveal())
		}
		seen[p.Reveal()] = true
	}
}
