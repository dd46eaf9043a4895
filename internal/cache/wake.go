package cache

import (
	"context"
	"strings"
	"sync"

	"github.com/redis/go-redis/v9"
)

// Wake tells everyone who is subscribed to the topic, in every process, to look again. It may be lost. When Redis is away, those in
// this process are still told, and the error says that the others were not.
func (c *Cache) Wake(ctx context.Context, topic string) error {
	if err := checkKey(topic); err != nil {
		return err
	}
	if err := c.client.Publish(ctx, c.topicKey(topic), "").Err(); err != nil {
		c.wakes.tell(topic)
		return away(err)
	}
	return nil
}

// Subscribe gives a channel that has something in it whenever the topic was woken since the last receive; several wake-ups become
// one. It also wakes when the connection to Redis was made or made again, since some may have been missed. The channel is closed
// when ctx ends or the cache is closed. However many subscribe, a process holds one connection for it.
func (c *Cache) Subscribe(ctx context.Context, topic string) <-chan struct{} {
	return c.wakes.subscribe(ctx, topic)
}

func (c *Cache) topicKey(topic string) string { return c.prefix + ":wake:" + topic }

// hub shares the process's one subscription out to all who wait.
type hub struct {
	pubsub *redis.PubSub
	heard  <-chan any
	prefix string

	mu      sync.Mutex
	closed  bool
	waiting map[string]map[chan struct{}]bool // by topic
}

func newHub(pubsub *redis.PubSub, prefix string) *hub {
	return &hub{pubsub: pubsub, heard: pubsub.ChannelWithSubscriptions(), prefix: prefix, waiting: map[string]map[chan struct{}]bool{}}
}

// run hands messages out until the hub is closed.
func (h *hub) run() {
	for message := range h.heard {
		switch m := message.(type) {
		case *redis.Message:
			h.tell(strings.TrimPrefix(m.Channel, h.prefix))
		case *redis.Subscription:
			h.tellAll()
		}
	}
}

func (h *hub) subscribe(ctx context.Context, topic string) <-chan struct{} {
	ch := make(chan struct{}, 1)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || ctx.Err() != nil {
		close(ch)
		return ch
	}
	if h.waiting[topic] == nil {
		h.waiting[topic] = map[chan struct{}]bool{}
	}
	h.waiting[topic][ch] = true
	context.AfterFunc(ctx, func() { h.leave(topic, ch) })
	return ch
}

func (h *hub) leave(topic string, ch chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.waiting[topic][ch] {
		return // closed with the hub
	}
	delete(h.waiting[topic], ch)
	if len(h.waiting[topic]) == 0 {
		delete(h.waiting, topic)
	}
	close(ch)
}

func (h *hub) tell(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	nudge(h.waiting[topic])
}

func (h *hub) tellAll() {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, chans := range h.waiting {
		nudge(chans)
	}
}

func nudge(chans map[chan struct{}]bool) {
	for ch := range chans {
		select {
		case ch <- struct{}{}:
		default: // one is waiting already
		}
	}
}

func (h *hub) close() error {
	h.mu.Lock()
	h.closed = true
	for _, chans := range h.waiting {
		for ch := range chans {
			close(ch)
		}
	}
	h.waiting = map[string]map[chan struct{}]bool{}
	h.mu.Unlock()
	return h.pubsub.Close()
}
