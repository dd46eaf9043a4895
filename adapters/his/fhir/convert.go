package fhir

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/money"
)

// This file turns values over: the interface's, as encoding/json gives them (with json.Number), and FHIR's.

var (
	wholeNumber = regexp.MustCompile(`^(0|[1-9][0-9]{0,14})$`)
	twoDecimals = regexp.MustCompile(`^(0|[1-9][0-9]{0,11})\.[0-9]{2}$`)
	plainNumber = regexp.MustCompile(`^(0|[1-9][0-9]{0,11})(\.[0-9]{1,4})?$`)
)

const currency = "CNY"

// write puts the members of a request into a resource.
func write(resource map[string]any, fields []Field, members any) error {
	for i := range fields {
		f := &fields[i]
		if f.In == inAnswer {
			continue
		}
		value := any(nil)
		if f.Const != nil {
			value = *f.Const
		} else {
			value = his.LookUp(members, f.Member)
		}
		if value == nil {
			continue
		}
		if len(f.Each) == 0 {
			said, err := f.said(value)
			if err == nil {
				err = f.path.put(resource, said)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", f.Path, err)
			}
			continue
		}
		entries, _ := value.([]any)
		for _, entry := range entries {
			if err := f.add(resource, entry); err != nil {
				return err
			}
		}
	}
	return nil
}

// add adds an entry to a list: its condition is met in every one of them.
func (f *Field) add(resource map[string]any, entry any) error {
	name, object := f.path[0].name, map[string]any{}
	for _, s := range f.path[1:] { // where alone; check says so
		if err := (path{{name: name}, s}).put(object, map[string]any{}); err != nil {
			return err
		}
	}
	element := map[string]any{}
	if made := below(object, name); len(made) == 1 {
		element, _ = made[0].(map[string]any)
	}
	if err := write(element, f.Each, entry); err != nil {
		return err
	}
	resource[name] = append(flat(resource[name]), element)
	return nil
}

// said is FHIR's value of a member.
func (f *Field) said(value any) (any, error) {
	text := fmt.Sprint(value)
	if len(f.Values) > 0 {
		var theirs []string
		for vendor, ours := range f.Values {
			if ours == text {
				theirs = append(theirs, vendor)
			}
		}
		if len(theirs) == 0 {
			return nil, errors.New("the profile has no word for this value")
		}
		return slices.Min(theirs), nil
	}
	switch f.As {
	case "money":
		fen, err := strconv.ParseInt(text, 10, 64)
		if err != nil || fen < 0 {
			return nil, errors.New("not an amount")
		}
		return map[string]any{"value": json.Number(decimal.New(fen, -2).StringFixed(2)), "currency": currency}, nil
	case "figure", "number":
		if !plainNumber.MatchString(text) {
			return nil, errors.New("not a plain number")
		}
		return json.Number(text), nil
	case "flag":
		if f.Const != nil {
			return *f.Const == "true", nil
		}
		b, ok := value.(bool)
		if !ok {
			return nil, errors.New("neither yes nor no")
		}
		return b, nil
	}
	return text, nil
}

// reading is one answer being read.
type reading struct {
	*answer
	told func(his.Step) // nil: nobody listens
}

// object reads the fields of a resource, or of an element, into an object of the interface's.
func (r *reading) object(at string, value any, fields []Field) (map[string]any, error) {
	object := map[string]any{}
	for i := range fields {
		f := &fields[i]
		if f.In == inRequest {
			continue
		}
		found, err := f.path.get(r.answer, value)
		if err == nil && len(f.Each) > 0 {
			var list []any
			if list, err = r.list(at+f.Member, found, f.Each); err == nil && len(list) > 0 {
				his.Put(object, f.Member, list)
			}
		} else if err == nil {
			var v any
			v, err = r.value(at, f, found)
			if err == nil && v != nil && f.Member != "" {
				his.Put(object, f.Member, v)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s%s: %w", at, f.Member, err)
		}
	}
	return object, nil
}

func (r *reading) list(at string, found []any, each []Field) ([]any, error) {
	list := make([]any, 0, len(found))
	for i, entry := range found {
		object, err := r.object(fmt.Sprintf("%s[%d]/", at, i), entry, each)
		if err != nil {
			return nil, err
		}
		if bare, ok := object["."]; ok {
			list = append(list, bare)
		} else {
			list = append(list, object)
		}
	}
	return list, nil
}

// value reads a field: nil where nothing stands. Two values are an error: which of them is meant, nobody knows.
func (r *reading) value(at string, f *Field, found []any) (value any, err error) {
	step := his.Step{Member: at + f.Member, Element: f.Path}
	defer func() {
		if r.told != nil {
			if step.Err = err; err == nil && value != nil {
				step.Value = fmt.Sprint(value)
			}
			r.told(step)
		}
	}()
	switch {
	case f.As == "count":
		return json.Number(strconv.Itoa(len(found))), nil
	case f.Const != nil:
		step.Member, step.Raw = at+f.Path, fmt.Sprint(found...)
		if !slices.Equal(found, []any{any(*f.Const)}) {
			return nil, fmt.Errorf("not what it must be, %q", *f.Const)
		}
		return nil, nil //nolint:nilnil // nothing for the interface
	case len(found) == 0:
		return nil, nil //nolint:nilnil // absent
	case len(found) > 1:
		return nil, fmt.Errorf("stands there %d times", len(found))
	}
	step.Raw = raw(found[0])
	return f.meant(found[0])
}

func raw(value any) string {
	if text, ok := value.(string); ok {
		return text
	}
	text, err := json.Marshal(value)
	if err != nil {
		return ""
	}
	return string(text)
}

// meant is what a value of FHIR's means: strictly, for an amount that is read wrong is money.
func (f *Field) meant(value any) (any, error) {
	text, isText := value.(string)
	number, isNumber := value.(json.Number)
	flag, isFlag := value.(bool)
	if len(f.Values) > 0 {
		ours, ok := f.Values[text]
		if !isText || !ok {
			return nil, errors.New("the profile does not know this value")
		}
		if f.As == "flag" {
			return ours == "true", nil
		}
		return ours, nil
	}
	switch {
	case f.As == "money":
		return fen(value)
	case f.As == "figure" && isNumber && plainNumber.MatchString(number.String()):
		return number.String(), nil
	case f.As == "number" && isNumber && wholeNumber.MatchString(number.String()):
		return number, nil
	case f.As == "flag" && isFlag:
		return flag, nil
	case f.As == "time" && isText:
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			return nil, errors.New("not a time with its zone")
		}
		return text, nil
	case f.As == "" && isText:
		return text, nil
	}
	return nil, fmt.Errorf("not a %s as it must be written", f.As)
}

// fen reads Money: yuan, with exactly two decimals, as it stands in the document.
func fen(value any) (any, error) {
	m, ok := value.(map[string]any)
	if !ok {
		return nil, errors.New("not Money")
	}
	number, ok := m["value"].(json.Number)
	switch {
	case m["currency"] != currency:
		return nil, errors.New("an amount in another currency than " + currency)
	case !ok || !twoDecimals.MatchString(number.String()):
		return nil, errors.New("not an amount in yuan with two decimals")
	}
	f, err := money.ParseYuan(number.String())
	if err != nil {
		return nil, errors.New("not an amount in yuan")
	}
	return json.Number(strconv.FormatInt(int64(f), 10)), nil
}
