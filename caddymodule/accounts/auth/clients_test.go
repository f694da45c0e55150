package auth_test

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

// played is what a client of the auth contract prints, whatever it is written in.
const played = `register 201 {name} {name} null false
register again 409 username_taken
without an invite 403 invite_required
wrong password 401 invalid_credentials
unknown address 401 invalid_credentials
login 200 {name}
me 200 {name} null
updated 200 New Name https://example.com/avatar.png
name alone 200 Other Name https://example.com/avatar.png
no avatar 200 Other Name null
unknown field 400 bad_request
profile 200 {name} Other Name
nobody 404 not_found
refresh 200 another
both are good 200 200
sessions 200 2 1
disconnect 204
end the other 204
the other is over 401 session_over
logout 204
over 401 session_over
`

// The clients are of nothing but what their languages bring along, and share no code with the gateway.
func TestClients(t *testing.T) {
	dir := t.TempDir()
	seed(t, dir)
	g := gatetest.Start(t, "{\n\t{{GLOBAL}}\n\tchatgate {\n\t\taccounts sqlite {{DIR}}/accounts.db\n\t}\n}\n\nhttps://{{HTTPS}} {\n\tchatgate_accounts auth\n}\n", gatetest.Options{Dir: dir})
	gatetest.AwaitCertificate(t, g.HTTPS)
	t.Run("node", func(t *testing.T) { play(t, g, "nora", "node", "testdata/auth.mjs") })
	t.Run("python", func(t *testing.T) { play(t, g, "pia", "python3", "testdata/auth.py") })
}

// play runs a client as that user, and compares what it prints.
func play(t *testing.T, g *gatetest.Gateway, name, program, script string) {
	t.Helper()
	path := leash.Find(t, program)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	ca := filepath.Join(g.Dir, "data/caddy/pki/authorities/local/root.crt")
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, script, "https://"+g.HTTPS, name, password, "MANY-Kestrel-Lantern-0001", ca)
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+ca) // the Python client is told as an argument
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if want := strings.ReplaceAll(played, "{name}", name); err != nil || stdout.String() != want {
		t.Errorf("%v\ngot:\n%s\nwant:\n%s\nit complained:\n%s", err, &stdout, want, &stderr)
	}
}
