package tcpproxy

import (
	"context"
	"io"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/mholt/caddy-l4/layer4"
	"github.com/mholt/caddy-l4/modules/l4proxy"
	"go.uber.org/zap"
)

// BenchmarkRelay carries bytes through the gate, after its login, and through caddy-l4's own proxy. The CPU time is that of
// the whole process, so of both peers too.
func BenchmarkRelay(b *testing.B) {
	for _, size := range []int{128, 64 << 10} {
		for name, through := range map[string]func(*testing.B, *l4proxy.Handler) net.Conn{"chatgate": throughGate, "caddy-l4": throughProxy} {
			b.Run(map[int]string{128: "message", 64 << 10: "bulk"}[size]+"/"+name, func(b *testing.B) {
				up := newUpstream(b)
				var echo sync.WaitGroup
				echo.Go(func() {
					c, err := up.ln.Accept()
					if err != nil {
						return
					}
					defer c.Close()
					buf := make([]byte, size)
					for {
						if _, err := io.ReadFull(c, buf); err != nil {
							return
						}
						if _, err := c.Write(buf); err != nil {
							return
						}
					}
				})
				c := through(b, up.proxy())
				buf := make([]byte, size)
				b.SetBytes(int64(2 * size))
				b.ReportAllocs()
				start := cpuTime()
				for b.Loop() {
					if _, err := c.Write(buf); err != nil {
						b.Fatal(err)
					}
					if _, err := io.ReadFull(c, buf); err != nil {
						b.Fatal(err)
					}
				}
				b.ReportMetric(float64(cpuTime()-start)/float64(b.N), "cpu-ns/op")
				c.Close()
				echo.Wait()
			})
		}
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func throughGate(b *testing.B, p *l4proxy.Handler) net.Conn {
	r := start(b, newService(b), &Line{Proxy: p}, false)
	c := r.dial()
	c.send(loginLine("alice", password))
	c.granted()
	return c.Conn
}

func throughProxy(b *testing.B, p *l4proxy.Handler) net.Conn {
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	b.Cleanup(cancel)
	if err := p.Provision(ctx); err != nil {
		b.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { ln.Close() })
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_ = p.Handle(layer4.WrapConnection(conn, nil, zap.NewNop()), nil)
	}()
	c, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	return c
}
