package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// small is a module with two checks, of which one is tested.
var small = map[string]string{
	"go.mod":     "module small\n\ngo 1.24\n",
	".gitignore": "ignored\n",
	"ignored":    "this is not copied",
	"gate/gate.go": `package gate

func Open(name string, age int) bool {
	if name == "" {
		return false
	}
	if age < 18 {
		return false
	}
	return true
}
`,
	"gate/gate_test.go": `package gate

import "testing"

func TestName(t *testing.T) {
	t.Run("empty", func(t *testing.T) {
		if Open("", 20) {
			t.Error("nobody was let in")
		}
	})
	if !Open("alice", 20) {
		t.Error("alice was not")
	}
}

func TestAlwaysFails(t *testing.T) { t.Error("as ever") }
`,
	"testdata/mutations/noticed.patch": `Removes: the check of the name
Test: ./gate -run ^TestName$

--- a/gate/gate.go
+++ b/gate/gate.go
@@
-	if name == "" {
+	if false {
`,
	"testdata/mutations/missed.patch": `Removes: the check of the age
Test: ./gate -run ^TestName$

--- a/gate/gate.go
+++ b/gate/gate.go
@@
-	if age < 18 {
-		return false
-	}
`,
	"testdata/mutations/moved.patch": `Removes: what is not there
Test: ./gate -run ^TestName$

--- a/gate/gate.go
+++ b/gate/gate.go
@@
-	if age < 21 {
+	if false {
`,
	"testdata/mutations/nofile.patch": `Removes: a file that is not there
Test: ./gate -run ^TestName$

--- a/gate/door.go
+++ b/gate/door.go
@@
-x
`,
	"testdata/mutations/nobuild.patch": `Removes: a brace
Test: ./gate -run ^TestName$

--- a/gate/gate.go
+++ b/gate/gate.go
@@
-	if name == "" {
`,
	"testdata/mutations/notest.patch": `Removes: the check of the name once more
Test: ./gate -run ^TestNamed$

--- a/gate/gate.go
+++ b/gate/gate.go
@@
-	if name == "" {
+	if false {
`,
	"testdata/mutations/sick.patch": `Removes: the check of the name where a test is sick
Test: ./gate -run ^TestAlwaysFails$

--- a/gate/gate.go
+++ b/gate/gate.go
@@
-	if name == "" {
+	if false {
`,
}

func smallModule(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range small {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("git", "-C", dir, "init", "-q").CombinedOutput(); err != nil {
		t.Fatalf("git init: %v\n%s", err, out)
	}
	return dir
}

func TestMutate(t *testing.T) {
	t.Parallel() // it waits for the compiler
	dir := smallModule(t)
	var out bytes.Buffer
	if err := mutate(t.Context(), &out, dir); !errors.Is(err, errUnnoticed) {
		t.Errorf("got %v", err)
	}
	report := regexp.MustCompile(` +\d+\.\d s  `).ReplaceAllString(out.String(), " ")
	for _, want := range []string{
		"ok      noticed TestName/empty\n",
		"MISSED  missed no test notices that it removes the check of the age (./gate -run ^TestName$)\n",
		"BROKEN  moved it does not apply: the lines of the hunk occur 0 times in gate/gate.go, not once:\n\tif age < 21 {\n",
		"BROKEN  nofile it does not apply: cannot read the file of the patch; was it moved? ",
		"BROKEN  nobuild it does not build:\n",
		"BROKEN  notest go test ./gate -run ^TestNamed$ runs no test\n",
		"BROKEN  sick go test ./gate -run ^TestAlwaysFails$ fails without the patch: TestAlwaysFails\n",
		"\n7 patches: 1 noticed, 1 missed, 5 broken (",
	} {
		if !strings.Contains(report, want) {
			t.Errorf("the report lacks %q:\n%s", want, report)
		}
	}
	for name, want := range small {
		if got, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(name))); err != nil || string(got) != want {
			t.Errorf("%s was changed in the working tree: %v", name, err)
		}
	}

	out.Reset()
	if err := mutate(t.Context(), &out, filepath.Join(dir, "gate"), "not*d"); err != nil {
		t.Errorf("the one that is noticed, from below the root: %v\n%s", err, &out)
	}
	if err := mutate(t.Context(), &out, dir, "nothing*"); err == nil || errors.Is(err, errUnnoticed) {
		t.Errorf("a name of no patch: %v", err)
	}
}

func TestScratch(t *testing.T) {
	dir := smallModule(t)
	s, err := NewScratch(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Remove()
	var got, want []string
	for name := range small {
		if name != "ignored" {
			want = append(want, name)
		}
	}
	err = filepath.WalkDir(s.dir, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			name, _ := filepath.Rel(s.dir, path)
			got = append(got, filepath.ToSlash(name))
		}
		return err
	})
	slices.Sort(want)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("the copy has %q, %v", got, err)
	}
	s.Remove()
	if _, err := os.Stat(s.dir); !os.IsNotExist(err) {
		t.Error("the copy is still there")
	}
}
