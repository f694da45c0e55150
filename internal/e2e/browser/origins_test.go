package browser

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// originsSite is a chat with a page of its own that sends no referrer, and pages of other origins: localhost:PAGES may call,
// and 127.0.0.1:PAGES may not.
const originsSite = `{
	{{GLOBAL}}
	chatgate {
		accounts sqlite {{DIR}}/accounts.db
		hash {
			memory_kib 1024
			time 1
		}
	}
}

https://{{HTTPS}} {
	tls internal
	chatgate_accounts users {
		origins https://localhost:PAGES null
	}
	chatgate_accounts auth {
		require_invites off
		cookie session
		origins https://localhost:PAGES
	}
	handle /form {
		header Content-Type text/html
		header Referrer-Policy no-referrer
		respond "<form method=post action=/said></form>"
	}
	chatgate_proxy UPSTREAM {
		cookie ssid
	}
}

https://localhost:PAGES, https://127.0.0.1:PAGES {
	tls internal
	header Content-Type text/html
	respond "<p>a page</p>"
}
`

// pageCalls is what a page calls with the cookies that its browser has.
const pageCalls = `(async () => {
	const said = [];
	const call = async (method, path, body, credentials = "include") => {
		try {
			const r = await fetch(GATE + path, {method, credentials, body: body && JSON.stringify(body), headers: body ? {"Content-Type": "application/json"} : {}});
			const text = await r.text();
			said.push(method + " " + path + ": " + r.status + " " + (text.match(/[A-Z]{3,}(_[A-Z]+)+/) || [""])[0]);
		} catch (e) {
			said.push(method + " " + path + ": " + e.name);
		}
	};
	const alice = {username: "alice", password: SECRET};
	await call("POST", "/users/register", alice);
	await call("POST", "/users/login", {...alice, password: "Not-The-Password-99"});
	await call("POST", "/users/login", alice);
	await call("GET", "/users/info");
	await call("POST", "/users/logout");
	await call("GET", "/users/info");
	await call("POST", "/users/login", alice);
	await call("POST", "/users/logout_all");
	await call("GET", "/users/info");
	await call("POST", "/api/auth/register", {username: "carla", email: "carla@example.com", password: SECRET});
	await call("POST", "/api/auth/login", {email: "carla@example.com", password: SECRET});
	await call("GET", "/api/auth/sessions");
	await call("PATCH", "/api/auth/me", {displayName: "Carla"});
	await call("POST", "/api/auth/logout");
	await call("GET", "/api/auth/me");
	return said.join("\n");
})()`

// The page of a named origin is as good as the site's own; a page of another hears nothing.
const (
	namedPageHears = `POST /users/register: 200 USER_INSERT_OK
POST /users/login: 401 INVALID_PASSWORD
POST /users/login: 200 
GET /users/info: 200 
POST /users/logout: 200 LOGGED_OUT
GET /users/info: 401 NOT_LOGGED_IN
POST /users/login: 200 
POST /users/logout_all: 200 LOGGED_OUT
GET /users/info: 401 NOT_LOGGED_IN
POST /api/auth/register: 201 
POST /api/auth/login: 200 
GET /api/auth/sessions: 200 
PATCH /api/auth/me: 200 
POST /api/auth/logout: 204 
GET /api/auth/me: 401 `
	otherPageHears = "TypeError"
)

// frameCalls logs in from a frame that has no origin, once with credentials and once without.
const frameCalls = `new Promise(resolve => {
	onmessage = e => resolve(e.data);
	const frame = document.createElement("iframe");
	frame.sandbox = "allow-scripts";
	frame.srcdoc = "<script>(async () => { const said = [];" +
		"for (const credentials of ['include', 'omit']) try {" +
		"const r = await fetch('" + GATE + "/users/login', {method: 'POST', credentials, headers: {'Content-Type': 'application/json'}," +
		"body: JSON.stringify({username: 'alice', password: " + JSON.stringify(SECRET).replaceAll('"', "'") + "})});" +
		"said.push(credentials + ' ' + r.status) } catch (e) { said.push(credentials + ' ' + e.name) }" +
		"parent.postMessage(origin + ': ' + said.join(', '), '*') })()</scr" + "ipt>";
	document.body.append(frame);
})`

func testOrigins(t *testing.T, browser context.Context, _ *site) {
	up := gatetest.NewUpstream(t, gatetest.EchoWebSocket)
	pages := strconv.Itoa(gatetest.FreePort(t))
	g := gatetest.Start(t, strings.NewReplacer("UPSTREAM", up.Addr, "PAGES", pages).Replace(originsSite))
	s := &site{Gateway: g, URL: "https://" + g.HTTPS, t: t}
	s.awaitCertificate()
	gatetest.AwaitCertificate(t, "localhost:"+pages)
	p := newTab(t, browser, s, chromedp.WithNewBrowserContext())
	p.allow = func(chromedp.ConsoleMessage) bool { return true } // refusals are what this is about
	hears := func(script string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(p.ctx, patience)
		defer cancel()
		got, err := chromedp.Run(ctx, chromedp.Evaluate[string](strings.NewReplacer("SECRET", quote(secret), "GATE", quote(s.URL)).Replace(script), func(e *runtime.EvaluateParams) {
			yes := true
			e.AwaitPromise = &yes
		}))
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	p.do("open a page of another origin", chromedp.Navigate("https://127.0.0.1:"+pages+"/"))
	for line := range strings.Lines(hears(pageCalls)) {
		if !strings.HasSuffix(strings.TrimSpace(line), otherPageHears) {
			t.Errorf("a page of another origin heard %s", line)
		}
	}
	p.do("open a page of a named origin", chromedp.Navigate("https://localhost:"+pages+"/"))
	if got := hears(pageCalls); got != namedPageHears {
		t.Errorf("a page of a named origin heard:\n%s\nwant:\n%s", got, namedPageHears)
	}
	if got, want := hears(frameCalls), "null: include TypeError, omit 200"; got != want {
		t.Errorf("a frame without an origin heard %q, want %q", got, want)
	}

	// A form of the site's own page, which hides its origin.
	p.do("open the form", chromedp.Navigate(s.URL+"/form"))
	if got := hears(`fetch("/users/login", {method: "POST", headers: {"Content-Type": "application/json"},
		body: JSON.stringify({username: "alice", password: SECRET})}).then(r => String(r.status))`); got != "200" {
		t.Errorf("a login of a page without a referrer: %s", got)
	}
	n := len(up.Heads())
	p.do("send the form", chromedp.Evaluate[chromedp.Void](`document.forms[0].submit()`))
	gatetest.Eventually(t, "the browser shows an answer", func() bool { // the page that is left takes its scripts with it
		ctx, cancel := context.WithTimeout(p.ctx, patience)
		defer cancel()
		there, err := chromedp.Run(ctx, chromedp.Evaluate[bool](`location.pathname === "/said" && document.readyState === "complete"`))
		return err == nil && there
	})
	if text := eval[string](p, `document.body.innerText`); text != "ok" {
		t.Fatalf("a form of a page without a referrer: %s", text)
	}
	heads := up.Heads()[n:] // the icon of the site may be among them
	i := slices.IndexFunc(heads, func(head string) bool { return strings.HasPrefix(head, "POST /said ") })
	if i < 0 || !strings.Contains(heads[i], "Remote-User: alice\r\n") || !strings.Contains(heads[i], "Origin: null\r\n") {
		t.Errorf("the chat got %q", heads)
	}
}
