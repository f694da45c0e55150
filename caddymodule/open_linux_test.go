package caddymodule_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chatgate/chatgate/internal/pgtest"
	"github.com/chatgate/chatgate/internal/redistest"
)

// isOpen reports whether this process has the file open.
func isOpen(t *testing.T, path string) bool {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if target, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && target == path {
			return true
		}
	}
	return false
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 30 s still not: %s", what)
		}
	}
}

const (
	cheapHash = `"hash": {"memory_kib": 8, "time": 1}`
	inSQLite  = `{"accounts": {"store": "sqlite", "path": %q}, ` + cheapHash + `}`
	inRedis   = `{"accounts": {"store": "sqlite", "path": %q}, "sessions": {"store": "redis", "urls": ["redis://:{env.CHATGATE_TEST_REDIS_PASSWORD}@%s"]%s}, ` + cheapHash + `}`
	inPG      = `{"accounts": {"store": "postgres", "dsn": "{env.CHATGATE_TEST_PG}"%s}, "sessions": %s, ` + cheapHash + `}`
)

// A reload to a store that is away fails with a line that says which, leaves nothing open and the old stores in charge.
func TestStoreThatIsAway(t *testing.T) {
	dir := t.TempDir()
	g := startGateway(t, fmt.Sprintf(inSQLite, filepath.Join(dir, "one.db")))
	g.post(t, "/users", "", credentials, http.StatusCreated)
	t.Setenv("CHATGATE_TEST_REDIS_PASSWORD", "hidden42")
	t.Setenv("CHATGATE_TEST_PG", "postgres://chatgate:hidden42@"+nowhere(t)+"/chatgate?sslmode=prefer")
	other := filepath.Join(dir, "two.db")

	for name, tc := range map[string]struct{ app, want string }{
		"Redis":      {fmt.Sprintf(inRedis, other, nowhere(t), ""), "opening the sessions' Redis: "},
		"PostgreSQL": {fmt.Sprintf(inPG, "", `{"store": "embedded"}`), "opening the accounts' database (PostgreSQL): "},
		"SQLite":     {fmt.Sprintf(inSQLite, dir), "opening the accounts' database (SQLite, " + dir + "): "},
	} {
		err := g.load(tc.app)
		if err == nil || !strings.Contains(err.Error(), tc.want) || strings.ContainsAny(err.Error(), "\r\n") || strings.Contains(err.Error(), "hidden42") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if isOpen(t, other) {
		t.Error("the accounts' database stays open although the sessions' Redis is away")
	}
	g.post(t, "/login", "", credentials, http.StatusOK)
}

func TestSessionsInRedis(t *testing.T) {
	const password = "hidden42"
	server := redistest.Start(t, "requirepass", password)
	t.Setenv("CHATGATE_TEST_REDIS_PASSWORD", password)
	path := filepath.Join(t.TempDir(), "one.db")
	g := startGateway(t, fmt.Sprintf(inRedis, path, server.Addr, ""))
	g.post(t, "/users", "", credentials, http.StatusCreated)
	token := g.post(t, "/login", "", credentials, http.StatusOK)
	// Each kind has its own: sessions and limits; the feed is heard below.
	for _, kind := range []string{"chatgate:{*}:sessions", "chatgate:[^{]*:*:*"} {
		keys, err := server.Client().Keys(t.Context(), kind).Result()
		if err != nil || len(keys) == 0 {
			t.Errorf("there is no %s in Redis: %v", kind, err)
		}
	}
	eventually(t, "the feed is heard", func() bool { return g.metrics(t)["chatgate_feed_broken"] == 0 })

	// Another limit makes another state, over the same Redis: the session is known there as well.
	if err := g.load(fmt.Sprintf(inRedis, path, server.Addr, `, "max_conns": 8`)); err != nil {
		t.Fatal(err)
	}
	g.post(t, "/logout", token, "", http.StatusOK)
	g.post(t, "/logout", token, "", http.StatusUnauthorized)

	if err := g.load(fmt.Sprintf(inSQLite, filepath.Join(t.TempDir(), "two.db"))); err != nil {
		t.Fatal(err)
	}
	if isOpen(t, path) {
		t.Error("the accounts' database stays open after the last configuration that uses it")
	}
	eventually(t, "no connection to Redis is left but the test's", func() bool {
		list, err := server.Client().ClientList(t.Context()).Result()
		return err == nil && strings.Count(list, "\n") == 1
	})
}

// oldestConnection returns which process of PostgreSQL serves the oldest connection of a store.
func oldestConnection(t *testing.T) (pid string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), os.Getenv("CHATGATE_TEST_PG"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	err = conn.QueryRow(t.Context(), `SELECT pid::text FROM pg_stat_activity WHERE application_name = 'chatgate' ORDER BY backend_start LIMIT 1`).Scan(&pid)
	if err != nil {
		t.Fatal(err)
	}
	return pid
}

func TestAccountsInPostgres(t *testing.T) {
	server := pgtest.Start(t)
	t.Setenv("CHATGATE_TEST_PG", server.NewDatabase(t))
	g := startGateway(t, fmt.Sprintf(inPG, "", `{"store": "embedded"}`))
	g.post(t, "/users", "", credentials, http.StatusCreated)
	token := g.post(t, "/login", "", credentials, http.StatusOK)
	// Another limit does not make another state, which would not hear of a logout here; so the way to the database stays.
	before := oldestConnection(t)
	if err := g.load(fmt.Sprintf(inPG, `, "max_conns": 5`, `{"store": "embedded"}`)); err != nil {
		t.Fatal(err)
	}
	if after := oldestConnection(t); after == "" || after != before {
		t.Errorf("the oldest connection to PostgreSQL was %s and is %s", before, after)
	}
	g.post(t, "/logout", token, "", http.StatusOK)

	redis := redistest.Start(t)
	if err := g.load(fmt.Sprintf(inPG, "", `{"store": "redis", "urls": ["`+redis.URL()+`"]}`)); err != nil {
		t.Fatal(err)
	}
	g.post(t, "/login", "", credentials, http.StatusOK)
}
