package lifecycle

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// crowd is 200 sockets: five users with two sessions each, and visitors, half of each over TLS.
type crowd struct {
	sessions map[string][]*sock // by token
	visitors []*sock
	all      []*sock
}

func (c *crowd) but(tokens ...string) []*sock {
	out := append([]*sock(nil), c.visitors...)
	for tok, socks := range c.sessions {
		if !strings.Contains(strings.Join(tokens, " "), tok) {
			out = append(out, socks...)
		}
	}
	return out
}

func gather(t testing.TB, g *gatetest.Gateway) (*crowd, [][]string) {
	t.Helper()
	gatetest.AwaitCertificate(t, g.HTTPS)
	c := &crowd{sessions: make(map[string][]*sock)}
	var tokens [][]string
	for u := range 5 {
		name := fmt.Sprintf("user%d", u)
		g.Register(name, password)
		pair := []string{g.Login(name, password), g.Login(name, password)}
		tokens = append(tokens, pair)
		for i, tok := range pair {
			for n := range 10 {
				c.sessions[tok] = append(c.sessions[tok], talk(t, g, fmt.Sprintf("%s session %d socket %d", name, i, n), n%2 == 1, tok))
			}
			c.all = append(c.all, c.sessions[tok]...)
		}
	}
	for n := range 100 {
		c.visitors = append(c.visitors, talk(t, g, fmt.Sprintf("visitor %d", n), n%2 == 1, ""))
	}
	c.all = append(c.all, c.visitors...)
	return c, tokens
}

func TestReload(t *testing.T) {
	var ups [3]string
	for i := range ups {
		ups[i] = gatetest.NewUpstream(t, echo).Addr
	}
	first := plain{upstream: ups[0]}
	g := gatetest.Start(t, first.String())
	c, tokens := gather(t, g)
	base := g.Usage()

	// Every one differs from the one before it.
	variants := []plain{
		{upstream: ups[0], app: "login_rate 9000/1m"},
		{upstream: ups[0], app: "session_max 20d\nmin_password 12"},
		{upstream: ups[0] + " " + ups[1], proxy: "lb_policy least_conn"},
		{upstream: ups[1], proxy: "max_message 1KiB\nhandshake_timeout 3s"},
		{upstream: ups[2], proxy: "anonymous refuse\nbad_token close"},
		{upstream: ups[2], proxy: "cookie ssid\nquery token\nexpiry token"},
		{upstream: ups[0], sites: "http://127.0.0.1:{{PORT}} {\n\trespond hello\n}\n"},
		{upstream: ups[0], global: "log {\n\t\tlevel WARN\n\t}"},
		{upstream: ups[0], global: "log {\n\t\tformat json\n\t\tlevel ERROR\n\t}", proxy: "identity {\n\t\tuser X-Chat-User\n\t}"},
		{upstream: "127.0.0.1:1", app: "drain 1s\nlogin_backoff 3 2s 1m"},
		{upstream: ups[0], app: "registration closed\nissuer https://elsewhere.example"},
		{upstream: ups[0], app: "audience others"},
	}
	other := gatetest.FreePort(t)
	var took []time.Duration
	for i := range 20 {
		v := variants[i%len(variants)]
		if i >= len(variants) {
			v.app += fmt.Sprintf("\n\t\tsession_idle %dh", i)
			v.app = strings.TrimSpace(v.app)
		}
		start := time.Now()
		if err := g.Reload(strings.ReplaceAll(v.String(), "{{PORT}}", fmt.Sprint(other))); err != nil {
			t.Fatalf("reload %d: %v", i, err)
		}
		took = append(took, time.Since(start))
		alive(t, c.all)
		if i == 6 {
			if resp, err := gatetest.Client().Get(fmt.Sprintf("http://127.0.0.1:%d/", other)); err != nil || resp.StatusCode != http.StatusOK {
				t.Fatalf("the new site: %v", err)
			}
		}
		if i == 9 {
			refused(t, g, c)
		}
	}
	if err := g.Reload(first.String()); err != nil {
		t.Fatal(err)
	}
	alive(t, c.all)
	t.Logf("reloads took %v; %d messages came back", took, rounds(c.all))

	start := time.Now()
	logout(t, g, "/api/v1/logout", tokens[0][0])
	closedWith(t, c.sessions[tokens[0][0]], 4401)
	t.Logf("logout closed its sockets in %v", time.Since(start))
	alive(t, c.but(tokens[0][0]))
	logout(t, g, "/api/v1/logout_all", tokens[1][0])
	closedWith(t, c.sessions[tokens[1][0]], 4401)
	closedWith(t, c.sessions[tokens[1][1]], 4401)
	rest := c.but(tokens[0][0], tokens[1][0], tokens[1][1])
	alive(t, rest)
	hangUp(t, rest)
	// Nothing of twenty configurations stays behind, but for what Caddy itself keeps of a few.
	gatetest.Eventually(t, "an end of what the sockets held", func() bool {
		u := g.Usage()
		return u.FDs < base.FDs-380 && u.Goroutines < base.Goroutines-300
	})
}

