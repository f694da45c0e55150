package methods

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/authtest"
)

func TestHandThrough(t *testing.T) {
	ch := newChat(t)
	service := authtest.Service(t)
	s := newSite(t, service, Options{Upstream: ch.url})
	c := s.dial("User-Agent", "tester", "Origin", "https://chat.example.com")
	c.ask(`{"m":"say","r":1,"d":{}}`, `{"r":1,"err":"not_logged_in"}`)
	if ch.dialled() != 0 {
		t.Fatal("it was dialled for nobody")
	}
	alice := c.token("user_register", "alice")
	c.want(hello("alice")) // dialled at login, after the reply
	c.ask(`{"m":"say","r":1e400,"d":{"text":"\u0000","text":2}}`, `{"r":1e400, "d":{"user":"alice","m":"say"}}`)
	exact := " { \"r\" : \"\\ud83d\\ude00\" ,\n\"m\":\"say\"}"
	c.ask(exact, `{"r":"\ud83d\ude00", "d":{"user":"alice","m":"say"}}`)
	if !strings.Contains(ch.heard(), "alice "+exact) {
		t.Errorf("the chat heard %q", ch.heard())
	}
	c.ask(`{"m":"binary","r":1}`, "binary \xff\x00\x01")
	c.ask(`{"m":"user_other","r":1}`, `{"r":1,"err":"unknown_method"}`)
	c.ask(`{"m":"User_other","r":1}`, `{"r":1,"err":"unknown_method"}`)
	ch.say(0, loggedOut) // it may say so: it is trusted
	c.want(loggedOut)
	c.ask(`{"m":"say","r":2}`, `{"r":2, "d":{"user":"alice","m":"say"}}`)

	head := ch.heads[0]
	for name, want := range map[string]string{
		"Remote-User": "alice", "Remote-Access": "read-write", "User-Agent": "tester", "Origin": "https://chat.example.com",
		"Target": "/ws?room=1", "Host": s.addr, "Sec-Websocket-Extensions": "",
	} {
		if got := strings.Join(head[name], "|"); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}

	// The same again is no reason to dial; somebody else is.
	c.ask(`{"m":"user_token_auth","r":3,"d":{"token":"`+alice+`"}}`, `{"r":3,"d":{}}`)
	c.ask(`{"m":"say","r":4}`, `{"r":4, "d":{"user":"alice","m":"say"}}`)
	if n := ch.dialled(); n != 1 {
		t.Fatalf("dialled %d times", n)
	}
	bob := c.token("user_register", "bob")
	c.want(hello("bob"))
	c.ask(`{"m":"say","r":4}`, `{"r":4, "d":{"user":"bob","m":"say"}}`)

	id, err := service.Authenticate(t.Context(), authcore.UnverifiedToken(bob))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.LogoutAll(t.Context(), authcore.Actor{}, id.Account, ""); err != nil {
		t.Fatal(err)
	}
	c.want(loggedOut)
	c.ask(`{"m":"say","r":5}`, `{"r":5,"err":"not_logged_in"}`)
	c.ask(`{"m":"user_token_auth","r":6,"d":{"token":"`+alice+`"}}`, `{"r":6,"d":{}}`)
	c.want(hello("alice"))
	c.ask(`{"m":"user_logout","r":7}`, `{"r":7,"d":{}}`)
	c.ask(`{"m":"say","r":8}`, `{"r":8,"err":"not_logged_in"}`)
	if strings.Contains(ch.heard(), "user_") || strings.Contains(ch.heard(), alice) {
		t.Errorf("what is the gate's reached the chat:\n%s", ch.heard())
	}
}

// An upstream that closes takes the client with it, with its own code; one that is gone without a word with 1001.
func TestUpstreamCloses(t *testing.T) {
	ch := newChat(t)
	s := newSite(t, authtest.Service(t), Options{Upstream: ch.url})
	a, b := s.dial(), s.dial()
	a.token("user_register", "alice")
	a.want(hello("alice"))
	a.send(`{"m":"bye","r":1}`)
	a.wantClose(4000)
	b.token("user_login", "alice")
	b.want(hello("alice"))
	ch.mu.Lock()
	ch.conns[1].NetConn().Close()
	ch.mu.Unlock()
	b.wantClose(1001)
}

