package methods

import (
	"errors"
	"slices"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

// The code that answers each kind of error. A kind that is added fails until somebody has decided on its code.
var kindCodes = map[authcore.Kind]Code{
	authcore.KindInternal:           "unavailable",
	authcore.KindUnavailable:        "unavailable",
	authcore.KindInvalidInput:       "bad_request",
	authcore.KindInvalidUsername:    "invalid_username",
	authcore.KindUsernameTaken:      "username_taken",
	authcore.KindInvalidEmail:       "bad_request",
	authcore.KindEmailTaken:         "bad_request",
	authcore.KindWeakPassword:       "weak_password",
	authcore.KindUnknownAccount:     "bad_credentials",
	authcore.KindWrongPassword:      "bad_credentials",
	authcore.KindAccountDisabled:    "bad_credentials",
	authcore.KindRegistrationClosed: "invite_required",
	authcore.KindBadToken:           "bad_token",
	authcore.KindSessionOver:        "bad_token",
	authcore.KindRateLimited:        "rate_limited",
	authcore.KindNotFound:           "bad_request",
	authcore.KindInviteRequired:     "invite_required",
	authcore.KindBadInvite:          "bad_invite",
	authcore.KindBadCode:            "bad_credentials",
	authcore.KindNoEmail:            "bad_request",
	authcore.KindMailFailed:         "unavailable",
	authcore.KindInvalidPhone:       "bad_request",
	authcore.KindPhoneTaken:         "bad_request",
	authcore.KindUnverifiedPhone:    "bad_credentials",
	authcore.KindUnverifiedEmail:    "bad_credentials",
}

func TestEveryKindHasACode(t *testing.T) {
	if len(kindCodes) != len(authcore.Kinds()) {
		t.Errorf("codes are written down here for %d of %d kinds", len(kindCodes), len(authcore.Kinds()))
	}
	for _, k := range authcore.Kinds() {
		if code := codeOf(authcore.Errorf(k, "a secret")); code == "" || code != kindCodes[k] {
			t.Errorf("%v is answered with %q, want %q", k, code, kindCodes[k])
		}
	}
	for _, err := range []error{errors.New("a secret"), authcore.Errorf(255, "a secret")} {
		if code := codeOf(err); code != Unavailable {
			t.Errorf("%v is answered with %q", err, code)
		}
	}
}

// Every answer is a code of the contract.
func TestEveryClassHasACode(t *testing.T) {
	contract := []Code{
		BadRequest, UnknownMethod, BadCredentials, UsernameTaken, InvalidUsername, WeakPassword, InviteRequired, BadInvite, BadToken,
		NotLoggedIn, RateLimited, Unavailable,
	}
	for _, c := range authcore.Classes() {
		if code := codes[c]; !slices.Contains(contract, code) {
			t.Errorf("class %d is answered with %q", c, code)
		}
	}
	for _, k := range authcore.Kinds() {
		if code, named := codes[k]; named && (!slices.Contains(contract, code) || code == codes[k.Class()]) {
			t.Errorf("%v is named, and answered with %q", k, code)
		}
	}
}
