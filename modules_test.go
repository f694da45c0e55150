package chatgate_test

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// go mod tidy compares go.sum with what a registry serves on that day: it also wants the sums of what only tests of
// dependencies import, and those come and go. What matters here can be told from the files of the checkout and from the
// versions that they name.
func TestModuleIsTidy(t *testing.T) {
	for _, finding := range judgeModule(t.Context(), ".") {
		t.Error(finding)
	}
}

// What only one system needs counts as well, and so do tools that a dependency names in the customary file with the tag
// "tools"; such a file need not fit the package that it lies beside.
var listings = []struct{ system, flags string }{
	{"linux", ""}, {"darwin", ""}, {"windows", ""}, {"linux", "-e -tags=tools"},
}

// judgeModule returns what is wrong with go.mod, with go.sum, and with the modules on this machine, in the module in dir.
// Nothing is written, and no version is looked for.
func judgeModule(ctx context.Context, dir string, env ...string) (findings []string) {
	wanted, direct := make(map[string]string), make(map[string]bool)
	for _, l := range listings {
		packages, err := loadPackages(ctx, dir, append(env, "GOOS="+l.system, "CGO_ENABLED=0"), strings.Fields(l.flags))
		if err != nil {
			return append(findings, fmt.Sprintf("packages do not load as go.mod and go.sum are (GOOS=%s): %v", l.system, err))
		}
		owner := make(map[string]*moduleOf)
		for _, p := range packages {
			if p.Module != nil && !p.Module.Main {
				owner[p.ImportPath] = p.Module
				wanted[p.Module.Path] = p.Module.Version
			}
		}
		for _, p := range packages {
			if p.Module == nil || !p.Module.Main {
				continue
			}
			for _, path := range slices.Concat(p.Imports, p.TestImports, p.XTestImports) {
				if m := owner[path]; m != nil {
					direct[m.Path] = true
				}
			}
		}
	}
	mod, err := readGoMod(ctx, dir, env)
	if err != nil {
		return append(findings, err.Error())
	}
	for _, r := range mod.Require {
		switch _, used := wanted[r.Path]; {
		case !used && !slices.ContainsFunc(mod.Tool, func(tool modPath) bool { return below(tool.Path, r.Path) }):
			findings = append(findings, fmt.Sprintf("go.mod requires %s, which nothing imports: go get %s@none", r.Path, r.Path))
		case direct[r.Path] && r.Indirect:
			findings = append(findings, fmt.Sprintf("go.mod marks %s as indirect, but it is imported here: remove the mark", r.Path))
		case used && !direct[r.Path] && !r.Indirect:
			findings = append(findings, fmt.Sprintf("go.mod requires %s as if it was imported here: mark it // indirect", r.Path))
		}
	}
	for path, version := range wanted {
		if !slices.ContainsFunc(mod.Require, func(r requirement) bool { return r.Path == path && r.Version == version }) {
			findings = append(findings, fmt.Sprintf("go.mod does not require %s %s, of which a package is used: go get %s@%s", path, version, path, version))
		}
	}
	if _, err := runGo(ctx, dir, env, "mod", "verify"); err != nil {
		findings = append(findings, fmt.Sprintf("the modules on this machine are not those of go.sum: %v", err))
	}
	slices.Sort(findings)
	return findings
}

type moduleOf struct {
	Path, Version string
	Main          bool
}

type loadedPackage struct {
	ImportPath                         string
	Module                             *moduleOf
	Imports, TestImports, XTestImports []string
}

func loadPackages(ctx context.Context, dir string, env, flags []string) (all []loadedPackage, err error) {
	args := append([]string{"list", "-deps", "-test", "-json=ImportPath,Module,Imports,TestImports,XTestImports"}, flags...)
	out, err := runGo(ctx, dir, env, append(args, "./...")...)
	if err != nil {
		return nil, err
	}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p loadedPackage
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, p)
	}
}

type modPath struct{ Path string }

type requirement struct {
	Path, Version string
	Indirect      bool
}

type goMod struct {
	Require []requirement
	Tool    []modPath
}

func readGoMod(ctx context.Context, dir string, env []string) (mod goMod, err error) {
	out, err := runGo(ctx, dir, env, "mod", "edit", "-json")
	if err == nil {
		err = json.Unmarshal(out, &mod)
	}
	return mod, err
}

