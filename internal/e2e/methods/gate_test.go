package methods

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// started runs a gateway in front of a chat, with more options of chatgate_methods.
func started(t testing.TB, options string) (*gatetest.Gateway, *chat, string) {
	t.Helper()
	ch := newChat(t)
	cf := strings.ReplaceAll(caddyfile(generous, "\t\tupstream UPSTREAM\n"+options), "UPSTREAM", ch.addr)
	return gatetest.Start(t, cf), ch, cf
}

// A reload leaves connections alone, and each keeps the upstream that it was opened with; what the new configuration asks of
// a registration holds for them, too; a logout under the new configuration reaches those of the old one; the end of the
// process closes them so that clients come back.
func TestReload(t *testing.T) {
	g, ch, cf := started(t, "")
	old := dial(t, g)
	old.enter("user_register", "alice")
	visitor := dial(t, g)
	g.Register("bob", password)
	other := newChat(t)
	if err := g.Reload(strings.ReplaceAll(strings.Replace(cf, ch.addr, other.addr, 1), "chatgate_methods {", "chatgate_methods {\n require_invites on")); err != nil {
		t.Fatal(err)
	}
	fresh := dial(t, g)
	fresh.ask(`{"m":"user_register","r":1,"d":{"username":"carol","password":"`+password+`"}}`, `{"r":1,"err":"invite_required"}`)
	tok := fresh.enter("user_login", "alice")
	visitor.ask(`{"m":"user_register","r":1,"d":{"username":"bob","password":"`+password+`"}}`, `{"r":1,"err":"invite_required"}`)
	visitor.enter("user_login", "bob")
	old.ask(`{"m":"whoami","r":1}`, `{"r": 1, "d": {"user":"alice"}}`)
	visitor.ask(`{"m":"whoami","r":1}`, `{"r": 1, "d": {"user":"bob"}}`)
	fresh.ask(`{"m":"whoami","r":1}`, `{"r": 1, "d": {"user":"alice"}}`)
	if a, b := ch.present(), other.present(); a != 2 || b != 1 {
		t.Errorf("%d at the old chat, %d at the new one", a, b)
	}
	if status, _, body := g.Call(http.MethodPost, "/api/v1/logout_all", tok, ""); status != http.StatusOK {
		t.Fatalf("logout_all: %d %s", status, body)
	}
	old.want(loggedOut)
	fresh.want(loggedOut)
	gatetest.Eventually(t, "alice has left both chats", func() bool { return ch.present() == 1 && other.present() == 0 })

	g.Stop()
	for _, c := range []socket{old, visitor, fresh} {
		c.ExpectClose(1012)
	}
}

