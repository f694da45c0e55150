package transcript

import (
	"bufio"
	"crypto/tls"
	"net"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/certtest"
	"github.com/chatgate/chatgate/internal/tcptest"
)

// talker answers "hello" with "ok 1", anything else with "what", and the end with "bye" and its own.
func talker(t *testing.T) (addr string) {
	config := &tls.Config{Certificates: []tls.Certificate{certtest.SelfSigned("localhost")}}
	return tcptest.Serve(t, func(c net.Conn) { talk(tls.Server(c, config)) })
}

func talk(c net.Conn) {
	defer c.Close()
	for lines := bufio.NewScanner(c); ; {
		answer := "what\n"
		switch ok := lines.Scan(); {
		case !ok:
			_, _ = c.Write([]byte("bye\n"))
			return
		case lines.Text() == "hello":
			answer = "ok 1\n"
		}
		if _, err := c.Write([]byte(answer)); err != nil {
			return
		}
	}
}

// Each differs from a good one in one respect.
func TestLinesFindEveryDifference(t *testing.T) {
	addr := talker(t)
	good := []string{"@ line:a", "→ hello", "← ok <id>", `→"hello\nwhat\n"`, "← ok <id>", "← what", `→2×"hello\n"`, `←"ok 1\nok "`, "← 1", "→ close", "← bye", "← close"}
	with := func(i int, line string) []string {
		lines := append([]string(nil), good...)
		lines[i] = line
		return lines
	}
	for name, tc := range map[string]struct {
		lines []string
		wrong int
	}{
		"the good one":       {good, 0},
		"another line":       {with(2, "← ok 2"), 1},
		"two that are one":   {with(4, "← ok <token>"), 1},
		"other bytes":        {with(7, `←"ok 1\nok?"`), 1},
		"less bytes":         {with(7, `←"ok 1\nok"`), 1},
		"more than the end":  {with(10, "← close"), 1},
		"not the end":        {with(11, "← bye"), 1},
		"bytes past the end": {with(11, `←"x"`), 1},
		"another connection": {append(with(11, "@ line:b"), "→ hello", "← ok <id>", "@ line:a", "← close"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := &failures{TB: t}
			s := &Script{Listeners: map[string]string{"line": addr}}
			s.vars = make(map[string]string)
			s.Forget()
			s.Run(f, name, tc.lines)
			if len(f.said) != tc.wrong {
				t.Errorf("%d are wrong, want %d: %s", len(f.said), tc.wrong, strings.Join(f.said, "\n"))
			}
		})
	}
}
