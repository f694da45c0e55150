package chatgate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const root = "github.com/chatgate/chatgate"

var (
	caddyPaths  = []string{"github.com/caddyserver", "github.com/mholt/caddy-l4"}
	driverPaths = []string{
		"database/sql", "github.com/jackc/pgx", "github.com/lib/pq", "github.com/go-sql-driver/mysql", "modernc.org/sqlite",
		"github.com/mattn/go-sqlite3", "github.com/pressly/goose", "github.com/redis/go-redis",
	}
	stores = []string{"authcore/sqlstore", "authcore/redisstore", "authcore/storetest"}
)

// shared is what every handler with the app behind it may know.
var shared = []string{
	"authcore", "chatroom",
	"caddymodule/answer", "caddymodule/app", "caddymodule/caller", "caddymodule/envelope", "caddymodule/option", "caddymodule/origin", "caddymodule/syntax",
}

// wall says what a package may not depend on, directly or through others; what its tests import does not count.
type wall struct {
	rule   string
	pkg    string   // below the module's root; what is below it is behind the same wall
	except []string // packages, with what is below them, that another wall is for
	forbid []string // import paths, with what is below them
	ours   []string // what of ours it may import, beside what the same wall is for
}

var walls = []wall{
	{
		rule: "the domain knows no Caddy, no database driver, no net/http, and nothing else of ours",
		pkg:  "authcore", except: append(slices.Clone(stores), "authcore/mailer", "authcore/texter"),
		forbid: slices.Concat(caddyPaths, driverPaths, []string{"net/http"}),
	},
	{
		rule:   "the mailer knows no Caddy, no database driver, no net/http, and of ours only the domain",
		pkg:    "authcore/mailer",
		forbid: slices.Concat(caddyPaths, driverPaths, []string{"net/http"}),
		ours:   []string{"authcore"},
	},
	{
		rule:   "the texter knows no Caddy, no database driver, and of ours only the domain",
		pkg:    "authcore/texter",
		forbid: slices.Concat(caddyPaths, driverPaths),
		ours:   []string{"authcore"},
	},
	{
		rule:   "a store imports of ours only the domain",
		pkg:    "authcore/sqlstore",
		forbid: caddyPaths,
		ours:   []string{"authcore"},
	},
	{
		rule:   "a store imports of ours only the domain",
		pkg:    "authcore/redisstore",
		forbid: caddyPaths,
		ours:   []string{"authcore"},
	},
	{
		rule:   "the suite that defines a store imports of ours only the domain, and no store",
		pkg:    "authcore/storetest",
		forbid: slices.Concat(caddyPaths, driverPaths),
		ours:   []string{"authcore"},
	},
	{
		rule: "the app knows its stores and senders by interfaces alone, and no handler",
		pkg:  "caddymodule/app",
		ours: []string{"authcore", "caddymodule/option", "caddymodule/syntax"},
	},
	{
		rule: "a guest that stores knows the app's contract, the stores, and no sender",
		pkg:  "caddymodule/stores",
		ours: []string{"authcore", "authcore/sqlstore", "authcore/redisstore", "caddymodule/app", "caddymodule/option", "caddymodule/syntax"},
	},
	{
		rule: "a guest that sends knows the app's contract, the mailer and the texter, and no store",
		pkg:  "caddymodule/senders",
		ours: []string{"authcore", "authcore/mailer", "authcore/texter", "caddymodule/app", "caddymodule/option", "caddymodule/syntax"},
	},
	{
		rule: "the parts of Caddyfiles know of ours only the domain",
		pkg:  "caddymodule/syntax",
		ours: []string{"authcore"},
	},
	{
		rule: "the tables of options know the parts of Caddyfiles, and no module that has options",
		pkg:  "caddymodule/option",
		ours: []string{"authcore", "caddymodule/syntax"},
	},
	{
		rule: "answers are written for every handler, and know none",
		pkg:  "caddymodule/answer",
		ours: []string{"authcore"},
	},
	{
		rule: "the envelope of rooms.txt is below the dialect and the gate, which both answer in it",
		pkg:  "caddymodule/envelope",
		ours: []string{"authcore", "caddymodule/answer"},
	},
	{
		rule: "who calls is read the same for every handler: of ours only the domain and the handshake's rules",
		pkg:  "caddymodule/caller",
		ours: []string{"authcore", "chatroom"},
	},
	{
		rule: "spellings of paths know nothing of ours",
		pkg:  "caddymodule/endpoint",
	},
	{
		rule: "identity headers are options and the rules of chatroom, and no handler",
		pkg:  "caddymodule/identity",
		ours: []string{"authcore", "chatroom", "caddymodule/option", "caddymodule/syntax"},
	},
	{
		rule: "which pages may call is read the same for every handler, and by none of them",
		pkg:  "caddymodule/origin",
		ours: []string{"authcore", "chatroom", "caddymodule/caller", "caddymodule/option", "caddymodule/syntax"},
	},
	{
		rule: "the upgrade to a WebSocket knows the handshake's rules and the relay, and no handler",
		pkg:  "caddymodule/upgrade",
		ours: []string{"authcore", "chatroom", "chatroom/relay"},
	},
	{
		rule: "a log format knows no handler",
		pkg:  "caddymodule/redact",
		ours: []string{"authcore", "caddymodule/option", "caddymodule/syntax"},
	},
	{
		rule: "what all account dialects have in common knows none of them",
		pkg:  "caddymodule/accounts/dialect",
		ours: []string{"authcore", "caddymodule/answer"},
	},
	{
		rule: "an account dialect knows no other, and no app",
		pkg:  "caddymodule/accounts/rooms",
		ours: []string{"authcore", "chatroom", "caddymodule/accounts/dialect", "caddymodule/answer", "caddymodule/caller", "caddymodule/envelope"},
	},
	{
		rule: "an account dialect knows no other, and no app",
		pkg:  "caddymodule/accounts/auth",
		ours: []string{"authcore", "chatroom", "caddymodule/accounts/dialect", "caddymodule/answer", "caddymodule/caller"},
	},
	{
		rule: "an account dialect knows no other, and no app",
		pkg:  "caddymodule/accounts/users",
		ours: []string{"authcore", "chatroom", "caddymodule/accounts/dialect", "caddymodule/answer", "caddymodule/caller"},
	},
	{
		rule: "a handler knows the app's contract and what handlers share, and no other handler",
		pkg:  "caddymodule/accounts", except: []string{"caddymodule/accounts/dialect", "caddymodule/accounts/rooms", "caddymodule/accounts/auth", "caddymodule/accounts/users"},
		ours: append(slices.Clone(shared), "caddymodule/endpoint",
			"caddymodule/accounts/dialect", "caddymodule/accounts/rooms", "caddymodule/accounts/auth", "caddymodule/accounts/users"),
	},
	{
		rule: "a handler knows the app's contract and what handlers share, and no other handler",
		pkg:  "caddymodule/methods",
		ours: append(slices.Clone(shared), "caddymodule/endpoint", "caddymodule/identity", "caddymodule/redact", "caddymodule/upgrade",
			"chatroom/methods", "chatroom/relay"),
	},
	{
		rule: "a handler knows the app's contract and what handlers share, and no other handler",
		pkg:  "caddymodule/proxy",
		ours: append(slices.Clone(shared), "caddymodule/identity", "caddymodule/redact", "caddymodule/upgrade", "chatroom/relay"),
	},
	{
		rule: "the demo room's handler knows the demo room, and no accounts",
		pkg:  "caddymodule/demoroom",
		ours: []string{"authcore", "chatroom", "chatroom/demo", "caddymodule/option", "caddymodule/syntax"},
	},
	{
		rule: "what is decided before a 101 knows no Caddy, and of ours only the domain",
		pkg:  "chatroom", except: []string{"chatroom/relay", "chatroom/methods", "chatroom/demo"},
		forbid: slices.Concat(caddyPaths, driverPaths),
		ours:   []string{"authcore"},
	},
	{
		rule:   "the relay serves WebSockets and TCP alike: no Caddy, no net/http, and of ours only the domain",
		pkg:    "chatroom/relay",
		forbid: slices.Concat(caddyPaths, driverPaths, []string{"net/http"}),
		ours:   []string{"authcore"},
	},
	{
		rule:   "the method endpoint knows no Caddy, and of ours only the domain, the relay and the handshake's rules",
		pkg:    "chatroom/methods",
		forbid: slices.Concat(caddyPaths, driverPaths),
		ours:   []string{"authcore", "chatroom", "chatroom/relay"},
	},
	{
		rule: "the TCP side knows of ours only the relay and the domain, and no store; what Caddy brings along is Caddy's",
		pkg:  "tcpproxy", except: []string{"tcpproxy/line", "tcpproxy/irc", "tcpproxy/stream", "tcpproxy/tls"},
		ours: []string{
			"chatroom/relay", "authcore", "caddymodule/option", "caddymodule/syntax",
			"tcpproxy/line", "tcpproxy/irc", "tcpproxy/stream", "tcpproxy/tls",
		},
	},
	{
		rule: "what ends TLS before a gate knows no gate, and no protocol behind it",
		pkg:  "tcpproxy/tls",
		ours: []string{"chatroom/relay", "authcore", "caddymodule/option", "caddymodule/syntax"},
	},
	{
		rule:   "the line protocol's wire is text, and nothing behind it",
		pkg:    "tcpproxy/line",
		forbid: slices.Concat(caddyPaths, driverPaths, []string{"net", "net/http", "context"}),
		ours:   []string{"tcpproxy/stream"},
	},
	{
		rule:   "the wire of IRC is text, and nothing behind it",
		pkg:    "tcpproxy/irc",
		forbid: slices.Concat(caddyPaths, driverPaths, []string{"net", "net/http", "context"}),
		ours:   []string{"tcpproxy/stream"},
	},
	{
		rule:   "what both wires are cut from is bytes, and nothing behind them",
		pkg:    "tcpproxy/stream",
		forbid: slices.Concat(caddyPaths, driverPaths, []string{"net", "net/http", "context"}),
	},
	{
		rule:   "the demo room stands in for somebody else's chat: no Caddy, no accounts, nothing of ours",
		pkg:    "chatroom/demo",
		forbid: slices.Concat(caddyPaths, driverPaths),
	},
}

