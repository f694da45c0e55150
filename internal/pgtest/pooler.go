//go:build linux

package pgtest

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/leash"
)

// Pooler is a PgBouncer before a server, for every database of it.
type Pooler struct {
	Addr string // host:port
}

// StartPooler starts a PgBouncer that lends connections out for a "session" or for a "transaction", with further settings
// like "default_pool_size=5", and stops it when the test is over. Without PgBouncer on this machine the test is skipped,
// unless CHATGATE_TEST_STRICT is set.
func (s *Server) StartPooler(t testing.TB, mode string, settings ...string) *Pooler {
	t.Helper()
	program := "/usr/sbin/pgbouncer" // where root's programs need not be in the PATH
	if path, err := exec.LookPath("pgbouncer"); err == nil {
		program = path
	} else if _, err := os.Stat(program); err != nil {
		leash.Missing(t, "PgBouncer (Debian package pgbouncer)")
	}
	dir, err := os.MkdirTemp("", "pgtest")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	p := &Pooler{l.Addr().String()}
	must(t, l.Close())
	_, port, err := net.SplitHostPort(p.Addr)
	must(t, err)
	_, behind, err := net.SplitHostPort(s.Addr)
	must(t, err)
	users, file := filepath.Join(dir, "users"), filepath.Join(dir, "pgbouncer.ini")
	config := fmt.Sprintf("[databases]\n* = host=127.0.0.1 port=%s\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = %s\nunix_socket_dir =\n"+
		"auth_type = scram-sha-256\nauth_file = %s\npool_mode = %s\n", behind, port, users, mode)
	for _, setting := range settings {
		config += setting + "\n"
	}
	must(t, os.WriteFile(users, fmt.Appendf(nil, "%q %q\n", s.User, s.Password), 0o600))
	must(t, os.WriteFile(file, []byte(config), 0o600))
	own(t, dir, users, file)
	log := filepath.Join(dir, "log")
	running, err := leash.Start(leash.Command{Dir: dir, Log: log, Env: environ, User: credential(), Args: []string{program, file}})
	must(t, err)
	t.Cleanup(running.Stop)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := net.Dial("tcp", p.Addr)
		if err == nil {
			_ = conn.Close()
			return p
		}
		if time.Now().After(deadline) {
			out, _ := os.ReadFile(log) //nolint:gosec // in a directory of our own
			t.Fatalf("PgBouncer does not start: %v\n%s", err, out)
		}
	}
}

// DSN returns the connection string, through the pooler, for a database that the server's string is for.
func (p *Pooler) DSN(t testing.TB, direct string) string {
	t.Helper()
	u, err := url.Parse(direct)
	must(t, err)
	u.Host = p.Addr
	return u.String()
}
