package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Scratch is a copy of a working tree, which is never touched itself.
type Scratch struct{ dir string }

// NewScratch copies what git tracks in a directory, as it is there now, and what it would track.
func NewScratch(ctx context.Context, from string) (*Scratch, error) {
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return nil, err
	}
	s := &Scratch{dir}
	cmd := exec.CommandContext(ctx, "git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--deduplicate")
	cmd.Dir, cmd.Stderr = from, os.Stderr
	files, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("cannot list the files of %s: git ls-files: %w", from, err)
	}
	for file := range bytes.SplitSeq(bytes.TrimSuffix(files, []byte{0}), []byte{0}) {
		if err := copyFile(filepath.Join(from, string(file)), s.path(string(file))); err != nil {
			s.Remove()
			return nil, err
		}
	}
	return s, nil
}

// copyFile copies a file with its mode. One that was deleted in the working tree is passed over.
func copyFile(from, to string) error {
	text, err := os.ReadFile(from) //nolint:gosec // of the working tree
	if os.IsNotExist(err) {
		return nil
	} else if err != nil {
		return err
	}
	info, err := os.Stat(from)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
		return err
	}
	return os.WriteFile(to, text, info.Mode().Perm()) //nolint:gosec // where git has it, below our own directory
}

func (s *Scratch) path(file string) string { return filepath.Join(s.dir, filepath.FromSlash(file)) }

// Apply applies a patch and returns what takes it back. If it does not apply, the copy stays as it is.
func (s *Scratch) Apply(p Patch) (undo func() error, err error) {
	before, after := make(map[string]string), make(map[string]string)
	for _, e := range p.Edits {
		if _, ok := before[e.File]; !ok {
			text, err := os.ReadFile(s.path(e.File))
			if err != nil {
				return nil, fmt.Errorf("cannot read the file of the patch; was it moved? %w", err)
			}
			before[e.File], after[e.File] = string(text), string(text)
		}
		if after[e.File], err = e.Apply(after[e.File]); err != nil {
			return nil, err
		}
	}
	return func() error { return s.write(before) }, s.write(after)
}

func (s *Scratch) write(files map[string]string) error {
	for file, text := range files {
		if err := os.WriteFile(s.path(file), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// Remove deletes the copy.
func (s *Scratch) Remove() { _ = os.RemoveAll(s.dir) }
