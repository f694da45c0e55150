//go:build linux

package walkthrough

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/leash"
)

// walkthroughs are the pages with commands, in an order in which somebody may follow them. Those that start no gateway go on
// with that of the page before.
var walkthroughs = []string{
	"README.md", "docs/rooms.md", "docs/auth.md", "docs/users.md", "docs/upstream.md", "docs/tcp.md", "docs/irc.md", "docs/nodes.md",
}

func TestWalkthroughs(t *testing.T) {
	for _, program := range []string{"bash", "curl", "openssl", "python3", "psql", "ngircd"} {
		leash.Find(t, program)
	}
	h := newHost(t)
	for _, page := range walkthroughs {
		blocks, _ := divide(page, read(t, page))
		if !t.Run(page, func(t *testing.T) { h.follow(t, blocks) }) {
			break // what comes behind needs what this one did
		}
	}
}

// TestNoCommandIsLeftOut sees that no page has commands that are not run.
func TestNoCommandIsLeftOut(t *testing.T) {
	for _, page := range pages(t) {
		blocks, _ := divide(page, read(t, page))
		for _, b := range blocks {
			if (b.kind == "sh" || b.kind == "console") && !slices.Contains(walkthroughs, page) && page != "CONTRIBUTING.md" {
				t.Errorf("%s:%d: these commands are not run", page, b.line)
			}
		}
	}
}

// follow does what a page says.
func (h *host) follow(t *testing.T, blocks []block) {
	if slices.ContainsFunc(blocks, func(b block) bool { return b.kind == "sh" && gateways.MatchString(b.text) }) {
		h.hangUp(t) // what runs from the page before
	}
	var (
		r       reader
		shown   string    // by the commands before
		session *terminal // of the console before
	)
	for _, b := range blocks {
		text := r.copies(h.mapped(t, b.text))
		var err error
		switch b.kind {
		case "sh":
			shown, err = h.run(t, text)
		case "text":
			if finding := r.compare(h.mapped(t, b.text), shown); finding != "" {
				err = fmt.Errorf("%s\nall of it is:\n%s", finding, shown)
			}
		case "console":
			if strings.HasPrefix(text, "$ ") {
				session = h.terminal(t)
			}
			err = r.talk(session, text)
		case "caddyfile":
			if name, ok := strings.CutPrefix(strings.SplitN(text, "\n", 2)[0], "# "); ok {
				h.write(t, name, text, 0o600)
			}
		}
		if err != nil {
			t.Fatalf("%s:%d: %v\n\nstandard error has:\n%s", b.page, b.line, err, h.said())
		}
	}
}

// run pastes commands into a terminal, and returns what they print.
func (h *host) run(t *testing.T, commands string) (shown string, err error) {
	t.Helper()
	term := h.terminal(t)
	lines := strings.Split(strings.TrimSpace(commands), "\n")
	last := lines[len(lines)-1]
	before := strings.Count(term.errs.String(), serves)
	term.types(commands)
	if term.busy = gateways.MatchString(last) && !strings.HasSuffix(last, "&"); !term.busy {
		var failed string
		if shown, failed, err = term.prompt(); err == nil && failed != "" {
			err = fmt.Errorf("this failed: %s", failed)
		}
		if err != nil {
			return shown, err
		}
	}
	started := gateways.FindAllStringSubmatch(commands, -1)
	if len(started) == 0 {
		return shown, nil
	}
	return shown, h.await(t, term, commands, started, before)
}
