package attack

import (
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

const responseCaddyfile = `{
	{{GLOBAL}}
	chatgate {
		accounts sqlite
		hash {
			memory_kib 1024
			time 1
		}
	}
}

http://{{HTTP}} {
	chatgate_accounts rooms
	chatgate_proxy UPSTREAM {
		query token
		@ok status 2xx
		handle_response @ok {
			error 403
		}
	}
	chatgate_proxy /all/* UPSTREAM {
		handle_response {
			abort
		}
	}
	chatgate_proxy /fcgi/* FASTCGI {
		query token
		transport fastcgi
	}
}
`

// What an operator does with answers of the upstream is not done with a WebSocket, which has none but a 101; and a route
// for all of them that aborts leaves no connection behind.
func TestRoutesForResponses(t *testing.T) {
	up := newRecorder(t, echo)
	g := gatetest.Start(t, strings.NewReplacer("UPSTREAM", up.Addr, "FASTCGI", up.Addr).Replace(responseCaddyfile))
	c := gatetest.Dial(t, g.HTTP)
	c.Open(g.HTTP, "/x")
	c.Close()
	if resp, _ := func() (*http.Response, string) {
		c := gatetest.Dial(t, g.HTTP)
		c.Send(request("GET", "/x", g.HTTP))
		return c.Response()
	}(); resp.StatusCode != http.StatusForbidden {
		t.Errorf("an ordinary answer: %s", resp.Status)
	}
	c = gatetest.Dial(t, g.HTTP)
	c.Send(gatetest.Handshake(g.HTTP, "/all/x"))
	if n, err := c.Read(make([]byte, 1)); err == nil || n > 0 {
		t.Error("what is aborted was answered")
	}
	gatetest.Eventually(t, "the end of every connection to the upstream", func() bool { return up.Open() == 0 })
}

// FastCGI has the request as it came, in REQUEST_URI; without the token, like everything else.
func TestTokenStaysOutOfFastCGI(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	got := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		b := make([]byte, 64<<10)
		n, err := io.ReadAtLeast(c, b, 1000) // the parameters come in one piece
		if err != nil {
			t.Error(err)
		}
		got <- string(b[:n])
	}()
	g := gatetest.Start(t, strings.NewReplacer("UPSTREAM", ln.Addr().String(), "FASTCGI", ln.Addr().String()).Replace(responseCaddyfile))
	g.Register("alice", password)
	token := g.Login("alice", password)
	c := gatetest.Dial(t, g.HTTP)
	c.Send(request("GET", "/fcgi/index.php/x?a=b&token="+token+"&c=d", g.HTTP))
	params := <-got
	if !strings.Contains(params, "REQUEST_URI/fcgi/index.php/x?a=b&c=d") || strings.Contains(params, token) {
		t.Errorf("FastCGI got %q", params)
	}
}
