//go:build linux

package irctest

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/chatgate/chatgate/internal/leash"
)

// hybridModules is where Debian's ircd-hybrid looks for its modules, which no setting changes.
const hybridModules = "/usr/lib/ircd-hybrid/modules/"

// ircdHybrid sets up an ircd-hybrid: an installed one, or, since its package cannot be installed beside that of ngIRCd, one
// that was unpacked into the user's cache.
func ircdHybrid(s *Server, o ServerOptions, port int) []string {
	s.t.Helper()
	if o.MaxNickLength == 0 {
		o.MaxNickLength = 30 // the most that it has
	}
	path := "/usr/sbin/ircd-hybrid"
	if _, err := os.Stat(path); err != nil {
		path = s.unpackedHybrid()
	}
	anybody := `flags = can_flood, exceed_limit, no_tilde;`
	if o.Password != "" {
		anybody = `password = "` + o.Password + `"; encrypted = no; flags = need_password, can_flood, exceed_limit, no_tilde;`
	}
	config := s.file("ircd.conf")
	settings(s.t, config,
		`serverinfo { name = "`+ServerName+`"; description = "A test"; network_name = "Test"; default_max_clients = 512;`,
		fmt.Sprintf("\tmax_nick_length = %d; };", o.MaxNickLength),
		`admin { name = "A test"; description = "A test"; email = "test@example.net"; };`,
		`class { name = "users"; ping_time = 90 seconds; number_per_ip_local = 1000; number_per_ip_global = 1000; max_number = 1000; sendq = 1 megabyte; recvq = 8000 bytes; };`,
		`auth { user = "webirc@127.0.0.1"; password = "`+s.WEBIRC+`"; encrypted = no; class = "users"; flags = webirc; };`,
		`auth { user = "*@*"; class = "users"; `+anybody+` };`,
		fmt.Sprintf(`listen { host = "127.0.0.1"; port = %d; };`, port),
		`general { throttle_count = 100000; throttle_time = 1 second; disable_auth = yes; anti_nick_flood = no; max_nick_changes = 100000; dots_in_ident = 2; };`,
		`motd { mask = "*"; file = "`+s.motd()+`"; };`,
		`channel { disable_fake_channels = no; };`,
	)
	args := []string{path, "-foreground", "-configfile", config, "-pidfile", s.file("ircd.pid"), "-logfile", s.file("ircd.log")}
	for _, db := range []string{"kline", "dline", "xline", "resv"} {
		args = append(args, "-"+db+"file", s.file(db+".db"))
	}
	return args
}

// unpackedHybrid returns the path of a copy that finds its modules where they were unpacked.
func (s *Server) unpackedHybrid() string {
	s.t.Helper()
	root := hybridCache()
	b, err := os.ReadFile(filepath.Join(root, "usr/sbin/ircd-hybrid")) //nolint:gosec // what test.sh has unpacked
	if err != nil {
		leash.Missing(s.t, "ircd-hybrid (Debian package, which ./test.sh unpacks into "+root+")")
	}
	// A path of the same length, since it is in the middle of a binary; slashes do no harm.
	link, err := os.MkdirTemp("/tmp", "h")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = os.RemoveAll(link) })
	if err := os.Chmod(link, 0o755); err != nil { //nolint:gosec // the server runs as another user
		s.t.Fatal(err)
	}
	if err := os.CopyFS(filepath.Join(link, "m"), os.DirFS(filepath.Join(root, hybridModules))); err != nil {
		s.t.Fatal(err)
	}
	modules := link + "/m/"
	if len(modules) > len(hybridModules) {
		s.t.Fatalf("%s is longer than %s", modules, hybridModules)
	}
	modules += strings.Repeat("/", len(hybridModules)-len(modules))
	path := s.file("ircd-hybrid")
	b = bytes.ReplaceAll(b, []byte(hybridModules), []byte(modules))
	if err := os.WriteFile(path, b, 0o700); err != nil { //nolint:gosec // a program
		s.t.Fatal(err)
	}
	return path
}

// hybridCache is where test.sh unpacks the package.
func hybridCache() string {
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = "/root/.cache"
	}
	return filepath.Join(cache, "chatgate-test", "ircd-hybrid")
}
