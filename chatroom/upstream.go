package chatroom

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Answer is an upstream's answer to a handshake.
type Answer struct {
	// Response goes back to the client. If Conn is nil it is an ordinary response, whose body must be closed.
	Response *http.Response
	Conn     net.Conn // after a 101
	Early    []byte   // what followed the 101
}

// Patience is what an upstream may take to answer a handshake.
type Patience struct {
	Timeout   time.Duration
	MaxHeader int64 // bytes up to the end of its 101; 0 means 64 KiB
}

const defaultMaxHeader = 64 << 10

var (
	requestBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}
	answerReaders  = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}
)

// Opening is a handshake to send to an upstream.
type Opening struct {
	r                 *http.Request
	target, host, key string
	offered           []string // subprotocols
	extensions        []string // the names of those that it offers
}

// NewOpening judges a handshake before anything is dialled for it. r has the headers as they will be sent, including
// Sec-WebSocket-Key. [Classify] has judged what the client sent, but the configuration may have changed any of it, the
// offered subprotocols included.
func NewOpening(r *http.Request) (*Opening, *Refusal) {
	o := &Opening{r: r, target: r.URL.RequestURI(), host: cmp.Or(r.Host, r.URL.Host), key: headerOf(r.Header, "Sec-Websocket-Key")}
	var ref *Refusal
	if o.offered, ref = subprotocols(r.Header[spelled("Sec-Websocket-Protocol", r.Header)]); ref != nil {
		return nil, ref
	}
	o.extensions = extensionNames(r.Header[spelled("Sec-Websocket-Extensions", r.Header)])
	if o.key == "" {
		return nil, refuse(http.StatusBadRequest, "a WebSocket handshake has one Sec-WebSocket-Key")
	}
	if ref := Unsendable(r); ref != nil {
		return nil, ref
	}
	return o, nil
}

// Unsendable returns why the request line or the host of a request cannot be sent to an upstream, or nil. [Classify] has
// judged what the client sent, more strictly; but a configured host or path may contain a decoded part of it.
func Unsendable(r *http.Request) *Refusal {
	bad := func(what string) *Refusal {
		return refuse(http.StatusBadRequest, "the request makes "+what+" that cannot be sent")
	}
	switch {
	case !httpguts.ValidHeaderFieldName(r.Method):
		return bad("a method")
	case !httpguts.ValidHostHeader(cmp.Or(r.Host, r.URL.Host)):
		return bad("a host")
	case strings.ContainsFunc(r.URL.RequestURI(), func(c rune) bool { return c <= ' ' || c == 0x7F }):
		return bad("a target")
	}
	return nil
}

