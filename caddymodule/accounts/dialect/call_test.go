package dialect

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
		for _, d := range byBody {
			t.Run(d.Name+"/"+name, func(t *testing.T) {
				var c credentials
				err := c.decode(callOf(d, "application/json", tc.body))
				if tc.want != "" {
					if err != nil || c.Username != tc.want || c.Secret != "s" {
						t.Errorf("%.40q, %v", c.Username, err)
					}
					return
				}
				wantInvalid(t, err, c.Username)
			})
		}
	}
}

// byBody are dialects that differ in what they take for a body.
var byBody = []*Dialect{{Name: "rooms", Bodies: JSONAnyType}, {Name: "auth", Bodies: JSONOnly}, {Name: "users", Bodies: JSONOrForm}}

type credentials struct {
	Username string `json:"username"`
	Secret   string `json:"secret"`
}

func (c *credentials) decode(cl *Call) error {
	if err := cl.Decode(c); err != nil {
		return err
	}
	return AllRequired("username", c.Username, "secret", c.Secret)
}

type formCredentials struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func callOf(d *Dialect, mediaType, body string) *Call {
	r := httptest.NewRequest("POST", "/x", strings.NewReader(body))
	if mediaType != "" {
		r.Header.Set("Content-Type", mediaType)
	}
	return &Call{Writer: httptest.NewRecorder(), Request: r, Settings: Settings{Bodies: d.Bodies}}
}

// wantInvalid checks that what is shown is ours: no echo of the body, no words of a parser.
func wantInvalid(t *testing.T, err error, got string) {
	t.Helper()
	if authcore.KindOf(err) != authcore.KindInvalidInput {
		t.Fatalf("%.40q, %v", got, err)
	}
	if msg := authcore.AsError(err).Msg; len(msg) > 90 || strings.Contains(msg, "alice") || strings.Contains(msg, "jsontext") || strings.Contains(msg, "URL") {
		t.Errorf("it says %q", msg)
	}
}

// A form is held to what holds for JSON.
func TestDecodeForm(t *testing.T) {
	const good = "username=alice&password=s"
	for name, tc := range map[string]struct {
		body string
		want string // the username; empty: the body is refused
	}{
		"the form":                 {good, "alice"},
		"in another order":         {"password=s&username=alice", "alice"},
		"with escapes":             {"user%6eame=%61lice&password=s", "alice"},
		"with a plus":              {"username=a+b&password=s", "a b"},
		"with an escaped plus":     {"username=a%2Bb&password=s", "a+b"},
		"with an equals sign":      {"username=a=b&password=s", "a=b"},
		"beyond the BMP":           {"username=%F0%9F%98%80&password=s", "😀"},
		"what JSON would escape":   {"username=%22%5C%0A%3C&password=s", "\"\\\n<"},
		"a NUL spelled out":        {"username=a%5Cu0000b&password=s", `a\u0000b`},
		"unescaped UTF-8":          {"username=ä&password=s", "ä"},
		"empty parts":              {"&" + good + "&&", "alice"},
		"as large as it may be":    {"username=" + strings.Repeat("a", maxBody-len(good)+5) + "&password=s", strings.Repeat("a", maxBody-len(good)+5)},
		"one byte larger":          {"username=" + strings.Repeat("a", maxBody-len(good)+6) + "&password=s", ""},
		"a name of 1 MB":           {strings.Repeat("k", 1<<20) + "=1", ""},
		"many fields":              {good + strings.Repeat("&x=1", 10000), ""},
		"a repeated field":         {good + "&username=root", ""},
		"repeated alike":           {good + "&username=alice", ""},
		"repeated by an escape":    {good + "&user%6eame=root", ""},
		"repeated and empty":       {good + "&username=", ""},
		"repeated without a value": {good + "&username", ""},
		"an unknown field":         {good + "&admin=1", ""},
		"a field without a name":   {good + "&=1", ""},
		"a name alone":             {good + "&x", ""},
		"capitals":                 {"USERNAME=alice&password=s", ""},
		"capitals as well":         {good + "&Username=root", ""},
		"a long s":                 {"u%C5%BFername=alice&password=s", ""},
		"an array":                 {"username[]=alice&password=s", ""},
		"an object":                {"username[$ne]=&password=s", ""},
		"white space in a name":    {"username+=alice&password=s", ""},
		"an escaped 0xFF":          {"username=%FF&password=s", ""},
		"a raw 0xFF":               {"username=\xff&password=s", ""},
		"overlong UTF-8":           {"username=%C0%AF&password=s", ""},
		"a surrogate":              {"username=%ED%A0%80&password=s", ""},
		"an escaped NUL":           {"username=a%00b&password=s", ""},
		"a raw NUL":                {"username=a\x00b&password=s", ""},
		"a NUL in a name":          {good + "&x%00=1", ""},
		"half an escape":           {"username=a%6&password=s", ""},
		"no escape":                {"username=a%zz&password=s", ""},
		"a semicolon":              {"username=alice;password=s", ""},
		"a semicolon in a value":   {"username=alice;x&password=s", ""},
		"JSON":                     {`{"username":"alice","password":"s"}`, ""},
		"JSON as a name":           {`{"username":"alice","password":"s","x":"="}`, ""},
		"a byte order mark":        {"\ufeff" + good, ""},
		"a line break behind it":   {good + "\r\n&x=1", ""},
		"nothing":                  {"", ""},
		"no password":              {"username=alice", ""},
		"an empty password":        {"username=alice&password=", ""},
	} {
		t.Run(name, func(t *testing.T) {
			var in formCredentials
			c := callOf(byBody[2], "application/x-www-form-urlencoded", tc.body)
			err := c.Decode(&in)
			if err == nil {
				err = AllRequired("username", in.Username, "password", in.Password)
			}
			if tc.want != "" {
				if err != nil || in.Username != tc.want || in.Password != "s" {
					t.Errorf("%.40q, %v", in.Username, err)
				}
				return
			}
			wantInvalid(t, err, in.Username)
		})
	}
}

