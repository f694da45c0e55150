package accounts

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/auth"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
	"github.com/chatgate/chatgate/caddymodule/accounts/rooms"
	"github.com/chatgate/chatgate/caddymodule/accounts/users"
	"github.com/chatgate/chatgate/caddymodule/envelope"
	"github.com/chatgate/chatgate/caddymodule/origin"
)

// What each dialect says for each kind of error, whose text here is "shown". A kind that is added, or a dialect, fails
// until somebody has decided on its answers.
var kindAnswers = map[string]map[authcore.Kind]string{
	"rooms": {
		authcore.KindInternal:           `500 {"error":{"type":"INTERNAL","Type":"INTERNAL","message":"internal error"},"data":null}`,
		authcore.KindUnavailable:        `503 {"error":{"type":"UNAVAILABLE","Type":"UNAVAILABLE","message":"shown"},"data":null}`,
		authcore.KindInvalidInput:       `400 {"error":{"type":"BAD_BINDING","Type":"BAD_BINDING","message":"shown"},"data":null}`,
		authcore.KindInvalidUsername:    `400 {"error":{"type":"BAD_BINDING","Type":"BAD_BINDING","message":"shown"},"data":null}`,
		authcore.KindUsernameTaken:      `400 {"error":{"type":"USER_EXISTS","Type":"USER_EXISTS","message":"shown"},"data":null}`,
		authcore.KindInvalidEmail:       `400 {"error":{"type":"BAD_BINDING","Type":"BAD_BINDING","message":"shown"},"data":null}`,
		authcore.KindEmailTaken:         `400 {"error":{"type":"USER_EXISTS","Type":"USER_EXISTS","message":"shown"},"data":null}`,
		authcore.KindWeakPassword:       `400 {"error":{"type":"BAD_PASSWORD","Type":"BAD_PASSWORD","message":"shown"},"data":null}`,
		authcore.KindUnknownAccount:     `400 {"error":{"type":"USER_NOT_FOUND","Type":"USER_NOT_FOUND","message":"shown"},"data":null}`,
		authcore.KindWrongPassword:      `401 {"error":{"type":"PASSWORD_MATCH_FAILED","Type":"PASSWORD_MATCH_FAILED","message":"shown"},"data":null}`,
		authcore.KindAccountDisabled:    `403 {"error":{"type":"ACCOUNT_DISABLED","Type":"ACCOUNT_DISABLED","message":"shown"},"data":null}`,
		authcore.KindRegistrationClosed: `403 {"error":{"type":"REGISTRATION_CLOSED","Type":"REGISTRATION_CLOSED","message":"shown"},"data":null}`,
		authcore.KindBadToken:           `401 {"error":{"type":"TOKEN_INVALID","Type":"TOKEN_INVALID","message":"shown"},"data":null}`,
		authcore.KindSessionOver:        `401 {"error":{"type":"TOKEN_INVALID","Type":"TOKEN_INVALID","message":"shown"},"data":null}`,
		authcore.KindRateLimited:        `429 {"error":{"type":"RATE_LIMITED","Type":"RATE_LIMITED","message":"shown"},"data":null}`,
		authcore.KindNotFound:           `404 {"error":{"type":"NOT_FOUND","Type":"NOT_FOUND","message":"shown"},"data":null}`,
		authcore.KindInviteRequired:     `403 {"error":{"type":"REGISTRATION_CLOSED","Type":"REGISTRATION_CLOSED","message":"shown"},"data":null}`,
		authcore.KindBadInvite:          `403 {"error":{"type":"REGISTRATION_CLOSED","Type":"REGISTRATION_CLOSED","message":"shown"},"data":null}`,
		authcore.KindBadCode:            `401 {"error":{"type":"CODE_INVALID","Type":"CODE_INVALID","message":"shown"},"data":null}`,
		authcore.KindNoEmail:            `409 {"error":{"type":"NO_EMAIL","Type":"NO_EMAIL","message":"shown"},"data":null}`,
		authcore.KindMailFailed:         `503 {"error":{"type":"MAIL_FAILED","Type":"MAIL_FAILED","message":"shown"},"data":null}`,
		authcore.KindInvalidPhone:       `400 {"error":{"type":"BAD_BINDING","Type":"BAD_BINDING","message":"shown"},"data":null}`,
		authcore.KindPhoneTaken:         `400 {"error":{"type":"USER_EXISTS","Type":"USER_EXISTS","message":"shown"},"data":null}`,
		authcore.KindUnverifiedPhone:    `403 {"error":{"type":"UNVERIFIED_NUMBER","Type":"UNVERIFIED_NUMBER","message":"shown"},"data":null}`,
		authcore.KindUnverifiedEmail:    `403 {"error":{"type":"UNVERIFIED_EMAIL","Type":"UNVERIFIED_EMAIL","message":"shown"},"data":null}`,
	},
	"auth": {
		authcore.KindInternal:           `500 {"error":"internal","message":"internal error"}`,
		authcore.KindUnavailable:        `503 {"error":"unavailable","message":"shown"}`,
		authcore.KindInvalidInput:       `400 {"error":"bad_request","message":"shown"}`,
		authcore.KindInvalidUsername:    `422 {"error":"invalid_username","message":"shown"}`,
		authcore.KindUsernameTaken:      `409 {"error":"username_taken","message":"shown"}`,
		authcore.KindInvalidEmail:       `422 {"error":"invalid_email","message":"shown"}`,
		authcore.KindEmailTaken:         `409 {"error":"email_taken","message":"shown"}`,
		authcore.KindWeakPassword:       `422 {"error":"weak_password","message":"shown"}`,
		authcore.KindUnknownAccount:     `401 {"error":"invalid_credentials","message":"the e-mail address or the password is wrong"}`,
		authcore.KindWrongPassword:      `401 {"error":"invalid_credentials","message":"the e-mail address or the password is wrong"}`,
		authcore.KindAccountDisabled:    `403 {"error":"account_disabled","message":"shown"}`,
		authcore.KindRegistrationClosed: `403 {"error":"registration_closed","message":"shown"}`,
		authcore.KindBadToken:           `401 {"error":"bad_token","message":"shown"}`,
		authcore.KindSessionOver:        `401 {"error":"session_over","message":"shown"}`,
		authcore.KindRateLimited:        `429 {"error":"rate_limited","message":"shown"}`,
		authcore.KindNotFound:           `404 {"error":"not_found","message":"shown"}`,
		authcore.KindInviteRequired:     `403 {"error":"invite_required","message":"shown"}`,
		authcore.KindBadInvite:          `403 {"error":"bad_invite","message":"shown"}`,
		authcore.KindBadCode:            `401 {"error":"bad_code","message":"shown"}`,
		authcore.KindNoEmail:            `409 {"error":"no_email","message":"shown"}`,
		authcore.KindMailFailed:         `503 {"error":"mail_failed","message":"shown"}`,
		authcore.KindInvalidPhone:       `422 {"error":"invalid_number","message":"shown"}`,
		authcore.KindPhoneTaken:         `409 {"error":"number_taken","message":"shown"}`,
		authcore.KindUnverifiedPhone:    `403 {"error":"unverified_number","message":"shown"}`,
		authcore.KindUnverifiedEmail:    `403 {"error":"unverified_email","message":"shown"}`,
	},
	"users": {
		authcore.KindInternal:           `500 {"success":false,"data":{"message":"INTERNAL"}}`,
		authcore.KindUnavailable:        `503 {"success":false,"data":{"message":"UNAVAILABLE"}}`,
		authcore.KindInvalidInput:       `422 {"success":false,"data":{"message":"INVALID_INPUT"}}`,
		authcore.KindInvalidUsername:    `422 {"success":false,"data":{"message":"INVALID_INPUT"}}`,
		authcore.KindUsernameTaken:      `200 {"success":false,"data":{"message":"ERROR_LOGIN_WITH_PASSWORD"}}`,
		authcore.KindInvalidEmail:       `422 {"success":false,"data":{"message":"INVALID_INPUT"}}`,
		authcore.KindEmailTaken:         `409 {"success":false,"data":{"message":"EMAIL_TAKEN"}}`,
		authcore.KindWeakPassword:       `422 {"success":false,"data":{"message":"WEAK_PASSWORD"}}`,
		authcore.KindUnknownAccount:     `403 {"success":false,"data":{"message":"ERROR_INVALID_USERNAME"}}`,
		authcore.KindWrongPassword:      `401 {"success":false,"data":{"message":"INVALID_PASSWORD"}}`,
		authcore.KindAccountDisabled:    `403 {"success":false,"data":{"message":"ACCOUNT_DISABLED"}}`,
		authcore.KindRegistrationClosed: `401 {"success":false,"data":{"message":"CANT_CREATE_USER"}}`,
		authcore.KindBadToken:           `401 {"success":false,"data":{"message":"NOT_LOGGED_IN"}}`,
		authcore.KindSessionOver:        `401 {"success":false,"data":{"message":"NOT_LOGGED_IN"}}`,
		authcore.KindRateLimited:        `429 {"success":false,"data":{"message":"RATE_LIMITED"}}`,
		authcore.KindNotFound:           `404 {"success":false,"data":{"message":"NOT_FOUND"}}`,
		authcore.KindInviteRequired:     `401 {"success":false,"data":{"message":"CANT_CREATE_USER"}}`,
		authcore.KindBadInvite:          `401 {"success":false,"data":{"message":"CANT_CREATE_USER"}}`,
		authcore.KindBadCode:            `401 {"success":false,"data":{"message":"ERROR_INVALID_OTP"}}`,
		authcore.KindNoEmail:            `200 {"success":false,"data":{"message":"ERROR_NO_EMAIL_SET"}}`,
		authcore.KindMailFailed:         `500 {"success":false,"data":{"message":"ERROR_EMAIL_SENDING_FAILED"}}`,
		authcore.KindInvalidPhone:       `422 {"success":false,"data":{"message":"INVALID_INPUT"}}`,
		authcore.KindPhoneTaken:         `409 {"success":false,"data":{"message":"NUMBER_TAKEN"}}`,
		authcore.KindUnverifiedPhone:    `403 {"success":false,"data":{"message":"UNVERIFIED_NUMBER"}}`,
		authcore.KindUnverifiedEmail:    `403 {"success":false,"data":{"message":"UNVERIFIED_EMAIL"}}`,
	},
}

