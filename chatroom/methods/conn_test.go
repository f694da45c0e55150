package methods

import (
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom/relay"
	"github.com/chatgate/chatgate/internal/authtest"
)

const login = `{"m":"user_login","r":1,"d":{"username":"alice","password":"` + password + `"}}`

// Every method in every state that a connection can be in.
func TestMethods(t *testing.T) {
	s := newSite(t, authtest.Service(t), Options{})
	c := s.dial()
	c.ask(`{"m":"user_logout","r":1}`, `{"r":1,"err":"not_logged_in"}`)
	c.ask(`{"m":"user_logout_all","r":"x","d":{}}`, `{"r":"x","err":"not_logged_in"}`)
	c.ask(`{"m":"say","r":2}`, `{"r":2,"err":"unknown_method"}`)
	c.ask(`{"m":"user_nothing","r":2}`, `{"r":2,"err":"unknown_method"}`)
	c.ask(`{"m":"USER_login","r":2,"d":{}}`, `{"r":2,"err":"unknown_method"}`)
	c.ask(login, `{"r":1,"err":"bad_credentials"}`)
	c.ask(`{"m":"user_token_auth","r":1,"d":{"token":"x"}}`, `{"r":1,"err":"bad_token"}`)
	c.ask(`{"m":"user_register","r":1,"d":{"username":"alice","password":"short"}}`, `{"r":1,"err":"weak_password"}`)
	c.ask(`{"m":"user_register","r":1,"d":{"username":"a b","password":"`+password+`"}}`, `{"r":1,"err":"invalid_username"}`)
	alice := c.token("user_register", "alice")
	c.ask(`{"m":"user_register","r":1,"d":{"username":"ALICE","password":"`+password+`"}}`, `{"r":1,"err":"username_taken"}`)
	c.ask(`{"m":"say","r":2}`, `{"r":2,"err":"unknown_method"}`)

	other := s.dial()
	other.ask(`{"m":"user_token_auth","r":1e400,"d":{"token":"`+alice+`"}}`, `{"r":1e400,"d":{}}`)
	third := s.dial()
	third.token("user_login", "alice")

	// Its own session, on both of its connections.
	c.ask(`{"m":"user_logout","r":-0,"d":{}}`, `{"r":-0,"d":{}}`)
	other.want(loggedOut)
	other.ask(`{"m":"user_token_auth","r":1,"d":{"token":"`+alice+`"}}`, `{"r":1,"err":"bad_token"}`)
	c.ask(`{"m":"user_logout","r":3}`, `{"r":3,"err":"not_logged_in"}`)

	// Every session.
	second := c.token("user_login", "alice")
	other.token("user_login", "alice")
	c.ask(`{"m":"user_logout_all","r":"\u00fc"}`, `{"r":"\u00fc","d":{}}`)
	other.want(loggedOut)
	third.want(loggedOut)
	c.ask(`{"m":"user_token_auth","r":1,"d":{"token":"`+second+`"}}`, `{"r":1,"err":"bad_token"}`)
	for _, c := range []*client{c, other, third} {
		c.ask(`{"m":"user_logout","r":4}`, `{"r":4,"err":"not_logged_in"}`) // open, and nobody's
	}
}

// A revocation from elsewhere logs the connection out and leaves it open; the end of the process closes it.
func TestEnds(t *testing.T) {
	service := authtest.Service(t)
	s := newSite(t, service, Options{})
	c, visitor := s.dial(), s.dial()
	tok := c.token("user_register", "alice")
	id, err := service.Authenticate(t.Context(), authcore.UnverifiedToken(tok))
	if err != nil {
		t.Fatal(err)
	}
	r, err := service.LogoutAll(t.Context(), authcore.Actor{}, id.Account, "")
	if err != nil || r.Closed != 1 {
		t.Fatalf("%+v, %v", r, err)
	}
	c.want(loggedOut)
	c.token("user_login", "alice")
	authtest.State(service).Live().EndAll(t.Context(), 0)
	c.wantClose(1012)
	visitor.wantClose(1012)
	eventually(t, "nothing is live", func() bool { return authtest.State(service).Live().Connections() == 0 && s.connections() == 0 })
}

