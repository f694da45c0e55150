package attack

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// handshake returns an opening handshake in which old is replaced.
func handshake(host, path, old, with string, more ...string) string {
	h := gatetest.Handshake(host, path, more...)
	if old != "" && !strings.Contains(h, old) {
		panic("the handshake has no " + old)
	}
	return strings.Replace(h, old, with, 1)
}

const (
	upgradeLine    = "Upgrade: websocket\r\n"
	connectionLine = "Connection: Upgrade\r\n"
	versionLine    = "Sec-WebSocket-Version: 13\r\n"
	keyLine        = "Sec-WebSocket-Key: " + gatetest.Key + "\r\n"
)

func TestUPG01Spellings(t *testing.T) {
	c := theChat(t)
	for _, with := range []string{
		"Upgrade: websocket\r\n", "Upgrade: WebSocket\r\n", "Upgrade: WEBSOCKET\r\n", "upgrade: websocket\r\n", "Upgrade: websocket \t\r\n", "Upgrade:websocket\r\n",
		"Upgrade: websocket, h2c\r\n", "Upgrade: h2c, websocket\r\n", "Upgrade: websocket\r\nUpgrade: h2c\r\n", "Upgrade: websocket\r\nUpgrade: websocket\r\n",
		"Upgrade: websocket/13\r\n", "Upgrade: ,websocket\r\n", "Upgrade: \"websocket\"\r\n", "Upgrade: \r\nUpgrade: websocket\r\n", "Upgrade: websocket;q=1\r\n",
		"Upgrade: web\u017focket\r\n", "Upgrade:\r\n",
	} {
		for _, connection := range []string{connectionLine, "Connection: keep-alive, upgrade\r\n", "connection: UPGRADE\r\n", "Connection: keep-alive\r\nConnection: Upgrade\r\n", "Connection: close\r\n", ""} {
			t.Run(fmt.Sprintf("%q", with+connection), func(t *testing.T) {
				n := c.up.count()
				// Refused where visitors are.
				r := gatetest.Dial(t, c.HTTP)
				r.Send(strings.Replace(handshake(c.HTTP, "/refuse/x", upgradeLine, with), connectionLine, connection, 1))
				if resp, body := r.Response(); resp.StatusCode < 400 || resp.StatusCode >= 500 {
					t.Errorf("refuse: %s %s", resp.Status, body)
				}
				c.up.untouched(t, n)
				// Read-only where they may look: either a WebSocket that is held to it, or no WebSocket at all.
				r = gatetest.Dial(t, c.HTTP)
				r.Send(strings.Replace(handshake(c.HTTP, "/x", upgradeLine, with), connectionLine, connection, 1))
				resp, body := r.Response()
				switch resp.StatusCode {
				case http.StatusSwitchingProtocols:
					r.SendFrame(gatetest.Text("let me in"))
					r.ExpectClose(1008)
					v := c.up.visit(t, n)
					assertIdentity(t, v.head, "", false)
					assertFrames(t, v, "close 1001")
				case http.StatusOK:
					v := c.up.visit(t, n)
					assertIdentity(t, v.head, "", false)
					v.assertNo(t, "\r\nupgrade:", "sec-websocket-protocol")
				case http.StatusBadRequest:
					c.up.untouched(t, n)
				default:
					t.Errorf("read-only: %s %s", resp.Status, body)
				}
			})
		}
	}
}

