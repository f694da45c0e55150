package attack

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// script answers as the last path segment says, right or wrong, and keeps the connection open.
func script(c net.Conn, _ *bufio.Reader, head string) {
	_, target, _ := strings.Cut(head, " /script/")
	target, _, _ = strings.Cut(target, " ")
	good := gatetest.Accept(head)
	answer := map[string]string{
		"ok":                 good,
		"200":                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"400":                "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno",
		"426":                "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 2\r\n\r\nno",
		"101-bare":           "HTTP/1.1 101 Switching Protocols\r\n\r\n",
		"101-no-upgrade":     strings.Replace(good, "Upgrade: websocket\r\n", "", 1),
		"101-other":          strings.Replace(good, "Upgrade: websocket", "Upgrade: h2c", 1),
		"101-two":            strings.Replace(good, "Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: foo", 1),
		"101-list":           strings.Replace(good, "Upgrade: websocket", "Upgrade: websocket, foo", 1),
		"101-no-connection":  strings.Replace(good, "Connection: Upgrade\r\n", "", 1),
		"101-bad-accept":     gatetest.Accept("x\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="),
		"101-no-accept":      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
		"101-two-accepts":    strings.Replace(good, "Connection:", "Sec-WebSocket-Accept: x\r\nConnection:", 1),
		"101-protocol":       gatetest.Accept(head, "Sec-WebSocket-Protocol: unasked"),
		"101-two-protocols":  gatetest.Accept(head, "Sec-WebSocket-Protocol: chat.v1", "Sec-WebSocket-Protocol: chat.v1"),
		"101-foo-on-request": "HTTP/1.1 101 Switching Protocols\r\nUpgrade: foo\r\nConnection: Upgrade\r\n\r\n",
	}[target]
	if answer == "" {
		answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno"
	}
	_, _ = io.WriteString(c, answer)
}

func TestUPG04UpstreamAnswers(t *testing.T) {
	c := theChat(t)
	for _, tc := range []struct {
		answer string
		status int
		plain  bool // asked for without a handshake
	}{
		{"200", http.StatusOK, false},
		{"400", http.StatusBadRequest, false},
		{"426", http.StatusUpgradeRequired, false},
		{"101-bare", http.StatusBadGateway, false},
		{"101-no-upgrade", http.StatusBadGateway, false},
		{"101-other", http.StatusBadGateway, false},
		{"101-two", http.StatusBadGateway, false},
		{"101-list", http.StatusBadGateway, false},
		{"101-no-connection", http.StatusBadGateway, false},
		{"101-bad-accept", http.StatusBadGateway, false},
		{"101-no-accept", http.StatusBadGateway, false},
		{"101-two-accepts", http.StatusBadGateway, false},
		{"101-protocol", http.StatusBadGateway, false},
		{"101-two-protocols", http.StatusBadGateway, false},
		{"101-bare", http.StatusBadGateway, true},
		{"101-no-accept", http.StatusBadGateway, true},
		{"101-no-upgrade", http.StatusBadGateway, true},
		{"101-foo-on-request", http.StatusBadGateway, true},
	} {
		for _, member := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, plain %t, member %t", tc.answer, tc.plain, member), func(t *testing.T) {
				var more []string
				if member {
					more = append(more, bearer(c.alice))
				}
				n, m := c.scripted.count(), c.up.count()
				r := gatetest.Dial(t, c.HTTP)
				if tc.plain {
					r.Send(request("GET", "/script/"+tc.answer, c.HTTP, more...))
				} else {
					r.Send(gatetest.Handshake(c.HTTP, "/script/"+tc.answer, more...))
				}
				if resp, body := r.Response(); resp.StatusCode != tc.status {
					t.Fatalf("%s %s, want %d", resp.Status, body, tc.status)
				}
				v := c.scripted.visit(t, n)
				// The same connection is judged anew.
				r.Send(request("GET", "/refuse/internal", c.HTTP, "X-Gw-User: "+forged, "Remote-User: "+forged))
				if status, body := r.TryStatus(); status != http.StatusUnauthorized && status != 0 {
					t.Errorf("the second request: %d %s", status, body)
				}
				c.up.untouched(t, m)
				gatetest.Eventually(t, "the end of the upstream connection", v.ended)
				if b := v.bytes(); len(b) > 0 {
					t.Errorf("the upstream connection was used again: %q", b)
				}
			})
		}
	}
	// A refusal of our own leaves the connection as it was, too.
	for name, first := range map[string]string{
		"version 777": handshake(c.HTTP, "/x", versionLine, "Sec-WebSocket-Version: 777\r\n"),
		"no key":      handshake(c.HTTP, "/x", keyLine, ""),
		"bad token":   handshake(c.HTTP, "/x", "", "", protocols(tamper(c.alice))),
		"no token":    handshake(c.HTTP, "/refuse/x", "", ""),
	} {
		t.Run(name, func(t *testing.T) {
			n := c.up.count()
			r := gatetest.Dial(t, c.HTTP)
			r.Send(first + request("GET", "/refuse/internal", c.HTTP, "X-Gw-User: "+forged) + request("GET", "/x", c.HTTP, bearer(c.bob), "Connection: close"))
			if resp, _ := r.Response(); resp.StatusCode < 400 || resp.StatusCode >= 500 {
				t.Errorf("first: %s", resp.Status)
			}
			if resp, body := r.Response(); resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("second: %s %s", resp.Status, body)
			}
			if resp, body := r.Response(); resp.StatusCode != http.StatusOK {
				t.Errorf("third: %s %s", resp.Status, body)
			}
			assertIdentity(t, c.up.visit(t, n).head, "bob", true)
		})
	}
}
