package line

import (
	"bytes"
	"context"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/leash"
)

// said is what a client of the line contract prints, whatever it is written in.
const said = `register ok
no code nop badcode
too early nop unverifiednumber
validatephone ok
half of it nop unverifiedemail
validateemail ok
registered nop usernametaken
wrong password nop credentials
login ok for an hour
by address ok
quoted ok
token ok
nothing nop syntax:p,u
gate ok
the chat got NICK {name} ACCESS read-write hello in the same packet
the chat got and after it
half-closed bye
proxied ok
the chat says hello {name}, read-write
the chat got hello in the same packet
half-closed bye
`

// The clients are of nothing but what their languages bring along, and share no code with the gateway.
func TestClients(t *testing.T) {
	t.Parallel()
	h := start(t, options{app: "\t\tsms file {{DIR}}/sms\n\t\tmail file {{DIR}}/mail {\n\t\t\tfrom chat@example.com\n\t\t}\n"})
	ca := filepath.Join(h.Dir, "data/caddy/pki/authorities/local/root.crt")
	port := func(listener string) string {
		_, port, err := net.SplitHostPort(h.listeners[listener])
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	play := func(name, number string, command ...string) func(*testing.T) {
		return func(t *testing.T) {
			// The site's name is what the certificate is for.
			stdout, stderr, err := run(t, "", append(command, "localhost", port("line"), port("gate"), port("proxied"), name, number, password, h.Dir, ca)...)
			if want := strings.ReplaceAll(said, "{name}", name); err != nil || stdout != want {
				t.Errorf("%v\ngot:\n%s\nwant:\n%s\nit complained:\n%s", err, stdout, want, stderr)
			}
		}
	}
	t.Run("python", play("pia", "+447400123456", "python3", "testdata/line.py"))
	t.Run("go", play("gus", "+447400123457", "go", "run", "testdata/line.go"))
	t.Run("openssl", func(t *testing.T) {
		requests := "login u:pia p:wrong\nlogin u:nobody p:wrong\nlogin\n"
		stdout, stderr, err := run(t, requests, "openssl", "s_client", "-quiet", "-verify_return_error", "-CAfile", ca,
			"-servername", "localhost", "-connect", h.listeners["line"])
		if want := "nop credentials\nnop credentials\nnop syntax:p,u\n"; err != nil || stdout != want {
			t.Errorf("%v\ngot:\n%s\nwant:\n%s\nit complained:\n%s", err, stdout, want, stderr)
		}
	})
}

// run runs a program until its end, with an input that stays open.
func run(t *testing.T, input string, command ...string) (stdout, stderr string, err error) {
	t.Helper()
	path := leash.Find(t, command[0])
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var out, complaints bytes.Buffer
	cmd := exec.CommandContext(ctx, path, command[1:]...)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(stdin, input); err != nil {
		t.Error(err)
	}
	err = cmd.Wait()
	return out.String(), complaints.String(), err
}
