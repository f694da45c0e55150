package caller

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
)

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
		r := httptest.NewRequest(http.MethodPost, "/x", nil)
		r.Header["Authorization"] = tc.headers
		token, err := Bearer(r)
		if string(token) != tc.want || (err == nil) != (tc.want != "") || err != nil && authcore.KindOf(err) != authcore.KindBadToken {
			t.Errorf("%s: %q, %v", name, token, err)
		}
	}
}

// A store that does not respond costs nobody a cookie, nor does any other error that tells nothing about the token.
func TestWhatACookieIsWorth(t *testing.T) {
	for _, k := range authcore.Kinds() {
		standing, err := standingOf(&authcore.Error{Kind: k, Err: errors.New("why")})
		want, told := chatroom.Living, true
		switch k {
		case authcore.KindSessionOver:
			want, told = chatroom.Over, false
		case authcore.KindBadToken:
			want, told = chatroom.Foreign, false
		default:
		}
		if standing != want || (err != nil) != told {
			t.Errorf("%v: %v, %v", k, standing, err)
		}
	}
	if standing, err := standingOf(nil); standing != chatroom.Living || err != nil {
		t.Errorf("no error: %v, %v", standing, err)
	}
}

func TestExpireCookieFor(t *testing.T) {
	const end = "; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly"
	for target, cookies := range map[string]map[string]string{
		"http://chat.example":  {"ssid": end + "; SameSite=Lax", "__Host-ssid": end + "; Secure; SameSite=Lax"},
		"https://chat.example": {"ssid": end + "; Secure; SameSite=Lax", "__Host-ssid": end + "; Secure; SameSite=Lax"},
	} {
		for name, want := range cookies {
			w := httptest.NewRecorder()
			ExpireCookieFor(w, httptest.NewRequest(http.MethodGet, target, nil), name)
			if got := w.Header().Get("Set-Cookie"); got != name+"="+want || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s, %s: %q", target, name, w.Header())
			}
		}
	}
}

func TestToken(t *testing.T) {
	for name, tc := range map[string]struct {
		authorization, cookies []string
		want                   string
		kind                   authcore.Kind
	}{
		"the header":               {[]string{"Bearer abc"}, nil, "abc", 0},
		"the cookie":               {nil, []string{"ssid=abc"}, "abc", 0},
		"among others":             {nil, []string{"a=1; ssid=abc; b=2"}, "abc", 0},
		"in quotes":                {nil, []string{`ssid="abc"`}, "abc", 0},
		"both, alike":              {[]string{"Bearer abc"}, []string{"ssid=abc"}, "abc", 0},
		"both, and not alike":      {[]string{"Bearer abc"}, []string{"ssid=xyz"}, "abc", 0},
		"a header, cookies twice":  {[]string{"Bearer abc"}, []string{"ssid=x; ssid=y"}, "abc", 0},
		"a bad header, a cookie":   {[]string{"Basic abc"}, []string{"ssid=xyz"}, "", authcore.KindBadToken},
		"an empty header":          {[]string{""}, []string{"ssid=xyz"}, "", authcore.KindBadToken},
		"two headers and a cookie": {[]string{"Bearer abc", "Bearer abc"}, []string{"ssid=abc"}, "", authcore.KindBadToken},
		"nothing":                  {nil, nil, "", authcore.KindBadToken},
		"an empty cookie":          {nil, []string{"ssid="}, "", authcore.KindBadToken},
		"another cookie":           {nil, []string{"SSID=abc; ssid2=abc; session=abc"}, "", authcore.KindBadToken},
		"a cookie twice":           {nil, []string{"ssid=abc; ssid=xyz"}, "", authcore.KindInvalidInput},
		"twice alike":              {nil, []string{"ssid=abc; ssid=abc"}, "", authcore.KindInvalidInput},
		"twice in two headers":     {nil, []string{"ssid=abc", "ssid=xyz"}, "", authcore.KindInvalidInput},
		"twice, one empty":         {nil, []string{"ssid=; ssid=xyz"}, "", authcore.KindInvalidInput},
	} {
		r := httptest.NewRequest(http.MethodGet, "/users/info", nil)
		if tc.authorization != nil {
			r.Header["Authorization"] = tc.authorization
		}
		if tc.cookies != nil {
			r.Header["Cookie"] = tc.cookies
		}
		token, err := Token(r, "ssid")
		if string(token) != tc.want || (err == nil) != (tc.want != "") || err != nil && authcore.KindOf(err) != tc.kind {
			t.Errorf("%s: %q, %v", name, string(token), err)
		}
	}
}

func TestSetCookie(t *testing.T) {
	now := time.Date(2026, 11, 21, 8, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		end  time.Duration
		want string
	}{
		{30 * 24 * time.Hour, "2592000"},
		{time.Hour, "3600"},
		{time.Hour - time.Second/4, "3600"}, // the session began a moment ago
		{-time.Hour, "1"},                   // never 0, which net/http leaves out: the cookie would live as long as the browser
		{0, "1"},
	} {
		g := authcore.Grant{Token: "abc.def.ghi", Session: authcore.Session{ExpiresAt: now.Add(tc.end)}}
		h := http.Header{}
		SetCookie(h, "ssid", g, now)
		if got := h.Get("Set-Cookie"); got != "ssid=abc.def.ghi; Path=/; Max-Age="+tc.want+"; HttpOnly; Secure; SameSite=Lax" {
			t.Errorf("%s: %s", tc.end, got)
		}
	}
}
