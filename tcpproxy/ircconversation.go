package tcpproxy

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/mholt/caddy-l4/modules/l4tls"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/tcpproxy/irc"
	"github.com/chatgate/chatgate/tcpproxy/line"
)

// registrationTimeout is how long a client may take to say who it is.
const registrationTimeout = time.Minute

// ircConversation is an arrival that speaks IRC.
type ircConversation struct {
	arrival
	reader *irc.Reader
	reg    irc.Registration
	who    caller
}

func newIRCConversation(a arrival) *ircConversation {
	c := &ircConversation{arrival: a}
	c.until = time.Now().Add(registrationTimeout)
	c.reader = irc.NewReader(c, irc.MaxClientTags)
	c.reg = irc.Registration{Server: c.serverName(), Host: c.client.Addr.String()}
	return c
}

// serverName is what the gateway calls itself.
func (c *ircConversation) serverName() string {
	if c.IRC.ServerName != "" {
		return c.IRC.ServerName
	}
	for _, s := range l4tls.GetConnectionStates(c.cx) {
		if isServerName(s.ServerName) {
			return s.ServerName
		}
	}
	return "chatgate"
}

// serve lets the client register, then the gateway with an upstream for it, and relays.
func (c *ircConversation) serve() {
	if err := c.admit(); err != nil {
		c.finish(irc.Closing(ircReason(err)))
		return
	}
	defer c.stays()

	var relay func()
	switch c.register() {
	case irc.Complete:
		relay = c.handOver()
	case irc.Close, irc.Wait, irc.Login: // the last two: the client is gone
	}
	if relay == nil {
		c.forget()
		return
	}
	relay()
}

// register reads what the client says until it has said who it is. What there is to say when it is over was said.
func (c *ircConversation) register() irc.Step {
	for n := 1; ; n++ {
		if c.await(n == 1 || c.reader.Buffered() > 0) != nil {
			return irc.Close
		}
		text, err := c.reader.ReadLine()
		var say []byte
		step := irc.Wait
		switch {
		case err == nil:
			say, step = c.reg.Line(text)
		case errors.Is(err, irc.ErrTooLong):
			say = c.reg.TooLong()
		case errors.Is(err, irc.ErrEndless):
			c.finish(append(c.reg.TooLong(), irc.Closing("no end of a line")...))
			return irc.Close
		case errors.Is(err, io.EOF):
			return irc.Close
		default:
			c.finish(irc.Closing("registration timed out"))
			return irc.Close
		}
		if step == irc.Login {
			if !c.write(say) {
				return irc.Close
			}
			say, step = c.login()
		}
		if step == irc.Wait {
			switch {
			case c.tries >= c.Tries:
				say, step = append(say, irc.Closing("too many failed logins")...), irc.Close
			case n >= c.Requests:
				say, step = append(say, irc.Closing("too many commands before registration")...), irc.Close
			}
		}
		if step == irc.Close {
			c.finish(say)
			return step
		}
		if !c.write(say) {
			return irc.Close
		}
		if step == irc.Complete {
			return step
		}
	}
}

// login proves what the client claims.
func (c *ircConversation) login() ([]byte, irc.Step) {
	claimed := c.reg.Claimed()
	var out outcome
	err := c.ask(func(ctx context.Context, service *authcore.Service, _ func()) error {
		var err error
		out, err = login(ctx, request{
			service: service, args: map[line.Key]string{"u": claimed.ClaimedAccount, "p": claimed.Password()},
			client: c.client, lifetime: time.Duration(c.TokenLifetime),
		})
		if err == nil && !actsForItself(claimed, out.id.Username) {
			c.endSession(service, out.caller)
			err = authcore.Errorf(authcore.KindWrongPassword, "an account acts for itself alone")
		}
		return err
	})
	if err != nil {
		c.tries++
		c.failed("login", err)
		return c.reg.Failed(ircFailure(err))
	}
	c.who = out.caller
	return c.reg.LoggedIn(string(out.id.Username))
}

// actsForItself reports whether the client wants to be nobody else than it is.
func actsForItself(claimed irc.Credentials, name authcore.Username) bool {
	if claimed.ClaimedTarget == "" || claimed.ClaimedTarget == claimed.ClaimedAccount {
		return true
	}
	target, err := authcore.CanonicalUsername(claimed.ClaimedTarget)
	return err == nil && target == name
}

// forget ends the session of a connection that came to nothing.
func (c *ircConversation) forget() {
	if !c.who.fresh {
		return
	}
	err := c.ask(func(_ context.Context, service *authcore.Service, _ func()) error {
		c.endSession(service, c.who)
		return nil
	})
	if err != nil {
		c.failed("end of a session", err)
	}
}
