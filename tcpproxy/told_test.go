package tcpproxy

import (
	"bytes"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/chatgate/chatgate/authcore"
)

func TestProxyProtocol(t *testing.T) {
	service := newService(t)
	up := newUpstream(t)
	p := up.proxy()
	p.ProxyProtocol = "v2"
	r := start(t, service, &Line{Proxy: p, Anonymous: anonymousDrop}, true)
	header := func(request string) (c *peer, told map[proxyproto.PP2Type]string) {
		c = r.dial()
		c.send(request)
		u := up.accept()
		_ = u.SetReadDeadline(time.Now().Add(patience))
		h, err := proxyproto.Read(u.br)
		if err != nil {
			t.Fatal(err)
		}
		if h.SourceAddr.String() != c.LocalAddr().String() || h.DestinationAddr.String() != r.addr || h.Command != proxyproto.PROXY {
			t.Errorf("told %v, %v, %v", h.Command, h.SourceAddr, h.DestinationAddr)
		}
		tlvs, err := h.TLVs()
		if err != nil {
			t.Fatal(err)
		}
		told = make(map[proxyproto.PP2Type]string)
		for _, v := range tlvs {
			told[v.Type] += string(v.Value)
		}
		u.takes("hello\n"[:len("hello\n")*strings.Count(request, "hello\n")*strings.Count(request, "login")])
		return c, told
	}
	c, told := header(loginLine("alice", password) + "hello\n")
	id, _ := service.Authenticate(t.Context(), authcore.UnverifiedToken(c.granted().Token))
	if len(told) != 3 || told[0xE0] != "alice" || told[0xE1] != string(id.Account) || told[0xE2] != "read-write" {
		t.Errorf("told %q", told)
	}
	_, told = header("visit\nhello\n")
	if len(told) != 1 || told[0xE2] != "read-only" {
		t.Errorf("of a visitor was told %q", told)
	}
}

// What a client sends before it is let in reaches nobody; what it sends after comes behind what chatgate says.
func TestFirstLines(t *testing.T) {
	t.Setenv("CHATGATE_TEST_PASS", "swordfish {user.name}")
	up := newUpstream(t)
	p := up.proxy()
	p.ProxyProtocol = "v1"
	r := start(t, newService(t), &Line{Proxy: p, Anonymous: anonymousDrop, FirstLines: []string{
		"PASS {env.CHATGATE_TEST_PASS}", "NICK {user.name}", "USER {user.name} {user.access} {client.ip} :{user.display_name}",
	}}, false)
	c := r.dial()
	c.send("login u:alice p:wrong\nlogin u:ALICE p:\"" + password + "\"\nJOIN #chat\r\n")
	u := up.accept()
	if got := u.readLine(); !strings.HasPrefix(got, "PROXY TCP4 127.0.0.1 127.0.0.1 ") {
		t.Errorf("got %q", got)
	}
	u.takes("PASS swordfish {user.name}\r\nNICK alice\r\nUSER alice read-write 127.0.0.1 :alice\r\nJOIN #chat\r\n")

	c = r.dial()
	c.send("visit\n")
	u = up.accept()
	u.readLine()
	c.takes("ok\n")
	c.closeWrite()
	u.takes("PASS swordfish {user.name}\r\n")
	u.ended() // without lines that name nobody
}

