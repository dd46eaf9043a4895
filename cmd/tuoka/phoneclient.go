package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// phoneClient is the way to the sandbox's phone. It repeats what may be repeated: the network of a patient is bad, and the server may
// be restarting.
type phoneClient struct {
	base   string
	api    string              // where our API is, when not behind base
	own    func(time.Duration) // told what an answer says of our own time; nil: nobody listens
	about  about
	http   *http.Client
	clock  clock.Clock
	chance *clock.Source
}

func newPhoneClient(base string) *phoneClient {
	real := clock.Real{}
	return &phoneClient{base: strings.TrimRight(base, "/"), clock: real, chance: clock.NewSource(real, clock.Nodes-2),
		http: &http.Client{Timeout: 40 * time.Second, Transport: transport()}}
}

// answer is what came back.
type answer struct {
	status int
	body   []byte
	wait   time.Duration // Retry-After
}

func (a answer) problem() string {
	var p struct {
		Code string `json:"code"`
	}
	_ = json.Unmarshal(a.body, &p)
	return p.Code
}

// once sends one request.
func (c *phoneClient) once(ctx context.Context, method, path, token, key string, body any) (answer, error) {
	var reader io.Reader = http.NoBody
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return answer{}, err
		}
		reader = strings.NewReader(string(b))
	}
	base := c.base
	if c.api != "" && strings.HasPrefix(path, "/api/") {
		base = c.api
	}
	r, err := http.NewRequestWithContext(ctx, method, base+path, reader)
	if err != nil {
		return answer{}, err
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	res, err := c.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(io.LimitReader(res.Body, 16<<20))
	if err != nil {
		return answer{}, err
	}
	if timing, ok := strings.CutPrefix(res.Header.Get("Server-Timing"), "own;dur="); ok && c.own != nil && !strings.Contains(path, "wait=") { // who waits for news waits for others
		ms, _, _ := strings.Cut(timing, ",")
		if d, err := time.ParseDuration(ms + "ms"); err == nil {
			c.own(d)
		}
	}
	seconds, _ := time.ParseDuration(res.Header.Get("Retry-After") + "s")
	return answer{res.StatusCode, b, seconds}, nil
}

// restart is how long a request is repeated while nobody answers: long enough for a server that is being restarted.
const restart = 90 * time.Second

// ask repeats a request until somebody decides it. Only what the API declares repeatable goes through here.
func (c *phoneClient) ask(ctx context.Context, method, path, token, key string, body any) (answer, error) {
	end := c.clock.Now().Add(restart)
	for {
		a, err := c.once(ctx, method, path, token, key, body)
		if err == nil && a.status < 500 && a.status != http.StatusTooManyRequests {
			return a, nil
		}
		if ctx.Err() != nil || c.clock.Now().After(end) {
			return a, errors.Join(err, fmt.Errorf("%s %s: status %d", method, path, a.status))
		}
		if err := c.clock.Sleep(ctx, c.chance.Spread(max(200*time.Millisecond, min(a.wait, time.Second)))); err != nil {
			return a, err
		}
	}
}

// sandbox calls the sandbox's own door and reads its answer.
func (c *phoneClient) sandbox(ctx context.Context, method, path string, body, into any) error {
	a, err := c.ask(ctx, method, "/sandbox"+path, "", "", body)
	if err != nil {
		return err
	}
	if a.status >= 300 {
		return fmt.Errorf("%s %s: %s", method, path, strings.TrimSpace(string(a.body)))
	}
	if into == nil {
		return nil
	}
	return json.Unmarshal(a.body, into)
}

// findOut learns where everything is. The sandbox's own door is at the phone; from the API's address it is a few ports away.
func (c *phoneClient) findOut(ctx context.Context) error {
	given, end := c.base, c.clock.Now().Add(10*time.Second) // it may be starting
	for {
		var last error
		for _, base := range []string{given, besides(given, phonePort-apiPort)} {
			c.base = base
			a, err := c.once(ctx, http.MethodGet, "/sandbox/about", "", "", nil)
			if err == nil && a.status == http.StatusOK && json.Unmarshal(a.body, &c.about) == nil {
				return nil
			}
			last = errors.Join(last, err)
		}
		if c.clock.Now().After(end) {
			return errors.Join(last, errors.New("start one with: tuoka serve --sandbox"))
		}
		if err := c.clock.Sleep(ctx, 300*time.Millisecond); err != nil {
			return err
		}
	}
}

// besides is the same address some ports further.
func besides(address string, ports int) string {
	u, err := url.Parse(address)
	if err != nil {
		return address
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return address
	}
	u.Host = net.JoinHostPort(u.Hostname(), strconv.Itoa(port+ports))
	return u.String()
}

func (c *phoneClient) setFaults(ctx context.Context, level sandbox.Level, seed uint64) error {
	return c.sandbox(ctx, http.MethodPut, "/faults", map[string]any{"level": level, "seed": seed}, nil)
}

// on lists the hospitals on a route; "all" are all.
func (a *about) on(route string) []string {
	var ids []string
	for _, h := range a.Hospitals {
		if route == "all" || h.Route == route {
			ids = append(ids, h.Institution)
		}
	}
	return ids
}

// appID is the mini program of a hospital.
func (c *phoneClient) appID(institution string) string {
	for _, h := range c.about.Hospitals {
		if h.Institution == institution {
			return h.AppID
		}
	}
	return ""
}

// castAll makes players in equal parts for the hospitals, who come in turn.
func (c *phoneClient) castAll(ctx context.Context, hospitals []string, count int, seed uint64, kinds bool) ([]role, error) {
	var casts [][]role
	for i, id := range hospitals {
		n := count / len(hospitals)
		if i < count%len(hospitals) {
			n++
		}
		some, err := c.cast(ctx, id, n, seed, kinds)
		if err != nil {
			return nil, err
		}
		casts = append(casts, some)
	}
	var roles []role
	for i := range casts[0] {
		for _, some := range casts {
			if i < len(some) {
				roles = append(roles, some[i])
			}
		}
	}
	return roles, nil
}

func (c *phoneClient) cast(ctx context.Context, institution string, count int, seed uint64, kinds bool) (roles []role, err error) {
	for len(roles) < count {
		var some []role
		n := min(castMax, count-len(roles))
		if err := c.sandbox(ctx, http.MethodPost, "/cast", map[string]any{"institution": institution, "count": n, "seed": mix(seed, uint64(len(roles))), "kinds": kinds}, &some); err != nil {
			return nil, err
		}
		roles = append(roles, some...)
	}
	return roles, nil
}