// Where an endpoint says something else than its dialect does elsewhere.
var kindAnswersOf = map[string]struct {
	want  string
	kinds []authcore.Kind
}{
	"users POST /login": {
		`401 {"success":false,"data":{"message":"REGISTER_FOR_A_PASSWORD"}}`,
		[]authcore.Kind{
			authcore.KindUnknownAccount, authcore.KindUsernameTaken, authcore.KindRegistrationClosed, authcore.KindInviteRequired,
			authcore.KindBadInvite,
		},
	},
}

func TestEveryKindHasAnAnswerInEveryDialect(t *testing.T) {
	if len(kindAnswers) != len(dialects) {
		t.Errorf("answers are written down here for %d dialects of %d", len(kindAnswers), len(dialects))
	}
	special := 0
	for _, d := range dialects {
		answers := kindAnswers[d.Name]
		if len(answers) != len(authcore.Kinds()) {
			t.Errorf("%s: %d answers are written down here for %d kinds", d.Name, len(answers), len(authcore.Kinds()))
		}
		for _, rt := range d.Routes {
			endpoint := d.Name + " " + rt.Method + " " + rt.Path
			if len(rt.Answers) > 0 {
				special++
			}
			for _, k := range authcore.Kinds() {
				w := httptest.NewRecorder()
				d.Fail(w, rt.Answers, &authcore.Error{Kind: k, Msg: "shown", Err: errors.New("for the log")})
				want := answers[k]
				if own := kindAnswersOf[endpoint]; slices.Contains(own.kinds, k) {
					want = own.want
				}
				if got := summary(w); got != want {
					t.Errorf("%s, %v:\n%s\nwant\n%s", endpoint, k, got, want)
				}
				if ct := w.Header().Get("Content-Type"); ct != "application/json; charset=utf-8" {
					t.Errorf("%s, %v: Content-Type %q", endpoint, k, ct)
				}
				token := k == authcore.KindBadToken || k == authcore.KindSessionOver
				if auth := w.Header()["Www-Authenticate"]; (len(auth) == 1 && auth[0] == `Bearer error="invalid_token"`) != token {
					t.Errorf("%s, %v: WWW-Authenticate %q", endpoint, k, auth)
				}
			}
		}
	}
	if special != len(kindAnswersOf) {
		t.Errorf("%d endpoints have answers of their own, %d are written down here", special, len(kindAnswersOf))
	}
}

