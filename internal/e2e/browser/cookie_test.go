package browser

import (
	"context"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// cookieSite is a chat that people are logged in to by a cookie alone.
const cookieSite = `{
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
	chatgate_accounts rooms
	chatgate_accounts users
	chatgate_proxy UPSTREAM {
		cookie ssid
	}
}
`

// cookieScript is what a page does. A WebSocket that is echoed is a member's; a visitor's is closed for writing.
const cookieScript = `(async () => {
	const post = (path, body, token) => fetch(path, {method: "POST", body: JSON.stringify(body),
		headers: token ? {Authorization: "Bearer " + token} : {"Content-Type": "application/json"}});
	const socket = () => new Promise(resolve => {
		const ws = new WebSocket("wss://" + location.host + "/ws");
		ws.onopen = () => ws.send("hello");
		ws.onmessage = () => resolve([ws, "a member"]);
		ws.onclose = e => resolve([ws, "closed with " + e.code]);
	});
	const login = async () => (await (await post("/users/login", {username: "alice", password: SECRET})).json()).data.message.ssid;
	const said = [];
	await post("/users/register", {username: "alice", password: SECRET});

	let token = await login();
	const [ws, as] = await socket();
	said.push("logged in: " + as);
	const ended = new Promise(resolve => ws.onclose = e => resolve(e.code));
	await post("/api/v1/logout", {}, token);
	said.push("logged out: closed with " + await ended);
	said.push("the next socket: " + (await socket())[1]); // which tells the page, and takes the cookie away
	said.push("and the next: " + (await socket())[1]);

	token = await login();
	said.push("logged in again: " + (await socket())[1]);
	await post("/api/v1/logout", {}, token);
	said.push("the page: " + (await fetch("/")).status); // which takes the cookie away
	said.push("its socket: " + (await socket())[1]);

	token = await login();
	await post("/api/v1/logout", {}, token);
	said.push("info: " + (await fetch("/users/info")).status); // which does so as well
	said.push("its socket: " + (await socket())[1]);

	await post("/api/v1/logout", {}, await login());
	return said.join("\n");
})()`

const cookiePageHears = `logged in: a member
logged out: closed with 4401
the next socket: closed with 4401
and the next: closed with 1008
logged in again: a member
the page: 200
its socket: closed with 1008
info: 401
its socket: closed with 1008`

// After a logout the page loads again, as a visitor's, without anybody deleting a cookie by hand.
func testCookieAfterLogout(t *testing.T, browser context.Context, _ *site) {
	up := gatetest.NewUpstream(t, nil)
	g := gatetest.Start(t, strings.ReplaceAll(cookieSite, "UPSTREAM", up.Addr))
	s := &site{Gateway: g, URL: "https://" + g.HTTPS, t: t}
	s.awaitCertificate()
	p := newTab(t, browser, s, chromedp.WithNewBrowserContext())
	p.allow = func(chromedp.ConsoleMessage) bool { return true } // refusals are what this is about
	p.open("x")
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](strings.ReplaceAll(cookieScript, "SECRET", quote(secret)), func(e *runtime.EvaluateParams) {
		yes := true
		e.AwaitPromise = &yes
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got != cookiePageHears {
		t.Errorf("the page heard:\n%s\nwant:\n%s", got, cookiePageHears)
	}
	p.open("x")
	if text := eval[string](p, `document.body.innerText`); text != "ok" {
		t.Errorf("the page after a logout: %q", text)
	}
}
