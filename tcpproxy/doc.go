// Package tcpproxy is the line protocol and the TCP gate, as the handler chatgate_line of caddy-l4: it reads requests, and,
// where it has an upstream, hands a connection that has logged in to a legacy chat. chatgate_tls, which belongs before it,
// is package tls.
//
// The handler speaks either of two protocols, each of which has its wire in a package of its own, [line] and [irc]. Both
// are an arrival (arrival.go) that becomes a conversation and may be handed over: lines in line.go, conversation.go, verbs.go,
// answers.go and gate.go, IRC in irc.go and the files whose names begin with irc. They share a package because they share
// the handler, its options and its upstreams.
//
// Bytes become requests in package line, a request becomes one call of [authcore.Service], and what comes of it becomes
// one reply line: see conversation.go and verbs.go. After an "ok" of a gate the connection, with what was read of it and
// not used, belongs to package relay, and no line is read any more.
//
// What holds throughout: a connection that nobody has logged in costs one buffer of a fixed size, has a deadline, and
// counts against its address. Nothing of a connection hangs on the context of the configuration that it came by.
package tcpproxy
