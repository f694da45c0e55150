package tcpproxy

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// IRC has the options of a gateway to IRC servers. All are optional.
type IRC struct {
	// What the gateway calls itself until the upstream speaks. Default: the name in the client's TLS handshake, or "chatgate".
	ServerName string `json:"server_name,omitempty"`
	// The password of WEBIRC, which tells the upstream the client's address. It is a placeholder, {env.NAME} or {file.path}, as
	// is Password. Default: no WEBIRC.
	WebIRCPassword string `json:"webirc_password,omitempty"`
	// The name that the upstream knows the gateway by. Default: the account's name, since ngIRCd takes it for the client's
	// user name.
	WebIRCGateway string `json:"webirc_gateway,omitempty"`
	// The password that the upstream wants for PASS.
	Password string `json:"password,omitempty"`
	// What happens to a second connection of an account: "number" (the default) calls it alice|2, which no account can be called,
	// or "refuse" closes it.
	SecondNick string `json:"second_nick,omitempty"`

	webirc, pass string // resolved
}

// Values of options.
const (
	secondNumber = "number"
	secondRefuse = "refuse"
)

var errMixed = errors.New("either all upstreams are IRC servers, or none: this one is not")

// checkIRC checks the options of IRC, and refuses what does not work with IRC servers.
func (l *Line) checkIRC() error {
	switch {
	case l.Proxy == nil:
		return errors.New("irc only matters with an upstream: name one with upstream irc <address>")
	case len(l.FirstLines) > 0:
		return errors.New("first_line is not for IRC servers: NICK and USER are the gateway's own; see irc { webirc, password }")
	case l.Anonymous != "" && l.Anonymous != anonymousRefuse:
		return errors.New("anonymous is not for IRC servers: who may only read could not even JOIN")
	}
	return l.IRC.Options().Check()
}

// Options implements [option.Holder].
func (i *IRC) Options() option.Table {
	return option.Table{
		option.Text("server_name", &i.ServerName).DefaultIs("the name in the client's TLS handshake, or `chatgate`").Must(func(name string) error {
			if !isServerName(name) {
				return fmt.Errorf("server_name is %q; it is a name such as irc.example.com", name)
			}
			return nil
		}),
		option.Func("webirc", "a placeholder, and a name", i.unmarshalWebIRC).Keys("webirc_password", "webirc_gateway").Must(i.checkWebIRC),
		option.Text("password", &i.Password).Must(func(text string) error { return syntax.Secret("password", text) }),
		option.Word("second_nick", &i.SecondNick, secondNumber, secondRefuse),
	}
}

func (i *IRC) checkWebIRC() error {
	switch {
	case i.WebIRCPassword == "" && i.WebIRCGateway == "":
		return nil
	case i.WebIRCPassword == "":
		return errors.New("webirc has no password")
	case i.WebIRCGateway != "" && !isServerName(i.WebIRCGateway):
		return fmt.Errorf("the gateway of webirc is %q; it is a name such as chatgate", i.WebIRCGateway)
	}
	return syntax.Secret("the password of webirc", i.WebIRCPassword)
}

// provision fills in the defaults and finds the secrets.
func (i *IRC) provision() error {
	i.Options().Fill()
	for _, s := range []struct {
		option, value string
		dst           *string
	}{{"the password of webirc", i.WebIRCPassword, &i.webirc}, {"password", i.Password, &i.pass}} {
		if s.value == "" {
			continue
		}
		v, err := caddy.NewReplacer().ReplaceOrErr(s.value, true, true)
		if err != nil { // which says no more than the placeholder's name; but it can be long
			return fmt.Errorf("%s: a placeholder has no value", s.option)
		}
		if *s.dst = strings.TrimRight(v, "\r\n"); !isWord(*s.dst) {
			return fmt.Errorf("%s is no single word once its placeholder is replaced", s.option)
		}
	}
	return nil
}

// isWord reports whether a text can be a parameter of a message that others follow.
func isWord(s string) bool {
	return s != "" && len(s) <= 200 && s[0] != ':' && !strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7F })
}

// isServerName reports whether a name can stand for a server in a message.
func isServerName(s string) bool {
	return s != "" && len(s) <= 63 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.") == ""
}
