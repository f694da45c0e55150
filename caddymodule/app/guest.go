package app

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// A guest is an option whose value is a Caddy module, so that a binary can be built with further ones. In a Caddyfile, the first
// argument names the module, and its UnmarshalCaddyfile reads the rest of the line and the block. In JSON, an inline key
// names it beside the module's own fields, each of which has omitempty.
//
// A module resolves placeholders in Provision and opens nothing there, since caddy validate provisions as well. Caddy saves and
// shows its configuration, so a module requires placeholders for secrets, as ours do with package syntax, and errors show none.
type guest struct {
	option    string
	namespace string
	key       string // the inline key
}

// The tags of [App] say the same to Caddy.
var (
	accountsGuest = guest{"accounts", "chatgate.accounts", "store"}
	sessionsGuest = guest{"sessions", "chatgate.sessions", "store"}
	mailGuest     = guest{"mail", "chatgate.mail", "transport"}
	smsGuest      = guest{"sms", "chatgate.sms", "transport"}
)

var guestName = regexp.MustCompile(`^[0-9A-Za-z_-]{1,64}$`)

// find refuses a module that is not in this binary. It shows nothing that is not a name: it may be an address out of place.
func (g guest) find(name string) error {
	var names []string
	for _, m := range caddy.GetModules(g.namespace) {
		if m.ID.Name() == name {
			return nil
		}
		names = append(names, m.ID.Name())
	}
	if !guestName.MatchString(name) {
		return fmt.Errorf("%s needs a %s: %s", g.option, g.key, syntax.List(names, "or"))
	}
	return fmt.Errorf("%s %q is unknown; it is %s", g.option, name, syntax.List(names, "or"))
}

// unmarshalGuest reads the option at d. It returns the module, which is not provisioned, and its JSON.
func unmarshalGuest[M any](d *caddyfile.Dispenser, g guest) (module M, raw json.RawMessage, err error) {
	name := ""
	if d.NextArg() {
		name = d.Val()
	}
	if err := g.find(name); err != nil {
		return module, nil, d.WrapErr(err)
	}
	u, err := caddyfile.UnmarshalModule(d, g.namespace+"."+name)
	if err != nil {
		return module, nil, err
	}
	module, ok := u.(M)
	if !ok {
		return module, nil, d.Errf("%s %s: its module is a %T, which is no %s", g.option, name, u, interfaceName[M]())
	}
	return module, g.object(name, u), nil
}

// loadGuest provisions the module whose JSON is in a field of the app.
func loadGuest[M any](ctx caddy.Context, a *App, g guest, field string, raw json.RawMessage) (module M, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(raw, &fields); err != nil {
		return module, fmt.Errorf("%s: %w", g.option, err)
	}
	var name string
	if value, ok := fields[g.key]; ok {
		if err := json.Unmarshal(value, &name); err != nil {
			return module, fmt.Errorf("%s: %s: %w", g.option, g.key, err)
		}
	}
	if err := g.find(name); err != nil {
		return module, err
	}
	loaded, err := ctx.LoadModule(a, field)
	if err != nil {
		return module, err
	}
	module, ok := loaded.(M)
	if !ok {
		return module, fmt.Errorf("%s %s: its module is a %T, which is no %s", g.option, name, loaded, interfaceName[M]())
	}
	return module, nil
}

// object is [caddyconfig.JSONModuleObject] with the inline key first and the fields in their order.
func (g guest) object(name string, module any) json.RawMessage {
	object := fmt.Appendf(nil, `{%q:%q`, g.key, name)
	if fields := caddyconfig.JSON(module, nil); len(fields) > len("{}") {
		object = append(append(object, ','), fields[1:]...)
	} else {
		object = append(object, '}')
	}
	return object
}

// isSet reports whether an option is there in JSON.
func isSet(raw json.RawMessage) bool { return len(raw) > 0 && !bytes.Equal(raw, []byte("null")) }

func interfaceName[M any]() string { return fmt.Sprintf("%T", (*M)(nil))[1:] }
