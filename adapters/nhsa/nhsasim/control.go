package nhsasim

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sandbox"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Control is the sandbox's own door, without signature and without faults:
//
//	GET /truth · GET, PUT /faults · POST /faults/script · POST /persons · POST /visits · POST /items · POST /clear · POST /refuse · PUT /oddities
//	GET, PUT /centre/faults · POST /centre/faults/script · POST /centre/stas · POST /centre/refunds · POST /centre/notices · POST /centre/refuse
func (s *Sim) Control() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /truth", func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, s.Truth()) })
	mux.HandleFunc("GET /faults", func(w http.ResponseWriter, _ *http.Request) {
		level, seed := s.plan.Level()
		write(w, http.StatusOK, map[string]any{"level": level, "seed": seed, "injected": s.plan.Injected()})
	})
	mux.HandleFunc("PUT /faults", take(func(in struct {
		Level sandbox.Level `json:"level"`
		Seed  uint64        `json:"seed"`
	}) (any, error) {
		return nil, s.plan.SetLevel(in.Level, in.Seed)
	}))
	mux.HandleFunc("POST /faults/script", take(func(in sandbox.Script) (any, error) { s.plan.Script(in); return nil, nil }))
	mux.HandleFunc("POST /persons", take(s.addPersonBody))
	mux.HandleFunc("POST /visits", take(func(in struct {
		Institution string `json:"fixmedins_code"`
		PsnNo       string `json:"psn_no"`
		InsuType    string `json:"insutype"`
		Area        string `json:"insuplc_admdvs"`
		VisitNo     string `json:"ipt_otp_no"`
	}) (any, error) {
		id, err := s.AddVisit(in.Institution, in.PsnNo, in.InsuType, in.Area, in.VisitNo)
		return map[string]string{"mdtrt_id": id}, err
	}))
	mux.HandleFunc("POST /items", take(func(in struct {
		Code string `json:"med_list_codg"`
		Item
	}) (any, error) {
		return nil, s.AddItem(in.Code, in.Item)
	}))
	mux.HandleFunc("POST /clear", take(func(in struct {
		UpTo time.Time `json:"up_to"`
	}) (any, error) {
		return nil, s.Clear(in.UpTo)
	}))
	mux.HandleFunc("POST /refuse", take(func(in struct {
		Infno string `json:"infno"`
		Key   string `json:"key"`
		Text  string `json:"text"`
		After bool   `json:"after"` // refuse after the effect
	}) (any, error) {
		if in.After {
			s.FailAfterNext(in.Infno, in.Key, in.Text)
		} else {
			s.RefuseNext(in.Infno, in.Key, in.Text)
		}
		return nil, nil
	}))
	mux.HandleFunc("PUT /oddities", take(func(in Oddities) (any, error) { s.SetOddities(in); return nil, nil }))
	s.controlCentre(mux)
	return mux
}

// personBody is a person as the control door takes it. The identity number is checked like everybody's.
type personBody struct {
	PsnNo        string      `json:"psn_no"`
	Name         string      `json:"name"`
	IDNumber     string      `json:"id_number"`
	CardNo       string      `json:"card_no"`
	Insurances   []Insurance `json:"insurances"`
	Family       money.Fen   `json:"family_fen"`
	SignedDoctor bool        `json:"signed_doctor"`
	Used         []Used      `json:"used"`
}

func (s *Sim) addPersonBody(in personBody) (any, error) {
	id, err := sensitive.ParseIDNumber(in.IDNumber)
	if err != nil {
		return nil, err
	}
	return nil, s.AddPerson(Person{PsnNo: in.PsnNo, Name: sensitive.NewName(in.Name), IDNumber: id, CardNo: in.CardNo, Insurances: in.Insurances,
		Family: in.Family, SignedDoctor: in.SignedDoctor, Used: in.Used})
}

// take reads a JSON body, refuses unknown members, does the work and answers {"ok":true}, the work's own answer, or {"error":"…"}.
func take[T any](work func(T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in T
		d := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20))
		d.DisallowUnknownFields()
		err := d.Decode(&in)
		var out any
		if err == nil {
			out, err = work(in)
		}
		switch {
		case err != nil:
			write(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		case out == nil:
			write(w, http.StatusOK, map[string]bool{"ok": true})
		default:
			write(w, http.StatusOK, out)
		}
	}
}

func write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}
