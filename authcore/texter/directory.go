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

// directory writes each message to a .txt file, for development and tests: "To: " and the number, an empty line, the
// text. File names sort by time.
type directory string

// deliver implements transport. A file appears when it is complete.
func (d directory) deliver(_ context.Context, to, text string) error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("creating the directory for messages: %w", plain(err))
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

// plain removes the path from an error of the file system.
func plain(err error) error {
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		return e.Err
	}
	if e, ok := errors.AsType[*os.LinkError](err); ok {
		return e.Err
	}
	return err
}
