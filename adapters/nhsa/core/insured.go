package core

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/tuoka/tuoka/internal/bill"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
)

// Insured is 1101 alone, for a hospital that settles at the mobile-payment centre: who the patient is to the insurer, and the 电子凭证 token that
// some provinces put into the extension (business_token; nhsa-mobile-pay.md §6.4). It moves no money. Errors as Presettle's; an authorisation
// that has run out is settlement.ErrAuth.
func (c *Client) Insured(ctx context.Context, p settlement.Person) (settlement.Visit, sensitive.Token, error) {
	var at settlement.Visit
	out, err := c.askPerson(ctx, settlement.Claim{Person: p}, &bill.Visit{}, &at)
	if errors.Is(err, ErrCredential) {
		err = settlement.ErrAuth.Because(err)
	}
	if err != nil {
		return settlement.Visit{}, sensitive.Token{}, fmt.Errorf("1101: %w", err)
	}
	return at, businessToken(out.Base.Extension, out.Base.ExtensionSnake), nil
}

// businessToken reads the extension as far as it is known; what cannot be read has no token.
func businessToken(extensions ...json.RawMessage) sensitive.Token {
	for _, raw := range extensions {
		var packed string
		if json.Unmarshal(raw, &packed) == nil {
			raw = json.RawMessage(packed)
		}
		var known struct {
			Token string `json:"business_token"`
		}
		if json.Unmarshal(raw, &known) == nil && known.Token != "" {
			return sensitive.NewToken(known.Token)
		}
	}
	return sensitive.Token{}
}
