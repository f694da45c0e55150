package tcpproxy

import (
	"context"
	"errors"
	"net"
	"slices"
	"time"

	"github.com/mholt/caddy-l4/layer4"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
)

// errGone is that the client was gone before it heard that it had been let in.
var errGone = errors.New("the client is gone")

// handOver connects an upstream for somebody who was let in, says ok, and returns what relays until the end. Where it
// returns an error, nothing is left of what it did, and nothing was said yet unless that is errGone.
func (c *conversation) handOver(ctx context.Context, service *authcore.Service, out outcome) (relay func(), err error) {
	defer func() {
		if err != nil && out.fresh { // its token was told to nobody
			if _, eerr := service.EndSession(context.WithoutCancel(ctx), out.id.Account, out.id.Session); eerr != nil {
				c.log().Warn("ending a session that nobody uses failed", zap.Error(eerr))
			}
		}
	}()
	account := string(out.id.Account)
	if out.access == readWrite && !members.take(account, c.PerAccount) {
		return nil, authcore.Errorf(authcore.KindRateLimited, "the account has too many connections")
	}
	left := func() {
		if out.access == readWrite {
			members.done(account)
		}
	}
	up, dial, err := c.upstreams.connect(ctx, c.cx, out.caller)
	if err != nil {
		left()
		return nil, &authcore.Error{Kind: authcore.KindUnavailable, Msg: "the upstream cannot be reached", Err: err}
	}
	r, err := c.register(ctx, service, out, up, func() {
		left()
		connections.done(dial)
	})
	if err != nil {
		return nil, err
	}
	if !c.write(out.reply) {
		r.Abandon()
		return nil, errGone
	}
	down, early := downstream(c.cx)
	r.SetDownstream(down, slices.Concat(c.reader.Unread(), early))
	return func() {
		_ = c.cx.SetDeadline(time.Time{})
		c.stays()
		c.reader = nil
		r.Run()
	}, nil
}

// register makes the relay, and makes it live: a session that ended while the upstream was dialled is noticed here, and
// one that ends from here on ends the connection.
func (c *conversation) register(ctx context.Context, service *authcore.Service, out outcome, up chatroom.Conn, left func()) (*chatroom.Relay, error) {
	release := c.app.Hold()
	var r *chatroom.Relay
	r = chatroom.NewRelay(up, nil, chatroom.RelayOptions{
		ReadOnly: out.access == readOnly,
		Raw:      &chatroom.Raw{CutWriters: c.Anonymous == anonymousCut, Idle: time.Duration(c.IdleTimeout)},
		OnClose: func() {
			service.Live().Release(&r.Lease)
			left()
			release()
		},
	})
	var err error
	if out.access == readWrite {
		_, err = service.Hold(ctx, out.token, r, &r.Lease, c.Expiry == expiryToken)
	} else {
		err = service.HoldVisitor(r, &r.Lease)
	}
	if err != nil {
		r.Abandon()
		return nil, err
	}
	return r, nil
}

// downstream returns the innermost connection that still speaks the client's bytes, and those that caddy-l4 has read of
// them and not given out. Its own wrapper is not safe for two goroutines.
func downstream(cx net.Conn) (chatroom.Conn, []byte) {
	var early []byte
	for {
		l4, ok := cx.(*layer4.Connection)
		if !ok {
			break
		}
		early = append(early, l4.MatchingBytes()...)
		cx = l4.Conn
	}
	if c, ok := cx.(chatroom.Conn); ok {
		return c, early
	}
	return unhalved{cx}, early
}

// unhalved is a connection that can only be closed as a whole.
type unhalved struct{ net.Conn }

func (c unhalved) CloseWrite() error { return c.Close() }
