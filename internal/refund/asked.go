package refund

import "github.com/tuoka/tuoka/internal/money"

// KindAsked is the kind of a notice of the HIS whose body is an AskedByHIS. All its other notices only make us look.
const KindAsked = "refund_asked"

// AskedByHIS is a refund that the HIS asks us for (窗口退费), as the body of a notice in the inbox. It was verified as the HIS's own, and it adds
// up; whether it can be made is not said. Whether a line is insured, the HIS does not tell: the order knows.
type AskedByHIS struct {
	HISNo   string    `json:"his_no"` // the HIS's number of it; never used for two things
	OrderNo string    `json:"order_no"`
	Whole   bool      `json:"whole"` // everything that is left of the order, says the HIS
	Lines   []Line    `json:"lines"`
	Total   money.Fen `json:"total_fen"` // their sum
	Note    bool      `json:"note"`      // the window has handed the money back itself; we only take note
	Reason  string    `json:"reason,omitempty"`
}
