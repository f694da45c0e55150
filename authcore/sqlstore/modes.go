package sqlstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// guardFiles sees to it that nobody else can read or change a database that is there already: it holds password hashes,
// and the keys that sign tokens.
//
// The files are made private, with a warning: an update must not keep a service from starting because of a mode that a
// restored backup has, and refusing would not take back what was read. What cannot be mended that way is refused: files of
// somebody else, and a directory in which every user of the machine can put another database in place of this one; it may
// be shared on purpose, so its mode is not ours to change.
func guardFiles(path string) (warnings []string, err error) {
	if runtime.GOOS == "windows" { // modes say nothing there
		return nil, nil
	}
	if warnings, err = guardDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	for _, suffix := range []string{"", "-wal", "-shm", "-journal"} {
		warning, err := makePrivate(path + suffix)
		if err != nil {
			return nil, err
		}
		if warning != "" {
			warnings = append(warnings, warning)
		}
	}
	return warnings, nil
}

func makePrivate(file string) (warning string, err error) {
	info, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	mode := info.Mode()
	if mode&fs.ModeSymlink != 0 { // whoever made it says where it leads; the database itself is judged there
		if info, err = os.Stat(file); err != nil {
			return "", err
		}
		mode = info.Mode()
	}
	if !mode.IsRegular() || mode.Perm()&0o077 == 0 {
		return "", nil // what is no file is refused elsewhere
	}
	if err := os.Chmod(file, mode.Perm()&^0o077); err != nil {
		return "", fmt.Errorf("other users may use %s (mode %04o), and that cannot be changed here: chmod 600 it as its owner: %w", file, mode.Perm(), err)
	}
	return fmt.Sprintf("other users could use %s (mode %04o), which holds password hashes and signing keys; it is private now", file, mode.Perm()), nil
}

// guardDirectory judges the directory of the database, and those above it. Who may write to one of those can put another
// in its place; but they are often of a container that has no other users, so that is a warning.
func guardDirectory(dir string) (warnings []string, err error) {
	for above := false; ; above = true {
		info, err := os.Stat(dir)
		if err != nil {
			return nil, err
		}
		mode := info.Mode()
		switch everybody, group := mode.Perm()&0o002 != 0, mode.Perm()&0o020 != 0; {
		case !above && everybody: // the sticky bit keeps a file, but a write-ahead log that is not yet there can be made up
			return nil, fmt.Errorf("every user of this machine may write to the directory %s (mode %04o) and replace the database: chmod o-w %s, or name a path in a directory that is not there yet, which is then made private",
				dir, mode.Perm(), dir)
		case above && everybody && mode&fs.ModeSticky == 0:
			warnings = append(warnings, fmt.Sprintf("every user of this machine may write to %s (mode %04o), above the database, and replace it; if there are others: chmod o-w %s", dir, mode.Perm(), dir))
		case !above && group:
			warnings = append(warnings, fmt.Sprintf("the group of the directory %s may write to it (mode %04o) and replace the database; if that is not wanted: chmod g-w %s", dir, mode.Perm(), dir))
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return warnings, nil
		}
		dir = parent
	}
}

// Warnings returns what Open found about the files of the database and an operator should know.
func (s *Store) Warnings() []string { return s.warnings }
