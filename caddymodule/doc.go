// Package caddymodule imports every Caddy module of chatgate except those for layer4 (package tcpproxy). It has no code of its
// own; each module has a folder:
//
//   - app: the app "chatgate": its options, the contracts of stores and senders, the policy in force, metrics, and the findings
//     of checks.
//   - stores: the modules chatgate.accounts.* and chatgate.sessions.*, which keep accounts and sessions.
//   - senders: the modules chatgate.mail.* and chatgate.sms.*, which send messages.
//   - accounts: the handler chatgate_accounts, the numbered pipeline of account calls. Its folders rooms, auth and users are the
//     dialects; dialect has what they share.
//   - proxy: the handler chatgate_proxy, the gate in front of a chat.
//   - methods: the handler chatgate_methods, JSON requests over one WebSocket.
//   - demoroom: the handler chatgate_demo_room, a small chat that stands in for a legacy one.
//   - redact: the log encoder chatgate_redact.
//   - checks: finds what makes a configuration unsafe although it works.
//
// They share: option, which reads and checks options by tables; syntax, which reads single values; identity, the options about
// identity headers; caller, which finds out who sent a request; endpoint, which matches paths; answer, which writes responses;
// envelope, how rooms.txt has them; and upgrade, which takes connections over.
//
// Imports run one way: checks → handlers → app → authcore, and stores, senders → app. The app knows its stores and senders only
// by their interfaces, so that a binary can be built with more of them. No package here decides anything about accounts (authcore
// does) or frames (chatroom does).
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
