// Package gm is the Chinese commercial cryptography (国密) of this program: SM2 keys, signatures and key wrapping, SM3 and its HMAC,
// SM4 in GCM and, for the insurer's wire alone, in ECB.
//
// It is the only importer of github.com/tjfoc/gmsm, a library that is sound in its arithmetic and careless at its edges: it hangs on
// empty input, panics on short input, takes points off the curve and shares scratch space. So every length, point and scalar is
// checked here before the library sees it, no cipher object outlives a call, and the library's key readers and block modes are not
// used. What was measured, and why each rule stands, is told by the reference page gm-crypto; a comment that names a section means it.
//
// Every function may be called by several goroutines at once, with the same keys. None panics, whatever the bytes.
//
// The errors carry no fault kind on purpose: a caller in a money step that forgets to judge one is left with fault.Unknown, the safe
// reading.
package gm

import "errors"

// ErrInput means that the bytes are not what they are said to be: a key, a point, a padding, a length. Unwrap and DecryptECB answer
// it for every failure alike, so that a sender learns nothing from the difference.
var ErrInput = errors.New("gm: malformed input")

// ErrAuthentication means well-formed bytes that were not made with this key: a box that was altered or moved, a pair of keys that do
// not belong together.
var ErrAuthentication = errors.New("gm: authentication failed")
