package tcpproxy

import (
	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/tcpproxy/irc"
)

// ircFailures are the answers to a login that failed. A name or password that breaks a policy belongs to no account, and
// is as wrong as any other. What no login can end with counts as unavailable.
var ircFailures = authcore.Answers[irc.Failure]{
	authcore.ClassInternal:     irc.Unavailable,
	authcore.ClassUnavailable:  irc.Unavailable,
	authcore.ClassInvalid:      irc.WrongPassword,
	authcore.ClassCredentials:  irc.WrongPassword,
	authcore.ClassToken:        irc.Unavailable,
	authcore.ClassBarred:       irc.Disabled,
	authcore.ClassRegistration: irc.Unavailable,
	authcore.ClassNotFound:     irc.Unavailable,
	authcore.ClassConflict:     irc.Unavailable,
	authcore.ClassTooMany:      irc.RateLimited,

	authcore.KindInvalidPhone:    irc.Unavailable, // a login has no number, and no code
	authcore.KindBadCode:         irc.Unavailable,
	authcore.KindUnverifiedPhone: irc.UnverifiedNumber,
	authcore.KindUnverifiedEmail: irc.UnverifiedEmail,
}

// The reasons for closing a connection that has no login yet, or whose login could not be handed over.
const (
	ircUnavailable = "the chat server is unavailable, try again later"
	ircLoggedOut   = "logged out"
	ircTooMany     = "too many connections"
)

// ircReasons are the answers to an error that closes a connection.
var ircReasons = authcore.Answers[string]{
	authcore.ClassInternal:     ircUnavailable,
	authcore.ClassUnavailable:  ircUnavailable,
	authcore.ClassInvalid:      ircUnavailable,
	authcore.ClassCredentials:  ircUnavailable,
	authcore.ClassToken:        ircLoggedOut,
	authcore.ClassBarred:       ircUnavailable,
	authcore.ClassRegistration: ircUnavailable,
	authcore.ClassNotFound:     ircUnavailable,
	authcore.ClassConflict:     ircUnavailable,
	authcore.ClassTooMany:      ircTooMany,

	authcore.KindAccountDisabled: ircLoggedOut,
}

// ircFailure returns the answer to a login that failed with err.
func ircFailure(err error) irc.Failure {
	failure, _ := ircFailures.Find(authcore.KindOf(err))
	return failure
}

// ircReason returns the reason for closing a connection because of err. The text of err is never part of it.
func ircReason(err error) string {
	reason, _ := ircReasons.Find(authcore.KindOf(err))
	return reason
}
