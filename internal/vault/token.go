package vault

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"

	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// shortestToken is the least a token is made of, in bytes: 128 bits cannot be guessed.
const shortestToken = 16

// RandomToken is an opaque credential of n random bytes, never fewer than 16, in URL-safe base64.
func RandomToken(n int) sensitive.Token {
	b := make([]byte, max(n, shortestToken))
	_, _ = rand.Read(b) // never fails
	return sensitive.NewToken(base64.RawURLEncoding.EncodeToString(b))
}

// HashToken is what the database keeps of a token: its SM3, 64 hex digits. Tokens are long and random, so that no salt is needed.
func HashToken(t sensitive.Token) string {
	sum := gm.SM3([]byte(t.Reveal()))
	return hex.EncodeToString(sum[:])
}
