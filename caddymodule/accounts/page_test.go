package accounts

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
	"github.com/chatgate/chatgate/chatroom"
)

// shared are the headers by which a page may read an answer.
type shared struct{ origin, credentials string }

func sharedBy(h http.Header) shared {
	return shared{h.Get("Access-Control-Allow-Origin"), h.Get("Access-Control-Allow-Credentials")}
}

// Every dialect shares its answers with the pages of the option origins, errors included, and with no others.
func TestSharesAnswers(t *testing.T) {
	const app, evil = "https://app.example.com", "https://evil.example"
	ok := func(context.Context, *dialect.Call) (dialect.Reply, error) { return dialect.NoContent, nil }
	failed := func(context.Context, *dialect.Call) (dialect.Reply, error) {
		return dialect.Reply{}, authcore.Errorf(authcore.KindWrongPassword, "no")
	}
	for name, tc := range map[string]struct {
		origins []string
		origin  string
		want    shared
		refused bool
	}{
		"no origins":                    {nil, app, shared{}, true},
		"a named page":                  {[]string{app}, app, shared{app, "true"}, false},
		"a named page of an app":        {[]string{app, "capacitor://localhost"}, "capacitor://localhost", shared{"capacitor://localhost", "true"}, false},
		"another page":                  {[]string{app, "capacitor://localhost"}, evil, shared{}, true},
		"its own page":                  {[]string{app}, "http://example.com", shared{}, false},
		"no page":                       {[]string{app}, "", shared{}, false},
		"a page that hides":             {[]string{app, "null"}, "null", shared{"null", ""}, false},
		"a page that hides, not listed": {[]string{app}, "null", shared{}, true},
		"any page":                      {[]string{"*"}, evil, shared{evil, ""}, false},
		"a named one among any":         {[]string{"*", app}, app, shared{app, "true"}, false},
	} {
		for _, d := range dialects {
			t.Run(d.Name+"/"+name, func(t *testing.T) {
				ask := func(method, path string, handle func(context.Context, *dialect.Call) (dialect.Reply, error)) *httptest.ResponseRecorder {
					r := httptest.NewRequest(method, "http://example.com"+path, strings.NewReader("{}"))
					if tc.origin != "" {
						r.Header.Set("Origin", tc.origin)
					}
					if method == http.MethodOptions {
						r.Body, r.ContentLength = http.NoBody, 0
						r.Header.Set("Access-Control-Request-Method", http.MethodPost)
						r.Header.Set("Access-Control-Request-Headers", "authorization,content-type")
					}
					w, _ := pipeline(t, d, r, handle, tc.origins...)
					if got := sharedBy(w.Header()); got != tc.want {
						t.Errorf("%s %s: %d shared with %q, want %q", method, path, w.Code, got, tc.want)
					}
					if vary := strings.Join(w.Header()["Vary"], ", "); strings.Contains(vary, "Origin") != (len(tc.origins) > 0) {
						t.Errorf("%s %s: Vary: %q", method, path, vary)
					}
					return w
				}
				judges := len(tc.origins) > 0 || d.Cookie != ""
				if w := ask(http.MethodPost, "/x", ok); (w.Code == http.StatusForbidden) != (tc.refused && judges) {
					t.Errorf("a call: %s", summary(w))
				}
				ask(http.MethodPost, "/x", failed)
				ask(http.MethodGet, "/x", ok)
				ask(http.MethodDelete, "/x", ok) // a wrong method
				ask(http.MethodPost, "/X", ok)   // a wrong path

				w := ask(http.MethodOptions, "/x", nil)
				switch {
				case len(tc.origins) == 0 || tc.origin == "":
					if w.Code != http.StatusMethodNotAllowed {
						t.Errorf("OPTIONS: %s", summary(w))
					}
				case tc.refused:
					if w.Code != http.StatusForbidden || w.Header().Get("Access-Control-Allow-Methods") != "" {
						t.Errorf("a preflight: %s %q", summary(w), w.Header())
					}
				case w.Code != http.StatusNoContent || w.Header().Get("Access-Control-Allow-Methods") != "POST, GET, HEAD" ||
					w.Header().Get("Access-Control-Allow-Headers") != "Authorization, Content-Type":
					t.Errorf("a preflight: %s %q", summary(w), w.Header())
				}
			})
		}
	}
}

// A page that is allowed without a name neither uses the visitor's cookie nor gives them one.
func TestOpenPagesHaveNoCookie(t *testing.T) {
	for _, d := range dialects {
		if d.Cookie == "" {
			continue
		}
		for origin, open := range map[string]bool{"null": true, "https://evil.example": true, "https://app.example.com": false, "http://example.com": false, "": false} {
			r := httptest.NewRequest(http.MethodPost, "http://example.com/x", strings.NewReader("{}"))
			r.Header.Set("Cookie", "theme=dark; "+d.Cookie+"=token")
			if origin != "" {
				r.Header.Set("Origin", origin)
			}
			sent := ""
			w, _ := pipeline(t, d, r, func(_ context.Context, c *dialect.Call) (dialect.Reply, error) {
				sent = strings.Join(c.Request.Header["Cookie"], "; ")
				return dialect.Reply{Status: http.StatusNoContent, Grant: &authcore.Grant{Token: "token"}}, nil
			}, "*", "https://app.example.com")
			if strings.Contains(sent, "token") == open || !strings.Contains(sent, "theme=dark") || (w.Header()["Set-Cookie"] == nil) != open {
				t.Errorf("%s, Origin %q: Cookie: %q, Set-Cookie: %q", d.Name, origin, sent, w.Header()["Set-Cookie"])
			}
		}
	}
}

// A cookie changes something only for a page that may use it. What bears a token itself, reads, or is for anybody needs no page.
func TestBorrowedCookies(t *testing.T) {
	a := &Accounts{cookie: "session"}
	for _, tc := range []struct {
		method, header, value string
		page                  chatroom.Page
		access                dialect.Access
		borrowed              bool
	}{
		{http.MethodPost, "Cookie", "session=x", chatroom.NoPage, dialect.NeedsSession, true},
		{http.MethodDelete, "Cookie", "a=b; session=x", chatroom.NoPage, dialect.NeedsSession, true},
		{http.MethodPost, "Cookie", "session=x", chatroom.NoPage, dialect.NeedsToken, true},
		{http.MethodPost, "Cookie", "session=x", chatroom.OtherPage, dialect.NeedsSession, true},
		{http.MethodPost, "Cookie", "session=x", chatroom.OwnPage, dialect.NeedsSession, false},
		{http.MethodPost, "Cookie", "session=x", chatroom.NamedPage, dialect.NeedsSession, false},
		{http.MethodPost, "Cookie", "session=x", chatroom.OpenPage, dialect.NeedsSession, true}, // it is dropped before
		{http.MethodGet, "Cookie", "session=x", chatroom.NoPage, dialect.NeedsSession, false},
		{http.MethodPost, "Cookie", "session=x", chatroom.NoPage, dialect.Public, false},
		{http.MethodPost, "Cookie", "other=x", chatroom.NoPage, dialect.NeedsSession, false},
		{http.MethodPost, "Authorization", "Bearer x", chatroom.NoPage, dialect.NeedsSession, false},
	} {
		r := httptest.NewRequest(tc.method, "/x", nil)
		r.Header.Set(tc.header, tc.value)
		if got := a.borrowsCookie(r, tc.page, tc.access); got != tc.borrowed {
			t.Errorf("%s, %s: %s, page %d: %v", tc.method, tc.header, tc.value, tc.page, got)
		}
	}
}