func TestMediaTypes(t *testing.T) {
	const object, form = `{"username":"alice","password":"s"}`, "username=alice&password=s"
	for name, tc := range map[string]struct {
		types              []string
		rooms, auth, users string // the body that is read; empty: refused
	}{
		"none":                {nil, object, object, object},
		"JSON":                {[]string{"application/json"}, object, object, object},
		"in capitals":         {[]string{"Application/JSON"}, object, object, object},
		"with a charset":      {[]string{"application/json; charset=UTF-8"}, object, object, object},
		"with any parameter":  {[]string{"application/json; profile=x"}, object, object, object},
		"as many write it":    {[]string{"application/json;charset=utf8"}, object, object, object},
		"utf8 in capitals":    {[]string{"Application/JSON; Charset=UTF8"}, object, object, object},
		"quoted":              {[]string{`application/json; charset="utf8"`}, object, object, object},
		"quoted, in full":     {[]string{`application/json; charset="UTF-8"`}, object, object, object},
		"and more":            {[]string{"application/json; charset=utf8; v=1"}, object, object, object},
		"the charset last":    {[]string{"application/json; v=1; charset=utf8"}, object, object, object},
		"a semicolon more":    {[]string{"application/json; charset=utf8;"}, object, object, object},
		"Latin 1":             {[]string{"application/json; charset=latin1"}, object, "", ""},
		"UTF-8 and Latin 1":   {[]string{"application/json; charset=utf8; charset=latin1"}, object, "", ""},
		"a longer charset":    {[]string{"application/json; charset=utf8mb4"}, object, "", ""},
		"an empty charset":    {[]string{`application/json; charset=""`}, object, "", ""},
		"plain text of UTF-8": {[]string{"text/plain; charset=utf8"}, object, "", ""},
		"text/json":           {[]string{"text/json; charset=utf8"}, object, "", ""},
		"another JSON":        {[]string{"application/vnd.api+json; charset=utf8"}, object, "", ""},
		"a form as many do":   {[]string{"application/x-www-form-urlencoded; charset=utf8"}, object, "", form},
		"another charset":     {[]string{"application/json; charset=utf-16"}, object, "", ""},
		"text":                {[]string{"text/plain"}, object, "", ""},
		"text with JSON":      {[]string{"text/plain; application/json"}, object, "", ""},
		"a form":              {[]string{"application/x-www-form-urlencoded"}, object, "", form},
		"a form's charset":    {[]string{"application/x-www-form-urlencoded; charset=utf-8"}, object, "", form},
		"a form of Latin 1":   {[]string{"application/x-www-form-urlencoded; charset=iso-8859-1"}, object, "", ""},
		"multipart":           {[]string{"multipart/form-data; boundary=x"}, object, "", ""},
		"XML":                 {[]string{"application/xml"}, object, "", ""},
		"a longer name":       {[]string{"application/jsonp"}, object, "", ""},
		"empty":               {[]string{""}, object, "", ""},
		"no type":             {[]string{"json"}, object, "", ""},
		"twice":               {[]string{"application/json", "application/json"}, object, "", ""},
		"twice, and not same": {[]string{"application/json", "text/plain"}, object, "", ""},
		"two in one":          {[]string{"application/json, text/plain"}, object, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, d := range byBody {
				want := map[string]string{"rooms": tc.rooms, "auth": tc.auth, "users": tc.users}[d.Name]
				body := want
				if body == "" {
					body = object
				}
				c := callOf(d, "", body)
				if tc.types != nil {
					c.Request.Header["Content-Type"] = tc.types
				}
				var in formCredentials
				err := c.Decode(&in)
				if (err == nil) != (want != "") || err == nil && in != (formCredentials{"alice", "s"}) {
					t.Errorf("%s: %+v, %v", d.Name, in, err)
				}
				if err != nil && (authcore.KindOf(err) != authcore.KindInvalidInput || !strings.Contains(authcore.AsError(err).Msg, "Content-Type")) {
					t.Errorf("%s: %v", d.Name, err)
				}
			}
		})
	}
}
