package patient

import (
	"errors"
	"testing"
	"time"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/fault"
	"github.com/tuoka/tuoka/internal/sensitive"
)

func TestReadPatient(t *testing.T) {
	t.Parallel()
	id := withCheck(t, adultID[:17])
	wrong := id[:17] + string("0123456789X"[(int(id[17]-'0')+1)%10])
	for _, c := range []struct {
		name                 string
		relation             Relation
		person, number, phon string
		want                 *fault.Error
		field                string
	}{
		{"all right", Self, adultName, id, "13812345678", nil, ""},
		{"no phone", Child, adultName, id, "", nil, ""},
		{"blanks around", Self, "  " + adultName, " " + id + " ", " 13812345678 ", nil, ""},
		{"minority name with another dot", Self, "阿卜杜拉•买买提", id, "", nil, ""},
		{"old number of 15 digits", Self, adultName, "360102850615123", "", nil, ""},
		{"unknown relation", "friend", adultName, id, "", ErrRelation, "relation"},
		{"one character", Self, "张", id, "", ErrName, "name"},
		{"digits in a name", Self, "张3丰", id, "", ErrName, "name"},
		{"markup in a name", Self, "<b>张三</b>", id, "", ErrName, "name"},
		{"not UTF-8", Self, "张\xff三", id, "", ErrName, "name"},
		{"wrong check digit", Self, adultName, wrong, "", ErrIDNumber, "id_number"},
		{"17 characters", Self, adultName, id[:17], "", ErrIDNumber, "id_number"},
		{"10 digits of phone", Self, adultName, id, "1381234567", ErrPhone, "phone"},
		{"a landline", Self, adultName, id, "07918888000", ErrPhone, "phone"},
		{"letters in the phone", Self, adultName, id, "1381234567a", ErrPhone, "phone"},
		{"12 is no mobile", Self, adultName, id, "12812345678", ErrPhone, "phone"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n, err := ReadPatient(c.relation, c.person, c.number, c.phon)
			if c.want == nil {
				if err != nil || n.Name.IsZero() || n.IDNumber.IsZero() {
					t.Errorf("ReadPatient = %+v, %v", n, err)
				}
				return
			}
			f, ok := errors.AsType[*fault.Error](err)
			if !ok || !errors.Is(err, c.want) || f.Field != c.field {
				t.Errorf("ReadPatient: %v at %q, want %v at %q", err, f.Field, c.want, c.field)
			}
		})
	}
	dot, err := ReadPatient(Self, "阿卜杜拉•买买提", id, "")
	if err != nil || !dot.Name.Equal(sensitive.NewName("阿卜杜拉·买买提")) {
		t.Error("the middle dot is not written as on identity cards")
	}
	old, err := ReadPatient(Self, adultName, "360102850615123", "")
	if err != nil || old.IDNumber.Masked()[:3] != "360" || old.IDNumber.Birth().Year() != 1985 {
		t.Error("15 digits were not lengthened")
	}
}

func FuzzReadPatient(f *testing.F) {
	f.Add("self", adultName, adultID, "13812345678")
	f.Add("child", "Ａ·Ｂ", "３６０１０２１９８５０６１５１２３Ｘ", "")
	f.Fuzz(func(t *testing.T, relation, name, id, phone string) {
		n, err := ReadPatient(Relation(relation), name, id, phone)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid {
				t.Fatalf("kind %v", k)
			}
			return
		}
		if n.Name.IsZero() || n.IDNumber.Birth().IsZero() || (!n.Phone.IsZero() && n.Phone.Masked() == "****") {
			t.Fatal("accepted what cannot be shown")
		}
	})
}

func TestAddPatient(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	h.archive(t, adultName, h.adultID, "P1")
	self := typed(t, Self, adultName, h.adultID, "13812345678")

	_, err := h.Add(ctx, h.who, self)
	wantErr(t, err, ErrNoConsent)
	if h.his.asked != 0 {
		t.Error("the HIS was asked before the consent")
	}
	h.agree(t, ConsentPrivacy)
	p, err := h.Add(ctx, h.who, self)
	if err != nil || p.HISPatient != "P1" || p.Institution != "h1" || p.Account != h.who.Account || p.ID <= 0 {
		t.Fatalf("Add = %+v, %v", p, err)
	}
	h.recorded(t, "patient.add", objectOf(p.ID), "ok")
	_, err = h.Add(ctx, h.who, self)
	wantErr(t, err, ErrExists)

	second := typed(t, Self, motherName, withCheck(t, "36010219600101002"), "13812345678")
	_, err = h.Add(ctx, h.who, second)
	wantErr(t, err, ErrExists)

	people, err := h.Patients(ctx, h.who)
	if err != nil || len(people) != 1 || people[0].ID != p.ID {
		t.Errorf("Patients = %v, %v", people, err)
	}
	_, stranger := h.login(t, "code-2")
	_, err = h.Patient(ctx, stranger, p.ID)
	wantErr(t, err, ErrNotFound)
	wantErr(t, h.Remove(ctx, stranger, p.ID), ErrNotFound)
	if err := h.Remove(ctx, h.who, p.ID); err != nil {
		t.Fatal(err)
	}
	h.recorded(t, "patient.remove", objectOf(p.ID), "ok")
	_, err = h.Patient(ctx, h.who, p.ID)
	wantErr(t, err, ErrNotFound)
}

