// Package nodes holds the end-to-end tests of several gateways over one PostgreSQL and one Redis: that a logout reaches
// all of them, what clients see while a server or the network between them fails, that nothing revoked is ever accepted
// again, and that nobody gets an answer that is another's.
//
// Each gateway reaches its servers through fault proxies of its own, so that one can be cut off while the others go on.
package nodes
