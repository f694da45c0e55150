package sqlstore

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// guardFiles keeps other users from an existing database, which holds password hashes and the keys that sign tokens.
//
// It makes the files private, with a warning: an upgrade must not stop a service from starting because of the mode of a
// restored backup, and refusing would not undo what was read. It refuses what it cannot mend that way: files of another
// user, symbolic links beside the database, and a directory in which every user of the machine can replace the database.
// A volume with mode 0777 is such a directory; it may be shared on purpose, so chatgate does not change its mode.
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
		ofOthers := len(warnings) > 0 // users who may write there may have made it
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

// followLink checks the directory of the file that a symbolic link leads to, where SQLite keeps its other files. If other
// users may have made the link, it could lead to any file of ours, so that file has to be private already.
func followLink(link string, ofOthers bool) (path string, warnings []string, err error) {
	if path, err = filepath.EvalSymlinks(link); err != nil {
		return "", nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return "", nil, err
	}
	if ofOthers && info.Mode().Perm()&0o077 != 0 {
		return "", nil, fmt.Errorf("it is a symbolic link, maybe made by another user, to a file that other users may use (mode %04o); if it is the right file, chmod 600 %s",
			info.Mode().Perm(), path)
	}
	warnings, err = guardDirectory(filepath.Dir(path))
	return path, warnings, err
}

// makePrivate follows no link, because a user who may write to the directory could make one to any file.
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
		return "", fmt.Errorf("%s is a symbolic link, which SQLite neither makes nor follows; remove it", file)
	case !mode.IsRegular() || mode.Perm()&0o077 == 0:
		return "", nil // openSQLite refuses other kinds of files
	}
	if err := chmodInDirectory(file, mode.Perm()&^0o077); err != nil {
		return "", fmt.Errorf("other users may use %s (mode %04o), and chatgate cannot change that; chmod 600 it as its owner: %w", file, mode.Perm(), err)
	}
	return fmt.Sprintf("other users could use %s (mode %04o), which holds password hashes and signing keys; it is private now", file, mode.Perm()), nil
}

// chmodInDirectory changes a file's mode, but never that of a file outside of its directory, even if it is replaced by
// a link meanwhile. It does not open the file, see createFile.
func chmodInDirectory(file string, mode fs.FileMode) error {
	dir, err := os.OpenRoot(filepath.Dir(file))
	if err != nil {
		return err
	}
	defer dir.Close()
	return dir.Chmod(filepath.Base(file), mode)
}

// guardDirectory checks the directory of the database, and those above it. A user who may write to one above can replace
// it; but that is often in a container without other users, so it is only a warning.
func guardDirectory(dir string) (warnings []string, err error) {
	for above := false; ; above = true {
		info, err := os.Stat(dir)
		if err != nil {
			return nil, err
		}
		mode := info.Mode()
		switch everybody, group := mode.Perm()&0o002 != 0, mode.Perm()&0o020 != 0; {
		case !above && everybody: // the sticky bit protects files, but anybody could make a write-ahead log while there is none
			remedy := "chmod o-w " + dir + ", or name"
			if mode&fs.ModeSticky != 0 { // such as /tmp, whose mode has to stay
				remedy = "name"
			}
			return nil, fmt.Errorf("every user of this machine may write to the directory %s (%v) and replace the database; %s a path in a directory of its own, such as %s, which chatgate makes private",
				dir, mode, remedy, filepath.Join(dir, "chatgate", "chatgate.db"))
		case above && everybody && mode&fs.ModeSticky == 0:
			warnings = append(warnings, fmt.Sprintf("every user of this machine may write to %s (mode %04o), above the database, and replace it; if there are other users, chmod o-w %s", dir, mode.Perm(), dir))
		case !above && group:
			warnings = append(warnings, fmt.Sprintf("the group of the directory %s may write to it (mode %04o) and replace the database; unless you want that, chmod g-w %s", dir, mode.Perm(), dir))
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return warnings, nil
		}
		dir = parent
	}
}

// Warnings returns what operators should know about the files of the database, as of its opening.
func (s *Store) Warnings() []string { return s.warnings }
