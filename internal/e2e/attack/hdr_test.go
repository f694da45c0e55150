package attack

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// injected are names under which one upstream or another reads who is asking, or where from.
var injected = []string{
	"Remote-User", "Remote-Name", "Remote-Email", "Remote-Id", "Remote-Access", "Remote-Groups", "X-Remote-User",
	"X-Auth-User", "X-Auth-Request-User", "X-Forwarded-User", "X-Forwarded-Email", "X-Forwarded-Groups",
	"X-Forwarded-Preferred-Username", "X-Forwarded-Access-Token", "X-User", "X-User-Id", "X-Username", "X-Gw-User",
	"X-Gw-Access", "X-WebAuth-User", "X-Real-IP", "X-Client-IP", "True-Client-IP", "Forwarded", "X-Original-URL",
	"X-Rewrite-URL", "X-HTTP-Method-Override", "X-Method-Override", "Proxy-Authorization", "Proxy", "X-Forwarded-Prefix",
	"X-Forwarded-Port", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-SSL-Client-DN",
}

const forged = "forged-by-the-client"

// asAnyone runs a header attack as visitor and member, as request and handshake, and hands over what the upstream got.
func asAnyone(c *chat, path string, lines []string, check func(t *testing.T, v *visit, member bool)) {
	t := c.t.(*testing.T)
	t.Helper()
	for _, member := range []bool{false, true} {
		for _, upgrade := range []bool{false, true} {
			name := map[bool]string{false: "visitor", true: "alice"}[member] + map[bool]string{false: " GET", true: " handshake"}[upgrade]
			t.Run(name, func(t *testing.T) {
				more := lines
				if member {
					more = append([]string{bearer(c.alice)}, lines...)
				}
				n := c.up.count()
				r := gatetest.Dial(t, c.HTTP)
				if upgrade {
					r.Open(c.HTTP, path, more...)
				} else {
					r.Send(request("GET", path, c.HTTP, more...))
					if resp, body := r.Response(); resp.StatusCode != http.StatusOK {
						t.Fatalf("%s %s", resp.Status, body)
					}
				}
				check(t, c.up.visit(t, n), member)
			})
		}
	}
}

func TestHDR01ForgedIdentity(t *testing.T) {
	c := theChat(t)
	spellings := []struct {
		name  string
		lines func(name string) []string
	}{
		{"as it is", func(n string) []string { return []string{n + ": " + forged} }},
		{"twice", func(n string) []string { return []string{n + ": " + forged, n + ": " + forged + "2"} }},
		{"lower case", func(n string) []string { return []string{strings.ToLower(n) + ": " + forged} }},
		{"upper case", func(n string) []string { return []string{strings.ToUpper(n) + ": " + forged} }},
		{"empty", func(n string) []string { return []string{n + ":", n + ": " + forged} }},
	}
	for _, s := range spellings {
		t.Run(s.name, func(t *testing.T) {
			c := *c
			c.t = t
			var lines []string
			for _, n := range injected {
				lines = append(lines, s.lines(n)...)
			}
			asAnyone(&c, "/api/v1/rooms/a/messages/ws", lines, func(t *testing.T, v *visit, member bool) {
				v.assertNo(t, forged)
				if member {
					assertIdentity(t, v.head, "alice", true)
				} else {
					assertIdentity(t, v.head, "", false)
				}
			})
		})
	}
}

func TestHDR01ConfiguredHeaderCannotBeOverwritten(t *testing.T) {
	c := theChat(t)
	// The route's own header_up says Remote-User: root. What is proven is written after it.
	asAnyone(c, "/copy/x", []string{"Remote-User: " + forged}, func(t *testing.T, v *visit, member bool) {
		v.assertNo(t, forged, "root")
		if member {
			assertIdentity(t, v.head, "alice", true)
		} else {
			assertIdentity(t, v.head, "", false)
		}
	})
}

