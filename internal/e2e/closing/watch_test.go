package closing

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"
	"time"

	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/streamtest"
)

// watcher is a client that watches for the end of the stream all the time, over whatever its WebSocket runs.
type watcher struct {
	t     testing.TB
	w     io.Writer
	heard chan event
}

// event is a frame, or the end.
type event struct {
	frame gatetest.Frame
	err   error
	at    time.Time
}

func watch(t testing.TB, w io.Writer, r io.Reader) *watcher {
	c := &watcher{t: t, w: w, heard: make(chan event, 100)}
	go func() {
		for {
			f, err := gatetest.ReadFrame(r)
			c.heard <- event{f, err, time.Now()}
			if err != nil {
				return
			}
		}
	}()
	return c
}

func (c *watcher) send(f gatetest.Frame) {
	c.t.Helper()
	if _, err := c.w.Write(f.Encode(true)); err != nil {
		c.t.Fatal(err)
	}
}

func (c *watcher) next() event {
	c.t.Helper()
	select {
	case e := <-c.heard:
		return e
	case <-time.After(patience):
		c.t.Fatal("nothing came")
		return event{}
	}
}

// closed expects to be closed.
func (c *watcher) closed(code int) {
	c.t.Helper()
	if err := c.farewell(code); err != nil {
		c.t.Fatal(err)
	}
}

// gatewayWaits is how long the gateway waits for the answer to its close frame.
const gatewayWaits = 2 * time.Second

// farewell expects a close frame, then nothing, not even the end, until it is answered. The end is to come with the answer,
// not when the wait for one is over.
func (c *watcher) farewell(code int) error {
	var told, end event
	select {
	case told = <-c.heard:
	case <-time.After(patience):
		return fmt.Errorf("nothing came, want close %d", code)
	}
	if told.err != nil || told.frame.CloseCode() != code {
		return fmt.Errorf("got %+v, want close %d", told, code)
	}
	select {
	case e := <-c.heard:
		return fmt.Errorf("got %+v before close %d was answered", e, code)
	case <-time.After(300 * time.Millisecond):
	}
	if _, err := c.w.Write(gatetest.Frame{Fin: true, Op: 8, Payload: []byte{3, 233}}.Encode(true)); err != nil {
		return err
	}
	select {
	case end = <-c.heard:
	case <-time.After(patience):
		return fmt.Errorf("no end came behind close %d", code)
	}
	if !errors.Is(end.err, io.EOF) || errors.Is(end.err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("got %+v behind close %d, want the end", end, code)
	}
	if d := end.at.Sub(told.at); d > gatewayWaits*9/10 {
		return fmt.Errorf("the end came %v behind close %d", d, code)
	}
	return nil
}

// transports are what a WebSocket runs over.
var transports = map[string]func(t testing.TB, g *gatetest.Gateway, path, token string) *watcher{
	"TCP": func(t testing.TB, g *gatetest.Gateway, path, token string) *watcher {
		return overHTTP1(gatetest.Dial(t, g.HTTP), t, g.HTTP, path, token)
	},
	"TLS": func(t testing.TB, g *gatetest.Gateway, path, token string) *watcher {
		return overHTTP1(gatetest.DialTLS(t, g.HTTPS), t, g.HTTPS, path, token)
	},
	"HTTP2": overHTTP2,
	"HTTP3": overHTTP3,
}

func overHTTP1(c *gatetest.Raw, t testing.TB, host, path, token string) *watcher {
	t.Helper()
	var more []string
	if token != "" {
		more = append(more, "Sec-WebSocket-Protocol: "+token)
	}
	c.Open(host, path, more...)
	_ = c.SetReadDeadline(time.Now().Add(patience))
	return watch(t, c, c.R)
}

func overHTTP2(t testing.TB, g *gatetest.Gateway, path, token string) *watcher {
	t.Helper()
	c, r, err := streamtest.DialHTTP2(t, g.HTTPS).Open(path, token)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return watch(t, c, r)
}

func overHTTP3(t testing.TB, g *gatetest.Gateway, path, token string) *watcher {
	t.Helper()
	str, err := streamtest.OpenHTTP3(streamtest.DialHTTP3(t, g.HTTPS), g.HTTPS, path, token)
	if err != nil {
		t.Fatal(err)
	}
	return watch(t, str, bufio.NewReader(str))
}

// TestEndWaits: over whatever a WebSocket runs, the end of the stream waits for the client's close frame, and comes with it.
func TestEndWaits(t *testing.T) {
	g := start(t)
	var last []*watcher
	for name, open := range transports {
		t.Run(name, func(t *testing.T) {
			token := g.Login("alice", password)
			c := open(t, g, "/chat", token)
			c.send(gatetest.Text("hello"))
			if e := c.next(); string(e.frame.Payload) != "hello" {
				t.Fatalf("%+v", e)
			}
			logout(t, g, token)
			c.closed(4401)

			c = open(t, g, "/refused", token)
			c.closed(4401)

			c = open(t, g, "/chat", "")
			c.send(gatetest.Text("let me write"))
			c.send(gatetest.Text("and on"))
			c.closed(1008)

			c = open(t, g, "/chat", g.Login("alice", password)) // the chat says goodbye, and goes; the client is in no hurry
			c.send(gatetest.Frame{Fin: true, Op: 9, Payload: []byte("leave")})
			c.closed(4000)

			if name == "TCP" || name == "TLS" {
				c = open(t, g, "/methods", "")
				c.send(gatetest.Frame{Fin: true, Op: 2, Payload: []byte("x")})
				c.closed(1003)
			}
		})
		last = append(last, open(t, g, "/chat", ""))
	}
	last = append(last, transports["TLS"](t, g, "/methods", ""))
	var all sync.WaitGroup
	all.Go(func() { g.Stop() })
	for _, c := range last {
		all.Go(func() { // at once: the gateway does not wait for one after the other
			if err := c.farewell(1012); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}
