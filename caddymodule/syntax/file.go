package syntax

import (
	"errors"
	"io/fs"
	"os"

	"github.com/caddyserver/caddy/v2"
)

// ReadFile replaces the placeholders in the name of a file and reads it; without a name it returns nothing. No error shows
// what the name resolves to.
func ReadFile(repl *caddy.Replacer, name string) (path, content string, err error) {
	if name == "" {
		return "", "", nil
	}
	if path, err = repl.ReplaceOrErr(name, true, true); err != nil {
		return "", "", err
	}
	raw, err := os.ReadFile(path) //nolint:gosec // the operator names it
	if e, ok := errors.AsType[*fs.PathError](err); ok {
		err = e.Err
	}
	return path, string(raw), err
}
