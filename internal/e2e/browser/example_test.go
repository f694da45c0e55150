package browser

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// patience is how long a slow, loaded machine may take for one step.
const patience = 60 * time.Second

// secret is the password of every account.
const secret = "Lantern-Quarry-Ostrich-71"

func TestMain(m *testing.M) { gatetest.Main(m) }

// site is a gateway that runs Caddyfile.example.
type site struct {
	*gatetest.Gateway
	URL string // https://localhost:port
	CA  string // the certificate of Caddy's own authority, in a file
	t   testing.TB
}

func startExample(t testing.TB) *site {
	t.Helper()
	caddyfile, url := example(t)
	g := gatetest.Start(t, caddyfile)
	s := &site{Gateway: g, URL: url, CA: filepath.Join(g.Dir, "data/caddy/pki/authorities/local/root.crt"), t: t}
	s.awaitCertificate()
	return s
}

var examplePort = regexp.MustCompile(`\b(8443|8080|9000)\b`)

// example returns the repository's Caddyfile.example with ports that are free, and where its site then is. The admin
// API and the autosaved configuration are the two things of a Caddy process that it leaves at their defaults.
func example(t testing.TB) (caddyfile, url string) {
	t.Helper()
	b, err := os.ReadFile("../../../Caddyfile.example")
	if err != nil {
		t.Fatal(err)
	}
	ports := map[string]string{}
	caddyfile = examplePort.ReplaceAllStringFunc(string(b), func(port string) string {
		if ports[port] == "" {
			ports[port] = strconv.Itoa(gatetest.FreePort(t))
		}
		return ports[port]
	})
	for _, port := range []string{"8443", "8080", "9000"} {
		if ports[port] == "" {
			t.Fatalf("Caddyfile.example does not mention port %s any more", port)
		}
	}
	const global = "\n{\n"
	if n := strings.Count(caddyfile, global); n != 1 {
		t.Fatalf("Caddyfile.example has %d blocks of global options, want 1", n)
	}
	caddyfile = strings.Replace(caddyfile, global, global+"\tadmin {{ADMIN}}\n\tpersist_config off\n", 1)
	return caddyfile, "https://localhost:" + ports["8443"]
}

// awaitCertificate waits until the site answers: its certificate is issued after the start.
func (s *site) awaitCertificate() {
	s.t.Helper()
	client := gatetest.Client()
	var err error
	for deadline := time.Now().Add(patience); time.Now().Before(deadline); {
		var resp *http.Response
		if resp, err = client.Get(s.URL); err == nil {
			resp.Body.Close()
			if resp.StatusCode != http.StatusOK {
				s.t.Fatalf("the page: %s", resp.Status)
			}
			return
		}
		select {
		case <-s.t.Context().Done():
		case <-time.After(50 * time.Millisecond):
		}
	}
	s.t.Fatalf("the site does not answer: %v", err)
}

// account registers a user without the page.
func (s *site) account(t testing.TB, name string) {
	t.Helper()
	body, err := json.Marshal(map[string]string{"username": name, "secret": secret})
	if err != nil {
		t.Fatal(err)
	}
	client := gatetest.Client()
	client.Timeout = patience
	resp, err := client.Post(s.URL+"/api/v1/users", "application/json", strings.NewReader(string(body)))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusCreated {
		t.Fatalf("register %s: %s %s", name, resp.Status, b)
	}
}