func TestHDR02OtherSpellings(t *testing.T) {
	c := theChat(t)
	spell := func(name string) []string {
		words := strings.Split(name, "-")
		var out []string
		for _, sep := range []string{"_", ".", "--", "-_", "._", "__", ""} {
			out = append(out, strings.Join(words, sep))
		}
		return append(out, "-"+name, name+"-", "_"+name, name+"_", strings.ToLower(strings.Join(words, "_")))
	}
	var lines []string
	for _, n := range []string{"Remote-User", "Remote-Access", "X-Gw-User", "X-Gw-Access"} {
		for _, s := range spell(n) {
			lines = append(lines, s+": "+forged)
		}
	}
	t.Run("names in odd case", func(t *testing.T) {
		c := *c
		c.t = t
		asAnyone(&c, "/odd/x", append([]string{"X-GW-USER: " + forged, "x-gw-access: " + forged}, lines...), func(t *testing.T, v *visit, member bool) {
			v.assertNo(t, forged)
			var user, access []string
			if member {
				user, access = []string{"alice"}, []string{"read-write"}
			}
			if got := gatetest.HeaderValues(v.head, "X-Gw-User"); fmt.Sprint(got) != fmt.Sprint(user) {
				t.Errorf("X-Gw-User %q, want %q", got, user)
			}
			if got := gatetest.HeaderValues(v.head, "X-Gw-Access"); fmt.Sprint(got) != fmt.Sprint(access) {
				t.Errorf("X-Gw-Access %q, want %q", got, access)
			}
		})
	})
	t.Run("default names", func(t *testing.T) {
		c := *c
		c.t = t
		asAnyone(&c, "/x", lines, func(t *testing.T, v *visit, _ bool) { v.assertNo(t, forged) })
	})
	t.Run("Caddy lets underscores and dots through", func(t *testing.T) {
		up := newRecorder(t, echo)
		g := gatetest.Start(t, strings.NewReplacer("UPSTREAM", up.Addr).Replace(`{
	{{GLOBAL}}
	servers {
		expected_underscore_headers x_* X_* remote_* Remote_*
		expected_dot_headers x.* remote.*
	}
	chatgate {
		accounts sqlite
		sessions embedded
		registration open
		issuer https://chat.test
	}
}

http://{{HTTP}} {
	chatgate_accounts rooms
	chatgate_proxy /odd/* UPSTREAM {
		identity {
			user x-gw-user
			access X_Gw_Access
		}
	}
	chatgate_proxy UPSTREAM
}
`))
		g.Register("alice", password)
		c := &chat{Gateway: g, t: t, up: up, alice: g.Login("alice", password)}
		// That Caddy passes them is what makes this a test: a name that is no identity arrives.
		lines := []string{
			"X_Gw_User: " + forged, "X_Gw_Access: " + forged, "x.gw.access: " + forged, "Remote_User: " + forged,
			"remote_access: " + forged, "Remote.Name: " + forged, "X_Other: arrives", "X.Other: arrives",
		}
		for _, path := range []string{"/odd/x", "/x"} {
			asAnyone(c, path, lines, func(t *testing.T, v *visit, _ bool) {
				if strings.Count(v.head, "arrives") != 2 {
					t.Errorf("Caddy dropped the harmless headers; this proves nothing:\n%s", v.head)
				}
				v.assertNo(t, forged)
			})
		}
	})
}

// A byte that only some servers fold makes a name that only some servers take for an identity or a credential.
func TestHDR02OddBytes(t *testing.T) {
	c := theChat(t)
	for _, name := range []string{"Remote-User", "Remote-Access", "X-Gw-User", "X-Forwarded-User", "SM-User", "Cookie", "Authorization", "Sec-WebSocket-Key", "Transfer-Encoding", "Connection"} {
		for _, b := range []byte("~!#$%&'*+^`|") {
			for _, line := range []string{strings.ReplaceAll(name, "-", string(b)) + string(b), string(b) + name, name[:3] + string(b) + name[3:]} {
				n := c.up.count()
				for _, token := range []string{"", c.alice} {
					lines := []string{line + ": " + forged}
					if token != "" {
						lines = append(lines, bearer(token))
					}
					if resp, body := c.get("/odd/x", lines...); resp.StatusCode != http.StatusBadRequest {
						t.Errorf("%s: %s %s", line, resp.Status, body)
					}
					r := c.dial()
					r.Send(gatetest.Handshake(c.HTTP, "/odd/x", lines...))
					if resp, body := r.Response(); resp.StatusCode != http.StatusBadRequest {
						t.Errorf("handshake with %s: %s %s", line, resp.Status, body)
					}
					r.Close()
				}
				c.up.untouched(t, n)
			}
		}
	}
}

