package hissim

import (
	"fmt"
	"sync"

	"github.com/tuoka/tuoka/internal/clock"
	"github.com/tuoka/tuoka/internal/money"
)

// PaperInsurer is an insurer for a hospital that is tried alone, without the platform of the insurers: it pays seven tenths of every claim, and a tenth from the
// account. Safe for several goroutines.
type PaperInsurer struct {
	clock clock.Clock

	mu       sync.Mutex
	numbers  int
	refuses  string                     // the next call that moves money, or asks who pays
	uploaded map[string]LinkClaim       // by batch
	settled  map[string]paperSettlement // by number
	cancels  map[string]string          // by number: the number of the settlement; empty: undone
}

type paperSettlement struct {
	setlID, batch string
	stands        bool
}

var _ Link = (*PaperInsurer)(nil)

// NewPaperInsurer opens one.
func NewPaperInsurer(c clock.Clock) *PaperInsurer {
	return &PaperInsurer{clock: c, uploaded: map[string]LinkClaim{}, settled: map[string]paperSettlement{}, cancels: map[string]string{}}
}

// RefuseNext lets the next presettlement, settlement, reversal or cancellation be refused in these words.
func (p *PaperInsurer) RefuseNext(words string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refuses = words
}

// Standing is how many settlements stand.
func (p *PaperInsurer) Standing() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.settled {
		if s.stands {
			n++
		}
	}
	return n
}

func (p *PaperInsurer) refused() error {
	if p.refuses == "" {
		return nil
	}
	words := p.refuses
	p.refuses = ""
	return LinkRefusal(words)
}

// Number counts.
func (p *PaperInsurer) Number() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.numbers++
	return fmt.Sprintf("PAPER-%06d", p.numbers)
}

// Presettle keeps what is uploaded, and says who pays.
func (p *PaperInsurer) Presettle(c LinkClaim) (LinkAnswer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refused(); err != nil {
		return LinkAnswer{}, err
	}
	var sum money.Fen
	for _, b := range c.Bills {
		sum += b.TotalFen
	}
	if sum != c.TotalFen || sum <= 0 {
		return LinkAnswer{}, LinkRefusal("医疗费总额与明细合计不符")
	}
	c.Visit.MdtrtID, c.Visit.PsnNo, c.Visit.Insutype, c.Visit.CoverageArea = "M"+c.Visit.VisitNo, "36010000000000000001", "310", "360100"
	p.uploaded[c.BatchNo] = c
	return answerTo(c), nil
}

func answerTo(c LinkClaim) LinkAnswer {
	fund, balance := c.TotalFen*7/10, money.Fen(100_000)
	a := LinkAnswer{Visit: c.Visit, Parts: Parts{PooledFund: fund, Cash: c.TotalFen - fund}, Echo: LinkEcho{InScope: c.TotalFen}, BalanceFen: &balance}
	if c.UseAccount {
		a.Parts.Account = c.TotalFen / 10
		a.Parts.Cash -= a.Parts.Account
		balance -= a.Parts.Account
	}
	return a
}

// Repeat says who pays for what was uploaded, unless it is settled.
func (p *PaperInsurer) Repeat(c LinkClaim) (LinkAnswer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refused(); err != nil {
		return LinkAnswer{}, err
	}
	up, known := p.uploaded[c.BatchNo]
	if !known || p.settlement(c.BatchNo) {
		return LinkAnswer{}, LinkRefusal("收费批次没有未结算的明细")
	}
	return answerTo(up), nil
}

// settlement reports whether a batch has one that stands.
func (p *PaperInsurer) settlement(batch string) bool {
	for _, s := range p.settled {
		if s.batch == batch && s.stands {
			return true
		}
	}
	return false
}

// Settle settles a batch once.
func (p *PaperInsurer) Settle(number string, c LinkClaim) (LinkAnswer, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refused(); err != nil {
		return LinkAnswer{}, err
	}
	up, known := p.uploaded[c.BatchNo]
	if _, spent := p.settled[number]; !known || spent || p.settlement(c.BatchNo) {
		return LinkAnswer{}, LinkRefusal("收费批次没有未结算的明细")
	}
	a := answerTo(up)
	a.SetlID, a.SettledAt, a.ClrOptins, a.ClrWay, a.ClrType = "JS"+number, p.clock.Now(), "360199", "1", "11"
	p.settled[number] = paperSettlement{a.SetlID, c.BatchNo, true}
	return a, nil
}

// Reverse undoes a settlement or a cancellation; again it changes nothing.
func (p *PaperInsurer) Reverse(_ string, _ LinkVisit, original string, cancellation bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refused(); err != nil {
		return err
	}
	number, stands := original, false
	if cancellation {
		number, stands = p.cancels[original], true
	}
	s, known := p.settled[number]
	if !known {
		return LinkRefusal("未找到原交易")
	}
	s.stands = stands
	p.settled[number] = s
	return nil
}

// Cancel takes a settlement back.
func (p *PaperInsurer) Cancel(number string, _ LinkVisit, setlID string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err := p.refused(); err != nil {
		return err
	}
	for of, s := range p.settled {
		if s.setlID == setlID && s.stands {
			s.stands = false
			p.settled[of], p.cancels[number] = s, of
			return nil
		}
	}
	return LinkRefusal("未查询到结算信息")
}

// InForce reports whether a settlement stands.
func (p *PaperInsurer) InForce(_ LinkVisit, setlID string) (bool, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.settled {
		if s.setlID == setlID {
			return s.stands, nil
		}
	}
	return false, LinkRefusal("未查询到结算信息")
}

// Withdraw forgets a batch.
func (p *PaperInsurer) Withdraw(c LinkClaim) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.uploaded, c.BatchNo)
	return nil
}
