package fault

import (
	"errors"
	"fmt"
	"testing"
)

var errPaid = New(Conflict, "BILL_PAID", "该费用单已缴费")

func TestErrorIsComparedByCode(t *testing.T) {
	cause := errors.New("row 7")
	err := fmt.Errorf("bill 12: %w", errPaid.Because(cause).Saying("窗口已缴费").At("bill_id"))
	if !errors.Is(err, errPaid) {
		t.Error("errors.Is(err, errPaid) = false, want true")
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	if errors.Is(err, New(Conflict, "BILL_VOID", "")) {
		t.Error("another code is taken for the same fault")
	}
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Msg != "窗口已缴费" || e.Field != "bill_id" {
		t.Errorf("AsType = %+v, %v", e, ok)
	}
	if errPaid.Msg != "该费用单已缴费" || errPaid.Field != "" || errPaid.cause != nil {
		t.Error("the sentinel was changed by a copy")
	}
	if got, want := err.Error(), "bill 12: conflict BILL_PAID: row 7"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
	if got, want := errPaid.Error(), "conflict BILL_PAID"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestKindOf(t *testing.T) {
	plain := errors.New("no kind")
	if got := KindOf(plain); got != Internal {
		t.Errorf("KindOf(plain) = %v, want internal", got)
	}
	if got := InMoneyStep(plain); got != Unknown {
		t.Errorf("InMoneyStep(plain) = %v, want unknown", got)
	}
	if got := InMoneyStep(fmt.Errorf("x: %w", errPaid)); got != Conflict {
		t.Errorf("InMoneyStep(conflict) = %v, want conflict", got)
	}
}

func TestKindNames(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Kinds() {
		if seen[k.String()] {
			t.Errorf("kind name %q stands twice", k)
		}
		seen[k.String()] = true
	}
	if got := Kind(200).String(); got != "internal" {
		t.Errorf("Kind(200) = %q, want internal", got)
	}
}
