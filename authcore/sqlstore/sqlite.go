package sqlstore

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/pressly/goose/v3"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

//go:embed migrations/sqlite/*.sql
var sqliteMigrations embed.FS

const (
	sqliteReaders = 8
	sqliteBusy    = 5 * time.Second // how long to wait for a lock that another process holds
)

// OpenSQLite opens the database in the file path, making the file (mode 0600) and its directory (0700) if there are
// none, and brings its tables up to date. Files that are there already are made private. Any number of stores, also of
// several processes, may have it open.
func OpenSQLite(ctx context.Context, path string) (*Store, error) {
	s, err := openSQLite(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: cannot use %q as a database: %w", path, explain(err))
	}
	return s, nil
}

func openSQLite(ctx context.Context, path string) (_ *Store, err error) {
	if path == "" || path == ":memory:" {
		return nil, errors.New("it has to be a file")
	}
	if path, err = filepath.Abs(path); err != nil {
		return nil, err
	}
	if err := createFile(path); err != nil {
		return nil, err
	}
	warnings, err := guardFiles(path)
	if err != nil {
		return nil, err
	}
	s := &Store{warnings: warnings}
	defer func() {
		if err != nil {
			s.closeAll()
		}
	}()
	if s.write, err = openHandle(path, url.Values{"_txlock": {"immediate"}, "_synchronous": {"FULL"}}, 1); err != nil {
		return nil, err
	}
	if err := checkOwner(ctx, s.write); err != nil {
		return nil, err
	}
	if err := enableWAL(ctx, s.write); err != nil {
		return nil, err
	}
	migrations, err := fs.Sub(sqliteMigrations, "migrations/sqlite")
	if err != nil {
		return nil, err
	}
	if err := (dialect{goose.DialectSQLite3, migrations}).migrate(ctx, s.write); err != nil {
		return nil, err
	}
	// SQLite falls back to reading a file that it may not write, and says so at the first write only. This is one.
	if _, err := s.write.ExecContext(ctx, `DELETE FROM sessions WHERE account = ''`); err != nil {
		return nil, err
	}
	if s.read, err = openHandle(path, url.Values{"_query_only": {"1"}}, sqliteReaders); err != nil {
		return nil, err
	}
	return s, s.prepare(ctx)
}

// closeAll closes what a failed opening left open.
func (s *Store) closeAll() {
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			_ = db.Close() // the reason why opening failed is the one to tell
		}
	}
}

func openHandle(path string, params url.Values, conns int) (*sql.DB, error) {
	params.Set("mode", "rw") // never create: createFile sees to the mode
	params.Set("_busy_timeout", fmt.Sprint(sqliteBusy.Milliseconds()))
	params.Set("_foreign_keys", "1")
	params.Set("_dqs", "0")
	params.Set("_error_rc", "1")
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a drive letter
	}
	c, err := sqlite.NewConnector((&url.URL{Scheme: "file", Path: slashed, RawQuery: params.Encode()}).String())
	if err != nil {
		return nil, err
	}
	db := sql.OpenDB(c)
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

var creating sync.Mutex

// createFile makes an empty file, which SQLite takes for an empty database, unless there is something.
//
// What exists is not opened, not even to look at it: closing any descriptor of a file drops the locks that this
// process holds on it, and with them those of a store that has it open. For the same reason nobody else may find the
// new file before it is closed.
func createFile(path string) error {
	creating.Lock()
	defer creating.Unlock()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if runtime.GOOS != "windows" { // or what is refused would leave a file behind
		if _, err := guardDirectory(filepath.Dir(path)); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600) //nolint:gosec // the operator chose the path
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errors.New("it is not a regular file")
	}
	return nil
}

// checkOwner refuses a database that has tables, but never had ours.
func checkOwner(ctx context.Context, db *sql.DB) error {
	var foreign bool
	err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_master)
		AND NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = $1)`, migrationTable).Scan(&foreign)
	if err == nil && foreign {
		err = errors.New("it is a database of another program")
	}
	return err
}

// enableWAL sets the journal mode, which the file keeps. When several processes do so at once, SQLite tells some of them
// that the file is locked, without the wait that it otherwise allows; so we wait.
func enableWAL(ctx context.Context, db *sql.DB) error {
	ctx, cancel := context.WithTimeout(ctx, sqliteBusy)
	defer cancel()
	for {
		var mode string
		err := db.QueryRowContext(ctx, `PRAGMA journal_mode = WAL`).Scan(&mode)
		switch {
		case err == nil && mode == "wal":
			return nil
		case err == nil:
			return fmt.Errorf("its file system cannot share memory between processes (journal mode %q instead of WAL)", mode)
		case sqliteCode(err) != sqlite3.SQLITE_BUSY:
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// sqliteCode returns the primary result code of an error of SQLite's, or 0.
func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// explain puts what an operator can do something about before SQLite's own words.
func explain(err error) error {
	var hint string
	switch sqliteCode(err) {
	case sqlite3.SQLITE_NOTADB:
		hint = "it is no SQLite database"
	case sqlite3.SQLITE_CORRUPT:
		hint = "it is damaged; restore a backup"
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		hint = "the file or its directory cannot be opened for reading and writing"
	case sqlite3.SQLITE_READONLY:
		hint = "the file or its directory cannot be written"
	case sqlite3.SQLITE_BUSY:
		hint = "another process keeps it locked"
	case sqlite3.SQLITE_FULL:
		hint = "the disk is full"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", hint, err)
}
