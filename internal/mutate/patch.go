package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Patch removes one check.
type Patch struct {
	Name    string // of its file, without .patch
	Removes string
	Tests   []string // arguments of go test
	Edits   []Edit
}

// Edit replaces lines of a file. Both texts are whole lines.
type Edit struct {
	File     string // slash-separated, below the module's root
	Old, New string
}

// ReadPatches returns the patches of a directory whose names match any of the patterns; without patterns, all of them.
func ReadPatches(dir string, patterns ...string) ([]Patch, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.patch"))
	if err != nil {
		return nil, err
	}
	var patches []Patch
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".patch")
		if ok, err := matches(name, patterns); err != nil {
			return nil, err
		} else if !ok {
			continue
		}
		text, err := os.ReadFile(file) //nolint:gosec // of the patches
		if err != nil {
			return nil, err
		}
		p, err := ParsePatch(name, string(text))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		patches = append(patches, p)
	}
	if len(patches) == 0 {
		return nil, fmt.Errorf("there is no patch with such a name in %s", dir)
	}
	return patches, nil
}

func matches(name string, patterns []string) (bool, error) {
	for _, pattern := range patterns {
		if ok, err := filepath.Match(pattern, name); ok || err != nil {
			return ok, err
		}
	}
	return len(patterns) == 0, nil
}

// ParsePatch reads a header and the unified diff below it.
func ParsePatch(name, text string) (Patch, error) {
	p := Patch{Name: name}
	header, diff, _ := strings.Cut(text, "\n\n")
	for line := range strings.Lines(header) {
		key, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch key {
		case "Removes":
			p.Removes = value
		case "Test":
			p.Tests = append(p.Tests, value)
		default:
			return p, fmt.Errorf("%q is no line of a header; there are Removes and Test, and an empty line after them", line)
		}
	}
	switch {
	case p.Removes == "":
		return p, errors.New("the header has no line Removes, which says what the patch removes")
	case len(p.Tests) == 0:
		return p, errors.New("the header has no line Test, which says who should notice")
	}
	var err error
	p.Edits, err = parseDiff(diff)
	return p, err
}

// parseDiff takes the hunks out of a unified diff. What git writes between files is passed over.
func parseDiff(diff string) (edits []Edit, err error) {
	file, inHunk := "", false
	for line := range strings.Lines(diff) {
		name, isFile := strings.CutPrefix(line, "+++ b/")
		switch {
		case isFile:
			file, inHunk = strings.TrimSpace(name), false
		case strings.HasPrefix(line, "diff "), strings.HasPrefix(line, "--- a/"):
			inHunk = false
		case strings.HasPrefix(line, "@@"):
			if file == "" {
				return nil, errors.New("a hunk stands before the name of its file, which is a line like +++ b/authcore/token.go")
			}
			edits, inHunk = append(edits, Edit{File: file}), true
		case inHunk:
			if err := edits[len(edits)-1].add(line); err != nil {
				return nil, err
			}
		}
	}
	if len(edits) == 0 {
		return nil, errors.New("there is no hunk below the header")
	}
	return edits, nil
}

func (e *Edit) add(line string) error {
	switch text := line[1:]; line[0] {
	case ' ':
		e.Old, e.New = e.Old+text, e.New+text
	case '-':
		e.Old += text
	case '+':
		e.New += text
	case '\n': // an editor took the space of an empty line
		e.Old, e.New = e.Old+"\n", e.New+"\n"
	default:
		return fmt.Errorf("%q is no line of a hunk", line)
	}
	return nil
}

// Apply returns a text with the edit in it. The old lines must be there exactly once.
func (e Edit) Apply(text string) (string, error) {
	switch n := strings.Count("\n"+text, "\n"+e.Old); {
	case e.Old == "" || e.Old == e.New:
		return "", fmt.Errorf("the hunk for %s removes nothing", e.File)
	case n != 1:
		return "", fmt.Errorf("the lines of the hunk occur %d times in %s, not once:\n%s", n, e.File, e.Old)
	}
	before, after, _ := strings.Cut("\n"+text, "\n"+e.Old)
	return strings.TrimPrefix(before+"\n"+e.New+after, "\n"), nil
}
