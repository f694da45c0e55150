package authcore

import (
	"context"
	"time"
)

// EndAll ends every connection with [EndShutdown], evenly spread over a time, and returns when all are told to close.
// From the start of the call no new connection is held.
func (l *Live) EndAll(ctx context.Context, spread time.Duration) int {
	l.stopping.Store(true) // before the shards, under whose locks it is read
	l.anon.shard.mu.Lock()
	all := l.anon.connsLocked()
	l.anon.shard.mu.Unlock()
	return shutDown(ctx, append(all, l.sessionConns()...), spread)
}

// Dismiss is EndAll for connections with a session only, because this process can no longer tell whether the sessions are
// alive. New connections are still held.
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
