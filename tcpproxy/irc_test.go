package tcpproxy

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/authtest"
)

// ircLine is a handler in front of up.
func ircLine(up *upstream) *Line { return &Line{Proxy: up.proxy(), IRC: new(IRC)} }

func plain(target, account, pass string) string {
	return base64.StdEncoding.EncodeToString([]byte(target + "\x00" + account + "\x00" + pass))
}

// knock is a login by SASL.
func knock(name, pass string) string {
	return "CAP LS 302\r\nNICK guest\r\nUSER guest 0 * :A Guest\r\nCAP REQ :sasl\r\nAUTHENTICATE PLAIN\r\nAUTHENTICATE " +
		plain("", name, pass) + "\r\nCAP END\r\n"
}

// says expects these lines next, which end in CR LF.
func (p *peer) says(lines ...string) {
	p.t.Helper()
	for _, want := range lines {
		if got := p.readLine(); got != want+"\r" {
			p.t.Fatalf("got %q, want %q", got, want)
		}
	}
}

// welcomed expects what a client is told that knocks.
func (p *peer) welcomed() {
	p.t.Helper()
	p.says(":chatgate CAP * LS :cap-notify sasl=PLAIN", ":chatgate CAP guest ACK :sasl", "AUTHENTICATE +",
		":chatgate 900 guest guest!guest@127.0.0.1 alice :You are now logged in as alice", ":chatgate 903 guest :SASL authentication successful")
}

// enters lets alice in, as both sides see it.
func enters(t *testing.T, r *rig, up *upstream) (client, server *peer) {
	t.Helper()
	client = r.dial()
	client.send(knock("alice", password))
	client.welcomed()
	server = up.accept()
	server.says("CAP LS 302", "NICK alice", "USER alice 0 * :A Guest")
	server.send(":irc.test CAP * LS :message-tags\r\n:irc.test 001 alice :Welcome\r\n")
	server.says("CAP END")
	client.says(":irc.test 001 alice :Welcome", ":irc.test CAP alice NEW :message-tags")
	return client, server
}

