package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/tuoka/tuoka/internal/clock"
)

// deployments are the ways in which Redis stands in a hospital, and the embedded one of a single process.
var deployments = map[string]func(t *testing.T) Config{
	"embedded": func(*testing.T) Config { return Config{} },
	"single": func(t *testing.T) Config {
		t.Helper()
		addr := os.Getenv("TUOKA_TEST_REDIS")
		if addr == "" {
			noRedis(t, "TUOKA_TEST_REDIS is not set, see .ci/servers")
		}
		return Config{Addr: addr}
	},
	"cluster": func(t *testing.T) Config {
		t.Helper()
		needRedis(t)
		nodes, err := sharedCluster()
		if err != nil {
			t.Fatal(err)
		}
		return Config{Addr: strings.Join(nodes, ",")}
	},
	"sentinel": func(t *testing.T) Config {
		t.Helper()
		needRedis(t)
		s, err := sharedSentinel()
		if err != nil {
			t.Fatal(err)
		}
		return s.config()
	},
}

// onEach runs a test on every deployment, under a prefix of the test's own.
func onEach(t *testing.T, test func(t *testing.T, c *Cache)) {
	t.Helper()
	for name, of := range deployments {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, open(t, of(t)))
		})
	}
}

// open opens a cache under a prefix of the test's own.
func open(t *testing.T, cfg Config) *Cache {
	t.Helper()
	cfg.Prefix = "test-" + clock.NewSource(clock.Real{}, 0).Nonce(12)
	c, err := Open(context.Background(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Errorf("Close() = %v", err)
		}
	})
	return c
}

func noRedis(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("REQUIRE_SERVERS") == "1" {
		t.Fatalf("Redis is not tested: %s", why)
	}
	t.Skipf("Redis is not tested: %s", why)
}

func needRedis(t *testing.T) {
	t.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		noRedis(t, "redis-server is not installed, see .ci/servers")
	}
}

// redisServer is a Redis of the tests' own.
type redisServer struct {
	addr, bus string
	args      []string  // lines of its configuration
	hold      io.Closer // while it is open, the server lives
	ended     <-chan struct{}
}

// startRedis starts a server on a free port of the loopback.
func startRedis(args ...string) (s *redisServer, err error) {
	for range 5 { // somebody else may take the port in between
		s = &redisServer{args: args}
		for _, addr := range []*string{&s.addr, &s.bus} {
			if *addr, err = freeAddr(); err != nil {
				return nil, err
			}
		}
		if err = s.start(); err == nil {
			return s, nil
		}
	}
	return nil, err
}

func freeAddr() (string, error) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func portOf(addr string) string {
	_, port, _ := net.SplitHostPort(addr)
	return port
}

// held runs a server until it ends or nobody holds the other end of standard input any longer, and then removes its folder.
const held = `dir=$1; shift; exec 3<&0
"$@" >"$dir/log" 2>&1 3<&- & server=$!
{ cat <&3; kill -9 $server; } >"$dir/end" 2>&1 &
wait $server; rm -rf "$dir"`

