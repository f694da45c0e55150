package caddymodule

import (
	"bytes"
	"errors"
	"io"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/chatgate/chatgate/authcore"
)

// maxBody bounds the body of an account call, in bytes.
const maxBody = 64 << 10

// decodeJSON reads one JSON object into dst, strictly: valid UTF-8, no repeated, unknown or differently spelled
// members, nothing behind it, no NUL in what a client chose (most stores cannot keep it).
func decodeJSON(w http.ResponseWriter, r *http.Request, dst any) error {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return authcore.Errorf(authcore.KindInvalidInput, "the body is larger than %d bytes", maxBody)
		}
		return &authcore.Error{Kind: authcore.KindInvalidInput, Msg: "the body could not be read", Err: err}
	}
	if hasNUL(body) {
		return authcore.Errorf(authcore.KindInvalidInput, "the body has a NUL character")
	}
	if err := json.Unmarshal(body, dst, json.RejectUnknownMembers(true)); err != nil {
		return &authcore.Error{Kind: authcore.KindInvalidInput, Msg: "the body is not the JSON object that is expected here", Err: err}
	}
	return nil
}

// hasNUL reports whether a JSON text spells a NUL character: an escape that is not itself escaped.
func hasNUL(body []byte) bool {
	const nul = `\u0000`
	for rest := body; ; {
		i := bytes.Index(rest, []byte(nul))
		if i < 0 {
			return false
		}
		before := bytes.TrimRight(rest[:i], `\`)
		if (i-len(before))%2 == 0 {
			return true
		}
		rest = rest[i+len(nul):]
	}
}

// required is what a client must send: JSON's null and a missing member leave it empty.
func required(name, value string) error {
	if value == "" {
		return authcore.Errorf(authcore.KindInvalidInput, "%s is missing", name)
	}
	return nil
}
