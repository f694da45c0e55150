package authcore

import (
	"context"
	"time"
)

// Refreshing is a request for a new token of the same session.
type Refreshing struct {
	Token         UnverifiedToken
	TokenLifetime time.Duration // of the new one; 0: the session's
	Client        Client
}

// Refresh replaces a token of a live session with one of the next generation; the old one may have expired. For the token
// just before the newest, since the answer with the newest may have been lost, it returns another token of the newest
// generation. An older token means that it or its successor was stolen, and ends the session on every node. Kinds:
// BadToken, SessionOver, Unavailable.
func (s *Service) Refresh(ctx context.Context, r Refreshing) (Grant, error) {
	c, err := s.tokens.checkExpired(ctx, r.Token)
	if err != nil {
		return Grant{}, err
	}
	account, id := AccountID(c.Subject), SessionID(c.Session)
	e, k, err := s.state.live.lookup(ctx, account, id, s.state.load(account, id))
	if err != nil {
		return Grant{}, err
	}
	if k.session.Account != account {
		return Grant{}, errOthersAccount
	}
	now := s.state.options.Now()
	if k.session.over(now, time.UnixMilli(e.lastSeen.Load())) {
		return Grant{}, errSessionOver
	}
	if k.session.Generation > c.Generation+1 {
		return Grant{}, s.theft(ctx, k.account, id, r.Client)
	}
	sess, err := query(ctx, "rotating a session", func(ctx context.Context) (Session, error) {
		return s.state.options.Sessions.RotateSession(ctx, account, id, c.Generation)
	})
	if err != nil {
		return Grant{}, err
	}
	s.state.live.rotated(e, sess.Generation)
	if sess.Generation > c.Generation+1 {
		return Grant{}, s.theft(ctx, k.account, id, r.Client)
	}
	tok, expires, err := s.tokens.issue(&k.account, &sess, r.TokenLifetime)
	if err != nil {
		return Grant{}, err
	}
	if !expires.After(now) { // its last second has begun
		return Grant{}, errSessionOver
	}
	e.lastSeen.Store(now.UnixMilli())
	g := newGrant(tok, expires, k.account, sess, false)
	s.publish(g.event(EventTokenRefreshed, r.Client))
	return g, nil
}

// theft ends a session after a refresh with an old token. Only the first of several such refreshes notifies the owner.
func (s *Service) theft(ctx context.Context, a Account, id SessionID, c Client) error {
	r, err := s.EndSession(ctx, Actor{Client: c}, a.ID, id)
	if err != nil { // there may be no second try
		e := NodeEvent{Account: a.ID, Sessions: []SessionID{id}}
		s.state.apply(e)
		s.state.postpone(e)
	}
	theft := failed(EventTokenTheft, a, c, err)
	theft.Session, theft.Receipt, theft.repeated = id, r, err == nil && r.Sessions == 0 && !r.unforgotten
	s.publish(theft)
	if err != nil {
		return err
	}
	return errSessionOver
}