// A class that is added, or a dialect, fails until somebody has decided on its answers. Only users.txt has errors of
// status 200.
func TestEveryClassHasAnAnswerInEveryDialect(t *testing.T) {
	for _, d := range dialects {
		for _, c := range authcore.Classes() {
			if a := d.Answers[c]; a.Status < 400 || a.Code == "" {
				t.Errorf("%s: class %d is answered with %+v", d.Name, c, a)
			}
		}
		for _, k := range authcore.Kinds() {
			a, named := d.Answers[k]
			if !named {
				continue
			}
			if a.Code == "" || a.Status < 400 && (a.Status != http.StatusOK || d.Name != "users") {
				t.Errorf("%s: %v is answered with %+v", d.Name, k, a)
			}
			if a == d.Answers[k.Class()] {
				t.Errorf("%s: %v is named, and answered like its class", d.Name, k)
			}
		}
		if no := d.WrongMethod; no.Status != http.StatusMethodNotAllowed || no.Code == "" {
			t.Errorf("%s: a wrong method is answered with %+v", d.Name, no)
		}
	}
}

func summary(w *httptest.ResponseRecorder) string {
	return strconv.Itoa(w.Code) + " " + strings.TrimSuffix(w.Body.String(), "\n")
}

// noStores has a service that must not be called.
type noStores struct{}