func TestWalls(t *testing.T) {
	imports, listed := listImports(t)

	for _, w := range walls {
		t.Run(w.pkg, func(t *testing.T) {
			if !listed[path(w.pkg)] {
				t.Fatalf("there is no package %s: was it moved? Then its wall moves with it (%s)", path(w.pkg), w.rule)
			}
			for _, breach := range w.breaches(imports, listed) {
				t.Error(breach)
			}
		})
	}
}

// Each wall refuses what it is there for: whatever it forbids, and everything of ours that it does not name, imported directly or
// through a package of somebody else's. What it names is let through.
func TestWallsCanFail(t *testing.T) {
	const others = "example.com/others"
	for _, w := range walls {
		t.Run(w.pkg, func(t *testing.T) {
			breached := func(deps ...string) bool {
				imports := map[string][]string{path(w.pkg): deps, others: deps}
				direct := w.breaches(imports, map[string]bool{path(w.pkg): true})
				imports[path(w.pkg)] = []string{others}
				through := w.breaches(imports, map[string]bool{path(w.pkg): true})
				if len(direct) != len(through) {
					t.Errorf("%q: %q if imported directly, %q otherwise", deps, direct, through)
				}
				return len(direct) > 0
			}
			refused := slices.Concat(w.forbid, []string{root, path("elsewhere")})
			for _, dep := range w.forbid {
				refused = append(refused, dep+"/below")
			}
			for _, other := range w.except {
				refused = append(refused, path(other))
			}
			for _, ours := range w.ours {
				refused = append(refused, path(ours)+"/elsewhere")
			}
			for _, dep := range refused {
				named := slices.ContainsFunc(w.ours, func(o string) bool { return dep == path(o) }) || w.covers(dep) || dep == "database/sql/driver"
				if !named && !breached(dep) {
					t.Errorf("it may import %s", dep)
				}
			}
			named := []string{"strings", others}
			for _, ours := range w.ours {
				named = append(named, path(ours))
			}
			if breached(named...) {
				t.Errorf("it may not import all of %q", named)
			}
		})
	}
}

