//go:build linux

package pgtest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/chatgate/chatgate/internal/certtest"
	"github.com/chatgate/chatgate/internal/leash"
)

// Server is a PostgreSQL server of one test and its subtests.
type Server struct {
	Addr     string // host:port, the same after a restart
	User     string
	Password string
	CA       string // file with the authority that vouches for the server, if it speaks TLS

	bin, dir string
	settings []string
	program  *leash.Program // nil while it does not run
	names    atomic.Int64
}

// Start makes a server with settings like "max_connections=5" and stops it when the test is over. Without PostgreSQL on
// this machine the test is skipped, unless CHATGATE_TEST_STRICT is set.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := newServer(t, settings)
	s.Run(t)
	return s
}

// StartTLS makes a server that speaks TLS too, with a certificate for 127.0.0.1 of an authority of its own.
func StartTLS(t testing.TB, settings ...string) *Server {
	t.Helper()
	s := newServer(t, settings)
	ca := certtest.NewAuthority(t, s.dir)
	p := ca.Issue(t, "server", "127.0.0.1")
	own(t, p.CertFile, p.KeyFile)
	s.CA = ca.File
	s.settings = append(s.settings, "ssl=on", "ssl_cert_file="+p.CertFile, "ssl_key_file="+p.KeyFile)
	s.Run(t)
	return s
}

// newServer makes the files of a server, and sees to it that it ends with the test.
func newServer(t testing.TB, settings []string) *Server {
	t.Helper()
	bin, ok := findBinaries()
	if !ok {
		leash.Missing(t, "PostgreSQL (Debian package postgresql)")
	}
	dir, err := os.MkdirTemp("", "pgtest")
	must(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	s := &Server{User: "chatgate", Password: rand.Text(), bin: bin, dir: dir, settings: slices.Clone(settings)}
	password := filepath.Join(dir, "password")
	must(t, os.WriteFile(password, []byte(s.Password), 0o600))
	own(t, dir, password)
	initdb := exec.Command(filepath.Join(bin, "initdb"), "--pgdata="+s.data(), "--username="+s.User, "--pwfile="+password, //nolint:gosec // as found
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
	initdb.Dir, initdb.Env = dir, append([]string{"PATH=" + os.Getenv("PATH")}, environ...)
	initdb.SysProcAttr = &syscall.SysProcAttr{Credential: credential()}
	if out, err := initdb.CombinedOutput(); err != nil {
		t.Fatalf("initdb: %v\n%s", err, out)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	s.Addr = l.Addr().String()
	must(t, l.Close())
	t.Cleanup(s.Stop)
	return s
}

// own gives files to the server's user.
func own(t testing.TB, files ...string) {
	t.Helper()
	id := credential()
	if id == nil {
		return
	}
	for _, file := range files {
		must(t, os.Chown(file, int(id.Uid), int(id.Gid)))
	}
}

// findBinaries returns the directory that has initdb and postgres.
func findBinaries() (dir string, ok bool) {
	dirs, _ := filepath.Glob("/usr/lib/postgresql/*/bin")
	slices.SortFunc(dirs, func(a, b string) int { return version(b) - version(a) }) // the newest first
	if path, err := exec.LookPath("postgres"); err == nil {
		dirs = slices.Insert(dirs, 0, filepath.Dir(path))
	}
	for _, dir := range dirs {
		_, errInit := exec.LookPath(filepath.Join(dir, "initdb"))
		_, errServe := exec.LookPath(filepath.Join(dir, "postgres"))
		if errInit == nil && errServe == nil {
			return dir, true
		}
	}
	return "", false
}

func version(bin string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(bin)))
	return n
}

// credential returns the user to run as instead of root, whom PostgreSQL refuses; nil for the current user.
func credential() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	const nobody = 65534
	id := &syscall.Credential{Uid: nobody, Gid: nobody}
	if u, err := user.Lookup("postgres"); err == nil {
		uid, errUID := strconv.ParseUint(u.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(u.Gid, 10, 32)
		if errUID == nil && errGID == nil {
			id.Uid, id.Gid = uint32(uid), uint32(gid)
		}
	}
	return id
}

// environ is the environment of the server's programs, without variables that change their behaviour.
var environ = []string{"LC_ALL=C.UTF-8", "TZ=UTC"}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// Run starts the server again after Stop, and waits until it answers.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addr)
	must(t, err)
	args := []string{
		filepath.Join(s.bin, "postgres"), "-D", s.data(), "-p", port, "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "fsync=off",
	}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	// QUIT ends it at once, and its processes, which KILL would leave behind.
	s.program, err = leash.Start(leash.Command{Dir: s.dir, Log: s.log(), Env: environ, End: "QUIT", User: credential(), Args: args})
	must(t, err)
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		conn, err := s.connect()
		if err == nil {
			_ = conn.Close(context.Background())
			return
		}
		if time.Now().After(deadline) {
			out, _ := os.ReadFile(s.log())
			t.Fatalf("the server does not start: %v\n%s", err, out)
		}
	}
}

func (s *Server) log() string { return filepath.Join(s.dir, "log") }

// Stop ends the server at once, as a crash would, and frees its port.
func (s *Server) Stop() {
	if s.program != nil {
		s.program.Stop()
		s.program = nil
	}
}

// Freeze stops every process of the server, as a machine does that swaps or hangs. Its port goes on accepting.
func (s *Server) Freeze() { s.program.Freeze() }

// Thaw lets them go on.
func (s *Server) Thaw() { s.program.Thaw() }

// NewDatabase makes an empty database and returns the connection string for it.
func (s *Server) NewDatabase(t testing.TB) (dsn string) {
	t.Helper()
	name := fmt.Sprintf("test%d", s.names.Add(1))
	s.Exec(t, "CREATE DATABASE "+name+" TEMPLATE template0")
	return s.DSN(name)
}

// DSN returns the connection string for a database.
func (s *Server) DSN(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword(s.User, s.Password), Host: s.Addr, Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Exec runs a statement outside of any database that a test uses.
func (s *Server) Exec(t testing.TB, statement string) {
	t.Helper()
	conn, err := s.connect()
	must(t, err)
	defer conn.Close(context.Background())
	_, err = conn.Exec(context.Background(), statement)
	must(t, err)
}

func (s *Server) connect() (*pgx.Conn, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return pgx.Connect(ctx, s.DSN("postgres"))
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
