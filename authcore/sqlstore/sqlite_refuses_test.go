package sqlstore_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore/sqlstore"
)

func TestSQLiteRefuses(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name string
		make func(t *testing.T, path string)
		want string
	}{
		{"directory", func(t *testing.T, path string) { must(t, os.Mkdir(path, 0o700)) }, "it is not a regular file"},
		{"text", func(t *testing.T, path string) {
			must(t, os.WriteFile(path, []byte(strings.Repeat("no database\n", 1000)), 0o600))
		}, "it is not an SQLite database"},
		{"short text", func(t *testing.T, path string) { must(t, os.WriteFile(path, []byte("no database\n"), 0o600)) }, "it is not an SQLite database"},
		{"cut off", func(t *testing.T, path string) {
			s, err := sqlstore.OpenSQLite(t.Context(), path)
			must(t, err)
			must(t, s.Close())
			must(t, os.Truncate(path, 6000))
		}, "it is damaged"},
		{"another program's", func(t *testing.T, path string) {
			execRaw(t, path, `CREATE TABLE bookmarks (url TEXT)`, `INSERT INTO bookmarks VALUES ('x')`)
		}, "it is the database of another program"},
		{"newer", func(t *testing.T, path string) {
			s, err := sqlstore.OpenSQLite(t.Context(), path)
			must(t, err)
			must(t, s.Close())
			execRaw(t, path, `INSERT INTO chatgate_migrations (version_id, is_applied) VALUES (9999, 1)`)
		}, "its schema has version 9999, from a newer chatgate; this one supports versions up to "},
		{"file in the way", func(t *testing.T, path string) {
			must(t, os.WriteFile(filepath.Dir(path), nil, 0o600))
		}, "not a directory"},
		{"dangling link", func(t *testing.T, path string) { must(t, os.Symlink(path+".gone", path)) }, "no such file"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := newPath(t)
			if c.name == "file in the way" {
				path = filepath.Join(path, "chatgate.db")
			}
			c.make(t, path)
			before, _ := os.ReadFile(path)
			refused(t, path, c.want)
			if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
				t.Error("the file was changed")
			}
		})
	}
	for _, path := range []string{"", ":memory:"} {
		refused(t, path, "it must be the path of a file")
	}
}

// refused checks that path cannot be opened, and that the error says why in a line that an operator understands.
func refused(t *testing.T, path, reason string) {
	t.Helper()
	s, err := sqlstore.OpenSQLite(t.Context(), path)
	if err == nil {
		must(t, s.Close())
		t.Fatal("it was opened")
	}
	if msg := err.Error(); !strings.HasPrefix(msg, fmt.Sprintf("sqlstore: cannot use %q as a database: ", path)) || !strings.Contains(msg, reason) || strings.Contains(msg, "\n") {
		t.Errorf("got %q, want it to say %q", msg, reason)
	}
}

// execRaw runs statements on a file without any of the store's doings.
func execRaw(t *testing.T, path string, statements ...string) {
	t.Helper()
	db := openRaw(t, path)
	for _, s := range statements {
		_, err := db.Exec(s)
		must(t, err)
	}
	must(t, db.Close())
}

func TestSQLiteCanceledOpen(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	path := newPath(t)
	if _, err := sqlstore.OpenSQLite(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	open(t, path)
}
