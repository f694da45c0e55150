//go:build linux

package irctest

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/chatgate/chatgate/internal/leash"
)

// Buffer is where WeeChat shows what concerns the server itself.
const Buffer = "irc.server.gate"

// WeeChat is a WeeChat without a terminal, with one server that it calls gate.
type WeeChat struct {
	t       testing.TB
	process process
}

// WeeChatOptions are what a user of WeeChat would set.
type WeeChatOptions struct {
	Addr         string // host:port
	CA           string // file with the authority that vouches for the server; empty: TLS is not used
	From         string // its own address; default: whatever the system chooses
	Nick         string // that it asks for
	SASLAccount  string // for SASL PLAIN; empty: SASL is not used
	SASLPassword string
	Password     string // for PASS; default: none
	Capabilities string // that it asks for; default: all that it knows
}

// StartWeeChat runs one that connects at once, until the test is over. Without it on this machine the test is skipped,
// unless CHATGATE_TEST_STRICT is set.
func StartWeeChat(t testing.TB, o WeeChatOptions) *WeeChat {
	t.Helper()
	path := leash.Find(t, "weechat-headless")
	if found, _ := filepath.Glob("/usr/lib/*/weechat/plugins/fifo.so"); len(found) == 0 {
		leash.Missing(t, "WeeChat's fifo plugin (Debian package weechat-plugins)")
	}
	host, port, err := net.SplitHostPort(o.Addr)
	if err != nil {
		t.Fatal(err)
	}
	w := &WeeChat{t: t, process: process{dir: tempDir(t)}}
	w.configure("weechat.conf", "[network]", "gnutls_ca_system = off", w.set("gnutls_ca_user", o.CA))
	w.configure("fifo.conf", "[file]", "enabled = on", w.set("path", w.fifo()))
	w.configure("logger.conf", "[look]", "backlog = 0", "[file]", "auto_log = on", "flush_delay = 0", w.set("path", w.process.dir),
		`mask = "$plugin.$name.log"`)
	irc := []string{
		"[server_default]", "anti_flood_prio_high = 0", "anti_flood_prio_low = 0", "autoreconnect = off", "ipv6 = off",
		"[server]",
		w.set("gate.addresses", host+"/"+port), "gate.autoconnect = on",
		w.set("gate.nicks", o.Nick), w.set("gate.username", o.Nick), w.set("gate.realname", "A test"),
		w.set("gate.local_hostname", o.From), w.set("gate.password", o.Password), "gate.ssl = off",
	}
	if o.CA != "" {
		irc = append(irc, "gate.ssl = on", "gate.ssl_verify = on")
	}
	if o.Capabilities != "" {
		irc = append(irc, w.set("gate.capabilities", o.Capabilities))
	}
	if o.SASLAccount != "" {
		irc = append(irc, "gate.sasl_mechanism = plain", "gate.sasl_fail = disconnect",
			w.set("gate.sasl_username", o.SASLAccount), w.set("gate.sasl_password", o.SASLPassword))
	}
	w.configure("irc.conf", irc...)
	t.Cleanup(func() {
		w.process.stop()
		if t.Failed() {
			t.Logf("WeeChat showed:\n%s", w.everything())
		}
	})
	if err := w.process.start(path, "--dir", w.process.dir, "--no-script", "--plugins", "fifo,irc,logger", "--stdout"); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *WeeChat) configure(file string, lines ...string) {
	settings(w.t, filepath.Join(w.process.dir, file), lines...)
}

// set is a setting with a string, which WeeChat expands ${…} in.
func (w *WeeChat) set(name, value string) string {
	w.t.Helper()
	if strings.ContainsAny(value, `"\$`) {
		w.t.Fatalf("%s: no quotation marks, backslashes or dollars", name)
	}
	return fmt.Sprintf("%s = \"%s\"", name, value)
}

func (w *WeeChat) fifo() string { return filepath.Join(w.process.dir, "commands") }

// Do types lines into a buffer: a command that begins with a slash, or something to say.
func (w *WeeChat) Do(buffer string, lines ...string) {
	w.t.Helper()
	var f *os.File
	await(w.t, "WeeChat's fifo", func() (ok bool) {
		var err error
		f, err = os.OpenFile(w.fifo(), os.O_WRONLY|syscall.O_NONBLOCK, 0) // not without somebody who reads
		return err == nil
	}, w.everything)
	defer f.Close()
	for _, line := range lines {
		if _, err := fmt.Fprintf(f, "%s *%s\n", buffer, line); err != nil {
			w.t.Fatal(err)
		}
	}
}

// Shown returns the lines in a buffer that have every one of the words. A line has its time, a prefix such as the nick of
// who said it, and the text, with tabs in between.
func (w *WeeChat) Shown(buffer string, words ...string) []string {
	b, _ := os.ReadFile(filepath.Join(w.process.dir, buffer+".log")) //nolint:gosec // what WeeChat was told to write
	return lines(b, words...)
}

// Await waits until a buffer has a line with every one of the words, and returns it.
func (w *WeeChat) Await(buffer string, words ...string) string {
	w.t.Helper()
	var found []string
	await(w.t, fmt.Sprintf("%q in %s", words, buffer), func() bool {
		found = w.Shown(buffer, words...)
		return len(found) > 0
	}, w.everything)
	return found[0]
}

// everything returns what is in any buffer, and what WeeChat says about itself.
func (w *WeeChat) everything() string {
	var b strings.Builder
	logs, _ := filepath.Glob(filepath.Join(w.process.dir, "*.log"))
	for _, log := range append(logs, w.process.log()) {
		raw, _ := os.ReadFile(log) //nolint:gosec // as above
		fmt.Fprintf(&b, "%s:\n%s", filepath.Base(log), raw)
	}
	return b.String()
}
