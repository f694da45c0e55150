-- +goose Up

-- The networks that accounts were logged in to from, as keyed hashes.
CREATE TABLE networks (
	account TEXT    NOT NULL,
	network BLOB    NOT NULL,
	seen_at INTEGER NOT NULL,
	PRIMARY KEY (account, network)
) STRICT, WITHOUT ROWID;

CREATE INDEX networks_seen ON networks (seen_at);