func (noStores) Service(context.Context) (*authcore.Service, func(), error) {
	return new(authcore.Service), func() {}, nil
}

// pipeline is an accounts handler with the endpoints POST /x, GET /x and DELETE /x/{id}, in front of a service that is
// never called. It returns what a request gets and what is logged.
func pipeline(t *testing.T, d *dialect.Dialect, r *http.Request, handle func(context.Context, *dialect.Call) (dialect.Reply, error), origins ...string) (*httptest.ResponseRecorder, []observer.LoggedEntry) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	a := &Accounts{
		app: noStores{}, dialect: d, logger: zap.New(core), origins: origin.Of(origins), cookie: d.Cookie,
		settings: dialect.Settings{Bodies: d.Bodies},
	}
	a.layOut([]dialect.Route{
		{Method: http.MethodPost, Path: "/x", Handle: handle},
		{Method: http.MethodGet, Path: "/x", Handle: handle},
		{Method: http.MethodDelete, Path: "/x/{id}", Handle: handle},
	})
	w := httptest.NewRecorder()
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusTeapot)
		return nil
	})
	if err := a.ServeHTTP(w, r, next); err != nil {
		t.Errorf("an error went past the dialect: %v", err)
	}
	return w, logs.All()
}

func post(path string) *http.Request {
	return httptest.NewRequest(http.MethodPost, path, strings.NewReader("{}"))
}

func TestInternalErrorsStayInside(t *testing.T) {
	const secret = "dial tcp 10.0.0.7:5432: password hunter2"
	for _, d := range dialects {
		for name, tc := range map[string]struct {
			err    error
			logged bool
		}{
			"a bare error":                      {errors.New(secret), true},
			"an internal one with a text":       {&authcore.Error{Kind: authcore.KindInternal, Msg: secret, Err: errors.New(secret)}, true},
			"one of a kind that nobody knows":   {&authcore.Error{Kind: 200, Msg: secret, Err: errors.New(secret)}, false},
			"the cause of an unavailable store": {&authcore.Error{Kind: authcore.KindUnavailable, Msg: "later", Err: errors.New(secret)}, true},
			"the cause of a bad input":          {&authcore.Error{Kind: authcore.KindInvalidInput, Msg: "no", Err: errors.New(secret)}, false},
			"one that is wrapped":               {fmt.Errorf("%s: %w", secret, authcore.Errorf(authcore.KindWrongPassword, "no")), false},
		} {
			t.Run(d.Name+"/"+name, func(t *testing.T) {
				w, logs := pipeline(t, d, post("/x"), func(context.Context, *dialect.Call) (dialect.Reply, error) { return dialect.Reply{}, tc.err })
				if all := fmt.Sprint(w.Header()) + w.Body.String(); strings.Contains(all, "hunter2") || strings.Contains(all, "10.0.0.7") {
					t.Errorf("it is told: %s", all)
				}
				told := false
				for _, l := range logs {
					told = told || strings.Contains(fmt.Sprint(l.ContextMap()["error"]), secret)
				}
				if told != tc.logged {
					t.Errorf("logged %v, want %v: %v", told, tc.logged, logs)
				}
			})
		}
	}
}