func sessions(t *testing.T, service *authcore.Service) int {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	a, err := authtest.Stores(service).Accounts.AccountByUsername(ctx, "alice")
	if err != nil {
		t.Fatal(err)
	}
	all, err := service.ListSessions(ctx, authcore.Identity{Account: a.ID})
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestIRC(t *testing.T) {
	for _, overTLS := range []bool{false, true} {
		service := newService(t)
		up := newUpstream(t)
		r := start(t, service, ircLine(up), overTLS)
		c, u := enters(t, r, up)
		if n := sessions(t, service); n != 1 {
			t.Errorf("%d sessions", n)
		}
		c.send("JOIN #room\r\nNICK mallory\r\nPRIVMSG #room :hello\r\nnick :ALICE\r\n")
		u.says("JOIN #room", "PRIVMSG #room :hello", "nick :ALICE")
		c.says(":chatgate 484 alice :Your nick is your account's name, and stays so")
		u.send(":alice!a@b JOIN #ro")
		c.takes(":alice!a@b JOIN #ro")
		c.send("AUTHENTICATE PLAIN\r\nPING x\r\n")
		u.says("PING x")
		u.send("om\r\n:irc.test PONG")
		c.says("om", ":chatgate 907 alice :You have already authenticated using SASL")
		c.takes(":irc.test PONG")
		u.send(" x\r\n")
		c.says(" x")
		c.Close()
		if rest := u.cut(); rest != "" {
			t.Errorf("the upstream got %q", rest)
		}
		u.Close()
		eventually(t, "the end of the session", func() bool { return sessions(t, service) == 0 })
	}
}

// PASS, and a nick of the client's own that is nobody's; proxy_protocol comes first of all.
func TestIRCPass(t *testing.T) {
	t.Setenv("CHATGATE_TEST_WEBIRC", "hunter2\n")
	t.Setenv("CHATGATE_TEST_PASS", "sesame")
	up := newUpstream(t)
	l := ircLine(up)
	l.Proxy.ProxyProtocol = "v1"
	l.IRC = &IRC{ServerName: "gate.test", WebIRCPassword: "{env.CHATGATE_TEST_WEBIRC}", Password: "{env.CHATGATE_TEST_PASS}"}
	r := start(t, newService(t), l, true)
	for i, account := range []string{"Alice", "alice@example.com"} {
		c := r.dial()
		c.send("PASS :" + account + ":" + password + "\r\nNICK bob\r\nUSER bob 0 * :Bob \xff\r\nJOIN #early\r\n")
		u := up.accept()
		if got := u.readLine(); !strings.HasPrefix(got, "PROXY TCP4 127.0.0.1 127.0.0.1 ") {
			t.Errorf("got %q", got)
		}
		u.says("WEBIRC hunter2 alice 127.0.0.1 127.0.0.1 :secure", "PASS sesame", "NICK alice", "USER alice 0 * :Bob \xff")
		u.send(":irc.test NOTICE * :Looking you up\r\n")
		c.says(":gate.test 900 bob bob!bob@127.0.0.1 alice :You are now logged in as alice", ":irc.test NOTICE * :Looking you up")
		u.send("PING :cookie\r\n")
		u.says("PONG :cookie")
		nick := "alice"
		if i > 0 {
			u.send(":irc.test 433 * alice :Nickname is already in use.\r\n")
			u.says("NICK alice|2")
			nick = "alice|2"
		}
		u.send(":irc.test 001 " + nick + " :Welcome\r\n:irc.test 002 " + nick + " :more\r\nhalf")
		c.says(":irc.test 001 "+nick+" :Welcome", ":irc.test 002 "+nick+" :more")
		u.says("JOIN #early")
		c.send("NICK alice\r\nNICK alice|3\r\n")
		u.says("NICK alice") // it may have its own name, once that is free
		u.send("way\r\n")
		c.says("halfway", ":gate.test 484 "+nick+" :Your nick is your account's name, and stays so")
	}
}

// What is sent before the login, by whom it is not to be had, and how it ends.
func TestIRCRefused(t *testing.T) {
	service := newService(t)
	up := newUpstream(t)
	r := start(t, service, ircLine(up), false)
	wrong := strings.Repeat("AUTHENTICATE PLAIN\r\nAUTHENTICATE "+plain("", "alice", "wrong")+"\r\n", 4)
	for name, c := range map[string]struct{ send, want string }{
		"wrong": {
			"PASS alice:wrong\r\nNICK x\r\nUSER x 0 * x\r\n",
			":chatgate 464 x :Wrong account or password\r\nERROR :Closing link (Wrong account or password)\r\n",
		},
		"unknown": {
			"PASS nobody:wrong\r\nNICK x\r\nUSER x 0 * x\r\n",
			":chatgate 464 x :Wrong account or password\r\nERROR :Closing link (Wrong account or password)\r\n",
		},
		"no account's name": {
			"PASS a\xffb c:wrong\r\nNICK x\r\nUSER x 0 * x\r\n",
			":chatgate 464 x :Wrong account or password\r\nERROR :Closing link (Wrong account or password)\r\n",
		},
		"an address": {
			"PASS nobody@example.com:wrong\r\nNICK x\r\nUSER x 0 * x\r\n",
			":chatgate 464 x :Wrong account or password\r\nERROR :Closing link (Wrong account or password)\r\n",
		},
		"tries": {
			wrong,
			strings.Repeat("AUTHENTICATE +\r\n:chatgate 904 * :Wrong account or password\r\n", 3) + "ERROR :Closing link (too many failed logins)\r\n",
		},
		"for another": {
			"AUTHENTICATE PLAIN\r\nAUTHENTICATE " + plain("bob", "alice", password) + "\r\nQUIT\r\n",
			"AUTHENTICATE +\r\n:chatgate 904 * :Wrong account or password\r\nERROR :Closing link (quit)\r\n",
		},
		"nobody": {
			"NICK x\r\nUSER x 0 * x\r\n",
			":chatgate 464 x :Log in: with SASL PLAIN, or with the server password account:password\r\nERROR :Closing link (not logged in)\r\n",
		},
		"HTTP":  {"POST / HTTP/1.1\r\nPASS alice:" + password + "\r\n", "ERROR :Closing link (this is an IRC server)\r\n"},
		"line":  {loginLine("alice", password), "ERROR :Closing link (this is an IRC server)\r\n"},
		"lines": {strings.Repeat("PONG\r\n", 65), "ERROR :Closing link (too many commands before registration)\r\n"},
		"long": {
			"NICK " + strings.Repeat("x", 600) + "\r\nQUIT\r\n", ":chatgate 417 * :Input line was too long\r\nERROR :Closing link (quit)\r\n",
		},
		"endless": {
			strings.Repeat("x", 80<<10), ":chatgate 417 * :Input line was too long\r\nERROR :Closing link (no end of a line)\r\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := r.dial()
			p.t = t
			p.send(c.send)
			if got := p.cut(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if n := sessions(t, service); n != 0 {
		t.Errorf("%d sessions", n)
	}
}

// A wrong password after a right one, or a client that leaves before it has said all, leaves no session behind.
func TestIRCLeaves(t *testing.T) {
	service := newService(t)
	up := newUpstream(t)
	r := start(t, service, ircLine(up), false)
	c := r.dial()
	c.send("AUTHENTICATE PLAIN\r\nAUTHENTICATE " + plain("", "alice", password) + "\r\nNICK x\r\n")
	c.says("AUTHENTICATE +", ":chatgate 900 * *!*@127.0.0.1 alice :You are now logged in as alice", ":chatgate 903 * :SASL authentication successful")
	if n := sessions(t, service); n != 1 {
		t.Errorf("%d sessions", n)
	}
	c.Close()
	eventually(t, "the end of the session", func() bool { return sessions(t, service) == 0 })
}

func TestIRCLogout(t *testing.T) {
	for _, overTLS := range []bool{false, true} {
		service := newService(t)
		up := newUpstream(t)
		r := start(t, service, ircLine(up), overTLS)
		c, u := enters(t, r, up)
		a, err := authtest.Stores(service).Accounts.AccountByUsername(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := service.LogoutAll(t.Context(), authcore.Actor{}, a.ID, ""); err != nil {
			t.Fatal(err)
		}
		c.takes("ERROR :Closing link (logged out)\r\n")
		c.ended()
		u.takes("QUIT :logged out\r\n")
		u.ended()
		c.Close()
		u.Close()
	}
}

// A logout between the login and the upstream's welcome is noticed.
func TestIRCLogoutMeanwhile(t *testing.T) {
	service := newService(t)
	up := newUpstream(t)
	r := start(t, service, ircLine(up), false)
	c := r.dial()
	c.send(knock("alice", password))
	c.welcomed()
	u := up.accept()
	a, err := authtest.Stores(service).Accounts.AccountByUsername(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.LogoutAll(t.Context(), authcore.Actor{}, a.ID, ""); err != nil {
		t.Fatal(err)
	}
	u.send(":irc.test CAP * LS :\r\n:irc.test 001 alice :Welcome\r\n")
	c.takes("ERROR :Closing link (logged out)\r\n")
	c.ended()
	u.says("CAP LS 302", "NICK alice", "USER alice 0 * :A Guest", "CAP END")
	u.cut()
}

// What the upstream makes of a client is passed on, and the connection closed; nothing is left of it.
func TestIRCUpstreamRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		says, want string
		change     func(*Line)
	}{
		"nick": {
			":irc.test 432 * alice :Erroneous Nickname\r\n",
			":irc.test 432 * alice :Erroneous Nickname\r\nERROR :Closing link (the chat server has refused the connection)\r\n", nil,
		},
		"ban": {
			":irc.test 465 alice :No\r\nERROR :Closing link\r\n",
			":irc.test 465 alice :No\r\nERROR :Closing link (the chat server has refused the connection)\r\n", nil,
		},
		"error": {"ERROR :Bad password?\r\n", "ERROR :Closing link (the chat server has refused the connection)\r\n", nil},
		"taken": {
			":irc.test 433 * alice :In use\r\n", ":irc.test 433 * alice :In use\r\nERROR :Closing link (the account's nick is in use)\r\n",
			func(l *Line) { l.IRC.SecondNick = secondRefuse },
		},
		"renamed": {":irc.test 001 alic :Welcome\r\n", "ERROR :Closing link (the chat server has another nick for this account)\r\n", nil},
		"silent":  {"", "ERROR :Closing link (the chat server is unavailable, try again later)\r\n", nil},
	} {
		t.Run(name, func(t *testing.T) {
			service := newService(t)
			up := newUpstream(t)
			l := ircLine(up)
			if c.change != nil {
				c.change(l)
			}
			r := start(t, service, l, false)
			p := r.dial()
			p.send(knock("alice", password))
			p.welcomed()
			u := up.accept()
			u.says("CAP LS 302", "NICK alice", "USER alice 0 * :A Guest")
			u.send(c.says)
			if c.says == "" {
				u.Close()
			}
			if got := p.cut(); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if c.says != "" {
				if rest := u.cut(); rest != "" {
					t.Errorf("the upstream got %q", rest)
				}
			}
			eventually(t, "the end of the session", func() bool { return sessions(t, service) == 0 })
		})
	}
	t.Run("down", func(t *testing.T) {
		service := newService(t)
		up := newUpstream(t)
		up.ln.Close()
		r := start(t, service, ircLine(up), false)
		c := r.dial()
		c.send(knock("alice", password))
		c.welcomed()
		c.takes("ERROR :Closing link (the chat server is unavailable, try again later)\r\n")
		c.ended()
		eventually(t, "the end of the session", func() bool { return sessions(t, service) == 0 })
	})
}

// Budgets are those of the line protocol.
func TestIRCBudgets(t *testing.T) {
	service := newService(t)
	up := newUpstream(t)
	l := ircLine(up)
	l.PerAccount, l.PerAddress, l.LineTimeout = 1, 2, 3e9
	r := start(t, service, l, false)
	_, _ = enters(t, r, up)
	c := r.dial()
	c.send(knock("alice", password))
	c.welcomed()
	c.takes("ERROR :Closing link (too many connections)\r\n")
	c.ended()
	c.Close()
	known := func(n int) func() bool {
		return func() bool { return strangers.Of(authcore.AddrKey(netip.MustParseAddr("127.0.0.1"))) == n }
	}
	eventually(t, "its end", known(0))
	if n := sessions(t, service); n != 1 {
		t.Errorf("%d sessions", n)
	}
	a, b := r.dial(), r.dial()
	eventually(t, "strangers", known(2))
	d := r.dial()
	if got := d.cut(); got != "ERROR :Closing link (too many connections)\r\n" {
		t.Errorf("got %q", got)
	}
	a.send("NICK ") // the time of a line is for all of it
	for _, p := range []*peer{a, b} {
		if got := p.cut(); got != "ERROR :Closing link (registration timed out)\r\n" {
			t.Errorf("got %q", got)
		}
	}
}

func TestIRCUnavailable(t *testing.T) {
	up := newUpstream(t)
	r := start(t, newService(t), ircLine(up), false, func(r *rig) { r.app.err = errors.New("hunter2 is down") })
	for _, knocks := range []string{knock("alice", password), "PASS a:b\r\nNICK guest\r\nUSER x 0 * x\r\n"} {
		c := r.dial()
		c.send(knocks)
		got := c.cut()
		if !strings.HasSuffix(got, "ERROR :Closing link (the login is unavailable, try again later)\r\n") || strings.Contains(got, " 464 ") || strings.Contains(got, "hunter2") {
			t.Errorf("got %q", got)
		}
	}
}

// Without TLS nobody is asked for a password.
func TestIRCPlaintext(t *testing.T) {
	up := newUpstream(t)
	r := start(t, newService(t), ircLine(up), false, func(r *rig) { r.line.Plaintext = false })
	c := r.dial()
	if got := c.cut(); got != "ERROR :Closing link (the chat server is unavailable, try again later)\r\n" {
		t.Errorf("got %q", got)
	}
}

// The gateway calls itself by what the client asked for, if that is a name.
func TestIRCServerName(t *testing.T) {
	up := newUpstream(t)
	r := start(t, newService(t), ircLine(up), true)
	conn, err := tls.Dial("tcp", r.addr, &tls.Config{InsecureSkipVerify: true, ServerName: "chat.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	c := newPeer(t, conn)
	c.send("CAP LS\r\n")
	c.says(":chat.example.com CAP * LS :cap-notify sasl")
}

// What a secret is replaced by is nothing that could begin another line, and an error does not show it.
func TestIRCSecrets(t *testing.T) {
	t.Setenv("CHATGATE_TEST_BAD", "hunter2\nQUIT")
	t.Setenv("CHATGATE_TEST_GOOD", "sesame")
	for _, i := range []IRC{
		{Password: "{env.CHATGATE_TEST_BAD}"},
		{WebIRCPassword: "{env.CHATGATE_TEST_BAD}"},
		{Password: "{env.CHATGATE_TEST_NONE}"},
		{Password: ":{env.CHATGATE_TEST_NONE}"},
		{WebIRCPassword: "hunter2"},
		{Password: "hunter2{env.CHATGATE_TEST_GOOD}"},
		{WebIRCGateway: "x"},
		{WebIRCPassword: "{env.CHATGATE_TEST_GOOD}", WebIRCGateway: "a b"},
		{SecondNick: "x"},
		{ServerName: "a b"},
	} {
		l := &Line{Proxy: newUpstream(t).proxy(), IRC: &i}
		ctx, cancel := caddy.NewContext(caddy.Context{Context: context.Background()})
		if err := l.provision(ctx); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", i, err)
		}
		cancel()
	}
}
