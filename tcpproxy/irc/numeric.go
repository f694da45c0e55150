package irc

// The numerics that are said here, or looked for.
const (
	rplWelcome           = "001"
	rplTryAgain          = "263"
	errNoOrigin          = "409"
	errInvalidCap        = "410"
	errInputTooLong      = "417"
	errUnknownCommand    = "421"
	errNoNickGiven       = "431"
	errErroneousNick     = "432"
	errNickInUse         = "433"
	errNickCollision     = "436"
	errUnavailable       = "437" // a nick, for a while
	errNotRegistered     = "451"
	errNeedMoreParams    = "461"
	errAlreadyRegistered = "462"
	errNoPermForHost     = "463"
	errPasswordMismatch  = "464"
	errBanned            = "465"
	errRestricted        = "484" // what RFC 2812 has for NICK where a nick is not the client's to choose
	errStartTLS          = "691"
	rplLoggedIn          = "900"
	errNickLocked        = "902"
	rplSASLSuccess       = "903"
	errSASLFail          = "904"
	errSASLTooLong       = "905"
	errSASLAborted       = "906"
	errSASLAlready       = "907"
	rplSASLMechs         = "908"
)
