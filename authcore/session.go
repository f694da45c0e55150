package authcore

import (
	"context"
	"net/netip"
	"time"
)

// SessionID names a session: 128 random bits. It is an identifier, not a credential; the signed token is.
type SessionID string

// Session is the server's record of a login: one device, one set of tokens.
type Session struct {
	ID         SessionID
	Account    AccountID
	CreatedAt  time.Time     // UTC, whole milliseconds, as the other times
	LastSeenAt time.Time     // the last stored use; lags by up to a minute
	ExpiresAt  time.Time     // the absolute end
	IdleLimit  time.Duration // it also ends this long after its last use; zero means never
	Generation int64         // of the current token; the first is 1
	Epoch      int64         // of the account when the login was proven
	Dialect    string        // that it was made through
	Addr       netip.Addr    // of the client at login
	UserAgent  string        // of the client at login, cut to 256 bytes

	Rotations   Rotations  // when its newest generations were made
	RefreshedBy ClientMark // that got its newest tokens; empty before the first refresh
}

// over reports whether s has ended at now, by its absolute end or by idleness since lastSeen.
func (s *Session) over(now, lastSeen time.Time) bool {
	return !now.Before(s.ExpiresAt) || s.IdleLimit > 0 && now.Sub(lastSeen) >= s.IdleLimit
}

// Client is an unchecked caller: the dialect that it used, its address as the outermost trusted hop saw it, and the name
// that it gives itself.
type Client struct {
	Dialect   string
	Addr      netip.Addr
	UserAgent string
}

// Identity is a proven caller: a token whose signature, claims and session were checked.
type Identity struct {
	Account     AccountID
	Session     SessionID
	Username    Username
	DisplayName string // empty where the username is to be shown
	Email       string // confirmed; empty if there is none that is
	Number      int64
	Expires     time.Time // of the token
}

// Actor is the caller of an operation and its client. Operations that change something take one, so that their events
// can name it. An operator is an Actor without an identity.
type Actor struct {
	Identity Identity // the proven caller; zero for operators and strangers
	Client   Client
}

// ProvenSession is a session that was alive when a token or a login proved it, with what [Service.Hold] needs to hold a
// connection under it. Only a Service makes one.
type ProvenSession struct {
	Identity
	generation int64    // of the token
	begun      *Session // if it was just begun, and no token was read
}

func provenSession(a *Account, id SessionID, generation int64, expires time.Time) ProvenSession {
	return ProvenSession{Identity: Identity{
		Account: a.ID, Session: id, Username: a.Username, DisplayName: a.toldName(), Email: a.confirmedEmail(), Number: a.Number, Expires: expires,
	}, generation: generation}
}

// Grant is a session that was just created or refreshed.
type Grant struct {
	Proven  ProvenSession // which can be held at once
	Token   SignedToken
	Expires time.Time
	Account Account
	Session Session
}

// startSession creates a session for a proven account, and its first token.
func (s *Service) startSession(ctx context.Context, a Account, c Client, lifetime time.Duration) (Grant, error) {
	now := s.wholeNow()
	sess := Session{
		ID: SessionID(randomID(16)), Account: a.ID, CreatedAt: now, LastSeenAt: now, ExpiresAt: now.Add(s.policy.SessionMax),
		IdleLimit: s.policy.SessionIdle, Generation: 1, Epoch: a.Epoch, Dialect: c.Dialect, Addr: c.Addr, UserAgent: cutUTF8(c.UserAgent, 256),
	}
	tok, expires, err := s.tokens.issue(&a, &sess, lifetime)
	if err != nil {
		return Grant{}, err
	}
	err = exec(ctx, "creating a session", func(ctx context.Context) error { return s.state.options.Sessions.CreateSession(ctx, sess) })
	if err != nil {
		return Grant{}, err
	}
	s.noteNetwork(a.ID, c)
	return newGrant(tok, expires, a, sess, true), nil
}

func newGrant(token SignedToken, expires time.Time, a Account, sess Session, begun bool) Grant {
	g := Grant{Token: token, Expires: expires, Account: a, Session: sess, Proven: provenSession(&a, sess.ID, sess.Generation, expires)}
	if begun {
		g.Proven.begun = &sess
	}
	return g
}

// event returns an event about the session.
func (g *Grant) event(k EventKind, c Client) Event {
	e := byOwner(k, g.Account, c)
	e.Session = g.Session.ID
	return e
}
