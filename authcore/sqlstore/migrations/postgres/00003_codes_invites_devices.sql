-- +goose Up

CREATE TABLE codes (
	account    TEXT   COLLATE "C" NOT NULL,
	purpose    TEXT   COLLATE "C" NOT NULL,
	request    TEXT   COLLATE "C" NOT NULL UNIQUE,
	hash       BYTEA  NOT NULL,
	tries      BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	PRIMARY KEY (account, purpose)
);

CREATE INDEX codes_expire ON codes (expires_at);

CREATE TABLE invites (
	id         TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	hash       BYTEA  NOT NULL UNIQUE,
	uses       BIGINT NOT NULL,
	used       BIGINT NOT NULL,
	email_hash BYTEA,
	created_at BIGINT NOT NULL,
	expires_at BIGINT NOT NULL,
	revoked_at BIGINT,
	CHECK (used BETWEEN 0 AND uses)
);

CREATE TABLE devices (
	account TEXT   COLLATE "C" NOT NULL,
	device  BYTEA  NOT NULL,
	seen_at BIGINT NOT NULL,
	PRIMARY KEY (account, device)
);

CREATE INDEX devices_seen ON devices (seen_at);
