// Command chatgate is Caddy's own command line with chatgate, the standard modules and caddy-l4 in it.
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	_ "github.com/mholt/caddy-l4"

	_ "github.com/chatgate/chatgate"
)

func main() { caddycmd.Main() }
