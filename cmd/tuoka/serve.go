package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tuoka/tuoka/internal/callback"
	"github.com/tuoka/tuoka/internal/config"
)

// grace is how long requests under way may take when the process is told to stop: as long as a step with a counterpart, which is not
// cut off either.
func grace(cfg *config.Config) time.Duration {
	limit := cfg.CallLimit
	if limit <= 0 {
		limit = time.Minute // package order's
	}
	return limit + 10*time.Second
}

type serveFlags struct {
	config  string
	sandbox bool
	only    []string
	join    bool
	listen  int
	data    string
	dsn     string
	his     string
	base    int
	json    bool
}

func serveCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{Use: "serve", Short: "run the service; with --sandbox, with a simulator of every counterpart", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return serve(cmd.Context(), cmd.OutOrStdout(), f) }}
	cmd.Flags().StringVar(&f.config, "config", "", "configuration file (the sandbox has one built in)")
	cmd.Flags().BoolVar(&f.sandbox, "sandbox", false, "play every counterpart on this machine; never with mode: production")
	cmd.Flags().StringSliceVar(&f.only, "only", nil, "what this process does: api, callback, work; by default all of it")
	cmd.Flags().BoolVar(&f.join, "join", false, "be a process beside others of a sandbox, whose simulators run elsewhere (tuoka sandbox, with the same --data and --port-base)")
	cmd.Flags().IntVar(&f.listen, "listen-base", 0, "with --join: first of the three ports of this process; by default those of the sandbox")
	stageFlags(cmd, &f)
	cmd.Flags().BoolVar(&f.json, "json", false, "print the addresses as one line of JSON when ready")
	return cmd
}

func stageFlags(cmd *cobra.Command, f *serveFlags) {
	cmd.Flags().StringVar(&f.data, "data", "./var", "folder of the sandbox's database, keys and journals")
	cmd.Flags().StringVar(&f.dsn, "dsn", "", "the sandbox's database, instead of a file in its folder: postgres:// or mysql://")
	hisFlag(cmd, &f.his)
	cmd.Flags().IntVar(&f.base, "port-base", 8080, "first port of the sandbox; the ones after it are taken too")
}

func hisFlag(cmd *cobra.Command, his *string) {
	cmd.Flags().StringVar(his, "his", "",
		"what the sandbox's HISes speak: rest (docs/his-interface.md), soap (a vendor's WebService) or fhir (a FHIR server); by default as the configuration says")
}

// serve runs until the context ends: opens everything, says where it is, and stops without breaking a request or a step.
func serve(ctx context.Context, out io.Writer, f serveFlags) (err error) {
	cfg, st, err := f.load()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, st.release()) }()
	log := newLog(os.Stderr, cfg.Log.Level)
	slog.SetDefault(log)
	spareCollector()
	house, err := build(ctx, cfg, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, house.close()) }()
	working, stopWork := context.WithCancel(context.WithoutCancel(ctx)) // while it drains, it still works
	defer stopWork()
	var sims *simulators
	if f.sandbox {
		if sims, err = openSimulators(st, cfg, earth(), counterpartsSource()); err != nil {
			return fmt.Errorf("sandbox: %w", err)
		}
		defer func() { stopWork(); err = errors.Join(err, sims.close()) }()
		run, err := sims.serve(working, log)
		if err != nil {
			return err
		}
		defer func() { _ = run.stop(time.Second) }() // after our own faces: their last calls still find a counterpart
	}
	handlers, err := house.faces(working.Done(), f.does)
	if err != nil {
		return err
	}
	run, err := newServers(ctx, log, handlers)
	if err != nil {
		return err
	}
	kept, stopKeeping := context.WithCancel(context.WithoutCancel(ctx)) // until the last request has ended
	defer stopKeeping()
	house.keep(kept)
	if f.does("work") {
		house.work(working)
	}
	if err := f.announce(out, cfg, sims); err != nil {
		return err
	}
	<-ctx.Done()
	house.leaving.Store(true)
	_ = house.clock.Sleep(context.WithoutCancel(ctx), cfg.Drain)
	stopWork()
	err = run.stop(grace(cfg))
	stopKeeping()
	house.finished.Wait()
	return err
}

