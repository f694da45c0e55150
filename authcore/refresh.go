package authcore

import (
	"context"
	"errors"
	"time"
)

// Refreshing is a request for a new token of the same session.
type Refreshing struct {
	Token         UnverifiedToken
	TokenLifetime time.Duration // of the new one; 0: the session's
	Client        Client
}

var errSuperseded = &Error{
	Kind: KindBadToken, Msg: "the token was replaced by newer ones; use the newest one or log in again",
	Err: staleToken{errors.New("superseded by refreshes")},
}

// Refresh replaces a token of a session that lives by one of the next generation; the old one may have expired. With the
// token just before the newest, whose answer may have been lost, it returns another token of the newest generation, and
// for a minute after it was superseded, with an older one. Later that is refused. If it then comes from another client than
// the latest refresh, it was stolen, or its successor was: its session ends, everywhere. Kinds: BadToken, SessionOver,
// Unavailable.
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
	sess, err := s.rotate(ctx, e, k, c.Generation, r.Client)
	if err != nil {
		return Grant{}, err
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

// rotate returns the session as it is after a refresh with a token of a generation, if that token is good for one.
func (s *Service) rotate(ctx context.Context, e *liveSession, k *knownSession, generation int64, c Client) (Session, error) {
	account, id := k.session.Account, k.session.ID
	move := func(generation int64) (Session, error) {
		sess, err := query(ctx, "rotating a session", func(ctx context.Context) (Session, error) {
			r := Rotation{At: s.state.options.Now(), By: s.state.clientMark(id, c)}
			return s.state.options.Sessions.RotateSession(ctx, account, id, generation, r)
		})
		if err == nil {
			s.state.live.rotated(e, sess.Generation)
		}
		return sess, err
	}
	var sess Session
	var err error
	if k.session.Generation > generation+1 {
		// A store that went back to an older state may know less; the token is no newer for that.
		sess, err = query(ctx, "looking up a session", func(ctx context.Context) (Session, error) {
			return s.state.options.Sessions.Session(ctx, account, id)
		})
		sess.Generation = max(sess.Generation, k.session.Generation)
	} else {
		sess, err = move(generation)
	}
	switch {
	case err != nil || sess.Generation <= generation+1:
		return sess, err
	case sess.gracious(generation, s.state.options.Now()): // as with the predecessor, of which this client may have missed the answer
		return move(sess.Generation - 1)
	case s.state.lastClient(&sess) != s.state.clientMark(id, c):
		return Session{}, s.theft(ctx, k.account, id, c)
	}
	refused := failed(EventTokenRefused, k.account, c, errSuperseded)
	refused.Session = id
	s.publish(refused)
	return Session{}, errSuperseded
}

// theft ends a session of which an old token came back. Of several who bear one, the first brings the owner a notice.
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
