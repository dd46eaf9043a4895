package bill

import (
	"errors"
	"fmt"
	"slices"
)

// Kind is what a bill asks money for. The zero value is that of ordinary outpatient fees, so that bills without a word of it stay as they are.
type Kind string

// The kinds.
const (
	Outpatient   Kind = ""             // 门诊费用
	Registration Kind = "registration" // 挂号费; the HIS holds the slot (号源) while it is unpaid
	Deposit      Kind = "deposit"      // 住院预交金: the patient's own money, which no insurer is asked about
)

// outpatient is how the default is written where a word must stand.
const outpatient = "outpatient"

// ParseKind reads a kind as the HIS interface writes it; nothing means outpatient fees.
func ParseKind(text string) (Kind, error) {
	switch k := Kind(text); k {
	case Outpatient, Registration, Deposit:
		return k, nil
	case outpatient:
		return Outpatient, nil
	}
	return "", errors.New("the bill's kind is not documented")
}

// String is the kind in one word, also where it is the default.
func (k Kind) String() string {
	if k == Outpatient {
		return outpatient
	}
	return string(k)
}

// Text is the kind as patients read it.
func (k Kind) Text() string {
	switch k {
	case Registration:
		return "挂号费"
	case Deposit:
		return "住院预交金"
	}
	return "门诊费用"
}

// MedType is the insurer's 医疗类别 of such a bill where the HIS tells none; empty where the insurer is never asked.
func (k Kind) MedType() string {
	switch k {
	case Registration:
		return "12" // 门诊挂号
	case Deposit:
		return ""
	}
	return "11" // 普通门诊
}

// OrderType is WeChat's order_type of such a bill.
func (k Kind) OrderType() string {
	switch k {
	case Registration:
		return "REG_PAY"
	case Deposit:
		return "IN_HOSP_PAY"
	}
	return "DIAG_PAY"
}

// checkKind refuses a kind that nobody knows, and a deposit of which the insurer should pay a part.
func (b *Bill) checkKind() error {
	if _, err := ParseKind(string(b.Kind)); err != nil || b.Kind == outpatient { // written out, equal bills would have other bytes
		return fmt.Errorf("kind %q", string(b.Kind))
	}
	if b.Kind == Deposit && slices.ContainsFunc(b.Lines, func(l Line) bool { return !l.Uninsured }) {
		return errors.New("a deposit has insured lines")
	}
	return nil
}
