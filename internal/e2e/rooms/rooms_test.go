package rooms

import (
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

func TestMain(m *testing.M) { gatetest.Main(m) }

func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasPrefix(name, "restart_") {
			continue
		}
		t.Run(strings.TrimSuffix(name, ".txt"), func(t *testing.T) {
			lines := readLines(t, name)
			s, _ := newScript(t, lines)
			s.run(t, name, lines)
		})
	}
}

// What was answered is kept: accounts, sessions and tokens live on over a process that was killed, and what was logged
// out stays so.
func TestRestart(t *testing.T) {
	before, after := readLines(t, "restart_1_before.txt"), readLines(t, "restart_2_after.txt")
	s, file := newScript(t, before)
	s.run(t, "restart_1_before.txt", before)
	s.g.Kill()
	s.conns = make(map[string]*gatetest.Raw)
	s.g.Launch(file)
	s.run(t, "restart_2_after.txt", after)
}

// A database that cannot be used is told at the start, by its name, and is left as it is.
func TestUnusableDatabase(t *testing.T) {
	lines := readLines(t, "restart_1_before.txt")
	s, file := newScript(t, lines)
	s.g.Register("alice", "Lantern-Quarry-71")
	s.g.Kill()
	db := filepath.Join(s.g.Dir, "accounts.db")
	good, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	remove := func() {
		t.Helper()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.RemoveAll(db + suffix); err != nil {
				t.Fatal(err)
			}
		}
	}
	write := func(path string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	garbage := []byte(strings.Repeat("no database at all\n", 1000))
	torn := append(append([]byte(nil), good[:100]...), garbage...)
	for name, tc := range map[string]struct {
		put  func()
		kept []byte // what must still be in the file
	}{
		"a directory":         {func() { must(t, os.MkdirAll(filepath.Join(db, "x"), 0o700)) }, nil},
		"garbage":             {func() { write(db, garbage) }, garbage},
		"a page that is torn": {func() { write(db, torn) }, torn},
		"in no directory":     {func() { must(t, os.Symlink(filepath.Join(s.g.Dir, "gone", "accounts.db"), db)) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			remove()
			tc.put()
			err := s.g.TryLaunch(file)
			if err == nil {
				t.Fatal("the gateway serves")
			}
			if s.g.ExitCode() == 0 {
				t.Error("it ended without an exit code")
			}
			log := s.g.Log()
			if !strings.Contains(log, db) || !strings.Contains(log, "database") {
				t.Errorf("it does not say which file:\n%s", log)
			}
			if strings.Contains(log, "goroutine ") {
				t.Errorf("it panicked:\n%s", log)
			}
			if tc.kept != nil {
				if now, err := os.ReadFile(db); err != nil || string(now) != string(tc.kept) {
					t.Errorf("the file was changed, or %v", err)
				}
			}
			if _, err := os.Stat(filepath.Join(s.g.Dir, "gone")); err == nil {
				t.Error("a directory was made")
			} else if !os.IsNotExist(err) {
				t.Error(err)
			}
		})
	}
	remove()
	s.g.Launch(file)
	if status, _, body := s.g.Call(http.MethodPost, "/api/v1/login", "", `{"username":"alice","secret":"Lantern-Quarry-71"}`); status != http.StatusBadRequest {
		t.Errorf("a new database knows alice: %d %s", status, body)
	}
	if info, err := os.Stat(db); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("the database: %v, %v", info, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
