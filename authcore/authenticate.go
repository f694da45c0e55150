package authcore

import (
	"context"
	"errors"
	"time"
)

var errStopping = &Error{Kind: KindUnavailable, Msg: "the server is restarting", RetryAfter: time.Second}

var errSessionOver = &Error{Kind: KindSessionOver, Msg: "the session is over"}

// Authenticate proves a token: its signature, its claims, that its session is alive, and that the policy lets its account
// into the chat. It asks no store about a session that this process knows. Kinds: BadToken, SessionOver, UnverifiedEmail,
// Unavailable.
func (s *Service) Authenticate(ctx context.Context, token UnverifiedToken) (ProvenSession, error) {
	p, a, err := s.prove(ctx, token)
	if err == nil {
		err = s.admit(a)
	}
	if err != nil {
		return ProvenSession{}, err
	}
	return p, nil
}

// AuthenticateOwner is Authenticate for what owners do with their account, such as confirming its address: that is open to
// whom the policy does not let into the chat. Kinds: BadToken, SessionOver, Unavailable.
func (s *Service) AuthenticateOwner(ctx context.Context, token UnverifiedToken) (ProvenSession, error) {
	p, _, err := s.prove(ctx, token)
	return p, err
}

func (s *Service) prove(ctx context.Context, token UnverifiedToken) (ProvenSession, *Account, error) {
	c, err := s.tokens.check(ctx, token)
	if err != nil {
		return ProvenSession{}, nil, err
	}
	account, id := AccountID(c.Subject), SessionID(c.Session)
	_, k, err := s.alive(ctx, account, id, c.Generation, s.state.load(account, id))
	if err != nil {
		return ProvenSession{}, nil, err
	}
	return provenSession(&k.account, id, c.Generation, time.Unix(c.Expires, 0).UTC()), &k.account, nil
}

// alive returns what is known of a session if it lives, and notes its use. A token of any generation is good for that:
// clients that share a session refresh it without each other's knowledge.
func (s *Service) alive(ctx context.Context, account AccountID, id SessionID, generation int64, load sessionLoader) (*liveSession, *knownSession, error) {
	e, k, err := s.state.live.lookup(ctx, account, id, load)
	if err != nil {
		return nil, nil, err
	}
	if generation > k.session.Generation { // another node refreshed it, or the store went back to an older state
		s.state.live.rotated(e, generation)
	}
	now := s.state.options.Now()
	switch {
	case k.session.Account != account:
		return nil, nil, errOthersAccount
	case k.session.over(now, time.UnixMilli(e.lastSeen.Load())):
		return nil, nil, errSessionOver
	}
	e.lastSeen.Store(now.UnixMilli())
	return e, k, nil
}

// load returns the function that looks a session up. Concurrent callers share the look-up, so it does not end with the
// first of them.
func (st *State) load(account AccountID, id SessionID) sessionLoader {
	return st.loadBy(func(ctx context.Context) (Session, error) { return st.options.Sessions.Session(ctx, account, id) })
}

// loadBegun is load for a new session. It does not read the session store, since the accounts' database knows whether
// the session was ended since.
func (st *State) loadBegun(begun Session) sessionLoader {
	first := true
	return st.loadBy(func(ctx context.Context) (Session, error) {
		if first {
			first = false
			return begun, nil
		}
		return st.options.Sessions.Session(ctx, begun.Account, begun.ID)
	})
}

func (st *State) loadBy(read func(context.Context) (Session, error)) sessionLoader {
	return func(ctx context.Context) (Session, Account, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storePatience)
		defer cancel()
		sess, err := read(ctx)
		if err != nil {
			return Session{}, Account{}, unavailable("looking up a session", err)
		}
		a, err := st.owner(ctx, sess)
		if err != nil {
			if KindOf(err) == KindSessionOver {
				// Its revocation was not completed, and other nodes may not know of it.
				st.postpone(NodeEvent{Account: sess.Account, Sessions: []SessionID{sess.ID}})
			}
			return Session{}, Account{}, unavailable("looking up an account", err)
		}
		a.PasswordHash = "" // nothing that needs it asks here, nor what follows
		sess.Rotations, sess.RefreshedBy = "", ""
		return sess, a, nil
	}
}

// owner returns the account of a session that the session store has, or KindSessionOver, since the accounts' database has
// the last word on whether it is alive.
func (st *State) owner(ctx context.Context, sess Session) (Account, error) {
	a, revoked, err := st.options.Revocations.SessionAccount(ctx, sess.Account, sess.ID)
	if err != nil {
		if KindOf(err) == KindUnknownAccount {
			err = errSessionOver
		}
		return Account{}, err
	}
	if revoked || a.Disabled || sess.Epoch != a.Epoch && sess.ID != a.Kept {
		return Account{}, errSessionOver
	}
	return a, nil
}

// Hold registers conn as live under a proven session, if that is still alive. From then on the end of the session ends
// conn; it cannot end unnoticed in between. With tillExpiry, conn also ends when the token expires. The caller releases
// the lease when the connection is gone, for whatever reason. Kinds: BadToken, SessionOver, UnverifiedEmail, Unavailable.
func (s *Service) Hold(ctx context.Context, p ProvenSession, conn LiveConn, lease *Lease, tillExpiry bool) error {
	if p.generation == 0 { // not from a Service
		return errSessionOver
	}
	load := s.state.load(p.Account, p.Session)
	if p.begun != nil {
		load = s.state.loadBegun(*p.begun)
	}
	for range 3 { // the entry can be evicted before conn is registered; then the session is looked up again
		left := p.Expires.Sub(s.state.options.Now())
		if left <= 0 {
			return stale("expired")
		}
		e, k, err := s.alive(ctx, p.Account, p.Session, p.generation, load)
		if err == nil {
			err = s.admit(&k.account)
		}
		if err != nil {
			return err
		}
		if !tillExpiry {
			left = 0
		}
		if s.state.live.stopping.Load() {
			return errStopping
		}
		if s.state.live.attach(e, conn, lease, left) {
			return nil
		}
	}
	return unavailable("holding a connection", errors.New("the session was evicted each time"))
}

// HoldVisitor registers the connection of an anonymous visitor, which only a shutdown ends. Kinds: Unavailable.
func (s *Service) HoldVisitor(conn LiveConn, lease *Lease) error {
	if !s.state.live.attach(&s.state.live.anon, conn, lease, 0) {
		return errStopping
	}
	return nil
}
