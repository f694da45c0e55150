-- +goose Up

-- A wait to change a table blocks everybody who uses it. So this fails instead while a backup reads the tables.
SET LOCAL lock_timeout = '2s';

-- The defaults are for accounts without a number.
ALTER TABLE accounts ADD COLUMN phone_pending BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE accounts ADD COLUMN email_pending BOOLEAN NOT NULL DEFAULT false;

CREATE INDEX accounts_unvalidated ON accounts (created_at) WHERE phone_pending;

-- No column leads to an account.
CREATE TABLE phones (
	phone BYTEA NOT NULL PRIMARY KEY
);

CREATE TABLE phone_codes (
	account    TEXT   COLLATE "C" NOT NULL PRIMARY KEY,
	phone      BYTEA  NOT NULL,
	hash       BYTEA  NOT NULL,
	tries      BIGINT NOT NULL,
	expires_at BIGINT NOT NULL
);

CREATE INDEX phone_codes_phone ON phone_codes (phone);
CREATE INDEX phone_codes_expire ON phone_codes (expires_at);
