-- +goose Up

-- NULL where nobody who can has looked at a display name: whoever opens the database does.
ALTER TABLE accounts ADD COLUMN display_skeleton TEXT;
ALTER TABLE accounts ADD COLUMN display_clash INTEGER NOT NULL DEFAULT 0;

CREATE INDEX accounts_display ON accounts (display_skeleton);
CREATE INDEX accounts_display_unread ON accounts (number) WHERE display_skeleton IS NULL AND display_name <> '';
