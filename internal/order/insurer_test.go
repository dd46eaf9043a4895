package order

import (
	"context"
	"fmt"
	"time"

	"github.com/tuoka/tuoka/internal/money"
	"github.com/tuoka/tuoka/internal/settlement"
	"github.com/tuoka/tuoka/internal/split"
)

// insurer is the core platform: visits, batches, settlements, and 2601 by message number (nhsa-core.md §4.1, §7).
type insurer struct {
	w        *world
	seq      int
	visits   map[string]settlement.Visit // by mdtrt_id
	batches  map[string]*batch           // by chrg_bchno
	byMsg    map[string]*settled         // 2207
	bySetl   map[string]*settled
	cancels  map[string]*settled // 2208
	messages map[string]bool     // every msgid of 2207, 2208 and 2601 ever made use of
	ratio    int64               // percent of the pooled fund
	balance  money.Fen
	strict   bool // a repeated 2601 is refused
	wait     time.Duration
}

type batch struct {
	mdtrtID  string
	total    money.Fen
	gone     bool
	standing *settled
}

type settled struct {
	setlID  string
	batchNo string
	split   split.Split
	inForce bool
}

func newInsurer(w *world) *insurer {
	return &insurer{w: w, visits: map[string]settlement.Visit{}, batches: map[string]*batch{}, byMsg: map[string]*settled{},
		bySetl: map[string]*settled{}, cancels: map[string]*settled{}, messages: map[string]bool{}, ratio: 50, balance: 1000, wait: 2 * time.Minute}
}

func (i *insurer) MsgID() string {
	i.seq++
	return fmt.Sprintf("H36010000001%014d%04d", i.w.clock.Now().Unix(), i.seq)
}

func (i *insurer) use(msgID string) {
	if i.messages[msgID] {
		i.w.t.Errorf("message %s was used twice", msgID)
	}
	i.messages[msgID] = true
}

func (i *insurer) divide(c settlement.Claim) split.Split {
	fund := money.Fen(int64(c.Total) * i.ratio / 100)
	var account money.Fen
	if c.UseAccount {
		account = min(i.balance, c.Total-fund)
	}
	return split.Split{PooledFund: fund, Account: account, Cash: c.Total - fund - account}
}

func (i *insurer) presettlement(c settlement.Claim) settlement.Presettlement {
	balance := i.balance
	return settlement.Presettlement{Visit: c.Visit, Split: i.divide(c), Echo: settlement.Echo{InScope: c.Total}, Balance: &balance}
}

func (i *insurer) Presettle(_ context.Context, c settlement.Claim) (settlement.Presettlement, error) {
	if c.Person.Name.IsZero() || c.Person.IDNumber.IsZero() {
		i.w.t.Error("2201 without a person")
	}
	var lines money.Fen
	for _, b := range c.Bills {
		lines += b.Insured()
	}
	if lines != c.Total {
		i.w.t.Errorf("2204 uploads lines of %s, 2206 asks about %s", lines, c.Total)
	}
	p, err := call(i.w, "presettle", c.Visit.VisitNo, func(m mishap) (settlement.Presettlement, error) {
		if m == refuse {
			return settlement.Presettlement{Visit: c.Visit}, errRefused
		}
		for _, b := range i.batches { // 2205 "0000"
			b.gone = b.gone || (c.Visit.MdtrtID != "" && b.mdtrtID == c.Visit.MdtrtID && b.standing == nil)
		}
		if c.Visit.MdtrtID == "" {
			c.Visit.PersonNo, c.Visit.MdtrtID, c.Visit.Ours = "36000001", fmt.Sprintf("M%d", len(i.visits)+1), true
		}
		i.visits[c.Visit.MdtrtID] = c.Visit
		if _, again := i.batches[c.BatchNo]; again {
			i.w.t.Errorf("batch %s was uploaded twice", c.BatchNo)
		}
		i.batches[c.BatchNo] = &batch{mdtrtID: c.Visit.MdtrtID, total: c.Total}
		p := i.presettlement(c)
		if m == amounts {
			p.Split.Cash++ // does not add up
		}
		return p, nil
	})
	if err != nil && p.Visit == (settlement.Visit{}) {
		p.Visit = c.Visit
	}
	return p, err
}

