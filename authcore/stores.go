package authcore

import (
	"context"
	"time"
)

// The store contracts. They hold for every backend; package storetest checks them, under concurrency.
//
// A method that fails because of what is stored returns an [Error] of the kind that its comment names. Any other failure
// is the driver's error, wrapped; callers treat it as "unavailable". Methods are atomic: one that returned an error
// changed nothing or, if the connection broke after the commit was sent, everything. Stores keep times to the
// millisecond, in UTC.

// AccountStore keeps accounts. It must never lose one.
type AccountStore interface {
	// CreateAccount stores a under its ID and returns it with its Number. Of two callers with the same username, or with
	// usernames of the same Skeleton, exactly one wins; the other gets KindUsernameTaken.
	//
	// KindEmailTaken if another account has confirmed the address of a non-nil EmailHash, or only claims it while
	// c.SharedEmail is not set or a itself comes confirmed. Of callers that share no address exactly one wins. If both are
	// taken, KindUsernameTaken.
	//
	// DisplayClash of a is not the caller's to say. It is set if the [DisplaySkeleton] of a.DisplayName is the Skeleton of
	// another account's username; from then on also for every other account whose display name is like a's username.
	//
	// If c.Invite is not nil, the same transaction redeems the invite with that hash. It must not be for another address
	// than a's, revoked, or expired before a.CreatedAt, and must have a use left, which is used up if and only if the
	// account is created. Otherwise KindBadInvite, which takes precedence over taken names and addresses.
	CreateAccount(ctx context.Context, a Account, c Creation) (Account, error)

	// AccountByID, AccountByUsername and AccountByEmailHash return the account as it is now, disabled or not, or
	// KindUnknownAccount. Of several accounts with one address the last returns the one that has confirmed it, or else
	// the one that was made first.
	AccountByID(ctx context.Context, id AccountID) (Account, error)
	AccountByUsername(ctx context.Context, name Username) (Account, error)
	AccountByEmailHash(ctx context.Context, hash []byte) (Account, error)

	// SwapPasswordHash replaces the hash if it is still old, and reports whether it did. False without an error
	// means that another caller changed it first, or that there is no such account.
	SwapPasswordHash(ctx context.Context, id AccountID, old, new PasswordHash) (bool, error)

	// SetDisabled closes or opens an account. KindUnknownAccount if there is none.
	SetDisabled(ctx context.Context, id AccountID, disabled bool) error

	// SetProfile changes the fields that are not nil, and returns the changed account. A new display name decides
	// DisplayClash as in CreateAccount. KindUnknownAccount if there is none.
	SetProfile(ctx context.Context, id AccountID, displayName, avatarURL *string) (Account, error)

	// AccountsShownAs returns the accounts whose display name is like a username, as [DisplaySkeleton] has it, in any order.
	// None is an empty result.
	AccountsShownAs(ctx context.Context, name Username) ([]AccountID, error)
}

// Creation is what making an account depends on, beside the account itself. The zero value is the strictest.
type Creation struct {
	Invite      []byte // hash of the invite to redeem; nil: none
	SharedEmail bool   // the address may be one that other accounts claim, but have not confirmed
}

