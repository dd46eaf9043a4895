package his

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

// The wire structs and codes of this package follow docs/his-interface.md version 1.3; sections are of that page. Codes: §4.
const (
	codeDone          = "0"
	codeNone          = "1"
	codeNotFound      = "NOT_FOUND"
	codeAlreadyPaid   = "ALREADY_PAID"
	codeBillVoid      = "BILL_VOID"
	codeBillChanged   = "BILL_CHANGED"
	codeLocked        = "LOCKED"
	codeLockExpired   = "LOCK_EXPIRED"
	codeAmountWrong   = "AMOUNT_WRONG"
	codeDuplicate     = "DUPLICATE"
	codeNotRefundable = "NOT_REFUNDABLE"
	codeMaintenance   = "MAINTENANCE"
	codeSettled       = "SETTLED"
	codeAuthExpired   = "AUTH_EXPIRED"
	codeRefused       = "INSURER_REFUSED"

	// CodeInvalid calls the request malformed. It means nothing by itself: rest wants the status beside it.
	CodeInvalid = "INVALID"
)

// Answer is the body of every answer: a code, and what the operation has to say.
type Answer struct {
	Code string          `json:"code"`
	Data json.RawMessage `json:"data"`
}

// ReadAnswer reads one: valid UTF-8 without a byte order mark, one object, no member named twice anywhere in it, a code.
func ReadAnswer(body []byte) (Answer, error) {
	var e Answer
	if err := Distinct(body); err != nil {
		return e, err
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return e, fmt.Errorf("envelope: %w", err)
	}
	if e.Code == "" {
		return e, errors.New("no code")
	}
	return e, nil
}

// Distinct refuses a document that is not JSON in UTF-8, and one in which an object names a member twice, for a carrier that reads by itself.
func Distinct(body []byte) error {
	if !utf8.Valid(body) {
		return errors.New("the answer is not in UTF-8")
	}
	return distinct(body)
}

// into reads data, which must be an object.
func into(data json.RawMessage, out any) error {
	if len(data) == 0 || data[0] != '{' {
		return errors.New("done, but no data")
	}
	return json.Unmarshal(data, out)
}

// mostTokens is how much a document may say: 2000 lines of a bill as FHIR's resources are half of it. What is said in two bytes takes fifty once it is read.
const mostTokens = 1_000_000

// distinct refuses a document in which an object names a member twice: which of the two is meant, nobody knows. Case is folded, as
// encoding/json folds it. Two documents in one are refused, too, and one that would fill the memory.
func distinct(body []byte) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber()
	type level struct {
		names map[string]bool // nil in an array
		key   bool            // the next token is a name
	}
	var stack []level
	for tokens := 0; ; tokens++ {
		token, err := d.Token()
		switch {
		case errors.Is(err, io.EOF) && len(stack) == 0:
			return nil
		case err != nil:
			return errors.New("not a JSON document")
		case tokens > 0 && len(stack) == 0:
			return errors.New("two documents in one")
		case tokens > mostTokens:
			return errors.New("the document is too large")
		}
		var top *level
		if len(stack) > 0 {
			top = &stack[len(stack)-1]
		}
		switch t := token.(type) {
		case json.Delim:
			if t == '}' || t == ']' {
				stack = stack[:len(stack)-1]
				continue
			}
			if top != nil {
				top.key = top.names != nil
			}
			next := level{}
			if t == '{' {
				next = level{names: map[string]bool{}, key: true}
			}
			if stack = append(stack, next); len(stack) > 16 {
				return errors.New("the document is too deep")
			}
			continue
		case string:
			if top != nil && top.key {
				name := strings.ToLower(strings.ToUpper(t)) // ſ is an s, and the Kelvin sign a k
				if top.names[name] {
					return errors.New("a member is named twice")
				}
				top.names[name], top.key = true, false
				continue
			}
		}
		if top != nil {
			top.key = top.names != nil
		}
	}
}

// amount is fen as the interface writes it: a JSON integer without sign, at most money.Max. Absent is not zero.
type amount struct {
	fen     money.Fen
	present bool
}

var errAmount = errors.New("an amount is not a whole number of fen, zero or more")

// UnmarshalJSON refuses everything but digits: no text, no exponent, no point, no sign, no null.
func (a *amount) UnmarshalJSON(b []byte) error {
	if len(b) == 0 || len(b) > 15 || (b[0] == '0' && len(b) > 1) {
		return errAmount
	}
	var n money.Fen
	for _, digit := range b {
		if digit < '0' || digit > '9' {
			return errAmount
		}
		n = n*10 + money.Fen(digit-'0')
	}
	if n > money.Max {
		return money.ErrRange
	}
	*a = amount{fen: n, present: true}
	return nil
}

// figure is a quantity or unit price: a JSON string of plain digits with at most four decimals.
type figure struct{ decimal.Decimal }

var plainFigure = regexp.MustCompile(`^(0|[1-9][0-9]{0,11})(\.[0-9]{1,4})?$`)

// UnmarshalJSON refuses numbers (their decimals may have gone through a float), signs, exponents, thousands marks and wide digits.
func (f *figure) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil || !plainFigure.MatchString(text) {
		return errors.New("a quantity or price is not plain decimal text")
	}
	d, err := decimal.NewFromString(text)
	if err != nil {
		return errors.New("a quantity or price is not a number")
	}
	f.Decimal = d
	return nil
}

// moment is RFC 3339 with its zone, in this century.
type moment struct{ time.Time }

// UnmarshalJSON refuses a time without a zone.
func (m *moment) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return errors.New("a time is not text")
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil || t.Year() < 2000 || t.Year() > 2100 {
		return errors.New("a time is not RFC 3339, or absurd")
	}
	m.Time = t.UTC()
	return nil
}

// wireTime writes a moment for the hospital: China time, to the second; nil for none.
func wireTime(t time.Time) *string {
	if t.IsZero() {
		return nil
	}
	s := t.In(clock.Shanghai).Format(time.RFC3339)
	return &s
}

// named is a code with its name: a department or a doctor.
type named struct {
	Code string `json:"code"`
	Name string `json:"name"`
}

func (n named) empty() bool {
	return n.Code == "" || n.Name == "" || len(n.Code) > 30 || utf8.RuneCountInString(n.Name) > 100
}
