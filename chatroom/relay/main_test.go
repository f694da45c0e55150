package relay

import (
	"flag"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "64") // what is parallel here only waits
	goleak.VerifyTestMain(m)
}
