package paralleltest

import (
	"flag"
	"runtime"
	"strconv"
)

// AtLeast lets n tests of this process run at once that call t.Parallel, or more on a machine with more processors. Go by
// itself lets as many run as there are processors, which would then idle. It is for TestMain; -parallel overrides it.
func AtLeast(n int) {
	if err := flag.Set("test.parallel", strconv.Itoa(max(n, runtime.GOMAXPROCS(0)))); err != nil {
		panic(err)
	}
}
