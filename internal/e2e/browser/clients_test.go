package browser

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/leash"
)

// transcript is what a client of the rooms contract prints, whatever it is written in.
const transcript = `register 201 NAME
register again 400 USER_EXISTS USER_EXISTS
wrong secret 401 PASSWORD_MATCH_FAILED
login 200 NAME
handshake 101 chat.v1
message NAME hello
logout 200 {}
closed 4401
handshake 401 TOKEN_INVALID
`

// The clients trust the gateway's certificate by its authority, as real ones do, and share no code with it.
func TestClients(t *testing.T) {
	s := startExample(t)

	t.Run("python", func(t *testing.T) {
		python := leash.Find(t, "python3")
		wantTranscript(t, s, transcript, "pia", python, "testdata/rooms.py", s.URL, "pia", secret, s.CA)
	})
	t.Run("node_tls", func(t *testing.T) {
		node := leash.Find(t, "node")
		wantTranscript(t, s, transcript, "nora", node, "testdata/rooms.mjs", s.URL, "nora", secret, "tls")
	})
	t.Run("node_websocket", func(t *testing.T) {
		command := withWebSocket(leash.Find(t, "node"))
		if command == nil {
			t.Skip("this Node has no global WebSocket; node_tls is what it can do")
		}
		// The global WebSocket does not tell the status of a handshake that failed.
		want := strings.ReplaceAll(transcript, "handshake 401 TOKEN_INVALID", "handshake refused")
		wantTranscript(t, s, want, "nils", append(command, "testdata/rooms.mjs", s.URL, "nils", secret, "websocket")...)
	})
}

// withWebSocket returns the command for a Node that has a global WebSocket: by itself since 22, with a flag in 20, and
// nil before that.
func withWebSocket(node string) []string {
	for _, command := range [][]string{{node}, {node, "--experimental-websocket"}} {
		args := append(command[1:], "--eval", "process.exit(typeof WebSocket === 'function' ? 0 : 1)")
		if exec.Command(node, args...).Run() == nil {
			return command
		}
	}
	return nil
}

// wantTranscript runs a client as that user, and compares what it prints.
func wantTranscript(t *testing.T, s *site, want, name string, command ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = append(os.Environ(), "NODE_EXTRA_CA_CERTS="+s.CA) // the Python client is told as an argument
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	if want = strings.ReplaceAll(want, "NAME", name); err != nil || stdout.String() != want {
		t.Errorf("%v\ngot:\n%s\nwant:\n%s\nit complained:\n%s", err, &stdout, want, &stderr)
	}
}
