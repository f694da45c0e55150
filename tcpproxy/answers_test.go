package tcpproxy

import (
	"errors"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/tcpproxy/irc"
	"github.com/chatgate/chatgate/tcpproxy/line"
)

// ircLogin is what a client of IRC gets for a login that failed: after PASS and after SASL.
type ircLogin struct{ pass, sasl string }

var (
	loginUnavailable = ircLogin{
		"ERROR :Closing link (the login is unavailable, try again later)",
		"ERROR :Closing link (the login is unavailable, try again later)",
	}
	wrongPassword = ircLogin{
		":chatgate 464 x :Wrong account or password\r\nERROR :Closing link (Wrong account or password)",
		":chatgate 904 * :Wrong account or password",
	}
	tooManyAttempts = ircLogin{
		":chatgate 263 x PASS :Too many attempts, try again later\r\nERROR :Closing link (Too many attempts, try again later)",
		":chatgate 904 * :Too many attempts, try again later",
	}
	closedAccount = ircLogin{
		":chatgate 465 x :This account is closed\r\nERROR :Closing link (This account is closed)",
		":chatgate 902 * :This account is closed",
	}
	numberNotValidated = ircLogin{
		":chatgate 465 x :The phone number of this account is not validated yet\r\nERROR :Closing link (The phone number of this account is not validated yet)",
		":chatgate 904 * :The phone number of this account is not validated yet",
	}
	emailNotValidated = ircLogin{
		":chatgate 465 x :The e-mail address of this account is not validated yet\r\nERROR :Closing link (The e-mail address of this account is not validated yet)",
		":chatgate 904 * :The e-mail address of this account is not validated yet",
	}
)

// The answers to each kind of error. A kind that is added fails until somebody has decided on them.
var kindAnswers = map[authcore.Kind]struct {
	nop    line.Reason // of the line protocol
	login  ircLogin    // of IRC, to a login that failed
	reason string      // of IRC, for closing a connection
}{
	authcore.KindInternal:           {"unavailable", loginUnavailable, "the chat server is unavailable, try again later"},
	authcore.KindUnavailable:        {"unavailable", loginUnavailable, "the chat server is unavailable, try again later"},
	authcore.KindInvalidInput:       {"baddata", wrongPassword, "the chat server is unavailable, try again later"},
	authcore.KindInvalidUsername:    {"invalidusername", wrongPassword, "the chat server is unavailable, try again later"},
	authcore.KindUsernameTaken:      {"usernametaken", loginUnavailable, "the chat server is unavailable, try again later"},
	authcore.KindInvalidEmail:       {"baddata", wrongPassword, "the chat server is unavailable, try again later"},
	authcore.KindEmailTaken:         {"baddata", loginUnavailable, "the chat server is unavailable, try again later"},
	authcore.KindWeakPassword:       {"baddata", wrongPassword, "the chat server is unavailable, try again later"},
	authcore.KindUnknownAccount:     {"credentials", wrongPassword, "the chat server is unavailable, try again later"},
	authcore.KindWrongPassword:      {"credentials", wrongPassword, "the chat server is unavailable, try again later"},
	authcore.KindAccountDisabled:    {"disabled", closedAccount, "logged out"},
	authcore.KindRegistrationClosed: {"registrationclosed", loginUnavailable, "the chat server is unavailable, try again later"},
	authcore.KindBadToken:           {"badtoken", loginUnavailable, "logged out"},
	authcore.KindSessionOver:        {"badtoken", loginUnavailable, "logged out"},
	authcore.KindRateLimited:        {"ratelimited", tooManyAttempts, "too many connections"},
	authcore.KindNotFound:           {"unavailable", loginUnavailable, "the chat server is unavailable, try again later"},
	authcore.KindInviteRequired:     {"inviterequired", loginUnavailable, "the chat server is unavailable, try again later"},
	authcore.KindBadInvite:          {"inviterequired", loginUnavailable, "the chat server is unavailable, try again later"},
	authcore.KindBadCode:            {"badcode", loginUnavailable, "the chat server is unavailable, try again later"},
	authcore.KindNoEmail:            {"baddata", loginUnavailable, "the chat server is unavailable, try again later"},
	authcore.KindMailFailed:         {"unavailable", loginUnavailable, "the chat server is unavailable, try again later"},
	authcore.KindInvalidPhone:       {"baddata", loginUnavailable, "the chat server is unavailable, try again later"},
	authcore.KindPhoneTaken:         {"baddata", loginUnavailable, "the chat server is unavailable, try again later"},
	authcore.KindUnverifiedPhone:    {"unverifiednumber", numberNotValidated, "the chat server is unavailable, try again later"},
	authcore.KindUnverifiedEmail:    {"unverifiedemail", emailNotValidated, "the chat server is unavailable, try again later"},
}

