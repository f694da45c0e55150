package mailer

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// directory writes each message to an .eml file, for development and tests. File names sort by time.
type directory string

// deliver implements transport. A file appears when it is complete.
func (d directory) deliver(_ context.Context, m envelope) error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return &failure{doing: "creating the directory for messages", err: err}
	}
	name := fmt.Sprintf("%s-%s-%s", time.Now().UTC().Format("20060102T150405.000000000"), m.kind, rand.Text()[:8])
	temporary := filepath.Join(string(d), "."+name+".tmp")
	err := os.WriteFile(temporary, m.raw, 0o600)
	if err == nil {
		err = os.Rename(temporary, filepath.Join(string(d), name+".eml"))
	}
	if err != nil {
		_ = os.Remove(temporary)
		return &failure{doing: "writing a message", err: err}
	}
	return nil
}
