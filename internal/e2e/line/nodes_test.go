//go:build linux

package line

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/pgtest"
	"github.com/chatgate/chatgate/internal/redistest"
)

// startNodes runs two houses over one PostgreSQL and one Redis.
func startNodes(t testing.TB, app string) (nodes [2]*house) {
	t.Helper()
	pg, r := pgtest.Start(t), redistest.Start(t)
	o := options{
		app: "\t\taccounts postgres {env.PG}\n\t\tsessions redis {env.REDIS}\n" + app, line: many,
		env: []string{"PG=" + pg.NewDatabase(t), "REDIS=" + r.URL()},
	}
	for i := range nodes {
		nodes[i] = start(t, o)
	}
	return nodes
}

// talk is a connection that was handed over, and the other end of it.
type talk struct {
	what   string
	client *client
	chat   *visit
}

// talks opens a connection at every gate of every node, by a line.
func talks(t testing.TB, nodes []*house, what, line string) (all []talk) {
	t.Helper()
	for i, h := range nodes {
		for _, gate := range []string{"gate", "cut", "proxied"} {
			c := h.dial(gate)
			c.send(line + "\n")
			if got := c.line(); got != "ok" && !strings.HasPrefix(got, "ok ") {
				t.Fatalf("%s at node %d: got %q", what, i, got)
			}
			for range map[string]int{"gate": 2, "proxied": 1}[gate] { // what the chat says first
				c.line()
			}
			all = append(all, talk{fmt.Sprintf("%s, node %d, %s", what, i, gate), c, h.chat.accept(t)})
		}
	}
	return all
}

// goOn fails the test unless everybody can still be heard, and hears.
func goOn(t testing.TB, all []talk) {
	t.Helper()
	for _, k := range all {
		k.client.wants("still here", "still here")
		if !k.chat.open() {
			t.Errorf("%s is closed at the chat", k.what)
		}
	}
}

// over waits until everybody is gone, on both sides.
func over(t testing.TB, all []talk) {
	t.Helper()
	for _, k := range all {
		k.client.rest()
		k.chat.ended(t)
	}
}

// A logout, anywhere and in any dialect, closes what was handed over under its session on every node, and nothing else.
func TestLogoutClosesEverywhere(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, "")
	all := nodes[:]
	nodes[0].Register("alice", password)
	nodes[0].Register("bob", password)
	phone, laptop := nodes[0].Login("alice", password), nodes[1].Login("alice", password)
	onPhone, onLaptop := talks(t, all, "phone", "token t:"+phone), talks(t, all, "laptop", "token t:"+laptop)
	byName, bobs := talks(t, all, "alice by name", login("alice")), talks(t, all, "bob", login("bob"))
	visitor := talk{"a visitor", nodes[0].dial("gate"), nil}
	visitor.client.wants("visit", "ok")
	visitor.client.expect("ACCESS read-only\r\n")
	visitor.chat = nodes[0].chat.accept(t)
	goOn(t, append(append(append(append([]talk(nil), onPhone...), onLaptop...), byName...), bobs...))

	if status, _, body := nodes[1].Call(http.MethodPost, "/api/v1/logout", phone, ""); status != http.StatusOK {
		t.Fatalf("logout: %d %s", status, body)
	}
	over(t, onPhone)
	goOn(t, append(append(append([]talk(nil), onLaptop...), byName...), bobs...))
	for _, h := range nodes {
		h.dial("gate").wants("token t:"+phone, "nop badtoken")
		h.dial("line").wants("token t:"+laptop, "ok")
	}

	if status, _, body := nodes[0].Call(http.MethodPost, "/api/auth/logout-all", laptop, ""); status/100 != 2 {
		t.Fatalf("logout-all: %d %s", status, body)
	}
	over(t, onLaptop)
	over(t, byName)
	goOn(t, bobs)
	for _, h := range nodes {
		h.dial("gate").wants("token t:"+laptop, "nop badtoken")
	}
	if _, err := visitor.chat.Write([]byte("news\n")); err != nil {
		t.Fatal(err)
	}
	visitor.client.expect("news\n")
	talks(t, all, "alice again", login("alice"))
}

// What was handed over does not care about configurations, and a logout finds it all the same.
func TestReloadKeepsConnections(t *testing.T) {
	t.Parallel()
	h := start(t, options{})
	h.Register("alice", password)
	h.Register("bob", password)
	token := h.Login("alice", password)
	alices, bobs := talks(t, []*house{h}, "alice", "token t:"+token), talks(t, []*house{h}, "bob", login("bob"))
	both := append(append([]talk(nil), alices...), bobs...)
	goOn(t, both)

	h.signUp("carol", number) // as before
	for what, file := range map[string]string{
		"the same with another limit": strings.Replace(h.file, "login_rate 600/1m", "login_rate 601/1m", 1),
		"other chats":                 strings.NewReplacer(h.chat.plain, h.chat.proxied, h.chat.proxied, h.chat.plain).Replace(h.file),
		"no lines at all":             h.file[:strings.Index(h.file, "\tlayer4 {")] + h.file[strings.Index(h.file, "}\nhttp://"):],
	} {
		if err := h.Reload(file); err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		goOn(t, both)
	}
	if err := h.Reload(h.file); err != nil {
		t.Fatal(err)
	}
	both = append(both, talks(t, []*house{h}, "later", login("bob"))...)
	goOn(t, both)
	if status, _, body := h.Call(http.MethodPost, "/api/v1/logout", token, ""); status != http.StatusOK {
		t.Fatalf("logout: %d %s", status, body)
	}
	over(t, alices)
	goOn(t, both[len(alices):])
}

// Failed logins count for the account, whichever node and dialect they came over.
func TestNodesShareTries(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, "\t\tlogin_backoff 4 1h 1h\n")
	nodes[0].Register("alice", password)
	nodes[0].Register("bob", password)
	overHTTP := func(h *house, name, secret string) int {
		status, _, _ := h.Call(http.MethodPost, "/api/v1/login", "", fmt.Sprintf(`{"username":%q,"secret":%q}`, name, secret))
		return status
	}
	for i, h := range nodes {
		h.dial("line").wants("login u:alice p:wrong", "nop credentials")
		if status := overHTTP(h, "ALICE", "wrong"); status != http.StatusUnauthorized {
			t.Errorf("node %d: %d", i, status)
		}
	}
	for i, h := range nodes {
		h.dial("line").wants(login("alice"), "nop ratelimited")
		h.dial("gate").wants(login("alice"), "nop ratelimited")
		if status := overHTTP(h, "alice", password); status != http.StatusTooManyRequests {
			t.Errorf("node %d: %d", i, status)
		}
		h.dial("line").granted(login("bob"))
	}
}

// A code that one node sent is good on the other, once.
func TestNodesShareCodes(t *testing.T) {
	t.Parallel()
	nodes := startNodes(t, "")
	nodes[0].dial("line").wants(register("alice", number), "ok")
	code := nodes[0].sms.next(t, number)
	nodes[1].dial("line").wants("validatephone p:"+number+" c:"+code, "ok")
	nodes[0].dial("line").wants("validatephone p:"+number+" c:"+code, "nop invalidnumber")
	for _, h := range nodes {
		h.dial("line").granted(login("alice"))
		h.dial("line").wants(register("bob", "+44 7400 123456"), "nop syntax:")
		h.dial("line").wants(register("bob", `"+44 7400 123456"`), "nop baddata")
	}
}
