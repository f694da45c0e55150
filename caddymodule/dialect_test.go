package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
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
	},
}

func TestEveryKindHasAnAnswerInEveryDialect(t *testing.T) {
	for _, d := range dialects {
		answers := kindAnswers[d.name()]
		if len(answers) != len(authcore.Kinds()) {
			t.Errorf("%s: %d answers are written down here for %d kinds", d.name(), len(answers), len(authcore.Kinds()))
		}
		for _, k := range authcore.Kinds() {
			w := httptest.NewRecorder()
			d.fail(w, &authcore.Error{Kind: k, Msg: "shown", Err: errors.New("for the log")})
			if got := summary(w); got != answers[k] {
				t.Errorf("%s, %v:\n%s\nwant\n%s", d.name(), k, got, answers[k])
			}
			if ct := w.Header().Get("Content-Type"); ct != "application/json; charset=utf-8" {
				t.Errorf("%s, %v: Content-Type %q", d.name(), k, ct)
			}
			token := k == authcore.KindBadToken || k == authcore.KindSessionOver
			if auth := w.Header()["Www-Authenticate"]; (len(auth) == 1 && auth[0] == `Bearer error="invalid_token"`) != token {
				t.Errorf("%s, %v: WWW-Authenticate %q", d.name(), k, auth)
			}
		}
	}
}

// A map can lack a kind and still answer it, as an internal error: the tables themselves have to be total.
func TestRoomsKindsIsTotal(t *testing.T) {
	for _, k := range authcore.Kinds() {
		if a, ok := roomsKinds[k]; !ok || a.status < 400 || a.code == "" {
			t.Errorf("%v has no answer", k)
		}
	}
}

func summary(w *httptest.ResponseRecorder) string {
	return strconv.Itoa(w.Code) + " " + strings.TrimSuffix(w.Body.String(), "\n")
}

// pipeline is an accounts handler with one endpoint, POST /x, in front of a service that is never called. It returns
// what a request gets and what is logged.
func pipeline(t *testing.T, d dialect, r *http.Request, handle func(context.Context, *call) (reply, error)) (*httptest.ResponseRecorder, []observer.LoggedEntry) {
	t.Helper()
	core, logs := observer.New(zapcore.DebugLevel)
	a := &Accounts{
		app: &App{users: 1, service: new(authcore.Service)}, dialect: d, logger: zap.New(core),
		routes: map[string][]route{"/x": {{method: http.MethodPost, path: "/x", handle: handle}}},
	}
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

// What is ours is ours in one decoded spelling, whatever the method; everything else is for the next handler alone.
func TestPathsMatchExactly(t *testing.T) {
	for target, ours := range map[string]bool{
		"/x": true, "/x?a=b": true, "/%78": true, "/x?": true, "http://example.com/x": true,
		"/X": false, "/x/": false, "//x": false, "/./x": false, "/y/../x": false, "/x;a=b": false, "/x%20": false, "/x%00": false,
		"/x%3f": false, "/x%2f": false, "/%2fx": false, "/x.json": false, "/": false, "/%2578": false, "/ｘ": false, "/x\\": false,
	} {
		for _, method := range []string{http.MethodPost, http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodDelete, "post", "FOO"} {
			called := false
			w, _ := pipeline(t, rooms{}, httptest.NewRequest(method, target, nil), func(context.Context, *call) (reply, error) {
				called = true
				return reply{http.StatusOK, roomsEnvelope{}}, nil
			})
			want := http.StatusTeapot
			switch {
			case ours && method == http.MethodPost:
				want = http.StatusOK
			case ours:
				want = http.StatusMethodNotAllowed
				if got := w.Header()["Allow"]; len(got) != 1 || got[0] != http.MethodPost {
					t.Errorf("%s %s: Allow %q", method, target, got)
				}
			}
			if w.Code != want || called != (want == http.StatusOK) {
				t.Errorf("%s %s: %d, want %d; served %v", method, target, w.Code, want, called)
			}
			if got := w.Header().Get("Cache-Control"); (got == "no-store") != ours {
				t.Errorf("%s %s: Cache-Control %q", method, target, got)
			}
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