// refused tries configurations that cannot work and sees that nothing has changed.
func refused(t testing.TB, g *gatetest.Gateway, c *crowd) {
	t.Helper()
	dir := filepath.Join(g.Dir, "a directory")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	garbage := filepath.Join(g.Dir, "garbage.db")
	if err := os.WriteFile(garbage, []byte(strings.Repeat("no database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	for what, bad := range map[string]plain{
		"an unknown option":     {upstream: "127.0.0.1:1", app: "no_such_option 1"},
		"a bad value":           {upstream: "127.0.0.1:1", app: "session_max 1s"},
		"a bad proxy option":    {upstream: "127.0.0.1:1", proxy: "anonymous perhaps"},
		"a directory":           {upstream: "127.0.0.1:1", accounts: `"` + dir + `"`},
		"a file of garbage":     {upstream: "127.0.0.1:1", accounts: garbage},
		"a path below a file":   {upstream: "127.0.0.1:1", accounts: garbage + "/x.db"},
		"a site on a used port": {upstream: "127.0.0.1:1", sites: "http://192.0.2.1:1 {\n\tbind 192.0.2.1\n\trespond no\n}\n"},
	} {
		if err := g.Reload(bad.String()); err == nil {
			t.Fatalf("a configuration with %s was taken", what)
		}
		alive(t, c.all)
	}
}

func TestRefusedConfigurationChangesNothing(t *testing.T) {
	up := gatetest.NewUpstream(t, echo)
	g := gatetest.Start(t, plain{upstream: up.Addr}.String())
	gatetest.AwaitCertificate(t, g.HTTPS)
	g.Register("alice", password)
	tok := g.Login("alice", password)
	c := &crowd{all: []*sock{talk(t, g, "alice", false, tok), talk(t, g, "alice over TLS", true, tok), talk(t, g, "visitor", false, "")}}
	for range 2 {
		refused(t, g, c)
		c.all = append(c.all, talk(t, g, "alice again", false, g.Login("alice", password)), talk(t, g, "with the old token", false, tok))
	}
	alive(t, c.all)
	g.Register("bob", password)
	if fds := filesOf(t, g, "garbage"); len(fds) > 0 {
		t.Errorf("left open: %v", fds)
	}
	logout(t, g, "/api/v1/logout_all", tok)
	closedWith(t, append(c.all[:2:2], c.all[3:]...), 4401)
	alive(t, c.all[2:3])
}

// filesOf returns which files of the process have a name that contains part.
func filesOf(t testing.TB, g *gatetest.Gateway, part string) (names []string) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", g.Pid())
	fds, err := os.ReadDir(dir)
	if err != nil {
		t.Skip(err)
	}
	for _, fd := range fds {
		if name, err := os.Readlink(filepath.Join(dir, fd.Name())); err == nil && strings.Contains(name, part) {
			names = append(names, name)
		}
	}
	return names
}

// What a hash costs, or when keys rotate, says nothing about which sessions there are: a logout reaches what
// was opened before.
func TestReloadWithOtherHashing(t *testing.T) {
	up := gatetest.NewUpstream(t, echo)
	first := plain{upstream: up.Addr}
	g := gatetest.Start(t, first.String())
	g.Register("alice", password)
	for _, v := range []plain{
		{upstream: up.Addr, app: "hash {\n\t\t\tmemory_kib 2048\n\t\t\ttime 1\n\t\t}"},
		{upstream: up.Addr, app: "hash {\n\t\t\tmemory_kib 1024\n\t\t\ttime 1\n\t\t\tqueue 5\n\t\t\tparallel 1\n\t\t}"},
		{upstream: up.Addr, app: "key_rotation 5d"},
	} {
		tok := g.Login("alice", password)
		socks := []*sock{talk(t, g, "alice before the reload", false, tok)}
		if err := g.Reload(v.String()); err != nil {
			t.Fatal(err)
		}
		socks = append(socks, talk(t, g, "alice after it", false, tok))
		alive(t, socks)
		logout(t, g, "/api/v1/logout", g.Login("alice", password))
		alive(t, socks)
		logout(t, g, "/api/v1/logout", tok)
		closedWith(t, socks, 4401)
		if err := g.Reload(first.String()); err != nil {
			t.Fatal(err)
		}
	}
}

// Sockets whose sessions no configuration knows any more are closed, since nobody could end them; visitors stay.
func TestReloadToAnotherDatabase(t *testing.T) {
	up := gatetest.NewUpstream(t, echo)
	at := func(db string) string { return plain{upstream: up.Addr, accounts: "{{DIR}}/" + db}.String() }
	g := gatetest.Start(t, at("old.db"))
	g.Register("alice", password)
	tok := g.Login("alice", password)
	member, visitor := talk(t, g, "alice", false, tok), talk(t, g, "visitor", false, "")

	if err := g.Reload(at("new.db")); err != nil {
		t.Fatal(err)
	}
	closedWith(t, []*sock{member}, 1012)
	alive(t, []*sock{visitor})
	if a := post(g, "/api/v1/login", "", "alice", password); a.status != http.StatusBadRequest || a.envelope(t).Error.Type != "USER_NOT_FOUND" {
		t.Fatalf("login with an account of the old database: %d %s", a.status, a.body)
	}
	if a := post(g, "/api/v1/logout", tok, "", ""); a.status != http.StatusUnauthorized {
		t.Fatalf("the old database's token: %d %s", a.status, a.body)
	}
	if _, _, err := open(g, false, tok); err == nil || !strings.Contains(err.Error(), "401") {
		t.Fatalf("a handshake with the old database's token: %v", err)
	}
	g.Register("bob", password)
	bob := talk(t, g, "bob", false, g.Login("bob", password))
	alive(t, []*sock{visitor, bob})
	if len(filesOf(t, g, "/old.db")) == 0 {
		t.Error("the old database is closed, though the visitor hangs on it")
	}

	// And back: the session is there.
	if err := g.Reload(at("old.db")); err != nil {
		t.Fatal(err)
	}
	again := talk(t, g, "alice again", false, tok)
	closedWith(t, []*sock{bob}, 1012)
	alive(t, []*sock{visitor, again})
	logout(t, g, "/api/v1/logout", tok)
	closedWith(t, []*sock{again}, 4401)
	if err := g.Reload(at("new.db")); err != nil {
		t.Fatal(err)
	}
	bob = talk(t, g, "bob again", false, g.Login("bob", password))
	alive(t, []*sock{visitor, bob})
	if len(filesOf(t, g, "/old.db")) == 0 {
		t.Error("the old database is closed, though the visitor hangs on it")
	}
	hangUp(t, []*sock{visitor})
	gatetest.Eventually(t, "the old database to be closed", func() bool { return len(filesOf(t, g, "/old.db")) == 0 })
	alive(t, []*sock{bob})
	if len(filesOf(t, g, "/new.db")) == 0 {
		t.Error("the new database is closed")
	}
}

// A handshake that was under way while its configuration went is held by the database that it was begun under.
func TestReloadDuringHandshake(t *testing.T) {
	asked, answer := make(chan bool, 10), make(chan bool)
	up := gatetest.NewUpstream(t, func(u *gatetest.Upstream, c net.Conn, br *bufio.Reader, head string) {
		asked <- true
		<-answer
		echo(u, c, br, head)
	})
	at := func(db string) string { return plain{upstream: up.Addr, accounts: "{{DIR}}/" + db}.String() }
	g := gatetest.Start(t, at("old.db"))
	g.Register("alice", password)
	tok := g.Login("alice", password)

	c := gatetest.Dial(t, g.HTTP)
	c.Send(gatetest.Handshake(g.HTTP, path, "Sec-WebSocket-Protocol: "+tok))
	<-asked
	if err := g.Reload(at("new.db")); err != nil {
		t.Fatal(err)
	}
	// Again, so that the configuration that the handshake came to is long gone.
	if err := g.Reload(plain{upstream: up.Addr, accounts: "{{DIR}}/new.db", app: "drain 2s"}.String()); err != nil {
		t.Fatal(err)
	}
	if err := g.Reload(at("old.db")); err != nil {
		t.Fatal(err)
	}
	close(answer)
	resp, body := c.Response()
	if resp.StatusCode == http.StatusServiceUnavailable { // allowed, if it is said
		if resp.Header.Get("Retry-After") == "" {
			t.Fatalf("%s %s", resp.Status, body)
		}
		return
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%s %s", resp.Status, body)
	}
	c.Echo("hello")
	logout(t, g, "/api/v1/logout", tok)
	c.ExpectClose(4401)
}

// Logins that wait for their turn when the configuration goes are answered all the same.
func TestReloadDuringLogins(t *testing.T) {
	up := gatetest.NewUpstream(t, echo)
	slow := "hash {\n\t\t\tmemory_kib 65536\n\t\t\ttime 2\n\t\t\tparallel 1\n\t\t\twait 30s\n\t\t}"
	at := func(db string) string { return plain{upstream: up.Addr, accounts: "{{DIR}}/" + db, app: slow}.String() }
	g := gatetest.Start(t, at("old.db"))
	for i := range 4 {
		g.Register(fmt.Sprintf("user%d", i), password)
	}
	answers := make(chan answer, 4)
	for i := range 4 {
		go func() { answers <- post(g, "/api/v1/login", "", fmt.Sprintf("user%d", i), password) }()
	}
	gatetest.Eventually(t, "logins under way", func() bool { return strings.Contains(g.Goroutines(), "authcore.(*hasher)") })
	if err := g.Reload(at("new.db")); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		a := <-answers
		switch {
		case a.err != nil:
			t.Errorf("no answer: %v", a.err)
		case a.status == http.StatusBadRequest && a.envelope(t).Error.Type == "USER_NOT_FOUND": // came late: the new one's
		case a.status != http.StatusOK:
			t.Errorf("%d %s", a.status, a.body)
		}
	}
	gatetest.Eventually(t, "the old database to be closed", func() bool { return len(filesOf(t, g, "/old.db")) == 0 })
}

// The room behind a gateway that is reloaded may be in the same process.
func TestReloadWithDemoRoom(t *testing.T) {
	cfg := func(extra string) string {
		return plain{upstream: "{{ROOM}}", app: extra, sites: "http://{{ROOM}} {\n\tchatgate_demo_room\n}\n"}.String()
	}
	room := fmt.Sprintf("127.0.0.1:%d", gatetest.FreePort(t))
	g := gatetest.Start(t, strings.ReplaceAll(cfg(""), "{{ROOM}}", room))
	g.Register("alice", password)
	c := g.WebSocket(path, g.Login("alice", password))
	for i := range 5 {
		if err := g.Reload(strings.ReplaceAll(cfg(fmt.Sprintf("session_idle %dh", i+1)), "{{ROOM}}", room)); err != nil {
			t.Fatal(err)
		}
		// A ping tells that both legs are there, and whatever the room says in between is its own affair.
		c.SendFrame(gatetest.Frame{Fin: true, Op: 9, Payload: []byte("still here?")})
		for f := c.Frame(); f.Op != 10; f = c.Frame() {
			if f.Op == 8 {
				t.Fatalf("reload %d closed the socket: %d", i, f.CloseCode())
			}
		}
	}
}
