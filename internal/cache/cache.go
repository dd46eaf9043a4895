// Package cache holds what may be lost: short-lived values, rate limits, wake-ups. It is the only importer of go-redis.
//
// Nothing here is the truth of anything. When Redis is away every call says ErrAway; whoever asks a limit or a session then refuses
// (design.md §10), and whoever waits for a wake-up looks by himself as his schedule says. Only commands of Redis 7.0 are used, and
// every key is hash-tagged, so that a single node, Sentinel and Cluster serve alike.
package cache

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// ErrAway means that Redis did not answer. It is Unavailable: a cache call has no effect worth asking about.
var ErrAway = fault.New(fault.Unavailable, "CACHE_AWAY", "系统繁忙，请稍后再试")

// Config says where Redis is. The zero value is an embedded one for one process, kept in memory.
type Config struct {
	Addr       string // host:port; several, separated by commas, are a Cluster, or the Sentinels when MasterName is set
	MasterName string // Sentinel only
	Username   string
	Password   sensitive.Key
	TLS        *tls.Config   // nil: none
	Prefix     string        // before every key; empty: "tuoka"
	Timeout    time.Duration // to connect, to write and to read, each; zero: 1 s
}

// maxValue is the largest value kept, in bytes; maxKey the longest key.
const (
	maxValue = 64 << 10
	maxKey   = 256
)

// tick is how often the embedded server is told that time has passed: it does not notice by itself.
const tick = 250 * time.Millisecond

// Cache is one connection pool. Safe for several goroutines.
type Cache struct {
	client   redis.UniversalClient
	prefix   string
	embedded *miniredis.Miniredis // nil: a real Redis
	stop     context.CancelFunc
	running  sync.WaitGroup
	wakes    *hub
}

// Open prepares the cache. It fails only for a wrong configuration: a Redis that is away now may come back, and until then every
// call says so. Values of ctx are kept, its end is not.
func Open(ctx context.Context, cfg Config) (*Cache, error) {
	if strings.ContainsAny(cfg.Prefix, "{}*?[]\\ ") {
		return nil, fmt.Errorf("cache: prefix %q has a character with a meaning of its own", cfg.Prefix)
	}
	if cfg.Addr == "" && (cfg.MasterName != "" || cfg.TLS != nil || !cfg.Password.IsZero()) {
		return nil, errors.New("cache: an address is missing")
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(ctx))
	c := &Cache{prefix: orElse(cfg.Prefix, "tuoka"), stop: stop}
	if cfg.Addr == "" {
		if err := c.embed(ctx, &cfg); err != nil {
			stop()
			return nil, err
		}
	}
	c.client = redis.NewUniversalClient(options(cfg))
	c.wakes = newHub(c.client.PSubscribe(ctx, c.topicKey("*")), c.topicKey(""))
	c.running.Go(c.wakes.run)
	return c, nil
}

func options(cfg Config) *redis.UniversalOptions {
	timeout := cfg.Timeout
	if timeout <= 0 {
		timeout = time.Second
	}
	addrs := strings.Split(cfg.Addr, ",")
	for i := range addrs {
		addrs[i] = strings.TrimSpace(addrs[i])
	}
	return &redis.UniversalOptions{
		Addrs: addrs, MasterName: cfg.MasterName, TLSConfig: cfg.TLS,
		Username: cfg.Username, Password: cfg.Password.Reveal(),
		Protocol: 2, DisableIdentity: true, // what comes with RESP 3 and identity is newer than Redis 7.0, or not needed
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
		ContextTimeoutEnabled:    true, MaxRetries: 1, DialerRetries: 1,
		DialTimeout: timeout, ReadTimeout: timeout, WriteTimeout: timeout, PoolTimeout: timeout,
	}
}

// embed starts a server on a free port of the loopback, behind a password made for this one run.
func (c *Cache) embed(ctx context.Context, cfg *Config) error {
	server := miniredis.NewMiniRedis()
	password := clock.NewSource(clock.Real{}, 0).Nonce(32)
	server.RequireAuth(password)
	if err := server.Start(); err != nil {
		return fmt.Errorf("cache: start embedded server: %w", err)
	}
	c.embedded, cfg.Addr, cfg.Password = server, server.Addr(), sensitive.NewKey(password)
	c.running.Go(func() { keepTime(ctx, server) })
	return nil
}

// keepTime lets the embedded server's keys grow old as fast as the machine's clock runs.
func keepTime(ctx context.Context, server *miniredis.Miniredis) {
	var real clock.Real
	for last := real.Now(); real.Sleep(ctx, tick) == nil; {
		now := real.Now()
		if elapsed := now.Sub(last); elapsed > 0 {
			server.FastForward(elapsed)
		}
		last = now
	}
}

// Close ends every subscription and leaves Redis. An embedded server and all it held are gone.
func (c *Cache) Close() error {
	c.stop()
	err := errors.Join(c.wakes.close(), c.client.Close())
	c.running.Wait()
	if c.embedded != nil {
		c.embedded.Close()
	}
	return err
}

// Ping reports whether Redis answers, for readiness.
func (c *Cache) Ping(ctx context.Context) error { return away(c.client.Ping(ctx).Err()) }

// Get reads a value; ok is false when there is none or it is too old.
func (c *Cache) Get(ctx context.Context, key string) (value []byte, ok bool, err error) {
	if err := checkKey(key); err != nil {
		return nil, false, err
	}
	value, err = c.client.Get(ctx, c.valueKey(key)).Bytes()
	if errors.Is(err, redis.Nil) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, away(err)
	}
	return value, true, nil
}

// Set keeps a value of at most 64 KiB for ttl, which must be a millisecond at least. The key must not be personal: give a digest.
func (c *Cache) Set(ctx context.Context, key string, value []byte, ttl time.Duration) error {
	if err := checkValue(key, value, ttl); err != nil {
		return err
	}
	return away(c.client.Set(ctx, c.valueKey(key), value, ttl).Err())
}

// Add is Set where there is no value yet, and tells whether there was none.
func (c *Cache) Add(ctx context.Context, key string, value []byte, ttl time.Duration) (added bool, err error) {
	if err := checkValue(key, value, ttl); err != nil {
		return false, err
	}
	added, err = c.client.SetNX(ctx, c.valueKey(key), value, ttl).Result()
	return added, away(err)
}

func (c *Cache) valueKey(key string) string { return c.prefix + ":value:{" + key + "}" }

// checkKey refuses what would break the hash tag.
func checkKey(key string) error {
	if key == "" || len(key) > maxKey || strings.ContainsAny(key, "{}") {
		return errors.New("cache: a key has 1 to 256 characters and no brace")
	}
	return nil
}

func checkValue(key string, value []byte, ttl time.Duration) error {
	if len(value) > maxValue {
		return fmt.Errorf("cache: value of %d bytes is too large", len(value))
	}
	if ttl < time.Millisecond {
		return fmt.Errorf("cache: life of %v is too short", ttl)
	}
	return checkKey(key)
}

func away(err error) error {
	if err == nil {
		return nil
	}
	return ErrAway.Because(err)
}

func orElse(value, standard string) string {
	if value == "" {
		return standard
	}
	return value
}

// LogTo sends go-redis' own complaints (lost connections, mostly) to log, for the whole process. Call it once, before Open.
func LogTo(log *slog.Logger) { redis.SetLogger(complaints{log}) }

type complaints struct{ log *slog.Logger }

// Printf takes one complaint.
func (c complaints) Printf(ctx context.Context, format string, v ...any) {
	c.log.WarnContext(ctx, "redis", "detail", fmt.Sprintf(format, v...))
}
