package methods

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

// clientSays is what a client of the contract prints, whatever it is written in.
const clientSays = `before not_logged_in
whoami {"user":"NAME"}
register again username_taken
wrong password bad_credentials
token {}
whoami {"user":"NAME"}
many true
logout {}
event {"e":"user_logged_out","d":{}}
after not_logged_in
old token bad_token
login token token
logout all {}
event {"e":"user_logged_out","d":{}}
unknown unknown_method
closed 1000 1000
`

// Clients that share no code with the gateway, in front of a legacy chat.
func TestClients(t *testing.T) {
	g := gatetest.Start(t, strings.ReplaceAll(caddyfile(generous, "\t\tupstream UPSTREAM\n"), "UPSTREAM", newChat(t).addr))
	t.Run("python", func(t *testing.T) {
		wantClientSays(t, g, "pia", nil, leash.Find(t, "python3"), "testdata/methods.py")
	})
	t.Run("node", func(t *testing.T) {
		node := leash.Find(t, "node")
		const modules = "/usr/share/nodejs" // where Debian has them
		if _, err := os.Stat(filepath.Join(modules, "ws/package.json")); err != nil {
			leash.Missing(t, "node-ws")
		}
		wantClientSays(t, g, "nora", []string{"NODE_PATH=" + modules}, node, "testdata/methods.mjs")
	})
}

func wantClientSays(t *testing.T, g *gatetest.Gateway, name string, env []string, program, script string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, script, "ws://"+g.HTTP+"/ws", name, password)
	cmd.Env = append(os.Environ(), env...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if want := strings.ReplaceAll(clientSays, "NAME", name); err != nil || stdout.String() != want {
		t.Errorf("%v\ngot:\n%s\nwant:\n%s\nit complained:\n%s", err, &stdout, want, &stderr)
	}
}
