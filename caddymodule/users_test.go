package caddymodule

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

func TestUsersToken(t *testing.T) {
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
		token, err := users{}.token(r)
		if string(token) != tc.want || (err == nil) != (tc.want != "") || err != nil && authcore.KindOf(err) != tc.kind {
			t.Errorf("%s: %q, %v", name, string(token), err)
		}
	}
}

func TestSSIDCookie(t *testing.T) {
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
		if got := ssidCookie(g, now).String(); got != "ssid=abc.def.ghi; Path=/; Max-Age="+tc.want+"; HttpOnly; Secure; SameSite=Lax" {
			t.Errorf("%s: %s", tc.end, got)
		}
	}
}

// A page of another site can neither use the cookie nor set it: whatever it posts is refused before it is read. What
// comes from no page is not its business.
func TestUsersOtherOrigins(t *testing.T) {
	ok := func(context.Context, *call) (reply, error) { return usersOK("DONE"), nil }
	for name, tc := range map[string]struct {
		origin, site string
		allowed      bool
	}{
		"no page":                  {"", "", true},
		"its own":                  {"https://example.com", "same-origin", true},
		"its own, an old browser":  {"https://example.com", "", true},
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
			w, _ := pipeline(t, d, r, func(ctx context.Context, c *call) (reply, error) {
				called = true
				return ok(ctx, c)
			})
			allowed := tc.allowed || d.name() != "users" // where nothing goes along by itself
			if called != allowed {
				t.Errorf("%s, %s: called %v: %s", d.name(), name, called, summary(w))
			}
			if want := `403 {"success":false,"data":{"message":"INVALID_ORIGIN"}}`; !allowed && summary(w) != want {
				t.Errorf("%s, %s: %s", d.name(), name, summary(w))
			}
		}
	}
	r := httptest.NewRequest(http.MethodGet, "http://example.com/x", nil)
	r.Header.Set("Origin", "https://evil.example")
	if w, _ := pipeline(t, users{}, r, ok); w.Code != http.StatusOK {
		t.Errorf("a GET is refused: %s", summary(w))
	}
}

// A code is a string. A number is not one, however it is spelt.
func TestUsersOTPIsAString(t *testing.T) {
	body := func(otp string) string {
		return `{"userhash":"h","reqid":"r","password":"p","OTP":` + otp + `}`
	}
	for otp, ok := range map[string]bool{
		`"000123"`: true, `"１２３４５６"`: true, `"x"`: true,
		`123`: false, `000123`: false, `123456`: false, `1e5`: false, `1e400`: false, `-1`: false, `null`: false, `true`: false,
		`["123456"]`: false, `{"$gt":""}`: false, `""`: false, `"12\u00003"`: false, `"\ud800"`: false, `"1","OTP":"2"`: false, `"1","otp":"2"`: false,
	} {
		var in usersPassword
		err := newCall(users{}, "application/json", body(otp)).decode(&in)
		if err == nil {
			err = allRequired("OTP", in.OTP)
		}
		if (err == nil) != ok || err != nil && authcore.KindOf(err) != authcore.KindInvalidInput {
			t.Errorf("%s: %q, %v", otp, in.OTP, err)
		}
	}
}

// The members of each body, and their spelling.
func TestUsersBodies(t *testing.T) {
	for name, tc := range map[string]struct {
		dst  any
		body string
		ok   bool
	}{
		"register without an address": {new(usersRegistration), `{"username":"a","password":"b"}`, true},
		"register with one":           {new(usersRegistration), `{"username":"a","password":"b","email":"c"}`, true},
		"register with more":          {new(usersRegistration), `{"username":"a","password":"b","role":"admin"}`, false},
		"register, verified":          {new(usersRegistration), `{"username":"a","password":"b","email":"c","email_verified":true}`, false},
		"login with an address":       {new(usersCredentials), `{"username":"a","password":"b","email":"c"}`, false},
		"requestotp":                  {new(usersOTPRequest), `{"username":"a"}`, true},
		"requestotp by address":       {new(usersOTPRequest), `{"email":"a"}`, false},
		"modifypassword":              {new(usersPassword), `{"userhash":"a","OTP":"b","reqid":"c","password":"d"}`, true},
		"modifypassword of a name":    {new(usersPassword), `{"username":"a","OTP":"b","reqid":"c","password":"d"}`, false},
		"modifypassword, otp":         {new(usersPassword), `{"userhash":"a","otp":"b","reqid":"c","password":"d"}`, false},
	} {
		if err := newCall(users{}, "", tc.body).decode(tc.dst); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
