// Package callback receives what counterparts send us: verified, stored, acknowledged, and believed only later (design.md §4.7).
package callback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/job"
	"github.com/tuoka/tuoka/internal/refund"
)

// Source is one counterpart's way to sign, seal and be answered. Adapters are sources.
type Source interface {
	// Open verifies a message and tells what it is about. An error is a message that is not to be believed.
	Open(header http.Header, body []byte) (job.Notice, error)
	// Acknowledge answers: nil means stored.
	Acknowledge(w http.ResponseWriter, err error)
}

// Guard is what a Source may be besides: one that believes some networks alone, because its messages do not prove who sent them.
type Guard interface {
	// Admits reports whether a message may come from that address. It is asked before anything is opened.
	Admits(peer netip.Addr) bool
}

// CertGuard is what a Source may be besides: one whose sender shows a TLS certificate to the gateway before us. A certificate is asked for beside the
// signature, never instead of it.
type CertGuard interface {
	// AdmitsCertificate reports whether a message may come from whoever showed that certificate (DER; nil: none that can be believed).
	AdmitsCertificate(der []byte) bool
}

// Gateway is what stands before us: the proxies whose X-Forwarded-For is believed, and the header in which they write the sender's certificate.
type Gateway struct {
	Proxies    []netip.Prefix
	CertHeader string // PEM, percent-encoded, as nginx's $ssl_client_escaped_cert; empty: none is believed
}

// Asker is what a Source may be besides: one whose messages may ask what became of a refund (refund.KindQuery), and are answered at once.
type Asker interface {
	Answer(w http.ResponseWriter, question job.Notice, s refund.Standing)
}

// Books tells what became of a refund that a HIS asked for, from our own database alone: no counterpart is called for an answer.
type Books interface {
	RefundForHIS(ctx context.Context, institution, orderNo, no string) (refund.Standing, error)
}

// maxBody is the largest callback that is read.
const maxBody = 256 << 10

var (
	errTooLarge = fault.New(fault.Invalid, "BODY_TOO_LARGE", "通知过大")
	errCut      = fault.New(fault.Invalid, "BODY_CUT", "通知不完整")
	errNoBooks  = fault.New(fault.Invalid, "NOT_ASKABLE", "不受理查询")
)

// Handler serves POST /callbacks/{counterpart}/{institution}. Sources are keyed "wechatpay/h1", and so are the notices that they leave in the inbox. A Guard
// is asked by the sender's true address, which the X-Forwarded-For of the gateway's proxies tells, a CertGuard by the certificate that the gateway saw;
// who is not admitted gets 403, and nothing is stored. Stored is called after each stored notice, so that a worker looks now; the acknowledgement
// waits for the inbox alone. A question is answered from the books, and nothing is stored of it but its nonce.
func Handler(inbox job.Inbox, sources map[string]Source, books Books, gate Gateway, stored func()) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /callbacks/{counterpart}/{institution}", func(w http.ResponseWriter, r *http.Request) {
		key := r.PathValue("counterpart") + "/" + r.PathValue("institution")
		source, ok := sources[key]
		if !ok {
			http.NotFound(w, r)
			return
		}
		g, guarded := source.(Guard)
		c, certified := source.(CertGuard)
		if (guarded && !g.Admits(peer(r, gate.Proxies))) || (certified && !c.AdmitsCertificate(gate.certificate(r))) {
			slog.WarnContext(r.Context(), "callback not admitted", "source", key, "peer", peer(r, gate.Proxies).String())
			w.WriteHeader(http.StatusForbidden)
			return
		}
		notice, err := receive(inbox, source, key, w, r)
		if err == nil && notice.Kind == refund.KindQuery {
			if err = answer(books, source, r, w, notice); err == nil {
				return
			}
		}
		if err != nil {
			slog.WarnContext(r.Context(), "callback refused", "source", key, "kind", fault.KindOf(err).String(), "error", err)
		} else {
			stored()
		}
		source.Acknowledge(w, err)
	})
	return mux
}

// receive verifies a message and stores it, a question excepted: of that it spends the nonce.
func receive(inbox job.Inbox, source Source, key string, w http.ResponseWriter, r *http.Request) (job.Notice, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
		return job.Notice{}, errTooLarge
	}
	if err != nil {
		return job.Notice{}, errCut.Because(err)
	}
	notice, err := source.Open(r.Header, body)
	if err != nil {
		return job.Notice{}, err
	}
	notice.Source = key
	if notice.Kind == refund.KindQuery {
		return notice, inbox.Spend(r.Context(), key, notice.Once)
	}
	if _, err := inbox.Put(r.Context(), notice); err != nil {
		return job.Notice{}, fmt.Errorf("store notice: %w", err)
	}
	return notice, nil
}

func answer(books Books, source Source, r *http.Request, w http.ResponseWriter, question job.Notice) error {
	asker, may := source.(Asker)
	if !may || books == nil {
		return errNoBooks
	}
	s, err := books.RefundForHIS(r.Context(), r.PathValue("institution"), question.Number, question.ID)
	if err != nil {
		return err
	}
	asker.Answer(w, question, s)
	return nil
}
