package lifecycle

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/streamtest"
)

// TestSessionEnds is about what ends by itself (UPG-06). A session has to last for a minute at least, so its sockets
// wait while the other tests run.
func TestSessionEnds(t *testing.T) {
	up := gatetest.NewUpstream(t, echo)
	cfg := plain{upstream: up.Addr, app: "session_max 1m"}.String()
	cfg = strings.Replace(cfg, "chatgate_proxy ", "chatgate_proxy /bound/* "+up.Addr+" {\n\t\texpiry token\n\t}\n\tchatgate_proxy ", 1)
	g := gatetest.Start(t, cfg, withStreams)
	gatetest.AwaitCertificate(t, g.HTTPS)
	for _, name := range []string{"alice", "bob"} {
		g.Register(name, password)
	}
	begun := time.Now()
	alice := g.Login("alice", password)
	c := streamtest.DialHTTP2(t, g.HTTPS)
	over2, br, err := c.Open(path, alice)
	if err != nil {
		t.Fatal(err)
	}
	ends := []*sock{
		talk(t, g, "clear", false, alice), talk(t, g, "TLS", true, alice), talkOver(t, "HTTP/2", true, over2, br),
	}
	conn, br, err := openAt(g, false, "/bound/ws", alice)
	if err != nil {
		t.Fatal(err)
	}
	bound := talkOver(t, "bound to the token", true, conn, br)
	visitor := talk(t, g, "visitor", false, "")
	alive(t, append(ends, bound, visitor))

	t.Parallel() // waits here until the tests that run alone are through

	select {
	case <-ends[0].done:
	case <-time.After(2 * time.Minute):
		t.Fatal("a session of a minute goes on")
	}
	closedWith(t, ends, 4401)
	<-bound.done
	// The token's end is the session's, in whole seconds; whichever comes first.
	if bound.code != 4408 && bound.code != 4401 || bound.err != nil {
		t.Errorf("bound to the token: close %d, %v", bound.code, bound.err)
	}
	for _, s := range append(ends, bound) {
		if lived := s.ended.Sub(begun); lived < 57*time.Second {
			t.Errorf("%s lived for %v", s.name, lived)
		}
	}
	t.Logf("closed after %v; bound to the token %d after %v", ends[0].ended.Sub(begun), bound.code, bound.ended.Sub(begun))
	alive(t, []*sock{visitor})
	if a := post(g, "/api/v1/logout", alice, "", ""); a.status != http.StatusUnauthorized || a.envelope(t).Error.Type != "TOKEN_INVALID" {
		t.Errorf("the token of an ended session: %d %s", a.status, a.body)
	}
	if _, _, err := open(g, false, alice); err == nil || !strings.Contains(err.Error(), "401") {
		t.Errorf("a handshake with it: %v", err)
	}
	s := talk(t, g, "alice again", false, g.Login("alice", password))
	alive(t, []*sock{s})
}
