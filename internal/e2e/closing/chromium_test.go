package closing

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// chromium starts a browser with a page that opens sockets. What the page says on its console is what the client says.
func chromium(t *testing.T, g *gatetest.Gateway, spec []byte) (<-chan string, string) {
	t.Helper()
	path, err := exec.LookPath("chromium")
	if err != nil {
		return nil, "chromium"
	}
	script, err := os.ReadFile("testdata/closing.js")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(launch(t, path), patience)
	t.Cleanup(cancel)
	messages := chromedp.Console(ctx) // from before the page is loaded
	if err := chromedp.Do(ctx, chromedp.Navigate("http://"+g.HTTP+"/page")); err != nil {
		t.Fatal(err)
	}
	start := string(script) + "\nvoid run((url, protocols) => new WebSocket(url, protocols), " + string(spec) + ", console.log, true)"
	if err := chromedp.Do(ctx, chromedp.Evaluate[chromedp.Void](start)); err != nil {
		t.Fatal(err)
	}
	said := make(chan string)
	go func() {
		defer close(said)
		for m, err := range messages {
			if err != nil {
				t.Errorf("the console: %v", err)
				return
			}
			if m.Type != "log" { // the browser's own remarks
				continue
			}
			said <- m.Text
			if m.Text == "done" {
				return
			}
		}
	}()
	return said, ""
}

// launch runs a browser until the test ends.
func launch(t *testing.T, path string) context.Context {
	t.Helper()
	home := t.TempDir()
	alloc, stop := chromedp.NewExecAllocator(context.Background(),
		chromedp.ExecPath(path),
		chromedp.UserDataDir(home+"/profile"),
		chromedp.Env("HOME="+home, "XDG_CONFIG_HOME="+home+"/config", "XDG_CACHE_HOME="+home+"/cache"),
		chromedp.Flag("headless", true),
		chromedp.Flag("no-sandbox", os.Getuid() == 0), // Chromium refuses to run as root with one
		chromedp.Flag("disable-gpu", true),
		chromedp.Flag("disable-quic", true),
		chromedp.Flag("no-first-run", true),
		chromedp.Flag("disable-background-networking", true),
		chromedp.Flag("disable-component-update", true),
		chromedp.Flag("ignore-certificate-errors", true),
	)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		tctx, done := context.WithTimeout(ctx, patience)
		_ = chromedp.Cancel(tctx) // gently, so that nothing writes to its home afterwards
		done()
		cancel()
		stop()
		gatetest.Eventually(t, "the browser lets go of its home", func() bool { return os.RemoveAll(home) == nil })
	})
	if err := chromedp.Do(ctx); err != nil {
		t.Fatalf("starting %s: %v", path, err)
	}
	return ctx
}
