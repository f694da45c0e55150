package syntax

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
	a, err := ParseAddress(text)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	v, err := a.Resolve(caddy.NewReplacer())
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
		if _, err := ParseAddress(text); err == nil || strings.Contains(err.Error(), "pw") {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, text := range []string{
		"{env.A}", "{env.A}?x=y", "{env.A}:{env.B}@h", "{env.A}@h", "postgres://u:{env.A}@h", "postgres://u:{env.A}{file./b}@h", "postgres://{env.A}@h", "postgres://u@h",
		"postgres://u:@h", "postgres://h?password=", "postgres://h?passfile=/x", "password={env.A}", "password='{env.A}'", "password=", "password='' host=h",
		"passfile=/x host=h", "redis://h", "redis://:{file./a@b/c}@h", "unix:///s?db=1", "rediss://{env.A}:{env.B}@{env.C}:{env.D}",
	} {
		if _, err := ParseAddress(text); err != nil {
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
		a, err := ParseAddress(text)
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
			_, _ = a.Resolve(caddy.NewReplacer())
		}
	})
}
