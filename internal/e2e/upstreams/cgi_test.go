package upstreams

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/leash"
)

const (
	forged  = "forged-by-the-client"
	cgiPath = "/cgi-bin/env" // tells what the script got of the request's header
)

// cgiServer is a real web server with a script, which sees header names as CGI spells them.
type cgiServer struct {
	program string   // as it is installed
	args    []string // where {port} and {dir} stand for what they are
	files   map[string]string
}

// Both make an underscore of every byte that is no letter or digit.
var cgiServers = map[string]cgiServer{
	"lighttpd": {
		program: "lighttpd", args: []string{"-D", "-f", "{dir}/lighttpd.conf"},
		files: map[string]string{"lighttpd.conf": `server.document-root = "{dir}"
server.bind = "127.0.0.1"
server.port = {port}
server.modules = ("mod_cgi")
cgi.assign = ("` + cgiPath + `" => "/bin/sh")
`},
	},
	"busybox httpd": {program: "busybox", args: []string{"httpd", "-f", "-p", "127.0.0.1:{port}", "-h", "{dir}"}},
}

// start runs the server until the test ends, and returns its address.
func (s cgiServer) start(t *testing.T) string {
	t.Helper()
	program := leash.Find(t, s.program)
	dir, port := t.TempDir(), gatetest.FreePort(t)
	fill := strings.NewReplacer("{dir}", dir, "{port}", fmt.Sprint(port))
	files := map[string]string{cgiPath: "#!/bin/sh\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nenv | grep ^HTTP_\n"}
	for name, text := range s.files {
		files[name] = fill.Replace(text)
	}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{program}
	for _, arg := range s.args {
		args = append(args, fill.Replace(arg))
	}
	p, err := leash.Start(leash.Command{Dir: dir, Log: filepath.Join(dir, "log"), Args: args})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	gatetest.Eventually(t, "the server to listen", func() bool {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return addr
}

// ask makes a request with more header lines, and returns the status and what the script saw.
func ask(t *testing.T, addr string, lines ...string) (int, string) {
	t.Helper()
	c := gatetest.Dial(t, addr)
	defer c.Close()
	c.Send("GET " + cgiPath + " HTTP/1.1\r\nHost: " + addr + "\r\nConnection: close\r\n" + strings.Join(append(lines, ""), "\r\n") + "\r\n")
	resp, body := c.Response()
	return resp.StatusCode, body
}

// claims are what only we or another gateway may say, and what means something in its own spelling alone.
var (
	claims = []string{"Remote-User", "Remote-Access", "X-Chat-Mail", "X-Forwarded-User", "SM-User", "X-Real-IP", "Proxy"}
	others = []string{"Cookie", "Authorization", "Host", "X-Forwarded-For", "Content-Length", "Transfer-Encoding", "Connection", "Upgrade", "Trailer", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol", "Origin"}
)

const (
	oddBytes    = "~!#$%&'*+^`|"
	commonBytes = "_.-"
)

// Caddy drops names with an underscore or a dot, unless they are expected.
const cgiCaddyfile = `{
	{{GLOBAL}}
	servers {
		expected_underscore_headers UNDERSCORES
		expected_dot_headers DOTS
	}
	chatgate {
		accounts sqlite
		hash {
			memory_kib 1024
			time 1
		}
	}
}
http://{{HTTP}}, https://{{HTTPS}} {
	chatgate_accounts rooms
	chatgate_proxy UPSTREAM {
		identity {
			email X-Chat-Mail
		}
	}
}
`

// spelled are the ways to put a byte into a name.
func spelled(name string, b byte) []string {
	out := []string{name + string(b), string(b) + name, name + string(b) + string(b)}
	if b != '-' && strings.Contains(name, "-") {
		out = append(out, strings.ReplaceAll(name, "-", string(b)), strings.Replace(name, "-", string(b), 1))
	}
	return out
}

func allSpelled(b byte) string {
	var out []string
	for _, name := range slices.Concat(claims, others) {
		out = append(out, spelled(name, b)...)
	}
	return strings.Join(out, " ")
}

func TestServersThatFoldNames(t *testing.T) {
	t.Parallel()
	for name, server := range cgiServers {
		t.Run(name, func(t *testing.T) {
			addr := server.start(t)
			for _, b := range []byte(oddBytes + commonBytes) { // or this would prove nothing
				if _, body := ask(t, addr, "Remote"+string(b)+"User: "+forged); !strings.Contains(body, "HTTP_REMOTE_USER="+forged) {
					t.Fatalf("the server does not fold %q: %s", b, body)
				}
			}
			g := gatetest.Start(t, strings.NewReplacer("UPSTREAM", addr, "UNDERSCORES", allSpelled('_'), "DOTS", allSpelled('.')).Replace(cgiCaddyfile))
			g.Register("alice", password)
			alice := "Authorization: Bearer " + g.Login("alice", password)

			t.Run("odd bytes", func(t *testing.T) {
				for _, name := range slices.Concat(claims, others) {
					for _, b := range []byte(oddBytes) {
						for _, line := range spelled(name, b) {
							if status, body := ask(t, g.HTTP, line+": "+forged); status != http.StatusBadRequest || !strings.Contains(body, "letters, digits and -") {
								t.Errorf("%s: %d %s", line, status, body)
							}
						}
					}
				}
			})
			t.Run("common bytes", func(t *testing.T) {
				for _, name := range slices.Concat(claims, others) {
					for _, b := range []byte(commonBytes) {
						for _, line := range spelled(name, b) {
							if status, body := ask(t, g.HTTP, line+": "+forged); status != http.StatusOK || strings.Contains(body, forged) {
								t.Errorf("%s: %d %s", line, status, body)
							}
						}
					}
				}
			})
			t.Run("a member", func(t *testing.T) {
				status, body := ask(t, g.HTTP, alice, "remote_user: "+forged, "REMOTE.ACCESS: "+forged, "X~Note: a note", "X-Other: another")
				for _, want := range []string{"HTTP_REMOTE_USER=alice\n", "HTTP_REMOTE_ACCESS=read-write\n", "HTTP_X_NOTE=a note\n", "HTTP_X_OTHER=another\n"} {
					if !strings.Contains(body, want) {
						t.Errorf("no %q in %d %s", want, status, body)
					}
				}
				if strings.Contains(body, forged) {
					t.Error(body)
				}
				if status, body := ask(t, g.HTTP, alice, "Remote~User: "+forged); status != http.StatusBadRequest {
					t.Errorf("%d %s", status, body)
				}
			})
			t.Run("HTTP/2", func(t *testing.T) {
				client := gatetest.Client()
				client.Transport.(*http.Transport).ForceAttemptHTTP2 = true
				for header, want := range map[string]int{"Remote~User": http.StatusBadRequest, "X~Note": http.StatusOK} {
					req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+g.HTTPS+cgiPath, nil)
					if err != nil {
						t.Fatal(err)
					}
					req.Header.Set(header, forged)
					resp, err := client.Do(req)
					if err != nil {
						t.Fatal(err)
					}
					body, _ := io.ReadAll(resp.Body)
					resp.Body.Close()
					if resp.ProtoMajor != 2 || resp.StatusCode != want {
						t.Errorf("%s: %s %s %s", header, resp.Proto, resp.Status, body)
					}
				}
			})
		})
	}
}
