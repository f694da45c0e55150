package sqlstore_test

import (
	"fmt"
	"os"
	"syscall"
	"testing"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
)

func init() { roles["locked"] = tellLocked }

// tellLocked prints whether another process holds SQLite's shared lock, as every open connection of a database in
// write-ahead mode does: 510 bytes behind the first two at 1 GiB (see the SQLite file format, "the lock-byte page").
func tellLocked(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	lock := syscall.Flock_t{Type: syscall.F_WRLCK, Start: 1<<30 + 2, Len: 510}
	if err := syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &lock); err != nil {
		return err
	}
	fmt.Println(lock.Type != syscall.F_UNLCK)
	return f.Close()
}

// Opening a file must not take away the locks of a store that has it open, as closing any other descriptor of the file
// would (see fcntl, "advisory record locking"): another process would believe that it is alone, and remove the log.
func TestSQLiteLocksStay(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	s, err := sqlstore.OpenSQLite(t.Context(), path)
	must(t, err)
	_, err = s.CreateAccount(t.Context(), newAccount("alice"), authcore.Creation{})
	must(t, err)
	second, err := sqlstore.OpenSQLite(t.Context(), path)
	must(t, err)
	wantLocked := func() {
		t.Helper()
		if out := child(t, "locked", path); out != "true\n" {
			t.Errorf("another process finds no lock on the file: %q", out)
		}
	}
	wantLocked()
	must(t, second.Close())
	wantLocked()
	must(t, s.Close())
	if out := child(t, "locked", path); out != "false\n" {
		t.Errorf("another process finds a lock after Close: %q", out)
	}
}
