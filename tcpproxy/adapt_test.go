package tcpproxy_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/chatgate/chatgate"
)

var update = flag.Bool("update", false, "write what is adapted into testdata/adapt, to be read before it is committed")

// A file of testdata/adapt is what stands in a route of layer4, a line of dashes, and what becomes of it: the handlers in
// JSON, or the whole error of one whose name says _bad_, with the mistake on the line that ends in "# here".
const (
	adaptCut  = "\n----------\n"
	adaptHead = "{\n\tlayer4 {\n\t\t127.0.0.1:0 {\n\t\t\troute {\n"
	adaptTail = "\n\t\t\t}\n\t\t}\n\t}\n}\n"
)

func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			raw, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, ok := strings.Cut(string(raw), adaptCut)
			if !ok {
				t.Fatalf("no line of dashes")
			}
			bad := strings.Contains(t.Name(), "_bad_")
			config, err := adapt(adaptHead + input + adaptTail)
			got := handlersOf(t, config)
			if err != nil {
				got = err.Error()
			}
			if *update {
				if err := os.WriteFile(file, []byte(input+adaptCut+got+"\n"), 0o600); err != nil {
					t.Fatal(err)
				}
			} else if got != strings.TrimSuffix(want, "\n") {
				t.Errorf("adapted to\n%s\n\nwant\n%s", got, want)
			}
			if (err != nil) != bad {
				t.Fatalf("what is bad is named so, and nothing else: %v", err)
			}
			if bad {
				before, _, ok := strings.Cut(adaptHead+input+"\n", "# here\n")
				if here := fmt.Sprintf("Caddyfile:%d", 1+strings.Count(before, "\n")); !ok || !strings.Contains(got+"\n", here+"\n") {
					t.Errorf("the mistake is in %s (%v), and the error says: %s", here, ok, got)
				}
				return
			}
			dir := t.TempDir()
			for _, name := range []string{"HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"} {
				t.Setenv(name, dir)
			}
			t.Setenv("CHATGATE_TEST_PASS", "hunter2")
			var cfg caddy.Config
			dec := json.NewDecoder(bytes.NewReader(config))
			dec.DisallowUnknownFields()
			if err := dec.Decode(&cfg); err != nil {
				t.Fatal(err)
			}
			if err := caddy.Validate(&cfg); err != nil {
				t.Errorf("validate: %v", err)
			}
		})
	}
}

func adapt(text string) ([]byte, error) {
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(text), map[string]any{"filename": "Caddyfile"})
	for _, w := range warnings {
		if !strings.Contains(w.Message, "not formatted") {
			return nil, fmt.Errorf("warning: %s", w)
		}
	}
	return config, err
}

func handlersOf(t *testing.T, config []byte) string {
	if config == nil {
		return ""
	}
	var c struct {
		Apps struct {
			Layer4 struct {
				Servers map[string]struct {
					Routes []struct {
						Handle json.RawMessage `json:"handle"`
					} `json:"routes"`
				} `json:"servers"`
			} `json:"layer4"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &c); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	for _, s := range c.Apps.Layer4.Servers {
		if err := json.Indent(&b, s.Routes[0].Handle, "", "\t"); err != nil {
			t.Fatal(err)
		}
	}
	return b.String()
}

// What only JSON can get wrong is found by caddy validate.
func TestValidate(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"} {
		t.Setenv(name, dir)
	}
	for handler, want := range map[string]string{
		`{"handler":"chatgate_line","anonymous":"yes"}`:                                                        "anonymous is",
		`{"handler":"chatgate_line","tries":-1}`:                                                               "tries is",
		`{"handler":"chatgate_line","first_lines":["NICK a"]}`:                                                 "first_line only matters with an upstream",
		`{"handler":"chatgate_line","proxy":{}}`:                                                               "no upstream",
		`{"handler":"chatgate_line","proxy":{"upstreams":[null]}}`:                                             "an upstream has one address",
		`{"handler":"chatgate_line","proxy":{"upstreams":[{"dial":["udp/127.0.0.1:1"]}]}}`:                     "not reached by TCP",
		`{"handler":"chatgate_line","proxy":{"upstreams":[{"dial":["a:1"]}]},"first_lines":["PASS {env.NO}"]}`: "first_line 1: {env.NO} has no value",
		`{"handler":"chatgate_tls","per_address":-1}`:                                                          "per_address",
		`{"handler":"chatgate_tls","connection_policies":[{},null]}`:                                           "connection_policies has a null; write {} for a policy with the defaults",
	} {
		config := `{"logging":{"logs":{"default":{"writer":{"output":"discard"}}}},"apps":{"layer4":{"servers":{"x":{"listen":["127.0.0.1:0"],"routes":[{"handle":[` + handler + `]}]}}}}}`
		var cfg caddy.Config
		if err := json.Unmarshal([]byte(config), &cfg); err != nil {
			t.Fatal(err)
		}
		if err := caddy.Validate(&cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v; want %q", handler, err, want)
		}
	}
}
