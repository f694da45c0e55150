package rooms_test

import (
	"bufio"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/paralleltest"
	"github.com/chatgate/chatgate/internal/transcript"
)

func TestMain(m *testing.M) {
	paralleltest.AtLeast(4)
	gatetest.Main(m)
}

// The files of testdata read like the contract, a request and the expected reply to the letter, and are replayed against real
// gateway processes. See package transcript for their form.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		if strings.HasPrefix(name, "restart_") {
			continue
		}
		t.Run(strings.TrimSuffix(name, ".txt"), func(t *testing.T) {
			t.Parallel()
			lines := transcript.Read(t, file)
			s, _, _ := start(t, lines)
			s.Run(t, name, lines)
		})
	}
}

// What was answered is kept: accounts, sessions and tokens live on over a process that was killed, and what was logged
// out stays so.
func TestRestart(t *testing.T) {
	t.Parallel()
	before, after := transcript.Read(t, "testdata/restart_1_before.txt"), transcript.Read(t, "testdata/restart_2_after.txt")
	s, g, file := start(t, before)
	s.Run(t, "restart_1_before.txt", before)
	g.Kill()
	s.Forget()
	g.Launch(file)
	s.Run(t, "restart_2_after.txt", after)
}

// A database that cannot be used is told at the start, by its name, and is left as it is.
func TestUnusableDatabase(t *testing.T) {
	t.Parallel()
	_, g, file := start(t, transcript.Read(t, "testdata/restart_1_before.txt"))
	g.Register("alice", "Lantern-Quarry-71")
	g.Kill()
	db := filepath.Join(g.Dir, "accounts.db")
	good, err := os.ReadFile(db)
	if err != nil {
		t.Fatal(err)
	}
	remove := func() {
		t.Helper()
		for _, suffix := range []string{"", "-wal", "-shm"} {
			if err := os.RemoveAll(db + suffix); err != nil {
				t.Fatal(err)
			}
		}
	}
	write := func(path string, content []byte) {
		t.Helper()
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	garbage := []byte(strings.Repeat("no database at all\n", 1000))
	torn := append(append([]byte(nil), good[:100]...), garbage...)
	for name, tc := range map[string]struct {
		put  func()
		kept []byte // what must still be in the file
	}{
		"a directory":         {func() { must(t, os.MkdirAll(filepath.Join(db, "x"), 0o700)) }, nil},
		"garbage":             {func() { write(db, garbage) }, garbage},
		"a page that is torn": {func() { write(db, torn) }, torn},
		"in no directory":     {func() { must(t, os.Symlink(filepath.Join(g.Dir, "gone", "accounts.db"), db)) }, nil},
	} {
		t.Run(name, func(t *testing.T) {
			remove()
			tc.put()
			err := g.TryLaunch(file)
			if err == nil {
				t.Fatal("the gateway serves")
			}
			if g.ExitCode() == 0 {
				t.Error("it ended without an exit code")
			}
			log := g.Log()
			if !strings.Contains(log, db) || !strings.Contains(log, "database") {
				t.Errorf("it does not say which file:\n%s", log)
			}
			if strings.Contains(log, "goroutine ") {
				t.Errorf("it panicked:\n%s", log)
			}
			if tc.kept != nil {
				if now, err := os.ReadFile(db); err != nil || string(now) != string(tc.kept) {
					t.Errorf("the file was changed, or %v", err)
				}
			}
			if _, err := os.Stat(filepath.Join(g.Dir, "gone")); err == nil {
				t.Error("a directory was made")
			} else if !os.IsNotExist(err) {
				t.Error(err)
			}
		})
	}
	remove()
	g.Launch(file)
	if status, _, body := g.Call(http.MethodPost, "/api/v1/login", "", `{"username":"alice","secret":"Lantern-Quarry-71"}`); status != http.StatusBadRequest {
		t.Errorf("a new database knows alice: %d %s", status, body)
	}
	if info, err := os.Stat(db); err != nil || info.Mode().Perm() != fs.FileMode(0o600) {
		t.Errorf("the database: %v, %v", info, err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// start runs a gateway as a transcript asks for, with options of chatgate marked "+" and of chatgate_proxy marked "*".
func start(t *testing.T, lines []string) (*transcript.Script, *gatetest.Gateway, string) {
	t.Helper()
	up := gatetest.NewUpstream(t, chooses)
	proxied, accounts := transcript.Options(lines, "*", "\t\t"), ""
	for line := range strings.Lines(proxied) {
		if strings.HasPrefix(line, "\t\tcookie ") { // which both take
			accounts += line
		}
	}
	file := "{\n\t{{GLOBAL}}\n\tchatgate {\n\t\taccounts sqlite {{DIR}}/accounts.db\n\t\thash {\n\t\t\tmemory_kib 1024\n\t\t\ttime 1\n\t\t}\n" +
		transcript.Options(lines, "+", "\t\t") + "\t}\n}\n\nhttp://{{HTTP}} {\n\tchatgate_accounts rooms {\n" + accounts + "\t}\n\tchatgate_proxy " + up.Addr + " {\n" + proxied + "\t}\n}\n"
	g := gatetest.Start(t, file)
	return transcript.New(t, g, up), g, file
}

// chooses is an upstream that speaks chat.v1, if asked to.
func chooses(u *gatetest.Upstream, c net.Conn, br *bufio.Reader, head string) {
	if v := gatetest.HeaderValues(head, "Sec-WebSocket-Protocol"); len(v) == 1 && v[0] == "chat.v1" {
		_, _ = c.Write([]byte(gatetest.Accept(head, "Sec-WebSocket-Protocol: chat.v1")))
		_, _ = br.ReadByte() // until the client is gone
		return
	}
	gatetest.EchoWebSocket(u, c, br, head)
}
