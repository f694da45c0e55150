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
	//
	// Where invite is not nil, the invite with that hash is redeemed in the same transaction: it is not for another
	// address than a's, was not revoked, does not expire before a.CreatedAt, and has a use left, which is used up exactly
	// if the account was made. Otherwise KindBadInvite, before anything is told about names and addresses.
	CreateAccount(ctx context.Context, a Account, invite []byte) (Account, error)

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

	// SetProfile changes what is not nil of an account, and returns it as it is then. KindUnknownAccount if there is none.
	SetProfile(ctx context.Context, id AccountID, displayName, avatarURL *string) (Account, error)
}

// CodeStore keeps one-time codes, in the database of the accounts.
type CodeStore interface {
	// PutCode stores a code, in the place of an earlier one for the same account and purpose.
	PutCode(ctx context.Context, c Code) error

	// TryCode counts a try of the code that was stored for a request, and returns the code. Of N callers at once no more
	// than [CodeTries] get one. KindBadCode, without a word on which, if there is no such request, or its code was used,
	// superseded, expires by now, or has no tries left.
	TryCode(ctx context.Context, p CodePurpose, request RequestID, now time.Time) (Code, error)

	// ResetPassword uses up the code of a request for [CodeReset], sets the password of its account and begins a new epoch
	// of it without a kept session, as one transaction, and returns the account as it is then. Of two callers with the
	// same code exactly one wins; the other gets KindBadCode, as does whoever has another hash than the code's, or comes
	// when it was used, superseded, or expires by now. KindAccountDisabled if the account is, and KindUnknownAccount if
	// it is gone; then the code is as it was.
	ResetPassword(ctx context.Context, request RequestID, code []byte, hash PasswordHash, now time.Time) (Account, error)

	// ConfirmEmail uses up the code of a request for [CodeEmail], and takes EmailPending from its account, as one
	// transaction. Of two callers with the same code exactly one wins; the other gets KindBadCode, as does whoever has
	// another hash than the code's, or comes when it was used, superseded, or expires by now, or when the account has
	// another address than the one with that hash, or none that is pending, or is gone.
	ConfirmEmail(ctx context.Context, request RequestID, code, emailHash []byte, now time.Time) error

	// DeleteCodes forgets codes that expired before now.
	DeleteCodes(ctx context.Context, now time.Time) error
}

// InviteStore keeps invites, in the database of the accounts.
type InviteStore interface {
	// AddInvite stores an invite and reports whether it did: false means that there is one with its hash, whatever became
	// of that.
	AddInvite(ctx context.Context, i Invite) (bool, error)

	// InviteByHash returns an invite as it is now, usable or not, or KindBadInvite.
	InviteByHash(ctx context.Context, hash []byte) (Invite, error)

	// Invites returns all that are stored, the newest first.
	Invites(ctx context.Context) ([]Invite, error)

	// RevokeInvite ends an invite; ending it again is no error, and changes nothing. KindNotFound if there is none.
	RevokeInvite(ctx context.Context, id InviteID, now time.Time) error
}

// PhoneStore keeps, in the database of the accounts, which phone numbers were validated, and what is needed until an
// account has validated one. Numbers are keyed hashes. What says that a number was validated says nothing else: neither
// by whom nor when.
type PhoneStore interface {
	// PhoneValidated reports whether a number was validated.
	PhoneValidated(ctx context.Context, phone []byte) (bool, error)

	// PutPhoneCode stores a code for a number, in the place of an earlier one of the same account, whatever the number of
	// that was. KindPhoneTaken if the number was validated, and KindUnknownAccount if there is no such account, or none
	// whose number is pending; then nothing changed.
	PutPhoneCode(ctx context.Context, c PhoneCode) error

	// TryPhoneCodes counts a try of every code that is stored for a number, and returns those, as of N callers at once no
	// more than [CodeTries] get one. KindInvalidPhone if none is stored that does not expire by now, KindBadCode if none of
	// those has tries left.
	TryPhoneCodes(ctx context.Context, phone []byte, now time.Time) ([]PhoneCode, error)

	// ValidatePhone uses up a code of an account, records that its number was validated, takes PhonePending from the
	// account, and forgets all codes for the number, as one transaction. Of N callers with codes for one number exactly
	// one wins, whichever accounts they are of. KindBadCode for the others, and for whoever has another hash than the
	// code's, or comes when it was used, superseded, or expires by now, or when the account is not pending or gone.
	ValidatePhone(ctx context.Context, c PhoneCode, now time.Time) error

	// SetPendingEmail gives an account another address, of which only the hash is kept, or none (nil), and says whether it
	// is pending: it is unless there is none. KindEmailTaken if it belongs to another account; of two callers with one
	// address exactly one wins. KindUnknownAccount if there is no such account, or none that is pending, or one whose
	// address is not pending.
	SetPendingEmail(ctx context.Context, account AccountID, emailHash []byte) error

	// DeletePhoneCodes forgets codes that expired before now or have no tries left.
	DeletePhoneCodes(ctx context.Context, now time.Time) error

	// DeleteUnvalidated deletes the accounts that were made before a time and have not validated a number yet, with their
	// codes, and says how many. One that is disabled stays, as does one that has a code for a number which does not expire
	// by now.
	DeleteUnvalidated(ctx context.Context, before, now time.Time) (int, error)
}

