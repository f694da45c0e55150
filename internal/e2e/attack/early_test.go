package attack

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"github.com/quic-go/quic-go/quicvarint"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// tap is the socket of a QUIC client. It records what is sent and lets nothing in before it is opened, so that all that is
// sent until then is early data.
type tap struct {
	net.PacketConn // and no more, or quic-go would go past WriteTo
	opened         chan struct{}
	open           func()

	mu   sync.Mutex
	sent [][]byte
}

func newTap(t *testing.T) *tap {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	opened := make(chan struct{})
	tapped := &tap{PacketConn: c, opened: opened, open: sync.OnceFunc(func() { close(opened) })}
	t.Cleanup(func() {
		tapped.open()
		c.Close()
	})
	return tapped
}

func (c *tap) WriteTo(b []byte, to net.Addr) (int, error) {
	c.mu.Lock()
	c.sent = append(c.sent, slices.Clone(b))
	c.mu.Unlock()
	return c.PacketConn.WriteTo(b, to)
}

func (c *tap) ReadFrom(b []byte) (int, net.Addr, error) {
	<-c.opened
	return c.PacketConn.ReadFrom(b)
}

func (c *tap) recorded() [][]byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.sent)
}

// tickets tells when there is one.
type tickets struct {
	tls.ClientSessionCache
	put chan struct{}
}

func (c *tickets) Put(key string, s *tls.ClientSessionState) {
	c.ClientSessionCache.Put(key, s)
	select {
	case c.put <- struct{}{}:
	default:
	}
}

