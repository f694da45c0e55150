package app

import (
	"fmt"
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/chatgate/chatgate/authcore"
)

// Every configuration has a metrics registry of its own, while what is measured belongs to the process: so the
// collectors are made once and registered with each.
var (
	revocationSeconds = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name:    "chatgate_revocation_seconds",
		Help:    "Time from the call that revoked sessions until every node had answered, or could not be waited for any longer.",
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5},
	})
	revocationUnanswered = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "chatgate_revocation_unanswered_total",
		Help: "Nodes that did not answer to a revocation in time.",
	})
	measured = new(stateCollector)
	mailed   = &mailCollector{sent[Mailer, MailStats]{plus: addMail}}
	texted   = &textCollector{sent[Texter, TextStats]{plus: addTexts}}
)

// registerMetrics adds the collectors to the registry of a configuration.
func registerMetrics(registry prometheus.Registerer) error {
	for _, c := range []prometheus.Collector{revocationSeconds, revocationUnanswered, measured, mailed, texted} {
		if err := registry.Register(c); err != nil {
			return fmt.Errorf("registering metrics: %w", err)
		}
	}
	return nil
}

// observeRevocation measures the revocations that were made on this node and told to the others.
func observeRevocation(e authcore.Event) {
	if e.Kind != authcore.EventSessionsEnded || e.Err != nil {
		return
	}
	revocationSeconds.Observe(e.Receipt.Took.Seconds())
	for _, n := range e.Receipt.Nodes {
		if !n.Answered {
			revocationUnanswered.Inc()
		}
	}
}

// stateCollector reads what all open states have to tell when it is asked: sums, and the worst of the feeds.
type stateCollector struct {
	mu           sync.Mutex
	open         []*authcore.State
	hits, misses uint64 // of states that are closed, since a counter never falls
	dropped      uint64 // likewise
}

func (c *stateCollector) add(st *authcore.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, st)
}

// remove is for a state that nobody uses any more.
func (c *stateCollector) remove(st *authcore.State) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = slices.DeleteFunc(c.open, func(o *authcore.State) bool { return o == st })
	s := st.Stats()
	c.hits += s.CacheHits
	c.misses += s.CacheMisses
	c.dropped += s.Dropped
}

var (
	feedLag         = prometheus.NewDesc("chatgate_feed_lag_seconds", "Time since everything that other nodes had published was last known to be applied; 0 on a node alone.", nil, nil)
	feedBroken      = prometheus.NewDesc("chatgate_feed_broken", "Whether other nodes have not been heard for longer than feed_grace, so that every session is looked up.", nil, nil)
	cacheHits       = prometheus.NewDesc("chatgate_session_cache_hits_total", "Tokens whose session was known and believed.", nil, nil)
	cacheMisses     = prometheus.NewDesc("chatgate_session_cache_misses_total", "Tokens whose session had to be looked up.", nil, nil)
	liveConnections = prometheus.NewDesc("chatgate_live_connections", "Live connections on this node.", nil, nil)
	eventsDropped   = prometheus.NewDesc("chatgate_events_dropped_total", "Events that were not logged, and tasks in the background that were not begun, since too many waited.", nil, nil)
	knownSessions   = prometheus.NewDesc("chatgate_known_sessions", "Sessions that this node knows.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *stateCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{feedLag, feedBroken, cacheHits, cacheMisses, liveConnections, knownSessions, eventsDropped} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c *stateCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.sum()
	broken := 0.0
	if s.FeedBroken {
		broken = 1
	}
	for _, m := range []struct {
		desc  *prometheus.Desc
		kind  prometheus.ValueType
		value float64
	}{
		{feedLag, prometheus.GaugeValue, s.FeedLag.Seconds()},
		{feedBroken, prometheus.GaugeValue, broken},
		{cacheHits, prometheus.CounterValue, float64(s.CacheHits)},
		{cacheMisses, prometheus.CounterValue, float64(s.CacheMisses)},
		{liveConnections, prometheus.GaugeValue, float64(s.Connections)},
		{knownSessions, prometheus.GaugeValue, float64(s.Sessions)},
		{eventsDropped, prometheus.CounterValue, float64(s.Dropped)},
	} {
		ch <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value)
	}
}