func TestEveryKindHasAnAnswer(t *testing.T) {
	if len(kindAnswers) != len(authcore.Kinds()) {
		t.Errorf("answers are written down here for %d of %d kinds", len(kindAnswers), len(authcore.Kinds()))
	}
	for _, k := range authcore.Kinds() {
		want, err := kindAnswers[k], &authcore.Error{Kind: k, Msg: "SECRET detail\r\nok", Err: errors.New("SECRET")}
		for _, v := range append(line.Verbs(), "") {
			nop := want.nop
			switch {
			case v == line.ValidatePhone && k == authcore.KindInvalidPhone:
				nop = "invalidnumber"
			case v == line.ValidateEmail && k == authcore.KindInvalidEmail:
				nop = "invalidemail"
			}
			got := reasonFor(v, err)
			if got != nop || got == "" {
				t.Errorf("%s, %q: nop %q, want %q", k, v, got, nop)
			}
			if back, err := line.ParseReply(strings.TrimSuffix(line.Nop(got).Line(), "\n")); err != nil || back.Reason != got {
				t.Errorf("%s, %q: nop %q does not read back", k, v, got)
			}
		}
		if got := ircLoginFailed(err); got != want.login {
			t.Errorf("%s, login of IRC: %q, want %q", k, got, want.login)
		}
		if got := ircReason(err); got != want.reason || got == "" {
			t.Errorf("%s, end of IRC: %q, want %q", k, got, want.reason)
		}
	}
	for _, err := range []error{errors.New("SECRET"), authcore.Errorf(255, "SECRET")} {
		if r := reasonFor(line.Login, err); r != line.Unavailable {
			t.Errorf("%v: nop %q", err, r)
		}
		if got := ircLoginFailed(err); got != loginUnavailable {
			t.Errorf("%v, login of IRC: %q", err, got)
		}
		if got := ircReason(err); got != ircUnavailable {
			t.Errorf("%v, end of IRC: %q", err, got)
		}
	}
}

// A class that is added fails until somebody has decided on its answers.
func TestEveryClassHasAnAnswer(t *testing.T) {
	for _, c := range authcore.Classes() {
		if reasons[c] == "" {
			t.Errorf("class %d has no answer in the line protocol", c)
		}
		if _, ok := ircFailures[c]; !ok {
			t.Errorf("class %d has no answer for a login of IRC", c)
		}
		if ircReasons[c] == "" {
			t.Errorf("class %d has no answer for the end of a connection of IRC", c)
		}
	}
}

func ircLoginFailed(err error) ircLogin {
	say := func(lines ...string) string {
		reg := irc.Registration{Server: "chatgate"}
		for _, l := range lines {
			reg.Line([]byte(l))
		}
		b, _ := reg.Failed(ircFailure(err))
		return strings.TrimSuffix(string(b), "\r\n")
	}
	return ircLogin{say("PASS a:b", "NICK x", "USER x 0 * x"), say("AUTHENTICATE PLAIN", "AUTHENTICATE "+plain("", "a", "b"))}
}