func (p *pool) udp(t testing.TB) *net.UDPAddr {
	t.Helper()
	_, port, _ := net.SplitHostPort(p.HTTPS)
	addr, err := net.ResolveUDPAddr("udp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	return addr
}

// known returns the configuration of a client that was there before, and so may send early data.
func (p *pool) known(t *testing.T) *tls.Config {
	t.Helper()
	cache := &tickets{tls.NewLRUClientSessionCache(8), make(chan struct{}, 1)}
	cfg := insecure(http3.NextProtoH3)
	cfg.ClientSessionCache = cache
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	conn, err := quic.DialAddr(ctx, p.udp(t).String(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-cache.put:
	case <-ctx.Done():
		t.Fatal("no ticket")
	}
	_ = conn.CloseWithError(0, "")
	return cfg
}

// earlyRequest dials, and sends a request before anything of the server's has come in. It returns when the gateway has
// answered it.
func (p *pool) earlyRequest(t *testing.T, cfg *tls.Config, mark, body string, fields ...string) (*tap, *quic.Conn, *quic.Transport) {
	t.Helper()
	c := newTap(t)
	tr := &quic.Transport{Conn: c}
	t.Cleanup(func() {
		c.open() // or it would wait for its reader
		tr.Close()
	})
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	conn, err := tr.DialEarly(ctx, p.udp(t), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	str, err := conn.OpenStream()
	if err != nil {
		t.Fatal(err)
	}
	fields = append([]string{":scheme", "https", ":authority", p.HTTPS}, fields...)
	if _, err := str.Write(h3Request(body, fields...)); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(fields, "CONNECT") {
		_ = str.Close()
	}
	p.handled(t, mark)
	return c, conn, tr
}

// h3Request encodes a request by hand, since no client would send one like this early: literal fields (RFC 9204, section
// 4.5.6) in a HEADERS frame, and a DATA frame (RFC 9114, section 7.2).
func h3Request(body string, fields ...string) []byte {
	block := []byte{0, 0}
	number := func(first byte, bits int, n int) {
		limit := 1<<bits - 1
		if n < limit {
			block = append(block, first|byte(n))
			return
		}
		block = append(block, first|byte(limit))
		for n -= limit; n >= 128; n >>= 7 {
			block = append(block, byte(n)|0x80)
		}
		block = append(block, byte(n))
	}
	for i := 0; i < len(fields); i += 2 {
		number(0x20, 3, len(fields[i]))
		block = append(block, fields[i]...)
		number(0, 7, len(fields[i+1]))
		block = append(block, fields[i+1]...)
	}
	frame := func(b []byte, kind uint64, payload []byte) []byte {
		return append(quicvarint.Append(quicvarint.Append(b, kind), uint64(len(payload))), payload...)
	}
	b := frame(nil, 1, block)
	if body != "" {
		b = frame(b, 0, []byte(body))
	}
	return b
}

// statuses returns what requests with a mark were answered so far, by the access log.
func (p *pool) statuses(mark string) (all []int) {
	for line := range strings.Lines(p.Log()) {
		var entry struct {
			Msg     string
			Status  int
			Request struct{ URI string }
		}
		if strings.Contains(line, mark) && json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "handled request" && strings.Contains(entry.Request.URI, mark) {
			all = append(all, entry.Status)
		}
	}
	return all
}

// replay sends what was recorded from another socket, without any key, until the gateway has answered it again. As long
// as it remembers the connection that it was recorded from, it drops it.
func (p *pool) replay(t *testing.T, recorded [][]byte, mark string) {
	t.Helper()
	before := len(p.statuses(mark))
	c, err := net.DialUDP("udp", nil, p.udp(t))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	gatetest.Eventually(t, "the gateway to serve a replay", func() bool {
		for _, b := range recorded {
			if _, err := c.Write(b); err != nil {
				t.Fatal(err)
			}
		}
		_ = c.SetReadDeadline(time.Now().Add(100 * time.Millisecond))
		_, _ = c.Read(make([]byte, 2048))
		return len(p.statuses(mark)) > before
	})
}

func TestEarlyData(t *testing.T) {
	p := newPool(t, 1000)
	cfg := p.known(t)
	logins := func() int { return strings.Count(p.Log(), `"msg":"login"`) }
	for _, tc := range []struct {
		name, method, target, body string
		more                       []string
		early, later               int // statuses
	}{
		{"a message", "POST", "/rooms/1/messages?early-1-", "hello", nil, 425, 200},
		{"a login", "POST", "/api/v1/login?early-2-", `{"username":"alice","secret":"` + password + `"}`, nil, 425, 200},
		{"a login that fails", "POST", "/api/v1/login?early-3-", `{"username":"alice","secret":"wrong"}`, nil, 425, 401},
		{"another method", "PATCH", "/x?early-4-", "", nil, 425, 200},
		{"a WebSocket", "CONNECT", "/x?early-5-", "", []string{":protocol", "websocket", "sec-websocket-version", "13"}, 425, 0},
		{"a page", "GET", "/x?early-6-", "", nil, 200, 200},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, mark, _ := strings.Cut(tc.target, "?")
			fields := append([]string{":method", tc.method, ":path", tc.target}, tc.more...)
			before := logins()
			c, conn, _ := p.earlyRequest(t, cfg, mark, tc.body, fields...)
			recorded := c.recorded()
			if got := p.statuses(mark); !slices.Equal(got, []int{tc.early}) {
				t.Errorf("early: %v, want %d", got, tc.early)
			}
			safe := tc.early == http.StatusOK
			if n := p.seen(mark); n > 0 != safe {
				t.Errorf("%d requests reached an upstream", n)
			}
			if safe {
				head := p.first.visit(t, p.first.count()-1).head
				if got := gatetest.HeaderValues(head, "Early-Data"); !slices.Equal(got, []string{"1"}) {
					t.Errorf("the upstream was told Early-Data: %q", got)
				}
			}
			// The honest client goes on, and repeats it once its handshake is complete.
			c.open()
			select {
			case <-conn.HandshakeComplete():
			case <-time.After(timeout):
				t.Fatal("no handshake")
			}
			if !conn.ConnectionState().Used0RTT {
				t.Error("it was no early data")
			}
			if tc.later != 0 {
				r, err := http.NewRequestWithContext(t.Context(), tc.method, "https://"+p.HTTPS+tc.target, strings.NewReader(tc.body))
				if err != nil {
					t.Fatal(err)
				}
				resp, err := (&http3.Transport{}).NewClientConn(conn).RoundTrip(r)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != tc.later {
					t.Errorf("later: %s, want %d", resp.Status, tc.later)
				}
			}
			_ = conn.CloseWithError(0, "")
			once := tc.early != http.StatusOK && tc.later == http.StatusOK
			if once { // the log is written behind the answer
				gatetest.Eventually(t, "the deed", func() bool { return p.seen(mark)+logins() > before })
			}
			upstream, sessions := p.seen(mark), logins()
			if once && upstream+sessions-before != 1 {
				t.Errorf("it was done %d times", upstream+sessions-before)
			}
			// Whoever recorded it gets no more than that.
			p.replay(t, recorded, mark)
			for i, status := range p.statuses(mark) {
				if (i != 1 || tc.later == 0) && status != tc.early {
					t.Errorf("the replay: %d", status)
				}
			}
			if !safe && p.seen(mark) != upstream || logins() != sessions {
				t.Errorf("the replay was done: %d messages, %d sessions", p.seen(mark)-upstream, logins()-sessions)
			}
		})
	}
}

// Somebody in front of the gateway has taken a request from early data, and says so (RFC 8470, section 5.1).
func TestEarlyDataBeforeAProxy(t *testing.T) {
	p := newPool(t, 1000)
	for _, value := range []string{"1", "", "0", "1, 1"} {
		early := "Early-Data: " + value
		for request, want := range map[string]int{
			request("POST", "/x", p.HTTP, "Content-Length: 0", early):            425,
			gatetest.Handshake(p.HTTP, "/x", early):                              425,
			request("POST", "/api/v1/login", p.HTTP, "Content-Length: 0", early): 425,
			request("GET", "/x", p.HTTP, early):                                  200,
			request("OPTIONS", "/x", p.HTTP, early):                              200,
		} {
			n := p.first.count()
			c := gatetest.Dial(t, p.HTTP)
			c.Send(request)
			resp, body := c.Response()
			if resp.StatusCode != want {
				t.Errorf("%q: %s %s, want %d", request, resp.Status, body, want)
			}
			if want == 425 {
				p.first.untouched(t, n)
				if !strings.Contains(body, "TOO_EARLY") {
					t.Errorf("%s", body)
				}
			} else if got := gatetest.HeaderValues(p.first.visit(t, n).head, "Early-Data"); !slices.Equal(got, []string{value}) {
				t.Errorf("the upstream was told Early-Data: %q", got)
			}
		}
	}
}
