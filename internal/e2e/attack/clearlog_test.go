package attack

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// clearLog is a gateway whose logs redact nothing, with the lowest level.
const clearLog = `{
	{{GLOBAL}}
	debug
	log {
		format FORMAT
	}
	chatgate {
		accounts sqlite {{DIR}}/accounts.db
	}
}

http://{{HTTP}} {
	log {
		output stderr
		format FORMAT
	}
	chatgate_accounts rooms
	chatgate_methods /ws
	chatgate_proxy UPSTREAM {
		cookie ssid
		query token
	}
	chatgate_proxy /dead/* DEAD {
		cookie ssid
		query token
	}
	chatgate_proxy /broken/* BROKEN {
		cookie ssid
		query token
	}
	ERRORS
}
`

// What chatgate causes to be logged holds no token, whatever the format: that of a failed handshake above all. Caddy's own
// access log has one in clear, which is what the warning at the start is for.
func TestCFG04WithoutRedact(t *testing.T) {
	shared.Use(t)
	for _, format := range []string{"json", "console"} {
		for _, errorRoutes := range []string{"", "handle_errors {\n\t\trespond \"sorry: {err.status_code} {err.message} at {uri.path}\"\n\t}"} {
			t.Run(fmt.Sprintf("%s, error routes %t", format, errorRoutes != ""), func(t *testing.T) {
				up := newRecorder(t, echo)
				broken := gatetest.NewUpstream(t, func(_ *gatetest.Upstream, c net.Conn, _ *bufio.Reader, _ string) { c.Close() })
				g := gatetest.Start(t, strings.NewReplacer(
					"FORMAT", format, "UPSTREAM", up.Addr, "DEAD", fmt.Sprintf("127.0.0.1:%d", gatetest.FreePort(t)), "BROKEN", broken.Addr, "ERRORS", errorRoutes,
				).Replace(clearLog))
				g.Register("alice", password)
				token := g.Login("alice", password)
				for _, path := range []string{"/x", "/dead/x", "/broken/x", "/ws"} {
					for _, tc := range []struct {
						query string
						lines []string
					}{
						{"", []string{bearer(token)}},
						{"?token=" + token, nil},
						{"", []string{protocols(token)}},
						{"", []string{protocols(token, "chat.v1")}},
						{"", []string{"Cookie: ssid=" + token, "Origin: http://" + g.HTTP}},
						{"?a=1", []string{bearer(token), "Referer: http://" + g.HTTP + "/?token=" + token}},
					} {
						for _, upgrade := range []bool{false, true} {
							r := gatetest.Dial(t, g.HTTP)
							if upgrade {
								r.Send(gatetest.Handshake(g.HTTP, path+tc.query, tc.lines...))
							} else {
								r.Send(request("GET", path+tc.query, g.HTTP, tc.lines...))
							}
							resp, body := r.Response()
							if path == "/dead/x" || path == "/broken/x" {
								if resp.StatusCode != http.StatusBadGateway {
									t.Errorf("%s: %s", path+tc.query, resp.Status)
								}
								if errorRoutes != "" && !strings.HasPrefix(body, "sorry: 502 ") {
									t.Errorf("%s: the error route answered %q", path, body)
								}
								if errorRoutes != "" && strings.Contains(body, token) {
									t.Errorf("%s: the error route shows the token: %q", path, body)
								}
							}
							r.Close()
						}
					}
				}
				g.Call(http.MethodGet, "/the-last-request", token, "")
				gatetest.Eventually(t, "the access log", func() bool { return strings.Contains(g.Log(), "/the-last-request") })
				errors, roundtrips, access := 0, 0, 0
				for line := range strings.Lines(g.Log()) {
					switch {
					case strings.Contains(line, "http.log.access"):
						if strings.Contains(line, token) {
							access++
						}
						continue
					case strings.Contains(line, "http.log.error") && strings.Contains(line, "/dead/x"):
						errors++
					case strings.Contains(line, "upstream roundtrip"):
						roundtrips++
					}
					if strings.Contains(line, strings.Split(token, ".")[2]) {
						t.Errorf("the token is in the log:\n%.1200s", line)
					}
				}
				if errors != 12 || roundtrips == 0 || access == 0 {
					t.Errorf("%d errors, %d round trips, %d lines of access with a token; this proves nothing", errors, roundtrips, access)
				}
				if n := strings.Count(g.Log(), "a log that is written in clear gets http.log.access, http.log.access.log0, http.log.error, http.log.error.log0"); n != 1 {
					t.Errorf("%d warnings of the logs", n)
				}
			})
		}
	}
}

// The warning names what is written in clear, and is silent where everything is redacted.
func TestLogWarning(t *testing.T) {
	const redacted, wrapped, filtered = "format chatgate_redact", "format chatgate_redact {\n\t\t\twrap console\n\t\t}",
		"format filter {\n\t\t\twrap chatgate_redact\n\t\t\trequest>headers>Cookie delete\n\t\t}"
	const clear = "format json"
	for _, c := range []struct {
		name          string
		global, site  string // the formats; none: there is no such directive
		handler, want string
	}{
		{"nothing is said", "", "", "chatgate_accounts rooms", "gets http.log.error,"},
		{"all redacted", redacted, redacted, "chatgate_accounts rooms", ""},
		{"wrapped", wrapped, wrapped, "chatgate_methods /ws", ""},
		{"wrapping", filtered, filtered, "chatgate_proxy 127.0.0.1:1", ""},
		{"no access log", redacted, "", "chatgate_proxy 127.0.0.1:1", ""},
		{"the access log", redacted, clear, "chatgate_proxy 127.0.0.1:1", "gets http.log.access.log0,"},
		{"the default log", clear, redacted, "chatgate_methods /ws", "gets http.log.access, http.log.error, http.log.error.log0,"},
		{"no handler of ours", clear, clear, "respond hello", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			shared.Use(t)
			file := "{\n\t{{GLOBAL}}\n\tchatgate {\n\t\taccounts sqlite {{DIR}}/accounts.db\n\t}\n"
			if c.global != "" {
				file += "\tlog {\n\t\t" + c.global + "\n\t}\n"
			}
			file += "}\nhttp://{{HTTP}} {\n\t" + c.handler + "\n"
			if c.site != "" {
				file += "\tlog {\n\t\t" + c.site + "\n\t}\n"
			}
			g := gatetest.Start(t, file+"}\n")
			const warning = "a log that is written in clear "
			for i, when := range []string{"at the start", "at a reload"} {
				if c.want == "" {
					if strings.Contains(g.Log(), warning) {
						t.Errorf("%s: a warning of what is redacted", when)
					}
				} else {
					gatetest.Eventually(t, when+": a warning", func() bool { return strings.Count(g.Log(), warning+c.want) == i+1 })
				}
				if i == 1 {
					break
				}
				if err := g.Reload(strings.Replace(file, "chatgate {", "chatgate {\n\t\tmin_password 9", 1) + "}\n"); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
