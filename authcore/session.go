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
	DisplayName string
	Email       string
	Number      int64
	Expires     time.Time // of the token
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
	err = exec(ctx, "creating a session", func(ctx context.Context) error { return s.state.Sessions.CreateSession(ctx, sess) })
	if err != nil {
		return Grant{}, err
	}
	return newGrant(tok, expires, a, sess, true), nil
}
