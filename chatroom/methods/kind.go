package methods

import "github.com/chatgate/chatgate/authcore"

// codes are the answers to errors. The contract has a closed list of codes, so each class gets the nearest one: a barred
// account is no better than bad credentials, and who may not register needs an invite, even if there are none.
var codes = authcore.Answers[Code]{
	authcore.ClassInternal:     Unavailable,
	authcore.ClassUnavailable:  Unavailable,
	authcore.ClassInvalid:      BadRequest,
	authcore.ClassCredentials:  BadCredentials,
	authcore.ClassToken:        BadToken,
	authcore.ClassBarred:       BadCredentials,
	authcore.ClassRegistration: InviteRequired,
	authcore.ClassNotFound:     BadRequest,
	authcore.ClassConflict:     BadRequest,
	authcore.ClassTooMany:      RateLimited,

	authcore.KindInvalidUsername: InvalidUsername,
	authcore.KindUsernameTaken:   UsernameTaken,
	authcore.KindWeakPassword:    WeakPassword,
	authcore.KindBadInvite:       BadInvite,
}

// codeOf returns the code that answers err.
func codeOf(err error) Code {
	code, _ := codes.Find(authcore.KindOf(err))
	return code
}