// breaches returns what the packages behind w depend on and must not. What a forbidden package drags in needs no line of its own.
func (w wall) breaches(imports map[string][]string, listed map[string]bool) (breaches []string) {
	for pkg := range listed {
		if !w.covers(pkg) {
			continue
		}
		via := reach(imports, pkg)
		for dep, importer := range via {
			if dep != pkg && !w.allows(dep) && w.allows(importer) {
				breaches = append(breaches, fmt.Sprintf("%s must not depend on %s: %s\n\t%s", pkg, dep, w.rule, chain(via, dep)))
			}
		}
	}
	slices.Sort(breaches)
	return breaches
}

// importers are the only packages of the product that may import a package, with what is below them: whatever can be exchanged
// is known to its guest module alone, and a guest module to nobody. The checks know every handler, and no handler knows them.
var importers = map[string][]string{
	"authcore/sqlstore":   {"caddymodule/stores"},
	"authcore/redisstore": {"caddymodule/stores"},
	"authcore/mailer":     {"caddymodule/senders"},
	"authcore/texter":     {"caddymodule/senders"},
	"caddymodule/stores":  nil,
	"caddymodule/senders": nil,
	"caddymodule/checks":  nil,
}

func TestImporters(t *testing.T) {
	imports, listed := listImports(t)

	for pkg, allowed := range importers {
		if !listed[path(pkg)] {
			t.Errorf("there is no package %s: was it moved? Then its line in importers moves with it", path(pkg))
		}
		for _, by := range strangers(imports, listed, pkg) {
			t.Errorf("%s must not import %s: only %q may", by, path(pkg), allowed)
		}
	}
}