// Logging in while logged in leaves the old session behind, alive: it can be used again, and its end does nothing here.
func TestLoginTwice(t *testing.T) {
	service := authtest.Service(t)
	s := newSite(t, service, Options{})
	c := s.dial()
	alice := c.token("user_register", "alice")
	bob := c.token("user_register", "bob")
	eventually(t, "one connection is live", func() bool { return authtest.State(service).Live().Connections() == 1 })
	aliceID, err := service.Authenticate(t.Context(), authcore.UnverifiedToken(alice))
	if err != nil {
		t.Fatalf("alice's session ended: %v", err)
	}
	if _, err := service.Logout(t.Context(), authcore.Actor{Identity: aliceID.Identity}); err != nil {
		t.Fatal(err)
	}
	c.ask(`{"m":"say","r":2}`, `{"r":2,"err":"unknown_method"}`) // and no event
	// A login that fails changes nothing.
	c.ask(`{"m":"user_login","r":3,"d":{"username":"alice","password":"no"}}`, `{"r":3,"err":"bad_credentials"}`)
	bobID, err := service.Authenticate(t.Context(), authcore.UnverifiedToken(bob))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.Logout(t.Context(), authcore.Actor{Identity: bobID.Identity}); err != nil {
		t.Fatal(err)
	}
	c.want(loggedOut)
}

func TestFiveFailures(t *testing.T) {
	s := newSite(t, authtest.Service(t), Options{})
	c := s.dial()
	c.token("user_register", "alice")
	bad := `{"m":"user_login","r":1,"d":{"username":"bob","password":"wrong-wrong"}}`
	for range maxFailures - 1 {
		c.ask(bad, `{"r":1,"err":"bad_credentials"}`)
	}
	c.token("user_login", "alice")
	for range maxFailures - 1 {
		c.ask(`{"m":"user_token_auth","r":1,"d":{"token":"x"}}`, `{"r":1,"err":"bad_token"}`)
	}
	c.send(bad)
	c.wantClose(4429)
}

func TestWhatIsNoRequest(t *testing.T) {
	s := newSite(t, authtest.Service(t), Options{})
	for name, tc := range map[string]struct {
		kind int
		msg  string
		code int
	}{
		"no JSON":      {1, "hello", 1008},
		"empty":        {1, "", 1008},
		"BOM":          {1, "\ufeff{\"m\":\"x\",\"r\":1}", 1008},
		"no ID":        {1, `{"m":"user_logout"}`, 1008},
		"null ID":      {1, `{"m":"user_logout","r":null}`, 1008},
		"an array":     {1, `[{"m":"user_logout","r":1}]`, 1008},
		"two IDs":      {1, `{"m":"user_logout","r":1,"r":2}`, 1008},
		"not UTF-8":    {1, "{\"m\":\"\xff\",\"r\":1}", 1007},
		"binary":       {2, `{"m":"user_logout","r":1}`, 1003},
		"empty binary": {2, "", 1003},
		"too big":      {1, `{"m":"user_logout","r":"` + strings.Repeat("x", 64<<10) + `"}`, 1009},
	} {
		t.Run(name, func(t *testing.T) {
			c := s.dial()
			c.t = t
			_ = c.ws.WriteMessage(tc.kind, []byte(tc.msg))
			c.wantClose(tc.code)
		})
	}
}

func TestRate(t *testing.T) {
	s := newSite(t, authtest.Service(t), Options{Rate: authcore.Rate{Burst: 3, Per: time.Hour}, Counts: new(relay.Counts)})
	c := s.dial()
	for i := range 3 {
		c.ask(fmt.Sprintf(`{"m":"user_logout","r":%d}`, i), fmt.Sprintf(`{"r":%d,"err":"not_logged_in"}`, i))
	}
	for range 3 {
		c.ask(`{"m":"user_logout","r":9}`, `{"r":9,"err":"rate_limited"}`)
	}
	c.send(`{"m":"user_logout","r":9}`)
	c.wantClose(4429)
}

func TestLoginTimeout(t *testing.T) {
	t.Parallel()
	s := newSite(t, authtest.Service(t), Options{LoginTimeout: time.Second})
	in, out, never := s.dial(), s.dial(), s.dial()
	in.token("user_register", "alice")
	out.token("user_register", "bob")
	never.wantClose(4408)
	out.ask(`{"m":"user_logout","r":1}`, `{"r":1,"d":{}}`)
	out.wantClose(4408)
	in.ask(`{"m":"say","r":1}`, `{"r":1,"err":"unknown_method"}`)
}

func TestPerAddressAndAccount(t *testing.T) {
	s := newSite(t, authtest.Service(t), Options{PerAddress: 2, PerAccount: 1})
	a, b := s.dial(), s.dial()
	if _, resp, err := websocket.DefaultDialer.Dial("ws://"+s.addr, nil); err == nil || resp.StatusCode != 429 {
		t.Fatalf("a third one: %v, %v", resp, err)
	}
	a.token("user_register", "alice")
	eventually(t, "there is room", func() bool {
		ok := s.endpoint.Admit(here)
		if ok {
			s.endpoint.Dismiss(here)
		}
		return ok
	})
	s.dial() // there is room, since a is somebody's
	b.send(login)
	b.want(`{"r":1,"err":"rate_limited"}`)
	a.ask(`{"m":"user_logout","r":1}`, `{"r":1,"d":{}}`) // never refused
	eventually(t, "there is room", func() bool {
		b.send(login)
		return strings.Contains(b.next(), "token")
	})
}