// duties are what a process may do alone.
var duties = []string{"api", "callback", "work"}

// does reports whether this process does that part.
func (f serveFlags) does(part string) bool { return len(f.only) == 0 || slices.Contains(f.only, part) }

// load reads and checks the configuration; every fault in it is reported at once. A sandbox's folder is claimed, and is to be released.
func (f serveFlags) load() (*config.Config, stage, error) {
	st := stage{base: f.base, dsn: f.dsn, his: f.his}
	if !slices.Contains([]string{"", "rest", "soap", "fhir"}, f.his) {
		return nil, st, fmt.Errorf("--his %s: rest, soap or fhir", f.his)
	}
	for _, part := range f.only {
		if !slices.Contains(duties, part) {
			return nil, st, fmt.Errorf("--only %s: it is one or some of %s, separated by commas", part, strings.Join(duties, ", "))
		}
	}
	if !f.sandbox && !f.join {
		if f.config == "" {
			return nil, st, errors.New("--config is missing (or --sandbox, to try everything on this machine)")
		}
		text, err := os.ReadFile(f.config)
		if err != nil {
			return nil, st, err
		}
		cfg, err := config.Parse(text)
		if cfg == nil {
			return nil, st, err
		}
		return cfg, st, errors.Join(err, cfg.Check(), cfg.CheckSecrets())
	}
	dir, err := filepath.Abs(f.data)
	if err != nil {
		return nil, st, err
	}
	st.dir = dir
	if f.base < 1 || f.base > 65000 {
		return nil, st, fmt.Errorf("--port-base %d: 1 to 65000", f.base)
	}
	cfg, err := st.sandboxConfig(f.config)
	if err != nil {
		return nil, st, err
	}
	if f.join { // the keys are there, and the folder is another's
		if f.listen > 0 {
			own := stage{base: f.listen}
			cfg.Listen.API, cfg.Listen.Callback, cfg.Listen.Ops = own.addr(apiPort), own.addr(callbackPort), own.addr(opsPort)
		}
		return cfg, st, cfg.CheckSecrets()
	}
	if err := st.claim(hospitalsOf(cfg)); err != nil {
		return nil, st, err
	}
	if err := cfg.CheckSecrets(); err != nil {
		return nil, st, errors.Join(err, st.release())
	}
	return cfg, st, nil
}

// spareCollector lets the collector run a fourth as often as usual, unless GOGC says otherwise: little lives for long here, and memory is cheaper than
// processors.
func spareCollector() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

func hospitalsOf(cfg *config.Config) []string {
	ids := make([]string, len(cfg.Institutions))
	for i := range cfg.Institutions {
		ids[i] = cfg.Institutions[i].ID
	}
	return ids
}

func (f serveFlags) announce(out io.Writer, cfg *config.Config, sims *simulators) error {
	at := map[string]string{"api": "http://" + cfg.Listen.API, "callback": "http://" + cfg.Listen.Callback, "ops": "http://" + cfg.Listen.Ops}
	if sims != nil {
		at["phone"] = sims.stage.url(phonePort)
	}
	if f.json {
		return json.NewEncoder(out).Encode(at)
	}
	if sims == nil {
		_, err := fmt.Fprintf(out, "Tuoka serves\n  API       %s\n  callbacks %s\n  ops       %s\n", at["api"], at["callback"], at["ops"])
		return err
	}
	_, err := fmt.Fprintf(out, `Tuoka's sandbox is ready. Everybody and everything in it is made up.

  The patient's phone   %s     <- open this
  API                   %s
  API documentation     %s/docs/
  Operations            %s/readyz

  Play 50 patients      tuoka pay --orders 50 --server %s
  Stop                  Ctrl-C; the data stay in %s

`, at["phone"], at["api"], at["api"], at["ops"], at["phone"], sims.stage.dir)
	return err
}

