//go:build linux

package irctest

import (
	"crypto/rand"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// ServerName is what a server here calls itself.
const ServerName = "irc.example.net"

// Server is an IRC server of one test and its subtests.
type Server struct {
	Addr   string // host:port, the same after a restart
	WEBIRC string // the password with which a gateway may say where a client comes from

	t        testing.TB
	software Software
	args     []string
	process  process
}

// ServerOptions change how a server is started.
type ServerOptions struct {
	Software      Software // default: NgIRCd
	Password      string   // that every connection needs; default: none
	MaxNickLength int      // default: the most that it can have, up to 32
}

// Software is a program that serves IRC.
type Software string

// The programs there are.
const (
	NgIRCd     Software = "ngIRCd"
	InspIRCd   Software = "InspIRCd"
	IRCDHybrid Software = "ircd-hybrid"
)

// Programs returns them all, for tests that show the same of each.
func Programs() []Software { return []Software{NgIRCd, InspIRCd, IRCDHybrid} }

// programs has how each is found, told what to do, and run. A function writes what is needed into the server's directory,
// which is nobody else's, and returns the command.
var programs = map[Software]func(s *Server, o ServerOptions, port int) []string{
	NgIRCd:     ngircd,
	InspIRCd:   inspircd,
	IRCDHybrid: ircdHybrid,
}

// StartServer makes a server and stops it when the test is over. Without the program on this machine the test is skipped,
// unless CHATGATE_TEST_STRICT is set.
func StartServer(t testing.TB, opts ...ServerOptions) *Server {
	t.Helper()
	var o ServerOptions
	if len(opts) > 0 {
		o = opts[0]
	}
	if o.Software == "" {
		o.Software = NgIRCd
	}
	port := gatetest.FreePort(t)
	s := &Server{
		Addr: fmt.Sprintf("127.0.0.1:%d", port), WEBIRC: rand.Text(), t: t,
		software: o.Software, process: process{dir: tempDir(t)},
	}
	s.args = programs[o.Software](s, o, port)
	t.Cleanup(s.Stop)
	s.Run()
	return s
}

// motd writes the message of the day, behind which a registration is over, and returns its path.
func (s *Server) motd() string {
	s.t.Helper()
	settings(s.t, s.file("motd"), "Welcome")
	return s.file("motd")
}

// file returns the path of one in the server's directory.
func (s *Server) file(name string) string { return filepath.Join(s.process.dir, name) }

// nobody is the user that servers run as where a test is root's: they refuse to be root.
const nobody = 65534

// unprivileged returns what runs args as nobody, who gets the server's directory.
func (s *Server) unprivileged(args []string) []string {
	s.t.Helper()
	if os.Geteuid() != 0 {
		return args
	}
	root, err := os.OpenRoot(s.process.dir)
	if err != nil {
		s.t.Fatal(err)
	}
	defer root.Close()
	err = fs.WalkDir(root.FS(), ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return root.Lchown(path, nobody, nobody)
	})
	if err != nil {
		s.t.Fatal(err)
	}
	id := strconv.Itoa(nobody)
	return append([]string{"setpriv", "--reuid", id, "--regid", id, "--clear-groups"}, args...)
}

// Run starts the server again after Stop, and waits until it accepts connections.
func (s *Server) Run() {
	s.t.Helper()
	args := s.args
	if s.software != NgIRCd { // which sees to that itself
		args = s.unprivileged(args)
	}
	if err := s.process.start(args...); err != nil {
		s.t.Fatal(err)
	}
	await(s.t, string(s.software), func() bool {
		c, err := net.Dial("tcp", s.Addr)
		if err != nil {
			return false
		}
		c.Close()
		return true
	}, s.process.output)
	if s.software == NgIRCd {
		await(s.t, "the end of that connection", func() bool { return s.Accepted() == 0 && s.Open() == 0 }, s.process.output)
	}
}

// Stop ends the server at once, as a crash would, and frees its port.
func (s *Server) Stop() { s.process.stop() }

// Log returns the lines of the server's log since it runs that have every one of the words.
func (s *Server) Log(words ...string) []string {
	return lines([]byte(s.process.output()), words...)
}
