package order

import (
	"context"
	"sync"
)

// news wakes the readers of this process who wait for an order: whoever waits for one that another process moves looks by himself soon enough.
type news struct {
	mu      sync.Mutex
	waiting map[ID]map[*context.CancelFunc]bool
}

// listen gives a context that ends with the next news of the order. Stop ends it, too, and must be called.
func (n *news) listen(ctx context.Context, id ID) (rest context.Context, stop func()) {
	rest, cancel := context.WithCancel(ctx)
	me := &cancel
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.waiting == nil {
		n.waiting = map[ID]map[*context.CancelFunc]bool{}
	}
	if n.waiting[id] == nil {
		n.waiting[id] = map[*context.CancelFunc]bool{}
	}
	n.waiting[id][me] = true
	return rest, func() {
		cancel()
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.waiting[id], me)
		if len(n.waiting[id]) == 0 {
			delete(n.waiting, id)
		}
	}
}

// tell wakes whoever listens.
func (n *news) tell(id ID) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for wake := range n.waiting[id] {
		(*wake)()
	}
}
