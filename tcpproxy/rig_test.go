package tcpproxy

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/mholt/caddy-l4/layer4"
	"github.com/mholt/caddy-l4/modules/l4proxy"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom/relay"
	"github.com/chatgate/chatgate/internal/authtest"
	"github.com/chatgate/chatgate/internal/certtest"
	"github.com/chatgate/chatgate/tcpproxy/line"
)

// patience is for what should happen at once, on a machine that has other things to do.
const patience = 20 * time.Second

const password = "correct horse battery"

// newService runs the accounts over a database of its own, with one account, alice.
func newService(t testing.TB, change ...func(*authcore.Policy)) *authcore.Service {
	t.Helper()
	s := authtest.Service(t, change...)
	_, err := s.Register(t.Context(), authcore.Registration{ClaimedName: "alice", ClaimedEmail: "alice@example.com", Password: authcore.NewPassword(password)})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// fakeApp is the chatgate app, as far as a handler sees it.
type fakeApp struct {
	service *authcore.Service
	err     error
	calls   atomic.Int32 // under way
	held    atomic.Int32
}

func (a *fakeApp) Service(context.Context) (*authcore.Service, func(), error) {
	if a.err != nil {
		return nil, nil, a.err
	}
	a.calls.Add(1)
	return a.service, func() { a.calls.Add(-1) }, nil
}

func (a *fakeApp) Hold() func() {
	a.held.Add(1)
	return func() { a.held.Add(-1) }
}

// rig serves a handler on loopback, in the way of caddy-l4.
type rig struct {
	t       testing.TB
	app     *fakeApp
	line    *Line
	addr    string
	tls     bool
	cancel  context.CancelFunc // of the configuration
	handled atomic.Int32       // connections under way
}

var testCert = sync.OnceValue(func() tls.Certificate { return certtest.SelfSigned("localhost") })

// start serves l until the test ends, when nothing may be left of any connection.
func start(t testing.TB, service *authcore.Service, l *Line, overTLS bool, change ...func(*rig)) *rig {
	t.Helper()
	ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
	r := &rig{t: t, app: &fakeApp{service: service}, line: l, tls: overTLS, cancel: cancel}
	l.app, l.Plaintext = r.app, !overTLS
	if err := l.provision(ctx); err != nil {
		t.Fatal(err)
	}
	for _, f := range change {
		f(r)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.addr = ln.Addr().String()
	go func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			go r.handle(conn)
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		cancel()
		_ = l.Cleanup()
		eventually(t, "the end of every connection", func() bool {
			return r.handled.Load() == 0 && r.app.calls.Load() == 0 && r.app.held.Load() == 0 && authtest.State(service).Live().Connections() == 0
		})
		for name, c := range map[string]*relay.Counts{"strangers": &strangers, "members": &members, "connections": &connections} {
			if n := c.Len(); n > 0 {
				t.Errorf("%s are still counted, by %d keys", name, n)
			}
		}
	})
	return r
}

// handle is layer4.Server's, with a TLS handler before ours where there is to be one.
func (r *rig) handle(conn net.Conn) {
	r.handled.Add(1)
	defer r.handled.Add(-1)
	defer conn.Close()
	cx := layer4.WrapConnection(conn, make([]byte, 0, 2048), zap.NewNop())
	if r.tls {
		_ = cx.SetDeadline(time.Now().Add(patience))
		t := tls.Server(cx, &tls.Config{Certificates: []tls.Certificate{testCert()}})
		if t.Handshake() != nil {
			return
		}
		state := t.ConnectionState()
		cx.SetVar(layer4.TLSConnectionStatesVarName, []*tls.ConnectionState{&state})
		_ = cx.SetDeadline(time.Time{})
		cx = cx.Wrap(t)
	}
	if err := r.line.Handle(cx, nil); err != nil {
		r.t.Errorf("Handle: %v", err)
	}
}

// peer is a client, or an upstream's side of a connection.
type peer struct {
	net.Conn
	t  testing.TB
	br *bufio.Reader
}

func newPeer(t testing.TB, c net.Conn) *peer {
	t.Cleanup(func() { c.Close() })
	return &peer{Conn: c, t: t, br: bufio.NewReader(c)}
}

func (r *rig) dial() *peer {
	r.t.Helper()
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		r.t.Fatal(err)
	}
	if r.tls {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	return newPeer(r.t, c)
}

func (p *peer) send(s string) {
	p.t.Helper()
	_ = p.SetWriteDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(p, s); err != nil {
		p.t.Fatal(err)
	}
}

// takes expects exactly these bytes next.
func (p *peer) takes(want string) {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	got := make([]byte, len(want))
	if n, err := io.ReadFull(p.br, got); string(got[:n]) != want {
		p.t.Fatalf("got %q, %v; want %q", got[:n], err, want)
	}
}

func (p *peer) readLine() string {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	s, err := p.br.ReadString('\n')
	if err != nil {
		p.t.Fatalf("got %q, %v; want a line", s, err)
	}
	return strings.TrimSuffix(s, "\n")
}

// granted expects an ok with a token.
func (p *peer) granted() line.Reply {
	p.t.Helper()
	text := p.readLine()
	r, err := line.ParseReply(text)
	if err != nil || r.Token == "" {
		p.t.Fatalf("got %q, %v; want a token", text, err)
	}
	return r
}

// ended expects the end of the stream, and nothing before it.
func (p *peer) ended() {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	if b, err := io.ReadAll(p.br); len(b) > 0 || err != nil {
		p.t.Fatalf("got %q, %v; want the end", b, err)
	}
}

// cut expects the end of the connection, in whatever manner, and returns what came before it.
func (p *peer) cut() string {
	p.t.Helper()
	_ = p.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(p.br)
	if nerr, ok := errors.AsType[net.Error](err); ok && nerr.Timeout() {
		p.t.Fatalf("still open; got %q", b)
	}
	return string(b)
}

func (p *peer) closeWrite() {
	p.t.Helper()
	if err := p.Conn.(interface{ CloseWrite() error }).CloseWrite(); err != nil {
		p.t.Fatal(err)
	}
}

func loginLine(name, pass string) string {
	return line.Request{Verb: line.Login, Args: map[line.Key]string{"u": name, "p": pass}}.Line() + "\r\n"
}

// upstream is a legacy chat: what connects to it is a peer of the test's.
type upstream struct {
	t  testing.TB
	ln net.Listener
}

func newUpstream(t testing.TB) *upstream {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ln.Close() })
	return &upstream{t, ln}
}

func (u *upstream) proxy() *l4proxy.Handler {
	return &l4proxy.Handler{Upstreams: l4proxy.UpstreamPool{{Dial: []string{u.ln.Addr().String()}}}}
}

func (u *upstream) accept() *peer {
	u.t.Helper()
	_ = u.ln.(*net.TCPListener).SetDeadline(time.Now().Add(patience))
	c, err := u.ln.Accept()
	if err != nil {
		u.t.Fatal(err)
	}
	return newPeer(u.t, c)
}

// eventually waits for a state that nothing announces.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !f(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
	}
}
