package attack

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

func TestRoomsSubprotocolIsAnswered(t *testing.T) {
	c := theChat(t)
	for _, tc := range []struct {
		name, choose string
		offer        []string
		want         string   // answered to the client
		upstream     []string // offered to the upstream
	}{
		{"the token alone", "", []string{c.alice}, c.alice, nil},
		{"token and choice", "chat.v1", []string{c.alice, "chat.v1"}, "chat.v1", []string{"chat.v1"}},
		{"token and second choice", "chat.v2", []string{c.alice, "chat.v1", "chat.v2"}, "chat.v2", []string{"chat.v1, chat.v2"}},
		{"nothing chosen", "", []string{c.alice, "chat.v1"}, "", []string{"chat.v1"}},
		{"no token", "chat.v1", []string{"chat.v1"}, "chat.v1", []string{"chat.v1"}},
		{"no token, nothing chosen", "", []string{"chat.v1"}, "", []string{"chat.v1"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := c.up.count()
			path := "/x"
			if tc.choose != "" {
				path += "?choose=" + tc.choose
			}
			resp := gatetest.Dial(t, c.HTTP).Open(c.HTTP, path, protocols(tc.offer...))
			var want []string
			if tc.want != "" {
				want = []string{tc.want}
			}
			if got := resp.Header["Sec-Websocket-Protocol"]; fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("answered with %q, want %q", got, want)
			}
			v := c.up.visit(t, n)
			if got := gatetest.HeaderValues(v.head, "Sec-WebSocket-Protocol"); fmt.Sprint(got) != fmt.Sprint(tc.upstream) {
				t.Errorf("the upstream was offered %q, want %q", got, tc.upstream)
			}
			v.assertNo(t, c.alice)
			if tc.offer[0] == c.alice {
				assertIdentity(t, v.head, "alice", true)
			} else {
				assertIdentity(t, v.head, "", false)
			}
		})
	}
	t.Run("a choice that was not offered", func(t *testing.T) {
		r := gatetest.Dial(t, c.HTTP)
		r.Send(gatetest.Handshake(c.HTTP, "/x?choose=chat.v9", protocols(c.alice, "chat.v1")))
		if resp, _ := r.Response(); resp.StatusCode != http.StatusBadGateway {
			t.Error(resp.Status)
		}
	})
	t.Run("the token as the upstream's choice", func(t *testing.T) {
		r := gatetest.Dial(t, c.HTTP)
		r.Send(gatetest.Handshake(c.HTTP, "/x?choose="+c.alice, protocols(c.alice, "chat.v1")))
		if resp, _ := r.Response(); resp.StatusCode != http.StatusBadGateway {
			t.Error(resp.Status)
		}
	})
}

func TestRoomsBadTokens(t *testing.T) {
	c := theChat(t)
	parts := strings.Split(c.alice, ".")
	gone := c.Login("alice", password)
	if status, _, body := c.Call(http.MethodPost, "/api/v1/logout", gone, ""); status != http.StatusOK {
		t.Fatalf("logout: %d %s", status, body)
	}
	for name, token := range map[string]string{
		"another signature": tamper(c.alice),
		"logged out":        gone,
		"two parts":         parts[0] + "." + parts[1],
		"four parts":        c.alice + ".x",
		"swapped payload":   parts[0] + "." + strings.Split(c.bob, ".")[1] + "." + parts[2],
		"foreign":           "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhbGljZSJ9.dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk",
		"alg none":          "eyJhbGciOiJub25lIn0." + parts[1] + ".",
		"64 characters":     strings.Repeat("a1", 32),
		"ey":                "ey",
		"one more letter":   c.alice + "A",
	} {
		t.Run(name, func(t *testing.T) {
			n := c.up.count()
			for where, lines := range map[string][]string{"subprotocol": {protocols(token)}, "first of two": {protocols(token, "chat.v1")}, "header": {bearer(token)}} {
				for _, path := range []string{"/api/v1/rooms/a/messages/ws", "/allow/x", "/refuse/x"} {
					r := gatetest.Dial(t, c.HTTP)
					r.Send(gatetest.Handshake(c.HTTP, path, lines...))
					resp, body := r.Response()
					assertTokenInvalid(t, where+" at "+path, resp, body)
				}
				// Where bad tokens are told in a close frame.
				r := gatetest.Dial(t, c.HTTP)
				r.Open(c.HTTP, "/close/x", lines...)
				r.ExpectClose(4401)
			}
			resp, body := c.get("/allow/x", bearer(token))
			assertTokenInvalid(t, "plain", resp, body)
			resp, body = c.get("/close/x", bearer(token))
			assertTokenInvalid(t, "plain on a route that closes", resp, body)
			c.up.untouched(t, n)
		})
	}
}

