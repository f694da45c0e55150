-- +goose Up

CREATE TABLE codes (
	account    TEXT    NOT NULL,
	purpose    TEXT    NOT NULL,
	request    TEXT    NOT NULL UNIQUE,
	hash       BLOB    NOT NULL,
	tries      INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	PRIMARY KEY (account, purpose)
) STRICT, WITHOUT ROWID;

CREATE INDEX codes_expire ON codes (expires_at);

CREATE TABLE invites (
	id         TEXT    NOT NULL PRIMARY KEY,
	hash       BLOB    NOT NULL UNIQUE,
	uses       INTEGER NOT NULL,
	used       INTEGER NOT NULL,
	email_hash BLOB,
	created_at INTEGER NOT NULL,
	expires_at INTEGER NOT NULL,
	revoked_at INTEGER,
	CHECK (used BETWEEN 0 AND uses)
) STRICT, WITHOUT ROWID;

CREATE TABLE devices (
	account TEXT    NOT NULL,
	device  BLOB    NOT NULL,
	seen_at INTEGER NOT NULL,
	PRIMARY KEY (account, device)
) STRICT, WITHOUT ROWID;

CREATE INDEX devices_seen ON devices (seen_at);
