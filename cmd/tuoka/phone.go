package main

import (
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httputil"
	"net/url"

	"github.com/tuoka/tuoka/internal/order"
	"github.com/tuoka/tuoka/internal/sandbox"
)

// phonePage plays the patient's phone in a browser. It exists in the sandbox only.
//
//go:embed phone
var phonePage embed.FS

// phone serves the page and the sandbox's own door:
//
//	GET  /                     the page
//	*    /api/                 our API, as the phone reaches it
//	GET  /sandbox/about                    addresses and hospitals
//	GET  /sandbox/roles?institution=h1     the people of the configuration, as that hospital knows them
//	POST /sandbox/cast                     {"institution","count","seed"}: new players with one bill each
//	PUT  /sandbox/faults                   {"level","seed"}: of all counterparts at once
//	*    /sandbox/wechatmp/, /sandbox/nhsa/, /sandbox/centre/      the Control of a simulator that all hospitals share
//	*    /sandbox/{institution}/wechatpay/, /sandbox/{institution}/his/   and of those that one hospital has alone
func (s *simulators) phone() http.Handler {
	mux := http.NewServeMux()
	files, _ := fs.Sub(phonePage, "phone") // the folder is embedded
	mux.Handle("/", policed(http.FileServerFS(files)))
	api := &url.URL{Scheme: "http", Host: s.stage.addr(apiPort)}
	mux.Handle("/api/", &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(api) }})
	mux.HandleFunc("GET /sandbox/about", func(w http.ResponseWriter, _ *http.Request) { tell(w, s.about(), nil) })
	mux.HandleFunc("GET /sandbox/roles", func(w http.ResponseWriter, r *http.Request) {
		roles, err := s.roles(r.URL.Query().Get("institution"))
		tell(w, roles, err)
	})
	mux.HandleFunc("POST /sandbox/cast", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Institution string `json:"institution"`
			Count       int    `json:"count"`
			Seed        uint64 `json:"seed"`
			Kinds       bool   `json:"kinds"` // registrations, deposits and visits of two bills among them
		}
		if !hear(w, r, &in) {
			return
		}
		roles, err := s.cast(in.Institution, in.Count, in.Seed, in.Kinds)
		tell(w, roles, err)
	})
	mux.HandleFunc("PUT /sandbox/faults", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Level sandbox.Level `json:"level"`
			Seed  uint64        `json:"seed"`
		}
		if !hear(w, r, &in) {
			return
		}
		var errs []error
		for _, p := range s.plans {
			errs = append(errs, p.SetLevel(in.Level, in.Seed))
		}
		tell(w, map[string]any{"level": in.Level, "seed": in.Seed}, errors.Join(errs...))
	})
	insurer := s.nhsa.Control()
	mux.Handle("/sandbox/centre/", http.StripPrefix("/sandbox", insurer)) // the centre's part stands below /centre there
	controls := map[string]http.Handler{"wechatmp": s.mp.Control(), "nhsa": insurer}
	for _, h := range s.hospitals {
		controls[h.config.ID+"/wechatpay"], controls[h.config.ID+"/his"] = h.pay.Control(), h.his.Control()
	}
	for name, h := range controls {
		mux.Handle("/sandbox/"+name+"/", http.StripPrefix("/sandbox/"+name, h))
	}
	return mux
}

// policed lets the page load nothing but its own files.
func policed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// about is where everything is.
type about struct {
	API       string `json:"api"`
	Phone     string `json:"phone"`
	Ops       string `json:"ops"`
	Docs      string `json:"docs"`
	TimeScale int64  `json:"time_scale"`

	Hospitals []hospitalAbout `json:"hospitals"`
}

// hospitalAbout is one hospital of the sandbox.
type hospitalAbout struct {
	Institution string `json:"institution"`
	Hospital    string `json:"hospital"`
	Route       string `json:"route"`
	Together    bool   `json:"together"` // both legs under one password
	AppID       string `json:"app_id"`
}

func (s *simulators) about() about {
	a := about{API: s.stage.url(apiPort), Phone: s.stage.url(phonePort), Ops: s.stage.url(opsPort), Docs: s.stage.url(apiPort) + "/docs/",
		TimeScale: s.config.TimeScale}
	for _, h := range s.hospitals {
		a.Hospitals = append(a.Hospitals, hospitalAbout{h.config.ID, h.config.Name, h.config.Route, order.Route(h.config.Route).Together(), h.config.WechatMP.AppID})
	}
	return a
}

func hear(w http.ResponseWriter, r *http.Request, in any) bool {
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<16))
	d.DisallowUnknownFields()
	if err := d.Decode(in); err != nil {
		tell(w, nil, err)
		return false
	}
	return true
}

func tell(w http.ResponseWriter, out any, err error) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		out = map[string]string{"error": err.Error()}
	}
	_ = json.NewEncoder(w).Encode(out)
}
