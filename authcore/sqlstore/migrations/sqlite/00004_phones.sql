-- +goose Up

-- The defaults are for accounts without a number.
ALTER TABLE accounts ADD COLUMN phone_pending INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN email_pending INTEGER NOT NULL DEFAULT 0;

CREATE INDEX accounts_unvalidated ON accounts (created_at) WHERE phone_pending;

-- Nothing leads to an account, not even the order of the rows.
CREATE TABLE phones (
	phone BLOB NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

CREATE TABLE phone_codes (
	account    TEXT    NOT NULL PRIMARY KEY,
	phone      BLOB    NOT NULL,
	hash       BLOB    NOT NULL,
	tries      INTEGER NOT NULL,
	expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX phone_codes_phone ON phone_codes (phone);
CREATE INDEX phone_codes_expire ON phone_codes (expires_at);
