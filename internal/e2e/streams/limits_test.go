package streams

import (
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// limits are those of a site's requests; UPSTREAM echoes.
const limits = `
	route /plain {
		chatgate_proxy UPSTREAM
	}
	route /timeouts {
		timeouts {
			read_timeout 1s
			write_timeout 1s
		}
		chatgate_proxy UPSTREAM
	}
	route /small {
		request_body {
			max_size 1KB
		}
		chatgate_proxy UPSTREAM
	}
	route /buffers {
		chatgate_proxy UPSTREAM {
			request_buffers 4KB
			response_buffers 4KB
		}
	}
`

// TestLimitsOfRequests: what the server and other handlers allow a request does not end a WebSocket, whatever it runs over.
func TestLimitsOfRequests(t *testing.T) {
	t.Parallel()
	up := gatetest.NewUpstream(t, nil)
	for name, idle := range map[string]string{"idle timeouts": "3s", "no idle timeouts": "-1s"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			g, token := start(t, `log {
		format chatgate_redact {
			wrap json
		}
	}
	servers {
		timeouts {
			read_body       2s
			read_body_idle  `+idle+`
			write           2s
			write_idle      `+idle+`
			idle            2s
		}
	}`, strings.ReplaceAll(limits, "UPSTREAM", up.Addr))
			for transport, open := range transports {
				for _, path := range []string{"/plain", "/timeouts", "/small", "/buffers"} {
					if idle == "-1s" && transport == "HTTP2" && path == "/small" {
						continue // see TestLimitThatStays
					}
					t.Run(transport+path, func(t *testing.T) {
						t.Parallel()
						c := open(t, g, path, token)
						c.echo("hello")
						time.Sleep(4 * time.Second) // longer than any of the timeouts
						c.echo("still there")
						for range 4 {
							c.echo(strings.Repeat("x", 1000))
						}
						time.Sleep(3 * time.Second)
						c.send(gatetest.Frame{Fin: true, Op: 8, Payload: []byte{3, 232}})
						if f := c.frame(); f.CloseCode() != 1000 {
							t.Errorf("the answer to the close frame is %+v", f)
						}
					})
				}
			}
		})
	}
}

// TestLimitThatStays: a limit on the size of a body that cannot be lifted ends the WebSocket with a close frame.
func TestLimitThatStays(t *testing.T) {
	t.Parallel()
	up := gatetest.NewUpstream(t, nil)
	g, token := start(t, `servers {
		timeouts {
			read_body_idle -1s
		}
	}`, strings.ReplaceAll(limits, "UPSTREAM", up.Addr))
	c := transports["HTTP2"](t, g, "/small", token)
	c.send(gatetest.Text(strings.Repeat("x", 2000)))
	if f := c.frame(); f.CloseCode() != 1001 {
		t.Errorf("got %+v", f)
	}
	gatetest.Eventually(t, "the end of the upstream's connection", func() bool { return up.Open() == 0 })
}
