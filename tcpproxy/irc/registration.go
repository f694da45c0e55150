package irc

import (
	"errors"
	"strings"
)

// Registration is what a client says before it is registered, and what it is answered. A client logs in on the way, with
// AUTHENTICATE or with PASS; whether that succeeds is decided elsewhere.
type Registration struct {
	Server string // what the gateway calls itself
	Host   string // the client's address, in what it is told of itself

	begun      bool // a line was seen
	nick, user string
	realname   string
	account    string // logged in as
	pass       *Credentials
	caps       capState
	sasl       *exchange // under way
	proving    *Credentials
}

// Step is what follows a line.
type Step uint8

// The steps.
const (
	Wait     Step = iota // for the next line
	Login                // Claimed is to be proved, and LoggedIn or Failed to be said
	Complete             // the client has said who it is, and is logged in
	Close                // the connection is over; what there was to say is said
)

// Line takes a client's line without its end, and returns what it is answered.
func (r *Registration) Line(text []byte) ([]byte, Step) {
	if len(text) == 0 {
		return nil, Wait
	}
	first := !r.begun
	r.begun = true
	m, err := Parse(text)
	do, known := registrationCommands[m.Command]
	switch {
	case err == nil && known:
		return do(r, m.Params)
	case first: // who begins like this speaks something else: HTTP, or another server's protocol
		return Closing("this is an IRC server"), Close
	case errors.Is(err, errMalformed):
		return r.reply(errUnknownCommand, "*", malformed), Wait
	case err != nil:
		return nil, Wait
	}
	switch m.Command {
	case "WEBIRC", "PROXY", "SERVER", "SERVICE":
		return Closing(m.Command + " is not for clients"), Close
	}
	return r.reply(errNotRegistered, "You have not registered"), Wait
}

var registrationCommands map[string]func(r *Registration, params []string) ([]byte, Step)

func init() { // what they do leads back to them
	registrationCommands = map[string]func(r *Registration, params []string) ([]byte, Step){
		"CAP":          (*Registration).doCap,
		"AUTHENTICATE": (*Registration).doAuthenticate,
		"PASS":         (*Registration).doPass,
		"NICK":         (*Registration).doNick,
		"USER":         (*Registration).doUser,
		"PING":         (*Registration).doPing,
		"STARTTLS": func(r *Registration, _ []string) ([]byte, Step) {
			return r.reply(errStartTLS, "STARTTLS is not offered"), Wait
		},
		"PONG": func(*Registration, []string) ([]byte, Step) { return nil, Wait },
		"QUIT": func(r *Registration, _ []string) ([]byte, Step) { return Closing("quit"), Close },
	}
}

// doPass takes account:password, which is looked at once the client has said all: an exchange of SASL comes first.
func (r *Registration) doPass(params []string) ([]byte, Step) {
	if len(params) == 0 {
		return r.reply(errNeedMoreParams, "PASS", "Not enough parameters"), Wait
	}
	account, password, ok := strings.Cut(strings.Join(params, " "), ":")
	r.pass = nil
	if ok {
		r.pass = &Credentials{ClaimedAccount: account, password: password}
	}
	return nil, Wait
}

// doNick takes what the client would like to be called. It is what its answers go to, and nothing else.
func (r *Registration) doNick(params []string) ([]byte, Step) {
	if len(params) == 0 || params[0] == "" {
		return r.reply(errNoNickGiven, "No nickname given"), Wait
	}
	r.nick = params[0]
	return r.next()
}

func (r *Registration) doUser(params []string) ([]byte, Step) {
	if len(params) < 4 {
		return r.reply(errNeedMoreParams, "USER", "Not enough parameters"), Wait
	}
	r.user, r.realname = params[0], params[3]
	return r.next()
}

func (r *Registration) doPing(params []string) ([]byte, Step) {
	if len(params) == 0 {
		return r.reply(errNoOrigin, "No origin specified"), Wait
	}
	return Format(r.Server, "PONG", r.Server, params[0]), Wait
}

// next is what follows when the client has told something of itself.
func (r *Registration) next() ([]byte, Step) {
	switch {
	case !r.told():
		return nil, Wait
	case r.account != "":
		return nil, Complete
	case r.pass != nil:
		r.proving, r.pass = r.pass, nil
		return nil, Login
	}
	return append(r.reply(errPasswordMismatch, "Log in: with SASL PLAIN, or with the server password account:password"),
		Closing("not logged in")...), Close
}

// told reports whether a client has said all that it is asked for.
func (r *Registration) told() bool { return r.nick != "" && r.user != "" && !r.caps.open }

// Claimed returns what is to be proved.
func (r *Registration) Claimed() Credentials {
	if r.proving == nil {
		return Credentials{}
	}
	return *r.proving
}

// LoggedIn notes that what was claimed is true, and is said before anything else is.
func (r *Registration) LoggedIn(account string) ([]byte, Step) {
	r.account = account
	b := r.reply(rplLoggedIn, r.target()+"!"+middle(r.user)+"@"+middle(r.Host), account, "You are now logged in as "+account)
	if r.proving.sasl {
		b = append(b, r.reply(rplSASLSuccess, "SASL authentication successful")...)
	}
	r.proving = nil
	if r.told() {
		return b, Complete
	}
	return b, Wait
}

// NoNick is said where the account's name is none.
func (r *Registration) NoNick() []byte {
	return append(r.reply(errErroneousNick, "*", "The name of this account cannot be a nick"), Closing("no nick")...)
}

// TooLong is what is said about a line that was.
func (r *Registration) TooLong() []byte { return r.reply(errInputTooLong, "Input line was too long") }

// Closing is the last thing that is told to a client, wherever it stands.
func Closing(why string) []byte { return Format("", "ERROR", "Closing link ("+why+")") }

// reply is a numeric to this client.
func (r *Registration) reply(numeric string, params ...string) []byte {
	return Format(r.Server, numeric, append([]string{r.target()}, params...)...)
}

// target is what the client is called in a reply.
func (r *Registration) target() string {
	if !IsNick(r.nick) {
		return "*"
	}
	return r.nick
}

// Realname returns the client's own, or else its account's name.
func (r *Registration) Realname() string {
	if r.realname == "" {
		return r.account
	}
	return r.realname
}

// Notified reports whether the client understands when it is told of more capabilities later on.
func (r *Registration) Notified() bool { return r.caps.notify }

// Credentials are what a client claims. They do not print.
type Credentials struct {
	ClaimedAccount string // a username or an e-mail address
	ClaimedTarget  string // whom it wants to act for; empty: itself
	password       string
	sasl           bool
}

// Password returns the password.
func (c Credentials) Password() string { return c.password }

// String has no secret.
func (c Credentials) String() string { return "credentials of " + c.ClaimedAccount }

// GoString is String.
func (c Credentials) GoString() string { return c.String() }

var errMessage = errors.New("no message of this mechanism")
