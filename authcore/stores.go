package authcore

import (
	"context"
	"time"
)

// The store contracts. They hold for every backend; package storetest checks them, under concurrency.
//
// A method that fails because of what is stored returns an [Error] of the kind its comment names. Any other failure
// is the driver's error, wrapped; callers treat it as "unavailable". Nothing is half done: a method that returned an
// error either changed nothing or (when the connection broke after the commit was sent) everything. Times are kept to
// the millisecond, in UTC.

// AccountStore keeps accounts. An account must never be lost.
type AccountStore interface {
	// CreateAccount stores a under the ID it carries and returns it with its Number. Of two callers with the same
	// username, or with usernames of the same Skeleton, exactly one wins; the other gets KindUsernameTaken. The same
	// for a non-nil EmailHash and KindEmailTaken; where both are taken, KindUsernameTaken.
	CreateAccount(ctx context.Context, a Account) (Account, error)

	// AccountByID, AccountByUsername and AccountByEmailHash return the account as it is now, disabled or not, or
	// KindUnknownAccount.
	AccountByID(ctx context.Context, id AccountID) (Account, error)
	AccountByUsername(ctx context.Context, name Username) (Account, error)
	AccountByEmailHash(ctx context.Context, hash []byte) (Account, error)

	// SwapPasswordHash replaces the hash if it still is old, and reports whether it did. False without an error
	// means that somebody else changed it first, or that there is no such account.
	SwapPasswordHash(ctx context.Context, id AccountID, old, new PasswordHash) (bool, error)

	// SetDisabled closes or opens an account. KindUnknownAccount if there is none.
	SetDisabled(ctx context.Context, id AccountID, disabled bool) error
}

// Touch is a use of a session that the store has not seen yet.
type Touch struct {
	Account AccountID
	Session SessionID
	At      time.Time
}

// SessionStore keeps sessions. What was ended never comes back.
type SessionStore interface {
	// CreateSession stores a new session. The ID is fresh; one that exists is an error.
	CreateSession(ctx context.Context, s Session) error

	// Session returns the session of that account, whether or not its time is over, or KindSessionOver if there is
	// none: it has ended, or it belongs to another account.
	Session(ctx context.Context, account AccountID, id SessionID) (Session, error)

	// Sessions returns the account's sessions, the newest first, those whose time is over included until
	// DeleteExpired took them. No account or no session is an empty result.
	Sessions(ctx context.Context, account AccountID) ([]Session, error)

	// TouchSessions moves LastSeenAt forward, never back. A session that has ended is passed over, not made anew.
	TouchSessions(ctx context.Context, touches []Touch) error

	// EndSession ends one session and reports whether this call did it: of two callers, exactly one gets true. Once
	// it returned, Session finds nothing, on every node.
	EndSession(ctx context.Context, account AccountID, id SessionID) (bool, error)

	// EndSessions ends every session of the account but except (which may be empty) and returns those that this call
	// ended. A session created before the call began is ended.
	EndSessions(ctx context.Context, account AccountID, except SessionID) ([]SessionID, error)

	// DeleteExpired forgets sessions whose absolute or idle end lies before now, and says how many.
	DeleteExpired(ctx context.Context, now time.Time) (int, error)
}

// KeyPurpose says what a stored key is for; a key of one purpose is never used for another.
type KeyPurpose string

// The purposes.
const (
	KeySigning   KeyPurpose = "signing"    // Ed25519 seed; signs access tokens
	KeyEmailHash KeyPurpose = "email-hash" // 32 bytes; HMAC-SHA-256 of e-mail addresses. Never rotates.
)

// Key is a secret that chatgate made for itself.
type Key struct {
	ID        string // the "kid" of a signing key
	Purpose   KeyPurpose
	Secret    []byte
	CreatedAt time.Time
	RetiredAt time.Time // from when on a signing key only verifies; zero while it signs
	DeleteAt  time.Time // when nothing signed by it can be valid any more; zero while unknown
}

// KeyStore keeps keys.
type KeyStore interface {
	// Keys returns every key of a purpose, the newest first.
	Keys(ctx context.Context, p KeyPurpose) ([]Key, error)

	// AddKey stores k if the newest key of its purpose still is the one with ID newest ("" for: there is none), and
	// in the same transaction retires that one: RetiredAt = k.CreatedAt, DeleteAt = retireUntil. It reports whether
	// it did. Of two nodes that rotate at once exactly one wins; the other reads Keys again.
	AddKey(ctx context.Context, k Key, newest string, retireUntil time.Time) (bool, error)

	// DeleteKeys forgets keys whose DeleteAt is set and before now.
	DeleteKeys(ctx context.Context, now time.Time) error
}