func TestRetryAfter(t *testing.T) {
	for _, tc := range []struct {
		kind authcore.Kind
		wait time.Duration
		want string
	}{
		{authcore.KindRateLimited, 0, "1"},
		{authcore.KindRateLimited, -time.Hour, "1"},
		{authcore.KindRateLimited, time.Nanosecond, "1"},
		{authcore.KindRateLimited, time.Second, "1"},
		{authcore.KindRateLimited, time.Second + time.Nanosecond, "2"},
		{authcore.KindRateLimited, 1999 * time.Millisecond, "2"},
		{authcore.KindRateLimited, 15 * time.Minute, "900"},
		{authcore.KindUnavailable, 5 * time.Second, "5"},
		{authcore.KindUnavailable, 0, "1"},
		{authcore.KindWrongPassword, time.Hour, ""},
		{authcore.KindInternal, time.Hour, ""},
	} {
		w, _ := pipeline(t, &rooms.Dialect, post("/x"), func(context.Context, *dialect.Call) (dialect.Reply, error) {
			return dialect.Reply{}, &authcore.Error{Kind: tc.kind, RetryAfter: tc.wait}
		})
		if got := w.Header().Get("Retry-After"); got != tc.want {
			t.Errorf("%v after %v: Retry-After %q, want %q", tc.kind, tc.wait, got, tc.want)
		}
	}
}

// What is ours is served in one decoded spelling, and with a slash behind it. What folds to it is ours as well, and is
// nothing; everything else is for the next handler alone.
func TestSpellingsOfPaths(t *testing.T) {
	plain, named := []string{http.MethodPost, http.MethodGet, http.MethodHead}, []string{http.MethodDelete}
	odd := []string{"404"}     // whatever the method
	broken := []string{"none"} // a server answers 400, so no handler is asked
	for target, ours := range map[string][]string{
		"/x": plain, "/x?a=b": plain, "/%78": plain, "/x?": plain, "http://example.com/x": plain, "/x/": plain, "/x/?a=b": plain, "/%78/": plain,
		"/X": odd, "/x//": odd, "//x": odd, "/./x": odd, "/y/../x": odd, "/x;a=b": odd, "/x;": odd, "/;a/x": odd,
		"/x%20": odd, "/%20x": odd, "/x%09": odd, "/x%c2%a0": odd, "/x%00": odd, "/x%00.png": odd, "/x.": odd, "/x%2e": odd, "/x%0a": odd,
		"/x%3f": odd, "/x%3fa=b": odd, "/x%23": odd, "/x%2f": odd, "/x/%2f": odd, "/%2fx": odd, "/%2578": odd, "/%25252578": odd, "/%252525252525252578": odd, "/%252%253578": odd, "/ｘ": odd, "/x\\": odd,
		"\\x": broken, "/\\x": odd, "/x%5c": odd, "/y\\..\\x": odd, "/y/..;/x": odd, "/y/%2e%2e/x": odd, "/y/%252e%252e/x": odd, "/../x": odd, "/x%e2%80%8b": odd,
		"/x.json": nil, "/": nil, "/xx": nil, "/y": nil, "/x-": nil, "/x_": nil, "/y/x": nil, "/x/../y": nil, "/x%zz": broken,
		"/x/1": named, "/%78/1": named, "/x/1?a": named, "/x/%31": named, "/x%2f1": named, "/x/1/": named,
		"/x/..": named, "/x/.": named, "/x/;a": named, "/x/{id}": named, "/x/%00": named, "/x/%2f1": odd,
		"/x//1": odd, "/x/1//": odd, "/X/1": odd, "/X/AbC": odd, "//x/1": odd, "/x;a/1": odd,
		"/x/1/2": nil, "/x/1%2f2": nil, "/y/1": nil, "/{id}": nil,
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete, "post", "FOO"} {
			called := false
			r, err := http.NewRequest(method, "http://example.com", nil)
			if err != nil {
				t.Fatal(err)
			}
			r.URL, err = url.ParseRequestURI(target)
			if (err != nil) != slices.Equal(ours, broken) {
				t.Fatalf("%s: %v", target, err)
			}
			if err != nil {
				continue
			}
			w, _ := pipeline(t, &rooms.Dialect, r.WithContext(httptest.NewRequest(method, "/", nil).Context()), func(context.Context, *dialect.Call) (dialect.Reply, error) {
				called = true
				return dialect.Reply{Status: http.StatusOK, Body: envelope.Envelope{}}, nil
			})
			bad := slices.Equal(ours, named) && strings.ContainsAny(target, ".{;") || target == "/x/%00"
			want := http.StatusTeapot
			switch {
			case slices.Equal(ours, odd), slices.Contains(ours, method) && bad:
				want = http.StatusNotFound
			case slices.Contains(ours, method):
				want = http.StatusOK
			case ours != nil:
				want = http.StatusMethodNotAllowed
				if got := w.Header()["Allow"]; len(got) != 1 || got[0] != strings.Join(ours, ", ") {
					t.Errorf("%s %s: Allow %q", method, target, got)
				}
			}
			if w.Code != want || called != (want == http.StatusOK) {
				t.Errorf("%s %s: %d, want %d; served %v", method, target, w.Code, want, called)
			}
			if got := w.Header().Get("Cache-Control"); (got == "no-store") != (ours != nil) {
				t.Errorf("%s %s: Cache-Control %q", method, target, got)
			}
		}
	}
}