// An upstream that is not there makes requests fail and nothing else; the next one tries again.
func TestUpstreamAway(t *testing.T) {
	ch := newChat(t)
	ch.refuse = true
	s := newSite(t, authtest.Service(t), Options{Upstream: ch.url})
	c := s.dial()
	c.token("user_register", "alice")
	c.ask(`{"m":"say","r":1}`, `{"r":1,"err":"unavailable"}`) // a redirect is no answer
	c.ask(`{"m":"say","r":2}`, `{"r":2,"err":"unavailable"}`)
	ch.mu.Lock()
	ch.refuse = false
	ch.mu.Unlock()
	c.send(`{"m":"say","r":3}`)
	c.want(hello("alice"), `{"r":3, "d":{"user":"alice","m":"say"}}`)
}

// A logout reaches a login whose upstream does not answer.
func TestUpstreamHangs(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	service := authtest.Service(t)
	s := newSite(t, service, Options{Upstream: &url.URL{Scheme: "ws", Host: ln.Addr().String()}, HandshakeTimeout: time.Hour})
	c := s.dial()
	tok := c.token("user_register", "alice")
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c.send(`{"m":"say","r":1}`)
	id, err := service.Authenticate(t.Context(), authcore.UnverifiedToken(tok))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := service.Logout(t.Context(), authcore.Actor{Identity: id.Identity}); err != nil {
		t.Fatal(err)
	}
	c.want(loggedOut, `{"r":1,"err":"not_logged_in"}`)
}

func TestUpstreamTLS(t *testing.T) {
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		_ = ws.WriteMessage(websocket.TextMessage, []byte(`"`+r.Host+r.URL.Path+`"`))
		_, _, _ = ws.ReadMessage()
	}))
	defer srv.Close()
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	u := &url.URL{Scheme: "wss", Host: srv.Listener.Addr().String(), Path: "/chat"}
	service := authtest.Service(t)

	s := newSite(t, service, Options{Upstream: u})
	c := s.dial()
	c.token("user_register", "alice")
	c.ask(`{"m":"say","r":1}`, `{"r":1,"err":"unavailable"}`)

	s = newSite(t, service, Options{Upstream: u, UpstreamTLS: &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: pool}})
	c = s.dial()
	c.token("user_login", "alice")
	c.want(`"` + u.Host + `/chat"`)
}

// A client that does not read slows the upstream down, and gets everything in the end; so does an upstream to a client.
// Nothing is queued in between: what the gate has taken is bounded by what the kernel holds.
func TestBackPressure(t *testing.T) {
	const size, count = 32 << 10, 800 // 26 MB; the kernel takes up to 10 between the endpoint and the upstream
	var sent, taken atomicInt
	release := make(chan struct{})
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	var all sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all.Add(1)
		defer all.Done()
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		narrow(ws.NetConn())
		if r.Header.Get("Remote-User") == "deaf" {
			<-release
			for range count {
				if _, _, err := ws.ReadMessage(); err != nil {
					t.Error(err)
					return
				}
				taken.add(1)
			}
			_ = ws.WriteMessage(websocket.TextMessage, []byte(`"all"`))
		} else {
			msg := []byte(`"` + strings.Repeat("x", size) + `"`)
			for range count {
				if err := ws.WriteMessage(websocket.TextMessage, msg); err != nil {
					t.Error(err)
					return
				}
				sent.add(1)
			}
		}
		_, _, _ = ws.ReadMessage()
	}))
	defer func() { srv.Close(); all.Wait() }()
	slow := defaultTimes
	slow.write = time.Minute
	s := newSite(t, authtest.Service(t), Options{
		Upstream: &url.URL{Scheme: "ws", Host: srv.Listener.Addr().String()}, times: slow, UpstreamRate: authcore.Rate{Burst: 1_000_000, Per: time.Second},
	})
	s.narrow = true

	c := s.dial()
	c.token("user_register", "reader")
	stalls(t, "the upstream", &sent, count)
	for range count {
		if got := c.next(); len(got) != size+2 {
			t.Fatalf("%d bytes", len(got))
		}
	}
	c.ask(`{"m":"user_logout","r":1}`, `{"r":1,"d":{}}`)

	c.token("user_register", "deaf")
	var written atomicInt
	var writing sync.WaitGroup
	writing.Go(func() {
		msg := []byte(`{"m":"say","r":1,"d":{"x":"` + strings.Repeat("x", size) + `"}}`)
		for range count {
			if err := c.ws.WriteMessage(websocket.TextMessage, msg); err != nil {
				t.Error(err)
				return
			}
			written.add(1)
		}
	})
	stalls(t, "the client", &written, count)
	close(release)
	c.want(`"all"`)
	writing.Wait()
	if n := taken.load(); n != count {
		t.Errorf("%d of %d", n, count)
	}
	c.ws.Close() // or the upstream waits for more
}

