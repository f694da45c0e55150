-- +goose Up

-- The defaults are those of sessions that were not refreshed, or by a node of the version before.
ALTER TABLE sessions ADD COLUMN rotations TEXT NOT NULL DEFAULT '';
ALTER TABLE sessions ADD COLUMN refreshed_by TEXT NOT NULL DEFAULT '';
