package texter

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// directory keeps messages as files, for trying out and for tests: one .txt a message, in the order of their names. Its
// first line is the number, after "To: "; the text comes after an empty one.
type directory string

// deliver implements transport. A file is there with all that is in it, or not at all.
func (d directory) deliver(_ context.Context, to, text string) error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("making the directory of messages: %w", plain(err))
	}
	name := time.Now().UTC().Format("20060102T150405.000000000") + "-" + rand.Text()[:8]
	temporary := filepath.Join(string(d), "."+name+".tmp")
	err := os.WriteFile(temporary, []byte("To: "+to+"\n\n"+text+"\n"), 0o600)
	if err == nil {
		err = os.Rename(temporary, filepath.Join(string(d), name+".txt"))
	}
	if err != nil {
		_ = os.Remove(temporary)
		return fmt.Errorf("writing a message: %w", plain(err))
	}
	return nil
}

func (directory) close() {}

// plain is an error of the file system without its path.
func plain(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}