// What the upstream is told is the gateway's word alone.
func TestIdentity(t *testing.T) {
	g, ch, _ := started(t, "")
	c := dial(t, g, "Remote-User: admin", "remote_user: admin", "X-Forwarded-User: admin", "X-Real-IP: 10.0.0.1", "X-Forwarded-For: 10.0.0.1",
		"Remote-Groups: admins", "Authorization: Bearer secret", "Cookie: ssid=secret", "User-Agent: tester", "Origin: https://elsewhere.example.com")
	c.enter("user_register", "alice")
	c.ask(`{"m":"whoami","r":1}`, `{"r": 1, "d": {"user":"alice"}}`)
	head, n := ch.head()
	if n != 1 {
		t.Fatalf("%d handshakes", n)
	}
	for name, want := range map[string]string{
		"Remote-User": "alice", "Remote-Name": "alice", "Remote-Access": "read-write", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-Proto": "http",
		"X-Forwarded-Host": g.HTTP, "User-Agent": "tester", "Origin": "https://elsewhere.example.com", "Cookie": "", "Authorization": "", "X-Real-Ip": "",
		"Remote-Groups": "", "X-Forwarded-User": "", "Sec-Websocket-Extensions": "", "Sec-Websocket-Protocol": "",
	} {
		if got := strings.Join(head[name], "|"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	for name, values := range head {
		if v := strings.Join(values, "|"); strings.Contains(v, "admin") || strings.Contains(v, "secret") || strings.Contains(v, "10.0.0.1") {
			t.Errorf("%s: %s", name, v)
		}
	}
}

// WSA-03: an account's failures are counted once, over every socket and dialect, and a socket has few.
func TestGuessing(t *testing.T) {
	cf := strings.ReplaceAll(caddyfile(generous+"\t\tlogin_backoff 5 10m 1h\n", ""), "UPSTREAM", "127.0.0.1:1")
	g := gatetest.Start(t, cf)
	g.Register("alice", password)
	var mu sync.Mutex
	got := map[string]int{}
	var all sync.WaitGroup
	for range 20 {
		c := dial(t, g)
		all.Go(func() {
			for range 5 {
				c.SendFrame(gatetest.Text(`{"m":"user_login","r":1,"d":{"username":"ALICE","password":"wrong-wrong"}}`))
				_ = c.SetReadDeadline(time.Now().Add(30 * time.Second))
				f, err := gatetest.ReadFrame(c.R)
				if err != nil {
					t.Errorf("reading: %v", err)
					return
				}
				mu.Lock()
				got[string(f.Payload)]++
				mu.Unlock()
			}
			c.ExpectClose(4429)
		})
	}
	all.Wait()
	if bad := got[`{"r":1,"err":"bad_credentials"}`]; bad != 5 || got[`{"r":1,"err":"rate_limited"}`] != 95 {
		t.Errorf("a hundred guesses: %v", got)
	}
	if status, _, body := g.Call(http.MethodPost, "/api/v1/login", "", `{"username":"alice","secret":"`+password+`"}`); status != http.StatusTooManyRequests {
		t.Errorf("over HTTP: %d %s", status, body)
	}
}

// WSA-02 and WSA-06: nothing of somebody else's, whatever the arguments say and whoever was there before.
func TestNobodyElse(t *testing.T) {
	g, ch, _ := started(t, "")
	bob := dial(t, g)
	bob.enter("user_register", "bob")
	c := dial(t, g)
	for _, m := range []string{"whoami", "say", "leave", "USER_x", "user_x"} {
		want := `{"r":1,"err":"not_logged_in"}`
		if strings.EqualFold(m, "user_x") {
			want = `{"r":1,"err":"unknown_method"}`
		}
		c.ask(`{"m":"`+m+`","r":1,"d":{"user":"bob","user_id":1}}`, want)
	}
	gatetest.Eventually(t, "the upstream has bob", func() bool { return ch.present() == 1 }) // it is dialled behind the answer
	if _, n := ch.head(); n != 1 {
		t.Fatalf("%d handshakes", n)
	}
	alice := c.enter("user_register", "alice")
	c.enter("user_login", "bob") // over alice
	c.ask(`{"m":"whoami","r":2}`, `{"r": 2, "d": {"user":"bob"}}`)
	gatetest.Eventually(t, "alice has left", func() bool { return ch.present() == 2 })
	c.ask(`{"m":"user_logout","r":3}`, `{"r":3,"d":{}}`)
	c.ask(`{"m":"whoami","r":4}`, `{"r":4,"err":"not_logged_in"}`)
	gatetest.Eventually(t, "bob has left, there", func() bool { return ch.present() == 1 })
	bob.ask(`{"m":"whoami","r":5}`, `{"r": 5, "d": {"user":"bob"}}`)
	c.ask(`{"m":"user_token_auth","r":6,"d":{"token":"`+alice+`"}}`, `{"r":6,"d":{}}`)
	c.ask(`{"m":"whoami","r":7}`, `{"r": 7, "d": {"user":"alice"}}`)
	// The upstream closes one connection, and the client's with it.
	c.SendFrame(gatetest.Text(`{"m":"leave","r":8}`))
	c.ExpectClose(4000)
	ch.cut()
	bob.ExpectClose(1001)
}

// WSD-03: compression is not negotiated, and a frame that says it is compressed is a mistake. WSD-02: sizes.
func TestFrames(t *testing.T) {
	g, _, _ := started(t, "")
	for name, tc := range map[string]struct {
		frames []gatetest.Frame
		code   int
	}{
		"compressed":        {[]gatetest.Frame{{Fin: true, RSV: 0x40, Op: 1, Payload: []byte("x")}}, 1002},
		"binary":            {[]gatetest.Frame{{Fin: true, Op: 2, Payload: []byte(`{"m":"user_logout","r":1}`)}}, 1003},
		"not UTF-8":         {[]gatetest.Frame{{Fin: true, Op: 1, Payload: []byte("{\"m\":\"\xff\",\"r\":1}")}}, 1007},
		"one byte too many": {[]gatetest.Frame{gatetest.Text(strings.Repeat(" ", 64<<10+1))}, 1009},
		"in two parts":      {[]gatetest.Frame{{Op: 1, Payload: make([]byte, 40<<10)}, {Op: 0, Fin: true, Payload: make([]byte, 40<<10)}}, 1009},
	} {
		t.Run(name, func(t *testing.T) {
			c := gatetest.Dial(t, g.HTTP)
			if resp := c.Open(g.HTTP, "/ws", "Sec-WebSocket-Extensions: permessage-deflate"); resp.Header.Get("Sec-Websocket-Extensions") != "" {
				t.Fatal("compression was negotiated")
			}
			for _, f := range tc.frames {
				c.SendFrame(f)
			}
			c.ExpectClose(tc.code)
		})
	}
	// What fits is a request.
	c := dial(t, g)
	pad := strings.Repeat(" ", 64<<10-len(`{"m":"user_logout","r":1}`))
	c.ask(`{"m":"user_logout",`+pad+`"r":1}`, `{"r":1,"err":"not_logged_in"}`)
}

// WSA-05: five hundred requests at once are all answered, under their own IDs.
func TestManyAtOnce(t *testing.T) {
	g, _, _ := started(t, "\t\trate 10000/1m\n")
	c := dial(t, g)
	c.enter("user_register", "alice")
	const n = 500
	go func() {
		for i := range n {
			m := []string{"whoami", "user_x"}[i%2]
			_, _ = c.Write(gatetest.Text(fmt.Sprintf(`{"m":"%s","r":%d}`, m, -i)).Encode(true))
		}
	}()
	seen := map[string]bool{}
	for range n {
		seen[c.next()] = true
	}
	for i := range n {
		want := []string{fmt.Sprintf(`{"r": %d, "d": {"user":"alice"}}`, -i), fmt.Sprintf(`{"r":%d,"err":"unknown_method"}`, -i)}[i%2]
		if !seen[want] {
			t.Fatalf("no answer to %d", -i)
		}
	}
}

// WSD-06: who says nothing is let go, and one address has only so many of these; what they cost is given back.
func TestSilence(t *testing.T) {
	g, _, _ := started(t, "\t\tlogin_timeout 2s\n\t\tper_address 50\n")
	before := g.Usage()
	var conns []socket
	for range 50 {
		conns = append(conns, dial(t, g))
	}
	c := gatetest.Dial(t, g.HTTP)
	c.Send(gatetest.Handshake(g.HTTP, "/ws"))
	if resp, body := c.Response(); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") == "" || body != "{\"err\":\"rate_limited\"}\n" {
		t.Errorf("the next one: %s %s", resp.Status, body)
	}
	for _, c := range conns {
		c.ExpectClose(4408)
		c.Close()
	}
	gatetest.Eventually(t, "nothing is left", func() bool {
		now := g.Usage()
		return now.FDs <= before.FDs+5 && now.Goroutines <= before.Goroutines+10
	})
	dial(t, g).enter("user_register", "alice")
}

// Origins are a matter of pages; other clients have none.
func TestOrigins(t *testing.T) {
	g, _, _ := started(t, "\t\torigins https://app.example.com\n")
	for _, origin := range []string{"https://app.example.com", "http://" + g.HTTP, ""} {
		var more []string
		if origin != "" {
			more = append(more, "Origin: "+origin)
		}
		dial(t, g, more...).ask(`{"m":"user_logout","r":1}`, `{"r":1,"err":"not_logged_in"}`)
	}
	for _, origin := range []string{"https://evil.example", "null", "https://app.example.com.evil.example", "http://app.example.com", "https://app.example.com:8443", "https://APP.example.com."} {
		c := gatetest.Dial(t, g.HTTP)
		c.Send(gatetest.Handshake(g.HTTP, "/ws", "Origin: "+origin))
		if resp, _ := c.Response(); resp.StatusCode != http.StatusForbidden {
			t.Errorf("%s: %s", origin, resp.Status)
		}
	}
}
