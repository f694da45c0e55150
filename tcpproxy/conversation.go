package tcpproxy

import (
	"context"
	"errors"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/tcpproxy/line"
)

// conversation is an arrival that speaks the line protocol.
type conversation struct {
	arrival
	reader *line.Reader
}

func newConversation(a arrival) *conversation {
	c := &conversation{arrival: a}
	c.reader = line.NewReader(c)
	return c
}

// serve reads requests and answers them, one after the other.
func (c *conversation) serve() {
	if err := c.admit(); err != nil {
		c.finish(line.Nop(reasonFor("", err)))
		return
	}
	defer c.stays()

	for n := 1; ; n++ {
		text, err := c.readLine(n == 1)
		if err != nil {
			if errors.Is(err, line.ErrTooLong) || errors.Is(err, line.ErrNotText) || c.reader.Buffered() > 0 {
				c.finish(line.Nop(line.Syntax(nil)))
			}
			return
		}
		req, err := c.parse(text)
		var reply line.Reply
		switch foreign := (*line.SyntaxError)(nil); {
		case err == nil:
			var over bool
			if reply, over = c.do(req); over {
				return
			}
		case n == 1 && errors.As(err, &foreign) && len(foreign.Keys) == 0: // who does not even know a verb speaks something else
			c.finish(line.Nop(line.Syntax(err)))
			return
		default:
			reply = line.Nop(line.Syntax(err))
		}
		if reply.Reason != "" {
			c.tries++
		}
		if c.tries >= c.Tries || n >= c.Requests {
			c.finish(reply)
			return
		}
		if !c.write(reply) {
			return
		}
	}
}

// parse reads a line. A verb that is not for here is as unknown as any.
func (c *conversation) parse(text string) (line.Request, error) {
	req, err := line.Parse(text)
	if err == nil && req.Verb == line.Visit && (c.upstreams == nil || !c.visitors()) {
		err = &line.SyntaxError{}
	}
	return req, err
}

func (c *conversation) readLine(first bool) (string, error) {
	if err := c.await(first || c.reader.Buffered() > 0); err != nil {
		return "", err
	}
	return c.reader.ReadLine()
}

// do carries out a request and returns the reply, or true when the connection is not ours any more.
func (c *conversation) do(req line.Request) (line.Reply, bool) {
	var out outcome
	over := false
	err := c.ask(func(ctx context.Context, service *authcore.Service, release func()) error {
		var err error
		out, err = verbs[req.Verb](ctx, request{service: service, args: req.Args, client: c.client, lifetime: time.Duration(c.TokenLifetime)})
		if err != nil || c.upstreams == nil || out.access == noAccess {
			return err
		}
		relay, err := c.handOver(ctx, service, out)
		if err == nil {
			release()
			relay()
			over = true
		}
		return err
	})
	switch {
	case over || errors.Is(err, errGone):
		return line.Reply{}, true
	case err != nil:
		c.failed(string(req.Verb), err)
		return line.Nop(reasonFor(req.Verb, err)), false
	}
	return out.reply, false
}

func (c *conversation) write(r line.Reply) bool { return c.arrival.write([]byte(r.Line())) }

func (c *conversation) finish(r line.Reply) { c.arrival.finish([]byte(r.Line())) }
