package patient

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/tuoka/tuoka/internal/audit"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// What else a caller may be told by the service.
var (
	ErrInstitution = fault.New(fault.NotFound, "INSTITUTION_NOT_FOUND", "没有找到该医疗机构")
	ErrConsentKind = fault.New(fault.NotFound, "CONSENT_NOT_FOUND", "没有该授权书")
	ErrTextVersion = fault.New(fault.Conflict, "CONSENT_OUTDATED", "授权书已更新，请重新阅读后再同意")
	ErrRelation    = fault.New(fault.Invalid, "RELATION_INVALID", "与就诊人的关系有误，请重新选择")
	ErrNoInsurance = fault.New(fault.NotFound, "INSURANCE_NOT_OFFERED", "本院暂未开通医保移动支付")
)

// Institution is one hospital as patients meet it.
type Institution struct {
	Name      string // what the patient reads
	Contact   string // where a person asks about his data: a telephone number, an address
	WeChat    WeChat
	Authority Authority
	Insurance bool   // 医保移动支付 is open here
	Family    bool   // 亲情付 too: one may pay with a relative's insurance; the mobile-payment centre's alone
	Texts     []Text // nil: StandardTexts
}

// Config are the service's limits. The zero value is production's.
type Config struct {
	SessionLife time.Duration // default 2 h: the mini program logs in again without asking anybody
	MaxPatients int           // per account; default 6: oneself and the five relatives that the insurer's family account takes
	Log         audit.Log     // where refused acts and logouts go, which no Store method records; nil: nowhere
	Archives    Archives      // which archive a patient has; needed, with Log, where a HIS tells that it merged some
}

// Service logs accounts in, keeps their consents and patients, and binds patients to the insurer.
type Service struct {
	store        Store
	institutions map[string]Institution
	tokens       Tokens
	clock        clock.Clock
	source       *clock.Source
	config       Config
}

// New checks that every institution has a name, its counterparts and a text of each consent.
func New(store Store, institutions map[string]Institution, tokens Tokens, clk clock.Clock, source *clock.Source, config Config) (*Service, error) {
	if config.SessionLife <= 0 {
		config.SessionLife = 2 * time.Hour
	}
	if config.MaxPatients <= 0 {
		config.MaxPatients = 6
	}
	s := &Service{store: store, institutions: make(map[string]Institution, len(institutions)), tokens: tokens, clock: clk, source: source, config: config}
	for id, inst := range institutions {
		if id == "" || inst.Name == "" || inst.Contact == "" || inst.WeChat == nil || inst.Authority == nil {
			return nil, fmt.Errorf("institution %q: name, contact, WeChat and authority are required", id)
		}
		if inst.Family && !inst.Insurance {
			return nil, fmt.Errorf("institution %q: paying with a relative's insurance wants insurance", id)
		}
		if inst.Texts == nil {
			inst.Texts = StandardTexts(inst.Name, inst.Contact)
		}
		for _, kind := range []ConsentKind{ConsentPrivacy, ConsentInsurance, ConsentGuardian} {
			if t, ok := inst.text(kind); !ok || t.Version == "" || t.Title == "" || t.Body == "" || t.Digest == "" {
				return nil, fmt.Errorf("institution %q: the text of consent %s is missing or incomplete", id, kind)
			}
		}
		s.institutions[id] = inst
	}
	return s, nil
}

// Institution is what anybody may know of a hospital. ErrInstitution.
func (s *Service) Institution(id string) (Institution, error) {
	inst, ok := s.institutions[id]
	if !ok {
		return Institution{}, ErrInstitution
	}
	return inst, nil
}

// Caller is whose request it is: a session's account, and the request for the audit trail.
type Caller struct {
	Account     AccountID
	Institution string
	RequestID   string
}

func (c Caller) actor() string { return "account:" + strconv.FormatInt(int64(c.Account), 10) }

// Login exchanges a wx.login code for a session, and makes the account when it is the person's first. The token is shown once; only its
// digest is kept. ErrInstitution, ErrLoginCode, ErrLoginBlocked, ErrBusy.
func (s *Service) Login(ctx context.Context, institution, code, requestID string) (sensitive.Token, Session, error) {
	inst, err := s.Institution(institution)
	if err != nil {
		return sensitive.Token{}, Session{}, err
	}
	openID, err := inst.WeChat.Login(ctx, code)
	if err != nil {
		return sensitive.Token{}, Session{}, fmt.Errorf("log in at %s: %w", institution, err)
	}
	token, digest, err := s.tokens.NewToken()
	if err != nil {
		return sensitive.Token{}, Session{}, fmt.Errorf("make a session token: %w", err)
	}
	now := s.clock.Now()
	fresh := Account{ID: AccountID(s.source.ID()), Institution: institution, OpenID: openID, CreatedAt: now}
	session := Session{TokenDigest: digest, Institution: institution, CreatedAt: now, ExpiresAt: now.Add(s.config.SessionLife)}
	// Who it is stands only after the look-up: the store names the account in session and record.
	record := audit.Record{At: now, Institution: institution, Action: "session.open", Object: "session", Result: "ok", RequestID: requestID}
	account, err := s.store.Enter(ctx, fresh, session, record)
	if err != nil {
		return sensitive.Token{}, Session{}, fmt.Errorf("open a session at %s: %w", institution, err)
	}
	session.Account = account.ID
	return token, session, nil
}

// Session is whose token this is. ErrSession when it is unknown, ended or expired.
func (s *Service) Session(ctx context.Context, token sensitive.Token) (Session, error) {
	if token.IsZero() {
		return Session{}, ErrSession
	}
	session, err := s.store.SessionOf(ctx, s.tokens.Digest(token), s.clock.Now())
	if err != nil {
		return Session{}, fmt.Errorf("find the session: %w", err)
	}
	if _, ok := s.institutions[session.Institution]; !ok { // taken out of service meanwhile
		return Session{}, ErrSession
	}
	return session, nil
}

// Logout ends the session of this token; again, it does nothing.
func (s *Service) Logout(ctx context.Context, who Caller, token sensitive.Token) error {
	ctx = context.WithoutCancel(ctx) // a phone that does not wait for the answer has left nevertheless
	if err := s.note(ctx, who, "session.close", "session", nil); err != nil {
		return err
	}
	if err := s.store.Leave(ctx, s.tokens.Digest(token)); err != nil {
		return fmt.Errorf("end the session: %w", err)
	}
	return nil
}

// record is a successful act for the transaction that does it.
func (s *Service) record(who Caller, action, object string) audit.Record {
	return audit.Record{At: s.clock.Now(), Institution: who.Institution, Actor: who.actor(), Action: action, Object: object,
		Result: "ok", RequestID: who.RequestID}
}

// note records an act that no Store method records. An act whose record cannot be written fails.
func (s *Service) note(ctx context.Context, who Caller, action, object string, refusal error) error {
	if s.config.Log == nil {
		return nil
	}
	r := s.record(who, action, object)
	if refusal != nil {
		r.Result = fault.Internal.String()
		if f, ok := errors.AsType[*fault.Error](refusal); ok {
			r.Result = f.Code
		}
	}
	if err := s.config.Log.Record(ctx, r); err != nil {
		return fmt.Errorf("record %s: %w", action, err)
	}
	return nil
}

// refuse records a refused act and returns the refusal.
func (s *Service) refuse(ctx context.Context, who Caller, action, object string, refusal error) error {
	if err := s.note(ctx, who, action, object, refusal); err != nil {
		return errors.Join(refusal, err)
	}
	return refusal
}

func objectOf(id ID) string { return "patient:" + strconv.FormatInt(int64(id), 10) }
