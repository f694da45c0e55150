package methods

import "github.com/chatgate/chatgate/authcore"

// kindCodes has a code for every kind of error. The contract names all the codes there are, so what it does not
// foresee has the nearest one.
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
	authcore.KindRegistrationClosed: InviteRequired, // new accounts are not for everybody, here for nobody
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