// CodeStore keeps one-time codes, in the database of the accounts.
type CodeStore interface {
	// PutCode stores a code, and replaces an earlier one for the same account and purpose.
	PutCode(ctx context.Context, c Code) error

	// TryCode counts a try of the code of a request, and returns the code; at most [CodeTries] of N concurrent callers
	// get one. KindBadCode if there is no such request, or if its code was used or superseded, has expired by now, or has
	// no tries left; the error does not tell which.
	TryCode(ctx context.Context, p CodePurpose, request RequestID, now time.Time) (Code, error)

	// TryEmailCodes counts a try of every code for [CodeEmail] of the accounts that wait for an address to be validated
	// (EmailPending), and returns those, as of N callers at once no more than [CodeTries] get one. KindInvalidEmail if no
	// account waits for it, KindBadCode if none of those has a code that does not expire by now and has tries left.
	TryEmailCodes(ctx context.Context, emailHash []byte, now time.Time) ([]Code, error)

	// ResetPassword uses up the code of a request for [CodeReset], sets the password of its account and begins a new epoch
	// without a kept session, in one transaction, and returns the changed account. Of two callers with the same code
	// exactly one wins; the other gets KindBadCode, as does a caller with another hash, or with a code that was used or
	// superseded or has expired by now. KindAccountDisabled if the account is disabled, and KindUnknownAccount if it is
	// gone; both leave the code unchanged. If the account has an address that is written to, the code went there, which
	// confirms it as [CodeStore.ConfirmEmail] does.
	ResetPassword(ctx context.Context, request RequestID, code []byte, hash PasswordHash, now time.Time) (Account, error)

	// ConfirmEmail uses up the code of a request for [CodeEmail] clears EmailPending of its account and sets its
	// EmailConfirmed, in one transaction. Every other account with the address has none then, and neither codes nor
	// EmailPending. Of two callers with the same code, or with codes for one address, exactly one wins; the other gets KindBadCode, as does a caller with
	// another hash, or with a code that was used or superseded or has expired by now. Also KindBadCode if the account is
	// gone, its address is confirmed, or its address has another hash than emailHash.
	ConfirmEmail(ctx context.Context, request RequestID, code, emailHash []byte, now time.Time) error

	// DeleteCodes deletes codes that expired before now.
	DeleteCodes(ctx context.Context, now time.Time) error
}

// InviteStore keeps invites, in the database of the accounts.
type InviteStore interface {
	// AddInvite stores an invite and reports whether it did: false means that there is one with its hash, usable or not.
	AddInvite(ctx context.Context, i Invite) (bool, error)

	// InviteByHash returns an invite, usable or not, or KindBadInvite.
	InviteByHash(ctx context.Context, hash []byte) (Invite, error)

	// Invites returns all invites, newest first.
	Invites(ctx context.Context) ([]Invite, error)

	// RevokeInvite revokes an invite; doing so again changes nothing and is not an error. KindNotFound if there is none.
	RevokeInvite(ctx context.Context, id InviteID, now time.Time) error
}

// PhoneStore keeps, in the database of the accounts, the phone numbers that were validated, and the codes of pending
// validations. Numbers are keyed hashes. The record of a validated number has neither its account nor a time.
type PhoneStore interface {
	// PhoneValidated reports whether a number was validated.
	PhoneValidated(ctx context.Context, phone []byte) (bool, error)

	// PutPhoneCode stores a code for a number, and replaces an earlier one of the same account, for whichever number.
	// KindPhoneTaken if the number was validated, and KindUnknownAccount if there is no such account or its number is not
	// pending; both change nothing.
	PutPhoneCode(ctx context.Context, c PhoneCode) error

	// TryPhoneCodes counts a try of every code of a number and returns them; at most [CodeTries] of N concurrent callers
	// get one. KindInvalidPhone if all codes have expired by now or there is none, KindBadCode if none has tries left.
	TryPhoneCodes(ctx context.Context, phone []byte, now time.Time) ([]PhoneCode, error)

	// ValidatePhone uses up a code of an account, records that its number was validated, clears PhonePending of the
	// account, and deletes all codes for the number, in one transaction. Of N callers with codes for one number, of the
	// same account or not, exactly one wins; the others get KindBadCode, as does a caller with another hash, or with a code
	// that was used or superseded or has expired by now, or whose account is gone or not pending.
	ValidatePhone(ctx context.Context, c PhoneCode, now time.Time) error

	// SetPendingEmail gives an account another address, of which only the hash is kept, or none (nil). EmailPending is set
	// if there is one. KindEmailTaken if another account has confirmed it.
	// KindUnknownAccount if there is no such account, if nothing of it is pending, or if its address was confirmed.
	SetPendingEmail(ctx context.Context, account AccountID, emailHash []byte) error

	// DeletePhoneCodes deletes codes that expired before now or have no tries left.
	DeletePhoneCodes(ctx context.Context, now time.Time) error

	// DeleteUnvalidated deletes the accounts that were created before a time and have not validated their number, with
	// their codes, and returns how many. It spares disabled accounts, and those with a code for a number that has not
	// expired by now. A display name that was like one of their usernames alone clashes no more.
	DeleteUnvalidated(ctx context.Context, before, now time.Time) (int, error)
}