// start starts the server, empty, and waits until it answers. However this process ends, the server ends with it.
func (s *redisServer) start() error {
	dir, err := os.MkdirTemp("", "tuoka-redis")
	if err != nil {
		return err
	}
	conf := filepath.Join(dir, "conf") // a Sentinel writes into it
	lines := append([]string{"port " + portOf(s.addr), "cluster-port " + portOf(s.bus), "bind 127.0.0.1", "dir " + dir, `save ""`}, s.args...)
	command := []string{"-c", held, "sh", dir, "redis-server", conf}
	if strings.HasPrefix(s.args[0], "sentinel ") {
		lines = append([]string{lines[0]}, lines[2:]...)
		command = append(command, "--sentinel")
	}
	if err := os.WriteFile(conf, []byte(strings.Join(lines, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	cmd := exec.CommandContext(context.Background(), "sh", command...)
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	s.hold, s.ended = in, ended
	client := redis.NewClient(&redis.Options{Addr: s.addr, Protocol: 2, DisableIdentity: true})
	defer func() { _ = client.Close() }()
	err = within(10*time.Second, func(ctx context.Context) error {
		select {
		case <-ended:
			return errEnded
		default:
			return client.Ping(ctx).Err()
		}
	})
	if err != nil {
		s.kill()
		return fmt.Errorf("redis-server at %s: %w", s.addr, err)
	}
	return nil
}

var errEnded = errors.New("ended")

// kill kills the server, if it is not dead yet.
func (s *redisServer) kill() {
	_ = s.hold.Close()
	<-s.ended
}

// within tries again and again, until it goes well, the server is dead or the time is over.
func within(most time.Duration, try func(ctx context.Context) error) error {
	ctx, cancel := clock.Real{}.WithDeadline(context.Background(), most)
	defer cancel()
	for {
		err := try(ctx)
		if err == nil || errors.Is(err, errEnded) {
			return err
		}
		if (clock.Real{}).Sleep(ctx, 20*time.Millisecond) != nil {
			return fmt.Errorf("not in %v: %w", most, err)
		}
	}
}

// sharedCluster is a Cluster of three masters, for all tests of this process.
var sharedCluster = sync.OnceValues(func() (nodes []string, err error) {
	const slots = 16384
	var first *redis.Client
	for i := range 3 {
		s, err := startRedis("cluster-enabled yes", "cluster-config-file nodes.conf", "cluster-announce-ip 127.0.0.1", "cluster-node-timeout 5000")
		if err != nil {
			return nil, err
		}
		one := redis.NewClient(&redis.Options{Addr: s.addr, Protocol: 2, DisableIdentity: true})
		defer func() { _ = one.Close() }()
		ctx := context.Background()
		if first == nil {
			first = one
		} else if err := first.Do(ctx, "CLUSTER", "MEET", "127.0.0.1", portOf(s.addr), portOf(s.bus)).Err(); err != nil {
			return nil, err
		}
		if err := one.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err(); err != nil {
			return nil, err
		}
		nodes = append(nodes, s.addr)
		defer func() {
			err = errors.Join(err, within(20*time.Second, func(ctx context.Context) error {
				info, err := one.ClusterInfo(ctx).Result()
				if err == nil && (!strings.Contains(info, "cluster_state:ok") || !strings.Contains(info, "cluster_size:3")) {
					err = errors.New(info)
				}
				return err
			}))
		}()
	}
	return nodes, nil
})

// watched is a master with a replica, and a Sentinel that makes the one the other.
type watched struct{ master, replica, sentinel *redisServer }

const masterName = "tuoka"

func (w *watched) config() Config { return Config{Addr: w.sentinel.addr, MasterName: masterName} }

// sharedSentinel serves all tests of this process that kill nobody.
var sharedSentinel = sync.OnceValues(startSentinel)

func startSentinel() (w *watched, err error) {
	w = &watched{}
	if w.master, err = startRedis("repl-diskless-sync-delay 0"); err != nil {
		return nil, err
	}
	if w.replica, err = startRedis("replicaof 127.0.0.1 " + portOf(w.master.addr)); err != nil {
		return nil, err
	}
	w.sentinel, err = startRedis("sentinel monitor "+masterName+" 127.0.0.1 "+portOf(w.master.addr)+" 1",
		"sentinel down-after-milliseconds "+masterName+" 1000", "sentinel failover-timeout "+masterName+" 3000")
	if err != nil {
		return nil, err
	}
	client := redis.NewSentinelClient(&redis.Options{Addr: w.sentinel.addr, Protocol: 2, DisableIdentity: true})
	defer func() { _ = client.Close() }()
	return w, within(20*time.Second, func(ctx context.Context) error {
		replicas, err := client.Replicas(ctx, masterName).Result()
		if err == nil && (len(replicas) != 1 || replicas[0]["flags"] != "slave" || replicas[0]["master-link-status"] != "ok") {
			err = fmt.Errorf("replicas: %v", replicas)
		}
		return err
	})
}

// works wants that within most time the cache keeps, counts and wakes.
func works(t *testing.T, c *Cache, most time.Duration) {
	t.Helper()
	ctx, leave := context.WithCancel(context.Background())
	defer leave()
	ch := c.Subscribe(ctx, "again")
	err := within(most, func(ctx context.Context) error {
		if err := c.Set(ctx, "again", []byte("v"), time.Minute); err != nil {
			return err
		}
		if _, ok, err := c.Get(ctx, "again"); err != nil || !ok {
			return fmt.Errorf("Get() = %v, %w", ok, err)
		}
		if _, _, err := c.Allow(ctx, "again", 60, 1); err != nil {
			return err
		}
		drain(ch)
		if err := c.Wake(ctx, "again"); err != nil {
			return err
		}
		_ = clock.Real{}.Sleep(ctx, 20*time.Millisecond)
		select {
		case <-ch:
			return nil
		default:
			return errors.New("not woken")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSentinelSwitchesOver kills the master: what the replica has is there, limits still count, and wake-ups arrive, in the same process.
func TestSentinelSwitchesOver(t *testing.T) {
	t.Parallel()
	needRedis(t)
	w, err := startSentinel()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*redisServer{w.master, w.replica, w.sentinel} {
		t.Cleanup(s.kill)
	}
	c, ctx := open(t, w.config()), context.Background()
	works(t, c, 10*time.Second)
	w.master.kill()
	if _, _, err := c.Allow(ctx, "k", 1, 1); !errors.Is(err, ErrAway) {
		t.Errorf("without a master: Allow() = %v, want ErrAway", err)
	}
	begun := clock.Real{}.Now()
	works(t, c, 20*time.Second)
	t.Logf("switched over in %v", clock.Real{}.Now().Sub(begun))
	if allowed, _, err := c.Allow(ctx, "once a minute", 1, 1); err != nil || !allowed {
		t.Errorf("the first: Allow() = %v, %v", allowed, err)
	}
	if allowed, _, err := c.Allow(ctx, "once a minute", 1, 1); err != nil || allowed {
		t.Errorf("the second: Allow() = %v, %v, want a refusal", allowed, err)
	}
}

// TestRedisRestartedEmpty: without Redis nothing is allowed; when it is back and knows nothing, not even the script, everything works again.
func TestRedisRestartedEmpty(t *testing.T) {
	t.Parallel()
	needRedis(t)
	s, err := startRedis("appendonly no")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.kill() })
	c, ctx := open(t, Config{Addr: s.addr}), context.Background()
	works(t, c, 10*time.Second)
	if err := c.Set(ctx, "k", []byte("v"), time.Hour); err != nil {
		t.Fatal(err)
	}
	s.kill()
	if _, ok, err := c.Get(ctx, "k"); ok || !errors.Is(err, ErrAway) {
		t.Errorf("without Redis: Get() = %v, %v, want ErrAway", ok, err)
	}
	if allowed, _, err := c.Allow(ctx, "k", 1, 1); allowed || !errors.Is(err, ErrAway) {
		t.Errorf("without Redis: Allow() = %v, %v, want ErrAway", allowed, err)
	}
	if err := s.start(); err != nil {
		t.Fatal(err)
	}
	works(t, c, 10*time.Second)
	if _, ok, err := c.Get(ctx, "k"); ok || err != nil {
		t.Errorf("what was lost is there: %v, %v", ok, err)
	}
}

// TestRedisEvicts: what was forgotten is not there, and no error.
func TestRedisEvicts(t *testing.T) {
	t.Parallel()
	needRedis(t)
	s, err := startRedis("maxmemory 4mb", "maxmemory-policy allkeys-lru")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	c, ctx := open(t, Config{Addr: s.addr}), context.Background()
	const values = 200 // of 64 KiB: three times what fits
	there := 0
	for i := range values {
		if err := c.Set(ctx, strconv.Itoa(i), make([]byte, maxValue), time.Hour); err != nil {
			t.Fatal(err)
		}
	}
	for i := range values {
		_, ok, err := c.Get(ctx, strconv.Itoa(i))
		if err != nil {
			t.Fatal(err)
		}
		if ok {
			there++
		}
	}
	if there == 0 || there == values {
		t.Errorf("%d of %d values are there", there, values)
	}
	works(t, c, 10*time.Second)
}

// TestRedisIsFull: one that may not evict counts nothing, so nothing is allowed; with room again everything works.
func TestRedisIsFull(t *testing.T) {
	t.Parallel()
	needRedis(t)
	s, err := startRedis("maxmemory-policy noeviction")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	c, ctx := open(t, Config{Addr: s.addr}), context.Background()
	if err := c.client.ConfigSet(ctx, "maxmemory", "1").Err(); err != nil {
		t.Fatal(err)
	}
	if allowed, _, err := c.Allow(ctx, "k", 1, 1); allowed || !errors.Is(err, ErrAway) {
		t.Errorf("Allow() = %v, %v, want ErrAway", allowed, err)
	}
	if err := c.Set(ctx, "k", nil, time.Hour); !errors.Is(err, ErrAway) {
		t.Errorf("Set() = %v, want ErrAway", err)
	}
	if err := c.client.ConfigSet(ctx, "maxmemory", "0").Err(); err != nil {
		t.Fatal(err)
	}
	works(t, c, 10*time.Second)
}
