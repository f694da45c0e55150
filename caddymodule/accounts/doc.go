// Package accounts is the HTTP handler chatgate_accounts. It owns the pipeline of every account call: the numbered steps from
// the path to the answer, which no dialect can skip. A dialect, one of the folders rooms, auth and users, hands it a
// [dialect.Dialect]: routes, wire types and answers. The decisions are authcore's.
//
//   - accounts.go: the handler's options and its provisioning
//   - pipeline.go: the steps of a call, the first of which finds its endpoint
package accounts