// DeviceStore keeps, in the database of the accounts, the devices that accounts were used from.
type DeviceStore interface {
	// NoteDevice records that an account was used from a device, which is a hash, and reports whether that device was
	// known and whether the account has others. At most one of two callers with a new device gets known as false.
	NoteDevice(ctx context.Context, account AccountID, device []byte, now time.Time) (known, others bool, err error)

	// DeleteDevices deletes devices that were last noted before a time.
	DeleteDevices(ctx context.Context, before time.Time) error
}

// NetworkStore keeps, in the database of the accounts, the networks that accounts were logged in to from, as keyed hashes.
// It knows accounts by their IDs alone, whether or not they exist.
type NetworkStore interface {
	// NoteNetwork records that an account was logged in to from a network, and moves the time forward, never back.
	NoteNetwork(ctx context.Context, account AccountID, network []byte, now time.Time) error

	// KnowsNetwork reports whether NoteNetwork recorded that.
	KnowsNetwork(ctx context.Context, account AccountID, network []byte) (bool, error)

	// DeleteNetworks deletes networks that were last noted before a time.
	DeleteNetworks(ctx context.Context, before time.Time) error
}

// Touch is a use of a session that is not stored yet.
type Touch struct {
	Account AccountID
	Session SessionID
	At      time.Time
}

// SessionStore keeps sessions. A session that has ended never comes back.
type SessionStore interface {
	// CreateSession stores a new session. An ID that the account has already is an error.
	CreateSession(ctx context.Context, s Session) error

	// Session returns a session of the account, expired or not, or KindSessionOver if there is none, because it has ended
	// or belongs to another account.
	Session(ctx context.Context, account AccountID, id SessionID) (Session, error)

	// Sessions returns the account's sessions, newest first, including expired ones until DeleteExpired deletes them. The
	// result is empty if there is no session or no account.
	Sessions(ctx context.Context, account AccountID) ([]Session, error)

	// TouchSessions moves LastSeenAt forward, never back. It skips sessions that have ended, and creates none.
	TouchSessions(ctx context.Context, touches []Touch) error

	// RotateSession moves a session from a generation to the next one, if the given one is its current or a newer one
	// (which a store that went back to an older state can find itself asked for). Then r.At is added to its Rotations, in
	// the place of all if the given one was newer. Where the session was moved, or the given generation is the direct
	// predecessor of its current one, RefreshedBy becomes r.By; otherwise it stays as it is. It returns the session as it is
	// then; of N callers with the current generation exactly one moves it. KindSessionOver if there is none, as
	// [SessionStore.Session] has it.
	RotateSession(ctx context.Context, account AccountID, id SessionID, generation int64, r Rotation) (Session, error)

	// EndSession ends one session and reports whether this call did: of two callers, exactly one gets true. Once it has
	// returned, Session finds nothing, on every node.
	EndSession(ctx context.Context, account AccountID, id SessionID) (bool, error)

	// EndSessions ends every session of the account from an earlier epoch, but not except (which may be empty), and
	// returns those that this call ended. It ends every such session that was created before the call began.
	EndSessions(ctx context.Context, account AccountID, epoch int64, except SessionID) ([]SessionID, error)

	// DeleteExpired deletes sessions whose absolute or idle end is before now, and returns how many. A store whose
	// sessions expire by themselves, an hour after their end at the earliest, may do nothing.
	DeleteExpired(ctx context.Context, now time.Time) (int, error)
}

