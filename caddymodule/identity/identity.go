package identity

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/http/httpguts"

	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/chatroom"
)

// off, in place of a name, means that the header is not sent.
const off = "off"

// Option is the option identity: the names of the headers that tell the upstream who is asking.
func Option(dst **chatroom.IdentityHeaders) option.Option {
	return option.Func("identity", "names of headers", func(d *caddyfile.Dispenser) error {
		names := new(chatroom.IdentityHeaders)
		if _, err := (option.Block{Of: "identity", Table: table(names)}).Sub(d, "names"); err != nil {
			return err
		}
		*dst = names
		return nil
	}).Block(table(new(chatroom.IdentityHeaders))).Must(func() error {
		_, err := Headers(*dst)
		return err
	}).Where(func() bool { return *dst != nil })
}

// Names is an option with names of headers, or with beginnings of them.
func Names(name string, dst *[]string) option.Option {
	return option.List(name, dst, "takes at least one name of a header, such as X-Chat-Role, or X-Chat-* for all that begin so").
		Unbounded("chatroom.NewStripper")
}

// field is one of the headers.
type field struct {
	name      string
	header    *string
	otherwise string
}

func fieldsOf(h *chatroom.IdentityHeaders) []field {
	def := chatroom.DefaultIdentityHeaders
	return []field{
		{"user", &h.User, def.User},
		{"display_name", &h.DisplayName, def.DisplayName},
		{"email", &h.Email, def.Email},
		{"id", &h.ID, def.ID},
		{"access", &h.Access, def.Access},
	}
}

func table(h *chatroom.IdentityHeaders) option.Table {
	var t option.Table
	for _, f := range fieldsOf(h) {
		t = append(t, option.Text(f.name, f.header).Default(f.otherwise).Must(func(header string) error { return checkHeader(f.name, header) }))
	}
	return t
}

// Headers returns the names to use: the configured one, the default where there is none, or an empty one where it is off.
func Headers(c *chatroom.IdentityHeaders) (chatroom.IdentityHeaders, error) {
	var out chatroom.IdentityHeaders
	if c != nil {
		out = *c
	}
	t := table(&out)
	if err := t.Check(); err != nil {
		return out, err
	}
	t.Fill()
	told := make(map[string]string) // field by folded name
	for _, f := range fieldsOf(&out) {
		if *f.header == off {
			*f.header = ""
			continue
		}
		folded := chatroom.FoldName(*f.header)
		if other, ok := told[folded]; ok {
			return out, fmt.Errorf("identity %s: %q is the name of %s already; give each its own, or turn one off", f.name, *f.header, other)
		}
		told[folded] = f.name
	}
	return out, nil
}

func checkHeader(field, name string) error {
	if name == off {
		return nil
	}
	if !httpguts.ValidHeaderFieldName(name) {
		return fmt.Errorf("identity %s: %q is no name of a header, such as Remote-User", field, name)
	}
	if chatroom.Reserved(name) {
		return fmt.Errorf("identity %s: %q means something else; take a name of its own, such as Remote-User", field, name)
	}
	return nil
}
