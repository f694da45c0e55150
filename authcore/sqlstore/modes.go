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
// restored backup has, and refusing would not take back what was read. What cannot be mended that way is refused, after an
// update as well: files of somebody else, symbolic links beside the database, and a directory in which every user of the
// machine can put another database in place of this one. A volume with mode 0777 is such a directory; it may be shared on
// purpose, so its mode is not ours to change.
func guardFiles(path string) (warnings []string, err error) {
	if runtime.GOOS == "windows" { // modes say nothing there
		return nil, nil
	}
	if warnings, err = guardDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	link, err := isLink(path)
	if err != nil {
		return nil, err
	}
	if link {
		ofOthers := len(warnings) > 0 // who may write there may have laid it
		var more []string
		if path, more, err = followLink(path, ofOthers); err != nil {
			return nil, err
		}
		warnings = append(warnings, more...)
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

func isLink(file string) (bool, error) {
	info, err := os.Lstat(file)
	return err == nil && info.Mode()&fs.ModeSymlink != 0, err
}

// followLink judges the directory of the file that a database's name leads to. SQLite keeps its other files there. Where
// others may have laid the link, it could lead to any file of ours, so the file it leads to has to be private already.
func followLink(link string, ofOthers bool) (path string, warnings []string, err error) {
	if path, err = filepath.EvalSymlinks(link); err != nil {
		return "", nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", nil, err
	}
	if ofOthers && info.Mode().Perm()&0o077 != 0 {
		return "", nil, fmt.Errorf("it is a symbolic link that others may have laid, to a file that other users may use (mode %04o): if it is right, chmod 600 %s",
			info.Mode().Perm(), path)
	}
	warnings, err = guardDirectory(filepath.Dir(path))
	return path, warnings, err
}

// makePrivate follows no link: who may write to the directory could lay one to any file.
func makePrivate(file string) (warning string, err error) {
	info, err := os.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	mode := info.Mode()
	switch {
	case mode&fs.ModeSymlink != 0:
		return "", fmt.Errorf("%s is a symbolic link, which SQLite makes none of and does not follow: remove it", file)
	case !mode.IsRegular() || mode.Perm()&0o077 == 0:
		return "", nil // what is no file is refused elsewhere
	}
	if err := chmodInDirectory(file, mode.Perm()&^0o077); err != nil {
		return "", fmt.Errorf("other users may use %s (mode %04o), and that cannot be changed here: chmod 600 it as its owner: %w", file, mode.Perm(), err)
	}
	return fmt.Sprintf("other users could use %s (mode %04o), which holds password hashes and signing keys; it is private now", file, mode.Perm()), nil
}

// chmodInDirectory changes the mode of no file outside of the file's directory, whatever takes its place meanwhile. It does
// not open the file, see createFile.
func chmodInDirectory(file string, mode fs.FileMode) error {
	dir, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Chmod(filepath.Base(file), mode)
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
			remedy := "chmod o-w " + dir + ", or name"
			if mode&fs.ModeSticky != 0 { // such as /tmp, which has to stay as it is
				remedy = "name"
			}
			return nil, fmt.Errorf("every user of this machine may write to the directory %s (%v) and replace the database: %s a path in a directory of its own, such as %s, which is then made private",
				dir, mode, remedy, filepath.Join(dir, "chatgate", "chatgate.db"))
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