// Who has logged out counts as nobody's again.
func TestLoggedOutIsCounted(t *testing.T) {
	s := newSite(t, authtest.Service(t), Options{PerAddress: 1})
	c := s.dial()
	c.token("user_register", "alice")
	c.ask(`{"m":"user_logout","r":1}`, `{"r":1,"d":{}}`)
	if s.endpoint.Admit(here) {
		s.endpoint.Dismiss(here)
		t.Error("there is room for another one")
	}
}

// A peer that answers no ping is let go, and so is one that takes nothing.
func TestDeadPeers(t *testing.T) {
	t.Parallel()
	quick := defaultTimes
	quick.ping, quick.silent, quick.write, quick.linger = 20*time.Millisecond, time.Second, 200*time.Millisecond, 100*time.Millisecond
	s := newSite(t, authtest.Service(t), Options{times: quick, Rate: authcore.Rate{Burst: 1_000_000, Per: time.Second}})
	silent, _ := s.rawDial("")
	alive := s.dial()
	go func() {
		for {
			if _, _, err := alive.ws.ReadMessage(); err != nil {
				return
			}
		}
	}()
	eventually(t, "the silent one is gone", func() bool { return s.connections() == 1 })
	if b, _ := io.ReadAll(silent); !strings.Contains(string(b), "\x89\x00") {
		t.Errorf("it was not asked for a sign of life: %q", b)
	}
	// Its replies pile up, as large as its requests.
	deaf, _ := s.rawDial("")
	frame := clientFrame(0x81, `{"m":"user_x","r":"`+strings.Repeat("x", 60<<10)+`"}`)
	for s.connections() == 2 {
		_ = deaf.SetWriteDeadline(time.Now().Add(time.Second))
		_, _ = deaf.Write(frame)
	}
}

