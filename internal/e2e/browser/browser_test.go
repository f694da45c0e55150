package browser

import (
	"context"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/chatgate/chatgate/internal/chromiumtest"
)

// TestBrowser runs one gateway and one browser. Every part has a room of its own, and names that no other part takes.
func TestBrowser(t *testing.T) {
	browser := chromiumtest.Start(t)
	s := startExample(t)

	for _, part := range []struct {
		name string
		test func(*testing.T, context.Context, *site)
	}{
		{"visitor", testVisitor},
		{"conversation", testConversation},
		{"read_only", testReadOnly},
		{"refusals", testRefusals},
		{"logout", testLogout},
		{"keyboard", testKeyboard},
		{"accessibility", testAccessibility},
		{"layout", testLayout},
		{"contracts", testContracts},
		{"cookie", testCookieAfterLogout}, // before a gateway of its own
		{"origins", testOrigins},          // likewise
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, browser, s) })
	}
}

func testVisitor(t *testing.T, browser context.Context, s *site) {
	p := visit(t, browser, s, "visitor")
	p.awaitStatus("Watching")
	p.awaitText("whoami", "Watching as a visitor")
	p.awaitText("room", "visitor")
	if !eval[bool](p, `document.getElementById("message").disabled && document.getElementById("send").disabled`) {
		t.Error("a visitor is offered to write")
	}
}

func testConversation(t *testing.T, browser context.Context, s *site) {
	alice, bob := visit(t, browser, s, "conversation"), visit(t, browser, s, "conversation")
	alice.enter("auth-register", "alice")
	bob.enter("auth-register", "bob")
	alice.await("bob is announced", `document.getElementById("log").textContent.includes("bob joined")`)

	alice.say("good morning")
	bob.awaitSaid("alice: good morning")
	bob.say(`<b>hello</b> & "welcome"`)
	both := []string{"alice: good morning", `bob: <b>hello</b> & "welcome"`}
	alice.awaitSaid(both...)
	bob.awaitSaid(both...)
	if own := eval[string](bob, `[...document.querySelectorAll("#log .own")].map(m => m.dataset.from).join()`); own != "bob" {
		t.Errorf("bob's page takes the messages of %q for his", own)
	}

	alice.do("reload", chromedp.Reload())
	alice.awaitStatus("Joined")
	alice.awaitText("whoami", "alice")
	alice.awaitSaid(both...)
}

// A visitor reads along, and is cut off for writing, which only somebody who goes around the page can try.
func testReadOnly(t *testing.T, browser context.Context, s *site) {
	s.account(t, "carol")
	carol, visitor := visit(t, browser, s, "read-only"), visit(t, browser, s, "read-only")
	visitor.awaitStatus("Watching")
	carol.enter("auth-login", "carol")

	carol.say("is anybody there?")
	visitor.awaitSaid("carol: is anybody there?")

	visitor.watchClose()
	visitor.do("write all the same", chromedp.Evaluate[chromedp.Void](`window.chat.socket.send('{"text":"hi"}')`))
	visitor.await("the socket is closed", `window.closedWith !== undefined`)
	if code := eval[int](visitor, `window.closedWith`); code != 1008 {
		t.Errorf("the visitor's socket was closed with %d, want 1008", code)
	}
	visitor.awaitText("notice", "Visitors can only watch. Log in to write.")
	visitor.awaitStatus("Disconnected")

	// What the visitor wrote would have come before this.
	carol.say("nobody, then")
	lines := []string{"carol: is anybody there?", "carol: nobody, then"}
	carol.awaitSaid(lines...)
	visitor.do("reconnect", chromedp.Click(chromedp.ID("reconnect")))
	visitor.awaitStatus("Watching")
	visitor.awaitSaid(lines...) // the room's history
}

func testRefusals(t *testing.T, browser context.Context, s *site) {
	s.account(t, "dave")
	p := visit(t, browser, s, "refusals")
	// Chromium itself reports every answer that is an error.
	p.allow = func(m chromedp.ConsoleMessage) bool {
		return m.Source == "network" && (m.URL == s.URL+"/api/v1/login" || m.URL == s.URL+"/api/v1/users")
	}
	p.awaitStatus("Watching")
	p.openDialog()
	for _, c := range []struct{ button, name, password, want string }{
		{"auth-login", "dave", "Not-The-Password-99", "That is not the right password."},
		{"auth-login", "nobody-here", secret, "There is nobody of that name."},
		{"auth-register", "dave", secret, "That name is taken."},
		{"auth-register", "DAVE", secret, "That name is taken."},
		{"auth-register", "erin", "password", "That password will not do."},
		{"auth-login", "", secret, "Give a username."},
		{"auth-login", "dave", "", "Give a password."},
	} {
		p.submit(c.button, c.name, c.password)
		p.awaitText("auth-error", c.want)
		field := "auth-secret"
		if c.name == "" {
			field = "auth-username"
		}
		p.awaitFocus(field)
		if !eval[bool](p, `document.activeElement.getAttribute("aria-invalid") === "true" && document.getElementById("auth-dialog").open`) {
			t.Errorf("%s: the field with the mistake is not marked", c.want)
		}
	}

	p.submit("auth-login", "dave", secret)
	p.awaitStatus("Joined")
	p.awaitText("whoami", "dave")
}

func testLogout(t *testing.T, browser context.Context, s *site) {
	s.account(t, "frank")
	one := visit(t, browser, s, "logout")
	one.enter("auth-login", "frank")
	two := one.twin("logout")
	two.awaitStatus("Joined")
	two.awaitText("whoami", "frank")

	two.watchClose()
	one.do("log out", chromedp.Click(chromedp.ID("logout")))
	two.await("the socket is closed", `window.closedWith !== undefined`)
	if code := eval[int](two, `window.closedWith`); code != 4401 {
		t.Errorf("the other tab's socket was closed with %d, want 4401", code)
	}
	two.awaitText("notice", "Your session has ended.")
	one.awaitText("notice", "You have logged out.")
	for _, p := range []*tab{one, two} {
		p.awaitStatus("Watching")
		p.awaitText("whoami", "Watching as a visitor")
		if !eval[bool](p, `document.getElementById("message").disabled && sessionStorage.length === 0 && window.chat.socket.readyState === WebSocket.OPEN`) {
			t.Error("who has logged out should watch, and keep nothing of the session")
		}
	}
}

func testKeyboard(t *testing.T, browser context.Context, s *site) {
	s.account(t, "grace")
	p := visit(t, browser, s, "keyboard")
	p.awaitStatus("Watching")
	press := func(keys string) {
		t.Helper()
		p.do("press keys", chromedp.KeyEvent(keys))
	}

	press(kb.Tab)
	p.awaitFocus("open-login")
	press(kb.Enter)
	p.awaitFocus("auth-username")
	press(kb.Escape)
	p.await("the dialog is closed", `!document.getElementById("auth-dialog").open`)
	p.awaitFocus("open-login")

	press(kb.Enter)
	p.awaitFocus("auth-username")
	press("grace" + kb.Tab)
	p.awaitFocus("auth-secret")
	press(secret + kb.Enter)
	p.awaitStatus("Joined")
	p.awaitFocus("message")
	press("no mouse at all" + kb.Enter)
	p.awaitSaid("grace: no mouse at all")
	p.awaitFocus("message")

	press("one line")
	p.do("break the line", chromedp.KeyEvent(kb.Enter, chromedp.KeyModifiers(chromedp.ModifierShift)))
	press("and another" + kb.Enter)
	p.awaitSaid("grace: no mouse at all", "grace: one line\nand another")
}