type atomicInt struct {
	mu sync.Mutex
	n  int
}

func (a *atomicInt) add(n int) { a.mu.Lock(); a.n += n; a.mu.Unlock() }
func (a *atomicInt) load() int { a.mu.Lock(); defer a.mu.Unlock(); return a.n }

// stalls waits until n has begun to grow and does not any more, well before all.
func stalls(t *testing.T, who string, n *atomicInt, all int) {
	t.Helper()
	last, same := 0, 0
	eventually(t, who+" stalls", func() bool {
		time.Sleep(20 * time.Millisecond)
		now := n.load()
		if now > 0 && now == last {
			same++
		} else {
			last, same = now, 0
		}
		return same >= 10
	})
	if last > all*3/4 {
		t.Errorf("%s was not slowed down: %d of %d messages went", who, last, all)
	}
}

// Logins, logouts from here and from elsewhere, and requests, all at once: whatever the client is told of its state, in
// the order in which it is told, explains every answer that it gets.
func TestChurn(t *testing.T) {
	ch := newChat(t)
	service := authtest.Service(t)
	s := newSite(t, service, Options{Upstream: ch.url, Rate: authcore.Rate{Burst: 1_000_000, Per: time.Second}})
	seed := s.dial()
	accounts := map[string]authcore.AccountID{}
	for _, name := range []string{"alice", "bob"} {
		id, err := service.Authenticate(t.Context(), authcore.UnverifiedToken(seed.token("user_register", name)))
		if err != nil {
			t.Fatal(err)
		}
		seed.want(hello(name))
		accounts[name] = id.Account
	}
	stop := make(chan struct{})
	var elsewhere, clients sync.WaitGroup
	elsewhere.Go(func() {
		for {
			for _, id := range accounts {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				if _, err := service.LogoutAll(t.Context(), authcore.Actor{}, id, ""); err != nil {
					t.Error(err)
				}
			}
		}
	})
	for i := range 4 {
		c := s.dial()
		clients.Go(func() {
			who := "" // as the client was told
			for r := range 60 {
				name := []string{"alice", "bob"}[(r+i)%2]
				c.send(fmt.Sprintf(`{"m":"user_login","r":"in","d":{"username":%q,"password":%q}}`, name, password))
				c.send(`{"m":"say","r":"say","d":{}}`)
				c.send(`{"m":"user_logout","r":"out"}`)
				c.send(`{"m":"user_nothing","r":"end"}`)
				for got := ""; got != `{"r":"end","err":"unknown_method"}`; {
					got = c.next()
					switch {
					case strings.HasPrefix(got, `{"r":"in","d":`):
						who = name
					case got == loggedOut, got == `{"r":"out","d":{}}`:
						who = ""
					case got == `{"r":"out","err":"not_logged_in"}` && who != "", got == `{"r":"say","err":"not_logged_in"}` && who != "":
						t.Errorf("%s is told that nobody is logged in, without a word before", who)
					case strings.Contains(got, `"user":"`) && !strings.Contains(got, `"user":"`+who+`"`):
						t.Errorf("%q gets what is not theirs: %s", who, got)
					case strings.Contains(got, `"err":"bad_`):
						t.Errorf("got %s", got)
					}
				}
			}
		})
	}
	clients.Wait()
	close(stop)
	elsewhere.Wait()
}

// The reply to a logout is the last that is heard of an upstream, however much it has to say.
func TestSilentAfterLogout(t *testing.T) {
	up := websocket.Upgrader{CheckOrigin: func(*http.Request) bool { return true }}
	var all sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all.Add(1)
		defer all.Done()
		ws, err := up.Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer ws.Close()
		narrow(ws.NetConn())
		for ws.WriteMessage(websocket.TextMessage, []byte(`{"e":"tick","d":{}}`)) == nil {
		}
	}))
	defer func() { srv.Close(); all.Wait() }()
	s := newSite(t, authtest.Service(t), Options{Upstream: &url.URL{Scheme: "ws", Host: srv.Listener.Addr().String()}})
	s.narrow = true // or a client would read what the kernel has of an earlier login
	c := s.dial()
	c.token("user_register", "alice")
	for range 10 {
		for c.next() != `{"e":"tick","d":{}}` {
		}
		c.send(`{"m":"user_logout","r":1}`)
		for c.next() != `{"r":1,"d":{}}` {
		}
		c.ask(`{"m":"user_logout","r":2}`, `{"r":2,"err":"not_logged_in"}`)
		c.token("user_login", "alice")
	}
	c.ws.Close()
}
