package tls_test

import (
	"crypto/tls"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/leash"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(gatetest.Suite{M: m}) }

// alpnServers are listeners, with what is agreed to of the offers irc, h2 and foo before what is behind each of them.
var alpnServers = map[string]struct{ routes, agreed string }{
	"irc":   {"route {\nchatgate_tls\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}", "irc"},
	"line":  {"route {\nchatgate_tls\nchatgate_line\n}", ""},
	"gate":  {"route {\nchatgate_tls\nchatgate_line 127.0.0.1:1\n}", ""},
	"other": {"route {\nchatgate_tls\necho\n}", "h2"},
	"own":   {"route {\nchatgate_tls {\nconnection_policy {\nalpn foo\n}\n}\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}", "foo"},
	"policy of its own": {
		"route {\nchatgate_tls {\nconnection_policy {\nalpn foo\nmatch {\nsni example.com\n}\n}\nconnection_policy\n}\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}", "irc",
	},
	"a later route": {"route {\nchatgate_tls\n}\nroute {\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}", "irc"},
	"inside":        {"route {\nchatgate_tls\nsubroute {\nroute {\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}\n}\n}", "irc"},
	"all inside":    {"route {\nsubroute {\nroute {\nchatgate_tls\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}\n}\n}", "irc"},
	"either": {
		"@far remote_ip 192.0.2.1\nroute {\nchatgate_tls\n}\nroute @far {\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}\nroute {\nchatgate_line\n}", "irc",
	},
	"shared with others": { // which may be websites
		"@far remote_ip 192.0.2.1\nroute {\nchatgate_tls\n}\nroute @far {\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}\nroute {\necho\n}", "irc h2",
	},
	"inside, shared":                  {"route {\nchatgate_tls\nsubroute {\n@far remote_ip 192.0.2.1\nroute @far {\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}\nroute {\necho\n}\n}\n}", "irc h2"},
	"inside, others first":            {"route {\nchatgate_tls\nsubroute {\n@far remote_ip 192.0.2.1\nroute @far {\necho\n}\nroute {\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}\n}\n}", "irc h2"},
	"inside, none other":              {"route {\nchatgate_tls\nsubroute {\n@far remote_ip 192.0.2.1\nroute @far {\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}\nroute {\nchatgate_line\n}\n}\n}", "irc"},
	"further inside, shared":          {"route {\nchatgate_tls\nsubroute {\nroute {\nsubroute {\n@far remote_ip 192.0.2.1\nroute @far {\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}\nroute {\necho\n}\n}\n}\n}\n}", "irc h2"},
	"others behind what is inside":    {"route {\nchatgate_tls\nsubroute {\n@far remote_ip 192.0.2.1\nroute @far {\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}\n}\necho\n}", "irc h2"},
	"others inside, before":           {"route {\nchatgate_tls\nsubroute {\n@far remote_ip 192.0.2.1\nroute @far {\necho\n}\n}\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}", "irc h2"},
	"inside of a later route, shared": {"route {\nchatgate_tls\n}\nroute {\nsubroute {\n@far remote_ip 192.0.2.1\nroute @far {\necho\n}\nroute {\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}\n}\n}", "irc h2"},
	"all inside, shared":              {"route {\nsubroute {\n@far remote_ip 192.0.2.1\nroute {\nchatgate_tls\n}\nroute @far {\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}\nroute {\necho\n}\n}\n}", "irc h2"},
	"lines inside, shared":            {"route {\nchatgate_tls\nsubroute {\n@far remote_ip 192.0.2.1\nroute @far {\nchatgate_line\n}\nroute {\necho\n}\n}\n}", "h2"},
	"two TLS":                         {"@far remote_ip 192.0.2.1\n@near remote_ip 127.0.0.1\nroute @near {\nchatgate_tls\n}\nroute @far {\nchatgate_tls\n}\nroute {\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}", "irc"},
	"two ends": {
		"@far remote_ip 192.0.2.1\nroute @far {\nchatgate_tls\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}\nroute {\nchatgate_tls\nchatgate_line\n}", "",
	},
	"no TLS":         {"route {\nchatgate_line {\nplaintext allow\nupstream irc 127.0.0.1:1\n}\n}", "none"},
	"no TLS, no irc": {"route {\nchatgate_line {\nplaintext allow\n}\n}", "none"},
	// Inside a listener of websites, which no connection gets to: caddy-l4 hands it over with a data race.
	"wrapped":         {"route {\nchatgate_tls\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}", "irc"},
	"wrapped, shared": {"@far remote_ip 192.0.2.1\nroute {\nchatgate_tls\n}\nroute @far {\nchatgate_line {\nupstream irc 127.0.0.1:1\n}\n}\nroute {\nclose\n}", "irc h2"},
	"caddy's":         {"route {\ntls\nchatgate_line\n}", "h2"}, // which is not ours
}

// Before an IRC gate, irc is agreed to and nothing else; before lines nothing is, and before what is not ours all is as it was.
func TestALPN(t *testing.T) {
	addrs := make(map[string]string)
	var servers, wrappers, sites strings.Builder
	for name, s := range alpnServers {
		addrs[name] = fmt.Sprintf("127.0.0.1:%d", gatetest.FreePort(t))
		if strings.HasPrefix(name, "wrapped") {
			fmt.Fprintf(&wrappers, "servers %s {\nlistener_wrappers {\nlayer4 {\n%s\n}\n}\n}\n", strings.TrimPrefix(addrs[name], "127.0.0.1"), s.routes)
			fmt.Fprintf(&sites, "http://%s {\nrespond ok\n}\n", addrs[name])
			continue
		}
		fmt.Fprintf(&servers, "%s {\n%s\n}\n", addrs[name], s.routes)
	}
	file := "{\n{{GLOBAL}}\nchatgate {\naccounts sqlite {{DIR}}/accounts.db\n}\n" + wrappers.String() + "layer4 {\n" + servers.String() +
		"}\n}\nhttp://{{HTTP}} {\nchatgate_accounts rooms\n}\nhttps://{{HTTPS}} {\nrespond ok\n}\n" + sites.String()
	g := gatetest.Start(t, file)
	dial := func(addr string, offers ...string) (string, error) {
		c, err := tls.DialWithDialer(&net.Dialer{Timeout: 30 * time.Second}, "tcp", addr,
			&tls.Config{InsecureSkipVerify: true, ServerName: "localhost", NextProtos: offers})
		if err != nil {
			return "", err
		}
		defer c.Close()
		return c.ConnectionState().NegotiatedProtocol, nil
	}
	gatetest.AwaitCertificate(t, addrs["line"])
	for range 2 { // and after a reload
		for name, s := range alpnServers {
			if s.agreed == "none" {
				continue
			}
			if got, err := dial(addrs[name]); got != "" || err != nil {
				t.Errorf("%s: without an offer, %q and %v", name, got, err)
			}
			for _, offers := range [][]string{{"irc"}, {"h2"}, {"foo"}, {"irc", "h2", "http/1.1"}, {"irc", "foo"}} {
				want := ""
				for _, offer := range offers {
					if want == "" && slices.Contains(strings.Fields(s.agreed), offer) {
						want = offer
					}
				}
				got, err := dial(addrs[name], offers...)
				if got != want || (err == nil) != (want != "") || err != nil && !strings.Contains(err.Error(), "no application protocol") {
					t.Errorf("%s: of %q, %q is agreed to, and %v", name, offers, got, err)
				}
			}
			// There is no challenge, but it would be answered.
			if _, err := dial(addrs[name], "acme-tls/1"); name != "own" && (err == nil || strings.Contains(err.Error(), "no application protocol")) {
				t.Errorf("%s: to ACME it says %v", name, err)
			}
		}
		if err := g.Reload(strings.Replace(file, "chatgate {\n", "chatgate {\nlogin_rate 100/1m\n", 1)); err != nil {
			t.Fatal(err)
		}
	}
	openssl := leash.Find(t, "openssl")
	for name, want := range map[string]string{"irc": "ALPN protocol: irc", "line": "no application protocol"} {
		cmd := exec.CommandContext(t.Context(), openssl, "s_client", "-connect", addrs[name], "-servername", "localhost", "-alpn", "irc")
		out, _ := cmd.CombinedOutput() // it does not trust the certificate
		if !strings.Contains(string(out), want) {
			t.Errorf("openssl s_client before %s: no %q in\n%s", name, want, out)
		}
	}
}
