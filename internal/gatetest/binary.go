package gatetest

import (
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"testing"
)

// binaryVar names the gateway that tests run. Whoever sets it builds that binary anew after a change; its age is not
// checked.
const binaryVar = "CHATGATE_TEST_GATEWAY"

// Main runs a package's tests and ends the process.
func Main(m *testing.M) { os.Exit(Suite{m}.Run()) }

// Suite runs the tests of a package that has its own TestMain.
type Suite struct{ M *testing.M }

// Run runs the tests and removes the gateway that was built for them.
func (s Suite) Run() int {
	defer removeBuilt()
	return s.M.Run()
}

// buildDir is where this process keeps the gateway that it built.
var buildDir string

func removeBuilt() { _ = os.RemoveAll(buildDir) }

// program returns the path of the gateway to run.
var program = sync.OnceValues(func() (string, error) {
	if file := os.Getenv(binaryVar); file != "" {
		return file, checkBuild(file, Race)
	}
	return build()
})

// checkBuild refuses a gateway that has the race detector where the test has none, or the other way round: a race would
// pass unseen, or what is measured would be the detector.
func checkBuild(file string, race bool) error {
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s: %w; set it to a chatgate binary, or unset it to have one built", binaryVar, err)
	}
	if has := slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}); has != race {
		return fmt.Errorf("%s: %s was built with -race: %v, this test with -race: %v; build both alike", binaryVar, file, has, race)
	}
	return nil
}

// build compiles cmd/chatgate as the test itself was compiled. "go run" takes the binary from Go's cache if nothing has
// changed since; cp keeps a copy of it that no trimming of that cache removes.
func build() (string, error) {
	dir, err := os.MkdirTemp("", "gatetest")
	if err != nil {
		return "", err
	}
	buildDir = dir
	file := filepath.Join(dir, "chatgate")
	args := []string{"run", "-exec", "cp"}
	if Race {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, "github.com/chatgate/chatgate/cmd/chatgate", file)...).CombinedOutput()
	if err != nil {
		return "", errors.Join(fmt.Errorf("building the gateway: %w", err), errors.New(tail(string(out), 4000)))
	}
	return file, nil
}
