//go:build linux

package walkthrough

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/leash"
	"github.com/chatgate/chatgate/internal/pgtest"
	"github.com/chatgate/chatgate/internal/redistest"
)

// host is the machine that the pages are followed on.
type host struct {
	dir   string // with what they need of a checkout
	env   []string
	ports map[string]string // by that which the pages name
	terms []*terminal
}

func newHost(t *testing.T) *host {
	h := &host{dir: t.TempDir(), ports: make(map[string]string)}
	pg, redis := pgtest.Start(t), redistest.Start(t)
	t.Cleanup(func() { h.hangUp(t) })
	_, h.ports["5432"], _ = net.SplitHostPort(pg.Addr)
	_, h.ports["6379"], _ = net.SplitHostPort(redis.Addr)
	home := t.TempDir()
	for _, v := range leash.Environ() {
		if name, _, _ := strings.Cut(v, "="); name != "HOME" && !strings.HasPrefix(name, "XDG_") {
			h.env = append(h.env, v)
		}
	}
	h.env = append(h.env, "HOME="+home, "CADDY_ADMIN=127.0.0.1:"+h.port(t, "2019"),
		"PATH="+h.programs(t, home, pg)+":"+os.Getenv("PATH"))
	for _, file := range []string{"Caddyfile.example", "docs/nodes.Caddyfile"} {
		h.write(t, file, h.mapped(t, read(t, file)), 0o600)
	}
	h.write(t, "test.sh", "#!/bin/sh\n", 0o700) // which has run this very test
	return h
}

func (h *host) write(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	path := filepath.Join(h.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// programs returns a directory with stand-ins for what builds the gateway, which is built already, and for what would change
// the machine. They do nothing but what the pages ask for.
func (h *host) programs(t *testing.T, home string, pg *pgtest.Server) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(home, "bin")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	gateway := filepath.Join(dir, "chatgate")
	if err := os.Symlink(self, gateway); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(pg.Addr)
	for name, cases := range map[string]string{
		"go":      fmt.Sprintf("'build ./cmd/chatgate') ln -sf %[1]s chatgate ;;\n'run ./cmd/chatgate '*) shift 2; exec %[1]s \"$@\" ;;", gateway),
		"xcaddy":  fmt.Sprintf("'build v'*' --with github.com/chatgate/chatgate@v0.0.0=. '*' --output caddy') ln -sf %s caddy ;;", gateway),
		"apt-get": "'install --no-install-recommends postgresql redis-server') ;;",
		"service": "'postgresql start' | 'redis-server start') ;;",
		"su":      fmt.Sprintf("'postgres -c '*) PGHOST=127.0.0.1 PGPORT=%s PGUSER=%s PGPASSWORD=%s PGDATABASE=postgres exec sh -c \"$3\" ;;", port, pg.User, pg.Password),
	} {
		script := fmt.Sprintf("#!/bin/sh\ncase \"$*\" in\n%s\n*) echo \"%s $*: no page asks for that\" >&2; exit 1 ;;\nesac\n", cases, name)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// port returns which port stands for one that the pages name.
func (h *host) port(t *testing.T, named string) string {
	t.Helper()
	if h.ports[named] == "" {
		h.ports[named] = strconv.Itoa(gatetest.FreePort(t))
	}
	return h.ports[named]
}

func (h *host) mapped(t *testing.T, text string) string {
	t.Helper()
	return ports.ReplaceAllStringFunc(text, func(named string) string { return h.port(t, named) })
}

// terminal returns one whose shell takes commands.
func (h *host) terminal(t *testing.T) *terminal {
	t.Helper()
	for _, term := range h.terms {
		if !term.busy {
			term.t = t
			return term
		}
	}
	h.terms = append(h.terms, openTerminal(t, h.dir, h.env))
	return h.terms[len(h.terms)-1]
}

// hangUp closes all terminals.
func (h *host) hangUp(t *testing.T) {
	t.Helper()
	for _, term := range h.terms {
		term.close()
	}
	if said := h.said(); strings.Contains(said, "WARNING: DATA RACE") || strings.Contains(said, "panic:") {
		t.Errorf("a gateway raced or panicked:\n%s", said)
	}
	h.terms = nil
}

// said is what all terminals had on standard error.
func (h *host) said() string {
	var all []string
	for _, term := range h.terms {
		all = append(all, term.errs.String())
	}
	return strings.Join(all, "\n---\n")
}
