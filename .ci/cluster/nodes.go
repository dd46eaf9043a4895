package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// The ports of a sandbox and of each process of ours, counted from its first (cmd/tuoka, stage).
const (
	apiPort, callbackPort, opsPort, phonePort = 0, 1, 2, 3
	ports                                     = 20
)

// node is one process of ours.
type node struct {
	house  *house
	number int
	listen int
	dsn    string
	binary string
	proc   *process
	ready  atomic.Bool
}

// house is what patients reach: the simulators, several processes of ours, and the balancer before them, which knows who is ready.
type house struct {
	site    *site
	base    int
	config  string
	nodes   []*node
	binary  string // of the simulators and the commands
	next    atomic.Uint64
	failed  atomic.Int64 // requests that were answered by nobody, or with 500 and above
	said    sync.Map     // what they were answered
	wire    *http.Transport
	looking sync.WaitGroup
}

func (h *house) data() string        { return filepath.Join(h.site.dir, "var") }
func (h *house) url(port int) string { return "http://" + local(h.base+port) }

// openHouse starts the simulators and a process for each DSN.
func openHouse(ctx context.Context, s *site, binary, config string, dsns []string, binaries []string) (*house, error) {
	base, err := s.ports(ports)
	if err != nil {
		return nil, err
	}
	h := &house{site: s, base: base, config: config, binary: binary,
		wire: &http.Transport{DialContext: (&net.Dialer{Timeout: time.Second}).DialContext, MaxIdleConnsPerHost: 64, ResponseHeaderTimeout: time.Minute}}
	if _, err := s.launch("simulators", "", binary, "sandbox", "--data", h.data(), "--port-base", strconv.Itoa(base)); err != nil {
		return nil, err
	}
	if err := s.until(ctx, "the simulators answer", time.Minute, func(ctx context.Context) error { return get(ctx, h.url(phonePort)+"/sandbox/about") }); err != nil {
		return nil, err
	}
	for i, dsn := range dsns {
		listen, err := s.ports(ports)
		if err != nil {
			return nil, err
		}
		n := &node{house: h, number: i, listen: listen, dsn: dsn, binary: binaries[i]}
		h.nodes = append(h.nodes, n)
		if err := n.start(ctx); err != nil {
			return nil, err
		}
	}
	for _, port := range []int{apiPort, callbackPort} {
		if err := h.balance(ctx, port); err != nil {
			return nil, err
		}
	}
	for _, n := range h.nodes {
		h.looking.Go(func() { n.watch(ctx) })
	}
	return h, nil
}

func get(ctx context.Context, address string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, res.Body)
	if err := res.Body.Close(); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: status %d", address, res.StatusCode)
	}
	return nil
}

// paid is nil when the first hospital has a payment in its books.
func (h *house) paid(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, h.url(phonePort)+"/sandbox/"+probeHospital+"/his/truth", http.NoBody)
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	var books struct {
		Postings []any `json:"postings"`
	}
	if err := json.NewDecoder(res.Body).Decode(&books); err != nil {
		return err
	}
	if len(books.Postings) == 0 {
		return errors.New("the books are empty")
	}
	return nil
}

// start starts the process and waits until it is ready.
func (n *node) start(ctx context.Context) (err error) {
	h := n.house
	n.proc, err = h.site.launch(fmt.Sprint("node", n.number), "", n.binary, "serve", "--join", "--data", h.data(), "--port-base", strconv.Itoa(h.base),
		"--listen-base", strconv.Itoa(n.listen), "--dsn", n.dsn, "--config", h.config)
	if err != nil {
		return err
	}
	return h.site.until(ctx, fmt.Sprintf("node %d is ready", n.number), 2*time.Minute, n.isReady)
}

func (n *node) isReady(ctx context.Context) error {
	return get(ctx, "http://"+local(n.listen+opsPort)+"/readyz")
}

// watch asks the process whether it is ready, four times a second.
func (n *node) watch(ctx context.Context) {
	real := n.house.site.real
	for ctx.Err() == nil {
		once, cancel := real.WithDeadline(ctx, time.Second)
		n.ready.Store(n.isReady(once) == nil)
		cancel()
		_ = real.Sleep(ctx, 250*time.Millisecond)
	}
}

// kill kills a process of ours; mend starts it again.
func (h *house) kill(i int) fault {
	n := h.nodes[i]
	return fault{name: "node killed", strike: func(ctx context.Context) error { return n.proc.end(ctx, syscall.SIGKILL) }, mend: n.start}
}

// replace ends a process in good order and starts it again, perhaps as another version.
func (h *house) replace(i int, binary, name string) fault {
	n := h.nodes[i]
	return fault{name: name, strike: func(ctx context.Context) error {
		if err := n.proc.end(ctx, syscall.SIGTERM); err != nil {
			return err
		}
		n.binary = binary
		return n.start(ctx)
	}}
}

// balance shares out what comes to a port of the sandbox among the processes that are ready.
func (h *house) balance(ctx context.Context, port int) error {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", local(h.base+port))
	if err != nil {
		return err
	}
	proxy := &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.Host = "http", r.In.Host }, Transport: roundTripper{h, port},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				h.fail(r, err.Error())
			}
			w.WriteHeader(http.StatusBadGateway)
		},
		ModifyResponse: func(res *http.Response) error {
			if res.StatusCode >= http.StatusInternalServerError {
				body, _ := io.ReadAll(res.Body)
				res.Body = io.NopCloser(bytes.NewReader(body))
				h.fail(res.Request, fmt.Sprint(res.StatusCode, " ", string(body)))
			}
			return nil
		}}
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: time.Minute}
	h.looking.Go(func() { _ = server.Serve(l) })
	context.AfterFunc(ctx, func() { _ = server.Close() })
	return nil
}

func (h *house) fail(r *http.Request, why string) {
	h.failed.Add(1)
	h.said.Store(r.Method+" "+r.URL.Path+": "+why, true)
}

// roundTripper sends a request to a process that is ready: to another one when it cannot be reached, never when it may have heard.
type roundTripper struct {
	house *house
	port  int
}

// RoundTrip sends it.
func (t roundTripper) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		if body, err = io.ReadAll(r.Body); err != nil {
			return nil, err
		}
	}
	h := t.house
	turn := int(h.next.Add(1) % uint64(len(h.nodes))) //nolint:gosec // a few
	last := errors.New("no process is ready")
	for i := range h.nodes {
		n := h.nodes[(turn+i)%len(h.nodes)]
		if !n.ready.Load() {
			continue
		}
		r.URL.Host = local(n.listen + t.port)
		if r.Body != nil {
			r.Body = io.NopCloser(bytes.NewReader(body))
			r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		}
		res, err := h.wire.RoundTrip(r)
		if err == nil {
			return res, nil
		}
		last = err
		if dial, ok := errors.AsType[*net.OpError](err); !ok || dial.Op != "dial" {
			return nil, err
		}
		n.ready.Store(false) // until it says otherwise
	}
	return nil, last
}