// Ask asks an upstream for a WebSocket over conn and checks its answer (RFC 6455, section 4.1). With an error, conn is
// closed; with an ordinary response, its body owns conn. An error that is a [Refusal] is not the upstream's fault: it would
// have answered a client that offers something else.
func (o *Opening) Ask(ctx context.Context, conn net.Conn, p Patience) (Answer, error) {
	deadline := time.Now().Add(p.Timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	_ = conn.SetDeadline(deadline)
	// A client that leaves ends the wait.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })

	resp, br, err := o.exchange(conn, cmp.Or(p.MaxHeader, defaultMaxHeader)) //nolint:bodyclose // whoever gets the answer closes it
	if !stop() && err == nil {                                               // the context ended meanwhile
		err = ctx.Err()
	}
	if err != nil {
		_ = conn.Close()
		if cerr := ctx.Err(); cerr != nil {
			err = cerr
		}
		return Answer{}, err
	}
	if resp.StatusCode != http.StatusSwitchingProtocols {
		_ = conn.SetDeadline(time.Time{})
		stop = context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
		resp.Body = &ownedBody{resp.Body, conn, stop}
		return Answer{Response: resp}, nil
	}
	err = o.check(resp)
	var early []byte
	if n := br.Buffered(); err == nil && n > 0 {
		b, _ := br.Peek(n)
		early = bytes.Clone(b)
	}
	br.Reset(nil)
	answerReaders.Put(br)
	if err != nil {
		_ = conn.Close()
		return Answer{}, err
	}
	_ = conn.SetDeadline(time.Time{})
	return Answer{Response: resp, Conn: conn, Early: early}, nil
}

func (o *Opening) exchange(conn net.Conn, maxHeader int64) (*http.Response, *bufio.Reader, error) {
	buf := requestBuffers.Get().(*bytes.Buffer)
	defer requestBuffers.Put(buf)
	buf.Reset()
	fmt.Fprintf(buf, "GET %s HTTP/1.1\r\nHost: %s\r\n", o.target, o.host)
	if err := o.r.Header.WriteSubset(buf, excluded(o.r.Header)); err != nil {
		return nil, nil, err
	}
	buf.WriteString("\r\n")
	if _, err := conn.Write(buf.Bytes()); err != nil {
		return nil, nil, err
	}
	br := answerReaders.Get().(*bufio.Reader)
	limited := &io.LimitedReader{R: conn, N: maxHeader}
	br.Reset(limited)
	for {
		resp, err := http.ReadResponse(br, o.r)
		if limited.N == maxHeader && errors.Is(err, os.ErrDeadlineExceeded) {
			// A chat may answer some paths late, such as a long poll's, and it is the client who chose the path.
			return nil, nil, refuse(http.StatusGatewayTimeout, "the upstream did not answer the handshake in time")
		}
		if err != nil {
			return nil, nil, fmt.Errorf("reading the upstream's answer: %w", err)
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			limited.N = 1<<63 - 1
			return resp, br, nil
		}
	}
}

// excluded names the fields that are not written from the header: Host has its own place, there is no body to announce, and
// an empty User-Agent tells net/http to send none.
func excluded(h http.Header) map[string]bool {
	ex := map[string]bool{"Host": true, "Content-Length": true, "Transfer-Encoding": true}
	if ua := h["User-Agent"]; len(ua) == 1 && ua[0] == "" {
		ex["User-Agent"] = true
	}
	return ex
}

// check judges a 101. A fault that depends on what the client offers is a [Refusal]; any other is the upstream's.
func (o *Opening) check(resp *http.Response) error {
	h := resp.Header
	fold(h, "Sec-Websocket-Protocol")
	fold(h, "Sec-Websocket-Extensions")
	chosen := h["Sec-Websocket-Protocol"]
	switch {
	case len(h["Upgrade"]) != 1 || !strings.EqualFold(h["Upgrade"][0], "websocket"):
		return errors.New("the upstream switched to something other than websocket")
	case !httpguts.HeaderValuesContainsToken(h["Connection"], "upgrade"):
		return errors.New("the upstream's 101 has no Connection: Upgrade")
	case len(h["Sec-Websocket-Accept"]) != 1 || h["Sec-Websocket-Accept"][0] != AcceptKey(o.key):
		return errors.New("the upstream's Sec-WebSocket-Accept does not answer the key")
	case len(chosen) > 0 && !slices.Contains(o.offered, chosen[0]):
		return refuse(http.StatusBadGateway, "the upstream chose a subprotocol that was not offered; the client must offer what the chat speaks")
	}
	for _, name := range extensionNames(h["Sec-Websocket-Extensions"]) {
		if name == "" || !slices.Contains(o.extensions, name) {
			return refuse(http.StatusBadGateway, "the upstream chose an extension that was not offered; the client must offer what the chat speaks")
		}
	}
	return nil
}

// fold joins the lines of a list field, and deletes an empty one (RFC 9110, section 5.6.1).
func fold(h http.Header, name string) {
	if lines, ok := h[name]; ok && (len(lines) > 1 || !hasElement(lines[0])) {
		lines = slices.DeleteFunc(lines, func(s string) bool { return !hasElement(s) })
		if delete(h, name); len(lines) > 0 {
			h[name] = []string{strings.Join(lines, ", ")}
		}
	}
}

func hasElement(line string) bool { return strings.Trim(line, " \t,") != "" }

// spelled returns the key under which h has a field: the canonical spelling, or that of RFC 6455.
func spelled(canonical string, h http.Header) string {
	if _, ok := h[canonical]; ok {
		return canonical
	}
	return strings.Replace(canonical, "Websocket", "WebSocket", 1)
}

func headerOf(h http.Header, canonical string) string {
	if v := h[spelled(canonical, h)]; len(v) == 1 {
		return v[0]
	}
	return ""
}

// ownedBody closes the connection with the body: a connection that carried a handshake is not used again.
type ownedBody struct {
	io.ReadCloser
	conn net.Conn
	stop func() bool // stops watching the context
}

func (b *ownedBody) Close() error {
	b.stop()
	return errors.Join(b.ReadCloser.Close(), b.conn.Close())
}
