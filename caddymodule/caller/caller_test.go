package caller

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chatgate/chatgate/authcore"
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
