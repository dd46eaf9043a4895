package miniprogramapi

import (
	"bytes"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/gin-gonic/gin"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/web"
)

//go:embed openapi.yaml
var document []byte

// Spec is the specification, read and checked.
func Spec() (*openapi3.T, error) {
	loader := openapi3.NewLoader()
	spec, err := loader.LoadFromData(document)
	if err != nil {
		return nil, fmt.Errorf("read openapi.yaml: %w", err)
	}
	if err := spec.Validate(loader.Context); err != nil {
		return nil, fmt.Errorf("check openapi.yaml: %w", err)
	}
	return spec, nil
}

// operationsOf lists the operations by method and gin path: "GET /orders/:order_id".
func operationsOf(spec *openapi3.T) map[string]*routers.Route {
	operations := map[string]*routers.Route{}
	for path, item := range spec.Paths.Map() {
		pattern := strings.NewReplacer("{", ":", "}", "").Replace(path)
		for method, op := range item.Operations() {
			operations[method+" "+pattern] = &routers.Route{Spec: spec, Path: path, PathItem: item, Method: method, Operation: op}
		}
	}
	return operations
}

// valid lets only requests through that the specification allows: parameters, headers, body, and nothing that it does not name.
func (s *Server) valid(op *routers.Route) gin.HandlerFunc {
	known := map[string]bool{}
	for _, list := range []openapi3.Parameters{op.PathItem.Parameters, op.Operation.Parameters} {
		for _, p := range list {
			if p.Value.In == openapi3.ParameterInQuery {
				known[p.Value.Name] = true
			}
		}
	}
	options := &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true}
	return func(c *gin.Context) {
		if err := s.check(c, op, known, options); err != nil {
			web.Refuse(c, err)
			return
		}
		c.Next()
	}
}

func (s *Server) check(c *gin.Context, op *routers.Route, known map[string]bool, options *openapi3filter.Options) error {
	query, err := url.ParseQuery(c.Request.URL.RawQuery)
	if err != nil { // URL.Query would drop what it cannot read
		return bad("参数格式有误", "unreadable query")
	}
	for name, values := range query {
		if !known[name] {
			return bad("不支持的参数", "unknown query parameter").At(shortened(name))
		}
		if len(values) > 1 {
			return bad("参数重复", "repeated query parameter").At(name)
		}
	}
	body, err := io.ReadAll(c.Request.Body)
	if err != nil {
		return web.ErrBadRequest.Because(err) // too large is told by web
	}
	if op.Operation.RequestBody != nil && len(body) > 0 {
		if err := unambiguous(body); err != nil {
			return err
		}
	}
	params := make(map[string]string, len(c.Params))
	for _, p := range c.Params {
		params[p.Key] = p.Value
	}
	c.Set(bodyKey, body)
	r := c.Request.Clone(context.WithoutCancel(c.Request.Context()))
	r.Body = io.NopCloser(bytes.NewReader(body))
	if len(body) == 0 {
		r.Body = http.NoBody
	}
	input := &openapi3filter.RequestValidationInput{Request: r, PathParams: params, QueryParams: query, Route: op, Options: options}
	err = openapi3filter.ValidateRequest(c.Request.Context(), input)
	c.Request.Body = io.NopCloser(bytes.NewReader(body))
	if err != nil {
		return told(err)
	}
	return nil
}

// bodyKey is the raw body's place in a gin context.
const bodyKey = "miniprogramapi.body"

func bodyOf(c *gin.Context) []byte {
	b, _ := c.Get(bodyKey)
	body, _ := b.([]byte)
	return body
}

// bad is a request that the specification refuses. what is for the log and never holds a value: values may be a patient's.
func bad(msg, what string) *fault.Error {
	return web.ErrBadRequest.Saying(msg).Because(errors.New(what))
}

// complaints are what a person is told, by the member of the schema that was broken.
var complaints = map[string]string{
	"required":             "缺少必填项",
	"type":                 "类型有误",
	"properties":           "不支持的字段",
	"additionalProperties": "不支持的字段",
	"enum":                 "不在可选范围内",
	"pattern":              "格式有误",
	"format":               "格式有误",
	"minLength":            "过短",
	"maxLength":            "过长",
	"minimum":              "过小",
	"maximum":              "过大",
	"minItems":             "数量过少",
	"maxItems":             "数量过多",
	"uniqueItems":          "有重复",
	"nullable":             "不能为空",
}

// told turns kin-openapi's error into ours. Its own text is dropped: it holds the value.
func told(err error) *fault.Error {
	field := ""
	if r, ok := errors.AsType[*openapi3filter.RequestError](err); ok && r.Parameter != nil {
		field = r.Parameter.Name
	}
	if s, ok := errors.AsType[*openapi3.SchemaError](err); ok {
		path := s.JSONPointer()
		if quoted, ok := strings.CutSuffix(s.Reason, " is unsupported"); ok { // the one place where the name is only in the text
			if extra, err := strconv.Unquote(strings.TrimPrefix(quoted, "property ")); err == nil {
				path = append(path, extra)
			}
		}
		if len(path) > 0 {
			field = shortened(strings.Join(path, "."))
		}
		msg, known := complaints[s.SchemaField]
		if !known {
			msg = "有误"
		}
		return bad(name(field)+msg, "schema: "+s.SchemaField).At(field)
	}
	if errors.Is(err, openapi3filter.ErrInvalidRequired) || errors.Is(err, openapi3filter.ErrInvalidEmptyValue) {
		return bad(name(field)+"缺少必填项", "required").At(field)
	}
	if p, ok := errors.AsType[*openapi3filter.ParseError](err); ok {
		if path := p.Path(); len(path) > 0 && field == "" {
			field = shortened(fmt.Sprint(path[0]))
		}
		return bad(name(field)+"类型有误", "not parsable").At(field)
	}
	if field != "" {
		return bad(name(field)+"有误", "parameter").At(field)
	}
	return bad("请求内容有误，应为 JSON", "not readable")
}

func name(field string) string {
	if field == "" {
		return "请求内容"
	}
	return field + " "
}

// shortened keeps a caller's invention from filling the answer and the log.
func shortened(field string) string {
	clean := strings.Map(func(r rune) rune {
		if r > ' ' && r < 0x7f && r != '"' && r != '\\' {
			return r
		}
		return '?'
	}, field)
	if len(clean) > 64 {
		return clean[:64]
	}
	return clean
}
