package core

import (
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
)

// The parts of a clock.Source id: 41 bits of milliseconds since 2025, 10 of node, 12 of sequence.
const (
	seqBits, nodeBits = 12, 10
	codeLength        = 12 // of an institution code: H and 11 digits
	// perMillisecond is how many msgids one node makes in a millisecond: 1000 × 1024 × 14 fits four characters of 62.
	perMillisecond = 14
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// MsgID makes a sender's message id (发送方报文ID, C30). The four-character tail is no counter of its own but the millisecond, the node
// and the sequence of an id of this node's Source, so it is unique among nodes, clients and restarts without being remembered.
func (c *Client) MsgID() string {
	id := c.cfg.Source.ID()
	for id&(1<<seqBits-1) >= perMillisecond { // the other sequences of this millisecond have no place in a tail
		id = c.cfg.Source.ID()
	}
	seq, node, ms := id&(1<<seqBits-1), id>>seqBits&(1<<nodeBits-1), id>>(seqBits+nodeBits)
	at := time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(ms) * time.Millisecond).In(clock.Shanghai)
	switch code := c.cfg.FixmedinsCode; c.cfg.Profile.MsgIDLayout {
	case TimeCodeTail:
		return at.Format("060102150405") + "-" + code + "-" + tail(ms, node, seq)
	case CodeNumber:
		return code + fmt.Sprintf("%018d", (ms<<nodeBits|node)*1000+seq)
	default:
		return code + at.Format("20060102150405") + tail(ms, node, seq)
	}
}

// tail writes the place within the second: millisecond, node, sequence.
func tail(ms, node, seq int64) string {
	n := (ms%1000<<nodeBits|node)*perMillisecond + seq
	var out [4]byte
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = base62[n%62]
		n /= 62
	}
	return string(out[:])
}
