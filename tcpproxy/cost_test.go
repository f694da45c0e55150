//go:build linux

package tcpproxy_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// costs is a gateway whose CPU time and memory are its own: the clients and the upstream are in another process, the test's.
type costs struct {
	*gatetest.Gateway
	b     *testing.B
	addr  map[string]string // of listeners, by name
	token string
}

const idleConns = 1000

// listeners are what is compared: the gate and caddy-l4's own proxy, each in the clear and over TLS.
var listeners = []string{"chatgate", "caddy-l4", "chatgate-tls", "caddy-l4-tls"}

func startCosts(b *testing.B) *costs {
	b.Helper()
	up, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { up.Close() })
	go func() { // echoes
		for {
			c, err := up.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	c := &costs{b: b, addr: make(map[string]string)}
	var routes strings.Builder
	for name, handlers := range map[string]string{
		"chatgate":     "chatgate_line {\nplaintext allow\nper_account 100000\nper_address 100000\nupstream " + up.Addr().String() + "\n}",
		"chatgate-tls": "chatgate_tls\nchatgate_line {\nper_account 100000\nper_address 100000\nupstream " + up.Addr().String() + "\n}",
		"caddy-l4":     "proxy " + up.Addr().String(),
		"caddy-l4-tls": "tls\nproxy " + up.Addr().String(),
		"lines":        "chatgate_tls\nchatgate_line {\nrequests 10000\n}",
	} {
		c.addr[name] = fmt.Sprintf("127.0.0.1:%d", gatetest.FreePort(b))
		fmt.Fprintf(&routes, "%s {\nroute {\n%s\n}\n}\n", c.addr[name], handlers)
	}
	c.Gateway = gatetest.Start(b, `{
	{{GLOBAL}}
	chatgate {
		accounts sqlite {{DIR}}/accounts.db
	}
	layer4 {
		`+routes.String()+`
	}
}
http://{{HTTP}} {
	chatgate_accounts rooms
}
https://{{HTTPS}} {
	respond ok
}
`)
	b.Cleanup(http.DefaultClient.CloseIdleConnections)
	c.Register("alice", secret)
	c.token = c.Login("alice", secret)
	gatetest.AwaitCertificate(b, c.addr["lines"])
	return c
}

// open connects to a listener and, where it is a gate, passes it.
func (c *costs) open(name string) net.Conn {
	c.b.Helper()
	conn, err := net.Dial("tcp", c.addr[name])
	if err != nil {
		c.b.Fatal(err)
	}
	if strings.HasSuffix(name, "-tls") || name == "lines" {
		conn = tls.Client(conn, clientTLS)
	}
	_ = conn.SetDeadline(time.Now().Add(5 * time.Minute))
	if strings.HasPrefix(name, "chatgate") {
		if _, err := io.WriteString(conn, "token t:"+c.token+"\n"); err != nil {
			c.b.Fatal(err)
		}
		if _, err := io.ReadFull(conn, make([]byte, len("ok\n"))); err != nil {
			c.b.Fatal(err)
		}
	}
	if name != "lines" {
		c.echo(conn, make([]byte, 128)) // so that the upstream is connected, and whoever has a buffer has it
	}
	return conn
}

func (c *costs) echo(conn net.Conn, b []byte) {
	if _, err := conn.Write(b); err != nil {
		c.b.Error(err)
		return
	}
	if _, err := io.ReadFull(conn, b); err != nil {
		c.b.Error(err)
	}
}

// cpu returns the CPU time of the gateway, in clock ticks of a hundredth of a second.
func (c *costs) cpu() time.Duration {
	c.b.Helper()
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.Pid()))
	if err != nil {
		c.b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(stat), ") ")
	var user, system int64
	f := strings.Fields(after)
	if _, err := fmt.Sscan(f[11]+" "+f[12], &user, &system); err != nil {
		c.b.Fatal(err)
	}
	return time.Duration(user+system) * 10 * time.Millisecond
}

// memory returns what the heap and the stacks of the gateway take, right after a garbage collection: how much of it the
// process gives back to the kernel, and when, differs from run to run.
func (c *costs) memory() (bytes int64) {
	c.b.Helper()
	for range 2 { // what a pool holds survives one collection
		resp, err := http.Get("http://" + c.Admin + "/debug/pprof/heap?gc=1&debug=1")
		if err != nil {
			c.b.Fatal(err)
		}
		profile, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			c.b.Fatal(err)
		}
		bytes = 0
		for line := range strings.Lines(string(profile)) {
			var n, m int64
			if _, err := fmt.Sscanf(line, "# HeapInuse = %d", &n); err == nil {
				bytes += n
			}
			if _, err := fmt.Sscanf(line, "# Stack = %d / %d", &n, &m); err == nil {
				bytes += n
			}
		}
	}
	return bytes
}

