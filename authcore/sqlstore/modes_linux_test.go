package sqlstore_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore/sqlstore"
)

// A database that others could use is made private, with what SQLite keeps beside it.
func TestSQLiteMakesFilesPrivate(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o600, 0o644, 0o640, 0o660, 0o666, 0o604} {
		for _, suffix := range []string{"", "-wal", "-shm"} {
			t.Run(mode.String()+suffix, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "chatgate.db")
				first, err := sqlstore.OpenSQLite(t.Context(), path) // and it stays open, so that all the files are there
				must(t, err)
				defer first.Close()
				if w := first.Warnings(); len(w) > 0 {
					t.Errorf("a new database: %q", w)
				}
				must(t, os.Chmod(path+suffix, mode))
				s, err := sqlstore.OpenSQLite(t.Context(), path)
				must(t, err)
				defer s.Close()
				for _, file := range []string{path, path + "-wal", path + "-shm"} {
					info, err := os.Stat(file)
					must(t, err)
					if info.Mode() != 0o600 {
						t.Errorf("%s has mode %v", file, info.Mode())
					}
				}
				w := strings.Join(s.Warnings(), "\n")
				if wide := mode&0o077 != 0; wide != strings.Contains(w, path+suffix+" (mode 0"+strings.TrimPrefix(octal(mode), "0")) {
					t.Errorf("warnings: %q", w)
				}
			})
		}
	}
}

func octal(m os.FileMode) string {
	const digits = "01234567"
	return "0" + string([]byte{digits[m>>6&7], digits[m>>3&7], digits[m&7]})
}

// Where every user can put another database in its place, its own mode is of no use.
func TestSQLiteDirectories(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name        string
		above, dir  os.FileMode
		refused     string
		wantWarning bool
	}{
		{"private", 0o700, 0o700, "", false},
		{"readable", 0o755, 0o755, "", false},
		{"of a group", 0o755, 0o775, "chmod g-w", true},
		{"of all", 0o755, 0o777, "chmod o-w", false},
		{"of all, sticky", 0o755, 0o777 | os.ModeSticky, "; name a path in a directory of its own", false},
		{"below one of all", 0o777, 0o700, "chmod o-w", true},
		{"below a sticky one of all", 0o777 | os.ModeSticky, 0o700, "", false},
	} {
		for _, exists := range []bool{true, false} {
			t.Run(c.name, func(t *testing.T) {
				above := t.TempDir()
				dir := filepath.Join(above, "data")
				must(t, os.Mkdir(dir, 0o700))
				path := filepath.Join(dir, "chatgate.db")
				if exists {
					s, err := sqlstore.OpenSQLite(t.Context(), path)
					must(t, err)
					must(t, s.Close())
				}
				must(t, os.Chmod(above, c.above))
				must(t, os.Chmod(dir, c.dir))
				if c.refused != "" && !c.wantWarning {
					refused(t, path, c.refused)
					if _, err := os.Stat(path); (err == nil) != exists {
						t.Errorf("the file is there: %v", err == nil)
					}
					return
				}
				s, err := sqlstore.OpenSQLite(t.Context(), path)
				must(t, err)
				defer s.Close()
				if w := strings.Join(s.Warnings(), "\n"); c.wantWarning != (w != "") || !strings.Contains(w, c.refused) {
					t.Errorf("warnings: %q", w)
				}
			})
		}
	}
}

// What belongs to somebody else cannot be made private.
func TestSQLiteOfAnotherOwner(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, to give a file away")
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "chatgate.db")
	s, err := sqlstore.OpenSQLite(t.Context(), path)
	must(t, err)
	must(t, s.Close())
	must(t, os.Chmod(path, 0o666))
	must(t, os.Chown(path, 1, 1))
	must(t, os.Chmod(dir, 0o755))
	must(t, os.Chown(dir, 65534, 65534)) // who cleans up
	asNobody(t, t.TempDir())
	refused(t, path, "chmod 600")
}

// Where a group may write to the directory, it could lay a link to any file of ours beside the database.
func TestSQLiteFollowsNoLinkBesideIt(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"-wal", "-shm", "-journal"} {
		for _, dangling := range []bool{false, true} {
			t.Run(suffix, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "chatgate.db")
				s, err := sqlstore.OpenSQLite(t.Context(), path)
				must(t, err)
				must(t, s.Close())
				other := filepath.Join(t.TempDir(), "other")
				if !dangling {
					must(t, os.WriteFile(other, nil, 0o600))
					must(t, os.Chmod(other, 0o644))
				}
				must(t, os.Symlink(other, path+suffix))
				refused(t, path, "is a symbolic link")
				if info, err := os.Stat(other); dangling != os.IsNotExist(err) || err == nil && info.Mode() != 0o644 {
					t.Errorf("the other file: %v, %v", info, err)
				}
			})
		}
	}
}

// The database may be a link. What counts is where SQLite has it, and the files beside it.
func TestSQLiteBehindALink(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name            string
		linkDir, dir    os.FileMode
		file            os.FileMode
		refused, warned string
	}{
		{"private", 0o700, 0o700, 0o600, "", ""},
		{"too wide", 0o700, 0o700, 0o644, "", "real.db (mode 0644)"},
		{"the target's directory is of all", 0o700, 0o777, 0o600, "chmod o-w", ""},
		{"the target's directory is of a group", 0o700, 0o770, 0o600, "", "chmod g-w"},
		{"the link's directory is of all", 0o777, 0o700, 0o600, "chmod o-w", ""},
		{"the link's directory is of a group", 0o770, 0o700, 0o600, "", "chmod g-w"},
		{"whose group may have laid it", 0o770, 0o700, 0o644, "symbolic link", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			link, path := filepath.Join(t.TempDir(), "chatgate.db"), filepath.Join(t.TempDir(), "real.db")
			first, err := sqlstore.OpenSQLite(t.Context(), path) // and it stays open, so that all the files are there
			must(t, err)
			defer first.Close()
			must(t, os.Symlink(path, link))
			files := []string{path, path + "-wal", path + "-shm"}
			for _, file := range files {
				must(t, os.Chmod(file, c.file))
			}
			must(t, os.Chmod(filepath.Dir(link), c.linkDir))
			must(t, os.Chmod(filepath.Dir(path), c.dir))
			want := os.FileMode(0o600)
			if c.refused != "" {
				refused(t, link, c.refused)
				want = c.file
			} else {
				s, err := sqlstore.OpenSQLite(t.Context(), link)
				must(t, err)
				defer s.Close()
				if w := strings.Join(s.Warnings(), "\n"); !strings.Contains(w, c.warned) || (w != "") != (c.warned != "") {
					t.Errorf("warnings: %q", w)
				}
			}
			for _, file := range files {
				info, err := os.Stat(file)
				must(t, err)
				if info.Mode() != want {
					t.Errorf("%s has mode %v", file, info.Mode())
				}
			}
		})
	}
}
