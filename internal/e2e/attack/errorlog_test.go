package attack

import (
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// errorLog is a gateway with a site for every way that Caddy finds the log of an error by.
const errorLog = `{
	{{GLOBAL}}
	debug
	chatgate {
		accounts sqlite {{DIR}}/accounts.db
	}
}

(chat) {
	chatgate_accounts rooms
	chatgate_proxy DEAD {
		query token
	}
	ERRORS
}

http://{{HTTP}} {
	log plain {
		output stderr
	}
	import chat
}

http://logless.test {
	import chat
}

http://*.example.test {
	log wild {
		output stderr
	}
	import chat
}

http://named.test {
	log own {
		output stderr
	}
	log_name one two
	import chat
}
`

var (
	perFailure   = regexp.MustCompile(`"ts":[0-9.]+|"duration":[0-9.e-]+|"err_id":"[^"]*"|"remote_port":"[^"]*"|"Referer":\["[^"]*"\]|\{id=[a-z0-9]+\}`)
	headerFields = regexp.MustCompile(`\{("[A-Za-z-]+":\["[^"]*"\],?|,)+\}`)
)

// sameForm returns a line without what differs between two failures of one kind, and with the headers in order.
func sameForm(line string) string {
	return headerFields.ReplaceAllStringFunc(perFailure.ReplaceAllString(line, ""), func(headers string) string {
		fields := strings.Split(strings.Trim(headers, "{}"), ",")
		slices.Sort(fields)
		return strings.Join(fields, ",")
	})
}

// Caddy's error log has the same lines of a request that fails with a token, which chatgate writes, as of one without,
// which Caddy writes: of the same logger, at the same level, with the same fields in the same order.
func TestCFG04ErrorLogIsCaddys(t *testing.T) {
	shared.Use(t)
	for name, routes := range map[string]string{
		"no error routes":         "",
		"error routes":            "handle_errors {\n\t\trespond \"sorry: {err.status_code}\"\n\t}",
		"error routes, no answer": "handle_errors {\n\t\theader X-Error yes\n\t}",
		"error routes that fail":  "handle_errors {\n\t\terror \"and again\" 503\n\t}",
	} {
		t.Run(name, func(t *testing.T) {
			g := gatetest.Start(t, strings.NewReplacer("DEAD", fmt.Sprintf("127.0.0.1:%d", gatetest.FreePort(t)), "ERRORS", routes).Replace(errorLog))
			_, port, err := net.SplitHostPort(g.HTTP)
			if err != nil {
				t.Fatal(err)
			}
			g.Register("alice", password)
			token := g.Login("alice", password)
			for host, loggers := range map[string][]string{
				g.HTTP:                      {"http.log.error.plain"},
				"logless.test:" + port:      {"http.log.error"},
				"Chat.Example.test:" + port: {"http.log.error.wild"},
				"named.test:" + port:        {"http.log.error.one", "http.log.error.two"},
			} {
				fail := func(referer string) (status int, lines []string) {
					before := len(g.Log())
					r := gatetest.Dial(t, g.HTTP)
					defer r.Close()
					r.Send(request("GET", "/x", host, bearer(token), "Remote-User: root", "Referer: http://chat.test/"+referer))
					resp, _ := r.Response()
					gatetest.Eventually(t, "the error log", func() bool {
						lines = nil
						for line := range strings.Lines(g.Log()[before:]) {
							if strings.Contains(line, `"logger":"http.log.error`) && strings.HasSuffix(line, "\n") {
								lines = append(lines, line)
							}
						}
						return len(lines) >= len(loggers)
					})
					return resp.StatusCode, lines
				}
				status, caddys := fail("?a=b")
				again, ours := fail("?token=" + token)
				if status != again {
					t.Errorf("%s: status %d, with a token %d", host, status, again)
				}
				if len(caddys) != len(loggers) || len(ours) != len(loggers) {
					t.Errorf("%s: %d lines, with a token %d, want %d", host, len(caddys), len(ours), len(loggers))
					continue
				}
				for i, logger := range loggers {
					want, got := sameForm(caddys[i]), sameForm(ours[i])
					if got != want || !strings.Contains(want, `"logger":"`+logger+`"`) {
						t.Errorf("%s, in %s:\n%swith a token\n%s", host, logger, want, got)
					}
					if !strings.Contains(ours[i], "?token=[token]") || strings.Contains(caddys[i], "[token]") {
						t.Errorf("%s: this proves nothing: %s", host, ours[i])
					}
				}
			}
		})
	}
}
