package authcore

import (
	"errors"
	"fmt"
	"time"
)

// Kind is what went wrong, for dialects to translate. A new kind needs a constant here and a row in kinds. A dialect
// names it only if its contract has a separate answer for it; otherwise it answers with the kind's [Class].
type Kind uint8

// The kinds. [Kinds] lists them all.
const (
	KindInternal           Kind = iota // an internal fault; its text is for the log alone
	KindUnavailable                    // a store or a worker does not respond; retrying later may help
	KindInvalidInput                   // malformed or missing fields
	KindInvalidUsername                // breaks the username policy
	KindUsernameTaken                  // another account has the name, or one that looks like it
	KindInvalidEmail                   // not an address that mail can be sent to
	KindEmailTaken                     // another account has the address
	KindWeakPassword                   // breaks the password policy
	KindUnknownAccount                 // no such account
	KindWrongPassword                  // the account exists, but has another password
	KindAccountDisabled                // an operator disabled the account
	KindRegistrationClosed             // the settings allow no new accounts
	KindBadToken                       // forged, altered, malformed or expired
	KindSessionOver                    // a genuine token of a session that has ended
	KindRateLimited                    // too many attempts; Error.RetryAfter says when to come back
	KindNotFound                       // something other than an account does not exist
	KindInviteRequired                 // the settings allow new accounts only with an invite
	KindBadInvite                      // an invite that is unknown, used up, expired, revoked or bound to another address
	KindBadCode                        // a code that is wrong, used, superseded or expired
	KindNoEmail                        // the account has no address to send mail to
	KindMailFailed                     // a message could not be sent
	KindInvalidPhone                   // not a number that can get messages, or a code for a number that none was sent to
	KindPhoneTaken                     // the number is validated already
	KindUnverifiedPhone                // the password is right, but the phone number is not validated yet
	KindUnverifiedEmail                // the password is right, but the e-mail address is not validated yet

	numKinds
)

// kinds has the stable name, as logs show it, and the class of every kind.
var kinds = [numKinds]struct {
	name  string
	class Class
}{
	KindInternal:           {"internal", ClassInternal},
	KindUnavailable:        {"unavailable", ClassUnavailable},
	KindInvalidInput:       {"invalid_input", ClassInvalid},
	KindInvalidUsername:    {"invalid_username", ClassInvalid},
	KindUsernameTaken:      {"username_taken", ClassConflict},
	KindInvalidEmail:       {"invalid_email", ClassInvalid},
	KindEmailTaken:         {"email_taken", ClassConflict},
	KindWeakPassword:       {"weak_password", ClassInvalid},
	KindUnknownAccount:     {"unknown_account", ClassCredentials},
	KindWrongPassword:      {"wrong_password", ClassCredentials},
	KindAccountDisabled:    {"account_disabled", ClassBarred},
	KindRegistrationClosed: {"registration_closed", ClassRegistration},
	KindBadToken:           {"bad_token", ClassToken},
	KindSessionOver:        {"session_over", ClassToken},
	KindRateLimited:        {"rate_limited", ClassTooMany},
	KindNotFound:           {"not_found", ClassNotFound},
	KindInviteRequired:     {"invite_required", ClassRegistration},
	KindBadInvite:          {"bad_invite", ClassRegistration},
	KindBadCode:            {"bad_code", ClassCredentials},
	KindNoEmail:            {"no_email", ClassConflict},
	KindMailFailed:         {"mail_failed", ClassUnavailable},
	KindInvalidPhone:       {"invalid_phone", ClassInvalid},
	KindPhoneTaken:         {"phone_taken", ClassConflict},
	KindUnverifiedPhone:    {"unverified_phone", ClassBarred},
	KindUnverifiedEmail:    {"unverified_email", ClassBarred},
}

// String returns the kind's stable name, as logs show it.
func (k Kind) String() string {
	if k < numKinds {
		return kinds[k].name
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Class returns the kind's class: [ClassInternal] for a kind that does not exist.
func (k Kind) Class() Class {
	if k < numKinds {
		return kinds[k].class
	}
	return ClassInternal
}

// Kinds returns every kind, so that a test can walk them through a dialect.
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
	Msg        string        // safe to show to any client
	Err        error         // for the log alone; nil if there is nothing to add
	RetryAfter time.Duration // for KindRateLimited and KindUnavailable; zero when unknown
}

func (e *Error) Error() string {
	if e.Err != nil {
		return e.Kind.String() + ": " + e.Msg + ": " + e.Err.Error()
	}
	return e.Kind.String() + ": " + e.Msg
}

func (e *Error) Unwrap() error { return e.Err }

// Errorf returns an [Error] whose text is safe to show.
func Errorf(k Kind, format string, args ...any) *Error {
	return &Error{Kind: k, Msg: fmt.Sprintf(format, args...)}
}

// KindOf returns the kind of err: KindInternal if it is not an [Error].
func KindOf(err error) Kind {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Kind
	}
	return KindInternal
}

// AsError returns err as an [Error]. Any other error is wrapped in a KindInternal error with a constant text.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: KindInternal, Msg: "internal error", Err: err}
}

// unavailable wraps a store's failure. It returns a store's own [Error] unchanged.
func unavailable(what string, err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Kind: KindUnavailable, Msg: "service temporarily unavailable", Err: fmt.Errorf("%s: %w", what, err), RetryAfter: time.Second}
}
