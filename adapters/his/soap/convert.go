package soap

import (
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/adapters/his"
	"github.com/tuoka/tuoka/internal/clock"
)

// This file turns values over: the interface's, as encoding/json gives them (with json.Number), and the vendor's, which are texts.

var (
	digits = regexp.MustCompile(`^(0|[1-9][0-9]{0,14})$`)
	yuan   = regexp.MustCompile(`^(0|[1-9][0-9]{0,11})(\.[0-9]{1,2})?$`)
)

// writeFields puts the members of a request into the vendor's elements.
func writeFields(to *node, fields []Field, members any) error {
	for i := range fields {
		f := &fields[i]
		if len(f.Each) > 0 {
			entries := his.LookUp(members, f.Member)
			list, _ := entries.([]any)
			for _, entry := range list {
				if err := writeFields(to.add(f.Element), f.Each, entry); err != nil {
					return err
				}
			}
			continue
		}
		text, said, err := f.spoken(members)
		switch {
		case err != nil:
			return fmt.Errorf("%s: %w", f.Element, err)
		case f.Element == ".":
			to.text = text
		case said, f.Always:
			to.add(f.Element).text = text
		}
	}
	return nil
}

// spoken is the vendor's text of a member; false where it is absent.
func (f *Field) spoken(members any) (text string, said bool, err error) {
	if f.Const != nil {
		return *f.Const, true, nil
	}
	value := his.LookUp(members, f.Member)
	if value == nil {
		if f.Default != nil {
			return *f.Default, true, nil
		}
		return "", false, nil
	}
	switch v := value.(type) {
	case string:
		text = v
	case json.Number:
		text = v.String()
	case bool:
		text = strconv.FormatBool(v)
	default:
		return "", false, fmt.Errorf("a %T is no value", value)
	}
	if f.Part > 0 {
		parts := strings.Split(text, f.Between)
		if f.Part > len(parts) {
			return "", false, errors.New("the value has too few parts")
		}
		text = parts[f.Part-1]
	}
	if len(f.Values) > 0 {
		text, err = f.reversed(text)
		return text, true, err
	}
	switch f.As {
	case "yuan":
		fen, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return "", false, errors.New("not an amount")
		}
		return decimal.New(fen, -2).StringFixed(2), true, nil
	case "time":
		t, err := time.Parse(time.RFC3339, text)
		if err != nil {
			return "", false, errors.New("not a time")
		}
		return t.In(clock.Shanghai).Format(f.Layout), true, nil
	case "flag":
		return map[string]string{"true": "1", "false": "0"}[text], true, nil
	}
	return text, true, nil
}

// reversed is the vendor's value for one of the interface's; the first by the alphabet where several mean it.
func (f *Field) reversed(value string) (string, error) {
	var theirs []string
	for vendor, ours := range f.Values {
		if ours == value {
			theirs = append(theirs, vendor)
		}
	}
	if len(theirs) == 0 {
		return "", errors.New("the mapping has no word for this value")
	}
	return slices.Min(theirs), nil
}

// reading is one answer being read.
type reading struct {
	asked any            // the request's members
	told  func(his.Step) // nil: nobody listens
}

// object reads the fields of an element into an object.
func (r *reading) object(at string, n *node, fields []Field) (map[string]any, error) {
	object := map[string]any{}
	for _, late := range []bool{false, true} { // counts and sums when everything is there
		for i := range fields {
			f := &fields[i]
			if (f.Count != "" || f.Sum != "") != late {
				continue
			}
			value, ok, err := r.value(at, n, f, object)
			if err != nil {
				return nil, err
			}
			if ok {
				his.Put(object, f.Member, value)
			}
		}
	}
	return object, nil
}