func TestTheHISDecidesWhoItIs(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	h.agree(t, ConsentPrivacy)
	n := typed(t, Self, adultName, h.adultID, "13812345678")

	_, err := h.Add(ctx, h.who, n)
	wantErr(t, err, ErrNoRecord)
	h.recorded(t, "patient.add", "patient", "HIS_PATIENT_NOT_FOUND")

	h.archive(t, motherName, h.adultID, "P9") // F11: the HIS shows somebody else's archive
	_, err = h.Add(ctx, h.who, n)
	wantErr(t, err, ErrNoRecord)

	h.archive(t, adultName, h.adultID, "P1", "P2")
	_, err = h.Add(ctx, h.who, n)
	wantErr(t, err, ErrManyRecords)
	many, ok := errors.AsType[*ManyRecordsError](err)
	if !ok || len(many.Choices) != 2 || many.Choices[0].CardNo != "****P1" || many.Error() == "" {
		t.Fatalf("choices = %+v", many)
	}
	n.HISPatient = "P9"
	_, err = h.Add(ctx, h.who, n)
	wantErr(t, err, ErrManyRecords)
	n.HISPatient = "P2"
	p, err := h.Add(ctx, h.who, n)
	if err != nil || p.HISPatient != "P2" {
		t.Errorf("Add = %v, %v; want the chosen archive", p.HISPatient, err)
	}

	silent := newHouse(t)
	silent.agree(t, ConsentPrivacy)
	silent.his.err = bill.ErrNoAnswer
	_, err = silent.Add(ctx, silent.who, n)
	wantErr(t, err, bill.ErrNoAnswer)
	if fault.KindOf(err) != fault.Unknown {
		t.Error("no answer is read as something else")
	}
}

func TestPhoneComesFromTheAccount(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	_, err := h.SetPhone(ctx, h.who, "phone-1")
	wantErr(t, err, ErrNoConsent)
	h.agree(t, ConsentPrivacy)
	h.archive(t, adultName, h.adultID, "P1")
	_, err = h.Add(ctx, h.who, typed(t, Self, adultName, h.adultID, ""))
	wantErr(t, err, ErrPhone)
	_, err = h.SetPhone(ctx, h.who, "spent")
	wantErr(t, err, ErrPhone)
	got, err := h.SetPhone(ctx, h.who, "phone-1")
	if err != nil || got.Masked() != "138****5678" {
		t.Fatalf("SetPhone = %s, %v", got.Masked(), err)
	}
	h.recorded(t, "account.phone", h.who.actor(), "ok")
	p, err := h.Add(ctx, h.who, typed(t, Self, adultName, h.adultID, ""))
	if err != nil || p.Phone.Masked() != "138****5678" {
		t.Errorf("Add = %s, %v", p.Phone.Masked(), err)
	}
}

func TestUnderFourteen(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	ctx := t.Context()
	h.agree(t, ConsentPrivacy)
	today := clock.Day(h.clock.Now())
	id := withCheck(t, "360102"+today.AddDate(-14, 0, 1).Format("20060102")+"001") // 14 tomorrow
	h.archive(t, childName, id, "C1")
	child := typed(t, Child, childName, id, "")

	_, err := h.Add(ctx, h.who, child)
	wantErr(t, err, ErrGuardian)
	child.GuardianConsent = true
	_, err = h.Add(ctx, h.who, child)
	wantErr(t, err, ErrGuardian) // the text is not agreed to
	if h.his.asked != 0 {
		t.Error("the HIS was asked about a child before its guardian agreed")
	}
	h.agree(t, ConsentGuardian)
	p, err := h.Add(ctx, h.who, child)
	if err != nil || !p.GuardianConsent || !h.UnderFourteen(p) {
		t.Fatalf("Add = %+v, %v", p, err)
	}
	if err := mayPay(ctx, h, h.who, p.ID, false); err != nil {
		t.Error(err)
	}
	if err := h.Withdraw(ctx, h.who, ConsentGuardian); err != nil {
		t.Fatal(err)
	}
	wantErr(t, mayPay(ctx, h, h.who, p.ID, false), ErrGuardian)
	h.store.broken["Consents"] = errDatabase
	wantErr(t, mayPay(ctx, h, h.who, p.ID, false), errDatabase)
	delete(h.store.broken, "Consents")

	h.clock.Advance(14 * time.Hour) // the birthday begins in China
	if h.UnderFourteen(p) {
		t.Error("still under 14 on the birthday")
	}
	if err := mayPay(ctx, h, h.who, p.ID, false); err != nil {
		t.Errorf("14 and no guardian's consent: %v", err)
	}

	unborn := typed(t, Child, childName, withCheck(t, "360102"+today.AddDate(0, 0, 2).Format("20060102")+"001"), "")
	_, err = h.Add(ctx, h.who, unborn)
	wantErr(t, err, ErrIDNumber)
	_, err = h.Add(ctx, h.who, NewPatient{Relation: Self})
	wantErr(t, err, ErrIDNumber)
}

func TestTooManyPatients(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.agree(t, ConsentPrivacy)
	for i := range 7 {
		id := withCheck(t, "3601021970010"+"1"+"00"+string(rune('1'+i)))
		h.archive(t, adultName, id, "P"+string(rune('1'+i)))
		_, err := h.Add(t.Context(), h.who, typed(t, Other, adultName, id, "13812345678"))
		if i < 6 && err != nil {
			t.Fatalf("patient %d: %v", i+1, err)
		}
		if i == 6 {
			wantErr(t, err, ErrTooMany)
		}
	}
}
