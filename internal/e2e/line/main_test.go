package line

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/paralleltest"
	"github.com/chatgate/chatgate/internal/smtptest"
	"github.com/chatgate/chatgate/internal/transcript"
)

func TestMain(m *testing.M) {
	paralleltest.AtLeast(4)
	gatetest.Main(m)
}

const (
	password = "Lantern-Quarry-71"
	number   = "+447400123456"
)

// house is a gateway with line listeners, and all that it talks to.
type house struct {
	*gatetest.Gateway
	t         testing.TB
	listeners map[string]string // their addresses, see config
	file      string            // the Caddyfile
	sms       *provider
	mail      *smtptest.Server
	chat      *chat // behind the gates
	rooms     *gatetest.Upstream
}

// options change what a house is.
type options struct {
	global string // options of Caddy
	app    string // of chatgate
	tls    string // of the TLS of the listener without an upstream
	line   string // of that listener
	dir    string // with what an earlier one left
	env    []string
}

// config has a listener for accounts alone, which also serves who names no site, and gates: gate tells the chat who is there by lines, and lets visitors in,
// whose lines it drops; cut cuts those off instead; proxied tells by the PROXY protocol; dead has a chat that is not there.
const config = `{
	{{GLOBAL}}
ALL	chatgate {
APP	}
	layer4 {
		LINE {
			route {
				chatgate_tls {
TLS					connection_policy {
						default_sni localhost
					}
				}
				chatgate_line {
OPTIONS				}
			}
		}
		GATE {
			route {
				chatgate_tls
				chatgate_line CHAT {
					anonymous drop
					first_line "NICK {user.name}"
					first_line "ACCESS {user.access}"
				}
			}
		}
		CUT {
			route {
				chatgate_tls
				chatgate_line CHAT {
					anonymous cut
				}
			}
		}
		PROXIED {
			route {
				chatgate_tls
				chatgate_line PROXYCHAT {
					proxy_protocol v2
					anonymous drop
				}
			}
		}
		DEAD {
			route {
				chatgate_tls
				chatgate_line NOBODY
			}
		}
	}
}
http://{{HTTP}} {
	chatgate_accounts rooms
	chatgate_accounts auth {
		require_invites off
	}
	chatgate_accounts users
	chatgate_proxy ROOMS
}
https://{{HTTPS}} {
	respond ok
}
`

// start runs a house until the test ends.
func start(t testing.TB, o options) *house {
	t.Helper()
	h := &house{
		t: t, listeners: make(map[string]string), sms: newProvider(t), mail: smtptest.Start(t, smtptest.Options{}), chat: newChat(t),
		rooms: gatetest.NewUpstream(t, nil),
	}
	addr := func() string { return fmt.Sprintf("127.0.0.1:%d", gatetest.FreePort(t)) }
	for _, name := range []string{"line", "gate", "cut", "proxied", "dead"} {
		h.listeners[name] = addr()
	}
	h.file = h.config(o)
	h.Gateway = gatetest.Start(t, h.file, gatetest.Options{Dir: o.dir, Env: o.env})
	for _, addr := range h.listeners {
		gatetest.AwaitCertificate(t, addr)
	}
	return h
}

// config returns the Caddyfile of a house with options, some of which have other values in tests than by default.
func (h *house) config(o options) string {
	app := o.app
	for _, def := range []string{
		"accounts sqlite {{DIR}}/accounts.db", "issuer https://chat.example.com", "login_rate 600/1m", "signup_rate 600/1h",
		"sms webhook http://" + h.sms.addr + "/send {\n\t\t\tretries 0\n\t\t}",
		"mail smtp smtp://" + h.mail.Addr + " {\n\t\t\tfrom chat@example.com\n\t\t\ttls off\n\t\t}",
		"hash {\n\t\t\tmemory_kib 64\n\t\t\ttime 1\n\t\t}",
	} {
		if option, _, _ := strings.Cut(def, " "); !strings.Contains("\n"+app, "\t"+option+" ") {
			app += "\t\t" + def + "\n"
		}
	}
	l := h.listeners
	return strings.NewReplacer(
		"ALL", o.global, "APP", app, "TLS", o.tls, "OPTIONS", o.line, "LINE", l["line"], "GATE", l["gate"], "CUT", l["cut"], "PROXIED", l["proxied"], "DEAD", l["dead"],
		"PROXYCHAT", h.chat.proxied, "CHAT", h.chat.plain, "NOBODY", fmt.Sprintf("127.0.0.1:%d", gatetest.FreePort(h.t)), "ROOMS", h.rooms.Addr,
	).Replace(config)
}

// rows returns what a query of the accounts finds.
func (h *house) rows(query string) []string {
	h.t.Helper()
	rows, err := transcript.Rows(filepath.Join(h.Dir, "accounts.db"), query)
	if err != nil {
		h.t.Fatal(err)
	}
	return rows
}