func TestHDR03ConnectionTokens(t *testing.T) {
	c := theChat(t)
	names := []string{"Remote-User", "Remote-Access", "remote-access", "Remote_Access", "X-Gw-User", "Authorization", "Cookie", "Origin", "Sec-WebSocket-Key", "Host", "content-length", "\"close\"", "close;x"}
	for _, name := range names {
		for _, lines := range [][]string{
			{"Connection: close, " + name},
			{"Connection: " + name + ",close"},
			{"Connection: keep-alive", "connection:" + name},
			{"Connection: ,, \t" + name + "\t,"},
		} {
			t.Run(strings.Join(lines, "; "), func(t *testing.T) {
				n := c.up.count()
				resp, body := c.get("/x", append(lines, bearer(c.alice))...)
				if resp.StatusCode != http.StatusBadRequest {
					t.Errorf("%s %s", resp.Status, body)
				}
				c.up.untouched(t, n)
			})
		}
		t.Run("handshake naming "+name, func(t *testing.T) {
			n := c.up.count()
			for _, token := range []string{"", c.alice} {
				r := c.dial()
				h := strings.Replace(gatetest.Handshake(c.HTTP, "/x", "X-Note: 1"), "Connection: Upgrade", "Connection: Upgrade, "+name, 1)
				if token != "" {
					h = strings.Replace(h, "X-Note: 1", bearer(token), 1)
				}
				r.Send(h)
				if resp, body := r.Response(); resp.StatusCode != http.StatusBadRequest {
					t.Errorf("%s %s", resp.Status, body)
				}
			}
			c.up.untouched(t, n)
		})
	}
	// Headers that other proxies treat alike have no effect either.
	for _, line := range []string{"Proxy-Connection: Remote-User, Remote-Access", "Keep-Alive: Remote-Access", "TE: Remote-Access", "Connection: te, close, keep-alive"} {
		t.Run(line, func(t *testing.T) {
			n := c.up.count()
			if resp, body := c.get("/x", bearer(c.alice), line); resp.StatusCode != http.StatusOK {
				t.Fatalf("%s %s", resp.Status, body)
			}
			assertIdentity(t, c.up.visit(t, n).head, "alice", true)
		})
	}
}

func TestHDR08NamesAreEncoded(t *testing.T) {
	c := theChat(t)
	for name, want := range map[string]string{"zoë": "zo%C3%AB", "мила": "%D0%BC%D0%B8%D0%BB%D0%B0"} {
		t.Run(name, func(t *testing.T) {
			c.Register(name, password)
			n := c.up.count()
			if resp, body := c.get("/x", bearer(c.Login(name, password))); resp.StatusCode != http.StatusOK {
				t.Fatalf("%s %s", resp.Status, body)
			}
			head := c.up.visit(t, n).head
			for _, h := range []string{"Remote-User", "Remote-Name"} {
				if got := gatetest.HeaderValues(head, h); len(got) != 1 || got[0] != want {
					t.Errorf("%s %q, want %q", h, got, want)
				}
			}
		})
	}
}