// Where nothing else is, an endpoint that was missed says where it is, in the manner of its dialect.
func TestMisspeltPaths(t *testing.T) {
	for _, d := range dialects {
		w, _ := pipeline(t, d, post("/X/1"), nil)
		want := strings.Replace(kindAnswers[d.Name][authcore.KindNotFound], "shown", "there is nothing here; the endpoint is /x/{id}", 1)
		if got := summary(w); got != want {
			t.Errorf("%s: %s, want %s", d.Name, got, want)
		}
	}
}

// What reaches a store is what ids of ours are made of.
func TestPathParameters(t *testing.T) {
	for segment, want := range map[string]string{
		"a": "a", "AZaz09-_": "AZaz09-_", "%61": "a", strings.Repeat("a", 64): strings.Repeat("a", 64),
		"123e4567-e89b-12d3-a456-426614174000": "123e4567-e89b-12d3-a456-426614174000",
		strings.Repeat("a", 65):                "", "a.b": "", "%00": "", "a%00": "", "%ff": "", "ä": "", "a%20b": "", "a'--": "", "%0a": "", "*": "", "a%3Fb": "", "＿": "",
	} {
		got := ""
		w, _ := pipeline(t, &auth.Dialect, httptest.NewRequest(http.MethodDelete, "/x/"+segment, nil), func(_ context.Context, c *dialect.Call) (dialect.Reply, error) {
			got = c.ID
			return dialect.NoContent, nil
		})
		status := http.StatusNoContent
		if want == "" {
			status = http.StatusNotFound
		}
		if got != want || w.Code != status {
			t.Errorf("%s: %q, %d; want %q, %d", segment, got, w.Code, want, status)
		}
		if want != "" && (w.Body.Len() > 0 || w.Header().Get("Content-Type") != "") {
			t.Errorf("%s: 204 with %q of type %q", segment, w.Body, w.Header().Get("Content-Type"))
		}
	}
}

