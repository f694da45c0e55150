package methods

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/chatgate/chatgate/internal/chromiumtest"
)

const patience = 60 * time.Second

// The page of a legacy chat, in a browser, with the client that it always had: before and after login, through a logout
// from elsewhere, and through a reconnect.
func TestBrowser(t *testing.T) {
	browser := chromiumtest.Start(t)
	g, ch, _ := started(t, "")
	p := visit(t, browser, "http://"+g.HTTP+"/")
	p.eval(`connect()`, nil)
	p.want(`(await call("whoami", {})).err`, "not_logged_in")
	p.want(`(await call("user_login", {username: "alice", password: "wrong"})).err`, "bad_credentials")
	p.want(`(await call("user_register", {username: "alice", password: "`+password+`"})).d.token.slice(0, 2)`, "ey")
	p.want(`(await call("whoami", {})).d.user`, "alice")

	// Somebody else, in another page.
	q := visit(t, browser, "http://"+g.HTTP+"/")
	q.eval(`connect()`, nil)
	q.want(`(window.token = (await call("user_register", {username: "bob", password: "`+password+`"})).d.token).slice(0, 2)`, "ey")
	q.want(`(await call("whoami", {})).d.user`, "bob")
	q.want(`Object.keys((await call("say", {text: "<b>hello</b>"})).d).length`, "0")
	p.want(`await (async () => { while (!events.some(e => e.e == "said")) await new Promise(f => setTimeout(f, 10)); return JSON.stringify(events[0]); })()`,
		`{"e":"said","d":{"from":"bob","text":"<b>hello</b>"}}`)

	// Everywhere at once, from elsewhere.
	if status, _, body := g.Call(http.MethodPost, "/api/v1/logout_all", g.Login("alice", password), ""); status != http.StatusOK {
		t.Fatalf("logout_all: %d %s", status, body)
	}
	p.want(`await (async () => { while (events.length < 2) await new Promise(f => setTimeout(f, 10)); return JSON.stringify(events[1]); })()`, loggedOut)
	p.want(`socket.readyState == WebSocket.OPEN && (await call("whoami", {})).err`, "not_logged_in")
	p.want(`(await call("user_login", {username: "alice", password: "`+password+`"})).d.token.slice(0, 2)`, "ey")
	p.want(`(await call("whoami", {})).d.user`, "alice")

	// A chat that goes takes its clients along, which know how to come back.
	ch.cut()
	q.want(`await (async () => { while (!window.closedWith) await new Promise(f => setTimeout(f, 10)); return window.closedWith; })()`, "1001")
	q.eval(`connect()`, nil)
	q.want(`JSON.stringify((await call("user_token_auth", {token: window.token})).d)`, "{}")
	q.want(`(await call("whoami", {})).d.user`, "bob")
}

// tab is a page in a browser.
type tab struct {
	t   testing.TB
	ctx context.Context
}

func visit(t testing.TB, browser context.Context, url string) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(browser, chromedp.WithNewBrowserContext())
	t.Cleanup(cancel)
	p := &tab{t, ctx}
	if err := chromedp.Do(ctx); err != nil { // which the tab then belongs to
		t.Fatalf("opening a tab: %v", err)
	}
	step, done := context.WithTimeout(ctx, patience)
	defer done()
	if err := chromedp.Do(step, chromedp.Navigate(url)); err != nil {
		t.Fatalf("opening the page: %v", err)
	}
	return p
}

// eval awaits an expression as text.
func (p *tab) eval(expression string, into *string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	// The page is asked again and again, as it may take its time.
	start := `void (async () => { window.answer = undefined; try { window.answer = String(await (async () => (` + expression + `))()); } catch (e) { window.answer = "threw " + e; } })()`
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](start)); err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	if _, err := chromedp.Run(ctx, chromedp.Poll[bool](`window.answer !== undefined`, chromedp.WithPollingInterval(25*time.Millisecond), chromedp.WithPollingTimeout(patience))); err != nil {
		p.t.Fatalf("waited in vain for %s: %v", expression, err)
	}
	v, err := chromedp.Run(ctx, chromedp.Evaluate[string](`window.answer`))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	if into != nil {
		*into = v
	}
}

func (p *tab) want(expression, want string) {
	p.t.Helper()
	var got string
	if p.eval(expression, &got); got != want {
		p.t.Fatalf("%s is %q, want %q", expression, got, want)
	}
}
