package authcore

import "time"

// EventKind is what happened.
type EventKind uint8

// The kinds. [EventKinds] lists them all.
const (
	EventAccountRegistered EventKind = iota
	EventAccountDisabled
	EventLogin           // a session began
	EventLoginFailed     // a password or another proof was wrong
	EventLoginDelayed    // not tried, after too many failures
	EventTokenRefreshed  // a session got its next token
	EventTokenTheft      // a refresh with a superseded token from another client, which ended the session
	EventTokenRefused    // a refresh with a superseded token, by the client of the latest one
	EventSessionsEnded   // by a logout or any other revocation
	EventDisconnected    // its owner set a session offline; it lives on
	EventResetCodeSent   // by mail
	EventResetCodeUnsent // the mail could not be sent
	EventEmailCodeSent   // queued for delivery, to validate an address
	EventEmailCodeUnsent // the mail could not be sent
	EventPhoneCodeSent   // by text message; or a message that the number is validated already
	EventWrongCode       // for an account
	EventWrongPhoneCode  // for a number, so that no account is known
	EventWrongEmailCode  // likewise for an address
	EventCodeDelayed     // not tried, after too many wrong ones
	EventPasswordReset   // by a code
	EventPhoneValidated
	EventEmailValidated
	EventProfileChanged
	EventInviteCreated
	EventRegistrationsLapsed // accounts that were not validated in time were deleted

	numEvents
)

// String returns the kind's stable name.
func (k EventKind) String() string {
	if k < numEvents {
		return eventLines[k].name
	}
	return "unknown"
}

// EventKinds returns every kind.
func EventKinds() []EventKind {
	ks := make([]EventKind, numEvents)
	for i := range ks {
		ks[i] = EventKind(i)
	}
	return ks
}

// Event is something that happened in the domain. Operations publish events; the log, the mails to owners and the
// [Subscriber] values of a [State] subscribe to them.
//
// Subscribers get an event after its change was stored. It is lost if they drop it, or if the process ends in between.
// That is enough for logs, metrics and mails. A kind that must be durable, for an audit or for webhooks, will be written
// as rows of the accounts' database in the transaction of its change: the store method that makes the change will take
// the Event beside it, as CreateAccount takes the invite that it redeems, and a worker will deliver the rows of the
// outbox. Such an Event is made before the change, and published after it like any other.
type Event struct {
	Kind    EventKind
	At      time.Time
	Account AccountID // affected; empty if unknown
	Session SessionID
	By      AccountID // the proven actor; empty for strangers, operators and scheduled work
	Client  Client    // where it came from, and in which dialect; zero for scheduled work
	Err     error     // why it failed; nil after a success

	Username Username // of the account, if known
	Receipt  Receipt  // of ended sessions
	Invite   Invite   // without its hash
	Count    int      // of lapsed registrations

	email     string // of the account, for mails
	confirmed bool   // the owner reads it
	repeated  bool   // its owner was notified of the first
}

// Subscriber gets every event, in the order of their publication, from any goroutine. It returns at once and cannot
// fail: one that needs time queues events, drops those that do not fit, and counts them.
type Subscriber func(Event)

// about returns an event that affects an account.
func about(k EventKind, a Account, c Client) Event {
	return Event{Kind: k, Account: a.ID, Username: a.Username, Client: c, email: a.Email, confirmed: a.EmailConfirmed}
}

// byOwner returns an event caused by the owner of the account.
func byOwner(k EventKind, a Account, c Client) Event {
	e := about(k, a, c)
	e.By = a.ID
	return e
}

// failed returns an event about an operation that failed, or was not tried because of earlier failures.
func failed(k EventKind, a Account, c Client, err error) Event {
	e := about(k, a, c)
	e.Err = err
	return e
}

// event returns an event caused by the actor.
func (by Actor) event(k EventKind, account AccountID) Event {
	return Event{Kind: k, Account: account, By: by.Identity.Account, Client: by.Client}
}

// publish hands an event to the owner's mail and to all subscribers. It never blocks and never fails the operation.
func (s *Service) publish(e Event) {
	e = s.state.publish(e)
	if s.owners != nil {
		s.owners(e)
	}
}

// publish hands an event to the log and all subscribers, and returns it as they got it.
func (st *State) publish(e Event) Event {
	e.At = st.options.Now()
	e.Invite.Hash, e.Invite.EmailHash = nil, nil
	st.events.take(e)
	for _, tell := range st.options.Subscribers {
		tell(e)
	}
	return e
}