func (i *insurer) Repeat(_ context.Context, c settlement.Claim) (settlement.Presettlement, error) {
	return call(i.w, "probe", c.BatchNo, func(m mishap) (settlement.Presettlement, error) {
		if b := i.batches[c.BatchNo]; b == nil || b.gone || b.standing != nil || m == refuse {
			return settlement.Presettlement{}, errRefused
		}
		return i.presettlement(c), nil
	})
}

func (i *insurer) Settle(_ context.Context, msgID string, c settlement.Claim) (settlement.Outcome, error) {
	return call(i.w, "settle", c.Visit.VisitNo, func(m mishap) (settlement.Outcome, error) {
		i.use(msgID)
		b := i.batches[c.BatchNo]
		if b == nil || b.gone || b.standing != nil || b.total != c.Total || m == refuse {
			return settlement.Outcome{}, errRefused
		}
		if m == amounts {
			i.ratio -= 10 // another visit has used the limit meanwhile
		}
		s := &settled{setlID: fmt.Sprintf("S%d", len(i.bySetl)+1), batchNo: c.BatchNo, split: i.divide(c), inForce: true}
		b.standing, i.byMsg[msgID], i.bySetl[s.setlID] = s, s, s
		return settlement.Outcome{SetlID: s.setlID, Split: s.split, SettledAt: i.w.clock.Now(), ClrOptins: "360100", ClrWay: "01", ClrType: "11"}, nil
	})
}

func (i *insurer) Reverse(_ context.Context, msgID string, _ settlement.Visit, original, originalMsgID string) error {
	_, err := call(i.w, "reverse "+original, originalMsgID, func(m mishap) (struct{}, error) {
		i.use(msgID)
		known, s := i.byMsg, i.byMsg[originalMsgID]
		if original == "2208" {
			known, s = i.cancels, i.cancels[originalMsgID]
		}
		inForceAfter := original == "2208"
		switch {
		case known[originalMsgID] == nil || m == refuse, s.inForce == inForceAfter && i.strict:
			return struct{}{}, errRefused
		case s.inForce != inForceAfter:
			i.stand(s, inForceAfter)
		}
		return struct{}{}, nil
	})
	return err
}

func (i *insurer) stand(s *settled, inForce bool) {
	s.inForce = inForce
	b := i.batches[s.batchNo]
	if b.standing = nil; inForce {
		b.standing = s
	}
}

func (i *insurer) Cancel(_ context.Context, msgID string, _ settlement.Visit, setlID string) error {
	_, err := call(i.w, "cancel", setlID, func(m mishap) (struct{}, error) {
		i.use(msgID)
		s := i.bySetl[setlID]
		if s == nil || !s.inForce || m == refuse {
			return struct{}{}, errRefused
		}
		i.stand(s, false)
		i.cancels[msgID] = s
		return struct{}{}, nil
	})
	return err
}

func (i *insurer) InForce(_ context.Context, _ settlement.Visit, setlID string) (bool, error) {
	return call(i.w, "in force", setlID, func(m mishap) (bool, error) {
		if m == refuse || i.bySetl[setlID] == nil {
			return false, errRefused
		}
		return i.bySetl[setlID].inForce, nil
	})
}

func (i *insurer) Withdraw(_ context.Context, c settlement.Claim) error {
	_, err := call(i.w, "withdraw", c.BatchNo, func(m mishap) (struct{}, error) {
		b := i.batches[c.BatchNo]
		if b == nil || b.standing != nil || m == refuse {
			return struct{}{}, errRefused
		}
		b.gone = true
		return struct{}{}, nil
	})
	return err
}

func (i *insurer) SettleWait() time.Duration { return i.wait }