// clientFrame is masked, with zeros.
func clientFrame(first byte, payload string) []byte {
	b := []byte{first, 0}
	switch n := len(payload); {
	case n < 126:
		b[1] = 0x80 | byte(n)
	case n < 1<<16:
		b = append(b[:1], 0x80|126, byte(n>>8), byte(n))
	default:
		b = append(b[:1], 0x80|127, 0, 0, 0, 0, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	}
	return append(append(b, 0, 0, 0, 0), payload...)
}

func wantRawClose(t *testing.T, r io.Reader, code int) {
	t.Helper()
	b, _ := io.ReadAll(r)
	if want := string([]byte{byte(code >> 8), byte(code)}); !strings.Contains(string(b), want) || !strings.Contains(string(b), "\x88") {
		t.Errorf("no close %d in %q", code, b)
	}
}

// What came with the handshake is not lost; a size is refused at its header; empty frames have an end.
func TestFrames(t *testing.T) {
	s := newSite(t, authtest.Service(t), Options{})
	early := string(clientFrame(0x81, `{"m":"user_logout","r":7}`)) + string(clientFrame(0x88, "\x03\xe8"))
	_, br := s.rawDial(early)
	if b, _ := io.ReadAll(br); !strings.HasPrefix(string(b), "\x81\x1d{\"r\":7,\"err\":\"not_logged") {
		t.Errorf("what came early was answered with %q", b)
	}
	for name, tc := range map[string]struct {
		bytes string
		code  int
	}{
		"2^63-1":     {"\x81\xff\x7f\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009},
		"2^64-1":     {"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00", 1009},
		"2^31":       {"\x81\xff\x00\x00\x00\x00\x80\x00\x00\x00\x00\x00\x00\x00", 1009},
		"unmasked":   {"\x81\x02{}", 1002},
		"RSV1":       {string(clientFrame(0xc1, "{}")), 1002},
		"opcode 3":   {string(clientFrame(0x83, "{}")), 1002},
		"long ping":  {string(clientFrame(0x89, strings.Repeat("x", 126))), 1002},
		"bytes":      {string(clientFrame(0x01, "{")) + strings.Repeat(string(clientFrame(0x00, "x")), 64<<10), 1009},
		"empty":      {string(clientFrame(0x01, "")) + strings.Repeat(string(clientFrame(0x00, "")), 120_000), 1009},
		"pings":      {strings.Repeat(string(clientFrame(0x89, "x")), 5000), 1008},
		"pongs":      {strings.Repeat(string(clientFrame(0x8a, "")), 5000), 1008},
		"only begun": {string(clientFrame(0x01, `{"m":`)) + string(clientFrame(0x88, "\x03\xe8")), 1000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, br := s.rawDial("")
			go func() { _, _ = c.Write([]byte(tc.bytes)) }()
			wantRawClose(t, br, tc.code)
		})
	}
}

// Requests that come faster than they are answered are all answered, in order, each under its own ID.
func TestInFlight(t *testing.T) {
	s := newSite(t, authtest.Service(t), Options{Rate: authcore.Rate{Burst: 10_000, Per: time.Minute}})
	c := s.dial()
	const n = 100 // more than may be in flight
	go func() {
		for i := range n {
			_ = c.ws.WriteMessage(websocket.TextMessage, []byte(fmt.Sprintf(`{"m":"user_register","r":%d,"d":{"username":"user%d","password":"%s"}}`, -i, i, password)))
		}
	}()
	for i := range n {
		if got := c.next(); !strings.HasPrefix(got, fmt.Sprintf(`{"r":%d,"d":{"token":`, -i)) {
			t.Fatalf("reply %d: %.100s", i, got)
		}
	}
	eventually(t, "one connection is live", func() bool { return authtest.State(s.service).Live().Connections() == 1 })
}

// gated has a login wait until it may go on.
type gated struct {
	*authcore.Service
	began, goOn chan struct{}
	hold        bool // logouts, too
}

func (g *gated) Login(ctx context.Context, c authcore.Credentials) (authcore.Grant, error) {
	g.began <- struct{}{}
	select {
	case <-g.goOn:
		return g.Service.Login(ctx, c)
	case <-ctx.Done():
		return authcore.Grant{}, ctx.Err()
	}
}

func (g *gated) Logout(ctx context.Context, by authcore.Actor) (authcore.Receipt, error) {
	if g.hold {
		g.began <- struct{}{}
		<-g.goOn
	}
	return g.Service.Logout(ctx, by)
}

// A logout that was asked for is seen through, whatever becomes of the connection.
func TestLogoutIsSeenThrough(t *testing.T) {
	g := &gated{authtest.Service(t), make(chan struct{}, 100), make(chan struct{}), true}
	s := newSite(t, g, Options{})
	c := s.dial()
	tok := c.token("user_register", "alice")
	c.send(`{"m":"user_logout","r":1}`)
	<-g.began
	authtest.State(g.Service).Live().EndAll(t.Context(), 0)
	close(g.goOn)
	c.wantClose(1012)
	if _, err := g.Authenticate(t.Context(), authcore.UnverifiedToken(tok)); authcore.KindOf(err) != authcore.KindSessionOver {
		t.Errorf("the session: %v", err)
	}
}

// No more than in_flight requests are taken while the first waits; and a revocation does not wait for it.
func TestNothingWaitsForALogin(t *testing.T) {
	g := &gated{authtest.Service(t), make(chan struct{}, 100), make(chan struct{}), false}
	s := newSite(t, g, Options{})
	c := s.dial()
	tok := c.token("user_register", "alice")
	id, err := g.Authenticate(t.Context(), authcore.UnverifiedToken(tok))
	if err != nil {
		t.Fatal(err)
	}
	c.send(login)
	<-g.began
	if _, err := g.Logout(t.Context(), authcore.Actor{Identity: id.Identity}); err != nil {
		t.Fatal(err)
	}
	c.want(loggedOut)
	close(g.goOn)
	if got := c.next(); !strings.HasPrefix(got, `{"r":1,"d":{"token":"`) {
		t.Fatalf("got %s", got)
	}
	c.ask(`{"m":"user_logout","r":2}`, `{"r":2,"d":{}}`)

	// A shutdown does not either.
	g.goOn = make(chan struct{})
	c.send(login)
	<-g.began
	authtest.State(g.Service).Live().EndAll(t.Context(), 0)
	c.wantClose(1012)
}

// A client that logs out and is gone before the answer has logged out.
func TestLogoutAndGone(t *testing.T) {
	service := authtest.Service(t)
	s := newSite(t, service, Options{})
	c := s.dial()
	tok := c.token("user_register", "alice")
	c.send(`{"m":"user_logout","r":1}`)
	c.ws.NetConn().Close()
	eventually(t, "the session is over", func() bool {
		_, err := service.Authenticate(context.Background(), authcore.UnverifiedToken(tok))
		return authcore.KindOf(err) == authcore.KindSessionOver
	})
}
