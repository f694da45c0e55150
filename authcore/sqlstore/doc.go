// Package sqlstore keeps accounts, sessions, revocations, codes, invites, phone numbers, devices and keys in SQL. A [Store] implements
// [authcore.AccountStore], [authcore.SessionStore], [authcore.RevocationStore], [authcore.CodeStore],
// [authcore.InviteStore], [authcore.PhoneStore], [authcore.DeviceStore] and [authcore.KeyStore]; package storetest holds it
// to their contracts.
//
// The queries are the same for every database: $1 placeholders, ON CONFLICT, RETURNING, partial indexes, and nothing
// that only one of them knows. What differs stands in the file named after the database and in its migrations.
//
// # Tables
//
// Times are Unix milliseconds, durations milliseconds; what may be absent is NULL.
//
//	accounts  number         integer, assigned by the database, never reused; primary key
//	          id             text, unique
//	          username       text, unique
//	          skeleton       text, unique: authcore.Username.Skeleton of the username
//	          display_name   text
//	          avatar_url     text
//	          bot            boolean
//	          email          text, empty when there is none
//	          email_hash     bytes, unique, NULL when there is none
//	          password_hash  text
//	          disabled       boolean
//	          phone_pending  boolean: its phone number is yet to be validated; indexed by created_at while it is
//	          email_pending  boolean: its address is
//	          epoch          integer, of its sessions; it only grows
//	          kept           text, the session of an earlier epoch that lives on; empty when there is none
//	          created_at     time
//
//	sessions  account        text    primary key (account, id). There is no reference to accounts, because sessions
//	          id             text    can be kept in another database than accounts.
//	          created_at     time
//	          last_seen_at   time
//	          expires_at     time, indexed
//	          idle_limit     duration, 0 for none; last_seen_at + idle_limit is indexed
//	          generation     integer
//	          epoch          integer, of the account when the session was begun
//	          dialect        text
//	          addr           text, empty when it was not known
//	          user_agent     text
//
//	revoked_sessions
//	          account        text    primary key (account, id). These are sessions that may be kept elsewhere,
//	          id             text    so there is no reference to sessions either.
//	          forget_at      time, indexed
//
//	codes     account        text    primary key (account, purpose): a new code takes the place of the one before it.
//	          purpose        text    There is no reference to accounts; a code that is left behind expires.
//	          request        text, unique
//	          hash           bytes
//	          tries          integer, so far
//	          expires_at     time, indexed
//
//	invites   id             text, primary key
//	          hash           bytes, unique
//	          uses           integer, that it has
//	          used           integer, of them; never more
//	          email_hash     bytes, NULL where it is for anybody
//	          created_at     time
//	          expires_at     time
//	          revoked_at     time, NULL while it is not
//
//	phones    phone          bytes, primary key: a keyed hash. That is all: no account, no time, no number of a row. (How a
//	                         database stores rows may still tell, to whoever reads its files, what was written together.)
//
//	phone_codes
//	          account        text, primary key: a new code takes the place of the one before it. A row is there while a
//	                         validation is pending: it goes with it, or a minute after it expired.
//	          phone          bytes, indexed
//	          hash           bytes
//	          tries          integer, so far
//	          expires_at     time, indexed
//
//	devices   account        text    primary key (account, device)
//	          device         bytes, a hash
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
// Skeletons are stored. A change to the table of look-alikes needs a migration that computes them anew.
//
// # Who wins
//
// Every decision is left to the database: a unique index, or a conditional write whose count of rows is the answer.
// No method reads first and writes after. Every writing method is one transaction, so an error means that nothing
// changed, unless the commit itself was cut off. A transaction that the database undid in favour of another, as it does
// to resolve a deadlock, is tried again.
//
// A look at a session's account is one statement, so that its epoch and the session's revocation are of one moment. A
// session that is revoked while it becomes the kept one may be both; being revoked counts.
//
// A code that resets a password is deleted in the transaction that sets the password, so of two callers with it one finds
// it gone; a try of it is one conditional UPDATE. An invite is redeemed in the transaction that makes the account, and
// before the account: whoever comes without a good one learns nothing about names. Those who redeem one invite at once
// come one after the other; where the account is not made, the use is taken back with it. A session's generation is moved
// by a conditional UPDATE, and read in the same transaction. Of the devices of an account, those that are new at once
// come one after the other, by a lock on the account, so that each sees the ones before it.
//
// A phone number is validated by the row that records it, which there can be one of: of several accounts that wait for one
// number, the first to record it wins, and in the same transaction stops waiting and deletes every code for the number.
// What that transaction, and the one that stores a code, lock first is the account.
//
// Where a commit was cut off, trying again tells: a code that was used is a bad one, and so is an invite of one use, or the
// name is taken; a rotation returns the generation that it made.
//
// # Migrations
//
// Opening a database brings it up to date, each numbered migration in a transaction of its own with the row in
// chatgate_migrations that records it. That row's number is unique, so of several processes that start at once one
// applies a migration and the others see that it did. A database from a newer chatgate is refused, and so is one that
// belongs to another program. There are no migrations downwards: they would lose accounts. A node of the version before
// goes on working while others are upgraded: what a migration adds to a table has defaults, and what it adds beside them
// the older node does not use.
//
//	1  accounts, sessions, keys
//	2  revoked_sessions; epoch and kept of accounts, epoch of sessions
//	3  codes, invites, devices
//	4  phones, phone_codes; phone_pending and email_pending of accounts
//
// # SQLite
//
// One file in write-ahead mode with full synchronisation: what was acknowledged survives a kill and a power cut. One
// connection writes, taking the write lock when a transaction begins; others read, and cannot write. The file is
// readable by its owner alone, since it holds the keys.
//
// # PostgreSQL
//
// A pool of connections to a server, which any number of nodes may share; READ COMMITTED is enough for every query. The
// encoding of the database is UTF8, and text is compared by its bytes. Whoever migrates holds an advisory lock.
//
// No call waits for longer than the limits in [PostgresOptions] say: for a free or a new connection, for the answer to
// each statement, and for both together. The server is told the limit for statements, and the store keeps it by itself
// where the server does not answer. Nobody waits for a lock for more than a third of it: the transaction is undone, and
// tried again, which also resolves a deadlock sooner than the server would notice it. A connection that failed is thrown
// away, and the next call that needs one makes a new one; so is, after some seconds, one that can only read. A commit
// that is under way is not cut off by a caller who leaves, so that the caller learns what became of it; but soon after
// the caller's deadline it is given up, and may or may not have been done.
package sqlstore
