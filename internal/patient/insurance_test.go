package patient

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
)

func identity(p Patient, life time.Duration) Identity {
	return Identity{Name: p.Name, IDNumber: p.IDNumber, PayAuthNo: sensitive.NewToken("AUTH360000000001"), Location: "115.89,28.68", UsableFor: life}
}

func TestBind(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	p := h.addSelf(t)
	h.wechat.people["auth-1"] = identity(p, 10*time.Minute)

	_, err := h.Bind(ctx, h.who, p.ID, "auth-1", "")
	wantErr(t, err, ErrNoConsent)
	_, err = h.Jump(ctx, h.who)
	wantErr(t, err, ErrNoConsent)
	if h.wechat.asked != 0 {
		t.Fatal("the insurer's side was asked before the consent")
	}
	if c, err := h.Coverage(ctx, h.who, p.ID); err != nil || c.Bound || c.Usable {
		t.Errorf("Coverage = %+v, %v; want nothing", c, err)
	}
	h.agree(t, ConsentInsurance)
	j, err := h.Jump(ctx, h.who)
	if err != nil || j != h.wechat.jump {
		t.Errorf("Jump = %+v, %v", j, err)
	}
	c, err := h.Bind(ctx, h.who, p.ID, "auth-1", "")
	if err != nil || !c.Bound || !c.Usable || !c.UsableUntil.Equal(h.clock.Now().Add(10*time.Minute)) {
		t.Fatalf("Bind = %+v, %v", c, err)
	}
	h.recorded(t, "insurance.bind", objectOf(p.ID), "ok")
	if h.wechat.wantsOpen != "openid-1" {
		t.Error("the authorisation was exchanged for another openid")
	}
	if a := h.store.auths[0]; a.Patient != p.ID || a.Location != "115.89,28.68" || !a.Number.Equal(sensitive.NewToken("AUTH360000000001")) || a.ID <= 0 {
		t.Errorf("stored authorisation = %+v", a)
	}
	if got, err := h.Coverage(ctx, h.who, p.ID); err != nil || got != c {
		t.Errorf("Coverage = %+v, %v; want %+v", got, err, c)
	}
	h.clock.Advance(10 * time.Minute)
	if got, err := h.Coverage(ctx, h.who, p.ID); err != nil || !got.Bound || got.Usable {
		t.Errorf("Coverage = %+v, %v; want bound and not usable", got, err)
	}
	_, err = h.Bind(ctx, h.who, p.ID, "auth-1", "")
	wantErr(t, err, ErrAuthCode)
	h.recorded(t, "insurance.bind", objectOf(p.ID), "AUTH_CODE_INVALID")

	_, stranger := h.login(t, "code-2")
	_, err = h.Coverage(ctx, stranger, p.ID)
	wantErr(t, err, ErrNotFound)
}

