//go:build linux

package irctest

import (
	"fmt"
	"strings"

	"github.com/chatgate/chatgate/internal/leash"
)

// ngircd sets up an ngIRCd.
func ngircd(s *Server, o ServerOptions, port int) []string {
	s.t.Helper()
	path := leash.Find(s.t, "ngircd")
	if o.MaxNickLength == 0 {
		o.MaxNickLength = 31
	}
	config := s.file("ngircd.conf")
	settings(s.t, config,
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
	return []string{path, "--nodaemon", "--config", config}
}

// Accepted returns how many connections there have been since the server runs. It is an ngIRCd's to tell, as are Open and
// Users.
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
