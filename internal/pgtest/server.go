//go:build linux

package pgtest

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

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
	cmd      *exec.Cmd
	leash    io.Closer // the server ends when this is closed, be it by the end of this process
	names    atomic.Int64
}

// guard runs a server until its own input ends. The server may have been stopped, so it is also told to go on; and where
// the process that started this is gone then, the kernel hangs up on both, which is nothing to end for.
const guard = `trap "" HUP; "$@" & pid=$!; cat >/dev/null; kill -QUIT $pid; kill -CONT $pid; wait $pid`

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
	ca := newAuthority(t, s.dir)
	cert, key := filepath.Join(s.dir, "server.crt"), filepath.Join(s.dir, "server.key")
	ca.issue(t, cert, key)
	own(t, cert, key)
	s.CA = ca.file
	s.settings = append(s.settings, "ssl=on", "ssl_cert_file="+cert, "ssl_key_file="+key)
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
	initdb := s.command(filepath.Join(bin, "initdb"), "--pgdata="+s.data(), "--username="+s.User, "--pwfile="+password,
		"--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
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

// credential is whom to be instead of root, whom PostgreSQL refuses; nil to stay who we are.
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

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

// command is one that runs as the server's user, with nothing of the environment that would change what it does.
func (s *Server) command(name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...) //nolint:gosec // PostgreSQL, with what this file says
	cmd.Dir = s.dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential(), Setpgid: true}
	return cmd
}

// Run starts the server again after Stop, and waits until it answers.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	_, port, err := net.SplitHostPort(s.Addr)
	must(t, err)
	args := []string{
		"-c", guard, "sh", filepath.Join(s.bin, "postgres"), "-D", s.data(), "-p", port, "-c", "listen_addresses=127.0.0.1",
		"-c", "unix_socket_directories=", "-c", "fsync=off",
	}
	for _, setting := range s.settings {
		args = append(args, "-c", setting)
	}
	s.cmd = s.command("sh", args...)
	s.leash, err = s.cmd.StdinPipe()
	must(t, err)
	log, err := os.OpenFile(s.log(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	must(t, s.cmd.Start())
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
	if s.cmd == nil || s.cmd.Process == nil {
		return
	}
	s.Thaw()
	_ = s.leash.Close()
	_ = s.cmd.Wait() // it was told to quit, and says so
	s.cmd = nil
}

// Freeze stops every process of the server, as a machine does that swaps or hangs. Its port goes on accepting.
func (s *Server) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets them go on.
func (s *Server) Thaw() { s.signal(syscall.SIGCONT) }

// signal reaches the first process of the server and those that it made.
func (s *Server) signal(sig syscall.Signal) {
	raw, _ := os.ReadFile(filepath.Join(s.data(), "postmaster.pid"))
	first, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(first)
	if err != nil || pid <= 1 {
		return
	}
	_ = syscall.Kill(pid, sig)
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		stat, _ := os.ReadFile(path) //nolint:gosec // of /proc
		// pid (name) state parent ...
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
		if len(fields) < 2 || fields[1] != first {
			continue
		}
		if child, err := strconv.Atoi(filepath.Base(filepath.Dir(path))); err == nil {
			_ = syscall.Kill(child, sig)
		}
	}
}

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
