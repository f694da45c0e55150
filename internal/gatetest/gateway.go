package gatetest

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Gateway is a running gateway process.
type Gateway struct {
	Dir   string // its home: data, configuration, log
	HTTP  string // 127.0.0.1:port, where {{HTTP}} is in its Caddyfile
	HTTPS string // localhost:port, where {{HTTPS}} is
	Admin string // 127.0.0.1:port

	t   testing.TB
	cmd *exec.Cmd
	log *syncBuffer
	env []string
	end chan struct{} // closed when the process has ended
	err error         // its Wait error, after end
}

// Options change how a gateway is started.
type Options struct {
	Dir string   // of an earlier gateway, to go on with its data; default: a new one
	Env []string // more environment, as KEY=value
}

// taken are the marks of ports that this process was given.
var taken sync.Map

// FreePort returns a port that nobody listens on, and no other test was given. It lies below those that the system gives
// to outgoing connections, which under load would take it before a gateway does.
func FreePort(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10000 + rand.IntN(20000)
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue
		}
		l.Close()
		if runtime.GOOS == "linux" { // a name in the abstract namespace keeps other tests off until this process ends
			mark, err := net.Listen("unix", fmt.Sprintf("@chatgate-test-port-%d", port))
			if err != nil {
				continue
			}
			taken.Store(port, mark) // or it would be closed as garbage
		}
		return port
	}
	t.Fatal("there is no free port")
	return 0
}

// Start runs a gateway until the test ends. In the Caddyfile, {{HTTP}}, {{HTTPS}}, {{ADMIN}} and {{DIR}} stand for its
// addresses and directory, and {{GLOBAL}} for the global options that a test gateway needs.
func Start(t testing.TB, caddyfile string, opts ...Options) *Gateway {
	t.Helper()
	var o Options
	if len(opts) > 0 {
		o = opts[0]
	}
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	g := &Gateway{
		t: t, Dir: o.Dir, env: o.Env,
		HTTP: fmt.Sprintf("127.0.0.1:%d", FreePort(t)), HTTPS: fmt.Sprintf("localhost:%d", FreePort(t)), Admin: fmt.Sprintf("127.0.0.1:%d", FreePort(t)),
	}
	g.Launch(caddyfile)
	t.Cleanup(func() {
		g.Stop()
		if log := g.Log(); strings.Contains(log, "WARNING: DATA RACE") || strings.Contains(log, "panic:") && !strings.Contains(log, "http.ErrAbortHandler") {
			t.Errorf("the gateway raced or panicked:\n%s", log)
		} else if t.Failed() {
			t.Logf("the gateway's log:\n%s", tail(log, 12000))
		}
	})
	return g
}

// Expand fills the placeholders of a Caddyfile in.
func (g *Gateway) Expand(caddyfile string) string {
	_, port, _ := net.SplitHostPort(g.HTTPS)
	_, httpPort, _ := net.SplitHostPort(g.HTTP)
	global := fmt.Sprintf("admin %s\n\thttp_port %s\n\thttps_port %s\n\tauto_https disable_redirects\n\tskip_install_trust\n\tpersist_config off\n", g.Admin, httpPort, port)
	return strings.NewReplacer("{{GLOBAL}}", global, "{{HTTP}}", g.HTTP, "{{HTTPS}}", g.HTTPS, "{{ADMIN}}", g.Admin, "{{DIR}}", g.Dir).Replace(caddyfile)
}

// Launch starts the process anew, after Stop or Kill, and waits until it serves.
func (g *Gateway) Launch(caddyfile string) {
	g.t.Helper()
	if err := g.TryLaunch(caddyfile); err != nil {
		g.t.Fatalf("%v\n%s", err, g.Log())
	}
}

// TryLaunch is Launch for a gateway that is expected to fail.
func (g *Gateway) TryLaunch(caddyfile string) error {
	config := filepath.Join(g.Dir, "Caddyfile")
	if err := os.WriteFile(config, []byte(g.Expand(caddyfile)), 0o600); err != nil {
		return err
	}
	g.log = new(syncBuffer)
	file, err := program()
	if err != nil {
		return err
	}
	g.cmd = exec.Command(file, "run", "--config", config, "--adapter", "caddyfile")
	g.cmd.Dir = g.Dir
	g.cmd.Env = append(append(os.Environ(), "HOME="+g.Dir, "XDG_DATA_HOME="+g.Dir+"/data", "XDG_CONFIG_HOME="+g.Dir+"/config",
		"GORACE=atexit_sleep_ms=0 "+os.Getenv("GORACE")+" exitcode=0"), g.env...) // races are found in the log
	g.cmd.Stdout, g.cmd.Stderr = g.log, g.log
	if err := g.cmd.Start(); err != nil {
		return err
	}
	end := make(chan struct{})
	g.end = end
	go func() {
		g.err = g.cmd.Wait()
		close(end)
	}()
	deadline := time.Now().Add(60 * time.Second)
	for time.Now().Before(deadline) {
		select {
		case <-end:
			return fmt.Errorf("the gateway ended at once: %w", errors.Join(g.err, errors.New(tail(g.Log(), 4000))))
		case <-time.After(30 * time.Millisecond):
		}
		if strings.Contains(g.Log(), "serving initial configuration") {
			return nil
		}
	}
	g.Kill()
	return errors.New("the gateway did not begin to serve")
}

