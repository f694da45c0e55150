// Package tcpproxy is the line protocol and the TCP gate, as handlers of caddy-l4: chatgate_line reads requests, and,
// where it has an upstream, hands a connection that has logged in to a legacy chat; chatgate_tls is caddy-l4's tls with a
// deadline and a limit.
//
// Bytes become requests in package line, a request becomes one call of [authcore.Service], and what comes of it becomes
// one reply line: see conversation.go and verbs.go. After an "ok" of a gate the connection, with what was read of it and
// not used, belongs to package relay, and no line is read any more.
//
// What holds throughout: a connection that nobody has logged in costs one buffer of a fixed size, has a deadline, and
// counts against its address. Nothing of a connection hangs on the context of the configuration that it came by.
package tcpproxy
