package mailer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/textproto"
	"regexp"
)

// failure is the reason why a message was not delivered. Its text contains nothing of the message, and no words of
// the server's, which may quote the address.
type failure struct {
	doing     string // "connecting", or the command that was refused
	reply     string // a reply's code, with its enhanced code if it has one
	err       error  // from the network or the file system; never from a reply
	permanent bool   // a retry is useless
}

func (f *failure) Error() string {
	switch {
	case f.reply != "":
		return fmt.Sprintf("the mail server answered %s with %s", f.doing, f.reply)
	case f.err != nil:
		return fmt.Sprintf("%s: %v", f.doing, f.err)
	default:
		return f.doing
	}
}

func (f *failure) Unwrap() error { return f.err }

var enhanced = regexp.MustCompile(`^[245]\.\d{1,3}\.\d{1,3}\b`)

var errMalformed = errors.New("the server's reply was malformed or too long; check that the port speaks SMTP")

// failed turns the error of a command into a failure.
func failed(doing string, err error) error {
	if err == nil {
		return nil
	}
	if own, ok := errors.AsType[*failure](err); ok {
		return own
	}
	if reply, ok := errors.AsType[*textproto.Error](err); ok {
		text := fmt.Sprint(reply.Code)
		if e := enhanced.FindString(reply.Msg); e != "" {
			text += " " + e
		}
		return &failure{doing: doing, reply: text, permanent: reply.Code >= 500 && reply.Code < 600}
	}
	var network net.Error
	_, verify := errors.AsType[*tls.CertificateVerificationError](err)
	switch {
	case errors.As(err, &network), verify:
		return &failure{doing: doing, err: err}
	case isEnd(err):
		return &failure{doing: doing, err: errors.New("the server closed the connection")}
	default:
		return &failure{doing: doing, err: errMalformed} // err may quote the server
	}
}

// passing reports whether a failure is temporary.
func passing(err error) bool {
	f, ok := errors.AsType[*failure](err)
	return !ok || !f.permanent
}
