package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const header = "Removes: the check of a sign\nTest: ./gate -run ^TestSign$\nTest: ./other\n\n"

func TestParsePatch(t *testing.T) {
	const diff = `diff --git a/gate/gate.go b/gate/gate.go
index 1f..2e 100644
--- a/gate/gate.go
+++ b/gate/gate.go
@@ -3,4 +3,3 @@ func Sign() {
 	a
-	b
 	c

@@ -30,1 +29,1 @@
-	d
+	e
--- a/gate/door.go
+++ b/gate/door.go
@@
+	f
 	g
`
	got, err := ParsePatch("sign", header+diff)
	if err != nil {
		t.Fatal(err)
	}
	want := Patch{"sign", "the check of a sign", []string{"./gate -run ^TestSign$", "./other"}, []Edit{
		{"gate/gate.go", "\ta\n\tb\n\tc\n\n", "\ta\n\tc\n\n"},
		{"gate/gate.go", "\td\n", "\te\n"},
		{"gate/door.go", "\tg\n", "\tf\n\tg\n"},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestParsePatchRefuses(t *testing.T) {
	const diff = "--- a/x.go\n+++ b/x.go\n@@\n-a\n"
	for text, want := range map[string]string{
		"":                                   "no line Removes",
		"Removes: a\n\n" + diff:              "no line Test",
		"Test: ./a\n\n" + diff:               "no line Removes",
		"Why: x\n\n" + diff:                  `"Why: x"`,
		header:                               "no hunk",
		header + "--- a/x.go\n+++ b/x.go\n":  "no hunk",
		header + "@@\n-a\n":                  "before the name of its file",
		header + diff + "what is this\n":     `"what is this\n" is no line of a hunk`,
		header + diff + "\\ No newline\n":    "is no line of a hunk",
		"Removes: a\nTest: ./a\n" + "\n\n\n": "no hunk",
	} {
		if _, err := ParsePatch("x", text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", text, err, want)
		}
	}
}

func TestApply(t *testing.T) {
	for _, c := range []struct {
		text, old, new string
		want           string // empty: refused
	}{
		{"a\nb\nc\n", "b\n", "", "a\nc\n"},
		{"a\nb\nc\n", "a\n", "x\n", "x\nb\nc\n"},
		{"a\nb\nc\n", "c\n", "c\nd\n", "a\nb\nc\nd\n"},
		{"a\nb\na\nc\n", "a\nc\n", "a\n", "a\nb\na\n"},
		{"ab\nb\n", "b\n", "c\n", "ab\nc\n"}, // whole lines
		{"a\nb\na\n", "a\n", "", ""},
		{"a\n", "b\n", "", ""},
		{"a\n", " a\n", "", ""},
		{"a\n", "a\n", "a\n", ""},
		{"a\n", "", "b\n", ""},
	} {
		got, err := Edit{"x.go", c.old, c.new}.Apply(c.text)
		if got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%q for %q in %q: got %q, %v", c.new, c.old, c.text, got, err)
		}
	}
}

// The patches of this module apply to it and name tests that exist. Whether tests notice them is for the command to say.
func TestPatchesOfThisModule(t *testing.T) {
	root, err := moduleRoot(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	patches, err := ReadPatches(filepath.Join(root, "testdata", "mutations"))
	if err != nil {
		t.Fatal(err)
	}
	if len(patches) < 40 {
		t.Errorf("there are only %d patches", len(patches))
	}
	what := make(map[string]string)
	for _, p := range patches {
		if other, ok := what[p.Removes]; ok {
			t.Errorf("%s and %s both remove %s", other, p.Name, p.Removes)
		}
		what[p.Removes] = p.Name
		files := make(map[string]string)
		for _, e := range p.Edits {
			if _, ok := files[e.File]; !ok {
				text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(e.File)))
				if err != nil {
					t.Errorf("%s: %v", p.Name, err)
				}
				files[e.File] = string(text)
			}
			if files[e.File], err = e.Apply(files[e.File]); err != nil {
				t.Errorf("%s does not apply: %v", p.Name, err)
			}
		}
		for _, test := range p.Tests {
			if err := namesTest(root, test); err != "" {
				t.Errorf("%s: %s", p.Name, err)
			}
		}
	}
}

var testFunc = regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w*)\(`)

// namesTest says what is wrong with the arguments of a go test.
func namesTest(root, test string) string {
	args := strings.Fields(test)
	if len(args) == 0 || !strings.HasPrefix(args[0], "./") {
		return test + ": the package comes first"
	}
	pattern := "."
	if i := slices.Index(args, "-run"); i > 0 && i+1 < len(args) {
		pattern, _, _ = strings.Cut(args[i+1], "/")
	}
	run, err := regexp.Compile(pattern)
	if err != nil {
		return test + ": " + err.Error()
	}
	files, _ := filepath.Glob(filepath.Join(root, filepath.FromSlash(args[0]), "*_test.go"))
	for _, file := range files {
		text, _ := os.ReadFile(file)
		for _, name := range testFunc.FindAllSubmatch(text, -1) {
			if run.Match(name[1]) {
				return ""
			}
		}
	}
	return test + " names no test"
}
