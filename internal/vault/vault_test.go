package vault

import (
	"bytes"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/tuoka/tuoka/internal/gm"
	"github.com/tuoka/tuoka/internal/sensitive"
)

func TestSealAndOpen(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	for _, plain := range []string{"", "张三丰", strings.Repeat("x", 5000)} {
		box, err := h.Seal(place(), []byte(plain))
		if err != nil {
			t.Fatal(err)
		}
		if len(box) != len(plain)+33 {
			t.Errorf("a box of %d bytes around %d, want 33 more", len(box), len(plain))
		}
		if len(plain) > 0 && bytes.Contains(box, []byte(plain)) {
			t.Error("the box shows its value")
		}
		if got, err := h.Vault.Open(place(), box); err != nil || string(got) != plain {
			t.Errorf("Open() = %q, %v, want %q", got, err, plain)
		}
		if got, err := h.again(t).Open(place(), box); err != nil || string(got) != plain {
			t.Errorf("a second process opens it to %q, %v", got, err)
		}
		if again, err := h.Seal(place(), []byte(plain)); err != nil || bytes.Equal(again, box) {
			t.Errorf("sealed twice alike, %v", err)
		}
	}
}

func TestMovedValueDoesNotOpen(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	box, err := h.Seal(Place{"patient", "name", "17"}, []byte("张三丰"))
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name string
		at   Place
	}{
		{"another row", Place{"patient", "name", "18"}},
		{"another column", Place{"patient", "phone", "17"}},
		{"another table", Place{"staff", "name", "17"}},
		{"a boundary moved", Place{"patien", "tname", "17"}},
		{"another boundary moved", Place{"patient", "name1", "7"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := h.Vault.Open(tt.at, box); got != nil || !errors.Is(err, ErrTampered) {
				t.Errorf("Open() = %q, %v, want ErrTampered", got, err)
			}
		})
	}
	for _, at := range []Place{{}, {"", "name", "17"}, {"patient", "", "17"}, {"patient", "name", ""}} {
		_, e1 := h.Seal(at, []byte("x"))
		_, e2 := h.Vault.Open(at, box)
		if !errors.Is(e1, ErrEmpty) || !errors.Is(e2, ErrEmpty) {
			t.Errorf("place %q: %v, %v, want ErrEmpty", at, e1, e2)
		}
	}
}

// TestPlacesNeverCollide: two places give the same additional data only when they are the same place.
func TestPlacesNeverCollide(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		word := rapid.StringMatching(`[ab\x00]{1,4}`)
		draw := func(name string) [4]string {
			return [4]string{word.Draw(t, name+" table"), word.Draw(t, name+" column"), word.Draw(t, name+" row"), word.Draw(t, name+" key")}
		}
		p, q := draw("a"), draw("b")
		for i := range p { // else two places would hardly ever differ in one part alone
			if rapid.Bool().Draw(t, "same") {
				q[i] = p[i]
			}
		}
		a, keyA, b, keyB := Place{p[0], p[1], p[2]}, p[3], Place{q[0], q[1], q[2]}, q[3]
		x, errA := a.aad(keyA)
		y, errB := b.aad(keyB)
		if errA != nil || errB != nil {
			t.Fatal(errA, errB)
		}
		if bytes.Equal(x, y) != (a == b && keyA == keyB) {
			t.Errorf("%q %s and %q %s collide", a, keyA, b, keyB)
		}
	})
}

