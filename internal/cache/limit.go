package cache

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/redis/go-redis/v9"
)

// gcra is the generic cell rate algorithm on the server's clock, so that all nodes count as one. It keeps one number per key: the
// moment at which the bucket will be empty again. After the server's clock was set back that moment may be far away: it is cut to
// what a full bucket needs, or a caller would be shut out for hours.
//
//	KEYS[1] the key; ARGV[1] microseconds between two calls, ARGV[2] burst
//	returns allowed (1 or 0), and the microseconds to wait if not
var gcra = redis.NewScript(`
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000000 + tonumber(t[2])
local every, full = tonumber(ARGV[1]), tonumber(ARGV[1]) * tonumber(ARGV[2])
local function keep(empty)
  redis.call('SET', KEYS[1], string.format('%.0f', empty), 'PX', math.ceil((empty - now) / 1000))
end
local empty = tonumber(redis.call('GET', KEYS[1])) or now
if empty > now + full then
  empty = now + full
  keep(empty)
end
local after = math.max(empty, now) + every
if after > now + full then
  return {0, after - now - full}
end
keep(after)
return {1, 0}
`)

// maxRate keeps the interval at a microsecond at least, and a full bucket within the numbers that Lua holds exactly.
const maxRate = 60_000_000

// Allow asks whether one more call under this key is within ratePerMinute on average and burst at once; if not, when to come again.
// An error (ErrAway) allows nothing. Only a digest of the key leaves the process, so it may be an address or an account.
func (c *Cache) Allow(ctx context.Context, key string, ratePerMinute, burst int) (allowed bool, retryAfter time.Duration, err error) {
	if key == "" || ratePerMinute < 1 || ratePerMinute > maxRate || burst < 1 || burst > maxRate {
		return false, 0, fmt.Errorf("cache: limit of %d a minute, %d at once is none", ratePerMinute, burst)
	}
	every := time.Minute.Microseconds() / int64(ratePerMinute)
	answer, err := gcra.Run(ctx, c.client, []string{c.limitKey(key)}, every, burst).Int64Slice()
	if err != nil {
		return false, 0, away(err)
	}
	if len(answer) != 2 {
		return false, 0, away(errors.New("the limit script answered otherwise"))
	}
	return answer[0] == 1, time.Duration(answer[1]) * time.Microsecond, nil
}

func (c *Cache) limitKey(key string) string {
	sum := sha256.Sum256([]byte(key))
	return c.prefix + ":limit:{" + hex.EncodeToString(sum[:16]) + "}"
}
