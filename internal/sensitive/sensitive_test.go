package sensitive

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"
)

const plainText = "秘密张三丰13812345678"

func idNumber(t *testing.T) IDNumber {
	t.Helper()
	n, err := ParseIDNumber(idWithCheck("11010119900307002"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func idWithCheck(first17 string) string { return first17 + string(checkDigit(first17)) }

// TestNothingLeaks prints every type by every verb, both slog handlers and the encoders.
func TestNothingLeaks(t *testing.T) {
	id := idNumber(t)
	values := map[string]any{
		"Name": NewName(plainText), "Phone": NewPhone(plainText), "OpenID": NewOpenID(plainText),
		"Token": NewToken(plainText), "Key": NewKey(plainText), "IDNumber": id,
	}
	secrets := []string{plainText, id.Reveal(), fmt.Sprintf("%x", plainText), fmt.Sprintf("%X", plainText), fmt.Sprintf("%q", plainText)[1:20]}
	clean := func(t *testing.T, how, out string) {
		t.Helper()
		for _, s := range secrets {
			if strings.Contains(out, s) {
				t.Errorf("%s leaks: %s", how, out)
			}
		}
	}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			nested := struct {
				Field   any
				private any
				Deep    []any
				Map     map[string]any
			}{v, v, []any{v}, map[string]any{"k": v}}
			for _, thing := range []any{v, &v, nested, &nested} {
				for verb := 'A'; verb <= 'z'; verb++ {
					for _, flag := range []string{"", "+", "#", "-", " ", "0", "20", ".3"} {
						clean(t, "verb %"+flag+string(verb), fmt.Sprintf("%"+flag+string(verb), thing))
					}
				}
			}
			for _, err := range []error{fmt.Errorf("wrapped %v", v), fmt.Errorf("%s %d", v, v)} {
				clean(t, "error", err.Error())
			}
			var buf bytes.Buffer
			for _, h := range []slog.Handler{slog.NewJSONHandler(&buf, nil), slog.NewTextHandler(&buf, nil)} {
				slog.New(h).Info("message", "value", v, "nested", nested, slog.Group("g", "value", v))
			}
			clean(t, "slog", buf.String())
			out, err := json.Marshal(nested)
			if err != nil {
				t.Fatal(err)
			}
			clean(t, "json", string(out))
			if !bytes.Contains(out, []byte(label)) {
				t.Errorf("json = %s, want the label", out)
			}
			out, err = xml.Marshal(v)
			if err == nil {
				clean(t, "xml", string(out))
			}
			buf.Reset()
			if err := gob.NewEncoder(&buf).Encode(v); err == nil {
				t.Error("gob encodes")
			}
			clean(t, "gob", buf.String())
			clean(t, "panic", fmt.Sprint(func() (r any) { defer func() { r = recover() }(); panic(v) }()))
			if s, ok := v.(fmt.GoStringer); !ok || s.GoString() != label {
				t.Error("GoString is not the label")
			}
			if s, ok := v.(fmt.Stringer); !ok || s.String() != label {
				t.Error("String is not the label")
			}
		})
	}
}

func TestParseIDNumber(t *testing.T) {
	tests := []struct {
		name, in, want string
	}{
		{"eighteen digits", "130503196704010016", "130503196704010016"},
		{"capital X", "11010119900307109X", "11010119900307109X"},
		{"small x", "11010119900307109x", "11010119900307109X"},
		{"full width", "１１０１０１１９９００３０７１０９ｘ", "11010119900307109X"},
		{"blanks around", " 130503196704010016 ", "130503196704010016"},
		{"fifteen digits", "130503670401001", "130503196704010016"},
		{"wrong check digit", "130503196704010017", ""},
		{"two digits swapped", "130503196704010106", ""},
		{"no such day", idWithCheck("11010119900231001"), ""},
		{"month thirteen", idWithCheck("11010119901331001"), ""},
		{"born before anybody alive", idWithCheck("11010118000101001"), ""},
		{"area begins with zero", idWithCheck("01010119900307001"), ""},
		{"too short", "1305031967040100", ""},
		{"letter inside", "13050319670401A016", ""},
		{"X inside", "1305031967040100X6", ""},
		{"fifteen with a letter", "13050367040100X", ""},
		{"empty", "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseIDNumber(tt.in)
			if got.Reveal() != tt.want || (err != nil) != (tt.want == "") {
				t.Errorf("ParseIDNumber = %q, %v, want %q", got.Reveal(), err, tt.want)
			}
			if err != nil && !errors.Is(err, ErrIDNumber) {
				t.Errorf("err = %v, want ErrIDNumber", err)
			}
		})
	}
}

func TestIDNumberFacts(t *testing.T) {
	n, err := ParseIDNumber("130503670401001")
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(1967, 4, 1, 0, 0, 0, 0, time.UTC); !n.Birth().Equal(want) {
		t.Errorf("Birth = %v, want %v", n.Birth(), want)
	}
	if n.Female() {
		t.Error("Female = true, want false")
	}
	if !(IDNumber{}).Birth().IsZero() || (IDNumber{}).Female() {
		t.Error("a zero number has facts")
	}
}

func TestMasked(t *testing.T) {
	id := idNumber(t)
	tests := []struct{ name, got, want string }{
		{"name of three", NewName("张三丰").Masked(), "张**"},
		{"name of two", NewName(" 张三 ").Masked(), "张*"},
		{"long name", NewName("买买提江·阿不都热西提").Masked(), "买***"},
		{"one character shows nothing", NewName("张").Masked(), "*"},
		{"no name", Name{}.Masked(), "*"},
		{"broken text", NewName("\xff\xfe").Masked(), "*"},
		{"phone", NewPhone("13812345678").Masked(), "138****5678"},
		{"short phone shows nothing", NewPhone("1381234").Masked(), "****"},
		{"phone with a letter", NewPhone("1381234567a").Masked(), "****"},
		{"identity number", id.Masked(), "110" + "***********" + id.Reveal()[14:]},
		{"no identity number", IDNumber{}.Masked(), "******************"},
	}
	for _, tt := range tests {
		if tt.got != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, tt.got, tt.want)
		}
	}
}

func TestEqualAndZero(t *testing.T) {
	a, b := idNumber(t), idNumber(t)
	if !a.Equal(b) || a.Equal(IDNumber{}) || !NewName("a").Equal(NewName("a")) || !NewPhone("1").Equal(NewPhone("1")) ||
		!NewOpenID("1").Equal(NewOpenID("1")) || !NewToken("1").Equal(NewToken("1")) || NewKey("1").Equal(NewKey("2")) {
		t.Error("Equal is wrong")
	}
	if !(Name{}).IsZero() || !NewName("  ").IsZero() || a.IsZero() {
		t.Error("IsZero is wrong")
	}
}

func FuzzParseIDNumber(f *testing.F) {
	for _, s := range []string{"130503196704010016", "130503670401001", "11010119900307109x", "", "１１０１０１１９９００３０７１０９ｘ"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseIDNumber(s)
		if err != nil {
			return
		}
		again, err := ParseIDNumber(n.Reveal())
		if err != nil || !again.Equal(n) || n.Birth().IsZero() {
			t.Errorf("a parsed number does not parse again: %v", err)
		}
	})
}
