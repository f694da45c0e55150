package caddymodule

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

func TestDecodeJSON(t *testing.T) {
	const good = `{"username":"alice","secret":"s"}`
	for name, tc := range map[string]struct {
		body string
		want string // the username; empty: the body is refused
	}{
		"the object":               {good, "alice"},
		"in another order":         {`{"secret":"s","username":"alice"}`, "alice"},
		"with white space":         {" \t\r\n{ \"username\" : \"alice\" ,\n\"secret\":\"s\" } \r\n", "alice"},
		"with escapes":             {`{"user\u006eame":"\u0061lice","secret":"s"}`, "alice"},
		"beyond the BMP":           {`{"username":"\ud83d\ude00","secret":"s"}`, "😀"},
		"as large as it may be":    {`{"username":"` + strings.Repeat("a", maxBody-len(good)+5) + `","secret":"s"}`, strings.Repeat("a", maxBody-len(good)+5)},
		"one byte larger":          {`{"username":"` + strings.Repeat("a", maxBody-len(good)+6) + `","secret":"s"}`, ""},
		"a key of 1 MB":            {`{"` + strings.Repeat("k", 1<<20) + `":1}`, ""},
		"1 MB of white space":      {good + strings.Repeat(" ", 1<<20), ""},
		"a repeated member":        {`{"username":"alice","username":"root","secret":"s"}`, ""},
		"repeated by an escape":    {`{"username":"alice","user\u006eame":"root","secret":"s"}`, ""},
		"an unknown member":        {`{"username":"alice","secret":"s","admin":true}`, ""},
		"capitals":                 {`{"USERNAME":"alice","secret":"s"}`, ""},
		"capitals as well":         {`{"username":"alice","Username":"root","secret":"s"}`, ""},
		"a long s":                 {`{"uſername":"alice","secret":"s"}`, ""},
		"a Kelvin sign":            {`{"username":"alice","secret":"s","K":1}`, ""},
		"white space in a name":    {`{"username ":"alice","secret":"s"}`, ""},
		"a lone high surrogate":    {`{"username":"\ud800","secret":"s"}`, ""},
		"a lone low surrogate":     {`{"username":"\udc00","secret":"s"}`, ""},
		"surrogates swapped":       {`{"username":"\ude00\ud83d","secret":"s"}`, ""},
		"a raw 0xFF":               {"{\"username\":\"\xff\",\"secret\":\"s\"}", ""},
		"overlong UTF-8":           {"{\"username\":\"\xc0\xaf\",\"secret\":\"s\"}", ""},
		"a raw surrogate":          {"{\"username\":\"\xed\xa0\x80\",\"secret\":\"s\"}", ""},
		"an escaped NUL":           {`{"username":"a\u0000b","secret":"s"}`, ""},
		"a NUL after a backslash":  {`{"username":"a\\\u0000b","secret":"s"}`, ""},
		"a NUL spelled out":        {`{"username":"a\\u0000b","secret":"s"}`, `a\u0000b`},
		"a raw NUL":                {"{\"username\":\"a\x00b\",\"secret\":\"s\"}", ""},
		"a raw line break":         {"{\"username\":\"a\nb\",\"secret\":\"s\"}", ""},
		"null":                     {`null`, ""},
		"null for a string":        {`{"username":null,"secret":"s"}`, ""},
		"an array for a string":    {`{"username":["alice"],"secret":"s"}`, ""},
		"an object for a string":   {`{"username":{"$ne":""},"secret":"s"}`, ""},
		"a number for a string":    {`{"username":12,"secret":"s"}`, ""},
		"1e400":                    {`{"username":1e400,"secret":"s"}`, ""},
		"true for a string":        {`{"username":true,"secret":"s"}`, ""},
		"an array":                 {`[` + good + `]`, ""},
		"a string":                 {`"alice"`, ""},
		"a depth of 10,001":        {strings.Repeat(`{"username":`, 5000), ""},
		"a depth of arrays":        {`{"username":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001) + `,"secret":"s"}`, ""},
		"depth where nobody looks": {`{"username":"alice","secret":"s","x":` + strings.Repeat("[", 10001) + strings.Repeat("]", 10001) + `}`, ""},
		"something behind it":      {good + `x`, ""},
		"another object behind":    {good + good, ""},
		"a NUL behind":             {good + "\x00", ""},
		"a byte order mark":        {"\ufeff" + good, ""},
		"UTF-16":                   {"\xff\xfe{\x00}\x00", ""},
		"nothing":                  {"", ""},
		"white space":              {" \n", ""},
		"half of it":               {good[:20], ""},
		"a comment":                {`{"username":"alice",/* */"secret":"s"}`, ""},
		"a trailing comma":         {`{"username":"alice","secret":"s",}`, ""},
		"single quotes":            {`{'username':'alice','secret':'s'}`, ""},
		"a form":                   {`username=alice&secret=s`, ""},
		"no secret":                {`{"username":"alice"}`, ""},
		"an empty secret":          {`{"username":"alice","secret":""}`, ""},
		"no username":              {`{"secret":"s"}`, ""},
		"nothing in it":            {`{}`, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest("POST", "/x", strings.NewReader(tc.body))
			var c roomsCredentials
			err := c.decode(&call{w: httptest.NewRecorder(), r: r})
			if tc.want != "" {
				if err != nil || c.Username != tc.want || c.Secret != "s" {
					t.Errorf("%.40q, %v", c.Username, err)
				}
				return
			}
			if authcore.KindOf(err) != authcore.KindInvalidInput {
				t.Fatalf("%.40q, %v", c.Username, err)
			}
			// What is shown is ours: no echo of the body, no words of the parser.
			if msg := authcore.AsError(err).Msg; len(msg) > 80 || strings.Contains(msg, "alice") || strings.Contains(msg, "json") {
				t.Errorf("it says %q", msg)
			}
		})
	}
}
