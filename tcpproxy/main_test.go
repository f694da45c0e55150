package tcpproxy_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/chatgate/chatgate/internal/gatetest"
)

func TestMain(m *testing.M) {
	if os.Getenv("CHATGATE_TEST_BE_GATEWAY") != "" {
		gatetest.Main(m)
		return
	}
	goleak.VerifyTestMain(m)
}
