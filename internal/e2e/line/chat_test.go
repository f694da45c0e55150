package line

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"

	"github.com/chatgate/chatgate/internal/tcptest"
)

// chat stands for a legacy chat: it says back whatever it is told, and "bye" to who has nothing more to say. Over the
// PROXY protocol, it first greets whom it was told of.
type chat struct {
	plain, proxied string // its addresses
	visits         chan *visit
}

// visit is one connection to a chat.
type visit struct {
	net.Conn
	header *proxyproto.Header // of the PROXY protocol
	over   chan struct{}      // closed when it has ended

	mu  sync.Mutex
	got []byte // behind the header
}

func newChat(t testing.TB) *chat {
	t.Helper()
	c := &chat{visits: make(chan *visit, 10_000)}
	c.plain, c.proxied = c.listen(t, false), c.listen(t, true)
	return c
}

func (c *chat) listen(t testing.TB, proxied bool) (addr string) {
	t.Helper()
	return tcptest.Serve(t, func(conn net.Conn) {
		v := &visit{Conn: conn, over: make(chan struct{})}
		v.serve(c.visits, proxied)
	})
}

func (v *visit) serve(visits chan<- *visit, proxied bool) {
	defer v.Close()
	defer close(v.over)
	br := bufio.NewReader(v)
	if proxied {
		h, err := proxyproto.Read(br)
		if err != nil {
			return
		}
		v.header = h
		fmt.Fprintf(v, "hello %s, %s\n", v.told(0xE0), v.told(0xE2))
	}
	visits <- v
	b := make([]byte, 32<<10)
	for {
		n, err := br.Read(b)
		v.mu.Lock()
		v.got = append(v.got, b[:n]...)
		v.mu.Unlock()
		v.Write(b[:n]) // in vain once a test has half-closed it
		if err != nil {
			if err == io.EOF {
				io.WriteString(v, "bye\n")
			}
			return
		}
	}
}

// told returns a TLV of the PROXY header, or "nobody".
func (v *visit) told(kind proxyproto.PP2Type) string {
	tlvs, err := v.header.TLVs()
	if err != nil {
		return err.Error()
	}
	for _, tlv := range tlvs {
		if tlv.Type == kind {
			return string(tlv.Value)
		}
	}
	return "nobody"
}

// accept returns the next visit.
func (c *chat) accept(t testing.TB) *visit {
	t.Helper()
	select {
	case v := <-c.visits:
		return v
	case <-time.After(patience):
		t.Fatal("nobody visits the chat")
		return nil
	}
}

// untouched fails the test if there was a visit.
func (c *chat) untouched(t testing.TB) {
	t.Helper()
	select {
	case v := <-c.visits:
		t.Errorf("somebody visited the chat: %q", v.said())
	default:
	}
}

// said returns what came so far.
func (v *visit) said() string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return string(v.got)
}

// hears waits until all that came is want.
func (v *visit) hears(t testing.TB, want string) {
	t.Helper()
	eventually(t, fmt.Sprintf("the chat to hear %.100q; it heard %.100q", want, v.said()), func() bool { return v.said() == want })
}

// ended waits for the end of a visit.
func (v *visit) ended(t testing.TB) {
	t.Helper()
	select {
	case <-v.over:
	case <-time.After(patience):
		t.Fatalf("the chat still has the connection, over which came %.100q", v.said())
	}
}

// open reports whether a visit goes on.
func (v *visit) open() bool {
	select {
	case <-v.over:
		return false
	default:
		return true
	}
}
