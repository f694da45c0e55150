package caller

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

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
