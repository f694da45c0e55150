package authcore

import "time"

// EventKind says what happened.
type EventKind uint8

// The kinds. [EventKinds] lists them all.
const (
	EventAccountRegistered EventKind = iota
	EventAccountDisabled
	EventLogin           // a session was begun
	EventLoginFailed     // a password or another proof was wrong
	EventLoginDelayed    // too many of them were, so nothing was tried
	EventTokenRefreshed  // a session has its next token
	EventTokenTheft      // a superseded token came back for a refresh, so its session was ended
	EventSessionsEnded   // a logout, or anything else that revokes
	EventDisconnected    // the owner had the session shown as offline; it lives on
	EventResetCodeSent   // by mail
	EventResetCodeUnsent // the mail could not be sent
	EventEmailCodeSent   // queued for delivery, to validate an address
	EventPhoneCodeSent   // by text message, or the message that the number is known
	EventWrongCode       // for an account
	EventWrongPhoneCode  // for a number, so that no account is known
	EventCodeDelayed     // too many of them were wrong, so nothing was tried
	EventPasswordReset   // by a code
	EventPhoneValidated
	EventEmailValidated
	EventProfileChanged
	EventInviteCreated
	EventRegistrationsLapsed // accounts were deleted that nobody had validated in time

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

// Event is something that happened in the domain. An operation publishes it in one line, and whoever is to know of it
// subscribes: the log, the mails to owners, and the [Subscriber] values of a [State].
//
// Subscribers hear of an event after its change was stored, and what they drop is lost: a process can end in between.
// That is enough for logs, metrics and mails. A kind that must be durable, for an audit or for webhooks, will be written
// as rows of the accounts' database in the transaction of its change: the store method that makes the change will take
// the Event beside it, as CreateAccount takes the invite that it redeems, and a worker will deliver the rows of the
// outbox. Such an Event is made before the change, and published after it like any other.
type Event struct {
	Kind    EventKind
	At      time.Time
	Account AccountID // that it happened to; empty if none is known
	Session SessionID
	By      AccountID // who did it, if they had proven that; empty for strangers, for operators, and for what falls due
	Client  Client    // where it came from, and in which dialect; zero for what falls due
	Err     error     // what failed, and with which kind; nil after a success

	Username Username // of the account, where it is known
	Receipt  Receipt  // of ended sessions
	Invite   Invite   // without its hash
	Count    int      // of lapsed registrations

	email    string // of the account, for mails
	repeated bool   // its owner was notified of the first
}

// Subscriber is told of every event, in the order in which they are published, from any goroutine. It returns at once
// and cannot fail: one that needs time for an event queues it, drops what does not fit, and counts that.
type Subscriber func(Event)

// about returns an event that happened to an account.
func about(k EventKind, a Account, c Client) Event {
	return Event{Kind: k, Account: a.ID, Username: a.Username, Client: c, email: a.Email}
}

// byOwner returns an event that the owner of an account brought about.
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

// event returns an event that the actor brought about.
func (by Actor) event(k EventKind, account AccountID) Event {
	return Event{Kind: k, Account: account, By: by.Identity.Account, Client: by.Client}
}

// publish tells the owner and all subscribers of an event. It never blocks and never fails the operation that publishes.
func (s *Service) publish(e Event) {
	e = s.state.publish(e)
	if s.owners != nil {
		s.owners(e)
	}
}

// publish tells the log and all subscribers of an event, and returns the event as they were told it.
func (st *State) publish(e Event) Event {
	e.At = st.options.Now()
	e.Invite.Hash, e.Invite.EmailHash = nil, nil
	st.events.take(e)
	for _, tell := range st.options.Subscribers {
		tell(e)
	}
	return e
}
