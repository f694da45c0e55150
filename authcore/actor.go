package authcore

// Actor is the caller of an operation and its client. Operations that change something take one, so that their events
// can name it. An operator is an Actor without an identity.
type Actor struct {
	Identity Identity // the proven caller; zero for operators and strangers
	Client   Client
}

// event returns an event caused by the actor.
func (by Actor) event(k EventKind, account AccountID) Event {
	return Event{Kind: k, Account: account, By: by.Identity.Account, Client: by.Client}
}