// faces are the listeners of the service itself. Long polls end when stopping is closed.
func (h *house) faces(stopping <-chan struct{}, does func(string) bool) (map[string]http.Handler, error) {
	api, err := h.api(stopping)
	if err != nil {
		return nil, err
	}
	proxies, err := callback.Networks(h.config.Listen.TrustedProxies)
	if err != nil {
		return nil, fmt.Errorf("listen.trusted_proxies: %w", err)
	}
	faces := map[string]http.Handler{h.config.Listen.Ops: h.ops()}
	if h.config.Mode != config.Production {
		api = tellTime(api)
	}
	if does("api") {
		faces[h.config.Listen.API] = api
	}
	if does("callback") {
		faces[h.config.Listen.Callback] = callback.Handler(h.db.Inbox(), h.notices, hisDesk{h.orders},
			callback.Gateway{Proxies: proxies, CertHeader: h.config.Listen.ClientCertHeader}, h.nudge)
	}
	return faces, nil
}

// ops tells whether the process lives and whether it can do its work.
func (h *house) ops() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		tell(w, map[string]string{"status": "ok", "version": version()}, nil)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := h.clock.WithDeadline(r.Context(), 5*time.Second)
		defer cancel()
		due, oldest, err := h.db.Jobs().Backlog(ctx, h.clock.Now())
		why := ""
		switch {
		case h.leaving.Load():
			why = "leaving"
		case h.astray.Load():
			why = "clock differs from the database's"
		case err != nil:
			h.log.ErrorContext(ctx, "not ready", "error", err)
			why = "database unreachable"
		}
		if why != "" {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(http.StatusServiceUnavailable)
			_ = json.NewEncoder(w).Encode(map[string]string{"status": why})
			return
		}
		tell(w, map[string]any{"status": "ready", "jobs_due": due, "oldest_due_ms": oldest.Milliseconds()}, nil)
	})
	if h.config.Mode != config.Production {
		mux.HandleFunc("GET /profile", h.profile)
		mux.HandleFunc("GET /costs", func(w http.ResponseWriter, _ *http.Request) { tell(w, h.costs(), nil) })
		mux.HandleFunc("POST /reconcile", h.reconcileDay)
	}
	return mux
}

func newLog(w io.Writer, level string) *slog.Logger {
	var l slog.Level
	if err := l.UnmarshalText([]byte(level)); err != nil {
		l = slog.LevelInfo
	}
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: l}))
}

func sandboxCommand() *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{Use: "sandbox", Short: "run the simulators alone, for a service that is started elsewhere", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			f.sandbox = true
			cfg, st, err := f.load()
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, st.release()) }()
			log := newLog(os.Stderr, cfg.Log.Level)
			spareCollector()
			sims, err := openSimulators(st, cfg, earth(), counterpartsSource())
			if err != nil {
				return err
			}
			run, err := sims.serve(cmd.Context(), log)
			if err != nil {
				return errors.Join(err, sims.close())
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "The simulators are ready; the phone is at %s and their keys are in %s.\n", st.url(phonePort),
				st.key("")); err != nil {
				return err
			}
			<-cmd.Context().Done()
			return errors.Join(run.stop(time.Second), sims.close())
		}}
	cmd.Flags().StringVar(&f.config, "config", "", "configuration file with mode: sandbox (one is built in)")
	stageFlags(cmd, &f)
	return cmd
}

func migrateCommand() *cobra.Command {
	var path string
	var down bool
	cmd := &cobra.Command{Use: "migrate", Short: "bring the database's schema up to date, or take the last step back", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return migrate(cmd.Context(), cmd.OutOrStdout(), path, down)
		}}
	cmd.Flags().StringVar(&path, "config", "", "configuration file")
	cmd.Flags().BoolVar(&down, "down", false, "take the last migration back")
	_ = cmd.MarkFlagRequired("config") // the flag exists
	return cmd
}
