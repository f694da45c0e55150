package users_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// documented are the answers that users.txt names, but for those of requestotp that it lists under modifypassword once
// more: nothing is sent there, and who has a code has an account with an address.
var documented = []string{
	"POST /users/login 200 OK {\"userhash\"",
	"POST /users/login 401 Unauthorized INVALID_PASSWORD",
	"POST /users/login 401 Unauthorized REGISTER_FOR_A_PASSWORD",
	"POST /users/register 200 OK USER_INSERT_OK",
	"POST /users/register 200 OK ERROR_LOGIN_WITH_PASSWORD",
	"POST /users/register 401 Unauthorized CANT_CREATE_USER",
	"POST /users/requestotp 200 OK {\"userhash\"",
	"POST /users/requestotp 500 Internal Server Error ERROR_EMAIL_SENDING_FAILED",
	"POST /users/requestotp 200 OK ERROR_NO_EMAIL_SET",
	"POST /users/requestotp 403 Forbidden ERROR_INVALID_USERNAME",
	"POST /users/modifypassword 200 OK {\"userhash\"",
	"POST /users/modifypassword 401 Unauthorized ERROR_INVALID_OTP",
	"GET /users/info 200 OK {\"userhash\"",
	"GET /users/info 401 Unauthorized NOT_LOGGED_IN",
	"POST /users/login 422 Unprocessable Entity INVALID_INPUT",
	"POST /users/register 422 Unprocessable Entity INVALID_INPUT",
	"POST /users/requestotp 422 Unprocessable Entity INVALID_INPUT",
	"POST /users/modifypassword 422 Unprocessable Entity INVALID_INPUT",
	"GET /users/login 405 Method Not Allowed INVALID_METHOD",
	"GET /users/register 405 Method Not Allowed INVALID_METHOD",
	"GET /users/requestotp 405 Method Not Allowed INVALID_METHOD",
	"GET /users/modifypassword 405 Method Not Allowed INVALID_METHOD",
	"POST /users/info 405 Method Not Allowed INVALID_METHOD",
}

// Every documented answer is reached by a transcript, whatever becomes of those.
func TestEveryDocumentedAnswerIsReached(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	var answers []string // a request, its status and its body, in one line
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		answer := ""
		for l := range strings.Lines(string(raw)) {
			l = strings.TrimSpace(l)
			switch {
			case strings.HasPrefix(l, "> ") && strings.HasSuffix(l, " HTTP/1.1"):
				answer = strings.TrimSuffix(l[2:], " HTTP/1.1")
			case strings.HasPrefix(l, "< HTTP/1.1 "):
				answer += strings.TrimPrefix(l, "< HTTP/1.1")
			case strings.HasPrefix(l, "< {"):
				answers = append(answers, answer+" "+l[2:])
			}
		}
	}
	for _, d := range documented {
		reached := false
		for _, a := range answers {
			at := strings.LastIndex(d, " ")
			reached = reached || strings.HasPrefix(a, d[:at]+" {") && strings.Contains(a[at:], strings.TrimPrefix(d[at+1:], "{"))
		}
		if !reached {
			t.Errorf("no transcript has: %s", d)
		}
	}
}
