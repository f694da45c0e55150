-- +goose Up

-- The networks that accounts were logged in to from, as keyed hashes.
CREATE TABLE networks (
	account TEXT   COLLATE "C" NOT NULL,
	network BYTEA  NOT NULL,
	seen_at BIGINT NOT NULL,
	PRIMARY KEY (account, network)
);

CREATE INDEX networks_seen ON networks (seen_at);
