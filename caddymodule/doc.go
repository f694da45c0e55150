// Package caddymodule brings every Caddy module of chatgate but those for layer4 (package tcpproxy) into a binary. It has no
// code of its own; each module has a folder:
//
//   - app: the app "chatgate": its options, the contracts of stores and senders, the policy in force, metrics, and the findings of checks.
//   - stores: what app keeps accounts and sessions in: the modules chatgate.accounts.* and chatgate.sessions.*.
//   - senders: what app sends messages by: the modules chatgate.mail.* and chatgate.sms.*.
//   - accounts: the handler chatgate_accounts, the numbered pipeline of every account call. Its folders rooms, auth and users are
//     the dialects, and dialect is what they have in common.
//   - proxy: the handler chatgate_proxy, the gate in front of a chat.
//   - methods: the handler chatgate_methods, JSON requests over one WebSocket.
//   - demoroom: the handler chatgate_demo_room, a chat that stands in for a legacy one.
//   - redact: the log encoder chatgate_redact.
//   - checks: looks for what makes a configuration unsafe although it works.
//
// What several of them need: syntax reads options, identity those about identity headers, caller finds out who is calling,
// endpoint knows the spellings of a path, answer writes responses, upgrade takes connections over.
//
// Imports run one way: checks → handlers → app → authcore, and stores, senders → app. The app knows its stores and senders by their
// interfaces alone, so that a binary can be built with more of them. No package here decides anything about accounts (authcore does) or
// frames (chatroom does).
package caddymodule

import (
	// The modules register themselves.
	_ "github.com/chatgate/chatgate/caddymodule/accounts"
	_ "github.com/chatgate/chatgate/caddymodule/app"
	_ "github.com/chatgate/chatgate/caddymodule/checks"
	_ "github.com/chatgate/chatgate/caddymodule/demoroom"
	_ "github.com/chatgate/chatgate/caddymodule/methods"
	_ "github.com/chatgate/chatgate/caddymodule/proxy"
	_ "github.com/chatgate/chatgate/caddymodule/redact"
	_ "github.com/chatgate/chatgate/caddymodule/senders"
	_ "github.com/chatgate/chatgate/caddymodule/stores"
)