func TestUPG02ExtendedConnect(t *testing.T) {
	c := theChat(t)
	for _, proto := range []struct {
		name    string
		connect connect
	}{{"h2", connectH2}, {"h3", connectH3}} {
		open := func(t *testing.T, path string, fields ...string) *tunnel {
			return proto.connect(t, c.Gateway, "websocket", path, append([]string{"sec-websocket-version", "13"}, fields...)...)
		}
		t.Run(proto.name+" with a token", func(t *testing.T) {
			for name, fields := range map[string][]string{
				"subprotocol": {"sec-websocket-protocol", c.alice},
				"header":      {"authorization", "Bearer " + c.alice},
			} {
				n := c.up.count()
				s := open(t, "/x", append(fields, "remote-user", forged, "x-gw-user", forged)...)
				if s.status != http.StatusOK {
					t.Fatalf("%s: status %d", name, s.status)
				}
				s.send(t, gatetest.Text("hello").Encode(true))
				if f := s.frame(t); string(f.Payload) != "hello" {
					t.Errorf("%s: the echo is %+v", name, f)
				}
				v := c.up.visit(t, n)
				v.assertNo(t, c.alice, forged, ":protocol", "\r\nauthorization:")
				assertIdentity(t, v.head, "alice", true)
				if want := map[string]string{"subprotocol": c.alice, "header": ""}[name]; s.header.Get("Sec-Websocket-Protocol") != want {
					t.Errorf("%s: answered with subprotocol %q", name, s.header.Get("Sec-Websocket-Protocol"))
				}
				if s.header.Get("Sec-Websocket-Accept") != "" || s.header.Get("Upgrade") != "" || s.header.Get("Connection") != "" {
					t.Errorf("%s: the answer has fields of HTTP/1.1: %v", name, s.header)
				}
			}
		})
		t.Run(proto.name+" without one", func(t *testing.T) {
			n := c.up.count()
			s := open(t, "/x")
			if s.status != http.StatusOK {
				t.Fatalf("status %d", s.status)
			}
			s.send(t, gatetest.Frame{Fin: true, Op: 9, Payload: []byte("ping")}.Encode(true))
			if f := s.frame(t); f.Op != 10 || string(f.Payload) != "ping" {
				t.Errorf("the ping was answered with %+v", f)
			}
			s.send(t, gatetest.Text("let me in").Encode(true))
			if f := s.frame(t); f.CloseCode() != 1008 {
				t.Errorf("the data frame was answered with %+v", f)
			}
			v := c.up.visit(t, n)
			assertIdentity(t, v.head, "", false)
			assertFrames(t, v, "close 1001") // we answered the ping
		})
		for name, tc := range map[string]struct {
			protocol, path string
			fields         []string
			status         int // -1: or reset
		}{
			"no token, refused":    {"websocket", "/refuse/x", []string{"sec-websocket-version", "13"}, 401},
			"bad token":            {"websocket", "/x", []string{"sec-websocket-version", "13", "sec-websocket-protocol", tamper(c.alice)}, 401},
			"bad bearer":           {"websocket", "/allow/x", []string{"sec-websocket-version", "13", "authorization", "Bearer " + tamper(c.alice)}, 401},
			"another version":      {"websocket", "/x", []string{"sec-websocket-version", "777"}, 426},
			"no version":           {"websocket", "/x", nil, 426},
			"another protocol":     {"connect-udp", "/x", []string{"sec-websocket-version", "13"}, 405},
			"another case":         {"WebSocket", "/x", []string{"sec-websocket-version", "13"}, 405},
			"an ambiguous path":    {"websocket", "/allow/../refuse/x", []string{"sec-websocket-version", "13"}, 400},
			"a doubled subprotcol": {"websocket", "/x", []string{"sec-websocket-version", "13", "sec-websocket-protocol", "a, a"}, 400},
		} {
			t.Run(proto.name+" "+name, func(t *testing.T) {
				n := c.up.count()
				if s := proto.connect(t, c.Gateway, tc.protocol, tc.path, tc.fields...); s.status != tc.status {
					t.Errorf("status %d, want %d", s.status, tc.status)
				}
				c.up.untouched(t, n)
			})
		}
		t.Run(proto.name+" bad token, closed", func(t *testing.T) {
			n := c.up.count()
			s := open(t, "/close/x", "sec-websocket-protocol", tamper(c.alice))
			if s.status != http.StatusOK {
				t.Fatalf("status %d", s.status)
			}
			if f := s.frame(t); f.CloseCode() != 4401 {
				t.Errorf("got %+v", f)
			}
			c.up.untouched(t, n)
		})
	}
	t.Run("h2 plain CONNECT", func(t *testing.T) {
		n := c.up.count()
		if s := connectH2(t, c.Gateway, "", ""); s.status < 400 && s.status != -1 {
			t.Errorf("status %d", s.status)
		}
		c.up.untouched(t, n)
	})
}

// tamper returns the token with another signature.
func tamper(token string) string {
	i := strings.LastIndexByte(token, '.') + 1
	b := []byte(token)
	b[i+5] = map[bool]byte{true: 'B', false: 'A'}[b[i+5] == 'A']
	return string(b)
}

