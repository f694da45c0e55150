// Package redisstore keeps what all nodes share and what may be lost in Redis 6.2 or later: sessions, limits, presence
// and the feed that carries events between nodes. The server is a single one, one that Sentinels watch, or a Cluster.
// Accounts are not here.
//
// The keys, after the prefix:
//
//	:{account}:sessions    a hash, with a field for each session of the account
//	:rate:class:hash       a budget: the time at which it is full again
//	:failures:class:hash   the failures of a key, and the time of the last
//
// Those of the feed and of presence stand in the files of these names.
//
// All sessions of an account are in one key. So every step on them is atomic without a transaction, an index cannot
// disagree with what it indexes, and no Cluster can tear them apart. The key lives as long as the session in it that
// ends last; those that ended before it leave when another one begins. Each value names the account and the session it
// belongs to, and a reader checks both. The scripts that change a session, when it is used or moves to its next
// generation, change one number of it and leave the rest as it is stored, so that nodes of two versions can share it. In
// the same way an event of the feed may have fields that its reader does not know.
//
// Nothing is read from a replica: it may not yet know that a session has ended. A command that must run only once is
// never sent a second time; the caller gets the error. A caller who then asks again for the same rotation gets the
// generation that it made.
package redisstore