func TestBindComparesThePerson(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	self := h.addSelf(t)
	h.agree(t, ConsentInsurance)
	motherID := withCheck(t, "36010219600101002")
	h.archive(t, motherName, motherID, "P5")
	mother, err := h.Add(ctx, h.who, typed(t, Parent, motherName, motherID, ""+"13812345679"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		whom Patient
		seen func() Identity
		want *fault.Error
	}{
		{"the owner's authorisation for the mother", mother, func() Identity { return identity(self, time.Minute) }, ErrIdentity},
		{"the mother's for the owner", self, func() Identity { return identity(mother, time.Minute) }, ErrIdentity},
		{"same number, other name", self, func() Identity { i := identity(self, time.Minute); i.Name = mother.Name; return i }, ErrIdentity},
		{"same name, other number", self, func() Identity { i := identity(self, time.Minute); i.IDNumber = mother.IDNumber; return i }, ErrIdentity},
		{"no name", self, func() Identity { i := identity(self, time.Minute); i.Name = sensitive.Name{}; return i }, ErrIdentity},
		{"no authorisation", self, func() Identity { i := identity(self, time.Minute); i.PayAuthNo = sensitive.Token{}; return i }, ErrAuthCode},
		{"no life", self, func() Identity { return identity(self, 0) }, ErrAuthCode},
	} {
		h.wechat.people["auth"] = c.seen()
		_, err := h.Bind(ctx, h.who, c.whom.ID, "auth", "")
		if !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		h.recorded(t, "insurance.bind", objectOf(c.whom.ID), c.want.Code)
	}
	if len(h.store.bindings) != 0 || len(h.store.auths) != 0 {
		t.Error("a refused identity was stored")
	}
	h.store.broken["Record"] = errDatabase
	h.wechat.people["auth"] = identity(mother, time.Minute)
	_, err = h.Bind(ctx, h.who, self.ID, "auth", "")
	wantErr(t, err, errDatabase)
	wantErr(t, err, ErrIdentity)
}

func TestFamilyAuthorisation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	self := h.addSelf(t)
	h.agree(t, ConsentInsurance)
	motherID := withCheck(t, "36010219600101002")
	h.archive(t, motherName, motherID, "P5")
	mother, err := h.Add(ctx, h.who, typed(t, Parent, motherName, motherID, ""+"13812345679"))
	if err != nil {
		t.Fatal(err)
	}
	forRelative := func(p Patient) Identity { i := identity(p, time.Minute); i.Family = true; return i }
	h.wechat.people["auth"] = forRelative(self)
	_, err = h.Bind(ctx, h.who, mother.ID, "auth", "")
	wantErr(t, err, ErrNoFamilyAuth)
	inst := h.institutions["h1"]
	inst.Family = true
	h.institutions["h1"] = inst
	stranger := forRelative(self)
	stranger.IDNumber, err = sensitive.ParseIDNumber(withCheck(t, "36010219700101003"))
	if err != nil {
		t.Fatal(err)
	}
	nameless, numberless, spent := forRelative(self), forRelative(self), forRelative(self)
	nameless.Name, numberless.IDNumber, spent.PayAuthNo = sensitive.Name{}, sensitive.IDNumber{}, sensitive.Token{}
	for name, c := range map[string]struct {
		whom Patient
		seen Identity
		want *fault.Error
	}{
		"for himself":                     {self, forRelative(mother), ErrIdentity},
		"the patient authorised":          {mother, forRelative(mother), ErrIdentity},
		"not the account's owner":         {mother, stranger, ErrIdentity},
		"without the authoriser's name":   {mother, nameless, ErrAuthCode},
		"without the number":              {mother, numberless, ErrAuthCode},
		"without an authorisation":        {mother, spent, ErrAuthCode},
		"the owner's own, not a family's": {mother, identity(self, time.Minute), ErrIdentity},
	} {
		h.wechat.people["auth"] = c.seen
		if _, err := h.Bind(ctx, h.who, c.whom.ID, "auth", ""); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if len(h.store.auths) != 0 {
		t.Fatal("a refused authorisation was stored")
	}
	right := forRelative(self)
	right.Location = ""
	h.wechat.people["auth"] = right
	if c, err := h.Bind(ctx, h.who, mother.ID, "auth", "115.9,28.7"); err != nil || !c.Usable {
		t.Fatalf("Bind() = %+v, %v", c, err)
	}
	a := h.store.auths[0]
	if !a.Family || !a.PayerID.Equal(self.IDNumber) || !a.PayerName.Equal(self.Name) || a.Patient != mother.ID || a.Location != "115.9,28.7" {
		t.Errorf("stored authorisation = %+v", a)
	}
	if c, err := h.Coverage(ctx, h.who, mother.ID); err != nil || !c.Bound || !c.Usable || !c.Family || !c.Payer.Equal(self.Name) {
		t.Errorf("Coverage() = %+v, %v", c, err)
	}
	h.wechat.people["auth"] = identity(mother, time.Minute) // the mother authorises on her own: nobody else pays
	if c, err := h.Bind(ctx, h.who, mother.ID, "auth", ""); err != nil || c.Family || !c.Payer.IsZero() {
		t.Errorf("Bind() = %+v, %v", c, err)
	}
	h.wechat.people["auth"] = forRelative(self)
	h.store.broken["Patients"] = errDatabase
	_, err = h.Bind(ctx, h.who, mother.ID, "auth", "")
	wantErr(t, err, errDatabase)
	delete(h.store.broken, "Patients")
	if err := h.Remove(ctx, h.who, self.ID); err != nil {
		t.Fatal(err)
	}
	h.wechat.people["auth"] = stranger // nothing to compare with: WeChat compares with the account's e-credential
	if c, err := h.Bind(ctx, h.who, mother.ID, "auth", ""); err != nil || !c.Family {
		t.Errorf("Bind() without the owner among the patients = %+v, %v", c, err)
	}
	if text := fmt.Sprintf("%+v %+v", h.store.auths, h.store.records); strings.Contains(text, adultName) || strings.Contains(text, h.adultID) {
		t.Error("the payer can be read in a printed authorisation or record")
	}
}

func TestLocation(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	p := h.addSelf(t)
	h.agree(t, ConsentInsurance)
	for _, bad := range []string{"115", "115,", ",28", "181,28", "180.1,28", "115,91", "115,-90.5", "115.9 ,28", "1e2,28", "+115,28", "--1,28", "-,28", "115,28,1",
		"115.,28", ".5,28", "NaN,28", "115.1234567890123456,28"} {
		h.wechat.people["auth"] = identity(p, time.Minute)
		_, err := h.Bind(t.Context(), h.who, p.ID, "auth", bad)
		wantErr(t, err, ErrLocation)
	}
	if h.wechat.asked != 0 {
		t.Error("the code was spent for an unreadable location")
	}
	h.wechat.people["auth"] = identity(p, time.Minute)
	if _, err := h.Bind(t.Context(), h.who, p.ID, "auth", "-1.5,-2.5"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ platform, phone, want string }{
		{"", "180.0,-90", "180.0,-90"}, {"", "115.123456789012345,28.1", "115.123456789012345,28.1"}, {"999,28", "115.9,28.7", "115.9,28.7"}, {"999,28", "", ""}, {"", "", ""},
	} {
		seen := identity(p, time.Minute)
		seen.Location = c.platform
		h.wechat.people["auth"] = seen
		if _, err := h.Bind(t.Context(), h.who, p.ID, "auth", c.phone); err != nil {
			t.Fatal(err)
		}
		if got := h.store.auths[len(h.store.auths)-1].Location; got != c.want {
			t.Errorf("platform %q, phone %q: location = %q, want %q", c.platform, c.phone, got, c.want)
		}
	}
	if got := h.store.auths[0].Location; got != "115.89,28.68" {
		t.Errorf("location = %s, want the platform's", got)
	}
}

func TestNoInsuranceHere(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	p := h.addSelf(t)
	h.agree(t, ConsentInsurance)
	h.wechat.jump = Jump{}
	_, err := h.Jump(ctx, h.who)
	wantErr(t, err, ErrNoInsurance)
	inst := h.institutions["h1"]
	inst.Insurance = false
	h.institutions["h1"] = inst
	_, err = h.Jump(ctx, h.who)
	wantErr(t, err, ErrNoInsurance)
	_, err = h.Bind(ctx, h.who, p.ID, "auth", "")
	wantErr(t, err, ErrNoInsurance)
}

func TestBindAndABrokenStore(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"Account", "Bind"} {
		h := newHouse(t)
		p := h.addSelf(t)
		h.agree(t, ConsentInsurance)
		h.wechat.people["auth"] = identity(p, time.Minute)
		h.store.broken[method] = errDatabase
		_, err := h.Bind(t.Context(), h.who, p.ID, "auth", "")
		wantErr(t, err, errDatabase)
	}
	for _, method := range []string{"BindingOf", "NewestAuth"} {
		h := newHouse(t)
		p := h.addSelf(t)
		h.store.bindings[p.ID] = Binding{Patient: p.ID}
		if c, err := h.Coverage(t.Context(), h.who, p.ID); err != nil || !c.Bound || c.Usable {
			t.Errorf("Coverage = %+v, %v; want bound without an authorisation", c, err)
		}
		h.store.broken[method] = errDatabase
		_, err := h.Coverage(t.Context(), h.who, p.ID)
		wantErr(t, err, errDatabase)
	}
	h := newHouse(t)
	h.config.Log = nil // then refusals are not recorded
	_, err := h.Bind(t.Context(), h.who, 1, "auth", "")
	wantErr(t, err, ErrNoConsent)
}
