//go:build linux

package redisstore

import (
	"context"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/redistest"
)

func TestDemoted(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	s := open(t, Options{URLs: []string{server.URL()}})
	n := newSession("account")
	must(t, s.CreateSession(t.Context(), n))
	c := server.Client()
	must(t, c.ReplicaOf(t.Context(), "127.0.0.1", "1").Err())
	// The others read, or find nothing to write.
	fails(t, s, "a replica", slack, "READONLY", "Ping", "Session", "Sessions", "TouchSessions", "RotateSession",
		"EndSessions", "Forgive")
	for name, call := range map[string]func(context.Context) error{
		"TouchSessions": func(ctx context.Context) error {
			return s.TouchSessions(ctx, []authcore.Touch{{Account: n.Account, Session: n.ID, At: time.Now().Add(time.Hour)}})
		},
		"RotateSession": func(ctx context.Context) error {
			_, err := s.RotateSession(ctx, n.Account, n.ID, n.Generation, rotation)
			return err
		},
		"EndSessions": func(ctx context.Context) error {
			_, err := s.EndSessions(ctx, n.Account, math.MaxInt64, "")
			return err
		},
	} {
		if err := call(t.Context()); err == nil || hasKind(err) || !strings.Contains(err.Error(), "READONLY") {
			t.Errorf("a replica: %s says %v", name, err)
		}
	}
	must(t, c.ReplicaOf(t.Context(), "no", "one").Err())
	works(t, s, "a master again")
}

// TestNodeLost: of a cluster, the accounts of the other nodes go on.
func TestNodeLost(t *testing.T) {
	t.Parallel()
	nodes := redistest.StartCluster(t, "cluster-require-full-coverage", "no")
	s := open(t, fresh(Options{
		URLs: []string{nodes[0].URL(), nodes[1].URL()}, Mode: Cluster,
		ConnectTimeout: 500 * time.Millisecond, CommandTimeout: 500 * time.Millisecond,
	}))
	account := func(i int) authcore.AccountID { return authcore.AccountID(fmt.Sprint("account-", i)) }
	var lost []int
	for i := range 12 {
		must(t, s.CreateSession(t.Context(), newSession(account(i))))
		if n, err := nodes[2].Client().Exists(t.Context(), s.sessionsKey(account(i))).Result(); err == nil && n == 1 {
			lost = append(lost, i)
		}
	}
	if len(lost) == 0 || len(lost) == 12 {
		t.Skipf("%d of 12 accounts are on one node", len(lost))
	}
	for _, freeze := range []bool{true, false} {
		if freeze {
			nodes[2].Freeze()
		} else {
			nodes[2].Stop()
		}
		for i := range 12 {
			begun := time.Now()
			all, err := s.Sessions(t.Context(), account(i))
			if took := time.Since(begun); took > slack {
				t.Errorf("account %d took %v", i, took)
			}
			hit := false
			for _, l := range lost {
				hit = hit || l == i
			}
			if hit != (err != nil) || !hit && len(all) != 1 {
				t.Errorf("account %d, lost %v: %d sessions, %v", i, hit, len(all), err)
			}
		}
		if freeze {
			nodes[2].Thaw()
		} else {
			nodes[2].Run(t)
		}
		for i := range 12 {
			for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
				_, err := s.Sessions(t.Context(), account(i))
				if err == nil {
					break
				}
				if time.Now().After(deadline) {
					t.Fatalf("account %d: still %v", i, err)
				}
			}
		}
	}
}

func TestFailover(t *testing.T) {
	t.Parallel()
	w := redistest.StartSentinel(t)
	s := open(t, fresh(Options{URLs: []string{"redis://" + w.Sentinel}, Mode: Sentinel, Master: w.Name}))
	n := newSession("account")
	must(t, s.CreateSession(t.Context(), n))
	works(t, s, "at first")
	w.Synced(t)
	w.Failover(t)
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		m := newSession("after")
		if err := s.CreateSession(t.Context(), m); err == nil {
			if found, err := w.Replica.Client().HExists(t.Context(), s.sessionsKey("after"), string(m.ID)).Result(); err == nil && found {
				break
			}
		}
		if time.Now().After(deadline) {
			t.Fatal("the store does not find the new master")
		}
	}
	if got, err := s.Session(t.Context(), n.Account, n.ID); err != nil || got != n {
		t.Errorf("after the failover: %+v, %v", got, err)
	}
	works(t, s, "after the failover")
}
