package tcpproxy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/mholt/caddy-l4/modules/l4tls"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom/relay"
	"github.com/chatgate/chatgate/tcpproxy/irc"
)

// The bounds of how an upstream takes a client in.
const (
	welcomeTimeout = 30 * time.Second
	welcomeLines   = 1000
)

// errTold is that the client has heard from the upstream why it is not let in.
var errTold = errors.New("the upstream has refused the client")

// handOver registers the client with an upstream, and returns what relays until the end, or nil where the client was told
// why not.
func (c *ircConversation) handOver() (run func()) {
	if !irc.IsNick(string(c.who.id.Username)) { // it could be taken for something else
		c.finish(c.reg.NoNick())
		return nil
	}
	run, err := c.enter()
	switch {
	case errors.Is(err, errTold):
		c.finish(nil)
	case errors.Is(err, errGone):
	case err != nil:
		c.failed("handing over", err)
		c.finish(irc.Closing(ircReason(err)))
	}
	return run
}

func (c *ircConversation) enter() (run func(), err error) {
	ctx, cancel := context.WithTimeout(context.Background(), callTimeout)
	defer cancel()
	up, left, err := c.connect(ctx, c.who)
	if err != nil {
		return nil, err
	}
	in, early, err := c.introduce(up)
	if err != nil {
		_ = up.Close()
		left()
		return nil, err
	}
	lines := relay.Lines{
		Bytes:  relay.Bytes{Idle: time.Duration(c.IdleTimeout)},
		Filter: ircFilter{irc.NewFilter(c.reg.Server, in.Nick(), in.Account, in.Tags())},
	}
	err = c.ask(func(ctx context.Context, service *authcore.Service, _ func()) error {
		who := c.who
		c.who.fresh = false // from here on, the end of the connection is the end of the session
		r, err := c.arrival.register(ctx, service, who, side{up, early}, lines, func() {
			left()
			c.endSession(service, who)
		})
		if err == nil {
			run = c.relay(r, who, c.reader.Unread(), func() { c.reader = nil })
		}
		return err
	})
	if err != nil && c.who.fresh { // nothing was registered
		_ = up.Close()
		left()
	}
	return run, err
}

// introduce registers the client, until the upstream has welcomed it. Early is what the client is to be told then.
func (c *ircConversation) introduce(up relay.Conn) (in *irc.Introduction, early []byte, err error) {
	deadline := time.Now().Add(welcomeTimeout)
	_ = up.SetReadDeadline(deadline)
	_ = up.SetWriteDeadline(deadline)
	in = &irc.Introduction{
		Account: string(c.who.id.Username), Realname: c.reg.Realname(), Server: c.reg.Server, Before: c.IRC.before(c),
		Numbered: c.IRC.SecondNick != secondRefuse, Caps: c.reg.Notified(),
	}
	broken := func(err error) (*irc.Introduction, []byte, error) {
		return nil, nil, &authcore.Error{Kind: authcore.KindUnavailable, Msg: "the upstream does not answer", Err: err}
	}
	if _, err := up.Write(in.Begin()); err != nil {
		return broken(err)
	}
	reader := irc.NewReader(up, irc.MaxServerTags)
	for range welcomeLines {
		text, err := reader.ReadLine()
		if errors.Is(err, irc.ErrTooLong) {
			continue
		}
		if err != nil {
			return broken(err)
		}
		answer, say, outcome := in.Line(text)
		if len(answer) > 0 {
			if _, err := up.Write(answer); err != nil {
				return broken(err)
			}
		}
		switch outcome {
		case irc.Accepted:
			_ = up.SetReadDeadline(time.Time{})
			_ = up.SetWriteDeadline(time.Time{})
			return in, append(in.Welcome(), reader.Unread()...), nil
		case irc.Refused, irc.Taken, irc.Renamed:
			c.log().Warn("the upstream refused a client", zap.String("account", string(c.who.id.Account)), zap.String("nick", in.Nick()),
				zap.ByteString("said", text))
			c.write(append(say, irc.Closing(ircRefusal(outcome))...))
			return nil, nil, errTold
		case irc.Pending:
		}
		if !c.write(say) {
			return nil, nil, errGone
		}
	}
	return broken(fmt.Errorf("%d lines without a welcome", welcomeLines))
}

func ircRefusal(o irc.Outcome) string {
	switch o { //nolint:exhaustive // the others are none
	case irc.Taken:
		return "the account's nick is in use"
	case irc.Renamed:
		return "the chat server has another nick for this account"
	}
	return "the chat server has refused the connection"
}

// before is what the upstream is told before the client's name.
func (i *IRC) before(c *ircConversation) []byte {
	var b []byte
	if i.webirc != "" {
		gateway := i.WebIRCGateway
		if gateway == "" {
			gateway = string(c.who.id.Username)
		}
		b = append(b, irc.WebIRC(i.webirc, gateway, c.client.Addr.String(), len(l4tls.GetConnectionStates(c.cx)) > 0)...)
	}
	if i.pass != "" {
		b = append(b, "PASS "+i.pass+"\r\n"...)
	}
	return b
}

// ircFilter is the filter of a client that was let in.
type ircFilter struct{ *irc.Filter }

// Farewell implements [relay.Filter].
func (ircFilter) Farewell(code relay.CloseCode) (up, down []byte) {
	why := "timed out"
	switch code { //nolint:exhaustive // a stream has no other
	case relay.CloseSession:
		why = "logged out"
	case relay.CloseExpired:
		why = "login expired"
	case relay.CloseRestart:
		why = "the gateway is restarting"
	}
	return irc.Format("", "QUIT", why), irc.Closing(why)
}
