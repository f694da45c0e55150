package browser

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
)

// What a page hears that speaks the contracts auth, users and methods with what a browser brings along.
const pageHears = `auth register 201 carla
auth me 200 Carla of the page null
auth refresh 200 another token
auth old token 200
users login 401 INVALID_PASSWORD
users login 200 true
users info without a header 200 carla
auth with the session of users 200
methods token {}
methods logout {}
users info 401 NOT_LOGGED_IN
auth me 200
methods login again, then logout-all over auth 204
methods event user_logged_out
auth me 401 session_over`

// A page speaks the other dialects of the example, over one account.
func testContracts(t *testing.T, browser context.Context, s *site) {
	p := visit(t, browser, s, "contracts")
	p.allow = func(m chromedp.ConsoleMessage) bool { return strings.Contains(m.Text, "status of 40") } // they are asked for
	script, err := os.ReadFile("testdata/contracts.js")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	got, err := chromedp.Run(ctx, chromedp.Evaluate[string](string(script)+"\ncontracts("+quote(secret)+")", func(e *runtime.EvaluateParams) {
		yes := true
		e.AwaitPromise = &yes
	}))
	if err != nil {
		t.Fatal(err)
	}
	if got != pageHears {
		t.Errorf("the page heard:\n%s\nwant:\n%s", got, pageHears)
	}
}
