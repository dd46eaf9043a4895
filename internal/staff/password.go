package staff

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/tuoka/tuoka/internal/sensitive"
)

// Params is what one password costs.
type Params struct {
	MemoryKiB uint32
	Passes    uint32
	Lanes     uint8
}

// standard is RFC 9106's second choice, above the least that OWASP asks for; about half a second on a small server.
var standard = Params{MemoryKiB: 64 << 10, Passes: 3, Lanes: 4}

// What a stored hash may ask for: a row must not take the server's memory.
const (
	mostMemoryKiB = 1 << 20
	mostPasses    = 64
	saltSize      = 16
	hashSize      = 32
)

// A password's length, in characters. Nobody types more; nobody guesses less by trying, since five failures lock.
const (
	fewestCharacters = 12
	mostCharacters   = 128
)

// kdf is argon2.IDKey; tests count its calls.
type kdf func(password, salt []byte, passes, memoryKiB uint32, lanes uint8, size uint32) []byte

// digest is a password as it is kept: "$argon2id$v=19$m=65536,t=3,p=4$salt$hash", Base64 without padding. The algorithm's name leads, so that
// another one can stand beside it.
type digest struct {
	params     Params
	salt, hash []byte
}

var errDigest = errors.New("staff: not an encoded argon2id hash")

func (k kdf) digest(p Params, password sensitive.Key) sensitive.Key {
	d := digest{params: p, salt: make([]byte, saltSize)}
	_, _ = rand.Read(d.salt) // never fails
	d.hash = k.run(p, password, d.salt)
	return d.encoded()
}

func (k kdf) run(p Params, password sensitive.Key, salt []byte) []byte {
	return k([]byte(password.Reveal()), salt, p.Passes, p.MemoryKiB, p.Lanes, hashSize)
}

func (d digest) encoded() sensitive.Key {
	b := base64.RawStdEncoding
	return sensitive.NewKey(fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, d.params.MemoryKiB, d.params.Passes, d.params.Lanes,
		b.EncodeToString(d.salt), b.EncodeToString(d.hash)))
}

// parseDigest reads what encoded wrote, with whatever parameters. Its error shows nothing of it.
func parseDigest(k sensitive.Key) (digest, error) {
	var d digest
	parts := strings.Split(k.Reveal(), "$")
	if len(parts) != 6 || parts[0] != "" || parts[1] != "argon2id" || parts[2] != fmt.Sprintf("v=%d", argon2.Version) {
		return d, errDigest
	}
	if _, err := fmt.Sscanf(parts[3], "m=%d,t=%d,p=%d", &d.params.MemoryKiB, &d.params.Passes, &d.params.Lanes); err != nil {
		return d, errDigest
	}
	var errSalt, errHash error
	d.salt, errSalt = base64.RawStdEncoding.Strict().DecodeString(parts[4])
	d.hash, errHash = base64.RawStdEncoding.Strict().DecodeString(parts[5])
	p := d.params
	if errSalt != nil || errHash != nil || len(d.salt) < 8 || len(d.hash) != hashSize || p.Lanes < 1 || p.Passes < 1 || p.Passes > mostPasses ||
		p.MemoryKiB < 8*uint32(p.Lanes) || p.MemoryKiB > mostMemoryKiB || d.encoded().Reveal() != k.Reveal() {
		return d, errDigest
	}
	return d, nil
}

// matches runs the derivation with the digest's own parameters.
func (k kdf) matches(d digest, password sensitive.Key) bool {
	return subtle.ConstantTimeCompare(k.run(d.params, password, d.salt), d.hash) == 1
}

// newPassword is a password for its first use: 20 letters and digits in groups of five, 100 bits.
func newPassword() sensitive.Key {
	s := strings.ToLower(rand.Text())
	return sensitive.NewKey(s[:5] + "-" + s[5:10] + "-" + s[10:15] + "-" + s[15:20])
}

// common are passwords of enough characters that everybody tries first, in small letters without blanks.
var common = []string{
	"123456789012", "1234567890123", "12345678901234", "123456123456", "012345678901", "987654321098",
	"098765432109", "112233445566", "147258369147", "abcdefghijkl", "abcd12345678", "abc123456789", "abcdef123456",
	"qwertyuiop12", "qwertyuiop123", "qwertyuiopas", "qwerty123456", "qwer12345678", "1q2w3e4r5t6y", "1qaz2wsx3edc", "q1w2e3r4t5y6", "zaq12wsxcde3",
	"asdfghjkl123", "zxcvbnm12345", "password1234", "password12345", "password123456", "passwordpassword", "p@ssw0rd1234", "p@ssword1234",
	"passw0rd1234", "admin1234567", "admin12345678", "admin123admin123", "administrator", "administrator1", "root12345678", "letmein12345",
	"welcome12345", "changeme1234", "changemenow1", "iloveyou1234", "woaini123456", "woaini1314520", "5201314520131", "a123456789012", "aa1234567890",
	"hospital1234", "hospital12345", "yiyuan123456", "yibao1234567", "caiwu1234567", "tuoka1234567", "tuokatuokatuoka", "tuoka@123456",
}

// checkPassword refuses what somebody would guess. ErrPassword, saying why.
func checkPassword(login string, password sensitive.Key) error {
	text := password.Reveal()
	plain := strings.ToLower(strings.Join(strings.Fields(text), ""))
	distinct := map[rune]bool{}
	for _, r := range plain {
		distinct[r] = true
	}
	why := ""
	switch n := utf8.RuneCountInString(text); {
	case !utf8.ValidString(text):
		why = "密码含有无法识别的字符，请换一个"
	case strings.TrimSpace(text) != text: // a file's end would be cut off, a keyboard's not
		why = "密码首尾不能有空格，请换一个"
	case n < fewestCharacters:
		why = fmt.Sprintf("密码至少 %d 位，请换一个更长的，例如几个不相干的词", fewestCharacters)
	case n > mostCharacters:
		why = fmt.Sprintf("密码最多 %d 位，请换一个短些的", mostCharacters)
	case len(distinct) < 5:
		why = "密码中不同的字符太少，请换一个"
	case plain == login:
		why = "密码不能与登录名相同，请换一个"
	}
	for _, c := range common {
		if plain == c {
			why = "这个密码太常见，请换一个"
		}
	}
	if why != "" {
		return ErrPassword.Saying(why).At("password")
	}
	return nil
}
