//go:build linux

package irc

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/irctest"
)

var shared gatetest.Shared

func TestMain(m *testing.M) { gatetest.MainShared(m, &shared) }

const (
	password = "Lantern-Quarry-Ostrich-71"
	gateName = "gate.example.com" // what the gate calls itself in answers of its own
)

// network is an IRC server behind a gateway with two listeners.
type network struct {
	*gatetest.Gateway
	t        testing.TB
	irc      *irctest.Server
	refusing string // the listener that refuses an account's second connection: localhost:port
	counting string // the one that gives it another nick
	file     string
}

const gates = `	layer4 {
		REFUSING {
			route {
				chatgate_tls
				chatgate_line {
					upstream irc UPSTREAM
					irc {
						server_name GATE
						webirc {env.WEBIRC} gateway
						second_nick refuse
					}
				}
			}
		}
		COUNTING {
			route {
				chatgate_tls
				chatgate_line {
					upstream irc UPSTREAM
					irc {
						server_name GATE
						webirc {env.WEBIRC}
						second_nick number
					}
				}
			}
		}
	}
`

const oneNode = `{
	{{GLOBAL}}
	chatgate {
		accounts sqlite {{DIR}}/accounts.db
		login_rate 100000/1s
		signup_rate 100000/1s
		hash {
			memory_kib 64
			time 1
		}
	}
GATES}
http://{{HTTP}} {
	chatgate_accounts rooms
}
https://{{HTTPS}} {
	respond ok
}
`

// startNetwork runs a gateway, with a Caddyfile that has GATES in it, before a server that may be another's, too.
func startNetwork(t testing.TB, irc *irctest.Server, caddyfile string, env ...string) *network {
	t.Helper()
	n := &network{
		t: t, irc: irc,
		refusing: fmt.Sprintf("localhost:%d", gatetest.FreePort(t)), counting: fmt.Sprintf("localhost:%d", gatetest.FreePort(t)),
	}
	n.file = strings.NewReplacer("UPSTREAM", irc.Addr, "GATE", gateName,
		"REFUSING", strings.Replace(n.refusing, "localhost", "127.0.0.1", 1), "COUNTING", strings.Replace(n.counting, "localhost", "127.0.0.1", 1)).
		Replace(strings.Replace(caddyfile, "GATES", gates, 1))
	n.Gateway = gatetest.Start(t, n.file, gatetest.Options{Env: append(env, "WEBIRC="+irc.WEBIRC)})
	gatetest.Eventually(t, "a certificate", func() bool {
		roots, err := n.roots()
		if err != nil {
			return false
		}
		c, err := tls.Dial("tcp", n.counting, &tls.Config{RootCAs: roots})
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	return n
}

// ca is the file with the authority that vouches for the gateway.
func (n *network) ca() string {
	return filepath.Join(n.Dir, "data", "caddy", "pki", "authorities", "local", "root.crt")
}

func (n *network) roots() (*x509.CertPool, error) {
	b, err := os.ReadFile(n.ca())
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(b)
	return pool, nil
}

var once struct {
	sync.Once
	n     *network
	names int
}

// theNetwork returns the shared one, for one test.
func theNetwork(t *testing.T) *network {
	t.Helper()
	once.Do(func() {
		shared.Use(t)
		once.n = startNetwork(&shared, irctest.StartServer(&shared), oneNode)
	})
	if once.n == nil {
		t.Skip("the shared network did not start")
	}
	shared.Use(t, once.n.Gateway)
	n := *once.n
	n.t = t
	return &n
}

// account makes one, with a name that no other test has.
func (n *network) account() string {
	n.t.Helper()
	once.names++
	name := fmt.Sprintf("user%d", once.names)
	n.Register(name, password)
	return name
}

// dial connects to a listener from 127.0.0.2, while the gateway itself is 127.0.0.1 to the server.
func (n *network) dial(addr string) *irctest.Client {
	n.t.Helper()
	roots, err := n.roots()
	if err != nil {
		n.t.Fatal(err)
	}
	return irctest.Dialer{From: "127.0.0.2", TLS: &tls.Config{RootCAs: roots, ServerName: "localhost"}}.Dial(n.t, addr)
}

// login connects an account by SASL, asking for the nick of the account's name.
func (n *network) login(addr, account string) *irctest.Client {
	n.t.Helper()
	c := n.dial(addr)
	c.Send("CAP REQ :sasl", "NICK "+account, "USER "+account+" 0 * :A test")
	c.Expect("CAP", "ACK", "sasl")
	c.Send("AUTHENTICATE PLAIN")
	c.Expect("AUTHENTICATE", "+")
	c.Send("AUTHENTICATE " + irctest.Plain(account, password))
	c.Expect("903")
	c.Send("CAP END")
	c.Expect("001")
	c.Expect("376")
	return c
}

// witness is somebody at the server itself, who sees what goes on there.
func (n *network) witness() *irctest.Client {
	n.t.Helper()
	once.names++
	nick := fmt.Sprintf("witness%d", once.names)
	c := irctest.Dialer{From: "127.0.0.9"}.Dial(n.t, n.irc.Addr)
	c.Send("NICK "+nick, "USER "+nick+" 0 * :A test")
	c.Expect("376")
	return c
}

// weechat starts one for an account that asks for a nick.
func (n *network) weechat(o irctest.WeeChatOptions) *irctest.WeeChat {
	n.t.Helper()
	o.CA = n.ca()
	if o.From == "" {
		o.From = "127.0.0.3"
	}
	return irctest.StartWeeChat(n.t, o)
}

// wantUntouched fails the test if the server saw any of what f did.
func (n *network) wantUntouched(f func()) {
	n.t.Helper()
	before := n.irc.Accepted()
	f()
	// A connection that is seen after all others is the next one.
	w := n.witness()
	if got := n.irc.Accepted() - before; got != 1 {
		n.t.Errorf("the server has seen %d connections too many; of its log:\n%s", got-1, strings.Join(n.irc.Log(), "\n"))
	}
	w.Close()
}

// has reports whether one of the messages has that command.
func has(all []irctest.Message, command string) bool {
	return slices.ContainsFunc(all, func(m irctest.Message) bool { return m.Command == command })
}
