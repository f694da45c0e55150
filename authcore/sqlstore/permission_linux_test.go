package sqlstore_test

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/chatgate/chatgate/authcore/sqlstore"
)

// asNobody runs the rest of a test without root's right to pass by file permissions, if it had that. File systems ask
// for the thread's own user, so the thread is kept, and thrown away afterwards.
func asNobody(t *testing.T, dir string) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	const nobody = 65534
	must(t, filepath.WalkDir(dir, func(p string, _ os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Chown(p, nobody, nobody)
	}))
	must(t, os.Chown(filepath.Dir(dir), nobody, nobody))
	runtime.LockOSThread() // and never unlocked
	_ = syscall.Setfsuid(nobody)
	if _, err := os.ReadDir(dir); err != nil {
		t.Skip("another user cannot reach the temporary directory")
	}
}

func TestSQLitePermissions(t *testing.T) {
	cases := []struct {
		name      string
		file, dir os.FileMode
		want      string
	}{
		{"unreadable file", 0o000, 0o700, "the file or its directory cannot be opened for reading and writing"},
		{"read-only file", 0o400, 0o700, "the file or its directory cannot be written"},
		{"write-only file", 0o200, 0o700, "the file or its directory cannot be opened for reading and writing"},
		{"read-only directory", 0o600, 0o500, "the file or its directory cannot be"},
		{"closed directory", 0o600, 0o000, "permission denied"},
	}
	for _, c := range cases {
		for _, exists := range []bool{true, false} {
			name := c.name
			if !exists {
				if c.dir == 0o700 {
					continue
				}
				name += ", no file"
				c.want = "permission denied"
			}
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				path := filepath.Join(dir, "chatgate.db")
				if exists {
					s, err := sqlstore.OpenSQLite(t.Context(), path)
					must(t, err)
					must(t, s.Close())
					must(t, os.Chmod(path, c.file))
				}
				asNobody(t, dir)
				must(t, os.Chmod(dir, c.dir))
				refused(t, path, c.want)
				must(t, os.Chmod(dir, 0o700))
			})
		}
	}
}
