-- +goose Up

-- The defaults also serve nodes of the previous version, which may run for a while: a session that one of them creates is
-- of the first epoch.
ALTER TABLE accounts ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN kept TEXT NOT NULL DEFAULT '';

ALTER TABLE sessions ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;

CREATE TABLE revoked_sessions (
	account   TEXT    NOT NULL,
	id        TEXT    NOT NULL,
	forget_at INTEGER NOT NULL,
	PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;

CREATE INDEX revoked_sessions_forget ON revoked_sessions (forget_at);
