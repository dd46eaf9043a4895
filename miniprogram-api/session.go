package miniprogramapi

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/tuoka/tuoka/internal/patient"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/web"
)

// callerKey is the caller's place in a gin context.
const callerKey = "miniprogramapi.caller"

// signedIn is the guard of every route but the public two: whose session the bearer token is.
func (s *Server) signedIn(c *gin.Context) {
	ctx := c.Request.Context()
	session, err := s.patients.Session(ctx, bearer(c))
	if err != nil {
		c.Header("WWW-Authenticate", "Bearer")
		web.Refuse(c, err)
		return
	}
	c.Set(callerKey, patient.Caller{Account: session.Account, Institution: session.Institution, RequestID: web.RequestID(ctx)})
	c.Next()
}

func bearer(c *gin.Context) sensitive.Token {
	scheme, token, _ := strings.Cut(c.GetHeader("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || len(token) > 256 {
		return sensitive.Token{}
	}
	return sensitive.NewToken(token)
}

// reply answers a request of a signed-in caller.
func (s *Server) reply(c *gin.Context, h func(ctx context.Context, who patient.Caller) (any, error)) {
	web.Reply(func(c *gin.Context) (any, error) {
		v, _ := c.Get(callerKey)
		who, ok := v.(patient.Caller)
		if !ok {
			return nil, errNoCaller
		}
		return h(c.Request.Context(), who)
	})(c)
}

// read reads a body that the specification has let through.
func read(c *gin.Context, into any) error {
	if err := json.Unmarshal(bodyOf(c), into); err != nil {
		return bad("请求内容有误，应为 JSON", "body does not fit the type")
	}
	return nil
}

// GetInstitution serves GET /institutions/{institution}: what anybody may read before giving anything.
func (s *Server) GetInstitution(c *gin.Context, id InstitutionPath) {
	web.Reply(func(*gin.Context) (any, error) {
		inst, err := s.patients.Institution(id)
		if err != nil {
			return nil, err
		}
		texts := make([]Text, len(inst.Texts))
		for i, t := range inst.Texts {
			texts[i] = textView(t)
		}
		return Institution{Id: id, Name: inst.Name, Contact: inst.Contact, Insurance: inst.Insurance,
			MedicalInsurancePay: inst.Insurance && s.orders.Joint(id), Family: inst.Insurance && inst.Family, PerVisit: s.orders.PerVisit(id),
			Texts: texts}, nil
	})(c)
}

// OpenSession serves POST /sessions: a wx.login code for a token.
func (s *Server) OpenSession(c *gin.Context) {
	web.Reply(func(c *gin.Context) (any, error) {
		var in OpenSession
		if err := read(c, &in); err != nil {
			return nil, err
		}
		ctx := c.Request.Context()
		token, session, err := s.patients.Login(ctx, in.Institution, in.Code, web.RequestID(ctx))
		if err != nil {
			return nil, err
		}
		return web.Answer{Status: http.StatusCreated, Body: Session{Token: token.Reveal(), ExpiresAt: session.ExpiresAt}}, nil
	})(c)
}

// CloseSession serves DELETE /sessions/current.
func (s *Server) CloseSession(c *gin.Context) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		return nil, s.patients.Logout(ctx, who, bearer(c))
	})
}

// ListConsents serves GET /consents: the texts, and what the account has agreed to.
func (s *Server) ListConsents(c *gin.Context) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		agreements, err := s.patients.Agreements(ctx, who)
		if err != nil {
			return nil, err
		}
		out := Consents{Consents: make([]Consent, len(agreements))}
		for i, a := range agreements {
			out.Consents[i] = consentView(a)
		}
		return out, nil
	})
}

// GiveConsent serves POST /consents.
func (s *Server) GiveConsent(c *gin.Context) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		var in GiveConsent
		if err := read(c, &in); err != nil {
			return nil, err
		}
		a, err := s.patients.Agree(ctx, who, patient.ConsentKind(in.Kind), in.Version)
		if err != nil {
			return nil, err
		}
		return consentView(a), nil
	})
}

// WithdrawConsent serves DELETE /consents/{kind}.
func (s *Server) WithdrawConsent(c *gin.Context, kind ConsentKind) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		return nil, s.patients.Withdraw(ctx, who, patient.ConsentKind(kind))
	})
}

// SetPhone serves POST /account/phone: the phone button's code.
func (s *Server) SetPhone(c *gin.Context) {
	s.reply(c, func(ctx context.Context, who patient.Caller) (any, error) {
		var in SetPhone
		if err := read(c, &in); err != nil {
			return nil, err
		}
		phone, err := s.patients.SetPhone(ctx, who, in.Code)
		if err != nil {
			return nil, err
		}
		return Phone{Phone: phone.Masked()}, nil
	})
}

func textView(t patient.Text) Text {
	return Text{Kind: ConsentKind(t.Kind), Version: t.Version, Title: t.Title, Body: t.Body, Digest: t.Digest}
}

func consentView(a patient.Agreement) Consent {
	v := Consent{Text: textView(a.Text), Current: a.Current()}
	if a.Given != nil {
		v.GivenVersion, v.GivenAt = &a.Given.Version, &a.Given.GivenAt
	}
	return v
}
