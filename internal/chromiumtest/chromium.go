package chromiumtest

import (
	"context"
	"os"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/leash"
)

// patience is how long a slow, loaded machine may take to end the browser.
const patience = 60 * time.Second

// Start runs a browser until the test ends and returns the context that tabs are made of. Without Chromium the test is
// skipped, or fails where CHATGATE_TEST_STRICT is set.
func Start(t testing.TB) context.Context {
	t.Helper()
	path := leash.Find(t, "chromium")
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
		chromedp.Flag("disable-sync", true),
		chromedp.Flag("ignore-certificate-errors", true),
		// Every tab counts as visible, so that none is slowed down.
		chromedp.Flag("disable-background-timer-throttling", true),
		chromedp.Flag("disable-backgrounding-occluded-windows", true),
		chromedp.Flag("disable-renderer-backgrounding", true),
	)
	ctx, cancel := chromedp.NewContext(alloc)
	t.Cleanup(func() {
		gently, done := context.WithTimeout(ctx, patience)
		_ = chromedp.Cancel(gently) // so that nothing writes to its home afterwards
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
