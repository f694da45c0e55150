package authcore

import (
	"bytes"
	"testing"
	"time"
)

// codeTrials are the operations that try a code: each has one sent to alice, and returns what tries it.
var codeTrials = map[string]func(h *house, t testing.TB) (code string, try func(code string) error){
	"setting a password": func(h *house, t testing.TB) (string, func(string) error) {
		p, code := h.code(t, "alice")
		return code, func(code string) error { return h.reset(p, code, newPassword) }
	},
	"validating a number": func(h *house, t testing.TB) (string, func(string) error) {
		h.signUp(t, asks("bob"))
		code, _ := h.texted(t)
		return code, func(code string) error { return h.validate(t, theNumber, code) }
	},
	"validating an address": func(h *house, t testing.TB) (string, func(string) error) {
		h.signUp(t, asks("bob", email("bob@example.com")))
		return string(h.mail.last().Code), func(code string) error { return h.confirm(t, "bob@example.com", code) }
	},
}

// A delay takes as long to tell as a wrong code, and both are logged alike.
func TestEveryTrialOfACode(t *testing.T) {
	for name, send := range codeTrials {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			bubble(t, func(t *testing.T, h *house) {
				h.join(t, "alice")
				start := time.Now()
				tried := func(what string, err error, k Kind) {
					t.Helper()
					wantKind(t, what, err, k)
					want(t, what+": takes", time.Since(start), trialFloor)
					start = time.Now()
				}
				code, try := send(h, t)
				start = time.Now()
				for range CodeTries {
					tried("wrong", try(wrongCode(code)), KindBadCode)
				}
				code, try = send(h, t)
				start = time.Now()
				tried("another code, too soon", try(code), KindRateLimited)

				message := map[string]string{
					"setting a password": "a wrong code was tried", "validating a number": "a wrong code for a number was tried",
					"validating an address": "a wrong code for an address was tried",
				}[name]
				want(t, "wrong codes logged", len(h.lines(t, &log, message)), CodeTries)
				delays := h.lines(t, &log, "a code was delayed after failures")
				want(t, "delays logged", len(delays), 1)
				_, known := delays[0]["account"]
				want(t, "with an account", known, name == "setting a password")
			}, logged(&log))
		})
	}
}