// Pid returns the process's id.
func (g *Gateway) Pid() int { return g.cmd.Process.Pid }

// Log returns what the process has written so far, but for races that are known to be of Caddy itself.
func (g *Gateway) Log() string { return withoutCaddysRaces(g.log.String()) }

// Stop asks the process to end, as a service manager would, and returns how long that took.
func (g *Gateway) Stop() time.Duration {
	start := time.Now()
	_ = g.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-g.end:
	case <-time.After(30 * time.Second):
		g.t.Error("the gateway did not end within 30 s of SIGTERM")
		g.Kill()
	}
	return time.Since(start)
}

// Kill ends the process without a warning.
func (g *Gateway) Kill() {
	_ = g.cmd.Process.Kill()
	<-g.end
}

// ExitCode returns the status of a process that has ended.
func (g *Gateway) ExitCode() int {
	<-g.end
	return g.cmd.ProcessState.ExitCode()
}

// Reload loads another Caddyfile through the admin API and returns its error. It waits until the listeners of the
// previous configuration are closed: Caddy closes them after its answer, and resets connections there that it has not
// read yet.
func (g *Gateway) Reload(caddyfile string) error {
	err := g.reload(caddyfile)
	if errors.Is(err, syscall.ECONNRESET) { // by the admin API of the configuration before, which was just ending
		g.t.Logf("loading it once more: %v", err) // so that it is seen where it is not that
		err = g.reload(caddyfile)
	}
	if err != nil {
		return err
	}
	// A server with requests over HTTP/2 stays in its Shutdown as long as they do, with its listeners closed.
	for end := time.Now().Add(500 * time.Millisecond); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if p, err := g.profile(); err == nil && !strings.Contains(p, "caddyhttp.(*App).Stop") {
			break
		}
	}
	return nil
}

func (g *Gateway) reload(caddyfile string) error {
	req, err := http.NewRequest(http.MethodPost, "http://"+g.Admin+"/load", strings.NewReader(g.Expand(caddyfile)))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("load: %s: %s", resp.Status, body)
	}
	return nil
}

// Usage is the resources that the process holds.
type Usage struct {
	RSS        int64 // bytes
	FDs        int
	Goroutines int
}

// Usage reads /proc and the admin API's profile.
func (g *Gateway) Usage() Usage {
	g.t.Helper()
	var u Usage
	pid := strconv.Itoa(g.Pid())
	if b, err := os.ReadFile("/proc/" + pid + "/statm"); err == nil {
		pages, _ := strconv.ParseInt(strings.Fields(string(b))[1], 10, 64)
		u.RSS = pages * int64(os.Getpagesize())
	}
	if fds, err := os.ReadDir("/proc/" + pid + "/fd"); err == nil {
		u.FDs = len(fds)
	}
	head, _, _ := strings.Cut(g.Goroutines(), "\n")
	_, _ = fmt.Sscanf(head, "goroutine profile: total %d", &u.Goroutines)
	return u
}

// Goroutines returns the process's goroutine profile as text.
func (g *Gateway) Goroutines() string {
	p, err := g.profile()
	if err != nil {
		g.t.Fatal(err)
	}
	return p
}

func (g *Gateway) profile() (string, error) {
	resp, err := http.Get("http://" + g.Admin + "/debug/pprof/goroutine?debug=1")
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

// Client returns an HTTP client that trusts any certificate and keeps no connection.
func Client() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Timeout:       20 * time.Second,
	}
}

// Call posts JSON and returns the status, header and body.
func (g *Gateway) Call(method, path, token, body string) (int, http.Header, string) {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+g.HTTP+path, strings.NewReader(body))
	if err != nil {
		g.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := Client().Do(req)
	if err != nil {
		g.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer resp.Body.Close()
	b, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, resp.Header, string(b)
}

// Register makes an account through the rooms dialect, over HTTP at {{HTTP}}.
func (g *Gateway) Register(name, secret string) {
	g.t.Helper()
	body, _ := json.Marshal(map[string]string{"username": name, "secret": secret})
	if status, _, b := g.Call(http.MethodPost, "/api/v1/users", "", string(body)); status != http.StatusCreated {
		g.t.Fatalf("register %s: %d %s", name, status, b)
	}
}

// Login returns a new token.
func (g *Gateway) Login(name, secret string) string {
	g.t.Helper()
	body, _ := json.Marshal(map[string]string{"username": name, "secret": secret})
	status, _, b := g.Call(http.MethodPost, "/api/v1/login", "", string(body))
	var out struct {
		Data struct{ Token string }
	}
	if err := json.Unmarshal([]byte(b), &out); err != nil || status != http.StatusOK || out.Data.Token == "" {
		g.t.Fatalf("login %s: %d %s", name, status, b)
	}
	return out.Data.Token
}

// syncBuffer is a buffer that a process writes and a test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func tail(s string, n int) string {
	if len(s) > n {
		return "…" + s[len(s)-n:]
	}
	return s
}

// Eventually waits until ok, for at most 10 seconds.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}
