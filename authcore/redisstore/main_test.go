package redisstore

import (
	"os"
	"testing"

	"github.com/chatgate/chatgate/internal/paralleltest"
)

// Each test has servers of its own and mostly waits for them.
func TestMain(m *testing.M) {
	paralleltest.AtLeast(4)
	os.Exit(m.Run())
}