func TestTemplates(t *testing.T) {
	t.Setenv("CHATGATE_TEST_BREAK", "a\r\nQUIT")
	t.Setenv("CHATGATE_TEST_LONG", strings.Repeat("x", maxFirstLine))
	for _, text := range []string{
		"NICK {user.nick}", "NICK {user.name", "NICK {client.port}", "PASS {env.CHATGATE_TEST_UNSET}", "PASS {env.CHATGATE_TEST_BREAK}",
		"PASS a\nQUIT", "PASS a\x00", "PASS a\r{user.name}", "PASS a\r", "\rPASS a", "PASS a\r\n", "PASS a\vQUIT", "PASS a\fQUIT", "PASS a\x1eQUIT", "PASS a\x7f",
		"PASS a\u0085QUIT", "{user.name}\u2028QUIT", "PASS a\u2029QUIT", "PASS {env.CHATGATE_TEST_LONG}", strings.Repeat("{user.display_name}", 5),
	} {
		if _, err := parseTemplate(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
	for _, text := range []string{"", "A\tB", "PASS caf\u00e9 \u3042", "PASS {env.CHATGATE_TEST_LONG}"[:5], strings.Repeat("{user.name} ", 7), strings.Repeat("x", maxFirstLine)} {
		if _, err := parseTemplate(text); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	from := &net.TCPAddr{IP: net.IPv6loopback, Port: 7}
	tm, err := parseTemplate("{user.id}{client.ip}")
	var b bytes.Buffer
	if err == nil {
		err = tm.appendTo(&b, caller{id: authcore.ProvenSession{Identity: authcore.Identity{Account: "id"}}}, from)
	}
	if err != nil || b.String() != "id::1\r\n" {
		t.Errorf("got %q, %v", b.String(), err)
	}
}

// A display name adds nothing to a line: it stands last, or is quoted.
func TestTemplatesWithFreeText(t *testing.T) {
	for _, text := range []string{
		"LOGIN name={user.display_name} user={user.name}", "{user.display_name} {user.name}", "USER {user.name} 0 * :{user.display_name} ({user.access})",
		"NAME {user.display_name};", "NAME \"{user.display_name} {user.name}\"", "NAME '{user.display_name}' {user.name}",
		"NAME {user.display_name}{user.name}", "NAME {user.display_name} {user.display_name}",
	} {
		if _, err := parseTemplate(text); err == nil || !strings.Contains(err.Error(), "add words to the line; put it last, or between double quotes") {
			t.Errorf("%q: %v", text, err)
		}
	}
	hostile := caller{access: readWrite, id: authcore.ProvenSession{Identity: authcore.Identity{Username: "eve", DisplayName: `x user=admin" user="admin\`}}}
	from := &net.TCPAddr{IP: net.IPv6loopback, Port: 7}
	for text, want := range map[string]string{
		`LOGIN user={user.name} name={user.display_name}`:   `LOGIN user=eve name=x user=admin" user="admin\` + "\r\n",
		`LOGIN name="{user.display_name}" user={user.name}`: `LOGIN name="x user=admin\" user=\"admin\\" user=eve` + "\r\n",
		`"{user.display_name}"`:                             `"x user=admin\" user=\"admin\\"` + "\r\n",
	} {
		tm, err := parseTemplate(text)
		var b bytes.Buffer
		if err == nil {
			err = tm.appendTo(&b, hostile, from)
		}
		if err != nil || b.String() != want {
			t.Errorf("%s: got %q, %v, want %q", text, b.String(), err, want)
		}
	}
	if _, err := parseTemplate(strings.Repeat(`"{user.display_name}"`, 3)); err == nil {
		t.Error("a line was taken that escapes can make too long")
	}
}

// Accounts have no such names; but should something else have written one into the store, it is told to no upstream, since
// some would read more than one value, or more than one line, out of it.
func TestHostileValues(t *testing.T) {
	from := &net.TCPAddr{IP: net.IPv6loopback, Port: 7}
	long := strings.Repeat("x", 1000)
	for _, value := range []string{
		"a\nQUIT", "a\rQUIT", "a\x00", "a\r\nQUIT", "\ra", "a\r", "a\tb", "a\vb", "a\fb", "a\x1bb", "a\x7f", "a\u0085b", "a\u2028b", "a\u2029b", "a\u00a0b", "a\u3000b", "a\xff",
		"a\x85b", long,
	} {
		who := caller{access: readWrite, id: authcore.ProvenSession{Identity: authcore.Identity{Username: authcore.Username(value), Account: "id", DisplayName: value}}}
		for _, text := range []string{"NICK {user.name}", "USER a 0 {user.access} :{user.display_name}"} {
			tm, err := parseTemplate(text)
			if err != nil {
				t.Fatal(err)
			}
			var b bytes.Buffer
			if err := tm.appendTo(&b, who, from); err == nil || b.Len() > 0 {
				t.Errorf("%.20q went out as %.40q", value, b.String())
			}
		}
		if h, err := proxyHeader(2, from, from, who); err == nil {
			t.Errorf("%.20q went out as %.80q", value, h)
		}
		if h, err := proxyHeader(1, from, from, who); err != nil || string(h) != "PROXY TCP6 ::1 ::1 7 7\r\n" { // which names nobody
			t.Errorf("version 1: %.80q, %v", h, err)
		}
	}
	for _, value := range []string{"alice", "жук", "Alice B. Smith", strings.Repeat("\U0001d4d0", authcore.MaxUsername)} {
		who := caller{access: readWrite, id: authcore.ProvenSession{Identity: authcore.Identity{Username: authcore.Username(value), Account: "id", DisplayName: value}}}
		tm, err := parseTemplate("{user.display_name}")
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := tm.appendTo(&b, who, from); err != nil || b.String() != value+"\r\n" {
			t.Errorf("%q went out as %q, %v", value, b.String(), err)
		}
		if _, err := proxyHeader(2, from, from, who); err != nil {
			t.Errorf("%q: %v", value, err)
		}
	}
}
