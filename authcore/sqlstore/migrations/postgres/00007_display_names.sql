-- +goose Up

-- Whoever waits to change a table makes everybody wait who uses it. While a backup reads the tables, this fails instead.
SET LOCAL lock_timeout = '2s';

-- NULL where nobody who can has looked at a display name: whoever opens the database does.
ALTER TABLE accounts ADD COLUMN display_skeleton TEXT COLLATE "C";
ALTER TABLE accounts ADD COLUMN display_clash BOOLEAN NOT NULL DEFAULT false;

CREATE INDEX accounts_display ON accounts (display_skeleton);
CREATE INDEX accounts_display_unread ON accounts (number) WHERE display_skeleton IS NULL AND display_name <> '';
