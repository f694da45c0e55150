// Package caddymodule is chatgate as Caddy sees it: the app "chatgate" with its stores and policy, and the HTTP
// handlers chatgate_accounts, chatgate_proxy and chatgate_demo_room with their Caddyfile directives.
//
// It decides nothing about accounts (package authcore does) and nothing about frames (package chatroom does); it turns
// configuration into their options, requests into their calls, and their results into responses.
//
// What must outlive a configuration, the stores with the sessions and live connections over them, sits in a usage pool
// keyed by what it was configured with; see state.go.
package caddymodule
