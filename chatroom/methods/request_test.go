package methods

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

func TestDecode(t *testing.T) {
	for _, id := range []string{
		`1`, `-0`, `1e400`, `-1.5E-7`, `123456789012345678901234567890`, `""`, `"\u0041\/\ud83d\ude00"`, `"ü"`, `"` + strings.Repeat("x", 4096) + `"`, `"\u0000"`,
	} {
		for _, msg := range []string{
			`{"m":"say","r":` + id + `}`,
			` { "d" : {"x":[1,{}]} , "r" :	` + id + "\n, \"m\" : \"\\u0073ay\" } ",
			`{"r":` + id + `,"m":"say","d":{}}`,
		} {
			req, err := Decode([]byte(msg))
			if err != nil || string(req.ID) != id || req.Method != "say" {
				t.Errorf("%s: %q %q, %v", msg, req.Method, req.ID, err)
			}
		}
		if got := string(Success(jsontext.Value(id), nil)); got != `{"r":`+id+`,"d":{}}` {
			t.Error(got)
		}
		if got := string(Failure(jsontext.Value(id), BadRequest)); got != `{"r":`+id+`,"err":"bad_request"}` {
			t.Error(got)
		}
	}
	if got := string(Event("user_logged_out", nil)); got != `{"e":"user_logged_out","d":{}}` {
		t.Error(got)
	}
	if got := string(Success(jsontext.Value("1"), tokenReply{"abc"})); got != `{"r":1,"d":{"token":"abc"}}` {
		t.Error(got)
	}
}

// What is wrong is answered where there is something to answer under: each differs from a good request in one respect.
func TestDecodeBad(t *testing.T) {
	for msg, id := range map[string]string{
		// There is.
		`{"r":7}`:                                  "7",
		`{"m":1,"r":7}`:                            "7",
		`{"m":null,"r":7}`:                         "7",
		`{"m":["say"],"r":7}`:                      "7",
		`{"m":"say","m":"say","r":7}`:              "7",
		`{"m":"say","r":7,"d":null}`:               "7",
		`{"m":"say","r":7,"d":[]}`:                 "7",
		`{"m":"say","r":7,"d":"x"}`:                "7",
		`{"m":"say","d":{},"r":7,"d":{}}`:          "7",
		`{"m":"say","r":7,"e":1}`:                  "7",
		`{"M":"say","m":"say","r":7}`:              "7",
		`{"m":"say","r":7,"D":{}}`:                 "7",
		`{"m":"s\u0000","r":7}`:                    "7",
		`{"m":"\ud800","r":7}`:                     "7",
		`{"m":"say","d":{"x":"\ud800"},"r":7}`:     "7",
		`{"m":"say","r":"\ud800"}`:                 `"\ud800"`,
		`{"m":"say","r":7}x`:                       "7",
		`{"m":"say","r":7}{}`:                      "7",
		`{"m":"say","r":7,}`:                       "7",
		`{"r":7,"m":"say","d":{"x":}}`:             "7",
		`{"r":7,"m":"x","d":` + deep(10_001) + `}`: "7",
		`{"r":7,"\u0072x":1,"m":"say"}`:            "7",
		// There is not.
		``:                              "",
		`null`:                          "",
		`"say"`:                         "",
		`[{"m":"say","r":7}]`:           "",
		"\ufeff{\"m\":\"say\",\"r\":7}": "",
		`{}`:                            "",
		`{"m":"say"}`:                   "",
		`{"m":"say","r":null}`:          "",
		`{"m":"say","r":true}`:          "",
		`{"m":"say","r":[7]}`:           "",
		`{"m":"say","r":{}}`:            "",
		`{"m":"say","R":7}`:             "",
		`{"m":"say","r":7,"r":7}`:       "",
		`{"m":"say","r":7,"\u0072":8}`:  "",
		`{"m":"say","r":7`:              "",
		`{"m":"say","r":"7`:             "",
		`{"m":"say","r":07}`:            "",
		`{"m":"say","r":+7}`:            "",
		`{"m":"say","r":NaN}`:           "",
		`{"m":"say","r":'7'}`:           "",
		`{"d":{"x":},"r":7}`:            "",
	} {
		req, err := Decode([]byte(msg))
		if err == nil || string(req.ID) != id || req.Method != "" || req.Args != nil {
			t.Errorf("%.80s: %+v, %v", msg, req, err)
		}
		if (id == "") != errors.Is(err, errNoID) {
			t.Errorf("%.80s: %v", msg, err)
		}
	}
}

