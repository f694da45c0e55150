package tcpproxy

import (
	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/tcpproxy/line"
)

// reasons are the answers of the line protocol to errors. It has one for an unknown account and a wrong password, whether
// or not the HTTP dialects conceal which it was; and no verb that could miss something else.
var reasons = authcore.Answers[line.Reason]{
	authcore.ClassInternal:     line.Unavailable,
	authcore.ClassUnavailable:  line.Unavailable,
	authcore.ClassInvalid:      line.BadData,
	authcore.ClassCredentials:  line.Credentials,
	authcore.ClassToken:        line.BadToken,
	authcore.ClassBarred:       line.Disabled,
	authcore.ClassRegistration: line.RegistrationClosed,
	authcore.ClassNotFound:     line.Unavailable,
	authcore.ClassConflict:     line.BadData,
	authcore.ClassTooMany:      line.RateLimited,

	authcore.KindInvalidUsername: line.InvalidUsername,
	authcore.KindUsernameTaken:   line.UsernameTaken,
	authcore.KindBadCode:         line.BadCode,
	authcore.KindUnverifiedPhone: line.UnverifiedNumber,
	authcore.KindUnverifiedEmail: line.UnverifiedEmail,
	authcore.KindInviteRequired:  line.InviteRequired,
	authcore.KindBadInvite:       line.InviteRequired,
}

// reasonFor returns a verb's answer to err. The text of err is never part of it.
func reasonFor(verb line.Verb, err error) line.Reason {
	kind := authcore.KindOf(err)
	switch {
	case verb == line.ValidatePhone && kind == authcore.KindInvalidPhone:
		return line.InvalidNumber
	case verb == line.ValidateEmail && kind == authcore.KindInvalidEmail:
		return line.InvalidEmail
	}
	r, _ := reasons.Find(kind)
	return r
}
