// Package soap carries docs/his-interface.md to a hospital information system that speaks a vendor's own XML, in SOAP or bare. What that is called there is a
// Mapping in YAML; a new vendor needs no Go.
//
// An answer that is not signed as agreed, not whole, in another charset, or with a code that the mapping does not know proves nothing.
package soap

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/sensitive"
)

// Config is one institution's hospital system.
type Config struct {
	his.Config

	BaseURL string // scheme and host; the mapping's path comes after it
	Mapping *Mapping
	User    string        // our name at the hospital
	Secret  sensitive.Key // of the signature, at least 16 bytes; none where the mapping has no signature
	Source  *clock.Source
}

// Client is a hospital that speaks a vendor's XML. Safe for several goroutines.
type Client struct {
	*his.Client
	config Config
	url    string
	wire   http.RoundTripper
}

// maxAnswer is the largest answer that is read: 2000 lines with long names, and room to spare.
const maxAnswer = 8 << 20

// New checks the configuration. The round tripper carries the requests; redirects are not followed and no cookie is kept.
func New(c Config, wire http.RoundTripper) (*Client, error) {
	base, err := his.Address(c.BaseURL)
	if err != nil {
		return nil, err
	}
	if c.Mapping == nil || c.Source == nil || wire == nil {
		return nil, errors.New("his: mapping, source and round tripper are required")
	}
	if c.Mapping.Service.Sign != nil && len(c.Secret.Reveal()) < 16 {
		return nil, errors.New("his: a secret of fewer than 16 bytes")
	}
	client := &Client{config: c, wire: wire, url: base.String() + c.Mapping.Service.Path}
	client.Client, err = his.New(c.Config, client)
	return client, err
}

// Carry sends the operation in the vendor's words, and gives the answer in the interface's.
func (c *Client) Carry(ctx context.Context, operation string, members []byte) (his.Answer, error) {
	o, ok := c.config.Mapping.Operations[operation]
	if !ok {
		return his.Answer{}, his.ErrRequest.Because(fmt.Errorf("his %s: %w: the mapping lacks it", operation, his.ErrNotOffered))
	}
	asked, err := his.DecodeMembers(members)
	if err != nil {
		return his.Answer{}, his.ErrRequest.Because(fmt.Errorf("his %s: %w", operation, err))
	}
	if object, ok := asked.(map[string]any); ok {
		if reason, ok := object["reason"].(string); ok { // the one text that a patient may write; no refund fails for a picture in it
			object["reason"] = legible(reason, c.config.Mapping.Service.Charset)
		}
	}
	nonce := c.config.Source.Nonce(32)
	request, err := c.request(&o, asked, nonce)
	if err != nil {
		return his.Answer{}, his.ErrRequest.Because(fmt.Errorf("his %s: %w", operation, err))
	}
	body, err := c.exchange(ctx, operation, &o, request)
	if err != nil {
		return his.Answer{}, err
	}
	code, message, err := c.open(&o, body, nonce)
	if err != nil {
		return his.Answer{}, err
	}
	return o.answer(code, message, &reading{asked: asked})
}

// request writes what is posted.
func (c *Client) request(o *Operation, asked any, nonce string) ([]byte, error) {
	s := &c.config.Mapping.Service
	message := &node{name: s.Root}
	if err := writeFields(message, o.Request, asked); err != nil {
		return nil, err
	}
	if s.Sign != nil {
		message = s.Sign.around(message, o.Function, c.config.User, c.config.Clock.Now(), nonce)
		sign, err := s.Sign.signature(message, c.config.Secret)
		if err != nil {
			return nil, err
		}
		message.add(s.Sign.Sign).text = sign
	}
	return s.envelope(o.Function, message)
}