// runGo runs a go command that may read whatever go.mod and go.sum name, and change neither.
func runGo(ctx context.Context, dir string, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOFLAGS=-mod=readonly -modcacherw", "GOWORK=off"), env...)
	out, err := cmd.Output()
	if e, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("go %s: %w\n%s", args[0], err, e.Stderr)
	}
	return out, err
}

// Each of these differs from a good module in one respect.
func TestUntidyModules(t *testing.T) {
	const (
		head   = "module example.com/m\n\ngo 1.26\n\n"
		direct = "require example.com/direct v1.0.0\n"
		deep   = "require example.com/deep v1.0.0 // indirect\n"
		local  = "replace example.com/direct => ./direct\n\nreplace example.com/deep => ./deep\n\nreplace example.com/idle => ./idle\n"
	)
	good := map[string]string{
		"go.mod":         head + direct + deep + local,
		"m.go":           "package m\n\nimport _ \"example.com/direct\"\n",
		"direct/go.mod":  "module example.com/direct\n\ngo 1.26\n\nrequire example.com/deep v1.0.0\n",
		"direct/d.go":    "package direct\n\nimport _ \"example.com/deep\"\n",
		"deep/go.mod":    "module example.com/deep\n\ngo 1.26\n",
		"deep/d.go":      "package deep\n",
		"deep/sub/s.go":  "package sub\n",
		"idle/go.mod":    "module example.com/idle\n\ngo 1.26\n",
		"idle/i.go":      "package idle\n",
		"idle/cmd/it.go": "package main\n\nfunc main() {}\n",
	}
	cases := []struct {
		name   string
		change map[string]string
		want   []string // one finding has each of these; none: there is no finding
	}{
		{name: "good"},
		{
			name:   "good: only a test imports it",
			change: map[string]string{"go.mod": good["go.mod"] + "require example.com/idle v1.0.0\n", "m_test.go": "package m_test\n\nimport _ \"example.com/idle\"\n"},
		},
		{
			name:   "good: only one system imports it",
			change: map[string]string{"go.mod": good["go.mod"] + "require example.com/idle v1.0.0\n", "m_windows.go": "package m\n\nimport _ \"example.com/idle\"\n"},
		},
		{
			name: "good: it is a dependency's tool",
			change: map[string]string{
				"go.mod":         good["go.mod"] + "require example.com/idle v1.0.0 // indirect\n",
				"direct/tool.go": "//go:build tools\n\npackage main\n\nimport _ \"example.com/idle/cmd\"\n",
			},
		},
		{
			name:   "good: it is a tool",
			change: map[string]string{"go.mod": good["go.mod"] + "require example.com/idle v1.0.0 // indirect\n\ntool example.com/idle/cmd\n"},
		},
		{
			name:   "a requirement that nothing imports",
			change: map[string]string{"go.mod": good["go.mod"] + "require example.com/idle v1.0.0\n"},
			want:   []string{"requires example.com/idle, which nothing imports"},
		},
		{
			name:   "an indirect requirement that nothing imports",
			change: map[string]string{"go.mod": good["go.mod"] + "require example.com/idle v1.0.0 // indirect\n"},
			want:   []string{"requires example.com/idle, which nothing imports"},
		},
		{
			name:   "a direct one marked as indirect",
			change: map[string]string{"go.mod": head + "require example.com/direct v1.0.0 // indirect\n" + deep + local},
			want:   []string{"marks example.com/direct as indirect"},
		},
		{
			name:   "one that a test imports marked as indirect",
			change: map[string]string{"m_test.go": "package m_test\n\nimport _ \"example.com/deep/sub\"\n"},
			want:   []string{"marks example.com/deep as indirect"},
		},
		{
			name:   "an indirect one without its mark",
			change: map[string]string{"go.mod": head + direct + "require example.com/deep v1.0.0\n" + local},
			want:   []string{"requires example.com/deep as if it was imported here"},
		},
		{
			name:   "an import without a requirement",
			change: map[string]string{"m.go": "package m\n\nimport _ \"example.com/idle\"\n"},
			want:   []string{"do not load", "example.com/idle"},
		},
		{
			name:   "a dependency's import without a requirement",
			change: map[string]string{"go.mod": head + direct + local},
			want:   []string{"do not load"},
		},
		{
			name:   "a sum that is missing",
			change: map[string]string{"go.mod": "module example.com/m\n\ngo 1.26\n\nrequire example.com/served v1.0.0\n", "m.go": "package m\n\nimport _ \"example.com/served\"\n"},
			want:   []string{"do not load", "missing go.sum entry"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeFiles(t, dir, good)
			writeFiles(t, dir, c.change)
			found := judgeModule(t.Context(), dir, "GOPROXY=off", "GOSUMDB=off")
			if len(c.want) == 0 {
				if len(found) > 0 {
					t.Fatalf("found: %q", found)
				}
				return
			}
			if len(found) != 1 {
				t.Fatalf("wanted one finding, about %q, got %q", c.want, found)
			}
			for _, want := range c.want {
				if !strings.Contains(found[0], want) {
					t.Errorf("%q is not in the finding: %s", want, found[0])
				}
			}
		})
	}
}

