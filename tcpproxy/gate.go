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
	"github.com/chatgate/chatgate/chatroom/relay"
)

// errGone is that the client was gone before it heard that it had been let in.
var errGone = errors.New("the client is gone")

// handOver connects an upstream for somebody who was let in, says ok, and returns what relays until the end. Where it
// returns an error, nothing is left of what it did, and nothing was said yet unless that is errGone.
func (c *conversation) handOver(ctx context.Context, service *authcore.Service, out outcome) (run func(), err error) {
	defer func() {
		if err != nil && out.fresh { // its token was told to nobody
			c.endSession(service, out.caller)
		}
	}()
	up, left, err := c.connect(ctx, out.caller)
	if err != nil {
		return nil, err
	}
	r, err := c.register(ctx, service, out.caller, side{conn: up}, relay.Bytes{CutWriters: c.Anonymous == anonymousCut, Idle: time.Duration(c.IdleTimeout)}, left)
	if err != nil {
		return nil, err
	}
	if !c.write(out.reply) {
		r.Abandon()
		return nil, errGone
	}
	return c.relay(r, out.caller, c.reader.Unread(), func() { c.reader = nil }), nil
}

// members counts connections that were handed over, by account, in the whole process.
var members relay.Counts

// side is one of a relay's, and what was read of it already.
type side struct {
	conn  relay.Conn
	early []byte
}

// connect takes the account's place and dials an upstream, which has been told who is there. Both are given back by left.
func (a *arrival) connect(ctx context.Context, who caller) (up relay.Conn, left func(), err error) {
	account := string(who.id.Account)
	if who.access == readWrite && !members.Take(account, a.PerAccount) {
		return nil, nil, authcore.Errorf(authcore.KindRateLimited, "the account has too many connections")
	}
	leave := func() {
		if who.access == readWrite {
			members.Done(account)
		}
	}
	up, dial, err := a.upstreams.connect(ctx, a.cx, who)
	if err != nil {
		leave()
		return nil, nil, &authcore.Error{Kind: authcore.KindUnavailable, Msg: "the upstream cannot be reached", Err: err}
	}
	return up, func() {
		leave()
		connections.Done(dial)
	}, nil
}

// register makes the relay, and makes it live: a session that ended while the upstream was dialled is noticed here, and
// one that ends from here on ends the connection. Whatever it returns, left is seen to.
func (a *arrival) register(ctx context.Context, service *authcore.Service, who caller, up side, framing relay.Framing, left func()) (*relay.Relay, error) {
	release := a.app.Hold()
	var r *relay.Relay
	r = relay.New(up.conn, up.early, relay.Options{
		ReadOnly: who.access == readOnly,
		Framing:  framing,
		OnClose: func() {
			r.Lease.Release()
			left()
			release()
		},
	})
	var err error
	if who.access == readWrite {
		err = service.Hold(ctx, who.id, r, &r.Lease, a.Expiry == expiryToken)
	} else {
		err = service.HoldVisitor(r, &r.Lease)
	}
	if err != nil {
		r.Abandon()
		return nil, err
	}
	return r, nil
}

// relay returns what relays, behind the bytes of the client that were read and not used. A visitor stays a stranger.
func (a *arrival) relay(r *relay.Relay, who caller, unread []byte, before func()) func() {
	down, early := downstream(a.cx)
	r.SetDownstream(down, slices.Concat(unread, early))
	return func() {
		_ = a.cx.SetDeadline(time.Time{})
		if who.access == readWrite {
			a.stays()
		}
		before()
		r.Run()
	}
}

// endSession ends one whose token nobody has, or sessions would pile up.
func (a *arrival) endSession(service *authcore.Service, who caller) {
	ctx, cancel := context.WithTimeout(context.Background(), endTimeout)
	defer cancel()
	if _, err := service.EndSession(ctx, authcore.Actor{Identity: who.id.Identity, Client: a.client}, who.id.Account, who.id.Session); err != nil {
		a.log().Warn("ending a session that nobody uses failed", zap.Error(err))
	}
}

const endTimeout = 10 * time.Second

// downstream returns the innermost connection that still speaks the client's bytes, and those that caddy-l4 has read of
// them and not given out. Its own wrapper is not safe for two goroutines.
func downstream(cx net.Conn) (relay.Conn, []byte) {
	var early []byte
	for {
		l4, ok := cx.(*layer4.Connection)
		if !ok {
			break
		}
		early = append(early, l4.MatchingBytes()...)
		cx = l4.Conn
	}
	if c, ok := cx.(relay.Conn); ok {
		return c, early
	}
	return unhalved{cx}, early
}

// unhalved is a connection that can only be closed as a whole.
type unhalved struct{ net.Conn }

func (c unhalved) CloseWrite() error { return c.Close() }
