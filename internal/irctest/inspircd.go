//go:build linux

package irctest

import (
	"fmt"

	"github.com/chatgate/chatgate/internal/leash"
)

// inspircd sets up an InspIRCd of version 3, as Debian has it, with modules that bring commands of their own.
func inspircd(s *Server, o ServerOptions, port int) []string {
	s.t.Helper()
	path := leash.Find(s.t, "inspircd")
	if o.MaxNickLength == 0 {
		o.MaxNickLength = 32
	}
	lines := []string{
		`<path configdir="` + s.process.dir + `" datadir="` + s.process.dir + `" logdir="` + s.process.dir + `" runtimedir="` + s.process.dir + `">`,
		`<server name="` + ServerName + `" description="A test" network="Test">`,
		`<admin name="A test" nick="test" email="test@example.net">`,
		fmt.Sprintf(`<bind address="127.0.0.1" port="%d" type="clients">`, port),
		`<connect name="all" allow="*" password="` + o.Password + `" timeout="30" pingfreq="120" threshold="1000" commandrate="1000000"` +
			` fakelag="no" hardsendq="1M" softsendq="512K" recvq="1M" localmax="1000" globalmax="1000" maxconnwarn="no" resolvehostnames="no" maxchans="100">`,
		`<cgihost type="webirc" mask="127.0.0.1" password="` + s.WEBIRC + `">`,
		fmt.Sprintf(`<limits maxnick="%d">`, o.MaxNickLength),
		`<files motd="` + s.motd() + `">`,
		`<sasl target="services.example.net">`,
		`<dns server="127.0.0.1" timeout="1">`, // nothing leaves the machine
		`<pid file="` + s.file("inspircd.pid") + `">`,
		`<log method="file" type="* -USERINPUT -USEROUTPUT" level="default" target="` + s.file("inspircd.log") + `">`,
	}
	for _, module := range []string{
		"abbreviation", "cap", "cgiirc", "ircv3", "ircv3_batch", "ircv3_ctctags", "ircv3_labeledresponse", "sasl", "services_account", "setname",
	} {
		lines = append(lines, `<module name="`+module+`">`)
	}
	config := s.file("inspircd.conf")
	settings(s.t, config, lines...)
	return []string{path, "--nofork", "--config=" + config}
}
