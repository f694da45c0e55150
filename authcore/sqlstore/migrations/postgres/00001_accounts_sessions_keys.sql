-- +goose Up

-- If two processes begin a migration at once, only one can record it, and so apply it.
CREATE UNIQUE INDEX chatgate_migrations_once ON chatgate_migrations (version_id);

-- Compare text by its bytes, whatever the database's collation.
CREATE TABLE accounts (
	number        BIGINT  GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	id            TEXT    COLLATE "C" NOT NULL UNIQUE,
	username      TEXT    COLLATE "C" NOT NULL UNIQUE,
	skeleton      TEXT    COLLATE "C" NOT NULL UNIQUE,
	display_name  TEXT    NOT NULL,
	avatar_url    TEXT    NOT NULL,
	bot           BOOLEAN NOT NULL,
	email         TEXT    NOT NULL,
	email_hash    BYTEA   UNIQUE,
	password_hash TEXT    COLLATE "C" NOT NULL,
	disabled      BOOLEAN NOT NULL,
	created_at    BIGINT  NOT NULL
);

CREATE TABLE sessions (
	account      TEXT   COLLATE "C" NOT NULL,
	id           TEXT   COLLATE "C" NOT NULL,
	created_at   BIGINT NOT NULL,
	last_seen_at BIGINT NOT NULL,
	expires_at   BIGINT NOT NULL,
	idle_limit   BIGINT NOT NULL,
	generation   BIGINT NOT NULL,
	dialect      TEXT   NOT NULL,
	addr         TEXT   NOT NULL,
	user_agent   TEXT   NOT NULL,
	PRIMARY KEY (account, id)
);

CREATE INDEX sessions_expire ON sessions (expires_at);
CREATE INDEX sessions_idle ON sessions ((last_seen_at + idle_limit)) WHERE idle_limit > 0;

CREATE TABLE keys (
	number     BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	purpose    TEXT   COLLATE "C" NOT NULL,
	id         TEXT   COLLATE "C" NOT NULL,
	secret     BYTEA  NOT NULL,
	created_at BIGINT NOT NULL,
	retired_at BIGINT,
	delete_at  BIGINT,
	UNIQUE (purpose, id)
);

CREATE UNIQUE INDEX keys_newest ON keys (purpose) WHERE retired_at IS NULL;
