// Package chatgate is the one import that puts chatgate into a Caddy binary:
//
//	xcaddy build --with github.com/chatgate/chatgate --with github.com/mholt/caddy-l4
package chatgate

import (
	_ "github.com/chatgate/chatgate/caddymodule" // the app and the HTTP handlers
	_ "github.com/chatgate/chatgate/tcpproxy"    // the layer4 handlers
)
