package tcpproxy

import "github.com/chatgate/chatgate/chatroom/relay"

// What is counted, in the whole process: connections outlive the configuration that they came by.
var (
	handshakes  relay.Counts // TLS handshakes under way, by client address
	strangers   relay.Counts // connections that nobody has logged in, by client address
	members     relay.Counts // connections handed over, by account
	connections relay.Counts // connections handed over, by upstream address
	failures    relay.Counts // of late to dial an upstream address
)
