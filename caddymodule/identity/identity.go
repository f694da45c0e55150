package identity

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"golang.org/x/net/http/httpguts"

	"github.com/chatgate/chatgate/caddymodule/syntax"
	"github.com/chatgate/chatgate/chatroom"
)

// off, in place of a name, means that the header is not sent.
const off = "off"

// HeaderNames reads header names, each with or without a * at its end.
func HeaderNames(d *caddyfile.Dispenser, dst *[]string) error {
	option := d.Val()
	if *dst = d.RemainingArgs(); len(*dst) == 0 {
		return d.Errf("%s takes at least one name of a header, such as X-Chat-Role, or X-Chat-* for all that begin so", option)
	}
	return nil
}

// Block reads the block of the option identity: the names of the identity headers.
func Block(d *caddyfile.Dispenser, dst **chatroom.IdentityHeaders) error {
	start := d.Token()
	if d.NextArg() {
		return d.Errf("unexpected %q; identity takes its names in a block", d.Val())
	}
	names := new(chatroom.IdentityHeaders)
	fields := map[string]*string{
		"user": &names.User, "display_name": &names.DisplayName, "email": &names.Email,
		"id": &names.ID, "access": &names.Access,
	}
	seen := make(syntax.Once)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		field, ok := fields[option]
		if !ok {
			return d.Errf("unknown field %q of identity; there are user, display_name, email, id and access", option)
		}
		if err := seen.See(d); err != nil {
			return err
		}
		if err := syntax.One(d, field); err != nil {
			return err
		}
		if err := checkHeader(option, *field); err != nil {
			return d.WrapErr(err)
		}
	}
	if len(seen) == 0 {
		return syntax.At(start, errors.New("identity takes its names in a block: user, display_name, email, id and access"))
	}
	if _, err := Headers(names); err != nil {
		return syntax.At(start, err)
	}
	*dst = names
	return nil
}

// Headers returns the header names in effect: for each field the configured name, the default if there is none, or an empty
// string if it is off.
func Headers(c *chatroom.IdentityHeaders) (chatroom.IdentityHeaders, error) {
	out := chatroom.DefaultIdentityHeaders
	if c == nil {
		return out, nil
	}
	told := make(map[string]string) // field by folded name
	for _, f := range []struct {
		field      string
		configured string
		use        *string
	}{
		{"user", c.User, &out.User},
		{"display_name", c.DisplayName, &out.DisplayName},
		{"email", c.Email, &out.Email},
		{"id", c.ID, &out.ID},
		{"access", c.Access, &out.Access},
	} {
		switch {
		case f.configured == off:
			*f.use = ""
			continue
		case f.configured != "":
			*f.use = f.configured
		}
		if err := checkHeader(f.field, *f.use); err != nil {
			return out, err
		}
		folded := chatroom.FoldName(*f.use)
		if other, ok := told[folded]; ok {
			return out, fmt.Errorf("identity %s: %q is the name of %s already; give each its own, or turn one off", f.field, *f.use, other)
		}
		told[folded] = f.field
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