func TestEachBitCounts(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	box, err := h.Seal(place(), []byte("13800000000"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(box) * 8 {
		bad := slices.Clone(box)
		bad[i/8] ^= 1 << (i % 8)
		want := error(ErrTampered)
		if i/8 >= 1 && i/8 < keyed {
			want = ErrNoKey
		}
		if got, err := h.Vault.Open(place(), bad); got != nil || !errors.Is(err, want) {
			t.Errorf("bit %d changed: %q, %v, want %v", i, got, err, want)
		}
	}
	for n := range box {
		if got, err := h.Vault.Open(place(), box[:n]); got != nil || !errors.Is(err, ErrTampered) {
			t.Errorf("cut to %d bytes: %q, %v, want ErrTampered", n, got, err)
		}
	}
}

func FuzzOpen(f *testing.F) {
	h := newHouse(f)
	f.Add([]byte(nil))
	f.Add([]byte{format, 0, 0, 0, 1})
	f.Add(append([]byte{format, 0, 0, 0, 1}, make([]byte, 28)...))
	f.Add(append([]byte{format, 0, 0, 0, 2}, make([]byte, 28)...))
	f.Fuzz(func(t *testing.T, box []byte) {
		got, err := h.Vault.Open(place(), box)
		if err == nil || got != nil || !errors.Is(err, ErrTampered) && !errors.Is(err, ErrNoKey) {
			t.Errorf("Open(%x) = %x, %v", box, got, err)
		}
		if err := h.CheckMAC(string(box), "order", "1"); !errors.Is(err, ErrTampered) && !errors.Is(err, ErrNoKey) {
			t.Errorf("CheckMAC(%q) = %v", box, err)
		}
	})
}

func TestIndex(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	base, err := h.Index("patient.phone", "13800000000")
	if err != nil || len(base) != 2+32 || !strings.HasPrefix(base, "1:") {
		t.Fatalf("Index() = %q, %v, want 1: and 32 digits", base, err)
	}
	if again, err := h.again(t).Index("patient.phone", "13800000000"); err != nil || again != base {
		t.Errorf("a second process has %q, %v, want %q", again, err, base)
	}
	for name, in := range map[string][2]string{"another text": {"patient.phone", "13800000001"}, "another field": {"staff.phone", "13800000000"}, "a boundary moved": {"patient.phon", "e13800000000"}} {
		if got, err := h.Index(in[0], in[1]); err != nil || got == base {
			t.Errorf("%s has the same index, %v", name, err)
		}
	}
	if other, err := newHouse(t).Index("patient.phone", "13800000000"); err != nil || other == base {
		t.Errorf("another vault has the same index, %v", err)
	}
	for _, in := range [][2]string{{"", "x"}, {"f", ""}} {
		_, e1 := h.Index(in[0], in[1])
		_, e2 := h.Indexes(in[0], in[1])
		if !errors.Is(e1, ErrEmpty) || !errors.Is(e2, ErrEmpty) {
			t.Errorf("Index(%q) = %v, %v, want ErrEmpty", in, e1, e2)
		}
	}
	if _, err := h.Index("a\x00b", "x"); !errors.Is(err, gm.ErrInput) {
		t.Errorf("a field with a zero byte = %v, want gm.ErrInput", err)
	}
}

func TestMAC(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	parts := []string{"paid", "1230", ""}
	mac, err := h.MAC("order", "17", parts...)
	if err != nil || len(mac) != 2+64 || !strings.HasPrefix(mac, "1:") {
		t.Fatalf("MAC() = %q, %v, want 1: and 64 digits", mac, err)
	}
	if err := h.again(t).CheckMAC(mac, "order", "17", parts...); err != nil {
		t.Errorf("a second process refuses it: %v", err)
	}
	tests := []struct {
		name       string
		mac        string
		table, row string
		parts      []string
		want       error
	}{
		{"as it is", mac, "order", "17", parts, nil},
		{"another row", mac, "order", "18", parts, ErrTampered},
		{"another table", mac, "refund", "17", parts, ErrTampered},
		{"another amount", mac, "order", "17", []string{"paid", "1231", ""}, ErrTampered},
		{"a boundary moved", mac, "order", "17", []string{"paid1", "230", ""}, ErrTampered},
		{"an empty part lost", mac, "order", "17", []string{"paid", "1230"}, ErrTampered},
		{"a part more", mac, "order", "17", []string{"paid", "1230", "", ""}, ErrTampered},
		{"row and part exchanged", mac, "order", "", []string{"17", "paid", "1230", ""}, ErrEmpty},
		{"empty", "", "order", "17", parts, ErrTampered},
		{"no number", mac[1:], "order", "17", parts, ErrTampered},
		{"a leading zero", "0" + mac, "order", "17", parts, ErrTampered},
		{"cut", mac[:len(mac)-1], "order", "17", parts, ErrTampered},
		{"capitals", strings.ToUpper(mac), "order", "17", parts, ErrTampered},
		{"unknown version", "2" + mac[1:], "order", "17", parts, ErrNoKey},
		{"a number too large", "4294967296" + mac[1:], "order", "17", parts, ErrTampered},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := h.CheckMAC(tt.mac, tt.table, tt.row, tt.parts...); !errors.Is(err, tt.want) {
				t.Errorf("CheckMAC() = %v, want %v", err, tt.want)
			}
		})
	}
	for i := range len(mac) {
		bad := []byte(mac)
		bad[i] ^= 1
		if h.CheckMAC(string(bad), "order", "17", parts...) == nil {
			t.Errorf("accepted with character %d changed", i)
		}
	}
	for _, in := range [][2]string{{"", "17"}, {"order", ""}} {
		if _, err := h.MAC(in[0], in[1]); !errors.Is(err, ErrEmpty) {
			t.Errorf("MAC(%q) = %v, want ErrEmpty", in, err)
		}
	}
}