func TestUPG03OtherUpgrades(t *testing.T) {
	c := theChat(t)
	settings := "HTTP2-Settings: " + base64.RawURLEncoding.EncodeToString(make([]byte, 6)) + "\r\n"
	for name, req := range map[string]string{
		"h2c":                  handshake("HOST", "PATH", upgradeLine+connectionLine, "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\n"+settings),
		"foo":                  handshake("HOST", "PATH", upgradeLine, "Upgrade: foo\r\n"),
		"TLS":                  handshake("HOST", "PATH", upgradeLine, "Upgrade: TLS/1.2, HTTP/1.1\r\n"),
		"POST":                 handshake("HOST", "PATH", "GET", "POST", "Content-Length: 0"),
		"HEAD":                 handshake("HOST", "PATH", "GET", "HEAD"),
		"GET with a length":    handshake("HOST", "PATH", "", "", "Content-Length: 5") + "hello",
		"GET with chunks":      handshake("HOST", "PATH", "", "", "Transfer-Encoding: chunked") + "0\r\n\r\n",
		"HTTP/1.0":             handshake("HOST", "PATH", "HTTP/1.1", "HTTP/1.0"),
		"version 777":          handshake("HOST", "PATH", versionLine, "Sec-WebSocket-Version: 777\r\n"),
		"no version":           handshake("HOST", "PATH", versionLine, ""),
		"two versions":         handshake("HOST", "PATH", versionLine, versionLine+versionLine),
		"no key":               handshake("HOST", "PATH", keyLine, ""),
		"two keys":             handshake("HOST", "PATH", keyLine, keyLine+keyLine),
		"short key":            handshake("HOST", "PATH", keyLine, "Sec-WebSocket-Key: AAAA\r\n"),
		"key of other letters": handshake("HOST", "PATH", keyLine, "Sec-WebSocket-Key: ????????????????????????\r\n"),
		"no Connection":        handshake("HOST", "PATH", connectionLine, ""),
		"doubled subprotocol":  handshake("HOST", "PATH", "", "", "Sec-WebSocket-Protocol: a, a"),
		"odd subprotocol":      handshake("HOST", "PATH", "", "", "Sec-WebSocket-Protocol: a b"),
	} {
		// The upstream says 101 to whatever asks.
		for _, member := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, member %t", name, member), func(t *testing.T) {
				req := req
				if member {
					req = strings.Replace(req, "\r\n", "\r\n"+bearer(c.alice)+"\r\n", 1)
				}
				n := c.scripted.count()
				r := gatetest.Dial(t, c.HTTP)
				r.Send(strings.NewReplacer("HOST", c.HTTP, "PATH", "/script/101-foo-on-request").Replace(req))
				line, err := r.R.ReadString('\n')
				if err != nil || !strings.HasPrefix(line, "HTTP/1.") || strings.Contains(line, " 101 ") || strings.Contains(line, " 200 ") {
					t.Fatalf("%q, %v", line, err)
				}
				r.Close()
				if c.scripted.count() > n {
					v := c.scripted.visit(t, n)
					v.assertNo(t, "\r\nupgrade:", "\r\nconnection: upgrade", "http2-settings")
					gatetest.Eventually(t, "the end of the upstream connection", v.ended)
					if b := v.bytes(); len(b) > 0 && string(b) != "hello" {
						t.Errorf("a tunnel: %q", b)
					}
				}
			})
		}
	}
}

func TestUPG05FramesInTheHandshakePacket(t *testing.T) {
	c := theChat(t)
	frame := string(gatetest.Text("early").Encode(true))
	t.Run("member", func(t *testing.T) {
		n := c.up.count()
		r := gatetest.Dial(t, c.HTTP)
		r.Send(gatetest.Handshake(c.HTTP, "/x", protocols(c.alice)) + frame + frame[:3])
		if resp, _ := r.Response(); resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(resp.Status)
		}
		if f := r.Frame(); string(f.Payload) != "early" {
			t.Errorf("the echo is %+v", f)
		}
		r.Send(frame[3:])
		if f := r.Frame(); string(f.Payload) != "early" {
			t.Errorf("the second echo is %+v", f)
		}
		assertFrames(t, c.up.visit(t, n), "text early", "text early")
	})
	t.Run("visitor", func(t *testing.T) {
		n := c.up.count()
		r := gatetest.Dial(t, c.HTTP)
		r.Send(gatetest.Handshake(c.HTTP, "/x") + string(gatetest.Frame{Fin: true, Op: 9, Payload: []byte("p")}.Encode(true)) + frame)
		if resp, _ := r.Response(); resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(resp.Status)
		}
		r.ExpectClose(1008)
		assertFrames(t, c.up.visit(t, n), "close 1001")
	})
	t.Run("bad token", func(t *testing.T) {
		n := c.up.count()
		r := gatetest.Dial(t, c.HTTP)
		r.Send(gatetest.Handshake(c.HTTP, "/x", protocols(tamper(c.alice))) + frame)
		if resp, _ := r.Response(); resp.StatusCode != http.StatusUnauthorized {
			t.Fatal(resp.Status)
		}
		c.up.untouched(t, n)
	})
	t.Run("bad token, closed", func(t *testing.T) {
		n := c.up.count()
		r := gatetest.Dial(t, c.HTTP)
		r.Send(gatetest.Handshake(c.HTTP, "/close/x", protocols(tamper(c.alice))) + frame)
		if resp, _ := r.Response(); resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatal(resp.Status)
		}
		r.ExpectClose(4401)
		c.up.untouched(t, n)
	})
}

func TestUPG07ModeIsFixedAtTheHandshake(t *testing.T) {
	c := theChat(t)
	for name, attack := range map[string]string{
		"a token in a frame": string(gatetest.Text(c.alice).Encode(true)),
		"a second handshake": gatetest.Handshake(c.HTTP, "/x", protocols(c.alice)),
		"a request":          request("POST", "/api/v1/logout", c.HTTP, bearer(c.alice), "Content-Length: 0"),
	} {
		t.Run(name, func(t *testing.T) {
			n := c.up.count()
			r := gatetest.Dial(t, c.HTTP)
			r.Open(c.HTTP, "/x")
			c.Login("alice", password) // elsewhere
			r.SendFrame(gatetest.Frame{Fin: true, Op: 9, Payload: []byte("p")})
			if f := r.Frame(); f.Op != 10 {
				t.Fatalf("the ping was answered with %+v", f)
			}
			r.Send(attack)
			r.ExpectClose(1008)
			v := c.up.visit(t, n)
			v.assertNo(t, c.alice)
			assertFrames(t, v, "close 1001")
		})
	}
}
