package authcore

import (
	"context"
	"errors"
	"time"
)

var errStopping = &Error{Kind: KindUnavailable, Msg: "the server is restarting", RetryAfter: time.Second}

var errSessionOver = &Error{Kind: KindSessionOver, Msg: "the session is over"}

// proven is an Identity together with the session it was proven against.
type proven struct {
	Identity
	entry *liveSession
}

// Authenticate proves a token: its signature, its claims, and that its session lives. No store is asked for a session
// that this process knows. Kinds: BadToken, SessionOver, Unavailable.
func (s *Service) Authenticate(ctx context.Context, token UnverifiedToken) (Identity, error) {
	p, err := s.prove(ctx, token)
	return p.Identity, err
}

func (s *Service) prove(ctx context.Context, token UnverifiedToken) (proven, error) {
	c, err := s.tokens.check(ctx, token)
	if err != nil {
		return proven{}, err
	}
	account, id := AccountID(c.Subject), SessionID(c.Session)
	e, k, err := s.state.live.lookup(ctx, account, id, s.state.load(account, id))
	if err != nil {
		return proven{}, err
	}
	if c.Generation > k.session.Generation { // another node refreshed it, or the store went back to an older state
		s.state.live.rotated(e, c.Generation)
	}
	now := s.state.Now()
	switch {
	case k.session.Account != account:
		return proven{}, errOthersAccount
	case c.Generation < k.session.Generation-1:
		return proven{}, stale("superseded by a refresh")
	case k.session.over(now, time.UnixMilli(e.lastSeen.Load())):
		return proven{}, errSessionOver
	}
	e.lastSeen.Store(now.UnixMilli())
	return proven{Identity{
		Account: account, Session: id, Username: k.account.Username, DisplayName: k.account.DisplayName, Email: k.account.Email,
		Number: k.account.Number, Expires: time.Unix(c.Expires, 0).UTC(),
	}, e}, nil
}

// load returns what looks a session up. The look-up is shared by all who ask for the same session at once, so it does
// not die with the first of them.
func (st *State) load(account AccountID, id SessionID) sessionLoader {
	return func(ctx context.Context) (Session, Account, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storePatience)
		defer cancel()
		sess, err := st.Sessions.Session(ctx, account, id)
		if err != nil {
			return Session{}, Account{}, unavailable("looking up a session", err)
		}
		a, err := st.owner(ctx, sess)
		if KindOf(err) == KindSessionOver {
			// Whoever revoked it did not come to the end of that, and others may not have heard.
			st.postpone(Event{Account: account, Sessions: []SessionID{id}})
		}
		if err != nil {
			return Session{}, Account{}, unavailable("looking up an account", err)
		}
		a.PasswordHash = "" // nothing that needs it asks here
		return sess, a, nil
	}
}

// owner returns the account of a session that the session store has, or KindSessionOver: the account's own database has
// the last word on whether it lives.
func (st *State) owner(ctx context.Context, sess Session) (Account, error) {
	a, revoked, err := st.Revocations.SessionAccount(ctx, sess.Account, sess.ID)
	switch {
	case KindOf(err) == KindUnknownAccount:
		return Account{}, errSessionOver
	case err != nil:
		return Account{}, err
	case revoked || a.Disabled || sess.Epoch != a.Epoch && sess.ID != a.Kept:
		return Account{}, errSessionOver
	}
	return a, nil
}

// Hold proves a token and registers conn as live under its session, as one step: there is no moment at which the
// session could end without conn being told. Where tillExpiry is set, conn is also ended when the token expires. The
// caller passes the lease to [Live.Release] when the connection is gone, however it went.
func (s *Service) Hold(ctx context.Context, token UnverifiedToken, conn LiveConn, lease *Lease, tillExpiry bool) (Identity, error) {
	for range 3 { // an entry can be evicted between the proof and the registration; then the proof is due again
		p, err := s.prove(ctx, token)
		if err != nil {
			return Identity{}, err
		}
		var till time.Duration
		if tillExpiry {
			till = max(p.Expires.Sub(s.state.Now()), time.Nanosecond)
		}
		if s.state.live.stopping.Load() {
			return Identity{}, errStopping
		}
		if s.state.live.hold(p.entry, conn, lease, till) {
			return p.Identity, nil
		}
	}
	return Identity{}, unavailable("holding a connection", errors.New("the session was evicted each time"))
}

// HoldVisitor registers the connection of an anonymous visitor, which only a shutdown ends. Kinds: Unavailable.
func (s *Service) HoldVisitor(conn LiveConn, lease *Lease) error {
	if !s.state.live.hold(&s.state.live.anon, conn, lease, 0) {
		return errStopping
	}
	return nil
}
