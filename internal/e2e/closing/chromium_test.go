package closing

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/chatgate/chatgate/internal/chromiumtest"
	"github.com/chatgate/chatgate/internal/gatetest"
)

// chromium starts a browser with a page that opens sockets. What the page says on its console is what the client says.
func chromium(t *testing.T, g *gatetest.Gateway, spec []byte) (<-chan string, string) {
	t.Helper()
	if _, err := exec.LookPath("chromium"); err != nil {
		return nil, "chromium"
	}
	script, err := os.ReadFile("testdata/closing.js")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(chromiumtest.Start(t), patience)
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
