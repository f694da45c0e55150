package lifecycle

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// What a gateway keeps is its own: a database that others could read is made private, and an operator hears of it, as of
// messages that others can use. Nothing that it writes is for others to read, whatever the umask.
func TestFilesArePrivate(t *testing.T) {
	file := strings.Replace(plain{upstream: "127.0.0.1:1", accounts: "{{DIR}}/own.db"}.String(), "chatgate {", "chatgate {\n\t\tmail file {{DIR}}/mail\n\t\tsms file {{DIR}}/texts", 1)
	dir := t.TempDir()
	first := gatetest.Start(t, file, gatetest.Options{Dir: dir})
	first.Register("alice", password)
	if strings.Contains(first.Log(), "other users") {
		t.Errorf("a new database, and a warning:\n%s", first.Log())
	}
	first.Kill() // so that the write-ahead log stays
	for name, mode := range map[string]os.FileMode{"own.db": 0o644, "own.db-wal": 0o666, "mail": 0o777} {
		path := filepath.Join(dir, name)
		if name == "mail" {
			if err := os.MkdirAll(path, 0o700); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := first.TryLaunch(file); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"own.db (mode 0644)", "own.db-wal (mode 0666)", "other users may write to the directory of messages (mode 0777)"} {
		if !strings.Contains(first.Log(), want) {
			t.Errorf("no warning of %s:\n%s", want, first.Log())
		}
	}
	first.Login("alice", password)
	for _, name := range []string{"own.db", "own.db-wal", "own.db-shm"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	first.Stop()
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := first.TryLaunch(file); err == nil || !strings.Contains(first.Log(), "chmod o-w "+dir) {
		t.Errorf("it starts in a directory of everybody: %v\n%s", err, first.Log())
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
}