func TestImportersCanFail(t *testing.T) {
	for pkg, allowed := range importers {
		imports, listed := make(map[string][]string), make(map[string]bool)
		for _, by := range append([]string{"caddymodule", "internal/elsewhere", "caddymodule/elsewhere", pkg + "/below"}, allowed...) {
			imports[path(by)], listed[path(by)] = []string{path(pkg)}, true
		}
		if got := strangers(imports, listed, pkg); !slices.Equal(got, []string{path("caddymodule/elsewhere")}) {
			t.Errorf("%s: refused are %q", pkg, got)
		}
	}
}

// strangers returns the packages that import pkg and must not.
func strangers(imports map[string][]string, listed map[string]bool, pkg string) (strangers []string) {
	for by := range listed {
		may := by == path("caddymodule") || below(by, path("internal")) || below(by, path(pkg)) || // the list of modules; tests' tools
			slices.ContainsFunc(importers[pkg], func(a string) bool { return below(by, path(a)) })
		if !may && slices.Contains(imports[by], path(pkg)) {
			strangers = append(strangers, by)
		}
	}
	slices.Sort(strangers)
	return strangers
}

// xcaddy imports the root and nothing else.
func TestRootImportsTheModules(t *testing.T) {
	imports, _ := listImports(t)

	for _, pkg := range []string{"caddymodule", "tcpproxy"} {
		if !slices.Contains(imports[root], path(pkg)) {
			t.Errorf("%s must import %s: it is the one import that brings every module into a Caddy binary", root, path(pkg))
		}
	}
}

// covers reports whether w is the wall of pkg.
func (w wall) covers(pkg string) bool {
	return below(pkg, path(w.pkg)) && !slices.ContainsFunc(w.except, func(e string) bool { return below(pkg, path(e)) })
}

// allows reports whether a package behind w may depend on dep.
func (w wall) allows(dep string) bool {
	if dep == "database/sql/driver" {
		return true // types alone, which google/uuid knows how to turn into a column; no database, no driver
	}
	if slices.ContainsFunc(w.forbid, func(f string) bool { return below(dep, f) }) {
		return false
	}
	// A package allowed by name is allowed alone: who may import authcore may not import a store below it.
	return !below(dep, root) || w.covers(dep) ||
		slices.ContainsFunc(w.ours, func(o string) bool { return dep == path(o) })
}

// listImports returns what every package in the module, and every one it depends on, imports; and which are the module's.
func listImports(t *testing.T) (imports map[string][]string, listed map[string]bool) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-json=ImportPath,Imports,DepOnly", "./...")
	out, err := cmd.Output()
	if err != nil {
		if e, ok := errors.AsType[*exec.ExitError](err); ok {
			t.Fatalf("go list: %v\n%s", err, e.Stderr) // a package that does not load has no imports to judge
		}
		t.Fatalf("go list: %v", err)
	}

	imports, listed = make(map[string][]string), make(map[string]bool)
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p struct {
			ImportPath string
			Imports    []string
			DepOnly    bool
		}
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return imports, listed
		} else if err != nil {
			t.Fatalf("go list: %v", err)
		}
		imports[p.ImportPath] = p.Imports
		if !p.DepOnly {
			listed[p.ImportPath] = true
		}
	}
}

// reach returns every package that pkg depends on, each with the one that imports it on a shortest way there.
func reach(imports map[string][]string, pkg string) (via map[string]string) {
	via = map[string]string{pkg: ""}
	for queue := []string{pkg}; len(queue) > 0; queue = queue[1:] {
		for _, dep := range imports[queue[0]] {
			if _, seen := via[dep]; !seen {
				via[dep] = queue[0]
				queue = append(queue, dep)
			}
		}
	}
	return via
}

// chain shows how dep is reached.
func chain(via map[string]string, dep string) string {
	s := dep
	for p := via[dep]; p != ""; p = via[p] {
		s = p + " → " + s
	}
	return s
}

func below(pkg, dir string) bool { return pkg == dir || strings.HasPrefix(pkg, dir+"/") }

func path(pkg string) string { return root + "/" + pkg }
