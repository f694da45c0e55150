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

// OpenSQLite opens the database in the file path and brings its tables up to date. It creates the file (mode 0600) and its
// directory (0700) if they are missing, and makes existing files private. Any number of stores, also of several processes,
// may have it open.
func OpenSQLite(ctx context.Context, path string) (*Store, error) {
	s, err := openSQLite(ctx, path)
	if err != nil {
		return nil, fmt.Errorf("sqlstore: cannot use %q as a database: %w", path, explain(err))
	}
	return s, nil
}

func openSQLite(ctx context.Context, path string) (_ *Store, err error) {
	if path == "" || path == ":memory:" {
		return nil, errors.New("it must be the path of a file")
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
	if err := s.readDisplayNames(ctx); err != nil {
		return nil, err
	}
	// SQLite opens a file that it may not write for reading, and fails at the first write. This is one.
	if _, err := s.write.ExecContext(ctx, `DELETE FROM sessions WHERE account = ''`); err != nil {
		return nil, err
	}
	if s.read, err = openHandle(path, url.Values{"_query_only": {"1"}}, sqliteReaders); err != nil {
		return nil, err
	}
	return s, s.prepare(ctx)
}

// closeAll closes the handles after opening failed.
func (s *Store) closeAll() {
	for _, db := range []*sql.DB{s.read, s.write} {
		if db != nil {
			_ = db.Close() // the failed opening is the cause
		}
	}
}

func openHandle(path string, params url.Values, conns int) (*sql.DB, error) {
	params.Set("mode", "rw") // never create: createFile sets the mode
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

// createFile creates an empty file, which is an empty database for SQLite, unless there is one.
//
// It never opens an existing file: closing any descriptor of a file drops all locks that this process has on it,
// including those of a store that has it open. For the same reason no other store may find the new file before it is
// closed.
func createFile(path string) error {
	creating.Lock()
	defer creating.Unlock()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	if runtime.GOOS != "windows" { // else a refused path would leave a file behind
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

// checkOwner refuses a database with tables that are not chatgate's.
func checkOwner(ctx context.Context, db *sql.DB) error {
	var foreign bool
	err := db.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_master)
		AND NOT EXISTS (SELECT 1 FROM sqlite_master WHERE name = $1)`, migrationTable).Scan(&foreign)
	if err == nil && foreign {
		err = errors.New("it is the database of another program; use another file")
	}
	return err
}

// enableWAL sets the journal mode, which the file keeps. If several processes do so at once, SQLite tells some at once that
// the file is locked, without its usual wait, so this loop waits.
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
			return fmt.Errorf("its file system cannot share memory between processes (journal mode %q instead of WAL); use a local one", mode)
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

// sqliteCode returns the primary result code of an error of SQLite, or 0.
func sqliteCode(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code() & 0xff
	}
	return 0
}

// explain puts what an error means, and what to do, before SQLite's own words.
func explain(err error) error {
	var hint string
	switch sqliteCode(err) {
	case sqlite3.SQLITE_NOTADB:
		hint = "it is not an SQLite database; use another file"
	case sqlite3.SQLITE_CORRUPT:
		hint = "it is damaged; restore a backup"
	case sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM:
		hint = "the file or its directory cannot be opened for reading and writing; check their owner and mode"
	case sqlite3.SQLITE_READONLY:
		hint = "the file or its directory cannot be written; check their owner and mode"
	case sqlite3.SQLITE_BUSY:
		hint = "another process keeps it locked; stop that process"
	case sqlite3.SQLITE_FULL:
		hint = "the disk is full; make room"
	default:
		return err
	}
	return fmt.Errorf("%s: %w", hint, err)
}
