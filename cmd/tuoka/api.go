package main

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/tuoka/tuoka/internal/config"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/web"
	miniprogramapi "github.com/tuoka/tuoka/miniprogram-api"
)

// errTooMany is more requests from one address than the configuration allows.
var errTooMany = fault.New(fault.Limited, "TOO_MANY_REQUESTS", "操作太频繁，请稍后再试")

// errNoLimit is a cache that cannot count: sign-in stays closed, so that nobody can guess without being counted.
var errNoLimit = fault.New(fault.Unavailable, "LOGIN_UNAVAILABLE", "系统繁忙，请稍后再登录")

// api is the mini program's face.
func (h *house) api(stopping <-chan struct{}) (http.Handler, error) {
	engine, err := web.New(web.Config{Clock: h.clock, Source: h.source, Log: h.log, TrustedProxies: h.config.Listen.TrustedProxies})
	if err != nil {
		return nil, err
	}
	engine.UseRawPath = true // a bill number may hold a slash
	engine.Use(h.limit)
	server, err := miniprogramapi.New(h.people, h.orders, h.bills, h.db.Replays(), h.clock,
		miniprogramapi.Config{Docs: h.config.Mode != config.Production, Stopping: stopping})
	if err != nil {
		return nil, err
	}
	return engine, server.Routes(engine)
}

// What one address may ask per minute where the configuration does not say.
const (
	usualRate      = 600
	usualLoginRate = 30
)

// limit counts requests by address. When the cache is away, sign-in fails closed and everything else goes on.
func (h *house) limit(c *gin.Context) {
	rate, kind := cmp.Or(h.config.Limits.PerMinute, usualRate), "all"
	login := c.Request.Method == http.MethodPost && strings.HasSuffix(c.Request.URL.Path, "/sessions")
	if login {
		rate, kind = cmp.Or(h.config.Limits.LoginPerMinute, usualLoginRate), "login"
	}
	allowed, again, err := h.cache.Allow(c.Request.Context(), kind+" "+c.ClientIP(), rate, max(rate/6, 5))
	switch {
	case err != nil && login:
		web.Refuse(c, errNoLimit.Because(err))
	case err == nil && !allowed:
		web.Refuse(c, web.RetryAfter(errTooMany, again))
	default:
		c.Next()
	}
}
