//go:build linux

package walkthrough

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
)

var (
	ports   = regexp.MustCompile(`\b(8443|8444|9000|9001|7000|7001|6667|6697|8080|8081|2019|2020|5432|6379)\b`) // that the pages name
	serving = regexp.MustCompile(`\b(8443|8444|9000|9001|7000|7001|6667|6697)\b`)                               // where something listens then
	secured = regexp.MustCompile(`\b(8443|8444)\b`)                                                             // with TLS first

	gateways = regexp.MustCompile(`run --config (\S+)`)
	comments = regexp.MustCompile(`(?m)^\s*#.*$`)
	numbers  = regexp.MustCompile(`\b\d{4,5}\b`)
)

// serves is what a gateway logs when it has started.
const serves = "serving initial configuration"

// await waits until the gateways and everything else that was started can be used: nobody types as fast as a test.
func (h *host) await(t *testing.T, term *terminal, commands string, started [][]string, before int) error {
	t.Helper()
	for deadline := time.Now().Add(patience); strings.Count(term.errs.String(), serves) < before+len(started); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			return errors.New("the gateway does not start")
		}
	}
	text := commands
	for _, s := range started {
		config, err := os.ReadFile(filepath.Join(h.dir, s[1]))
		if err != nil {
			return err
		}
		text += comments.ReplaceAllString(string(config), "")
	}
	named := make(map[string]string)
	for port, mapped := range h.ports {
		named[mapped] = port
	}
	for _, port := range numbers.FindAllString(text, -1) {
		switch addr := "localhost:" + port; {
		case secured.MatchString(named[port]):
			gatetest.AwaitCertificate(t, addr)
		case serving.MatchString(named[port]):
			if err := reach("127.0.0.1:" + port); err != nil {
				return err
			}
		}
	}
	return nil
}

func reach(addr string) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		c, err := net.DialTimeout("tcp", addr, patience)
		if err == nil {
			return c.Close()
		}
		if time.Now().After(deadline) {
			return err
		}
	}
}
