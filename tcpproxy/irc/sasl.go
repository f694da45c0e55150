package irc

import (
	"encoding/base64"

	"github.com/emersion/go-sasl"
)

// A message of SASL comes in pieces of 400 bytes, of which the last one is shorter, in base64.
const (
	saslPiece   = 400
	maxSASL     = 4096
	saslNothing = "+" // an empty message, or piece
)

// exchange is one of SASL PLAIN.
type exchange struct{ text []byte }

func (r *Registration) doAuthenticate(params []string) ([]byte, Step) {
	switch {
	case len(params) == 0:
		return r.reply(errNeedMoreParams, "AUTHENTICATE", "Not enough parameters"), Wait
	case r.account != "":
		return r.reply(errSASLAlready, "You have already authenticated using SASL"), Wait
	case params[0] == "*":
		return r.abort(), Wait
	case r.sasl == nil:
		if !foldEqual([]byte(params[0]), sasl.Plain) {
			return append(r.reply(rplSASLMechs, sasl.Plain, "are available SASL mechanisms"), r.saslFailed()...), Wait
		}
		r.sasl = new(exchange)
		return []byte("AUTHENTICATE +\r\n"), Wait
	}
	piece := params[0]
	if len(piece) > saslPiece || len(r.sasl.text)+len(piece) > maxSASL {
		r.sasl = nil
		return r.reply(errSASLTooLong, "SASL message too long"), Wait
	}
	if piece != saslNothing {
		r.sasl.text = append(r.sasl.text, piece...)
	}
	if len(piece) == saslPiece {
		return nil, Wait
	}
	c, err := r.sasl.credentials()
	r.sasl = nil
	if err != nil {
		return r.saslFailed(), Wait
	}
	r.proving = &c
	return nil, Login
}

// credentials takes the whole message apart.
func (e *exchange) credentials() (Credentials, error) {
	raw, err := base64.StdEncoding.Strict().AppendDecode(make([]byte, 0, len(e.text)), e.text)
	if err != nil {
		return Credentials{}, errMessage
	}
	c := Credentials{sasl: true}
	_, _, err = sasl.NewPlainServer(func(target, account, password string) error {
		c.ClaimedTarget, c.ClaimedAccount, c.password = target, account, password
		if account == "" {
			return errMessage
		}
		return nil
	}).Next(raw)
	return c, err
}

func (r *Registration) saslFailed() []byte { return r.reply(errSASLFail, "SASL authentication failed") }

func (r *Registration) abort() []byte {
	r.sasl = nil
	return r.reply(errSASLAborted, "SASL authentication aborted")
}
