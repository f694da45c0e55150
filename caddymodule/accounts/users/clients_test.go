package users_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/leash"
)

// played is what a client of the users contract prints, whatever it is written in.
const played = `register 200 true USER_INSERT_OK
register again 200 false ERROR_LOGIN_WITH_PASSWORD
login 200 true
wrong password 401 false INVALID_PASSWORD
nobody 401 false REGISTER_FOR_A_PASSWORD
info by cookie 200 true {name} {name}@example.com
info by header 200 true {name} {name}@example.com
info by nothing 401 false NOT_LOGGED_IN
no method 405 false INVALID_METHOD
nothing 422 false INVALID_INPUT
requestotp 200 true
requestotp of nobody 403 false ERROR_INVALID_USERNAME
wrong code 401 false ERROR_INVALID_OTP
modifypassword 200 true
used code 401 false ERROR_INVALID_OTP
old password 401 false INVALID_PASSWORD
old session 401 false NOT_LOGGED_IN
new password 200 true
`

// The clients are of nothing but what their languages bring along, and share no code with the gateway.
func TestClients(t *testing.T) {
	g := gatetest.Start(t, "{\n\t{{GLOBAL}}\n\tchatgate {\n\t\taccounts sqlite {{DIR}}/accounts.db\n\t\tmail file {{DIR}}/mail {\n\t\t\tfrom chat@example.com\n\t\t}\n\t}\n}\n\n"+
		"https://{{HTTPS}} {\n\tchatgate_accounts users\n}\n")
	gatetest.AwaitCertificate(t, g.HTTPS)
	t.Run("node", func(t *testing.T) { play(t, g, "nora", "node", "testdata/users.mjs") })
	t.Run("python", func(t *testing.T) { play(t, g, "pia", "python3", "testdata/users.py") })
}

// play runs a client as that user, and compares what it prints.
func play(t *testing.T, g *gatetest.Gateway, name, program, script string) {
	t.Helper()
	path := leash.Find(t, program)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ca := filepath.Join(g.Dir, "data/caddy/pki/authorities/local/root.crt")
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, script, "https://"+g.HTTPS, name, password, filepath.Join(g.Dir, "mail"), ca)
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+ca) // the Python client is told as an argument
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if want := strings.ReplaceAll(played, "{name}", name); err != nil || stdout.String() != want {
		t.Errorf("%v\ngot:\n%s\nwant:\n%s\nit complained:\n%s", err, &stdout, want, &stderr)
	}
}
