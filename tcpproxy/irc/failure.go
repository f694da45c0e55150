package irc

// Failure is why a login failed.
type Failure uint8

// The failures.
const (
	Unavailable Failure = iota // the login could not be checked
	WrongPassword
	RateLimited
	Disabled
	UnverifiedNumber
	UnverifiedEmail
)

// failures has the numerics of each failure, after PASS and after SASL, and its text. Unavailable has no numeric: the nearest
// ones would make a client conclude that its password is wrong.
var failures = map[Failure]struct{ numeric, sasl, text string }{
	Unavailable:      {"", "", "the login is unavailable, try again later"},
	WrongPassword:    {errPasswordMismatch, errSASLFail, "Wrong account or password"},
	RateLimited:      {rplTryAgain, errSASLFail, "Too many attempts, try again later"},
	Disabled:         {errBanned, errNickLocked, "This account is closed"},
	UnverifiedNumber: {errBanned, errSASLFail, "The phone number of this account is not validated yet"},
	UnverifiedEmail:  {errBanned, errSASLFail, "The e-mail address of this account is not validated yet"},
}

// Failed answers the client whose login failed. After SASL it may try again; otherwise the connection closes.
func (r *Registration) Failed(why Failure) ([]byte, Step) {
	bySASL := r.proving != nil && r.proving.sasl
	r.proving = nil
	f := failures[why]
	switch {
	case f.numeric == "":
		return Closing(failures[Unavailable].text), Close
	case bySASL:
		return r.reply(f.sasl, f.text), Wait
	case f.numeric == rplTryAgain: // its first parameter is the command to try again
		return append(r.reply(f.numeric, "PASS", f.text), Closing(f.text)...), Close
	}
	return append(r.reply(f.numeric, f.text), Closing(f.text)...), Close
}
