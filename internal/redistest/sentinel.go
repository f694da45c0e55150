//go:build linux

package redistest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/redis/go-redis/v9"
)

// Watched is a master with a replica, and a Sentinel that watches them.
type Watched struct {
	Name     string // of the master
	Master   *Server
	Replica  *Server
	Sentinel string // host:port

	client *redis.Client // of the Sentinel
}

// StartSentinel makes a master, a replica that has heard all of it, and a Sentinel that knows both.
func StartSentinel(t testing.TB) *Watched {
	t.Helper()
	w := &Watched{Name: "chat", Master: Start(t, "repl-diskless-sync-delay", "0")}
	host, port, err := net.SplitHostPort(w.Master.Addr)
	must(t, err)
	w.Replica = Start(t, "replicaof", host+" "+port)
	s := Start(t) // for its address and its directory; what runs there is another program
	s.Stop()
	config := filepath.Join(s.Dir, "sentinel.conf")
	_, own, err := net.SplitHostPort(s.Addr)
	must(t, err)
	must(t, os.WriteFile(config, fmt.Appendf(nil, "bind 127.0.0.1\nport %s\ndir %s\n"+
		"sentinel monitor %s %s %s 1\nsentinel down-after-milliseconds %s 1000\nsentinel failover-timeout %s 10000\n",
		own, s.Dir, w.Name, host, port, w.Name, w.Name), 0o600))
	must(t, s.process.start(s.Dir, "redis-server", config, "--sentinel"))
	w.Sentinel, w.client = s.Addr, s.client
	must(t, s.process.await(s.Addr, ping(w.client)))
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	await(ctx, t, "the sentinel to know the replica", func() error {
		replicas, err := w.client.Do(ctx, "sentinel", "replicas", w.Name).Slice()
		if err == nil && len(replicas) == 0 {
			err = errors.New("it knows none")
		}
		return err
	})
	w.Synced(t)
	return w
}

// Synced waits until the replica has what the master had when it was called: it hears everything in order, so also a
// mark that comes last.
func (w *Watched) Synced(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	mark := rand.Text()
	must(t, w.Master.client.Set(ctx, mark, "", patience).Err())
	await(ctx, t, "the replica", func() error { return w.Replica.client.Get(ctx, mark).Err() })
}

// Failover makes the replica the master, as if the master had failed, and waits until the Sentinel says so.
func (w *Watched) Failover(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	await(ctx, t, "the failover", func() error { // refused while the Sentinel does not know enough of the replica
		_ = w.client.Do(ctx, "sentinel", "failover", w.Name).Err()
		addr, err := w.client.Do(ctx, "sentinel", "get-master-addr-by-name", w.Name).StringSlice()
		if err == nil && net.JoinHostPort(addr[0], addr[1]) != w.Replica.Addr {
			err = fmt.Errorf("the master is %v", addr)
		}
		return err
	})
}
