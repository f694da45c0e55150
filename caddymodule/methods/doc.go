// Package methods is the HTTP handler chatgate_methods: it checks a WebSocket handshake and hands the connection to an endpoint
// of chatroom/methods, which serves its requests. Connections outlive the configuration; each of their calls is made under the
// policy that is in force by then.
//
//   - methods.go: options and provisioning
//   - handshake.go: what is checked before the 101
//   - accounts.go: account calls, under the policy in force
package methods
