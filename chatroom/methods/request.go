package methods

import (
	"bytes"
	"errors"
	"io"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/chatgate/chatgate/authcore"
)

// Request is one call of a method.
type Request struct {
	Method string
	ID     jsontext.Value // a JSON string or number, exactly as it was sent
	Args   jsontext.Value // a JSON object, exactly as it was sent; empty if there was none
}

// Reasons to refuse a message.
var (
	errNotRequest = errors.New("a request is one JSON object with the members m, r and d")
	errNoID       = errors.New("r must be a JSON string or number")
	errNUL        = errors.New("a string contains a NUL character")
)

// own is the prefix of our own methods.
const own = "user_"

// Own reports whether we answer the method ourselves. Spellings that could be mistaken for such a name count too. None of
// them is a method, so that the upstream never gets one.
func (r Request) Own() bool {
	return len(r.Method) >= len(own) && strings.EqualFold(ownPart(r.Method), own)
}

// ownPart returns as many characters of a method as own has.
func ownPart(method string) string {
	n := 0
	for i := range method {
		if n == len(own) {
			return method[:i]
		}
		n++
	}
	return method
}

// Decode reads a request strictly. If it fails, the request that it returns has an ID if one could be read, so that the error
// can be answered; a message without an ID cannot be. The arguments are an object, which their reader judges further.
func Decode(msg []byte) (Request, error) {
	req, err := scan(msg)
	switch {
	case req.ID == nil:
		return Request{}, errors.Join(errNoID, err)
	case err != nil:
		return Request{ID: req.ID}, err
	}
	return req, nil
}

// scan reads member by member, since a repeated member is an error that can be answered if there is an ID. Of a malformed
// message it returns the ID alone.
func scan(msg []byte) (req Request, err error) {
	// Repeated names and lone surrogates are looked for below, and in the arguments by their reader. An error here would hide
	// an ID that follows.
	d := jsontext.NewDecoder(bytes.NewReader(msg), jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true))
	if tok, err := d.ReadToken(); err != nil || tok.Kind() != '{' {
		return req, errNotRequest
	}
	var wrong error
	ids, methods, args := 0, 0, 0
	for d.PeekKind() == '"' {
		tok, err := d.ReadToken()
		if err != nil {
			return req, errNotRequest
		}
		name := tok.String()
		v, err := d.ReadValue()
		if err != nil {
			return req, errNotRequest
		}
		switch name {
		case "r":
			if ids++; ids > 1 {
				req.ID = nil // which of them?
				return req, errNotRequest
			}
			if k := v.Kind(); (k == '"' || k == '0') && ends(msg[d.InputOffset():]) {
				req.ID = v.Clone()
			}
		case "m":
			if methods++; methods > 1 || v.Kind() != '"' || authcore.SpellsNUL(v) || json.Unmarshal(v, &req.Method) != nil {
				wrong = errNotRequest
			}
		case "d":
			if args++; args > 1 || v.Kind() != '{' || !v.IsValid(jsontext.AllowDuplicateNames(true)) {
				wrong = errNotRequest
			}
			req.Args = v.Clone()
		default:
			wrong = errNotRequest
		}
	}
	if _, err := d.ReadToken(); err != nil {
		return req, errNotRequest
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) || methods == 0 || req.ID != nil && !req.ID.IsValid() {
		wrong = errNotRequest
	}
	return req, wrong
}

// ends reports whether a value really ended where the decoder says: 07 is not 0, and a 7 at the end of a torn message may be
// the beginning of 78.
func ends(rest []byte) bool {
	rest = bytes.TrimLeft(rest, " \t\r\n")
	return len(rest) > 0 && (rest[0] == ',' || rest[0] == '}')
}

// arguments decodes the arguments of a method of ours: no repeated, unknown or differently spelled members, valid UTF-8, no
// NUL.
func (r Request) arguments(dst any) error {
	if len(r.Args) == 0 {
		return nil
	}
	if authcore.SpellsNUL(r.Args) {
		return errNUL
	}
	return json.Unmarshal(r.Args, dst, json.RejectUnknownMembers(true))
}
