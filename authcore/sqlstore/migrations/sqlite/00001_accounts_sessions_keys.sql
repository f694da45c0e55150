-- +goose Up

-- If two processes begin a migration at once, only one can record it, and so apply it.
CREATE UNIQUE INDEX chatgate_migrations_once ON chatgate_migrations (version_id);

CREATE TABLE accounts (
	number        INTEGER PRIMARY KEY AUTOINCREMENT,
	id            TEXT    NOT NULL UNIQUE,
	username      TEXT    NOT NULL UNIQUE,
	skeleton      TEXT    NOT NULL UNIQUE,
	display_name  TEXT    NOT NULL,
	avatar_url    TEXT    NOT NULL,
	bot           INTEGER NOT NULL,
	email         TEXT    NOT NULL,
	email_hash    BLOB    UNIQUE,
	password_hash TEXT    NOT NULL,
	disabled      INTEGER NOT NULL,
	created_at    INTEGER NOT NULL
) STRICT;

CREATE TABLE sessions (
	account      TEXT    NOT NULL,
	id           TEXT    NOT NULL,
	created_at   INTEGER NOT NULL,
	last_seen_at INTEGER NOT NULL,
	expires_at   INTEGER NOT NULL,
	idle_limit   INTEGER NOT NULL,
	generation   INTEGER NOT NULL,
	dialect      TEXT    NOT NULL,
	addr         TEXT    NOT NULL,
	user_agent   TEXT    NOT NULL,
	PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX sessions_expire ON sessions (expires_at);
CREATE INDEX sessions_idle ON sessions ((last_seen_at + idle_limit)) WHERE idle_limit > 0;

CREATE TABLE keys (
	number     INTEGER PRIMARY KEY AUTOINCREMENT,
	purpose    TEXT    NOT NULL,
	id         TEXT    NOT NULL,
	secret     BLOB    NOT NULL,
	created_at INTEGER NOT NULL,
	retired_at INTEGER,
	delete_at  INTEGER,
	UNIQUE (purpose, id)
) STRICT;

CREATE UNIQUE INDEX keys_newest ON keys (purpose) WHERE retired_at IS NULL;
