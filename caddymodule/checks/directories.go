package checks

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/chatgate/chatgate/caddymodule/app"
)

// directories looks for message directories that other users of the machine can use, since messages have codes that reset
// passwords. chatgate creates private files, but a directory may have existed before, and a message may be a copy.
func directories(c *app.Configuration) []app.Finding {
	if runtime.GOOS == "windows" { // where modes mean nothing
		return nil
	}
	var found []app.Finding
	for _, dir := range c.Directories {
		info, err := os.Stat(dir)
		if err != nil {
			continue // does not exist yet, or fails with its own error
		}
		if mode := info.Mode().Perm(); mode&0o022 != 0 {
			found = append(found, app.Finding{
				Check: "files", Severity: app.SeverityWarning, Where: dir,
				What:   fmt.Sprintf("other users may write to the directory of messages (mode %04o)", mode),
				Remedy: "chmod 700 " + dir,
			})
		}
		if file, mode := wideMessage(dir); file != "" {
			found = append(found, app.Finding{
				Check: "files", Severity: app.SeverityWarning, Where: file,
				What:   fmt.Sprintf("other users may access a message, which may hold a code (mode %04o)", mode),
				Remedy: "chmod 600 " + filepath.Join(dir, "*"),
			})
		}
	}
	return found
}

// wideMessage returns a message that other users may access, out of the first thousand files.
func wideMessage(dir string) (file string, mode os.FileMode) {
	d, err := os.Open(dir) //nolint:gosec // the operator names the directory
	if err != nil {
		return "", 0
	}
	defer d.Close()
	entries, _ := d.ReadDir(1000)
	for _, e := range entries {
		ext := filepath.Ext(e.Name())
		if info, err := e.Info(); err == nil && info.Mode().IsRegular() && (ext == ".eml" || ext == ".txt") && info.Mode().Perm()&0o077 != 0 {
			return filepath.Join(dir, e.Name()), info.Mode().Perm()
		}
	}
	return "", 0
}
