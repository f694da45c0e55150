package browser

import (
	"bytes"
	"context"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// testLayout keeps screenshots, which go test -artifacts does not throw away.
func testLayout(t *testing.T, browser context.Context, s *site) {
	s.account(t, "ivan")
	s.account(t, "judy")
	ivan, judy := visit(t, browser, s, "layout"), visit(t, browser, s, "layout")
	judy.enter("auth-login", "judy")
	judy.say("Has anybody seen the keys to the boat house?")
	judy.say("They were on the hook by the door this morning.")
	ivan.awaitStatus("Watching")
	ivan.do("prefer light", appearance("light"))

	for _, size := range []struct {
		width, height int64
		opts          []chromedp.EmulateViewportOption
	}{
		{390, 844, []chromedp.EmulateViewportOption{chromedp.EmulateMobile, chromedp.EmulateTouch}},
		{1280, 800, nil},
	} {
		ivan.do("resize", chromedp.EmulateViewport(size.width, size.height, size.opts...))
		shoot := func(what string) {
			t.Helper()
			ivan.screenshot(fmt.Sprintf("%dx%d-%s.png", size.width, size.height, what), int(size.width), int(size.height))
		}
		if size.width < 500 {
			ivan.awaitStatus("Watching")
			shoot("visitor")
			ivan.openDialog()
			shoot("dialog")
			ivan.submit("auth-login", "ivan", secret)
			ivan.awaitStatus("Joined")
			ivan.say("I have them. " + strings.Repeat("Back at noon, I promise. ", 6))
			ivan.say("https://example.org/" + strings.Repeat("a-very-long-address-without-any-space", 4))
			judy.say("مرحبا 👋 danke, 谢谢")
			ivan.await("judy's last message", `document.getElementById("log").textContent.includes("danke")`)
		}
		shoot("member")
		ivan.do("prefer dark", appearance("dark"))
		shoot("member-dark")
		ivan.do("prefer light", appearance("light"))
	}

	ivan.do("log out", chromedp.Click(chromedp.ID("logout")))
	ivan.awaitStatus("Watching")
	ivan.screenshot("1280x800-notice.png", 1280, 800)
	ivan.openDialog()
	ivan.screenshot("1280x800-dialog.png", 1280, 800)
}

// appearance sets the colour scheme, and stops motion, of which a screenshot would catch some moment.
func appearance(scheme string) step {
	return chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
		_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
			Features: []*emulation.MediaFeature{
				{Name: "prefers-color-scheme", Value: scheme},
				{Name: "prefers-reduced-motion", Value: "reduce"},
			},
		})
		return err
	})
}

// outside lists what is shown, and reaches out of the window or is squeezed to nothing.
const outside = `[...document.querySelectorAll("header, main, footer, header button, #status, #composer *, dialog[open], dialog[open] *")]
	.filter(e => e.checkVisibility() && !e.classList.contains("unseen") && !e.matches(":empty:not(input, textarea)"))
	.filter(e => { const r = e.getBoundingClientRect(); return r.left < -1 || r.top < -1 || r.right > innerWidth + 1 || r.bottom > innerHeight + 1 || r.width < 1 || r.height < 1; })
	.map(e => e.tagName + "#" + e.id).join(" ")`

// screenshot keeps one, and looks for the plainest faults.
func (p *tab) screenshot(name string, width, height int) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	b, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		p.t.Fatalf("%s: %v", name, err)
	}
	if err := os.WriteFile(filepath.Join(p.t.ArtifactDir(), name), b, 0o600); err != nil {
		p.t.Fatal(err)
	}
	img, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil || img.Width != width || img.Height != height {
		p.t.Errorf("%s is %dx%d, %v", name, img.Width, img.Height, err)
	}
	if out := eval[string](p, outside); out != "" {
		p.t.Errorf("%s: outside the window: %s", name, out)
	}
	if !eval[bool](p, `document.documentElement.scrollWidth <= innerWidth && document.getElementById("log").scrollWidth <= document.getElementById("log").clientWidth`) {
		p.t.Errorf("%s: the page scrolls sideways", name)
	}
}