// assertTokenInvalid checks for the 401 of rooms.txt, to the letter.
func assertTokenInvalid(t *testing.T, where string, resp *http.Response, body string) {
	t.Helper()
	var envelope map[string]json.RawMessage
	var e map[string]string
	if err := json.Unmarshal([]byte(body), &envelope); err != nil {
		t.Errorf("%s: %s %q: %v", where, resp.Status, body, err)
		return
	}
	err := json.Unmarshal(envelope["error"], &e)
	if resp.StatusCode != http.StatusUnauthorized || err != nil || len(envelope) != 2 || string(envelope["data"]) != "null" || len(e) != 3 ||
		e["type"] != "TOKEN_INVALID" || e["Type"] != "TOKEN_INVALID" || e["message"] == "" {
		t.Errorf("%s: %s %s", where, resp.Status, body)
	}
	if resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%s: Cache-Control %q", where, resp.Header.Get("Cache-Control"))
	}
}

func TestRoomsAnonymous(t *testing.T) {
	c := theChat(t)
	t.Run("refuse", func(t *testing.T) {
		n := c.up.count()
		r := gatetest.Dial(t, c.HTTP)
		r.Send(gatetest.Handshake(c.HTTP, "/refuse/x"))
		resp, body := r.Response()
		assertTokenInvalid(t, "handshake", resp, body)
		resp, body = c.get("/refuse/x")
		assertTokenInvalid(t, "request", resp, body)
		c.up.untouched(t, n)
	})
	t.Run("allow", func(t *testing.T) {
		n := c.up.count()
		r := gatetest.Dial(t, c.HTTP)
		r.Open(c.HTTP, "/allow/x")
		r.Echo("hello")
		v := c.up.visit(t, n)
		assertIdentity(t, v.head, "", true)
		assertFrames(t, v, "text hello")
	})
}

