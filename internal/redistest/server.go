//go:build linux

package redistest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/maintnotifications"

	"github.com/chatgate/chatgate/internal/leash"
)

// Server is a Redis server of one test and its subtests.
type Server struct {
	Addr string // host:port, the same after a restart
	Dir  string // where it works: dump.rdb, if it saves, and its log

	settings []string // name and value, in turn
	process  process
	client   *redis.Client
}

// Start makes a server with settings like "maxmemory", "4mb" and stops it when the test is over. It keeps nothing on
// disk unless they say otherwise. Without Redis on this machine the test is skipped, unless CHATGATE_TEST_STRICT is set.
func Start(t testing.TB, settings ...string) *Server {
	t.Helper()
	Find(t)
	s := &Server{Dir: tempDir(t), settings: settings}
	t.Cleanup(s.Stop)
	// Between the choice of a port and its use, somebody else may take it.
	for try := 1; ; try++ {
		s.Addr = freeAddr(t)
		err := s.run()
		if err == nil {
			break
		}
		if try == 3 {
			t.Fatal(err)
		}
		s.Stop()
	}
	s.client = redis.NewClient(s.options())
	t.Cleanup(func() { _ = s.client.Close() })
	return s
}

// Find returns the path of redis-server. Without it the test is skipped, unless CHATGATE_TEST_STRICT is set.
func Find(t testing.TB) string {
	t.Helper()
	return leash.Find(t, "redis-server")
}

// Run starts the server again after Stop or Terminate, with the same port and directory, and waits until it answers. It
// has what it saved last, which is nothing without a setting that saves and without Terminate.
func (s *Server) Run(t testing.TB) {
	t.Helper()
	if err := s.run(); err != nil {
		t.Fatal(err)
	}
}

func (s *Server) run() error {
	host, port, err := net.SplitHostPort(s.Addr)
	if err != nil {
		return err
	}
	args := []string{"redis-server"}
	defaults := []string{
		"bind", host, "port", port, "dir", s.Dir, "protected-mode", "no", "appendonly", "no", "save", "", "daemonize", "no",
	}
	for pair := range slices.Chunk(defaults, 2) {
		if _, ok := s.setting(pair[0]); !ok {
			args = append(args, "--"+pair[0], pair[1])
		}
	}
	for i := 0; i+1 < len(s.settings); i += 2 {
		args = append(args, "--"+s.settings[i], s.settings[i+1])
	}
	if err := s.process.start(s.Dir, args...); err != nil {
		return err
	}
	client := redis.NewClient(s.options())
	defer client.Close()
	return s.process.await(s.Addr, func(ctx context.Context) error { return client.Ping(ctx).Err() })
}

func (s *Server) setting(name string) (value string, ok bool) {
	for i := 0; i+1 < len(s.settings); i += 2 {
		if s.settings[i] == name {
			value, ok = s.settings[i+1], true
		}
	}
	return value, ok
}

func (s *Server) options() *redis.Options {
	password, _ := s.setting("requirepass")
	return &redis.Options{
		Addr:                     s.Addr,
		Password:                 password,
		DisableIdentity:          true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
}

// URL returns where the server is, with its password if it has one.
func (s *Server) URL() string {
	u := url.URL{Scheme: "redis", Host: s.Addr, Path: "/0"}
	if password, ok := s.setting("requirepass"); ok {
		u.User = url.UserPassword("", password)
	}
	return u.String()
}

// Client returns a client for the test's own commands.
func (s *Server) Client() *redis.Client { return s.client }

// Stop ends the server at once, as a crash would, and frees its port.
func (s *Server) Stop() { s.process.stop() }

// Terminate lets the server save what it has, and end.
func (s *Server) Terminate(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	options := s.options()
	options.MaxRetries = -1 // the first attempt ends the server
	client := redis.NewClient(options)
	defer client.Close()
	if err := client.ShutdownSave(ctx).Err(); err != nil && !errors.Is(err, io.EOF) {
		t.Fatalf("the server does not shut down: %v", err)
	}
	s.process.awaitEnd()
	s.Stop()
}

// Freeze stops the server, as a machine does that swaps or hangs. Its port goes on accepting.
func (s *Server) Freeze() { s.process.program.Freeze() }

// Thaw lets it go on.
func (s *Server) Thaw() { s.process.program.Thaw() }

// patience is how long a server may take for anything that a test waits for.
const patience = 30 * time.Second

// process is a server that ends no later than this process does.
type process struct {
	dir     string
	program *leash.Program // nil while it does not run
}

// start runs a command with dir as its working directory, where it leaves its process id and its log.
func (p *process) start(dir string, args ...string) error {
	p.dir = dir
	var err error
	p.program, err = leash.Start(leash.Command{Dir: dir, Log: p.log(), Env: []string{"LC_ALL=C"}, Args: args})
	return err
}

func (p *process) log() string { return filepath.Join(p.dir, "log") }

// await waits until the server at addr answers, which it never does once it is gone.
func (p *process) await(addr string, answers func(context.Context) error) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		gone := p.program.Ended()
		err := tried(addr, deadline, answers)
		if err == nil && !gone {
			return nil
		}
		if gone || time.Now().After(deadline) {
			out, _ := os.ReadFile(p.log())
			return fmt.Errorf("the server does not start: %w\n%s", err, out)
		}
	}
}

// tried asks for an answer, but of nobody where nobody listens: the client would try again and again, and log it.
func tried(addr string, deadline time.Time, answers func(context.Context) error) error {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	_ = conn.Close()
	return answers(ctx)
}

// awaitEnd waits until the server has ended by itself.
func (p *process) awaitEnd() {
	for deadline := time.Now().Add(patience); p.program.Runs() && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
}

// stop kills the server and waits for its end.
func (p *process) stop() {
	if p.program != nil {
		p.program.Stop()
		p.program = nil
	}
}

// freeAddr returns a loopback address that nobody listens on.
func freeAddr(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// tempDir is one that a server which ends late may still write to.
func tempDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "redistest")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
