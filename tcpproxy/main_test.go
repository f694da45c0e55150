package tcpproxy_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/chatgate/chatgate/internal/gatetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(gatetest.Suite{M: m}) }
