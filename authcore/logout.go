package authcore

import (
	"context"
	"errors"
	"time"
)

// Receipt is the effect of a revocation.
type Receipt struct {
	Sessions int           // ended
	Closed   int           // live connections that were told to close, on all nodes that answered
	Nodes    []NodeReceipt // the answers of the other nodes
	Took     time.Duration // from the call until all nodes had answered, or the wait was given up

	unforgotten bool // the session store did not answer and will be asked again, so Sessions may be too small
}

// Complete reports whether every known node answered.
func (r Receipt) Complete() bool {
	for _, n := range r.Nodes {
		if !n.Answered {
			return false
		}
	}
	return true
}

// Logout ends the actor's own session and its live connections, on every node. A session that is over already is not an
// error. Kinds: Unavailable.
func (s *Service) Logout(ctx context.Context, by Actor) (Receipt, error) {
	return s.EndSession(ctx, by, by.Identity.Account, by.Identity.Session)
}

// EndSession ends one session of an account. Kinds: Unavailable; then the session may still be alive, so call it again.
func (s *Service) EndSession(ctx context.Context, by Actor, account AccountID, id SessionID) (Receipt, error) {
	start := s.state.options.Now()
	forget := start.Add(s.policy.SessionMax)
	if k := s.state.live.knownSession(account, id); k != nil {
		forget = k.session.ExpiresAt
	}
	err := exec(ctx, "revoking a session", func(ctx context.Context) error {
		return s.state.options.Revocations.RevokeSession(ctx, account, id, forget)
	})
	if err != nil {
		return Receipt{}, err
	}
	ended := by.event(EventSessionsEnded, account)
	ended.Session = id
	return s.revoke(ctx, NodeEvent{Account: account, Sessions: []SessionID{id}}, ended, start)
}

// LogoutAll ends every session of the account except one (except may be empty), and their live connections, on every
// node. Kinds: UnknownAccount, SessionOver if except is over, Unavailable.
func (s *Service) LogoutAll(ctx context.Context, by Actor, account AccountID, except SessionID) (Receipt, error) {
	start := s.state.options.Now()
	var kept Session
	if except != "" {
		var err error
		kept, err = query(ctx, "looking up a session", func(ctx context.Context) (Session, error) {
			return s.state.options.Sessions.Session(ctx, account, except)
		})
		if err != nil {
			return Receipt{}, err
		}
	}
	e := NodeEvent{Account: account}
	err := exec(ctx, "revoking sessions", func(ctx context.Context) (err error) {
		e.Epoch, e.Kept, err = s.state.options.Revocations.RevokeSessions(ctx, account, kept)
		return err
	})
	if err != nil {
		return Receipt{}, err
	}
	r, err := s.revoke(ctx, e, by.event(EventSessionsEnded, account), start)
	if err == nil && e.Kept != except {
		err = errSessionOver
	}
	return r, err
}

// Disable closes an account to logins and ends all of its sessions. Kinds: UnknownAccount, Unavailable.
func (s *Service) Disable(ctx context.Context, by Actor, account AccountID) (Receipt, error) {
	err := exec(ctx, "disabling an account", func(ctx context.Context) error { return s.state.options.Accounts.SetDisabled(ctx, account, true) })
	if err != nil {
		return Receipt{}, err
	}
	s.publish(by.event(EventAccountDisabled, account))
	return s.LogoutAll(ctx, by, account, "")
}

// revoke completes a revocation that is stored in the accounts' database, even if the caller no longer waits. No look-up
// finds the sessions alive any more; revoke ends the connections of earlier look-ups. It publishes ended, with the
// receipt, or with the error if the other nodes could not be told.
func (s *Service) revoke(ctx context.Context, e NodeEvent, ended Event, start time.Time) (Receipt, error) {
	ctx = context.WithoutCancel(ctx)
	closed := s.state.apply(e)
	r, err := s.state.spread(ctx, e)
	if err != nil {
		s.state.postpone(e)
		ended.Err = err
		s.publish(ended)
		return Receipt{}, err
	}
	r.Closed += closed
	r.Took = s.state.options.Now().Sub(start)
	ended.Receipt = r
	s.publish(ended)
	return r, nil
}

// spread tells the other processes what is over, and deletes it from the session store.
func (st *State) spread(ctx context.Context, e NodeEvent) (Receipt, error) {
	var r Receipt
	if st.options.Feed != nil {
		nodes, err := st.options.Feed.Publish(ctx, e)
		if err != nil {
			return Receipt{}, unavailable("telling the other nodes", err)
		}
		r.Nodes = nodes
		for _, n := range nodes {
			r.Closed += n.Closed
		}
	}
	// Before the session store: a look-up that finds a revoked session there knows that its revocation was not
	// completed, see load.
	n, err := st.forget(ctx, e)
	if r.unforgotten = err != nil; err != nil {
		st.postpone(e)
		st.options.Log.Warn("cannot delete revoked sessions from the session store; trying again", "account", e.Account, "error", err)
	}
	r.Sessions = n
	return r, nil
}

// forget deletes the sessions that are over from the session store, and returns how many there were.
func (st *State) forget(ctx context.Context, e NodeEvent) (n int, err error) {
	if e.Epoch > 0 {
		ended, err := query(ctx, "ending sessions", func(ctx context.Context) ([]SessionID, error) {
			return st.options.Sessions.EndSessions(ctx, e.Account, e.Epoch, e.Kept)
		})
		if n = len(ended); err != nil {
			return n, err
		}
	}
	for _, id := range e.Sessions {
		did, err := query(ctx, "ending a session", func(ctx context.Context) (bool, error) { return st.options.Sessions.EndSession(ctx, e.Account, id) })
		if err != nil {
			return n, err
		}
		if did {
			n++
		}
	}
	return n, nil
}

var errNoSuchSession = &Error{Kind: KindNotFound, Msg: "there is no such session", Err: errors.New("not one of the caller's")}
