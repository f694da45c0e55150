package authcore

import (
	"errors"
	"fmt"
	"time"
)

// Kind says what went wrong, in terms a dialect can translate. Every dialect has an answer for every kind.
type Kind uint8

// The kinds. [Kinds] lists them all.
const (
	KindInternal           Kind = iota // a fault of ours; its text is for the log alone
	KindUnavailable                    // a store or a worker cannot be had now; retrying later may help
	KindInvalidInput                   // malformed or missing fields
	KindInvalidUsername                // breaks the username policy
	KindUsernameTaken                  // the name, or one that looks like it, belongs to somebody
	KindInvalidEmail                   // not an address that can be written to
	KindEmailTaken                     // the address belongs to another account
	KindWeakPassword                   // breaks the password policy
	KindUnknownAccount                 // no such account
	KindWrongPassword                  // the account exists, the password is another
	KindAccountDisabled                // an operator closed the account
	KindRegistrationClosed             // settings do not allow new accounts
	KindBadToken                       // not a token of ours, altered, or expired
	KindSessionOver                    // a genuine token of a session that has ended
	KindRateLimited                    // too many attempts; Error.RetryAfter says when to come back
	KindNotFound                       // something other than an account does not exist
	KindInviteRequired                 // settings allow new accounts to the invited alone
	KindBadInvite                      // no invite of ours, or one that is used up, expired, revoked or somebody else's
	KindBadCode                        // not the code that was sent, or one that is used, superseded or expired
	KindNoEmail                        // the account has no address that could be written to
	KindMailFailed                     // a message could not be sent
	KindInvalidPhone                   // not a number that could be written to, or (of a code) one that none was sent to
	KindPhoneTaken                     // the number was validated already
	KindUnverifiedPhone                // the password is right; the phone number is yet to be validated
	KindUnverifiedEmail                // the password is right; the e-mail address is yet to be validated

	numKinds
)

var kindNames = [numKinds]string{
	"internal", "unavailable", "invalid_input", "invalid_username", "username_taken", "invalid_email", "email_taken",
	"weak_password", "unknown_account", "wrong_password", "account_disabled", "registration_closed", "bad_token",
	"session_over", "rate_limited", "not_found", "invite_required", "bad_invite", "bad_code", "no_email", "mail_failed",
	"invalid_phone", "phone_taken", "unverified_phone", "unverified_email",
}

// String returns the kind's stable name, as logs show it.
func (k Kind) String() string {
	if k < numKinds {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Kinds returns every kind, so that a dialect's table can be shown to be total.
func Kinds() []Kind {
	ks := make([]Kind, numKinds)
	for i := range ks {
		ks[i] = Kind(i)
	}
	return ks
}

// Error is the one error type that leaves this package.
type Error struct {
	Kind       Kind
	Msg        string        // may be shown to anybody
	Err        error         // for the log; nil when there is no more to say
	RetryAfter time.Duration // for KindRateLimited and KindUnavailable; zero when unknown
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Kind.String() + ": " + e.Msg + ": " + e.Err.Error()
	}
	return e.Kind.String() + ": " + e.Msg
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf makes an [Error] whose text may be shown.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Msg: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of err: KindInternal for an error that is no [Error].
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindInternal
}

// AsError returns err as an [Error]; one that is none becomes a constant KindInternal error wrapping it.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: KindInternal, Msg: "internal error", Err: err}
}

// unavailable wraps a store's failure. A store's own [Error] passes as it is.
func unavailable(what string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: KindUnavailable, Msg: "service temporarily unavailable", Err: fmt.Errorf("%s: %w", what, err), RetryAfter: time.Second}
}
