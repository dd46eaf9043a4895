package mobile

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxWraps is how many times a relay may have wrapped an answer.
const maxWraps = 4

// wrappers are the members into which relays put what they relay (§1.3).
var wrappers = []string{"data", "output", "body"}

// unwrap takes off what relays put around an envelope: an object in data, output or body, or JSON in a JSON text. What is sealed is the
// envelope, however a relay's own code stands around it; without that, the innermost object with one of the marks.
func unwrap(answer []byte, sealed bool, marks ...string) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(answer))
	d.UseNumber()
	var whole any
	if err := d.Decode(&whole); err != nil {
		return nil, errJSON
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errJSON
	}
	if m := find(whole, sealed, marks, maxWraps); m != nil {
		return m, nil
	}
	return nil, errors.New("no envelope in it")
}

func find(v any, sealed bool, marks []string, depth int) map[string]any {
	m := asObject(v)
	if m == nil {
		if text, ok := v.(string); ok && depth > 0 { // a text in a text
			var inner string
			if json.Unmarshal([]byte(text), &inner) == nil {
				return find(inner, sealed, marks, depth-1)
			}
		}
		return nil
	}
	if plain(m["encData"]) != "" && sealed {
		return m
	}
	marked := false
	for _, mark := range marks {
		marked = marked || m[mark] != nil
	}
	if marked && !sealed {
		return m
	}
	for _, name := range wrappers {
		if depth == 0 {
			break
		}
		if inner := find(m[name], sealed, marks, depth-1); inner != nil {
			return inner
		}
	}
	if marked {
		return m
	}
	return nil
}

// asObject is an object, or the one that a text holds.
func asObject(v any) map[string]any {
	switch x := v.(type) {
	case map[string]any:
		return x
	case string:
		if m, err := parseObject([]byte(x)); err == nil {
			return m
		}
	}
	return nil
}

// verdict is what an envelope says of itself.
type verdict int

const (
	untold  verdict = iota // nothing, or two things at once
	success                // code 0, success true, or both
	failure                // another code, or success false even with code 0 (§1.3)
)

func judge(envelope map[string]any) verdict {
	code, fine := plain(envelope["code"]), plain(envelope["success"])
	switch {
	case fine == "false", fine == "" && code != "" && code != "0":
		return failure
	case (fine == "true" && (code == "" || code == "0")) || (fine == "" && code == "0"):
		return success
	}
	return untold
}

// unpack judges an answer: the envelope's own code, its signature, and then what it is about, which the caller does.
func (c *Client) unpack(m message, answer []byte) (reply, error) {
	if c.cfg.Transport == Wrapped {
		return c.unpackWrapped(m, answer)
	}
	envelope, err := unwrap(answer, true, "code", "success")
	if err != nil {
		return reply{}, ErrUnreadable.Because(fmt.Errorf("%s: %w", m.number, err))
	}
	return c.unseal(m, envelope)
}

// unseal gives the verified data of a sealed answer.
func (c *Client) unseal(m message, envelope map[string]any) (reply, error) {
	switch judge(envelope) {
	case failure:
		return reply{}, c.refused(m, plain(envelope["code"]), plain(envelope["message"]))
	case untold:
		return reply{}, ErrUnreadable.Because(fmt.Errorf("%s: neither success nor failure", m.number))
	}
	data, f, err := c.sealer.open(envelope)
	if err != nil {
		return reply{}, fmt.Errorf("%s: %w", m.number, err)
	}
	c.form.Store(f.String())
	return reply{fields: data, signed: true}, nil
}

// unpackWrapped reads the answer of a front-end (§1.1, the second style). What the centre sealed is verified as ever; what comes without a
// signature is read only where the configuration trusts the front-end.
func (c *Client) unpackWrapped(m message, answer []byte) (reply, error) {
	bad := func(why string) (reply, error) {
		return reply{}, ErrUnreadable.Because(fmt.Errorf("%s: %s", m.number, why))
	}
	wrapper, err := unwrap(answer, false, "infcode")
	if err != nil {
		return bad(err.Error())
	}
	code := plain(wrapper["infcode"])
	output := asObject(wrapper["output"])
	if envelope := find(wrapper["output"], true, nil, maxWraps); envelope != nil {
		return c.unseal(m, envelope)
	}
	switch {
	case code == "":
		return bad("without infcode")
	case code != "0":
		return reply{}, c.refused(m, "", plain(wrapper["err_msg"]))
	case output == nil:
		return bad("without output")
	case !c.cfg.TrustFrontEnd:
		return reply{}, ErrUnverified.Because(fmt.Errorf("%s: unsigned, and the front-end is not trusted", m.number))
	}
	if inner := asObject(output["data"]); inner != nil {
		output = inner
	}
	return reply{fields: output}, nil
}
