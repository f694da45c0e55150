package checks

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/chatgate/chatgate/caddymodule/app"
)

func TestCheckDirectories(t *testing.T) {
	for _, c := range []struct {
		name      string
		dir, file os.FileMode
		want      int
	}{
		{"private", 0o700, 0o600, 0},
		{"readable, with private messages", 0o755, 0o600, 0},
		{"writable", 0o777, 0o600, 1},
		{"writable by a group", 0o770, 0o600, 1},
		{"a readable message", 0o700, 0o644, 1},
		{"both", 0o777, 0o666, 2},
	} {
		for _, ext := range []string{".eml", ".txt"} {
			t.Run(c.name+ext, func(t *testing.T) {
				dir := t.TempDir()
				file := filepath.Join(dir, "message"+ext)
				if err := os.WriteFile(file, nil, 0o600); err != nil {
					t.Fatal(err)
				}
				for path, mode := range map[string]os.FileMode{file: c.file, dir: c.dir} {
					if err := os.Chmod(path, mode); err != nil {
						t.Fatal(err)
					}
				}
				if found := (&app.Configuration{Directories: []string{dir, filepath.Join(dir, "none")}}).Check(); len(found) != c.want {
					t.Errorf("found %+v, want %d", found, c.want)
				}
			})
		}
	}
}
