package tcpproxy

import "github.com/chatgate/chatgate/chatroom"

// What is counted, in the whole process: connections outlive the configuration that they came by.
var (
	handshakes  chatroom.Counts // TLS handshakes under way, by client address
	strangers   chatroom.Counts // connections that nobody has logged in, by client address
	members     chatroom.Counts // connections handed over, by account
	connections chatroom.Counts // connections handed over, by upstream address
	failures    chatroom.Counts // of late to dial an upstream address
)
