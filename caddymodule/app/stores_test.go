package app_test

import (
	"encoding/pem"
	"maps"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/chatgate/chatgate/caddymodule/app"
	"github.com/chatgate/chatgate/caddymodule/stores"
)

// storesConfig is where a configuration keeps things, and what else it says.
type storesConfig struct {
	sqlite   stores.SQLite
	postgres *stores.Postgres // nil: accounts are in SQLite
	redis    *stores.Redis    // nil: sessions are embedded
	more     map[string]any
}

func (c *storesConfig) key(t *testing.T) string {
	t.Helper()
	fields := map[string]any{
		"accounts": caddyconfig.JSONModuleObject(c.sqlite, "store", "sqlite", nil), "sessions": map[string]string{"store": "embedded"},
	}
	if c.postgres != nil {
		fields["accounts"] = caddyconfig.JSONModuleObject(c.postgres, "store", "postgres", nil)
	}
	if c.redis != nil {
		fields["sessions"] = caddyconfig.JSONModuleObject(c.redis, "store", "redis", nil)
	}
	maps.Copy(fields, c.more)
	key, _ := app.Keys(t, fields)
	if strings.Contains(key, "hidden") {
		t.Errorf("the key shows a secret: %s", key)
	}
	return key
}

func TestStateKey(t *testing.T) {
	t.Setenv("CHATGATE_TEST_SECRET", "hidden42")
	t.Setenv("CHATGATE_TEST_OTHER", "hidden43")
	dir := t.TempDir()
	ca := filepath.Join(dir, "ca.pem")
	key := func(change func(*storesConfig)) string {
		t.Helper()
		c := &storesConfig{
			postgres: &stores.Postgres{DSN: "postgres://u:{env.CHATGATE_TEST_SECRET}@h/d"},
			redis:    &stores.Redis{URLs: []string{"redis://:{env.CHATGATE_TEST_SECRET}@h"}},
		}
		change(c)
		return c.key(t)
	}
	redis, embedded, sqlite := func(*storesConfig) {}, func(c *storesConfig) { c.redis = nil }, func(c *storesConfig) { c.postgres = nil }
	for name, tc := range map[string]struct {
		base, change func(*storesConfig)
		same         bool
	}{
		"nothing":            {redis, func(*storesConfig) {}, true},
		"defaults spelt out": {redis, func(c *storesConfig) { c.redis.Mode, c.redis.Prefix, c.postgres.MaxConns = "single", "chatgate", 16 }, true},
		"policy": {redis, func(c *storesConfig) {
			c.more = map[string]any{"min_password": 20, "feed_grace": "1s", "live_grace": "1h"}
		}, true},
		"dsn":                     {redis, func(c *storesConfig) { c.postgres.DSN = "postgres://u:{env.CHATGATE_TEST_SECRET}@h/e" }, false},
		"password":                {redis, func(c *storesConfig) { c.postgres.DSN = "postgres://u:{env.CHATGATE_TEST_OTHER}@h/d" }, false},
		"accounts max_conns":      {redis, func(c *storesConfig) { c.postgres.MaxConns = 17 }, false},
		"statement_timeout":       {redis, func(c *storesConfig) { c.postgres.StatementTimeout = caddy.Duration(time.Second) }, false},
		"url":                     {redis, func(c *storesConfig) { c.redis.URLs[0] += "/1" }, false},
		"redis password":          {redis, func(c *storesConfig) { c.redis.URLs[0] = "redis://:{env.CHATGATE_TEST_OTHER}@h" }, false},
		"prefix":                  {redis, func(c *storesConfig) { c.redis.Prefix = "x" }, false},
		"mode":                    {redis, func(c *storesConfig) { c.redis.Mode = "cluster" }, false},
		"answer_timeout":          {redis, func(c *storesConfig) { c.redis.AnswerTimeout = caddy.Duration(2 * time.Second) }, false},
		"embedded":                {redis, embedded, false},
		"sqlite":                  {redis, sqlite, false},
		"path beside redis":       {sqlite, func(c *storesConfig) { c.sqlite.Path = filepath.Join(dir, "x.db") }, false},
		"embedded password":       {embedded, func(c *storesConfig) { c.postgres.DSN = "postgres://u:{env.CHATGATE_TEST_OTHER}@h/d" }, true},
		"embedded user":           {embedded, func(c *storesConfig) { c.postgres.DSN = "postgres://v@h/d" }, true},
		"embedded as keywords":    {embedded, func(c *storesConfig) { c.postgres.DSN = "host=h dbname=d sslmode=disable" }, true},
		"embedded max_conns":      {embedded, func(c *storesConfig) { c.postgres.MaxConns = 17 }, true},
		"embedded database":       {embedded, func(c *storesConfig) { c.postgres.DSN = "postgres://u:{env.CHATGATE_TEST_SECRET}@h/e" }, false},
		"embedded schema":         {embedded, func(c *storesConfig) { c.postgres.DSN += "?search_path=x" }, false},
		"embedded host":           {embedded, func(c *storesConfig) { c.postgres.DSN = "postgres://u@i/d" }, false},
		"embedded port":           {embedded, func(c *storesConfig) { c.postgres.DSN = "postgres://u@h:5433/d" }, false},
		"embedded in sqlite":      {embedded, sqlite, false},
		"both, then none of ours": {embedded, func(c *storesConfig) { c.postgres, c.redis = nil, nil }, false},
	} {
		if before, after := key(tc.base), key(func(c *storesConfig) { tc.base(c); tc.change(c) }); (before == after) != tc.same {
			t.Errorf("%s: %s, then %s", name, before, after)
		}
	}

	// A renewed certificate makes another state, which reads it.
	tls := func(c *storesConfig) { c.redis.URLs[0], c.redis.CA = "rediss://h", ca }
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

	c := &storesConfig{sqlite: stores.SQLite{Path: filepath.Join(dir, "x.db")}}
	if got := c.key(t); got != filepath.Join(dir, "x.db") {
		t.Errorf("the key of a file is %s", got)
	}
}