// Which endpoints need no session is what the contract says of them, and no other.
func TestWhatNeedsASession(t *testing.T) {
	open := map[string]bool{
		"rooms POST /users": true, "rooms POST /login": true, "auth POST /register": true, "auth POST /login": true,
		"users POST /login": true, "users POST /register": true, "users POST /requestotp": true, "users POST /modifypassword": true,
	}
	for _, d := range dialects {
		for _, rt := range d.Routes {
			endpoint := d.Name + " " + rt.Method + " " + rt.Path
			want := dialect.NeedsSession
			switch {
			case open[endpoint]:
				want = dialect.Public
			case endpoint == "auth POST /refresh":
				want = dialect.NeedsToken
			}
			if rt.Access != want {
				t.Errorf("%s: %d, want %d", endpoint, rt.Access, want)
			}
			delete(open, endpoint)
		}
	}
	if len(open) > 0 {
		t.Errorf("these are missing: %v", open)
	}
}

// A page of another site can neither use the cookie nor set it: whatever it posts is refused before it is read. What
// comes from no page is not its business.
func TestUsersOtherOrigins(t *testing.T) {
	ok := func(context.Context, *dialect.Call) (dialect.Reply, error) {
		return dialect.Reply{Status: http.StatusOK, Body: struct{}{}}, nil
	}
	for name, tc := range map[string]struct {
		origin, site string
		allowed      bool
	}{
		"no page":                  {"", "", true},
		"its own":                  {"https://example.com", "same-origin", true},
		"its own, which hides":     {"null", "same-origin", true},
		"its own, an old browser":  {"http://example.com", "", true},
		"typed into the bar":       {"", "none", true},
		"another site":             {"https://evil.example", "cross-site", false},
		"one that hides":           {"null", "", false},
		"another, an old browser":  {"https://evil.example", "", false},
		"a neighbour":              {"https://app.example.com", "same-site", false},
		"no origin, cross-site":    {"", "cross-site", false},
		"a name that begins alike": {"https://example.com.evil.example", "", false},
		"a name that ends alike":   {"https://evilexample.com", "", false},
		"another port":             {"https://example.com:8443", "", false},
		"an odd word":              {"https://example.com", "friend", false},
	} {
		for _, d := range dialects {
			r := httptest.NewRequest(http.MethodPost, "http://example.com/x", strings.NewReader("{}"))
			if tc.origin != "" {
				r.Header.Set("Origin", tc.origin)
			}
			if tc.site != "" {
				r.Header.Set("Sec-Fetch-Site", tc.site)
			}
			called := false
			w, _ := pipeline(t, d, r, func(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
				called = true
				return ok(ctx, c)
			})
			allowed := tc.allowed || d.Name != "users" // where nothing goes along by itself
			if called != allowed {
				t.Errorf("%s, %s: called %v: %s", d.Name, name, called, summary(w))
			}
			if want := `403 {"success":false,"data":{"message":"INVALID_ORIGIN"}}`; !allowed && summary(w) != want {
				t.Errorf("%s, %s: %s", d.Name, name, summary(w))
			}
		}
	}
	r := httptest.NewRequest(http.MethodGet, "http://example.com/x", nil)
	r.Header.Set("Origin", "https://evil.example")
	if w, _ := pipeline(t, &users.Dialect, r, ok); w.Code != http.StatusOK {
		t.Errorf("a GET is refused: %s", summary(w))
	}
}

// Every dialect refuses what may be a replay.
func TestEarlyData(t *testing.T) {
	for _, d := range dialects {
		r := post("/x")
		r.TLS = &tls.ConnectionState{}
		if w, _ := pipeline(t, d, r, nil); w.Code != http.StatusTooEarly || w.Body.Len() == 0 {
			t.Errorf("%s, in early data: %d %s", d.Name, w.Code, w.Body)
		}
		r = post("/x")
		r.TLS = &tls.ConnectionState{HandshakeComplete: true}
		r.Header.Set("Early-Data", "1")
		if w, _ := pipeline(t, d, r, nil); w.Code != http.StatusTooEarly {
			t.Errorf("%s, with Early-Data: %d %s", d.Name, w.Code, w.Body)
		}
	}
}

// What each dialect takes for a body.
func TestBodies(t *testing.T) {
	want := map[string]dialect.Bodies{"rooms": dialect.JSONAnyType, "auth": dialect.JSONOnly, "users": dialect.JSONOrForm}
	for _, d := range dialects {
		if got, ok := want[d.Name]; !ok || d.Bodies != got {
			t.Errorf("%s takes %d, want %d", d.Name, d.Bodies, got)
		}
	}
}