// BenchmarkIdle takes the memory of a connection that was handed over, has carried a message, and is silent.
func BenchmarkIdle(b *testing.B) {
	for _, name := range listeners {
		b.Run(name, func(b *testing.B) {
			var kilobytes float64
			for range b.N {
				c := startCosts(b)
				c.open(name).Close()
				before := c.memory()
				conns := make([]net.Conn, idleConns)
				for i := range conns {
					conns[i] = c.open(name)
				}
				kilobytes += float64(c.memory()-before) / 1024 / idleConns
				for _, conn := range conns {
					conn.Close()
				}
				c.Stop()
			}
			b.ReportMetric(kilobytes/float64(b.N), "KB/conn")
		})
	}
}

// BenchmarkMessage takes the gateway's CPU time of 128 bytes that go to the upstream and come back, on 32 connections. One of
// b.N is 32,000 of them through each, in turns, since what else the machine does differs from minute to minute.
func BenchmarkMessage(b *testing.B) { benchmarkMessages(b, 32, 1000, 0) }

// BenchmarkSlowMessage is the same for messages that come one in a while, as they do in a chat.
func BenchmarkSlowMessage(b *testing.B) { benchmarkMessages(b, 500, 25, 200*time.Millisecond) }

func benchmarkMessages(b *testing.B, parallel, each int, every time.Duration) {
	c := startCosts(b)
	round := func(conns []net.Conn) float64 {
		var all sync.WaitGroup
		start := c.cpu()
		for i, conn := range conns {
			all.Go(func() {
				buf := make([]byte, 128)
				time.Sleep(every * time.Duration(i) / time.Duration(parallel))
				for range each {
					c.echo(conn, buf)
					time.Sleep(every)
				}
			})
		}
		all.Wait()
		return float64((c.cpu() - start).Nanoseconds()) / float64(parallel*each)
	}
	for _, suffix := range []string{"", "-tls"} {
		b.Run("tcp"+suffix, func(b *testing.B) {
			var conns [2][]net.Conn
			for i, name := range []string{"chatgate", "caddy-l4"} {
				for range parallel {
					conns[i] = append(conns[i], c.open(name+suffix))
				}
			}
			var costs [2][]float64
			var ratios []float64
			b.ResetTimer()
			for n := range b.N {
				var cost [2]float64
				for i := range conns {
					cost[(n+i)%2] = round(conns[(n+i)%2])
				}
				costs[0], costs[1] = append(costs[0], cost[0]), append(costs[1], cost[1])
				ratios = append(ratios, cost[0]/cost[1])
			}
			b.ReportMetric(0, "ns/op") // which says nothing
			b.ReportMetric(median(costs[0]), "cpu-ns/message")
			b.ReportMetric(median(costs[1]), "caddy-l4-cpu-ns/message")
			b.ReportMetric(median(ratios), "ratio")
			for _, conn := range append(conns[0], conns[1]...) {
				conn.Close()
			}
		})
	}
}

func median(of []float64) float64 {
	slices.Sort(of)
	return of[len(of)/2]
}

// BenchmarkRequest takes a token's check, request and reply, over TLS, on eight connections.
func BenchmarkRequest(b *testing.B) {
	const parallel, perConn = 8, 9000
	c := startCosts(b)
	b.ResetTimer()
	start := c.cpu()
	var all sync.WaitGroup
	for i := range parallel {
		n := b.N / parallel
		if i < b.N%parallel {
			n++
		}
		all.Go(func() {
			for n > 0 {
				conn := c.open("lines")
				br := bufio.NewReader(conn)
				for range min(n, perConn) {
					if _, err := io.WriteString(conn, "token t:"+c.token+"\n"); err != nil {
						b.Error(err)
						return
					}
					if s, err := br.ReadString('\n'); s != "ok\n" {
						b.Errorf("got %q, %v", s, err)
						return
					}
				}
				n -= perConn
				conn.Close()
			}
		})
	}
	all.Wait()
	b.ReportMetric(float64((c.cpu()-start).Nanoseconds())/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "requests/s")
}
