//go:build interop

package mobile

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/asn1"
	"encoding/hex"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	emmsm4 "github.com/emmansun/gmsm/sm4"

	"github.com/tuoka/tuoka/internal/gm"
)

func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b)
	return b
}

// openssl runs one command on that input.
func openssl(t *testing.T, input []byte, args ...string) ([]byte, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "openssl", args...)
	cmd.Stdin = bytes.NewReader(input)
	return cmd.Output()
}

// TestInteropSM3AndSM4 compares SM3 and SM4-ECB with OpenSSL and with sm-crypto, and opens what OpenSSL encrypted.
func TestInteropSM3AndSM4(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	const rounds = 100
	for n := 1; n <= rounds; n++ {
		msg, key := random(n*3-2), random(16)
		sum := gm.SM3(msg)
		theirs, err := openssl(t, msg, "dgst", "-sm3", "-binary")
		if err != nil || !bytes.Equal(sum[:], theirs) {
			t.Fatalf("SM3 of %d bytes: %x, OpenSSL %x, %v", len(msg), sum, theirs, err)
		}
		if a := p.ask(map[string]any{"op": "sm3", "hex": hex.EncodeToString(msg)}); a.Hex != hex.EncodeToString(sum[:]) {
			t.Fatalf("SM3 of %d bytes: %x, sm-crypto %s", len(msg), sum, a.Hex)
		}
		box, err := gm.EncryptECB(key, msg)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err = openssl(t, msg, "enc", "-sm4-ecb", "-K", hex.EncodeToString(key))
		if err != nil || !bytes.Equal(box, theirs) {
			t.Fatalf("SM4-ECB of %d bytes: %x, OpenSSL %x, %v", len(msg), box, theirs, err)
		}
		if a := p.ask(map[string]any{"op": "ecb", "hex": hex.EncodeToString(msg), "key": hex.EncodeToString(key)}); a.Hex != hex.EncodeToString(box) {
			t.Fatalf("SM4-ECB of %d bytes: %x, sm-crypto %s", len(msg), box, a.Hex)
		}
		if plain, err := openssl(t, box, "enc", "-d", "-sm4-ecb", "-K", hex.EncodeToString(key)); err != nil || !bytes.Equal(plain, msg) {
			t.Fatalf("OpenSSL opens our box of %d bytes to %x, %v", len(box), plain, err)
		}
		if plain, err := gm.DecryptECB(key, theirs); err != nil || !bytes.Equal(plain, msg) {
			t.Fatalf("we open OpenSSL's box of %d bytes to %x, %v", len(theirs), plain, err)
		}
	}
	t.Logf("SM3 equal in OpenSSL and sm-crypto: %d; SM4-ECB equal, and opened both ways: %d", rounds, rounds)
}

// TestInteropSM2 verifies our signatures with OpenSSL and OpenSSL's with ours, under the default user id and others.
func TestInteropSM2(t *testing.T) {
	t.Parallel()
	dir, signatures := t.TempDir(), 0
	file := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for n := range 40 {
		k, msg := gm.GenerateKey(), random(1+n*11)
		id := []string{standardUserID, "4117E877F5FA0A0188891283E4B617D5", "u"}[n%3]
		private, err1 := k.PEM()
		public, err2 := k.Public().PEM()
		raw, err3 := gm.SignRawAs(k, id, msg)
		if err1 != nil || err2 != nil || err3 != nil {
			t.Fatal(err1, err2, err3)
		}
		der, err := asn1.Marshal(rs{new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:])})
		if err != nil {
			t.Fatal(err)
		}
		key, pub, in := file("key", private), file("pub", public), file("msg", msg)
		if out, err := openssl(t, nil, "pkeyutl", "-verify", "-pubin", "-inkey", pub, "-in", in, "-sigfile", file("sig", der), "-rawin", "-digest", "sm3",
			"-pkeyopt", "distid:"+id); err != nil {
			t.Fatalf("OpenSSL refuses our signature under %q: %s, %v", id, out, err)
		}
		if _, err := openssl(t, nil, "pkeyutl", "-verify", "-pubin", "-inkey", pub, "-in", in, "-sigfile", file("sig", der), "-rawin", "-digest", "sm3",
			"-pkeyopt", "distid:another"); err == nil {
			t.Fatal("OpenSSL takes our signature under another user id")
		}
		theirs, err := openssl(t, nil, "pkeyutl", "-sign", "-inkey", key, "-in", in, "-rawin", "-digest", "sm3", "-pkeyopt", "distid:"+id)
		if err != nil {
			t.Fatal(err)
		}
		var sig rs
		if _, err := asn1.Unmarshal(theirs, &sig); err != nil {
			t.Fatal(err)
		}
		flat := append(sig.R.FillBytes(make([]byte, 32)), sig.S.FillBytes(make([]byte, 32))...)
		if !gm.VerifyRawAs(k.Public(), id, msg, flat) || gm.VerifyRawAs(k.Public(), "another", msg, flat) {
			t.Fatalf("we judge OpenSSL's signature under %q wrongly", id)
		}
		signatures++
	}
	t.Logf("SM2 signatures verified by OpenSSL: %d; of OpenSSL by us: %d", signatures, signatures)
}

type rs struct{ R, S *big.Int }

// TestInteropSM4GCM opens our boxes with a second Go library and its boxes with ours.
func TestInteropSM4GCM(t *testing.T) {
	t.Parallel()
	const boxes = 1000
	for n := range boxes {
		key, plain, aad, nonce := random(16), random(n), random(n%50), random(12)
		block, err := emmsm4.NewCipher(key)
		if err != nil {
			t.Fatal(err)
		}
		g, err := cipher.NewGCM(block)
		if err != nil {
			t.Fatal(err)
		}
		box, err := gm.Seal(key, aad, plain)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := g.Open(nil, box[:12], box[12:], aad); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes: the other library opens our box to %x, %v", n, got, err)
		}
		if got, err := gm.Open(key, aad, g.Seal(bytes.Clone(nonce), nonce, plain, aad)); err != nil || !bytes.Equal(got, plain) {
			t.Fatalf("%d bytes: we open the other library's box to %x, %v", n, got, err)
		}
		box[len(box)-1] ^= 1
		if _, err := gm.Open(key, aad, box); err == nil {
			t.Fatal("an altered box is opened")
		}
	}
	t.Logf("SM4-GCM boxes opened both ways: %d", boxes)
}
