package lifecycle

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/streamtest"
)

// UPG-06, JWT-10: what ends a session ends its sockets, however they came, and no others.
func TestLogout(t *testing.T) {
	up := gatetest.NewUpstream(t, echo)
	g := gatetest.Start(t, plain{upstream: up.Addr}.String(), withStreams)
	gatetest.AwaitCertificate(t, g.HTTPS)
	c := streamtest.DialHTTP2(t, g.HTTPS)
	everyWay := func(name, token string) []*sock {
		conn, br, err := c.Open(path, token)
		if err != nil {
			t.Fatal(err)
		}
		return []*sock{
			talk(t, g, name+" clear", false, token), talk(t, g, name+" clear 2", false, token), talk(t, g, name+" TLS", true, token),
			talkOver(t, name+" HTTP/2", token != "", conn, br),
		}
	}
	g.Register("alice", password)
	g.Register("bob", password)
	var alice [4]string
	var of [4][]*sock
	for i := range alice {
		alice[i] = g.Login("alice", password)
		of[i] = everyWay(fmt.Sprintf("alice %d", i), alice[i])
	}
	bob := g.Login("bob", password)
	others := append(everyWay("bob", bob), everyWay("visitor", "")...)
	alive(t, append(others, of[0]...))

	start := time.Now()
	logout(t, g, "/api/v1/logout", alice[0])
	closedWith(t, of[0], 4401)
	t.Logf("logout closed its sockets in %v", time.Since(start))
	for _, rest := range [][]*sock{of[1], of[2], of[3], others} {
		alive(t, rest)
	}
	for _, p := range []string{"/api/v1/logout", "/api/v1/logout_all"} {
		if a := post(g, p, alice[0], "", ""); a.status != http.StatusUnauthorized || a.envelope(t).Error.Type != "TOKEN_INVALID" {
			t.Errorf("%s of an ended session: %d %s", p, a.status, a.body)
		}
	}
	for _, overTLS := range []bool{false, true} {
		if _, _, err := open(g, overTLS, alice[0]); err == nil || !strings.Contains(err.Error(), "401") {
			t.Errorf("a handshake under an ended session: %v", err)
		}
	}

	start = time.Now()
	logout(t, g, "/api/v1/logout_all", alice[1])
	for _, socks := range of[1:] {
		closedWith(t, socks, 4401)
	}
	t.Logf("logout_all closed %d sockets in %v", 3*len(of[1]), time.Since(start))
	for i, tok := range alice {
		if a := post(g, "/api/v1/logout", tok, "", ""); a.status != http.StatusUnauthorized {
			t.Errorf("token %d after logout_all: %d %s", i, a.status, a.body)
		}
	}
	alive(t, others)
	again := everyWay("alice again", g.Login("alice", password))
	alive(t, again)
	hangUp(t, append(again, others...))
	gatetest.Eventually(t, "the upstream to be rid of all", func() bool { return up.Open() == 0 })
}

// A logout that races handshakes leaves no socket open: each is either refused or closed.
func TestLogoutRacesHandshakes(t *testing.T) {
	up := gatetest.NewUpstream(t, echo)
	g := gatetest.Start(t, plain{upstream: up.Addr}.String())
	g.Register("alice", password)
	for range 6 {
		tok := g.Login("alice", password)
		type opened struct {
			s   *sock
			err error
		}
		results := make(chan opened)
		const n = 12
		for i := range n {
			go func() {
				c, br, err := open(g, false, tok)
				if err != nil {
					results <- opened{err: err}
					return
				}
				results <- opened{s: talkOver(t, fmt.Sprint(i), true, c, br)}
			}()
		}
		first := <-results // now some are in, some under way
		logout(t, g, "/api/v1/logout", tok)
		all := []opened{first}
		for range n - 1 {
			all = append(all, <-results)
		}
		for _, o := range all {
			if o.err == nil {
				closedWith(t, []*sock{o.s}, 4401)
			} else if !strings.Contains(o.err.Error(), "401") {
				t.Errorf("a handshake that raced a logout: %v", o.err)
			}
		}
	}
	gatetest.Eventually(t, "the upstream to be rid of all", func() bool { return up.Open() == 0 })
}

// DEP-07: what was acknowledged outlives a process that is killed.
func TestKill(t *testing.T) {
	up := gatetest.NewUpstream(t, echo)
	cfg := plain{upstream: up.Addr}.String()
	g := gatetest.Start(t, cfg)
	var tokens []string
	for round := range 2 {
		name := fmt.Sprintf("user%d", round)
		g.Register(name, password)
		tokens = append(tokens, g.Login(name, password), g.Login(name, password))
		logout(t, g, "/api/v1/logout", tokens[len(tokens)-1])
		s := talk(t, g, name, false, tokens[len(tokens)-2])
		alive(t, []*sock{s})
		// With calls under way, whose end is not known.
		answers := make(chan answer, 8)
		for i := range 8 {
			go func() { answers <- post(g, "/api/v1/users", "", fmt.Sprintf("half%d-%d", round, i), password) }()
		}
		made := make(map[int]bool)
		if a := <-answers; a.status != http.StatusCreated {
			t.Fatalf("register: %d %s, %v", a.status, a.body, a.err)
		}
		g.Kill()
		<-s.done
		g.Launch(cfg)
		for i := range 7 {
			a := <-answers
			made[i] = a.status == http.StatusCreated
		}
		for i := range 8 { // made or not, each is a whole account or none
			name := fmt.Sprintf("half%d-%d", round, i)
			a := post(g, "/api/v1/login", "", name, password)
			if a.status == http.StatusBadRequest && a.envelope(t).Error.Type == "USER_NOT_FOUND" {
				g.Register(name, password)
				a = post(g, "/api/v1/login", "", name, password)
			}
			if a.status != http.StatusOK {
				t.Fatalf("%s: %d %s", name, a.status, a.body)
			}
		}
		for i, tok := range tokens {
			c, _, err := open(g, false, tok)
			if ended := i%2 == 1; ended != (err != nil) {
				t.Fatalf("token %d after a kill: %v", i, err)
			}
			if err == nil {
				c.Close()
			}
		}
	}
	for round := range 2 {
		g.Login(fmt.Sprintf("user%d", round), password)
	}
}
