-- +goose Up

-- An address is unique among those who have confirmed it, so the table is made anew without the constraint. It takes the
-- numbers that were given away along, since none is ever given twice.
CREATE TABLE accounts_next (
	number          INTEGER PRIMARY KEY AUTOINCREMENT,
	id              TEXT    NOT NULL UNIQUE,
	username        TEXT    NOT NULL UNIQUE,
	skeleton        TEXT    NOT NULL UNIQUE,
	display_name    TEXT    NOT NULL,
	avatar_url      TEXT    NOT NULL,
	bot             INTEGER NOT NULL,
	email           TEXT    NOT NULL,
	email_hash      BLOB,
	password_hash   TEXT    NOT NULL,
	disabled        INTEGER NOT NULL,
	created_at      INTEGER NOT NULL,
	epoch           INTEGER NOT NULL DEFAULT 0,
	kept            TEXT    NOT NULL DEFAULT '',
	phone_pending   INTEGER NOT NULL DEFAULT 0,
	email_pending   INTEGER NOT NULL DEFAULT 0,
	email_confirmed INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Only the dialect line has had addresses validated. It keeps their hashes alone.
INSERT INTO accounts_next SELECT number, id, username, skeleton, display_name, avatar_url, bot, email, email_hash,
	password_hash, disabled, created_at, epoch, kept, phone_pending, email_pending,
	email = '' AND email_hash IS NOT NULL AND NOT email_pending
FROM accounts;

DELETE FROM sqlite_sequence WHERE name = 'accounts_next';
INSERT INTO sqlite_sequence (name, seq) SELECT 'accounts_next', seq FROM sqlite_sequence WHERE name = 'accounts';

DROP TABLE accounts;
ALTER TABLE accounts_next RENAME TO accounts;

CREATE INDEX accounts_unvalidated ON accounts (created_at) WHERE phone_pending;
CREATE INDEX accounts_email ON accounts (email_hash);
CREATE UNIQUE INDEX accounts_email_confirmed ON accounts (email_hash) WHERE email_confirmed;
