package methods

import (
	"context"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom/relay"
)

// call is one request for a method of ours.
type call struct {
	*conn
	Request
}

// The methods. Each decodes, checks the state, makes one call of authcore and answers. It returns the code of a failure that
// the caller still has to send, or "".
var calls = map[string]func(context.Context, call) Code{
	"user_register":   userRegister,
	"user_login":      userLogin,
	"user_token_auth": userTokenAuth,
	"user_logout":     userLogout,
	"user_logout_all": userLogoutAll,
}

// tokenReply is the reply to a login.
type tokenReply struct {
	Token authcore.SignedToken `json:"token"`
}

func userRegister(ctx context.Context, c call) Code {
	var in struct {
		Username   string  `json:"username"`
		Password   string  `json:"password"`
		InviteCode *string `json:"inviteCode"`
	}
	if c.arguments(&in) != nil || in.Username == "" || in.Password == "" {
		return BadRequest
	}
	r := authcore.Registration{
		ClaimedName: in.Username, Password: authcore.NewPassword(in.Password), NeedInvite: c.e.o.RequireInvites, Client: c.peer.Client,
	}
	if in.InviteCode != nil {
		r.Invite = authcore.InviteCode(*in.InviteCode)
	}
	g, err := c.accounts.Join(ctx, r)
	if err != nil {
		return c.failed(err)
	}
	return c.granted(ctx, g)
}

func userLogin(ctx context.Context, c call) Code {
	var in struct {
		Username string `json:"username"`
		Password string `json:"password"`
	}
	if c.arguments(&in) != nil || in.Username == "" || in.Password == "" {
		return BadRequest
	}
	g, err := c.accounts.Login(ctx, authcore.Credentials{
		ClaimedName: in.Username, Password: authcore.NewPassword(in.Password), Enter: true, Client: c.peer.Client,
	})
	if err != nil {
		return c.failed(err)
	}
	return c.granted(ctx, g)
}

func userTokenAuth(ctx context.Context, c call) Code {
	var in struct {
		Token string `json:"token"`
	}
	if c.arguments(&in) != nil || in.Token == "" {
		return BadRequest
	}
	proven, err := c.accounts.Authenticate(ctx, authcore.UnverifiedToken(in.Token))
	if err != nil {
		return c.failed(err)
	}
	return c.enter(ctx, proven, nil)
}

// userLogout ends the session, even if the client is gone before the answer.
func userLogout(ctx context.Context, c call) Code {
	return c.leave(ctx, func(ctx context.Context, by authcore.Actor) error {
		_, err := c.accounts.Logout(ctx, by)
		return err
	})
}

func userLogoutAll(ctx context.Context, c call) Code {
	return c.leave(ctx, func(ctx context.Context, by authcore.Actor) error {
		_, err := c.accounts.LogoutAll(ctx, by, by.Identity.Account, "")
		return err
	})
}

// granted logs the connection in to the new session of a grant. If that fails it ends the session, since nobody has its token.
func (c call) granted(ctx context.Context, g authcore.Grant) Code {
	code := c.enter(ctx, g.Proven, tokenReply{g.Token})
	if code == "" {
		return ""
	}
	if _, err := c.accounts.Logout(context.WithoutCancel(ctx), authcore.Actor{Identity: g.Proven.Identity, Client: c.peer.Client}); err != nil {
		c.e.o.Log.Warn("a session that nobody has could not be ended", "session", g.Session.ID, "error", err)
	}
	if code == BadToken {
		code = Unavailable // the session ended before the client heard of it
	}
	return code
}

// enter logs the connection in to a proven session, and answers. The session that it had before lives on.
func (c call) enter(ctx context.Context, proven authcore.ProvenSession, d any) Code {
	s, id := &state{c: c.conn}, proven.Identity
	if err := c.accounts.Hold(ctx, proven, s, &s.lease, false); err != nil {
		return c.failed(err)
	}
	s.id, s.seat = &id, accountKey(id.Account)
	if !c.e.o.Counts.Take(s.seat, c.e.o.PerAccount) {
		s.lease.Release()
		return RateLimited
	}
	if c.e.o.Upstream != nil {
		s.leg = c.newLeg(&id)
	}
	c.wmu.Lock()
	old := c.become(s, nil)
	if old != nil {
		c.writeLocked(textMessage, Success(c.ID, d))
	}
	c.wmu.Unlock()
	if old == nil { // the connection is being closed
		s.release()
		return ""
	}
	c.hangUp(old, relay.CloseNormal)
	old.release()

	c.mu.Lock()
	ended, l := s.ended, s.leg
	if l != nil && !c.closed {
		c.tasks.Go(l.greet)
	}
	c.mu.Unlock()
	if ended { // before the connection had the state
		c.expel(s)
	}
	return ""
}

// leave ends sessions of the logged-in account and logs the connection out.
func (c call) leave(ctx context.Context, end func(context.Context, authcore.Actor) error) Code {
	if c.arguments(&struct{}{}) != nil {
		return BadRequest
	}
	c.mu.Lock()
	s := c.state
	if s.id == nil || s.ended {
		c.mu.Unlock()
		return c.notLoggedIn()
	}
	s.leaving = true
	c.mu.Unlock()

	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), c.e.o.times.call)
	defer cancel()
	if err := end(ctx, authcore.Actor{Identity: *s.id, Client: c.peer.Client}); err != nil {
		code := c.failed(err)
		c.mu.Lock()
		s.leaving = false
		ended := s.ended
		c.mu.Unlock()
		c.send(Failure(c.ID, code))
		if ended { // here, if not everywhere
			c.expel(s)
		}
		return ""
	}
	v, err := c.newVisitor(false)
	c.wmu.Lock()
	var old *state
	if err == nil {
		old = c.become(v, s)
	}
	c.writeLocked(textMessage, Success(c.ID, nil))
	c.wmu.Unlock()
	switch {
	case err != nil:
		c.shut(relay.CloseRestart, relay.CloseRestart.Reason())
	case old == nil:
		v.release()
	default:
		c.hangUp(s, relay.CloseNormal)
		s.release()
	}
	return ""
}

// failed returns the code of an error, and logs it if it is one of ours.
func (c *conn) failed(err error) Code {
	if e := authcore.AsError(err); e.Err != nil && c.ctx.Err() == nil &&
		(e.Kind == authcore.KindInternal || e.Kind == authcore.KindUnavailable) {
		c.e.o.Log.Error("a method failed", "kind", e.Kind.String(), "client_ip", c.peer.Client.Addr, "error", e.Err)
	}
	return codeOf(err)
}
