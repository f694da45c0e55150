package users

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
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
		token, err := Dialect.Token(r)
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

func call(body string) *dialect.Call {
	return &dialect.Call{
		Writer: httptest.NewRecorder(), Request: httptest.NewRequest(http.MethodPost, "/x", strings.NewReader(body)),
		Settings: dialect.Settings{Bodies: dialect.JSONOrForm},
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
		var in passwordChange
		err := call(body(otp)).Decode(&in)
		if err == nil {
			err = dialect.AllRequired("OTP", in.OTP)
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
		"register without an address": {new(registration), `{"username":"a","password":"b"}`, true},
		"register with one":           {new(registration), `{"username":"a","password":"b","email":"c"}`, true},
		"register with more":          {new(registration), `{"username":"a","password":"b","role":"admin"}`, false},
		"register, verified":          {new(registration), `{"username":"a","password":"b","email":"c","email_verified":true}`, false},
		"login with an address":       {new(credentials), `{"username":"a","password":"b","email":"c"}`, false},
		"requestotp":                  {new(otpRequest), `{"username":"a"}`, true},
		"requestotp by address":       {new(otpRequest), `{"email":"a"}`, false},
		"modifypassword":              {new(passwordChange), `{"userhash":"a","OTP":"b","reqid":"c","password":"d"}`, true},
		"modifypassword of a name":    {new(passwordChange), `{"username":"a","OTP":"b","reqid":"c","password":"d"}`, false},
		"modifypassword, otp":         {new(passwordChange), `{"userhash":"a","otp":"b","reqid":"c","password":"d"}`, false},
	} {
		if err := call(tc.body).Decode(tc.dst); (err == nil) != tc.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}
