// Package sqlstore keeps accounts, sessions, revocations, codes, invites, phone numbers, devices and keys in an SQL
// database. A [Store] implements [authcore.AccountStore], [authcore.SessionStore], [authcore.RevocationStore],
// [authcore.CodeStore], [authcore.InviteStore], [authcore.PhoneStore], [authcore.DeviceStore] and [authcore.KeyStore];
// package storetest tests it against their contracts.
//
// The queries are the same for every database: $1 placeholders, ON CONFLICT, RETURNING, partial indexes, and nothing
// specific to one. Differences are in the file named after the database and in its migrations.
//
// # Tables
//
// Times are Unix milliseconds, durations are milliseconds, and a missing value is NULL.
//
//	accounts  number         integer, assigned by the database, never reused; primary key
//	          id             text, unique
//	          username       text, unique
//	          skeleton       text, unique: authcore.Username.Skeleton of the username
//	          display_name   text
//	          display_skeleton
//	                         text, indexed: authcore.DisplaySkeleton of it; NULL until a store has looked at it
//	          display_clash  boolean: that is the skeleton of another account's username
//	          avatar_url     text
//	          bot            boolean
//	          email          text, empty when there is none
//	          email_hash     bytes, indexed, NULL when there is none
//	          email_confirmed
//	                         boolean: its owner has proven to read the address; email_hash is unique among those
//	          password_hash  text
//	          disabled       boolean
//	          phone_pending  boolean: its phone number is not validated yet; then indexed by created_at
//	          email_pending  boolean: its address is not validated yet
//	          epoch          integer, of its sessions; it only grows
//	          kept           text, the session of an earlier epoch that lives on; empty when there is none
//	          created_at     time
//
//	sessions  account        text    primary key (account, id). There is no reference to accounts, because sessions
//	          id             text    can be in another database than accounts.
//	          created_at     time
//	          last_seen_at   time
//	          expires_at     time, indexed
//	          idle_limit     duration, 0 for none; last_seen_at + idle_limit is indexed
//	          generation     integer
//	          epoch          integer, of the account when the session began
//	          dialect        text
//	          addr           text, empty when it was unknown
//	          user_agent     text
//	          rotations      text: authcore.Rotations
//	          refreshed_by   text, empty before the first refresh
//
//	revoked_sessions
//	          account        text    primary key (account, id). There is no reference to sessions, for the
//	          id             text    same reason.
//	          forget_at      time, indexed
//
//	codes     account        text    primary key (account, purpose): a new code replaces the one before it.
//	          purpose        text    There is no reference to accounts; a code without its account expires.
//	          request        text, unique
//	          hash           bytes
//	          tries          integer, so far
//	          expires_at     time, indexed
//
//	invites   id             text, primary key
//	          hash           bytes, unique
//	          uses           integer, in all
//	          used           integer, so far; never more than uses
//	          email_hash     bytes, NULL when it is for anybody
//	          created_at     time
//	          expires_at     time
//	          revoked_at     time, NULL until it is revoked
//
//	phones    phone          bytes, primary key: a keyed hash. No account, no time and no row number. (The files of a
//	                         database may still tell which rows were written together.)
//
//	phone_codes
//	          account        text, primary key: a new code replaces the one before it. A row exists while a validation
//	                         is pending, and at most a minute after it expired.
//	          phone          bytes, indexed
//	          hash           bytes
//	          tries          integer, so far
//	          expires_at     time, indexed
//
//	devices   account        text    primary key (account, device)
//	          device         bytes, a hash
//	          seen_at        time, indexed; it only grows
//
//	networks  account        text    primary key (account, network)
//	          network        bytes, a keyed hash
//	          seen_at        time, indexed; it only grows
//
//	keys      number         integer, assigned by the database: the order in which keys were added
//	          purpose        text    unique (purpose, id)
//	          id             text
//	          secret         bytes
//	          created_at     time
//	          retired_at     time, NULL for the newest; unique (purpose) among those
//	          delete_at      time, NULL while unknown
//
// Skeletons are stored, so a change to the table of look-alikes needs a migration that computes them again.
//
// # Concurrency
//
// The database makes every decision, by a unique index or a conditional write whose row count is the answer. No method
// reads first and writes after. Every writing method is one transaction, so an error means that nothing changed, unless
// the commit itself was cut off. A transaction that the database rolled back for another, as after a deadlock, is tried
// again.
//
// Reading a session's account is one statement, so that its epoch and the session's revocation are of one moment. A
// session that is revoked while it becomes the kept one may be both; then the revocation counts.
//
// A code that resets a password is deleted in the transaction that sets the password, so one of two callers with it finds
// it gone; a try of it is one conditional UPDATE. An invite is redeemed in the transaction that creates the account, and
// before the account, so that a caller without a valid invite learns nothing about names. Concurrent redemptions of one
// invite are serialised; if the account is not created, the use is rolled back. A conditional UPDATE changes a session's
// generation, which is read in the same transaction. A lock on the account serialises devices that are new at once, so
// that each sees those before it.
//
// The row that records a phone number validates it, and is unique: of several accounts that wait for one number, the
// first to insert it wins, and in the same transaction is marked as validated and deletes every code for the number. That
// transaction, and the one that stores a code, lock the account first.
//
// After a commit that was cut off, trying again tells whether it happened: a used code is a bad one, as is an invite
// without a use left, or the name is taken; a rotation returns the generation that it made.
//
// # Migrations
//
// Opening a database brings it up to date. Each numbered migration runs in a transaction with the row in
// chatgate_migrations that records it. That row's number is unique, so of several processes that start at once one
// applies a migration and the others see that it did. A database of a newer chatgate or of another program is refused.
// There are no migrations downwards, which would lose accounts. A node of the previous version goes on working while
// others are upgraded: columns that a migration adds have defaults, and the older node does not use what else it adds.
//
//	1  accounts, sessions, keys
//	2  revoked_sessions; epoch and kept of accounts, epoch of sessions
//	3  codes, invites, devices
//	4  phones, phone_codes; phone_pending and email_pending of accounts
//	5  rotations and refreshed_by of sessions
//	6  email_confirmed of accounts; email_hash need not be unique any more
//	7  display_skeleton and display_clash of accounts
//	8  networks
//
// # SQLite
//
// One file in write-ahead mode with full synchronisation, so that acknowledged writes survive a kill and a power cut. One
// connection writes, and takes the write lock when a transaction begins; the others can only read. Only the owner can
// read the file, since it holds the keys.
//
// # PostgreSQL
//
// A pool of connections to a server, which any number of nodes may share; READ COMMITTED is enough for every query. The
// database's encoding is UTF8, and text is compared by its bytes. A migration holds an advisory lock.
//
// The limits in [PostgresOptions] bound every wait: for a free or new connection, for the answer to each statement, and
// for both together. The server knows the limit for statements, and the store enforces it if the server does not answer.
// A wait for a lock ends after a third of it; then the transaction is rolled back and tried again, which also resolves a
// deadlock sooner than the server would notice it. Failed connections are closed, and made anew when needed; so are, after
// some seconds, connections that can only read. A caller who leaves does not cut off a commit, whose outcome it would not
// learn; but soon after the caller's deadline the wait for it ends, and it may or may not have happened.
package sqlstore
