package upstreams

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// warnings returns what the checks have logged so far, as check and where.
func warnings(t *testing.T, g *gatetest.Gateway) (out []string) {
	t.Helper()
	for line := range strings.Lines(g.Log()) {
		var entry struct{ Level, Logger, Msg, Check, Where, Remedy string }
		if json.Unmarshal([]byte(line), &entry) != nil || entry.Check == "" {
			continue
		}
		if entry.Level != "warn" || entry.Logger != "chatgate" || entry.Msg == "" || entry.Remedy == "" {
			t.Errorf("logged: %s", line)
		}
		out = append(out, entry.Check+": "+entry.Msg+": "+entry.Where)
	}
	return out
}

const checkedCaddyfile = `{
	{{GLOBAL}}
	log {
		format chatgate_redact
	}
	chatgate {
		accounts sqlite
		hash {
			memory_kib 1024
			time 1
		}
	}
	layer4 {
		127.0.0.1:LINE {
			route {
				chatgate_line {
					plaintext allow
					upstream LINEUP
				}
			}
		}
	}
}
http://{{HTTP}} {
	chatgate_accounts rooms
	chatgate_proxy /ws* UP
	REST
}
`

// A plain reverse_proxy beside the gate lets clients be whoever they say. Caddy serves that, and the log says so, at the
// start and at every reload.
func TestWarnsOfWaysPastTheGate(t *testing.T) {
	t.Parallel()
	r := newRoom(t, "chat", nil, false)
	line := newRoom(t, "line", nil, false)
	file := func(rest string) string {
		return strings.NewReplacer("LINEUP", line.addr(), "LINE", "0", "UP", r.addr(), "REST", rest).Replace(checkedCaddyfile)
	}
	g := gatetest.Start(t, file("reverse_proxy localhost:"+r.addr()[strings.LastIndexByte(r.addr(), ':')+1:]))
	c := gatetest.Dial(t, g.HTTP)
	c.Send("GET /ordinary HTTP/1.1\r\nHost: " + g.HTTP + "\r\nRemote-User: admin\r\n\r\n")
	if resp, body := c.Response(); resp.StatusCode != http.StatusOK || r.last().Header.Get("Remote-User") != "admin" {
		t.Fatalf("there is nothing to warn of: %s %s", resp.Status, body)
	}
	got := warnings(t, g)
	if len(got) != 1 || !strings.HasPrefix(got[0], "bypass: ") || !strings.Contains(got[0], "localhost:") || !strings.Contains(got[0], "server srv0 (:"+g.HTTP[strings.LastIndexByte(g.HTTP, ':')+1:]+")") {
		t.Fatalf("at the start: %q", got)
	}

	for n, step := range []struct {
		rest string
		more []string // what is new in the log
	}{
		{"chatgate_proxy " + r.addr() + " {\n\t\tanonymous allow\n\t}", nil},
		{"handle_path /old/* {\n\t\treverse_proxy " + r.addr() + "\n\t}", []string{"bypass: |path /old/*"}},
		{"php_fastcgi " + r.addr(), []string{"bypass: |path *.php"}},
		{"reverse_proxy " + line.addr(), []string{"bypass: |of chatgate_line"}},
		{"route {\n\t\tchatgate_demo_room\n\t}", []string{"open-demo-room: |server srv0"}},
		{"respond 404", nil},
	} {
		before := len(warnings(t, g))
		if err := g.Reload(file(step.rest)); err != nil {
			t.Fatalf("%s: %v", step.rest, err)
		}
		gatetest.Eventually(t, "the end of the load in the log", func() bool { return strings.Count(g.Log(), `"msg":"load complete"`) > n })
		got := warnings(t, g)[before:]
		if len(got) != len(step.more) {
			t.Errorf("%s: logged %q", step.rest, got)
			continue
		}
		for i, want := range step.more {
			for part := range strings.SplitSeq(want, "|") {
				if !strings.Contains(got[i], part) {
					t.Errorf("%s: logged %q, want %q", step.rest, got[i], part)
				}
			}
		}
	}
}
