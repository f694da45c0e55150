package users

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
)

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
