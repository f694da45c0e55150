-- +goose Up

-- Whoever waits to change a table makes everybody wait who uses it. While a backup reads the tables, this fails instead.
SET LOCAL lock_timeout = '2s';

ALTER TABLE accounts ADD COLUMN email_confirmed BOOLEAN NOT NULL DEFAULT false;

-- Only the dialect line has had addresses validated. It keeps their hashes alone.
UPDATE accounts SET email_confirmed = true WHERE email = '' AND email_hash IS NOT NULL AND NOT email_pending;

-- An address is unique among those who have confirmed it. Nodes of the version before go on: what one of them stores is a
-- claim. Until the last of them is gone, two may make accounts with one address where there is no mail.
CREATE INDEX accounts_email ON accounts (email_hash);
CREATE UNIQUE INDEX accounts_email_confirmed ON accounts (email_hash) WHERE email_confirmed;
ALTER TABLE accounts DROP CONSTRAINT accounts_email_hash_key;