func (r *reading) value(at string, n *node, f *Field, object map[string]any) (value any, ok bool, err error) {
	if f.When != "" {
		w, err := n.one(f.When)
		if err != nil || w == nil {
			return nil, false, err
		}
		if _, said := w.value(); !said && len(w.children) == 0 {
			return nil, false, nil
		}
	}
	if len(f.Each) > 0 {
		return r.list(at, n, f)
	}
	step := his.Step{Member: at + f.Member, Element: f.Element}
	defer func() {
		if r.told != nil {
			if ok {
				step.Value = fmt.Sprint(value)
			}
			step.Err = err
			r.told(step)
		}
	}()
	switch {
	case f.Count != "":
		entries, _ := his.LookUp(object, f.Count).([]any)
		step.Element = "(counted)"
		return json.Number(strconv.Itoa(len(entries))), true, nil
	case f.Sum != "":
		step.Element = "(summed)"
		value, err = sum(object, f.Sum)
		return value, err == nil, err
	case f.Asked != "":
		step.Element = "(asked)"
		value = his.LookUp(r.asked, f.Asked)
		return value, value != nil, nil
	case f.Const != nil:
		step.Element, step.Raw = "(const)", *f.Const
	case len(f.Join) > 0:
		step.Element = strings.Join(f.Join, " + ")
		step.Raw, ok, err = joined(n, f)
	default:
		step.Raw, ok, err = single(n, f.Element)
	}
	if f.Const != nil {
		ok = true
	}
	if !ok && err == nil && f.Default != nil {
		step.Raw, ok = *f.Default, true
	}
	if err != nil || !ok {
		return nil, false, named(step.Member, err)
	}
	value, err = f.meant(step.Raw)
	return value, err == nil, named(step.Member, err)
}

func named(member string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", member, err)
}

func single(n *node, path string) (string, bool, error) {
	found, err := n.one(path)
	if err != nil || found == nil {
		return "", false, err
	}
	if len(found.children) > 0 {
		return "", false, fmt.Errorf("%s is no value", path)
	}
	text, ok := found.value()
	return text, ok, nil
}

func joined(n *node, f *Field) (string, bool, error) {
	parts := make([]string, len(f.Join))
	for i, path := range f.Join {
		text, ok, err := single(n, path)
		if err != nil || !ok {
			return "", false, err
		}
		if strings.Contains(text, f.Between) {
			return "", false, errors.New("a part contains the separator")
		}
		parts[i] = text
	}
	return strings.Join(parts, f.Between), true, nil
}

func (r *reading) list(at string, n *node, f *Field) (any, bool, error) {
	found := n.all(f.Element)
	if len(found) == 0 {
		return nil, false, nil
	}
	list := make([]any, 0, len(found))
	for i, entry := range found {
		here := fmt.Sprintf("%s%s[%d]/", at, f.Member, i)
		object, err := r.object(here, entry, f.Each)
		if err != nil {
			return nil, false, err
		}
		if bare, ok := object["."]; ok {
			list = append(list, bare)
		} else {
			list = append(list, object)
		}
	}
	return list, true, nil
}

// sum adds up a member over a list: "bills/total_fen".
func sum(object map[string]any, path string) (any, error) {
	list, member, _ := strings.Cut(path, "/")
	entries, _ := object[list].([]any)
	total := int64(0)
	for _, entry := range entries {
		value := his.LookUp(entry, member)
		number, ok := value.(json.Number)
		if !ok {
			return nil, errors.New("an entry has no amount")
		}
		n, err := number.Int64()
		if err != nil || n < 0 || total > 1e15 {
			return nil, errors.New("an entry has no amount")
		}
		total += n
	}
	return json.Number(strconv.FormatInt(total, 10)), nil
}

// meant is what a text of the vendor's means: strictly, for an amount that is read wrong is money.
func (f *Field) meant(raw string) (any, error) {
	if len(f.Values) > 0 {
		ours, ok := f.Values[raw]
		if !ok {
			return nil, errors.New("the mapping does not know this value")
		}
		raw = ours
	}
	switch f.As {
	case "number", "fen":
		if !digits.MatchString(raw) {
			return nil, errors.New("not a whole number, zero or more")
		}
		return json.Number(raw), nil
	case "yuan":
		if !yuan.MatchString(raw) {
			return nil, errors.New("not an amount in yuan")
		}
		d, err := decimal.NewFromString(raw)
		if err != nil {
			return nil, errors.New("not an amount in yuan")
		}
		return json.Number(strconv.FormatInt(d.Shift(2).IntPart(), 10)), nil
	case "time":
		t, err := time.ParseInLocation(f.Layout, raw, clock.Shanghai)
		if err != nil {
			return nil, errors.New("not a time in this layout")
		}
		return t.Format(time.RFC3339), nil
	case "flag":
		value, ok := map[string]bool{"1": true, "0": false, "true": true, "false": false}[raw]
		if !ok {
			return nil, errors.New("neither yes nor no")
		}
		return value, nil
	}
	return raw, nil
}
