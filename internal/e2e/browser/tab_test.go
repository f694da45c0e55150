package browser

import (
	"context"
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

type step = chromedp.Action[chromedp.Void]

// tab is one tab of a browser. What its page says on the console is an error, unless it was allowed.
type tab struct {
	t    testing.TB
	ctx  context.Context
	site *site

	mu      sync.Mutex
	console []chromedp.ConsoleMessage
	heard   chan struct{} // gets a value, if there is room, with every message
	allow   func(chromedp.ConsoleMessage) bool
}

// visit opens the chat in a browser context of its own, that is, as somebody else.
func visit(t testing.TB, browser context.Context, s *site, room string) *tab {
	t.Helper()
	p := newTab(t, browser, s, chromedp.WithNewBrowserContext())
	p.open(room)
	return p
}

func newTab(t testing.TB, parent context.Context, s *site, opt chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, opt)
	p := &tab{t: t, ctx: ctx, site: s, heard: make(chan struct{}, 1)}
	messages := chromedp.Console(ctx) // from before the page is loaded
	var listener sync.WaitGroup
	listener.Go(func() {
		for m, err := range messages {
			if err != nil {
				return
			}
			p.mu.Lock()
			p.console = append(p.console, m)
			p.mu.Unlock()
			select {
			case p.heard <- struct{}{}:
			default:
			}
		}
	})
	t.Cleanup(func() {
		p.checkConsole()
		cancel()
		listener.Wait()
	})
	return p
}

// twin opens the page in a second tab of the same session, as "Duplicate tab" does.
func (p *tab) twin(room string) *tab {
	p.t.Helper()
	opened := chromedp.WaitNewTarget(p.ctx, func(*target.Info) bool { return true })
	p.do("open another tab", chromedp.Evaluate[chromedp.Void](`void window.open("about:blank")`, byUser))
	select {
	case id := <-opened:
		other := newTab(p.t, p.ctx, p.site, chromedp.WithTargetID(id))
		other.open(room)
		return other
	case <-time.After(patience):
		p.t.Fatal("no other tab came up")
		return nil
	}
}

// byUser makes a script count as something that the user did.
func byUser(e *runtime.EvaluateParams) { yes := true; e.UserGesture = &yes }

func (p *tab) open(room string) {
	p.t.Helper()
	p.do("open the page", chromedp.Navigate(p.site.URL+"/?room="+room))
}

// do takes steps, each with patience.
func (p *tab) do(what string, steps ...step) {
	p.t.Helper()
	for _, s := range steps {
		ctx, cancel := context.WithTimeout(p.ctx, patience)
		err := chromedp.Do(ctx, s)
		cancel()
		if err != nil {
			p.t.Fatalf("%s: %v\n%s", what, err, p.describe())
		}
	}
}

// await waits until a JavaScript expression is true.
func (p *tab) await(what, expression string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, 2*patience)
	defer cancel()
	_, err := chromedp.Run(ctx, chromedp.Poll[bool]("!!("+expression+")", chromedp.WithPollingInterval(25*time.Millisecond), chromedp.WithPollingTimeout(patience)))
	if err != nil {
		p.t.Fatalf("waited in vain: %s: %v\n%s", what, err, p.describe())
	}
}

// eval returns what a JavaScript expression is.
func eval[T any](p *tab, expression string) T {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	v, err := chromedp.Run(ctx, chromedp.Evaluate[T](expression))
	if err != nil {
		p.t.Fatalf("%s: %v", expression, err)
	}
	return v
}

// describe says what the page shows, for a test that fails.
func (p *tab) describe() string {
	ctx, cancel := context.WithTimeout(p.ctx, 5*time.Second)
	defer cancel()
	text, err := chromedp.Run(ctx, chromedp.Evaluate[string](`document.activeElement?.id + " has the focus of " + location + "\n" + document.body.innerText`))
	if err != nil {
		return "the page cannot be read: " + err.Error()
	}
	return "the page: " + text
}

// checkConsole fails the test if the page has said anything that was not allowed. A violation of the content security
// policy and an exception that nobody caught are said there too.
func (p *tab) checkConsole() {
	const last = "this was the last of it"
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](`console.debug(`+quote(last)+`)`)); err != nil {
		p.t.Errorf("the console: %v", err)
		return
	}
	for {
		p.mu.Lock()
		console := p.console
		p.mu.Unlock()
		for i, m := range console {
			if m.Text != last {
				continue
			}
			for _, m := range console[:i] {
				if p.allow == nil || !p.allow(m) {
					p.t.Errorf("the page's console: %s (%s %s:%d)", m, m.Source, m.URL, m.Line+1)
				}
			}
			return
		}
		select {
		case <-p.heard:
		case <-ctx.Done():
			p.t.Error("the console fell silent")
			return
		}
	}
}

// quote returns s as JavaScript.
func quote(s string) string {
	b, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// --- what a user does and sees ---

func (p *tab) awaitStatus(status string) {
	p.t.Helper()
	p.await("status "+status, `document.getElementById("status").textContent === `+quote(status))
}

func (p *tab) awaitText(id, text string) {
	p.t.Helper()
	p.await(id+" says "+text, `document.getElementById(`+quote(id)+`).textContent.includes(`+quote(text)+`)`)
}

func (p *tab) awaitFocus(id string) {
	p.t.Helper()
	p.await("the focus is on "+id, `document.activeElement.id === `+quote(id))
}

// openDialog opens the dialog with the mouse.
func (p *tab) openDialog() {
	p.t.Helper()
	p.do("open the dialog", chromedp.Click(chromedp.ID("open-login")))
	p.await("the dialog is open", `document.getElementById("auth-dialog").open`)
}

// submit fills the open dialog in and clicks one of its buttons.
func (p *tab) submit(button, name, password string) {
	p.t.Helper()
	p.do("fill the dialog in",
		chromedp.Evaluate[chromedp.Void](`for (const f of document.querySelectorAll("#auth-form input")) f.value = "";`),
		chromedp.SendKeys(chromedp.ID("auth-username"), name),
		chromedp.SendKeys(chromedp.ID("auth-secret"), password),
		chromedp.Click(chromedp.ID(button)))
}

// enter registers or logs in through the dialog, and waits until the room is joined.
func (p *tab) enter(button, name string) {
	p.t.Helper()
	p.awaitStatus("Watching")
	p.openDialog()
	p.submit(button, name, secret)
	p.awaitStatus("Joined")
	p.awaitText("whoami", name)
}

// say sends a message with the button.
func (p *tab) say(text string) {
	p.t.Helper()
	p.do("write a message", chromedp.SendKeys(chromedp.ID("message"), text), chromedp.Click(chromedp.ID("send")))
}

// said is the log as "name: text" lines, in JavaScript.
const said = `[...document.querySelectorAll("#log .msg")].map(m => m.querySelector(".from").textContent + ": " + m.querySelector(".text").textContent)`

// awaitSaid waits until the log has exactly these lines.
func (p *tab) awaitSaid(lines ...string) {
	p.t.Helper()
	p.await("the log reads "+strings.Join(lines, " | "), said+`.join("\n") === `+quote(strings.Join(lines, "\n")))
}

// watchClose has the page keep the code with which its present socket will be closed, in closedWith.
func (p *tab) watchClose() {
	p.t.Helper()
	p.do("watch the socket", chromedp.Evaluate[chromedp.Void](`void window.chat.socket.addEventListener("close", e => { window.closedWith = e.code; })`))
}
