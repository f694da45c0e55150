-- +goose Up

-- Whoever waits to change a table makes everybody wait who uses it. While a backup reads the tables, this fails instead.
SET LOCAL lock_timeout = '2s';

-- The defaults are also for nodes of the version before, which may go on for a while: a session that one of them makes
-- is of the first epoch.
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