func TestHDR09CredentialsStayHere(t *testing.T) {
	c := theChat(t)
	a := c.alice
	cookie := "Cookie: theme=dark; ssid=" + a + "; lang=\"eo\""
	origin := "Origin: https://app.example.com"
	for _, tc := range []struct {
		name, path string
		lines      []string
		upgrade    bool
		want       string // in what the upstream gets
	}{
		{"Bearer", "/x", []string{bearer(a)}, false, ""},
		{"bearer", "/x", []string{"authorization: bearer " + a}, false, ""},
		{"Bearer, handshake", "/x", []string{bearer(a)}, true, ""},
		{"first subprotocol", "/x", []string{protocols(a, "chat.v1")}, true, "Sec-Websocket-Protocol: chat.v1\r\n"},
		{"only subprotocol", "/x", []string{protocols(a)}, true, ""},
		{"subprotocols in two lines", "/x", []string{protocols(a), protocols("chat.v1", "chat.v2")}, true, "Sec-Websocket-Protocol: chat.v1, chat.v2\r\n"},
		{"subprotocol and Bearer", "/x", []string{protocols(a), bearer(a)}, true, ""},
		{"cookie", "/cookie/x", []string{cookie}, false, "Cookie: theme=dark; lang=\"eo\"\r\n"},
		{"cookie, handshake", "/cookie/x", []string{cookie, origin}, true, "Cookie: theme=dark; lang=\"eo\"\r\n"},
		{"cookie quoted", "/cookie/x", []string{"Cookie: ssid=\"" + a + "\""}, false, ""},
		{"cookie twice", "/cookie/x", []string{"Cookie: ssid=" + a + "; ssid=" + a, "Cookie: ssid=" + a}, false, ""},
		{"cookie and Bearer", "/cookie/x", []string{cookie, bearer(a)}, false, "Cookie: theme=dark; lang=\"eo\"\r\n"},
		{"query", "/query/x?a=1&token=" + a + "&b=%2F", nil, false, "/query/x?a=1&b=%2F "},
		{"query, handshake", "/query/x?token=" + a, nil, true, "/query/x "},
		{"query, escaped name", "/query/x?%74oken=" + a + "&t=1", nil, false, "/query/x?t=1 "},
		{"query twice", "/query/x?token=" + a + "&token=" + a, nil, false, "/query/x "},
		{"query and Referer", "/query/x?token=" + a, []string{"Referer: http://" + c.HTTP + "/query/page?token=" + a}, false, "/query/x "},
		{"everywhere", "/any/x?token=" + a, []string{cookie, protocols(a), bearer(a)}, true, ""},
		{"subprotocol of a request that is no handshake", "/x", []string{bearer(a), protocols(a)}, false, ""},
		{"subprotocol of another upgrade", "/x", []string{bearer(a), protocols(a), "Upgrade: foo", "Connection: upgrade"}, false, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			n := c.up.count()
			r := c.dial()
			if tc.upgrade {
				r.Open(c.HTTP, tc.path, tc.lines...)
			} else {
				r.Send(request("GET", tc.path, c.HTTP, tc.lines...))
				if resp, body := r.Response(); resp.StatusCode != http.StatusOK {
					t.Fatalf("%s %s", resp.Status, body)
				}
			}
			v := c.up.visit(t, n)
			_, secret, _ := strings.Cut(a, ".")
			v.assertNo(t, a, secret, "\r\nauthorization:", "ssid")
			if !strings.Contains(strings.ToLower(v.head), strings.ToLower(tc.want)) {
				t.Errorf("the upstream did not get %q:\n%s", tc.want, v.head)
			}
			assertIdentity(t, v.head, "alice", true)
		})
	}
	// What is not the gateway's goes to the upstream.
	t.Run("another scheme", func(t *testing.T) {
		n := c.up.count()
		c.get("/x", "Authorization: Basic YWxpY2U6eA==")
		v := c.up.visit(t, n)
		if !strings.Contains(v.head, "Authorization: Basic YWxpY2U6eA==\r\n") {
			t.Errorf("the upstream's own credentials are gone:\n%s", v.head)
		}
		assertIdentity(t, v.head, "", false)
	})
	for _, line := range []string{"Authorization: Bearer\t" + a, "Authorization: Bearer  " + a, "Authorization: Bearer", "Authorization: bearer" + "\t \t" + a, "Authorization: Bearer " + a + ", x=y"} {
		t.Run(fmt.Sprintf("malformed %.25q", line), func(t *testing.T) {
			n := c.up.count()
			if resp, body := c.get("/x", line); resp.StatusCode != http.StatusBadRequest && resp.StatusCode != http.StatusUnauthorized {
				t.Errorf("%s %s", resp.Status, body)
			}
			c.up.untouched(t, n)
		})
	}
}