func TestRoomsReadOnly(t *testing.T) {
	c := theChat(t)
	ping := gatetest.Frame{Fin: true, Op: 9, Payload: []byte("still here")}
	pong := gatetest.Frame{Fin: true, Op: 10, Payload: []byte("unasked")}
	type attack struct {
		name  string
		bytes []byte
		code  int
	}
	var attacks []attack
	for op := byte(0); op < 8; op++ {
		attacks = append(attacks,
			attack{fmt.Sprintf("opcode %d", op), gatetest.Frame{Fin: true, Op: op, Payload: []byte("secret")}.Encode(true), 1008},
			attack{fmt.Sprintf("opcode %d, not final", op), gatetest.Frame{Op: op, Payload: []byte("secret")}.Encode(true), 1008},
			attack{fmt.Sprintf("opcode %d, RSV1", op), gatetest.Frame{Fin: true, RSV: 0x40, Op: op, Payload: []byte("secret")}.Encode(true), 1008},
			attack{fmt.Sprintf("opcode %d, all RSV", op), gatetest.Frame{Fin: true, RSV: 0x70, Op: op}.Encode(true), 1008},
			attack{fmt.Sprintf("opcode %d, unmasked", op), gatetest.Frame{Fin: true, Op: op, Payload: []byte("secret")}.Encode(false), 1008},
		)
	}
	attacks = append(attacks,
		attack{"empty text", gatetest.Text("").Encode(true), 1008},
		attack{"2^62 bytes", []byte{0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4}, 1008},
		attack{"a ping with a text behind it, as one", append(ping.Encode(true)[:2:2], gatetest.Text("secret").Encode(true)...), 0}, // is the ping's payload
	)
	for _, a := range attacks {
		for _, split := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, split %t", a.name, split), func(t *testing.T) {
				n := c.up.count()
				r := gatetest.Dial(t, c.HTTP)
				r.Open(c.HTTP, "/x")
				// Control frames do not end the connection. The upstream, which would echo them, gets none.
				r.SendFrame(pong)
				r.SendFrame(ping)
				if f := r.Frame(); f.Op != 10 || string(f.Payload) != "still here" {
					t.Fatalf("the ping was answered with %+v", f)
				}
				v := c.up.visit(t, n)
				if a.code == 0 {
					r.Send(string(a.bytes))
					v.assertNo(t, "secret")
					return
				}
				if split {
					for i := range a.bytes {
						if _, err := r.Write(a.bytes[i : i+1]); err != nil {
							break // cut already
						}
					}
				} else {
					r.Send(string(a.bytes))
				}
				r.ExpectClose(a.code)
				assertFrames(t, v, "close 1001")
			})
		}
	}
	t.Run("a close of the visitor's own", func(t *testing.T) {
		n := c.up.count()
		r := gatetest.Dial(t, c.HTTP)
		r.Open(c.HTTP, "/x")
		r.SendFrame(gatetest.Frame{Fin: true, Op: 8, Payload: []byte{3, 232}})
		r.ExpectClose(1000)
		assertFrames(t, c.up.visit(t, n), "close 1000")
	})
}

func TestWSA01CookieOrigins(t *testing.T) {
	c := theChat(t)
	cookie := "Cookie: ssid=" + c.alice
	own := "http://" + c.HTTP
	for _, origins := range [][]string{
		{"https://evil.example"},
		{"null"},
		{""},
		{"https://app.example.com.evil.example"},
		{"https://evilapp.example.com"},
		{"https://sub.app.example.com"},
		{"https://example.com"},
		{"http://app.example.com"},
		{"https://app.example.com:8443"},
		{"https://app.example.com."},
		{"https://app.example.com/"},
		{"https://app.example.com/x"},
		{"https://app.example.com?x"},
		{"https://app.example.com#x"},
		{"https://app.example.com@evil.example"},
		{"https://app.example.com:pw@evil.example"},
		{"https://x@app.example.com"},
		{"file://"},
		{"file:///app.example.com"},
		{"app.example.com"},
		{"//app.example.com"},
		{"wss://app.example.com"},
		{"ftp://app.example.com"},
		{"chrome-extension://app.example.com"},
		{"https:app.example.com"},
		{"https://app.example.com, https://evil.example"},
		{"https://evil.example, https://app.example.com"},
		{"https://app.example.com https://evil.example"},
		{"https://app.example.com", "https://evil.example"},
		{"https://evil.example", "https://app.example.com"},
		{"https://app.example.com", "https://app.example.com"},
		{"https://" + c.HTTP},
		{own + "0"},
		{own + "."},
		{"http://127.0.0.1"},
		{"http://localhost"},
		{"https://аpp.example.com"},
		{"https://app.example.com%2eevil.example"},
		nil,
	} {
		t.Run(fmt.Sprintf("%q", origins), func(t *testing.T) {
			lines := []string{cookie}
			for _, o := range origins {
				lines = append(lines, "Origin: "+o)
			}
			n := c.up.count()
			r := gatetest.Dial(t, c.HTTP)
			r.Send(gatetest.Handshake(c.HTTP, "/cookie/x", lines...))
			if resp, body := r.Response(); resp.StatusCode != http.StatusForbidden {
				t.Errorf("handshake: %s %s", resp.Status, body)
			}
			if resp, body := c.request("POST", "/cookie/x", append(lines, "Content-Length: 0")...); resp.StatusCode != http.StatusForbidden {
				t.Errorf("POST: %s %s", resp.Status, body)
			}
			c.up.untouched(t, n)
			// A bearer token needs no Origin, and gets nothing from a bad one.
			lines[0] = bearer(c.bob)
			gatetest.Dial(t, c.HTTP).Open(c.HTTP, "/cookie/x", lines...)
			assertIdentity(t, c.up.visit(t, n).head, "bob", true)
		})
	}
	for _, origin := range []string{own, "https://app.example.com"} {
		t.Run("allowed "+origin, func(t *testing.T) {
			n := c.up.count()
			r := gatetest.Dial(t, c.HTTP)
			r.Open(c.HTTP, "/cookie/x", cookie, "Origin: "+origin)
			r.Echo("hello")
			assertIdentity(t, c.up.visit(t, n).head, "alice", true)
		})
	}
	t.Run("a cookie where none is configured", func(t *testing.T) {
		n := c.up.count()
		gatetest.Dial(t, c.HTTP).Open(c.HTTP, "/x", cookie, "Origin: "+own)
		assertIdentity(t, c.up.visit(t, n).head, "", false)
	})
}