// RevocationStore keeps revocations in the database of the accounts. There they outlive a [SessionStore] that lost them,
// because it restarted from an older state or a replica was promoted before it had them.
type RevocationStore interface {
	// RevokeSession records that a session is over, until forget, after which no token of it can be valid. Recording it
	// again is not an error, and never shortens that time.
	RevokeSession(ctx context.Context, account AccountID, id SessionID, forget time.Time) error

	// RevokeSessions begins a new epoch of the account, which ends every session of an earlier one except kept. kept (its
	// ID may be empty) lives on if it is of the epoch that ends, or was itself kept by the previous call, and was not
	// revoked. It returns the new epoch, and the ID of kept if that lives on. KindUnknownAccount if there is no such
	// account.
	RevokeSessions(ctx context.Context, account AccountID, kept Session) (epoch int64, lives SessionID, err error)

	// SessionAccount returns the account, disabled or not, and whether [RevocationStore.RevokeSession] recorded that
	// session, both as of one moment. KindUnknownAccount if there is no such account.
	SessionAccount(ctx context.Context, account AccountID, id SessionID) (a Account, revoked bool, err error)

	// DeleteRevocations deletes the records whose forget is before now.
	DeleteRevocations(ctx context.Context, now time.Time) error
}

// PresenceStore keeps the number of live connections of each session, on all nodes.
type PresenceStore interface {
	// SetPresence replaces this node's numbers of live connections for each session of the accounts. An empty map removes
	// an account's. Numbers expire after half an hour, and at once when their node ends or is no longer heard of.
	SetPresence(ctx context.Context, accounts map[AccountID]map[SessionID]int) error

	// Presence returns the sum over all nodes for an account. The result is empty if there is no connection.
	Presence(ctx context.Context, account AccountID) (map[SessionID]int, error)
}

// KeyPurpose is the use of a stored key; a key of one purpose is never used for another.
type KeyPurpose string

// The purposes.
const (
	KeySigning   KeyPurpose = "signing"    // Ed25519 seed; signs access tokens
	KeyEmailHash KeyPurpose = "email-hash" // 32 bytes; HMAC-SHA-256 of e-mail addresses. Never rotates, like those below
	KeyUserHash  KeyPurpose = "user-hash"  // 32 bytes; HMAC-SHA-256 of usernames
	KeyCodeHash  KeyPurpose = "code-hash"  // 32 bytes; HMAC-SHA-256 of one-time codes, invites and devices
	KeyPhoneHash KeyPurpose = "phone-hash" // 32 bytes; HMAC-SHA-256 of phone numbers
)

// Key is a secret that chatgate generated.
type Key struct {
	ID        string // the "kid" of a signing key
	Purpose   KeyPurpose
	Secret    []byte
	CreatedAt time.Time
	RetiredAt time.Time // since when a signing key only verifies; zero while it signs
	DeleteAt  time.Time // when the last token signed by it has expired; zero while unknown
}

// KeyStore keeps keys.
type KeyStore interface {
	// Keys returns every key of a purpose, newest first.
	Keys(ctx context.Context, p KeyPurpose) ([]Key, error)

	// AddKey stores k if the newest key of its purpose still has the ID newest ("" if there is none), and in the same
	// transaction retires that one: RetiredAt = k.CreatedAt, DeleteAt = retireUntil. It reports whether it did. Of two
	// nodes that rotate at once exactly one wins; the other reads Keys again.
	AddKey(ctx context.Context, k Key, newest string, retireUntil time.Time) (bool, error)

	// DeleteKeys deletes keys whose DeleteAt is set and before now.
	DeleteKeys(ctx context.Context, now time.Time) error
}
