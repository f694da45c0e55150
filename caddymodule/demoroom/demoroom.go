package demoroom

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/chatroom"
	"github.com/chatgate/chatgate/chatroom/demo"
)

func init() {
	caddy.RegisterModule(DemoRoom{})
	httpcaddyfile.RegisterHandlerDirective("chatgate_demo_room", parseDemoRoom)
	httpcaddyfile.RegisterDirectiveOrder("chatgate_demo_room", httpcaddyfile.Before, "reverse_proxy")
}

// DemoRoom is the HTTP handler chatgate_demo_room, a small chat that stands in for a legacy one. It trusts the identity headers
// of every request, so it belongs behind chatgate_proxy, at an address that clients cannot reach.
type DemoRoom struct {
	// The title of the page. Default: the demo's own.
	Title string `json:"title,omitempty"`

	handler *demo.Handler
}

// demoRooms keeps rooms over a reload, with members and history, as a separate chat server would.
var demoRooms = caddy.NewUsagePool()

type pooledDemo struct{ *demo.Handler }

// Destruct implements caddy.Destructor.
func (d pooledDemo) Destruct() error {
	d.Close()
	return nil
}

// CaddyModule returns the Caddy module information.
func (DemoRoom) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.chatgate_demo_room", New: func() caddy.Module { return new(DemoRoom) }}
}

// Provision takes the room from the pool, or makes it.
func (h *DemoRoom) Provision(caddy.Context) error {
	d, _, err := demoRooms.LoadOrNew(h.Title, func() (caddy.Destructor, error) {
		made, err := demo.New(demo.Options{Title: h.Title})
		return pooledDemo{made}, err
	})
	if err != nil {
		return err
	}
	h.handler = d.(pooledDemo).Handler
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *DemoRoom) ServeHTTP(w http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	if ref := chatroom.TooEarly(r); ref != nil {
		http.Error(w, ref.Msg, ref.Status)
		return nil
	}
	h.handler.ServeHTTP(w, r)
	return nil
}

// Cleanup releases the room.
func (h *DemoRoom) Cleanup() error {
	if h.handler == nil {
		return nil
	}
	_, err := demoRooms.Delete(h.Title)
	return err
}

func parseDemoRoom(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	d := new(DemoRoom)
	return d, d.UnmarshalCaddyfile(h.Dispenser)
}

// UnmarshalCaddyfile reads the directive. Syntax:
//
//	chatgate_demo_room [<matcher>] {
//	    title <text>
//	}
func (h *DemoRoom) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	if d.NextArg() {
		return d.Errf("unexpected %q; chatgate_demo_room takes a matcher and nothing else on its line", d.Val())
	}
	_, err := option.Block{Of: "chatgate_demo_room", Table: h.Options()}.Read(d)
	return err
}

// Options implements [option.Holder].
func (h *DemoRoom) Options() option.Table {
	return option.Table{option.Text("title", &h.Title).DefaultIs("Demo chat").Unbounded("any title will do")}
}

// Interface guards
var (
	_ caddy.Provisioner           = (*DemoRoom)(nil)
	_ caddy.CleanerUpper          = (*DemoRoom)(nil)
	_ caddyhttp.MiddlewareHandler = (*DemoRoom)(nil)
	_ option.Holder               = (*DemoRoom)(nil)
)