// envelope puts the message into SOAP, and the whole into the vendor's charset.
func (s *Service) envelope(function string, message *node) ([]byte, error) {
	var b bytes.Buffer
	fmt.Fprintf(&b, "<?xml version=\"1.0\" encoding=\"%s\"?>\n", s.Charset)
	if s.SOAP == "" {
		message.write(&b)
		return encoded(b.Bytes(), s.Charset)
	}
	namespace := "http://schemas.xmlsoap.org/soap/envelope/"
	if s.SOAP == "1.2" {
		namespace = "http://www.w3.org/2003/05/soap-envelope"
	}
	call, text := s.of(s.Call, function), message.String()
	if s.CDATA {
		text = "<![CDATA[" + strings.ReplaceAll(text, "]]>", "]]]]><![CDATA[>") + "]]>"
	} else {
		text = escaped(text)
	}
	fmt.Fprintf(&b, `<soap:Envelope xmlns:soap="%s"><soap:Body><%s xmlns="%s"><%s>%s</%s></%s></soap:Body></soap:Envelope>`, namespace, call, escaped(s.Namespace),
		s.Parameter, text, s.Parameter, call)
	return encoded(b.Bytes(), s.Charset)
}

func (s *Service) of(template, function string) string {
	return strings.ReplaceAll(template, functions, function)
}

// label says, as SOAP does, what is posted, and which call it is.
func (s *Service) label(r *http.Request, function string) {
	action := s.of(s.Action, function)
	switch s.SOAP {
	case "1.1":
		r.Header.Set("Content-Type", "text/xml; charset="+s.Charset)
		r.Header.Set("SOAPAction", `"`+action+`"`)
	case "1.2":
		r.Header.Set("Content-Type", `application/soap+xml; charset=`+s.Charset+`; action="`+action+`"`)
	default:
		r.Header.Set("Content-Type", "application/xml; charset="+s.Charset)
	}
}

// exchange posts and reads. Errors: his.ErrUnreachable, bill.ErrNoAnswer; any other is an answer that proves nothing.
func (c *Client) exchange(ctx context.Context, operation string, o *Operation, request []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(request))
	if err != nil {
		return nil, his.ErrRequest.Because(fmt.Errorf("his %s: %w", operation, err))
	}
	c.config.Mapping.Service.label(r, o.Function)
	res, err := c.wire.RoundTrip(r)
	if err != nil {
		return nil, his.Unanswered(err).Because(fmt.Errorf("his %s: %w", operation, err))
	}
	defer func() { _ = res.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer+1))
	if err != nil {
		return nil, bill.ErrNoAnswer.Because(fmt.Errorf("his %s: answer cut: %w", operation, err))
	}
	if res.StatusCode != http.StatusOK { // a SOAP fault comes with 500: what it refused, and whether it did nothing, it does not say
		return nil, bill.ErrNoAnswer.Because(fmt.Errorf("his %s: status %d", operation, res.StatusCode))
	}
	if len(body) > maxAnswer {
		return nil, errors.New("the answer is too large")
	}
	return body, nil
}

// open unpacks an answer and believes it when it is signed: its code and its message.
func (c *Client) open(o *Operation, body []byte, nonce string) (code string, message *node, err error) {
	s := &c.config.Mapping.Service
	message, err = s.unpack(o.Function, body)
	if err != nil {
		return "", nil, err
	}
	if s.Sign != nil {
		return s.Sign.inside(message, c.config.Secret, c.config.Clock.Now(), nonce, o)
	}
	code, _, err = single(message, o.Answer.Code)
	return code, message, err
}

// unpack takes the message out of SOAP.
func (s *Service) unpack(function string, body []byte) (*node, error) {
	document, err := decoded(body, s.Charset)
	if err != nil {
		return nil, err
	}
	root, err := readTree(document)
	if err != nil || s.SOAP == "" {
		return root, err
	}
	result, err := root.one("Body/" + s.of(s.Result, function))
	if err != nil || root.name != "Envelope" || result == nil || len(result.children) > 0 {
		return nil, errors.Join(errors.New("not the answer of this call"), err)
	}
	return readTree(undeclared([]byte(result.text)))
}

// answer puts what the vendor said into the interface's words.
func (o *Operation) answer(code string, message *node, r *reading) (his.Answer, error) {
	ours, ok := o.Answer.Codes[code]
	if !ok {
		return his.Answer{}, errors.New("a code that the mapping does not know")
	}
	if ours == his.CodeInvalid {
		return his.Answer{}, his.ErrRequest.Because(errors.New("the hospital calls the request malformed"))
	}
	a := his.Answer{Code: ours}
	if message == nil {
		return a, nil
	}
	data, err := r.object("", message, o.Answer.Data)
	if err != nil {
		return his.Answer{}, err
	}
	a.Data, err = json.Marshal(data)
	return a, err
}
