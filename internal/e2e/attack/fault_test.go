package attack

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// What a client does is never an upstream's failure: it is not counted, and not tried at another upstream.
func TestClientsFaultIsNoUpstreams(t *testing.T) {
	p := newPool(t, 1000)
	for i, a := range clientActs {
		t.Run(a.name, func(t *testing.T) {
			mark := fmt.Sprintf("act-%d-", i)
			before := p.fails(t)
			status := a.do(t, p, mark)
			if status != http.StatusOK && status != reset { // of a stream that is open nothing is logged
				if logged := p.handled(t, mark); status == 0 {
					status = logged
				}
			}
			if !slices.Contains(a.want, status) {
				t.Errorf("answered %d, want %v", status, a.want)
			}
			for addr, n := range p.fails(t) {
				if n != before[addr] {
					t.Errorf("%d failures of the upstream were counted", n-before[addr])
				}
			}
			if n := p.seen(mark); n > 1 {
				t.Errorf("it was sent upstream %d times", n)
			}
		})
	}
}

// A client that leaves while its upstream is dialled has not found it dead.
func TestClientLeavesWithinDial(t *testing.T) {
	p := newPool(t, 1000)
	for i, upgrade := range []bool{true, false} {
		mark := fmt.Sprintf("dial-%d-", i)
		before := p.fails(t)
		c := gatetest.Dial(t, p.HTTP)
		if upgrade {
			c.Send(gatetest.Handshake(p.HTTP, "/tls/"+mark))
		} else {
			c.Send(request("GET", "/tls/"+mark, p.HTTP))
		}
		gatetest.Eventually(t, "a dial", func() bool { return strings.Contains(p.Goroutines(), "HandshakeContext") })
		c.Close()
		if got := p.handled(t, mark); got != 499 {
			t.Errorf("upgrade %v: %d, want 499", upgrade, got)
		}
		if n := p.fails(t)[p.silent.Addr] - before[p.silent.Addr]; n != 0 {
			t.Errorf("upgrade %v: %d failures of the upstream were counted", upgrade, n)
		}
	}
}

// What an upstream does is counted, and tried at the other: or the test above would hold for a gateway that counts nothing.
func TestUpstreamsFaultIsCounted(t *testing.T) {
	p := newPool(t, 1000)
	for i, tc := range []struct {
		do      string
		upgrade bool
	}{
		{"other", true},
		{"no-connection", true},
		{"accept", true},
		{"hangup", true},
		{"nonsense", true},
		{"large", true},
		{"hangup", false},
		{"nonsense", false},
	} {
		t.Run(fmt.Sprintf("%s, upgrade %v", tc.do, tc.upgrade), func(t *testing.T) {
			mark := fmt.Sprintf("fault-%d-", i)
			before := p.fails(t)
			c := gatetest.Dial(t, p.HTTP)
			if tc.upgrade {
				c.Send(gatetest.Handshake(p.HTTP, "/"+mark+"?do="+tc.do))
			} else {
				c.Send(request("GET", "/"+mark+"?do="+tc.do, p.HTTP))
			}
			if resp, body := c.Response(); resp.StatusCode != http.StatusBadGateway {
				t.Errorf("%s %s", resp.Status, body)
			}
			after := p.fails(t)
			if n := after[p.first.Addr] + after[p.second.Addr] - before[p.first.Addr] - before[p.second.Addr]; n != 4 || p.seen(mark) < 4 {
				t.Errorf("%d failures of %d requests were counted, want 4", n, p.seen(mark))
			}
		})
	}
}

// The whole of it, as others see it: one visitor does everything, and the chat is there for the next.
func TestOneVisitorDoesNotEndTheChat(t *testing.T) {
	p := newPool(t, 1)
	var wg sync.WaitGroup
	for i, a := range clientActs {
		wg.Go(func() {
			mark := fmt.Sprintf("visitor-%d-", i)
			if status := a.do(t, p, mark); status != http.StatusOK && status != reset {
				p.handled(t, mark)
			}
		})
	}
	wg.Wait()
	c := gatetest.Dial(t, p.HTTP)
	_ = c.SetDeadline(time.Now().Add(timeout))
	c.Open(p.HTTP, "/x")
	c.Echo("hello")
	resp, body := func() (*http.Response, string) {
		c := gatetest.Dial(t, p.HTTP)
		c.Send(request("GET", "/y", p.HTTP))
		return c.Response()
	}()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("a page: %s %s", resp.Status, body)
	}
}

// A field that is empty is none.
func TestUpstreamsEmptyFields(t *testing.T) {
	p := newPool(t, 1000)
	for _, offer := range [][]string{nil, {protocols("chat.v1")}, {protocols(p.token)}} {
		c := gatetest.Dial(t, p.HTTP)
		resp := c.Open(p.HTTP, "/x?do=empty-fields", offer...)
		want := ""
		if len(offer) > 0 && strings.Contains(offer[0], p.token) {
			want = p.token // since a browser insists on an answer
		}
		if got := resp.Header.Get("Sec-WebSocket-Protocol"); got != want {
			t.Errorf("offered %.40q: answered %.20q", offer, got)
		}
		if got, ok := resp.Header["Sec-Websocket-Extensions"]; ok {
			t.Errorf("extensions %q", got)
		}
	}
}
