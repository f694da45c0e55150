//go:build linux

package irctest

import (
	"crypto/rand"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// ServerName is what an ngIRCd here calls itself.
const ServerName = "irc.example.net"

// Server is an ngIRCd of one test and its subtests.
type Server struct {
	Addr   string // host:port, the same after a restart
	WEBIRC string // the password with which a gateway may say where a client comes from

	t       testing.TB
	path    string
	process process
}

// ServerOptions change how a server is started.
type ServerOptions struct {
	Password      string // that every connection needs; default: none
	MaxNickLength int    // default: 31, the most that ngIRCd has
}

// StartServer makes a server and stops it when the test is over. Without ngIRCd on this machine the test is skipped, unless
// CHATGATE_TEST_STRICT is set.
func StartServer(t testing.TB, opts ...ServerOptions) *Server {
	t.Helper()
	var o ServerOptions
	if len(opts) > 0 {
		o = opts[0]
	}
	if o.MaxNickLength == 0 {
		o.MaxNickLength = 31
	}
	path := find(t, "ngircd", "ngircd")
	port := gatetest.FreePort(t)
	s := &Server{Addr: fmt.Sprintf("127.0.0.1:%d", port), WEBIRC: rand.Text(), t: t, path: path, process: process{dir: tempDir(t)}}
	settings(t, s.config(),
		"[Global]",
		"Name = "+ServerName,
		"Info = A test",
		"Listen = 127.0.0.1",
		fmt.Sprintf("Ports = %d", port),
		"MotdPhrase = Welcome",
		"Password = "+o.Password,
		"[Limits]",
		fmt.Sprintf("MaxNickLength = %d", o.MaxNickLength),
		"MaxConnectionsIP = 0", // they all come from the gateway
		"MaxPenaltyTime = 0",   // a test talks faster than people do
		"MaxJoins = 0",
		"[Options]",
		"DNS = no", // nothing leaves the machine
		"Ident = no",
		"PAM = no",
		"SyslogFacility = local7",
		"WebircPassword = "+s.WEBIRC,
	)
	t.Cleanup(s.Stop)
	s.Run()
	return s
}

func (s *Server) config() string { return filepath.Join(s.process.dir, "ngircd.conf") }

// Run starts the server again after Stop, and waits until it accepts connections.
func (s *Server) Run() {
	s.t.Helper()
	if err := s.process.start(s.path, "--nodaemon", "--config", s.config()); err != nil {
		s.t.Fatal(err)
	}
	await(s.t, "ngIRCd", func() bool {
		c, err := net.Dial("tcp", s.Addr)
		if err != nil {
			return false
		}
		c.Close()
		return true
	}, s.process.output)
	await(s.t, "the end of that connection", func() bool { return s.Accepted() == 0 && s.Open() == 0 }, s.process.output)
}

// Stop ends the server at once, as a crash would, and frees its port.
func (s *Server) Stop() { s.process.stop() }

// Log returns the lines of the server's log since it runs that have every one of the words.
func (s *Server) Log(words ...string) []string {
	return lines([]byte(s.process.output()), words...)
}

// Accepted returns how many connections there have been since the server runs.
func (s *Server) Accepted() int {
	return len(s.Log("Accepted connection")) - 1 // that with which Run saw it answer
}

// Open returns how many connections the server has, registered or not.
func (s *Server) Open() int {
	return len(s.Log("Accepted connection")) - len(s.Log("Connection ", " closed "))
}

// Users returns who has registered since the server runs, as nick!user@host.
func (s *Server) Users() (masks []string) {
	for _, line := range s.Log("User \"", " registered") {
		_, rest, _ := strings.Cut(line, `"`)
		mask, _, _ := strings.Cut(rest, `"`)
		masks = append(masks, mask)
	}
	return masks
}
