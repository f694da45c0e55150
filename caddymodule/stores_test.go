package caddymodule

import (
	"encoding/pem"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/jackc/pgx/v5/pgconn"
)

// Whatever a password is made of, it arrives as it is, and as nothing else.
func TestPasswordsArriveAsTheyAre(t *testing.T) {
	for _, password := range []string{
		"plain", "with spaces", `quo'te"s`, `back\slash`, `\'`, "p@ss:w/rd?x=1#y&z", "100%", "%41", "a+b", "{braces}", "üñí🔑",
		"x' host=evil.example.com password='y", "x@evil.example.com/", "?sslmode=disable", " ",
	} {
		t.Setenv("CHATGATE_TEST_SECRET", password)
		file := filepath.Join(t.TempDir(), "password")
		if err := os.WriteFile(file, []byte(password+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, place := range []string{"{env.CHATGATE_TEST_SECRET}", "{file." + file + "}"} {
			for _, dsn := range []string{
				"postgres://chatgate:" + place + "@db.example.com:5433/chat?sslmode=require",
				"postgresql://db.example.com:5433/chat?sslmode=require&password=" + place + "&user=chatgate",
				"host=db.example.com port=5433 user=chatgate password=" + place + " dbname=chat sslmode=require",
				"user=chatgate password = '" + place + "' host=db.example.com port=5433 dbname=chat sslmode=require",
			} {
				got, err := pgconn.ParseConfig(resolved(t, dsn))
				if err != nil {
					t.Errorf("%q in %s: %v", password, dsn, err)
					continue
				}
				if got.Password != password || got.User != "chatgate" || got.Host != "db.example.com" || got.Port != 5433 || got.Database != "chat" || got.TLSConfig == nil {
					t.Errorf("%q in %s: %q, %q at %s:%d/%s", password, dsn, got.Password, got.User, got.Host, got.Port, got.Database)
				}
			}
			u, err := url.Parse(resolved(t, "redis://chat:"+place+"@localhost:6379/2"))
			if err != nil {
				t.Errorf("%q: %v", password, err)
				continue
			}
			if got, _ := u.User.Password(); got != password || u.User.Username() != "chat" || u.Host != "localhost:6379" || u.Path != "/2" {
				t.Errorf("%q: %s", password, u)
			}
		}
	}
}

func resolved(t *testing.T, text string) string {
	t.Helper()
	a, err := parseAddress(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	v, err := a.resolve(caddy.NewReplacer())
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// What is refused in one spelling is refused in all of them.
func TestPasswordsInClearAreFound(t *testing.T) {
	for _, text := range []string{
		"postgres://u:pw@h/d", "postgresql://u:pw@h", "postgres://u:p{env.A}@h", "postgres://u:{env.A}{env.B}w@h", "postgres://:pw@h",
		"postgres://u:p@w@h", "postgres://u:p:w@h", "postgres://h?password=pw", "postgres://h/d?a=b&sslpassword=pw", "postgres://h?PASSWORD=pw",
		"postgres://h?p%61ssword=pw", "postgres://{env.HOST}?password={env.A}w", `postgres://u:\{env.A\}@h`, "postgres://u:{env.A@h",
		"password=pw", "host=h password=pw", "host=h password = pw", "host=h PASSWORD=pw", "password='p w' host=h", "password='p",
		"host=h\tpassword\n=\vpw", "password={env.A} password=pw", "password='{env.A} w'", "application_name='x password=pw'",
		"{env.A}:pw@h", "{env.A}w@h/d", "{env.A}://u:pw@h", "{env.A} password=pw", "{env.A}?password=pw@h",
		"redis://:pw@h", "rediss://u:pw@h:1/0", "unix://u:pw@/s", "redis://pw:@h:pw@h",
	} {
		if _, err := parseAddress(text); err == nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"{env.A}", "{env.A}?x=y", "{env.A}:{env.B}@h", "{env.A}@h", "postgres://u:{env.A}@h", "postgres://u:{env.A}{file./b}@h", "postgres://{env.A}@h", "postgres://u@h",
		"postgres://u:@h", "postgres://h?password=", "postgres://h?passfile=/x", "password={env.A}", "password='{env.A}'", "password=", "password='' host=h",
		"passfile=/x host=h", "redis://h", "redis://:{file./a@b/c}@h", "unix:///s?db=1", "rediss://{env.A}:{env.B}@{env.C}:{env.D}",
	} {
		if _, err := parseAddress(text); err != nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func FuzzParseAddress(f *testing.F) {
	for _, s := range []string{"postgres://u:{env.A}@h?password={file./b}", "host=h password='{env.A}' sslpassword={env.A}", "{env.A}:{env.A}@h", `\{{env.A}\}`} {
		f.Add(s)
	}
	f.Setenv("A", "value")
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parseAddress(text)
		if len(a.masked) != len(text) {
			t.Fatalf("%q is masked as %q", text, a.masked)
		}
		if err != nil {
			return
		}
		end := 0
		for _, s := range a.secrets {
			if s.from < end || s.to < s.from || s.to > len(text) {
				t.Fatalf("%q: %v", text, a.secrets)
			}
			end = s.to
		}
		if !strings.Contains(text, "{file.") { // which would read any file
			_, _ = a.resolve(caddy.NewReplacer())
		}
	})
}

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
