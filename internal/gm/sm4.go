package gm

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"fmt"

	"github.com/tjfoc/gmsm/sm4"
)

const (
	nonceSize = 12
	tagSize   = 16
)

// aead is Go's GCM over the library's block; the library's own GCM is wrong (section 2, hazard 3). A new one for every call: the
// block keeps scratch space, and shared by goroutines it writes boxes that nobody can ever open.
func aead(key []byte) (cipher.AEAD, error) {
	block, err := sm4.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sm4 key of %d bytes: %w", len(key), ErrInput)
	}
	return cipher.NewGCM(block)
}

// Seal encrypts and authenticates by SM4-GCM (RFC 8998) with a 16-byte key: nonce||ciphertext||tag, 28 bytes longer than plain, the
// nonce random. aad is authenticated with it and must be given to Open again; it names the place where the box stands. A key makes at
// most 2^32 boxes.
func Seal(key, aad, plain []byte) ([]byte, error) {
	g, err := aead(key)
	if err != nil {
		return nil, err
	}
	box := make([]byte, nonceSize, nonceSize+len(plain)+tagSize)
	_, _ = rand.Read(box) // never fails
	return g.Seal(box, box[:nonceSize], plain, aad), nil
}

// Open gives back what Seal was given. ErrInput for a wrong key length or a box shorter than an empty one, ErrAuthentication when
// key, aad or any bit of the box is another.
func Open(key, aad, box []byte) ([]byte, error) {
	g, err := aead(key)
	if err != nil {
		return nil, err
	}
	if len(box) < nonceSize+tagSize {
		return nil, fmt.Errorf("sm4-gcm box of %d bytes: %w", len(box), ErrInput)
	}
	plain, err := g.Open(nil, box[:nonceSize], box[nonceSize:], aad)
	if err != nil {
		return nil, fmt.Errorf("sm4-gcm: %w", ErrAuthentication)
	}
	return plain, nil
}

// EncryptECB is SM4-ECB with PKCS#7 padding and a 16-byte key. It exists for the insurer's wire alone (encData of the mobile-payment
// centre): equal blocks encrypt alike and nothing is authenticated, so it protects nothing of ours. ErrInput for a wrong key length or
// nothing to encrypt.
func EncryptECB(key, plain []byte) ([]byte, error) {
	if len(plain) == 0 {
		return nil, fmt.Errorf("sm4-ecb of nothing: %w", ErrInput)
	}
	block, err := sm4.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sm4 key of %d bytes: %w", len(key), ErrInput)
	}
	pad := sm4.BlockSize - len(plain)%sm4.BlockSize
	out := make([]byte, len(plain)+pad)
	copy(out, plain)
	copy(out[len(plain):], bytes.Repeat([]byte{byte(pad)}, pad))
	for at := 0; at < len(out); at += sm4.BlockSize {
		block.Encrypt(out[at:at+sm4.BlockSize], out[at:at+sm4.BlockSize])
	}
	return out, nil
}

// DecryptECB opens what EncryptECB made; see there. ErrInput for a wrong key length, and one and the same ErrInput for a wrong length,
// a wrong padding and an empty text. What it gives is not authenticated: act on nothing before the signature was checked.
func DecryptECB(key, box []byte) ([]byte, error) {
	block, err := sm4.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("sm4 key of %d bytes: %w", len(key), ErrInput)
	}
	bad := fmt.Errorf("sm4-ecb: %w", ErrInput)
	if len(box) == 0 || len(box)%sm4.BlockSize != 0 {
		return nil, bad
	}
	out := make([]byte, len(box))
	for at := 0; at < len(box); at += sm4.BlockSize {
		block.Decrypt(out[at:at+sm4.BlockSize], box[at:at+sm4.BlockSize])
	}
	pad := int(out[len(out)-1])
	text := len(out) - pad
	if pad == 0 || pad > sm4.BlockSize || text <= 0 {
		return nil, bad
	}
	for _, b := range out[text:] {
		if int(b) != pad {
			return nil, bad
		}
	}
	return out[:text], nil
}