// DeviceStore remembers, in the database of the accounts, what accounts were used from.
type DeviceStore interface {
	// NoteDevice records that an account was used from a device, which is a hash, and reports whether it had been before,
	// and whether it ever was from any other. Of two callers with a new device at most one is told that it is new.
	NoteDevice(ctx context.Context, account AccountID, device []byte, now time.Time) (known, others bool, err error)

	// DeleteDevices forgets devices that were last noted before a time.
	DeleteDevices(ctx context.Context, before time.Time) error
}

// Touch is a use of a session that the store has not seen yet.
type Touch struct {
	Account AccountID
	Session SessionID
	At      time.Time
}

// SessionStore keeps sessions. What was ended never comes back.
type SessionStore interface {
	// CreateSession stores a new session. The ID is fresh; one that the account has already is an error.
	CreateSession(ctx context.Context, s Session) error

	// Session returns the session of that account, whether or not its time is over, or KindSessionOver if there is
	// none: it has ended, or it belongs to another account.
	Session(ctx context.Context, account AccountID, id SessionID) (Session, error)

	// Sessions returns the account's sessions, the newest first, those whose time is over included until
	// DeleteExpired took them. No account or no session is an empty result.
	Sessions(ctx context.Context, account AccountID) ([]Session, error)

	// TouchSessions moves LastSeenAt forward, never back. A session that has ended is passed over, not made anew.
	TouchSessions(ctx context.Context, touches []Touch) error

	// RotateSession moves a session from a generation to the next one, if the given one is its current or a newer one
	// (which a store that went back to an older state can find itself asked for), and otherwise leaves it as it is. It
	// returns the session as it is then; of N callers with the current generation exactly one moves it. KindSessionOver if
	// there is none, as [SessionStore.Session] has it.
	RotateSession(ctx context.Context, account AccountID, id SessionID, generation int64) (Session, error)

	// EndSession ends one session and reports whether this call did it: of two callers, exactly one gets true. Once
	// it returned, Session finds nothing, on every node.
	EndSession(ctx context.Context, account AccountID, id SessionID) (bool, error)

	// EndSessions ends every session of the account that was begun before an epoch, but except (which may be empty), and
	// returns those that this call ended. A session created before the call began is ended.
	EndSessions(ctx context.Context, account AccountID, epoch int64, except SessionID) ([]SessionID, error)

	// DeleteExpired forgets sessions whose absolute or idle end lies before now, and says how many. A store that forgets
	// them by itself, an hour after their end at the earliest, may do nothing.
	DeleteExpired(ctx context.Context, now time.Time) (int, error)
}

// RevocationStore keeps, in the database of the accounts, what was revoked. It makes a revocation outlive a
// [SessionStore] that forgot it: one restarted from an older state, or a replica that was promoted before it had heard.
type RevocationStore interface {
	// RevokeSession records that a session is over, until forget, after which no token of it can be valid. Recording it
	// again is no error, and never makes it forgotten earlier.
	RevokeSession(ctx context.Context, account AccountID, id SessionID, forget time.Time) error

	// RevokeSessions begins a new epoch of the account: every session of an earlier one is over, but for kept if its ID
	// is not empty and it is not over by then: it is of the epoch that ends, or was kept itself, and was not revoked.
	// It returns the account's new epoch, and the ID of kept where that lives on. KindUnknownAccount if there is no such
	// account.
	RevokeSessions(ctx context.Context, account AccountID, kept Session) (epoch int64, lives SessionID, err error)

	// SessionAccount returns the account as it is now, disabled or not, and whether [RevocationStore.RevokeSession]
	// recorded that session; one look at one moment. KindUnknownAccount if there is no such account.
	SessionAccount(ctx context.Context, account AccountID, id SessionID) (a Account, revoked bool, err error)

	// DeleteRevocations forgets what was to be kept until before now.
	DeleteRevocations(ctx context.Context, now time.Time) error
}

// PresenceStore knows how many live connections hang on a session, on all nodes.
type PresenceStore interface {
	// SetPresence replaces what this node says of accounts: how many live connections hang on each of their sessions. An
	// empty map takes back what it said. What a node said lapses half an hour after it said so, and at once when the
	// node ends or is no longer heard of.
	SetPresence(ctx context.Context, accounts map[AccountID]map[SessionID]int) error

	// Presence returns what all nodes together say of an account. No connection is an empty result.
	Presence(ctx context.Context, account AccountID) (map[SessionID]int, error)
}

// KeyPurpose says what a stored key is for; a key of one purpose is never used for another.
type KeyPurpose string

// The purposes.
const (
	KeySigning   KeyPurpose = "signing"    // Ed25519 seed; signs access tokens
	KeyEmailHash KeyPurpose = "email-hash" // 32 bytes; HMAC-SHA-256 of e-mail addresses. Never rotates, as those below.
	KeyUserHash  KeyPurpose = "user-hash"  // 32 bytes; HMAC-SHA-256 of usernames
	KeyCodeHash  KeyPurpose = "code-hash"  // 32 bytes; HMAC-SHA-256 of one-time codes, invites and devices
	KeyPhoneHash KeyPurpose = "phone-hash" // 32 bytes; HMAC-SHA-256 of phone numbers
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
