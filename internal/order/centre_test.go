package order

import (
	"context"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/sensitive"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// centre is the mobile-payment centre: uploads by medOrgOrd and payOrdId, settled by WeChat alone (nhsa-mobile-pay.md §4, §5).
type centre struct {
	w       *world
	uploads map[string]*uploaded // by payOrdId
	place   string               // uldLatlnt of the newest
	orders  map[string]bool      // every medOrgOrd and chrg_bchno ever used
	auths   map[string]string    // pay_auth_no, by the payOrdId whose 6202 consumed it
	serials map[string]bool
	refunds map[string]string // appRefdSn, by payOrdId
	ratio   int64
	balance money.Fen
	says    func(settlement.OrdStas) settlement.OrdStas // what 6301 answers for it; nil: the truth
	refuses string                                      // why the next settlement fails
	byOrder bool                                        // settles by 6202 alone, as some provinces do
}

type uploaded struct {
	orderNo, payOrdID, token string
	total                    money.Fen
	stas                     settlement.OrdStas
	figures                  settlement.Figures
	at                       time.Time
}

// togetherHere puts the hospital on the mixed route.
func togetherHere(w *world) {
	w.party.Route, w.party.Insurer, w.party.Centre, w.party.Mixed = Mixed, nil, w.centre, w.wechat
	w.party.UploadTries = 5
	w.boot()
}

func newCentre(w *world) *centre {
	return &centre{w: w, uploads: map[string]*uploaded{}, orders: map[string]bool{}, auths: map[string]string{}, serials: map[string]bool{},
		refunds: map[string]string{}, ratio: 50, balance: 1000}
}

func (c *centre) Upload(_ context.Context, in settlement.Claim) (settlement.Uploaded, error) {
	c.place = in.Location
	if in.Person.Name.IsZero() || in.Person.IDNumber.IsZero() || in.Upload.OrderNo == "" || in.BatchNo == "" || in.Person.Token.IsZero() {
		c.w.t.Errorf("6201 without person, number or authorisation")
	}
	return call(c.w, "upload", "", func(m mishap) (settlement.Uploaded, error) {
		token := in.Person.Token.Reveal()
		switch {
		case m == refuse:
			return settlement.Uploaded{}, errRefused
		case c.auths[token] != "" || !c.w.clock.Now().Before(in.Person.UsableUntil):
			return settlement.Uploaded{}, settlement.ErrAuth
		case c.orders[in.Upload.OrderNo] || c.orders[in.BatchNo]:
			c.w.t.Errorf("medOrgOrd %s or batch %s was used twice", in.Upload.OrderNo, in.BatchNo)
		}
		c.orders[in.Upload.OrderNo], c.orders[in.BatchNo] = true, true
		u := &uploaded{orderNo: in.Upload.OrderNo, payOrdID: fmt.Sprintf("ORD%d", len(c.uploads)+1), total: in.Total, at: c.w.clock.Now()}
		u.token = "token of " + u.payOrdID
		c.uploads[u.payOrdID] = u
		in.Visit.PersonNo, in.Visit.MdtrtID = "36000001", "M"+u.payOrdID
		return settlement.Uploaded{Visit: in.Visit, PayOrdID: u.payOrdID, PayToken: sensitive.NewToken(u.token)}, nil
	})
}

// find checks that a call names an upload as only its owner can.
func (c *centre) find(in settlement.Claim) *uploaded {
	u := c.uploads[in.Upload.PayOrdID]
	if u == nil || in.Upload.PayToken.Reveal() != u.token || in.Upload.OrderNo != u.orderNo {
		c.w.t.Errorf("a call about an upload that does not exist: %s", in.Upload.PayOrdID)
		return nil
	}
	return u
}

func (c *centre) stand(u *uploaded) settlement.Stand {
	s := settlement.Stand{State: u.stas, OrderNo: u.orderNo, Told: u.figures != (settlement.Figures{}), Figures: u.figures}
	if u.stas >= settlement.InsurancePaid && u.stas <= settlement.AllDone {
		s.SetlID, s.SettledAt = "S"+u.payOrdID, u.at
	}
	return s
}

func (c *centre) Foresee(_ context.Context, serial string, in settlement.Claim) (settlement.Stand, error) {
	u := c.find(in)
	if u == nil || serial == "" || c.serials[serial] {
		c.w.t.Errorf("6202 under serial %q again, or about nothing", serial)
		return settlement.Stand{}, errOdd
	}
	return call(c.w, "foresee", u.orderNo, func(m mishap) (settlement.Stand, error) {
		c.serials[serial] = true
		token := in.Person.Token.Reveal()
		switch {
		case m == refuse || u.stas > settlement.Foreseen:
			return settlement.Stand{}, errRefused
		case (c.auths[token] != "" && c.auths[token] != u.payOrdID) || !c.w.clock.Now().Before(in.Person.UsableUntil):
			return settlement.Stand{}, settlement.ErrAuth
		}
		c.auths[token] = u.payOrdID
		fund := money.Fen(int64(u.total) * c.ratio / 100)
		var account money.Fen
		if in.UseAccount {
			account = min(c.balance, u.total-fund)
		}
		u.figures = settlement.Figures{Total: u.total, Fund: fund, Account: account, Cash: u.total - fund - account}
		u.stas = settlement.Foreseen
		if c.byOrder {
			u.stas = settlement.AllDone
		}
		s := c.stand(u)
		s.Split = split.Split{PooledFund: fund, Account: account, Cash: u.figures.Cash}
		if m == amounts {
			s.Figures.Cash++ // does not add up
		}
		return s, nil
	})
}

func (c *centre) Query(_ context.Context, in settlement.Claim) (settlement.Stand, error) {
	u := c.find(in)
	if u == nil {
		return settlement.Stand{}, errOdd
	}
	return call(c.w, "centre", u.orderNo, func(m mishap) (settlement.Stand, error) {
		if m == refuse {
			return settlement.Stand{}, errLost // a failure answer is no evidence
		}
		s := c.stand(u)
		if c.says != nil {
			s.State = c.says(s.State)
		}
		if m == amounts && s.Told {
			s.Figures.Fund, s.Figures.Cash = s.Figures.Fund+1, s.Figures.Cash-1
		}
		return s, nil
	})
}

func (c *centre) Revoke(_ context.Context, in settlement.Claim) error {
	u := c.find(in)
	if u == nil {
		return errOdd
	}
	_, err := call(c.w, "revoke", u.orderNo, func(m mishap) (struct{}, error) {
		if m == refuse || u.stas > settlement.Foreseen {
			return struct{}{}, errLost
		}
		u.stas = settlement.Revoked
		return struct{}{}, nil
	})
	return err
}

func (c *centre) Refund(_ context.Context, r settlement.GiveBack) error {
	u := c.find(r.Claim)
	if u == nil || r.Number == "" || r.At.IsZero() || r.Figures != u.figures {
		c.w.t.Errorf("6203 of %+v, settled %+v", r, u)
		return errOdd
	}
	_, err := call(c.w, "give back", u.orderNo, func(m mishap) (struct{}, error) {
		if before, again := c.refunds[r.Number]; again && before != u.payOrdID {
			c.w.t.Errorf("refund %s was used twice", r.Number)
		}
		switch {
		case m == refuse:
			return struct{}{}, errRefused
		case c.refunds[r.Number] == u.payOrdID:
			return struct{}{}, nil
		case u.stas < settlement.InsurancePaid || u.stas > settlement.AllDone:
			c.w.t.Errorf("6203 in %d", u.stas)
			return struct{}{}, errRefused
		}
		c.refunds[r.Number], u.stas = u.payOrdID, settlement.InsuranceRefunded
		return struct{}{}, nil
	})
	return err
}

// settle is WeChat having the upload settled; why not, if not.
func (c *centre) settle(payOrdID string) string {
	u := c.uploads[payOrdID]
	switch {
	case u == nil || u.stas != settlement.Foreseen:
		return "订单状态不允许结算"
	case c.refuses != "":
		u.stas = settlement.SettleFailed
		return c.refuses
	}
	u.stas, u.at = settlement.AllDone, c.w.clock.Now()
	return ""
}

// inForce reports what the centre holds for an upload.
func (c *centre) inForce(payOrdID string) (money.Fen, bool) {
	u := c.uploads[payOrdID]
	if u == nil || u.stas < settlement.InsurancePaid || u.stas > settlement.AllDone {
		return 0, false
	}
	return u.total - u.figures.Cash, true
}