func TestJWT08ConflictingTokens(t *testing.T) {
	c := theChat(t)
	for name, tc := range map[string]struct {
		path  string
		lines []string
	}{
		"header and subprotocol": {"/any/x", []string{bearer(c.alice), protocols(c.bob)}},
		"header and query":       {"/any/x?token=" + c.bob, []string{bearer(c.alice)}},
		"subprotocol and query":  {"/any/x?token=" + c.bob, []string{protocols(c.alice)}},
		"query twice":            {"/any/x?token=" + c.alice + "&token=" + c.bob, nil},
		"query, other spelling":  {"/any/x?token=" + c.alice + "&to%6ben=" + c.bob, nil},
		"two headers":            {"/any/x", []string{bearer(c.alice), bearer(c.bob)}},
		"the same header twice":  {"/any/x", []string{bearer(c.alice), bearer(c.alice)}},
		"Bearer and Basic":       {"/any/x", []string{bearer(c.alice), "Authorization: Basic eDp5"}},
		"Basic and Bearer":       {"/any/x", []string{"Authorization: Basic eDp5", bearer(c.alice)}},
		"two cookies":            {"/any/x", []string{"Cookie: ssid=" + c.alice + "; ssid=" + c.bob}},
		"two cookie lines":       {"/any/x", []string{"Cookie: ssid=" + c.alice, "Cookie: ssid=" + c.bob}},
		"good and bad":           {"/any/x", []string{bearer(c.alice), protocols(tamper(c.alice))}},
		"one subprotocol twice":  {"/any/x", []string{protocols(c.alice, c.alice)}},
	} {
		t.Run(name, func(t *testing.T) {
			n := c.up.count()
			r := gatetest.Dial(t, c.HTTP)
			r.Send(gatetest.Handshake(c.HTTP, tc.path, append(tc.lines, "Origin: http://"+c.HTTP)...))
			if resp, body := r.Response(); resp.StatusCode != http.StatusBadRequest {
				t.Errorf("%s %s", resp.Status, body)
			}
			c.up.untouched(t, n)
		})
	}
	t.Run("a cookie counts last", func(t *testing.T) {
		n := c.up.count()
		gatetest.Dial(t, c.HTTP).Open(c.HTTP, "/any/x", "Cookie: ssid="+c.alice, bearer(c.bob))
		v := c.up.visit(t, n)
		v.assertNo(t, c.alice, c.bob)
		assertIdentity(t, v.head, "bob", true)
	})
}
