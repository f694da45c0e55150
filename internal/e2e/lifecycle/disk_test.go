package lifecycle

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"unsafe"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// TestFullDisk is on a file system that has no room left.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", dir).CombinedOutput(); err != nil {
		t.Skipf("cannot mount a file system here (root can): %v %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", "-l", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v %s", err, out)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	noRoom(t, dir, func(*gatetest.Gateway) {
		b := make([]byte, 4096)
		f, err := os.OpenFile(ballast, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for err == nil {
			_, err = f.Write(b)
		}
	}, func(*gatetest.Gateway) {
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
	})
}

// TestFileLimit is the same for a process that may not let files grow, which nobody has to be root for.
func TestFileLimit(t *testing.T) {
	const fileSize = 1 // RLIMIT_FSIZE
	limit := func(g *gatetest.Gateway, max uint64) {
		l := syscall.Rlimit{Cur: max, Max: ^uint64(0)}
		if _, _, errno := syscall.Syscall6(syscall.SYS_PRLIMIT64, uintptr(g.Pid()), fileSize, uintptr(unsafe.Pointer(&l)), 0, 0, 0); errno != 0 {
			t.Skip(errno)
		}
	}
	noRoom(t, t.TempDir(), func(g *gatetest.Gateway) { limit(g, 16<<10) }, func(g *gatetest.Gateway) { limit(g, ^uint64(0)) })
}

func noRoom(t *testing.T, dir string, fill, free func(*gatetest.Gateway)) {
	up := gatetest.NewUpstream(t, echo)
	g := gatetest.Start(t, plain{upstream: up.Addr, accounts: dir + "/chatgate.db"}.String())
	g.Register("alice", password)
	tok, other := g.Login("alice", password), g.Login("alice", password)
	socks := []*sock{talk(t, g, "alice", false, tok), talk(t, g, "visitor", false, "")}
	for round := range 2 {
		fill(g)
		// What little room there was in pages and in the log is used up first.
		made, refused := []string{}, []string{}
		for i := 0; len(refused) < 5; i++ {
			if i > 3000 {
				t.Fatal("the disk does not fill")
			}
			name := fmt.Sprintf("user%d-%d", round, i)
			a := post(g, "/api/v1/users", "", name, password)
			e := a.envelope(t)
			switch a.status {
			case http.StatusCreated:
				made = append(made, name)
			case http.StatusServiceUnavailable, http.StatusInternalServerError:
				refused = append(refused, name)
				if e.Error == nil || a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "" {
					t.Errorf("%d %v %s", a.status, a.header, a.body)
				}
			default:
				t.Fatalf("register on a full disk: %d %s", a.status, a.body)
			}
		}
		alive(t, socks)
		socks = append(socks, talk(t, g, "another visitor", false, ""), talk(t, g, "alice once more", false, tok))
		// A session that cannot be ended in the store goes on, and that is said.
		a := post(g, "/api/v1/logout", other, "", "")
		if a.status != http.StatusOK && a.status != http.StatusServiceUnavailable && a.status != http.StatusUnauthorized {
			t.Errorf("logout on a full disk: %d %s", a.status, a.body)
		}
		free(g)
		for _, name := range refused { // no account, whole or half, so the name is free
			if a := post(g, "/api/v1/login", "", name, password); a.status != http.StatusBadRequest || a.envelope(t).Error.Type != "USER_NOT_FOUND" {
				t.Errorf("%s was refused, but: %d %s", name, a.status, a.body)
			}
			g.Register(name, password)
			g.Login(name, password)
		}
		for _, name := range made[max(0, len(made)-5):] {
			g.Login(name, password)
		}
		alive(t, socks)
		t.Logf("round %d: %d accounts were made before the disk was full", round, len(made))
	}
	logout(t, g, "/api/v1/logout", tok)
	closedWith(t, socks[:1], 4401)
	alive(t, socks[1:2])
}
