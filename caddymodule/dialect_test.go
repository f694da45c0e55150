package caddymodule

import (
	"context"
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
		answers := kindAnswers[d.name()]
		if len(answers) != len(authcore.Kinds()) {
			t.Errorf("%s: %d answers are written down here for %d kinds", d.name(), len(answers), len(authcore.Kinds()))
		}
		for _, rt := range d.routes() {
			endpoint := d.name() + " " + rt.method + " " + rt.path
			if len(rt.answers) > 0 {
				special++
			}
			for _, k := range authcore.Kinds() {
				w := httptest.NewRecorder()
				writeError(w, d, rt.answers, &authcore.Error{Kind: k, Msg: "shown", Err: errors.New("for the log")})
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

// A map can lack a kind and still answer it, as an internal error: the tables themselves have to be total.
func TestAnswersAreTotal(t *testing.T) {
	for _, d := range dialects {
		tables := []answers{d.answers()}
		for _, rt := range d.routes() {
			if rt.answers != nil {
				tables = append(tables, rt.answers)
			}
		}
		for _, table := range tables {
			for _, k := range authcore.Kinds() {
				a, ok := table[k]
				if !ok || a.code == "" || a.status < 400 && (a.status != http.StatusOK || d.name() != "users") {
					t.Errorf("%s: %v has no answer", d.name(), k)
				}
			}
		}
		if no := d.wrongMethod(); no.status != http.StatusMethodNotAllowed || no.code == "" {
			t.Errorf("%s: a wrong method is answered with %+v", d.name(), no)
		}
	}
}

func summary(w *httptest.ResponseRecorder) string {
	return strconv.Itoa(w.Code) + " " + strings.TrimSuffix(w.Body.String(), "\n")
}

// pipeline is an accounts handler with the endpoints POST /x, GET /x and DELETE /x/{id}, in front of a service that is
// never called. It returns what a request gets and what is logged.
func pipeline(t *testing.T, d dialect, r *http.Request, handle func(context.Context, *call) (reply, error)) (*httptest.ResponseRecorder, []observer.LoggedEntry) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	a := &Accounts{
		app: &App{users: 1, service: new(authcore.Service)}, dialect: d, logger: zap.New(core), origins: http.NewCrossOriginProtection(),
		settings: settings{bodies: d.bodies()},
	}
	a.layOut([]route{
		{method: http.MethodPost, path: "/x", handle: handle},
		{method: http.MethodGet, path: "/x", handle: handle},
		{method: http.MethodDelete, path: "/x/{id}", handle: handle},
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
			t.Run(d.name()+"/"+name, func(t *testing.T) {
				w, logs := pipeline(t, d, post("/x"), func(context.Context, *call) (reply, error) { return reply{}, tc.err })
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
		w, _ := pipeline(t, rooms{}, post("/x"), func(context.Context, *call) (reply, error) {
			return reply{}, &authcore.Error{Kind: tc.kind, RetryAfter: tc.wait}
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
			w, _ := pipeline(t, rooms{}, r.WithContext(httptest.NewRequest(method, "/", nil).Context()), func(context.Context, *call) (reply, error) {
				called = true
				return reply{status: http.StatusOK, body: roomsEnvelope{}}, nil
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
		want := strings.Replace(kindAnswers[d.name()][authcore.KindNotFound], "shown", "there is nothing here; the endpoint is /x/{id}", 1)
		if got := summary(w); got != want {
			t.Errorf("%s: %s, want %s", d.name(), got, want)
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
		w, _ := pipeline(t, auth{}, httptest.NewRequest(http.MethodDelete, "/x/"+segment, nil), func(_ context.Context, c *call) (reply, error) {
			got = c.id
			return noContent, nil
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

func TestBearerToken(t *testing.T) {
	for name, tc := range map[string]struct {
		headers []string
		want    string
	}{
		"one":             {[]string{"Bearer abc"}, "abc"},
		"any case":        {[]string{"bEARER abc"}, "abc"},
		"none":            {nil, ""},
		"empty":           {[]string{""}, ""},
		"scheme alone":    {[]string{"Bearer"}, ""},
		"no token":        {[]string{"Bearer "}, ""},
		"another scheme":  {[]string{"Basic abc"}, ""},
		"two of them":     {[]string{"Bearer abc", "Bearer abc"}, ""},
		"glued":           {[]string{"Bearerabc"}, ""},
		"after a tab":     {[]string{"Bearer\tabc"}, ""},
		"no scheme":       {[]string{"abc"}, ""},
		"a longer scheme": {[]string{"BearerX abc"}, ""},
	} {
		r := post("/x")
		r.Header["Authorization"] = tc.headers
		token, err := bearerToken(r)
		if string(token) != tc.want || (err == nil) != (tc.want != "") || err != nil && authcore.KindOf(err) != authcore.KindBadToken {
			t.Errorf("%s: %q, %v", name, token, err)
		}
	}
}
