// Package app is the Caddy app "chatgate": one set of accounts and sessions and the policy over them, for every handler of a
// configuration. It owns what survives a reload, and hands requests on to [authcore.Service].
//
//   - app.go, caddyfile.go, config.go, invite.go: the options, and the life of a configuration.
//   - accounts.go, sessions.go, mail.go, sms.go: what a module that keeps or sends things has to do; guest.go loads it. The app
//     imports none of them: ours are in packages stores and senders, and a binary can be built with more.
//   - service.go: how a request gets the operations, and which configuration's policy they are under.
//   - state.go, retirement.go: the pools of open stores and mailers.
//   - metrics.go, checks.go, processlog.go: what operators see.
//
// Provision opens nothing and connects to nothing, since caddy validate provisions as well. Stores are opened by the first to
// start or to ask, and stay open until the last configuration, request or live connection that needs them is gone. A pool's keys,
// logs and errors show no secret.
package app