func TestText(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id, err := sensitive.ParseIDNumber("11010119900307109x")
	if err != nil {
		t.Fatal(err)
	}
	box, err := h.SealText(place(), id)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := h.Vault.Open(place(), box); err != nil || string(got) != "11010119900307109X" {
		t.Errorf("Open() = %q, %v", got, err)
	}
	tests := []struct {
		name string
		in   Revealer
		want string // normalised
	}{
		{"identity number", id, "11010119900307109X"},
		{"name, full width", sensitive.NewName("　Ｌｉ　Ｘｉ "), "Li Xi"},
		{"Chinese name", sensitive.NewName(" 张三丰\n"), "张三丰"},
		{"phone, full width", sensitive.NewPhone("１３８００００００００"), "13800000000"},
		{"openid as it is", sensitive.NewOpenID(" oXx１ "), " oXx１ "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want, err := h.Index("f", tt.want)
			if err != nil {
				t.Fatal(err)
			}
			if got, err := h.IndexText("f", tt.in); err != nil || got != want {
				t.Errorf("IndexText() = %q, %v, want the index of %q", got, err, tt.want)
			}
			if got, err := h.IndexesText("f", tt.in); err != nil || !slices.Equal(got, []string{want}) {
				t.Errorf("IndexesText() = %q, %v, want only that", got, err)
			}
		})
	}
	if got := NormalIDNumber("　１１０１０１１９９００３０７１０９ｘ "); got != "11010119900307109X" {
		t.Errorf("NormalIDNumber() = %q", got)
	}
	if _, err := h.IndexText("f", sensitive.NewName(" 　")); !errors.Is(err, ErrEmpty) {
		t.Errorf("a name of blanks = %v, want ErrEmpty", err)
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 100 {
		seen[RandomToken(32).Reveal()] = true
	}
	if len(seen) != 100 {
		t.Errorf("%d different tokens of 100", len(seen))
	}
	for n, want := range map[int]int{32: 32, 16: 16, 1: 16, 0: 16, -5: 16} {
		b, err := base64.RawURLEncoding.DecodeString(RandomToken(n).Reveal())
		if err != nil || len(b) != want {
			t.Errorf("RandomToken(%d) has %d bytes, %v, want %d", n, len(b), err, want)
		}
	}
	if got, want := HashToken(sensitive.NewToken("abc")), "66c7f0f462eeedd9d1f2d46bdc10e4e24167c4875cf2f7a2297da02b8f4ba8e0"; got != want {
		t.Errorf("HashToken(abc) = %s, want %s", got, want)
	}
}
