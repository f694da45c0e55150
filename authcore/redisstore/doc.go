// Package redisstore keeps sessions, limits, presence and the feed of events between nodes in Redis 6.2 or later: a
// single server, one watched by Sentinels, or a Cluster. All nodes share it, and losing it loses no account.
//
// The keys, after the prefix:
//
//	:{account}:sessions    a hash, with a field for each session of the account
//	:rate:class:hash       a budget: the time at which it is full again
//	:failures:class:hash   the number of failures of a key, and the time of the last
//
// feed.go and presence.go list theirs.
//
// All sessions of an account are in one key. So every step on them is atomic without a transaction, no index can
// disagree with them, and a Cluster keeps them on one server. The key lives as long as its longest session; creating a
// session removes some that ended earlier. Each value names its account and session, and readers check both. Scripts
// that touch or rotate a session change one number and leave the rest as stored, so that nodes of two versions can share
// it. Likewise an event of the feed may have fields that its reader does not know.
//
// What a user of the server has to be allowed is in docs/nodes.md; rights.go tries all of it at the start.
//
// Nothing is read from a replica, which may not yet know that a session has ended. A command that must run only once is
// never sent twice; the caller gets the error. A caller who then repeats a rotation gets the generation that the first
// one made.
package redisstore
