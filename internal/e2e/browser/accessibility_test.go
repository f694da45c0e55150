package browser

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/chromedp"
)

func testAccessibility(t *testing.T, browser context.Context, s *site) {
	s.account(t, "heidi")
	p := visit(t, browser, s, "accessibility")
	p.awaitStatus("Watching")
	if lang := eval[string](p, `document.documentElement.lang`); lang != "en" {
		t.Errorf("lang is %q", lang)
	}
	if title := eval[string](p, `document.title`); !strings.Contains(title, "#accessibility") {
		t.Errorf("the title %q does not name the room", title)
	}
	if !eval[bool](p, `document.querySelector('#log[role="log"][aria-live="polite"]') !== null`) {
		t.Error("the log is no live region")
	}
	wantNodes(t, p, "log Messages", "status Watching", "button Log in", "button Log in or register to write", "heading accessibility")

	p.openDialog()
	wantNodes(t, p, "dialog Join the conversation", "textbox Username", "textbox Password", "button Log in", "button Register", "button Close")
	p.submit("auth-login", "heidi", secret)
	p.awaitStatus("Joined")
	wantNodes(t, p, "log Messages", "status Joined", "textbox Message", "button Send", "button Log out")
}

// wantNodes looks for nodes of the accessibility tree, as "role name", and for controls that have no name.
func wantNodes(t *testing.T, p *tab, want ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(p.ctx, patience)
	defer cancel()
	tree, err := chromedp.Call(ctx, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, n := range tree.Nodes {
		if n.Ignored {
			continue
		}
		role, name := axText(n.Role), axText(n.Name)
		if name == "" && slices.Contains([]string{"button", "textbox", "link", "dialog", "log"}, role) {
			t.Errorf("a %s has no name", role)
		}
		if role == "status" && name == "" {
			name = axContent(tree.Nodes, n)
		}
		got = append(got, role+" "+name)
	}
	for _, w := range want {
		if !slices.Contains(got, w) {
			t.Errorf("the accessibility tree lacks %q\n%s", w, strings.Join(got, "\n"))
		}
	}
}

func axText(v *accessibility.Value) string {
	if v == nil {
		return ""
	}
	var s string
	_ = json.Unmarshal(v.Value, &s) // of the values looked at here, all are strings
	return s
}

// axContent returns the text directly inside a node.
func axContent(nodes []*accessibility.Node, parent *accessibility.Node) string {
	var b strings.Builder
	for _, n := range nodes {
		if n.ParentID == parent.NodeID && axText(n.Role) == "StaticText" {
			b.WriteString(axText(n.Name))
		}
	}
	return b.String()
}
