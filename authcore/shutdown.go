package authcore

import (
	"context"
	"time"
)

// EndAll ends every connection with [EndShutdown], evenly spread over a time, and returns when it has told them all. No
// connection is held from then on.
func (l *Live) EndAll(ctx context.Context, spread time.Duration) int {
	l.stopping.Store(true) // before a shard is looked at, under whose lock it is read
	l.anon.shard.mu.Lock()
	all := l.anon.connsLocked()
	l.anon.shard.mu.Unlock()
	return shutDown(ctx, append(all, l.sessionConns()...), spread)
}

// Dismiss does so with the connections that hang on a session, and others may come: whether the sessions live cannot be
// asked here any more.
func (l *Live) Dismiss(ctx context.Context, spread time.Duration) int {
	return shutDown(ctx, l.sessionConns(), spread)
}

func (l *Live) sessionConns() []LiveConn {
	var all []LiveConn
	l.each(func(e *liveSession) { all = append(all, e.connsLocked()...) })
	return all
}

func shutDown(ctx context.Context, all []LiveConn, spread time.Duration) int {
	start := time.Now()
	for i, c := range all {
		due := start.Add(spread * time.Duration(i) / time.Duration(len(all)))
		if pause := time.Until(due); pause > time.Millisecond {
			select {
			case <-time.After(pause):
			case <-ctx.Done():
				spread = 0 // no time left: tell the rest at once
			}
		}
		c.End(EndShutdown)
	}
	return len(all)
}