// A module that was downloaded is what go.sum says, and nobody has changed it since.
func TestTamperedModules(t *testing.T) {
	const module = "example.com/served"
	cases := []struct {
		name   string
		change func(t *testing.T, dir, cache string)
		want   string
	}{
		{"good", func(*testing.T, string, string) {}, ""},
		{"a file in the cache was changed", func(t *testing.T, _, cache string) {
			writeFiles(t, filepath.Join(cache, module+"@v1.0.0"), map[string]string{"s.go": "package served // and more\n"})
		}, "dir has been modified"},
		{"the archive in the cache was changed", func(t *testing.T, _, cache string) {
			serveModule(t, filepath.Join(cache, "cache/download"), module, "package served // and more\n")
		}, "zip has been modified"},
		{"the sum is another", func(t *testing.T, dir, _ string) {
			sums := readFile(t, filepath.Join(dir, "go.sum"))
			first := strings.Index(sums, "h1:") + len("h1:")
			writeFiles(t, dir, map[string]string{"go.sum": sums[:first] + strings.Repeat("A", 43) + sums[first+43:]})
		}, "checksum mismatch"},
		{"the sum is gone", func(t *testing.T, dir, _ string) {
			if err := os.Remove(filepath.Join(dir, "go.sum")); err != nil {
				t.Fatal(err)
			}
		}, "missing go.sum entry"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir, proxy, cache := t.TempDir(), t.TempDir(), t.TempDir()
			serveModule(t, proxy, module, "package served\n")
			writeFiles(t, dir, map[string]string{
				"go.mod": "module example.com/m\n\ngo 1.26\n\nrequire " + module + " v1.0.0\n",
				"m.go":   "package m\n\nimport _ \"" + module + "\"\n",
			})
			env := []string{"GOMODCACHE=" + cache, "GOPROXY=file://" + filepath.ToSlash(proxy), "GOSUMDB=off"}
			if _, err := runGo(t.Context(), dir, append(env, "GOFLAGS=-mod=mod -modcacherw"), "get", module+"@v1.0.0"); err != nil {
				t.Fatal(err)
			}
			c.change(t, dir, cache)
			found := strings.Join(judgeModule(t.Context(), dir, append(env, "GOPROXY=off")...), "\n")
			if (found == "") != (c.want == "") || !strings.Contains(found, c.want) {
				t.Errorf("wanted %q, found: %q", c.want, found)
			}
		})
	}
}

// serveModule writes version 1.0.0 of a module of one file as a module proxy has it.
func serveModule(t *testing.T, proxy, module, source string) {
	t.Helper()
	mod := "module " + module + "\n\ngo 1.26\n"
	var archive bytes.Buffer
	w := zip.NewWriter(&archive)
	for name, content := range map[string]string{"go.mod": mod, "s.go": source} {
		f, err := w.Create(module + "@v1.0.0/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(f, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	writeFiles(t, filepath.Join(proxy, module, "@v"), map[string]string{
		"list": "v1.0.0\n", "v1.0.0.info": `{"Version":"v1.0.0"}`, "v1.0.0.mod": mod, "v1.0.0.zip": archive.String(),
	})
}

func writeFiles(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func readFile(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
