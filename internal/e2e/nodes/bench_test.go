//go:build linux

package nodes

import (
	"bufio"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// BenchmarkLogoutAll takes the time from a logout_all until the last of 5,000 WebSockets on two nodes is closed, as
// their clients see it. Run it with -benchtime 5x, say, and without the race detector.
func BenchmarkLogoutAll(b *testing.B) {
	if gatetest.Race {
		b.Skip("the race detector is not what is measured")
	}
	const connections = 5000
	c := start(b, 2)
	for _, sessions := range []int{1, 50, 5000} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			name := c.user(b)
			var last, answered time.Duration
			for range b.N {
				b.StopTimer()
				tokens := make([]string, sessions)
				for i := range tokens {
					tokens[i] = c.nodes[i%2].mustLogin(b, name)
				}
				socks := make([]lean, connections)
				each(connections, func(i int) {
					socks[i] = dialLean(b, c.nodes[i*2/connections], tokens[i%sessions])
				})
				if b.Failed() {
					b.FailNow()
				}
				ends := make([]time.Time, connections)
				var readers sync.WaitGroup
				for i := range socks {
					readers.Go(func() { ends[i] = socks[i].awaitClose(b) })
				}
				b.StartTimer()
				begin := time.Now()
				if a := c.nodes[0].logoutAll(tokens[0]); !a.ok() {
					b.Fatalf("logout_all: %v", a)
				}
				answered += time.Since(begin)
				readers.Wait()
				var worst time.Duration
				for _, end := range ends {
					worst = max(worst, end.Sub(begin))
				}
				last += worst
			}
			b.ReportMetric(float64(last.Milliseconds())/float64(b.N), "ms-to-last")
			b.ReportMetric(float64(answered.Milliseconds())/float64(b.N), "ms-to-answer")
		})
	}
}

// each calls f for every number below n, a few at a time.
func each(n int, f func(int)) {
	var all sync.WaitGroup
	for w := range 16 {
		all.Go(func() {
			for i := w; i < n; i += 16 {
				f(i)
			}
		})
	}
	all.Wait()
}

// lean is a WebSocket that costs the client little.
type lean struct{ net.Conn }

func dialLean(b *testing.B, n *node, token string) lean {
	conn, err := net.DialTimeout("tcp", n.HTTP, patience)
	if err != nil {
		b.Error(err)
		return lean{}
	}
	_ = conn.SetDeadline(time.Now().Add(2 * patience))
	br := bufio.NewReaderSize(conn, 512)
	if a := shake(conn, br, n.HTTP, token); !a.ok() {
		b.Errorf("a handshake: %v", a)
	} else if f, err := gatetest.ReadFrame(br); err != nil || f.Op != 1 {
		b.Errorf("the first message: %+v, %v", f, err)
	}
	return lean{conn}
}

// awaitClose returns when the close frame came.
func (l lean) awaitClose(b *testing.B) time.Time {
	defer l.Close()
	f, err := gatetest.ReadFrame(l)
	end := time.Now()
	if err != nil || f.CloseCode() != closeOver {
		b.Errorf("a socket ended with %d, %v", f.CloseCode(), err)
	}
	return end
}
