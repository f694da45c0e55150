//go:build linux

package walkthrough

import (
	"os"
	"path/filepath"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard" // as in cmd/chatgate
	_ "github.com/mholt/caddy-l4"

	_ "github.com/chatgate/chatgate"
	"github.com/chatgate/chatgate/internal/gatetest"
)

// TestMain runs the tests; by the names that the pages give to the gateway's binary, the test's own binary is that.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "chatgate", "caddy":
		caddycmd.Main()
	default:
		gatetest.Main(m)
	}
}
