package tcpproxy

import (
	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/tcpproxy/line"
)

// reasons has what to say for every kind of error.
var reasons = map[authcore.Kind]line.Reason{
	authcore.KindInternal:           line.Unavailable,
	authcore.KindUnavailable:        line.Unavailable,
	authcore.KindMailFailed:         line.Unavailable,
	authcore.KindNotFound:           line.Unavailable, // no verb asks for what could be missing
	authcore.KindInvalidInput:       line.BadData,
	authcore.KindInvalidUsername:    line.InvalidUsername,
	authcore.KindUsernameTaken:      line.UsernameTaken,
	authcore.KindWeakPassword:       line.BadData,
	authcore.KindInvalidEmail:       line.BadData,
	authcore.KindEmailTaken:         line.BadData,
	authcore.KindNoEmail:            line.BadData,
	authcore.KindInvalidPhone:       line.BadData,
	authcore.KindPhoneTaken:         line.BadData,
	authcore.KindUnknownAccount:     line.Credentials, // which of the two it was is not told here, concealed or not
	authcore.KindWrongPassword:      line.Credentials,
	authcore.KindUnverifiedPhone:    line.UnverifiedNumber,
	authcore.KindUnverifiedEmail:    line.UnverifiedEmail,
	authcore.KindAccountDisabled:    line.Disabled,
	authcore.KindRateLimited:        line.RateLimited,
	authcore.KindRegistrationClosed: line.RegistrationClosed,
	authcore.KindInviteRequired:     line.InviteRequired,
	authcore.KindBadInvite:          line.InviteRequired,
	authcore.KindBadToken:           line.BadToken,
	authcore.KindSessionOver:        line.BadToken,
	authcore.KindBadCode:            line.BadCode,
}

// reasonFor returns what a verb says about an error. Its text stays here.
func reasonFor(verb line.Verb, err error) line.Reason {
	kind := authcore.KindOf(err)
	switch {
	case verb == line.ValidatePhone && kind == authcore.KindInvalidPhone:
		return line.InvalidNumber
	case verb == line.ValidateEmail && kind == authcore.KindInvalidEmail:
		return line.InvalidEmail
	}
	if r, ok := reasons[kind]; ok {
		return r
	}
	return line.Unavailable
}