func deep(n int) string {
	return strings.Repeat(`{"x":`, n) + "1" + strings.Repeat("}", n)
}

func TestOwn(t *testing.T) {
	for method, want := range map[string]bool{
		"user_login": true, "user_": true, "user_x": true, "USER_login": true, "uſer_login": true, "User_": true,
		"user": false, "": false, "users_login": false, " user_login": false, "üser_login": false, "say": false, "xuser_": false,
	} {
		if got := (Request{Method: method}).Own(); got != want {
			t.Errorf("%q: %v", method, got)
		}
	}
}

func TestArguments(t *testing.T) {
	good := `{"username":"alice","password":"x"}`
	for args, ok := range map[string]bool{
		good: true, "": true, `{}`: true,
		`{"username":"alice","password":"x","role":"admin"}`: false,
		`{"username":"alice","username":"bob"}`:              false,
		`{"USERNAME":"alice"}`:                               false,
		`{"uſername":"alice"}`:                               false,
		`{"username":["alice"]}`:                             false,
		`{"username":1}`:                                     false,
		`{"username":"a\u0000"}`:                             false,
		`{"username":"a\\u0000"}`:                            true,
		`{"username":"\ud800"}`:                              false,
		"{\"username\":\"\xff\"}":                            false,
	} {
		var in struct {
			Username string `json:"username"`
			Password string `json:"password"`
		}
		if err := (Request{Args: jsontext.Value(args)}).arguments(&in); (err == nil) != ok {
			t.Errorf("%s: %v", args, err)
		}
	}
}

// Whatever comes in, what is taken for a request is one, and its reply is JSON with the same ID.
func FuzzDecode(f *testing.F) {
	for _, s := range []string{
		`{"m":"user_login","r":1,"d":{"username":"alice","password":"x"}}`, ` {"r":"\ud83d\ude00","m":"say"} `, `{"m":"say","r":1e400,"d":{"a":1,"a":2}}`,
		`{"m":"a","m":"b","r":-0}`, `{"m":"\ud800","r":"\ud800"}`, "{\"r\":1,\"m\":\"\xff\"}", `{"r":1}x`, `[]`, ``,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, msg []byte) {
		before := bytes.Clone(msg)
		req, err := Decode(msg)
		if !bytes.Equal(msg, before) {
			t.Fatal("the message was changed")
		}
		if req.ID == nil {
			if err == nil {
				t.Fatal("a request without an ID")
			}
			return
		}
		if k := req.ID.Kind(); k != '"' && k != '0' || !bytes.Contains(msg, req.ID) {
			t.Fatalf("%q is no ID of %q", req.ID, msg)
		}
		reply := Failure(req.ID, BadRequest)
		if !jsontext.Value(reply).IsValid(jsontext.AllowInvalidUTF8(true)) {
			t.Fatalf("reply %q", reply)
		}
		if err != nil {
			return
		}
		var strict struct {
			M string         `json:"m"`
			R jsontext.Value `json:"r"`
			D jsontext.Value `json:"d"`
		}
		err = json.Unmarshal(msg, &strict, json.RejectUnknownMembers(true), jsontext.AllowDuplicateNames(true))
		if err != nil || strict.M != req.Method || !bytes.Equal(strict.R, req.ID) || !bytes.Equal(strict.D, req.Args) {
			t.Fatalf("%q: %+v, and %+v (%v)", msg, req, strict, err)
		}
	})
}
