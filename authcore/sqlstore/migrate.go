package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"

	"github.com/pressly/goose/v3"
)

// dialect is the part of a database that migrations need.
type dialect struct {
	name       goose.Dialect
	migrations fs.FS
}

// migrationTable is where goose records migrations. The first migration puts a unique index on its version_id.
const migrationTable = "chatgate_migrations"

// migrate brings the tables up to date.
func (d dialect) migrate(ctx context.Context, db *sql.DB) error {
	p, err := goose.NewProvider(d.name, db, d.migrations,
		goose.WithTableName(migrationTable), goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
	if err != nil {
		return fmt.Errorf("migrations: %w", err)
	}
	current, newest, err := p.GetVersions(ctx)
	for err == nil {
		if current > newest {
			return fmt.Errorf("its schema has version %d, from a newer chatgate; this one supports versions up to %d, so upgrade it or restore a backup", current, newest)
		}
		_, upErr := p.Up(ctx)
		if upErr == nil {
			return nil
		}
		// It may have failed because another process applied the same migration; then the version has grown.
		before := current
		if current, newest, err = p.GetVersions(ctx); err == nil && current == before {
			err = upErr
		}
	}
	return fmt.Errorf("migrations: %w", err)
}
