package sqlstore_test

import (
	"bufio"
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"modernc.org/sqlite"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
	"github.com/chatgate/chatgate/internal/leash"
	"github.com/chatgate/chatgate/internal/paralleltest"
)

// Some tests need a second process. It is this test binary, told by its environment what to be.
const (
	roleVar = "SQLSTORE_TEST_ROLE"
	pathVar = "SQLSTORE_TEST_PATH"
)

var roles = map[string]func(path string) error{"crash": beKilled, "open": openOnce}

func TestMain(m *testing.M) {
	role, ok := roles[os.Getenv(roleVar)]
	if !ok {
		paralleltest.AtLeast(3) // they wait for the disk, and those of outages for time to pass
		goleak.VerifyTestMain(m)
		return
	}
	if err := role(os.Getenv(pathVar)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func childCommand(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	must(t, err)
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(leash.Environ(), roleVar+"="+role, pathVar+"="+path)
	cmd.Stderr = os.Stderr
	return cmd
}

// child runs a role to its end and returns what it printed.
func child(t *testing.T, role, path string) string {
	t.Helper()
	out, err := childCommand(t, role, path).Output()
	must(t, err)
	return string(out)
}

// openRaw opens a file without any of the store's doings, as another program would.
func openRaw(t *testing.T, path string) *sql.DB {
	t.Helper()
	c, err := sqlite.NewConnector((&url.URL{Scheme: "file", Path: path}).String())
	must(t, err)
	return sql.OpenDB(c)
}

// openOnce opens a store and prints that it did.
func openOnce(path string) error {
	s, err := sqlstore.OpenSQLite(context.Background(), path)
	if err != nil {
		return err
	}
	fmt.Println("opened")
	return s.Close()
}

// openInProcesses lets several processes open a database at once.
func openInProcesses(t *testing.T, role, path string) {
	t.Helper()
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			if out, err := childCommand(t, role, path).Output(); err != nil || string(out) != "opened\n" {
				t.Errorf("%q, %v", out, err)
			}
		})
	}
	wg.Wait()
}

func TestSQLiteConcurrentProcesses(t *testing.T) {
	t.Parallel()
	for range 3 {
		path := newPath(t)
		openInProcesses(t, "open", path)
		s := open(t, path)
		wantMigratedOnce(t, s)
		healthy(t, s)
	}
}

// beKilled creates accounts and sessions for as long as it lives, ends and revokes some, and prints what was acknowledged.
func beKilled(path string) error {
	s, err := sqlstore.OpenSQLite(context.Background(), path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	prefix := time.Now().UnixNano()
	errs := make(chan error)
	for worker := range 4 {
		go func() {
			for i := 0; ; i++ {
				a, err := s.CreateAccount(ctx, newAccount(fmt.Sprintf("u%dx%dx%d", prefix, worker, i)), authcore.Creation{})
				if err != nil {
					errs <- err
					return
				}
				fmt.Printf("account %s %d\n", a.ID, a.Number)
				kept, ended := newSession(a.ID), newSession(a.ID)
				for _, n := range []authcore.Session{kept, ended} {
					if err := s.CreateSession(ctx, n); err != nil {
						errs <- err
						return
					}
				}
				fmt.Printf("session %s %s\n", a.ID, kept.ID)
				if ok, err := s.EndSession(ctx, a.ID, ended.ID); err != nil || !ok {
					errs <- fmt.Errorf("end: %v, %w", ok, err)
					return
				}
				fmt.Printf("ended %s %s\n", a.ID, ended.ID)
				if err := s.RevokeSession(ctx, a.ID, ended.ID, ended.ExpiresAt); err != nil {
					errs <- err
					return
				}
				fmt.Printf("revoked %s %s\n", a.ID, ended.ID)
				if _, _, err := s.RevokeSessions(ctx, a.ID, kept); err != nil {
					errs <- err
					return
				}
				fmt.Printf("epoch %s %s\n", a.ID, kept.ID)
			}
		}()
	}
	return <-errs
}

// TestSQLiteKill kills a process that writes: what it was told is done, is done.
func TestSQLiteKill(t *testing.T) {
	t.Parallel()
	path := newPath(t)
	numbers := make(map[string]string)
	checked := 0
	for round := range 4 {
		cmd := childCommand(t, "crash", path)
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		var lines []string
		scan := bufio.NewScanner(out)
		for scan.Scan() {
			lines = append(lines, scan.Text())
			if len(lines) == 100+37*round {
				must(t, cmd.Process.Kill()) // what it wrote until then is still read
			}
		}
		must(t, scan.Err())
		if err := cmd.Wait(); err == nil || cmd.ProcessState.Exited() {
			t.Fatalf("the process was not killed: %v", err)
		}

		s, err := sqlstore.OpenSQLite(t.Context(), path)
		must(t, err)
		for _, line := range lines {
			f := strings.Fields(line)
			if len(f) != 3 {
				continue // the last line may have been cut off
			}
			switch f[0] {
			case "account":
				a, err := s.AccountByID(t.Context(), authcore.AccountID(f[1]))
				if err != nil || fmt.Sprint(a.Number) != f[2] {
					t.Errorf("account %s with number %s: got %d, %v", f[1], f[2], a.Number, err)
				}
				if other, ok := numbers[f[2]]; ok {
					t.Errorf("number %s was given to %s and %s", f[2], other, f[1])
				}
				numbers[f[2]] = f[1]
			case "session":
				if _, err := s.Session(t.Context(), authcore.AccountID(f[1]), authcore.SessionID(f[2])); err != nil {
					t.Errorf("session %s: %v", f[2], err)
				}
			case "ended":
				if _, err := s.Session(t.Context(), authcore.AccountID(f[1]), authcore.SessionID(f[2])); authcore.KindOf(err) != authcore.KindSessionOver {
					t.Errorf("a session that was ended came back: %v", err)
				}
			case "revoked":
				if _, revoked, err := s.SessionAccount(t.Context(), authcore.AccountID(f[1]), authcore.SessionID(f[2])); err != nil || !revoked {
					t.Errorf("a revocation was lost: %v", err)
				}
			case "epoch":
				if a, err := s.AccountByID(t.Context(), authcore.AccountID(f[1])); err != nil || a.Epoch != 1 || string(a.Kept) != f[2] {
					t.Errorf("an epoch was lost: %d, kept %q, %v", a.Epoch, a.Kept, err)
				}
			}
			checked++
		}
		healthy(t, s)
		must(t, s.Close())
	}
	if checked < 500 {
		t.Errorf("only %d acknowledgements were checked", checked)
	}
}
