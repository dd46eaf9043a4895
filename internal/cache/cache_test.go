package cache

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// onEmbedded opens a cache of this process, for tests that need its server's clock.
func onEmbedded(t *testing.T) *Cache {
	t.Helper()
	c, err := Open(context.Background(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func TestValues(t *testing.T) { onEach(t, testValues) }

func testValues(t *testing.T, c *Cache) {
	ctx := context.Background()
	if _, ok, err := c.Get(ctx, "k"); ok || err != nil {
		t.Fatalf("Get() of nothing = %v, %v", ok, err)
	}
	want := []byte("a\x00\xff值")
	if err := c.Set(ctx, "k", want, time.Minute); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := c.Get(ctx, "k"); !ok || err != nil || !bytes.Equal(got, want) {
		t.Errorf("Get() = %q, %v, %v, want %q", got, ok, err, want)
	}
	for _, add := range []struct {
		key  string
		want bool
	}{{"k", false}, {"new", true}, {"new", false}} {
		if added, err := c.Add(ctx, add.key, []byte("added"), time.Minute); added != add.want || err != nil {
			t.Errorf("Add(%s) = %v, %v, want %v", add.key, added, err, add.want)
		}
	}
	if got, _, _ := c.Get(ctx, "k"); !bytes.Equal(got, want) {
		t.Errorf("after Add() of another: %q, want %q", got, want)
	}
	if got, _, _ := c.Get(ctx, "new"); string(got) != "added" {
		t.Errorf("Get() of what was added = %q", got)
	}
	if err := c.Ping(ctx); err != nil {
		t.Error(err)
	}
}

func TestValuesGrowOld(t *testing.T) {
	t.Parallel()
	c, ctx := onEmbedded(t), context.Background()
	if err := c.Set(ctx, "short", []byte("v"), time.Minute); err != nil {
		t.Fatal(err)
	}
	if added, err := c.Add(ctx, "added", []byte("v"), time.Minute); !added || err != nil {
		t.Fatalf("Add() = %v, %v", added, err)
	}
	if err := c.Set(ctx, "long", []byte("v"), time.Hour); err != nil {
		t.Fatal(err)
	}
	c.embedded.FastForward(time.Minute)
	for _, key := range []string{"short", "added"} {
		if _, ok, _ := c.Get(ctx, key); ok {
			t.Errorf("%s: a value outlived its minute", key)
		}
	}
	if _, ok, _ := c.Get(ctx, "long"); !ok {
		t.Error("a value did not live its hour")
	}
}

func TestEmbeddedServerKeepsRealTime(t *testing.T) {
	t.Parallel()
	c, ctx := onEmbedded(t), context.Background()
	if err := c.Set(ctx, "k", []byte("v"), 5*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := clock.Real{}.WithDeadline(ctx, 20*time.Second)
	defer cancel()
	for {
		if _, ok, err := c.Get(ctx, "k"); err != nil {
			t.Fatalf("%v: nobody tells the embedded server the time", err)
		} else if !ok {
			return
		}
	}
}

func TestBadArguments(t *testing.T) { onEach(t, testBadArguments) }

func testBadArguments(t *testing.T, c *Cache) {
	ctx := context.Background()
	get := func(key string) error { _, _, err := c.Get(ctx, key); return err }
	limit := func(key string, rate, burst int) error { _, _, err := c.Allow(ctx, key, rate, burst); return err }
	add := func(key string, value []byte, ttl time.Duration) error {
		_, err := c.Add(ctx, key, value, ttl)
		return err
	}
	for name, err := range map[string]error{
		"get, no key":        get(""),
		"get, brace":         get("a}b"),
		"get, long key":      get(strings.Repeat("k", maxKey+1)),
		"set, no key":        c.Set(ctx, "", nil, time.Second),
		"set, large value":   c.Set(ctx, "k", make([]byte, maxValue+1), time.Second),
		"set, no life":       c.Set(ctx, "k", nil, 0),
		"add, brace":         add("{", nil, time.Second),
		"add, large value":   add("k", make([]byte, maxValue+1), time.Second),
		"add, no life":       add("k", nil, 0),
		"wake, no topic":     c.Wake(ctx, ""),
		"limit, no key":      limit("", 1, 1),
		"limit, no rate":     limit("k", 0, 1),
		"limit, great rate":  limit("k", maxRate+1, 1),
		"limit, no burst":    limit("k", 1, 0),
		"limit, great burst": limit("k", 1, maxRate+1),
	} {
		if err == nil || errors.Is(err, ErrAway) {
			t.Errorf("%s: %v, want a refusal of our own", name, err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"prefix with a brace":      {Prefix: "a{b"},
		"prefix with a pattern":    {Prefix: "a*"},
		"sentinel without address": {MasterName: "m"},
		"password, no address":     {Password: sensitive.NewKey("p")},
		"TLS, no address":          {TLS: &tls.Config{MinVersion: tls.VersionTLS12}},
	} {
		if c, err := Open(context.Background(), cfg); err == nil {
			t.Errorf("%s: opened", name)
			_ = c.Close()
		}
	}
}

func TestAllowStep(t *testing.T) {
	t.Parallel()
	c, ctx := onEmbedded(t), context.Background()
	now := time.Date(2026, 11, 23, 2, 0, 0, 0, time.UTC)
	for _, step := range []struct {
		name    string
		advance time.Duration
		key     string
		want    bool
		wait    time.Duration
	}{
		// 60 a minute, 3 at once
		{"first", 0, "a", true, 0},
		{"second", 0, "a", true, 0},
		{"third", 0, "a", true, 0},
		{"fourth", 0, "a", false, time.Second},
		{"another key", 0, "b", true, 0},
		{"half a second on", 500 * time.Millisecond, "a", false, 500 * time.Millisecond},
		{"a second on", 500 * time.Millisecond, "a", true, 0},
		{"and no more", 0, "a", false, time.Second},
		{"after a rest", time.Hour, "a", true, 0},
		{"burst again", 0, "a", true, 0},
		{"burst again", 0, "a", true, 0},
		{"burst over", 0, "a", false, time.Second},
		{"clock set back an hour", -time.Hour, "a", false, time.Second},
		{"a second on", time.Second, "a", true, 0},
	} {
		now = now.Add(step.advance)
		c.embedded.SetTime(now)
		got, wait, err := c.Allow(ctx, step.key, 60, 3)
		if got != step.want || wait != step.wait || err != nil {
			t.Errorf("%s: Allow() = %v, %v, %v, want %v, %v", step.name, got, wait, err, step.want, step.wait)
		}
	}
}

func TestAllowManyAtOnce(t *testing.T) { onEach(t, testAllowManyAtOnce) }

func testAllowManyAtOnce(t *testing.T, c *Cache) {
	ctx := context.Background()
	var allowed atomic.Int32
	var all sync.WaitGroup
	for range 40 {
		all.Go(func() {
			ok, wait, err := c.Allow(ctx, "one", 1, 10)
			if err != nil || ok == (wait > 0) {
				t.Errorf("Allow() = %v, %v, %v", ok, wait, err)
			}
			if ok {
				allowed.Add(1)
			}
		})
	}
	all.Wait()
	if allowed.Load() != 10 {
		t.Errorf("%d allowed, want 10", allowed.Load())
	}
}

func TestLimitKeyShowsNothing(t *testing.T) {
	t.Parallel()
	c := onEmbedded(t)
	if _, _, err := c.Allow(context.Background(), "oOpenID-of-somebody", 1, 1); err != nil {
		t.Fatal(err)
	}
	keys := c.embedded.Keys()
	if len(keys) != 1 || !strings.HasPrefix(keys[0], "tuoka:limit:{") || strings.Contains(keys[0], "oOpenID") {
		t.Errorf("keys %q", keys)
	}
	if ttl := c.embedded.TTL(keys[0]); ttl <= 0 || ttl > time.Minute {
		t.Errorf("the limit is kept for %v", ttl)
	}
}

// woken waits for a wake-up, with a bound so that a broken test ends.
func woken(t *testing.T, ch <-chan struct{}) bool {
	t.Helper()
	ctx, cancel := clock.Real{}.WithDeadline(context.Background(), 20*time.Second)
	defer cancel()
	select {
	case _, ok := <-ch:
		return ok
	case <-ctx.Done():
		t.Fatal("no wake-up")
		return false
	}
}

// ready waits until the process's subscription stands, so that what is in ch afterwards is a real wake-up.
func ready(t *testing.T, c *Cache) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ch := c.Subscribe(ctx, "ready")
	for {
		if err := c.Wake(ctx, "ready"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ch:
			return
		default:
		}
	}
}

func TestWake(t *testing.T) { onEach(t, testWake) }

func testWake(t *testing.T, c *Cache) {
	ready(t, c)
	ctx, cancel := context.WithCancel(context.Background())
	one, two, other := c.Subscribe(ctx, "orders"), c.Subscribe(ctx, "orders"), c.Subscribe(ctx, "refunds")
	drain(one, two, other)
	for range 3 {
		if err := c.Wake(ctx, "orders"); err != nil {
			t.Fatal(err)
		}
	}
	if !woken(t, one) || !woken(t, two) {
		t.Error("closed instead of woken")
	}
	select {
	case <-other:
		t.Error("another topic was woken")
	default:
	}
	drain(other)
	cancel()
	for _, ch := range []<-chan struct{}{one, two, other} {
		for woken(t, ch) { // what was still in it, then closed
		}
	}
	c.wakes.mu.Lock()
	defer c.wakes.mu.Unlock()
	if len(c.wakes.waiting) > 1 { // "ready" may still be leaving
		t.Errorf("%d topics kept after everyone left", len(c.wakes.waiting))
	}
}

func drain(chans ...<-chan struct{}) {
	for _, ch := range chans {
		select {
		case <-ch:
		default:
		}
	}
}

func TestWakeBetweenProcesses(t *testing.T) {
	t.Parallel()
	a := onEmbedded(t)
	node, ok := a.client.(*redis.Client)
	if !ok {
		t.Fatalf("client is %T", a.client)
	}
	b, err := Open(context.Background(), Config{Addr: a.embedded.Addr(), Password: sensitive.NewKey(node.Options().Password)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = b.Close() }()
	ready(t, a)
	ch := a.Subscribe(context.Background(), "orders")
	drain(ch)
	if err := b.Wake(context.Background(), "orders"); err != nil {
		t.Fatal(err)
	}
	if !woken(t, ch) {
		t.Error("closed instead of woken")
	}
}

func TestSubscribeAfterTheEnd(t *testing.T) {
	t.Parallel()
	c := onEmbedded(t)
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	if woken(t, c.Subscribe(gone, "x")) {
		t.Error("one who left was woken")
	}
	alive, cancelAlive := context.WithCancel(context.Background())
	ch := c.Subscribe(alive, "x")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	for woken(t, ch) {
	}
	cancelAlive() // nothing is closed twice
	if woken(t, c.Subscribe(context.Background(), "x")) {
		t.Error("woken after Close")
	}
}

func TestRedisAway(t *testing.T) {
	t.Parallel()
	c, ctx := onEmbedded(t), context.Background()
	ready(t, c)
	ch := c.Subscribe(ctx, "x")
	drain(ch)
	c.embedded.SetError("LOADING Redis is loading the dataset in memory")
	_, found, getErr := c.Get(ctx, "k")
	allowed, _, limitErr := c.Allow(ctx, "k", 1, 1)
	added, addErr := c.Add(ctx, "k", nil, time.Second)
	for call, err := range map[string]error{"Get": getErr, "Allow": limitErr, "Set": c.Set(ctx, "k", nil, time.Second),
		"Add": addErr, "Ping": c.Ping(ctx), "Wake": c.Wake(ctx, "x")} {
		if !errors.Is(err, ErrAway) || fault.KindOf(err) != fault.Unavailable {
			t.Errorf("%s() = %v, want ErrAway", call, err)
		}
	}
	if found || allowed || added {
		t.Errorf("without Redis: found %v, allowed %v, added %v; want nothing", found, allowed, added)
	}
	if !woken(t, ch) {
		t.Error("those in the same process are not woken")
	}
	c.embedded.SetError("")
	if err := c.Ping(ctx); err != nil {
		t.Errorf("Redis is back: %v", err)
	}
}

func TestScriptAnswersOtherwise(t *testing.T) {
	t.Parallel()
	c, ctx := onEmbedded(t), context.Background()
	if err := c.client.Set(ctx, c.limitKey("k"), "not a number", 0).Err(); err != nil {
		t.Fatal(err)
	}
	if ok, _, err := c.Allow(ctx, "k", 1, 1); err != nil || !ok {
		t.Errorf("a spoilt key: Allow() = %v, %v, want a new start", ok, err)
	}
}

func TestReconnectWakes(t *testing.T) {
	t.Parallel()
	c := onEmbedded(t)
	ready(t, c)
	ch := c.Subscribe(context.Background(), "x")
	drain(ch)
	c.embedded.Close()
	if err := c.embedded.Restart(); err != nil {
		t.Fatal(err)
	}
	if !woken(t, ch) {
		t.Error("closed instead of woken")
	}
}

func TestOpenWithoutRedis(t *testing.T) {
	t.Parallel()
	c, err := Open(context.Background(), Config{Addr: "127.0.0.1:1", Timeout: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.Ping(context.Background()); !errors.Is(err, ErrAway) {
		t.Errorf("Ping() = %v, want ErrAway", err)
	}
}

func TestOptionsOfCluster(t *testing.T) {
	t.Parallel()
	o := options(Config{Addr: "a:1, b:2", MasterName: "m", Password: sensitive.NewKey("p"), Timeout: time.Minute})
	if len(o.Addrs) != 2 || o.Addrs[1] != "b:2" || o.MasterName != "m" || o.Password != "p" || o.ReadTimeout != time.Minute {
		t.Errorf("options() = %+v", o.Addrs)
	}
}

func TestComplaintsAreLogged(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	complaints{slog.New(slog.NewJSONHandler(&out, nil))}.Printf(context.Background(), "lost %s", "it")
	if !strings.Contains(out.String(), `"detail":"lost it"`) || !strings.Contains(out.String(), "WARN") {
		t.Errorf("logged %s", out.String())
	}
}
