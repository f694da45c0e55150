-- +goose Up

-- A wait to change a table blocks everybody who uses it. So this fails instead while a backup reads the tables.
SET LOCAL lock_timeout = '2s';

-- The defaults also serve nodes of the previous version, which may run for a while: a session that one of them creates is
-- of the first epoch.
ALTER TABLE accounts ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN kept TEXT COLLATE "C" NOT NULL DEFAULT '';

ALTER TABLE sessions ADD COLUMN epoch BIGINT NOT NULL DEFAULT 0;

CREATE TABLE revoked_sessions (
	account   TEXT   COLLATE "C" NOT NULL,
	id        TEXT   COLLATE "C" NOT NULL,
	forget_at BIGINT NOT NULL,
	PRIMARY KEY (account, id)
);

CREATE INDEX revoked_sessions_forget ON revoked_sessions (forget_at);
