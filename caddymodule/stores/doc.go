// Package stores has the modules that say where accounts and sessions are kept: chatgate.accounts.sqlite and postgres,
// chatgate.sessions.embedded and redis, a file each. What such a module has to do is written at [app.AccountsModule] and
// [app.SessionsModule]; one of another repository needs nothing of this package.
//
// A module reads its options, resolves placeholders in Provision, and says what it means (Identity); the stores themselves
// are those of authcore/sqlstore and authcore/redisstore.
package stores
