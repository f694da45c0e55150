package methods

import "github.com/chatgate/chatgate/authcore"

// kindCodes has a code for every kind of error. The contract has no room for further codes, so a kind that it does not foresee
// has the nearest one.
var kindCodes = map[authcore.Kind]Code{
	authcore.KindInternal:           Unavailable,
	authcore.KindUnavailable:        Unavailable,
	authcore.KindInvalidInput:       BadRequest,
	authcore.KindInvalidUsername:    InvalidUsername,
	authcore.KindUsernameTaken:      UsernameTaken,
	authcore.KindInvalidEmail:       BadRequest,
	authcore.KindEmailTaken:         BadRequest,
	authcore.KindWeakPassword:       WeakPassword,
	authcore.KindUnknownAccount:     BadCredentials,
	authcore.KindWrongPassword:      BadCredentials,
	authcore.KindAccountDisabled:    BadCredentials,
	authcore.KindRegistrationClosed: InviteRequired, // the contract has no code for closed registration
	authcore.KindBadToken:           BadToken,
	authcore.KindSessionOver:        BadToken,
	authcore.KindRateLimited:        RateLimited,
	authcore.KindNotFound:           BadRequest,
	authcore.KindInviteRequired:     InviteRequired,
	authcore.KindBadInvite:          BadInvite,
	authcore.KindBadCode:            BadCredentials,
	authcore.KindNoEmail:            BadRequest,
	authcore.KindMailFailed:         Unavailable,
	authcore.KindInvalidPhone:       BadRequest,
	authcore.KindPhoneTaken:         BadRequest,
	authcore.KindUnverifiedPhone:    BadCredentials,
	authcore.KindUnverifiedEmail:    BadCredentials,
}

// codeOf returns what a client is told of an error.
func codeOf(err error) Code {
	if code, ok := kindCodes[authcore.KindOf(err)]; ok {
		return code
	}
	return Unavailable
}
