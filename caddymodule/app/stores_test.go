package app

import (
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
)

func TestStateKey(t *testing.T) {
	t.Setenv("CHATGATE_TEST_SECRET", "hidden42")
	t.Setenv("CHATGATE_TEST_OTHER", "hidden43")
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	key := func(change func(*App)) string {
		t.Helper()
		a := &App{
			Accounts: &AccountsConfig{Store: "postgres", DSN: "postgres://u:{env.CHATGATE_TEST_SECRET}@h/d"},
			Sessions: &SessionsConfig{Store: "redis", URLs: []string{"redis://:{env.CHATGATE_TEST_SECRET}@h"}},
		}
		change(a)
		s, err := a.resolveStores(caddy.NewReplacer())
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(s.key, "hidden") {
			t.Errorf("the key shows a secret: %s", s.key)
		}
		return s.key
	}
	redis, embedded, sqlite := func(*App) {}, func(a *App) { a.Sessions = &SessionsConfig{Store: "embedded"} }, func(a *App) { a.Accounts = nil }
	for name, tc := range map[string]struct {
		base, change func(*App)
		same         bool
	}{
		"nothing":            {redis, func(*App) {}, true},
		"defaults spelt out": {redis, func(a *App) { a.Sessions.Mode, a.Sessions.Prefix, a.Accounts.MaxConns = "single", "chatgate", 16 }, true},
		"policy": {redis, func(a *App) {
			a.MinPassword, a.FeedGrace, a.LiveGrace = 20, caddy.Duration(time.Second), caddy.Duration(time.Hour)
		}, true},
		"dsn":                     {redis, func(a *App) { a.Accounts.DSN = "postgres://u:{env.CHATGATE_TEST_SECRET}@h/e" }, false},
		"password":                {redis, func(a *App) { a.Accounts.DSN = "postgres://u:{env.CHATGATE_TEST_OTHER}@h/d" }, false},
		"accounts max_conns":      {redis, func(a *App) { a.Accounts.MaxConns = 17 }, false},
		"statement_timeout":       {redis, func(a *App) { a.Accounts.StatementTimeout = caddy.Duration(time.Second) }, false},
		"url":                     {redis, func(a *App) { a.Sessions.URLs[0] += "/1" }, false},
		"redis password":          {redis, func(a *App) { a.Sessions.URLs[0] = "redis://:{env.CHATGATE_TEST_OTHER}@h" }, false},
		"prefix":                  {redis, func(a *App) { a.Sessions.Prefix = "x" }, false},
		"mode":                    {redis, func(a *App) { a.Sessions.Mode = "cluster" }, false},
		"answer_timeout":          {redis, func(a *App) { a.Sessions.AnswerTimeout = caddy.Duration(2 * time.Second) }, false},
		"embedded":                {redis, embedded, false},
		"sqlite":                  {redis, sqlite, false},
		"path beside redis":       {sqlite, func(a *App) { a.Accounts = &AccountsConfig{Store: "sqlite", Path: filepath.Join(dir, "x.db")} }, false},
		"embedded password":       {embedded, func(a *App) { a.Accounts.DSN = "postgres://u:{env.CHATGATE_TEST_OTHER}@h/d" }, true},
		"embedded user":           {embedded, func(a *App) { a.Accounts.DSN = "postgres://v@h/d" }, true},
		"embedded as keywords":    {embedded, func(a *App) { a.Accounts.DSN = "host=h dbname=d sslmode=disable" }, true},
		"embedded max_conns":      {embedded, func(a *App) { a.Accounts.MaxConns = 17 }, true},
		"embedded database":       {embedded, func(a *App) { a.Accounts.DSN = "postgres://u:{env.CHATGATE_TEST_SECRET}@h/e" }, false},
		"embedded schema":         {embedded, func(a *App) { a.Accounts.DSN += "?search_path=x" }, false},
		"embedded host":           {embedded, func(a *App) { a.Accounts.DSN = "postgres://u@i/d" }, false},
		"embedded port":           {embedded, func(a *App) { a.Accounts.DSN = "postgres://u@h:5433/d" }, false},
		"embedded in sqlite":      {embedded, sqlite, false},
		"both, then none of ours": {embedded, func(a *App) { a.Accounts, a.Sessions = nil, nil }, false},
	} {
		if before, after := key(tc.base), key(func(a *App) { tc.base(a); tc.change(a) }); (before == after) != tc.same {
			t.Errorf("%s: %s, then %s", name, before, after)
		}
	}

	// A renewed certificate makes another state, which reads it.
	tls := func(a *App) { a.Sessions.URLs[0], a.Sessions.CA = "rediss://h", ca }
	server := httptest.NewTLSServer(nil)
	server.Close()
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	var keys []string
	for _, content := range []string{cert, cert, cert + cert} {
		if err := os.WriteFile(ca, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		keys = append(keys, key(tls))
	}
	if keys[0] != keys[1] || keys[1] == keys[2] {
		t.Errorf("the keys with two equal files and another one are %v", keys)
	}

	a := &App{Accounts: &AccountsConfig{Store: "sqlite", Path: filepath.Join(dir, "x.db")}}
	if s, err := a.resolveStores(caddy.NewReplacer()); err != nil || s.key != filepath.Join(dir, "x.db") {
		t.Errorf("%v, %v", s.key, err)
	}
}