func (c *stateCollector) sum() authcore.Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := authcore.Stats{CacheHits: c.hits, CacheMisses: c.misses, Dropped: c.dropped}
	for _, st := range c.open {
		s := st.Stats()
		all.Connections += s.Connections
		all.Sessions += s.Sessions
		all.CacheHits += s.CacheHits
		all.CacheMisses += s.CacheMisses
		all.Dropped += s.Dropped
		all.FeedLag = max(all.FeedLag, s.FeedLag)
		all.FeedBroken = all.FeedBroken || s.FeedBroken
	}
	return all
}

// sender sends messages and counts them.
type sender[S any] interface {
	comparable
	Stats() S
}

// sent sums what all senders of a kind have counted.
type sent[T sender[S], S any] struct {
	plus func(a, b S) S

	mu     sync.Mutex
	open   []T
	closed S // of those that are, since a counter never falls
}

func (c *sent[T, S]) add(t T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = append(c.open, t)
}

// remove is for a sender that nobody uses any more.
func (c *sent[T, S]) remove(t T) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open = slices.DeleteFunc(c.open, func(o T) bool { return o == t })
	c.closed = c.plus(c.closed, t.Stats())
}

func (c *sent[T, S]) sum() S {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.closed
	for _, t := range c.open {
		all = c.plus(all, t.Stats())
	}
	return all
}

// mailCollector reads what all mailers have to tell when it is asked.
type mailCollector struct {
	sent[Mailer, MailStats]
}

var (
	mailMessages = prometheus.NewDesc("chatgate_mail_messages_total", "Messages: sent to the mail server, failed there or before, or dropped from the queue.", []string{"result"}, nil)
	mailQueued   = prometheus.NewDesc("chatgate_mail_queued", "Messages that wait in the queue or are being sent from it.", nil, nil)
)

// Describe implements prometheus.Collector.
func (c *mailCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- mailMessages
	ch <- mailQueued
}

// Collect implements prometheus.Collector.
func (c *mailCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.sum()
	for result, n := range map[string]uint64{"sent": s.Sent, "failed": s.Failed, "dropped": s.Dropped} {
		ch <- prometheus.MustNewConstMetric(mailMessages, prometheus.CounterValue, float64(n), result)
	}
	ch <- prometheus.MustNewConstMetric(mailQueued, prometheus.GaugeValue, float64(s.Queued))
}

func addMail(a, b MailStats) MailStats {
	return MailStats{Sent: a.Sent + b.Sent, Failed: a.Failed + b.Failed, Dropped: a.Dropped + b.Dropped, Queued: a.Queued + b.Queued}
}

// textCollector reads what all texters have to tell when it is asked.
type textCollector struct {
	sent[Texter, TextStats]
}

var textMessages = prometheus.NewDesc("chatgate_sms_messages_total", "Text messages: handed over to the provider, or failed.", []string{"result"}, nil)

// Describe implements prometheus.Collector.
func (c *textCollector) Describe(ch chan<- *prometheus.Desc) { ch <- textMessages }

// Collect implements prometheus.Collector.
func (c *textCollector) Collect(ch chan<- prometheus.Metric) {
	s := c.sum()
	for result, n := range map[string]uint64{"sent": s.Sent, "failed": s.Failed} {
		ch <- prometheus.MustNewConstMetric(textMessages, prometheus.CounterValue, float64(n), result)
	}
}

func addTexts(a, b TextStats) TextStats {
	return TextStats{Sent: a.Sent + b.Sent, Failed: a.Failed + b.Failed}
}
