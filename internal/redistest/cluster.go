//go:build linux

package redistest

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// StartCluster makes a cluster of three masters without replicas, each with a third of the slots.
func StartCluster(t testing.TB, settings ...string) []*Server {
	t.Helper()
	nodes := make([]*Server, 3)
	buses := make([]string, 3)
	for i := range nodes {
		// By itself a node would take a second port 10000 above its own, which may not exist.
		var err error
		_, buses[i], err = net.SplitHostPort(freeAddr(t))
		must(t, err)
		nodes[i] = Start(t, append([]string{
			"cluster-enabled", "yes", "cluster-config-file", "nodes.conf", "cluster-port", buses[i], "cluster-node-timeout", "15000",
		}, settings...)...)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	const slots = 16384
	for i, n := range nodes {
		must(t, n.client.ClusterAddSlotsRange(ctx, i*slots/3, (i+1)*slots/3-1).Err())
		must(t, n.client.Do(ctx, "cluster", "set-config-epoch", i+1).Err())
	}
	for i, n := range nodes[1:] {
		host, port, err := net.SplitHostPort(n.Addr)
		must(t, err)
		must(t, nodes[0].client.Do(ctx, "cluster", "meet", host, port, buses[i+1]).Err())
	}
	for _, n := range nodes {
		await(ctx, t, "the cluster to agree", func() error {
			info, err := n.client.ClusterInfo(ctx).Result()
			// A cluster that needs no full coverage is ok before a node knows who has the other slots.
			for _, line := range []string{"cluster_state:ok", "cluster_known_nodes:3", fmt.Sprint("cluster_slots_ok:", slots)} {
				if err == nil && !strings.Contains(info, line+"\r\n") {
					err = fmt.Errorf("node %s: %s", n.Addr, info)
				}
			}
			return err
		})
	}
	return nodes
}

func ping(c *redis.Client) func(context.Context) error {
	return func(ctx context.Context) error { return c.Ping(ctx).Err() }
}

// await waits until try succeeds.
func await(ctx context.Context, t testing.TB, what string, try func() error) {
	t.Helper()
	for {
		err := try()
		if err == nil {
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("waiting for %s: %v", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
