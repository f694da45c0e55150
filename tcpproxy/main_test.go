package tcpproxy_test

import (
	"testing"

	"go.uber.org/goleak"

	_ "github.com/chatgate/chatgate" // the modules that configurations name
	"github.com/chatgate/chatgate/internal/gatetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(gatetest.Suite{M: m}) }
