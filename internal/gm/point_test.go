package gm

import (
	"bytes"
	"errors"
	"math/big"
	"slices"
	"testing"

	"github.com/tjfoc/gmsm/sm2"
)

// TestOffCurveBoxIsRefused builds the box of hazard 2: one for a point off the curve, consistent in itself, which the library opens.
// Whether such boxes open tells an outsider the private key, residue by residue.
func TestOffCurveBoxIsRefused(t *testing.T) {
	t.Parallel()
	k, plain := standardKey(t), []byte("0123456789abcdef")
	x, y := big.NewInt(5), big.NewInt(7)
	if onCurve(x, y) {
		t.Fatal("the point is on the curve")
	}
	x2, y2 := sm2.P256Sm2().ScalarMult(x, y, k.Reveal())
	xb, yb := x2.FillBytes(make([]byte, 32)), y2.FillBytes(make([]byte, 32))
	stream := SM3(slices.Concat(xb, yb, []byte{0, 0, 0, 1})) // the KDF's first block
	c2 := slices.Clone(plain)
	for i := range c2 {
		c2[i] ^= stream[i]
	}
	c3 := SM3(slices.Concat(xb, plain, yb))
	box := slices.Concat([]byte{4}, x.FillBytes(make([]byte, 32)), y.FillBytes(make([]byte, 32)), c3[:], c2)
	if got, err := sm2.Decrypt(k.key, box, sm2.C1C3C2); err != nil || !bytes.Equal(got, plain) {
		t.Fatalf("the library opens it to %q, %v: the test proves nothing", got, err)
	}
	if got, err := Unwrap(k, box); got != nil || !errors.Is(err, ErrInput) {
		t.Errorf("Unwrap() = %q, %v, want ErrInput", got, err)
	}
	if got, err := UnwrapC1C2C3(k, slices.Concat(box[:65], c2, c3[:])); got != nil || !errors.Is(err, ErrInput) {
		t.Errorf("UnwrapC1C2C3() = %q, %v, want ErrInput", got, err)
	}
	if got, err := UnwrapDER(k, derOf(t, derWrap{x, y, c3[:], c2})); got != nil || !errors.Is(err, ErrInput) {
		t.Errorf("UnwrapDER() = %q, %v, want ErrInput", got, err)
	}
}

// TestSecondNameOfAPoint: p + x is x again in the field, and must not be a second way to write a point.
func TestSecondNameOfAPoint(t *testing.T) {
	t.Parallel()
	c := sm2.P256Sm2().Params()
	for i := range int64(50) {
		x := big.NewInt(i + 1)
		yy := new(big.Int).Exp(x, big.NewInt(3), nil) // y² = x³ − 3x + b
		yy.Sub(yy, new(big.Int).Mul(x, big.NewInt(3))).Add(yy, c.B).Mod(yy, c.P)
		y := new(big.Int).ModSqrt(yy, c.P)
		if y == nil {
			continue
		}
		yRaw := y.FillBytes(make([]byte, 32))
		if _, err := NewPublicKey(slices.Concat(x.FillBytes(make([]byte, 32)), yRaw)); err != nil {
			t.Fatalf("the point of x = %d: %v", i+1, err)
		}
		beyond := x.Add(x, c.P).FillBytes(make([]byte, 32))
		if _, err := NewPublicKey(slices.Concat(beyond, yRaw)); !errors.Is(err, ErrInput) {
			t.Errorf("x = p + %d is taken: %v", i+1, err)
		}
	}
}
