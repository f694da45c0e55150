-- +goose Up

-- Whoever waits to change a table makes everybody wait who uses it. While a backup reads the tables, this fails instead.
SET LOCAL lock_timeout = '2s';

-- The defaults are those of sessions that were not refreshed, or by a node of the version before.
ALTER TABLE sessions ADD COLUMN rotations TEXT COLLATE "C" NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN refreshed_by TEXT COLLATE "C" NOT NULL DEFAULT '';
