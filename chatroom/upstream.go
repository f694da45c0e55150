package chatroom

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Answer is what an upstream said to a handshake.
type Answer struct {
	// Response is what goes back to the client. Where Conn is nil it is an ordinary response, to be read and closed.
	Response *http.Response
	Conn     net.Conn // after a 101
	Early    []byte   // what came behind the 101
}

// maxUpstreamHeader bounds what an upstream may say before it says 101.
const maxUpstreamHeader = 64 << 10

var (
	requestBuffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}
	answerReaders  = sync.Pool{New: func() any { return bufio.NewReaderSize(nil, 4<<10) }}
)

// Handshake asks an upstream for a WebSocket over conn and checks its answer (RFC 6455, section 4.1). r carries the
// headers as they are to be sent, Sec-WebSocket-Key among them. Where an error is returned, conn is closed; where the
// answer is an ordinary response, its body owns conn.
func Handshake(ctx context.Context, conn net.Conn, r *http.Request, timeout time.Duration) (Answer, error) {
	key := headerOf(r.Header, "Sec-Websocket-Key")
	offered, ref := Subprotocols(http.Header{"Sec-Websocket-Protocol": r.Header[spelled("Sec-Websocket-Protocol", r.Header)]})
	if key == "" || ref != nil {
		_ = conn.Close()
		return Answer{}, errors.New("not a WebSocket handshake")
	}
	deadline := time.Now().Add(timeout)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	_ = conn.SetDeadline(deadline)
	// The client's leaving ends the wait.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })

	resp, br, err := exchange(conn, r) //nolint:bodyclose // whoever gets the answer closes it
	if !stop() && err == nil {         // the context ended meanwhile
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
	err = checkAnswer(resp, key, offered, len(r.Header[spelled("Sec-Websocket-Extensions", r.Header)]) > 0)
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

func exchange(conn net.Conn, r *http.Request) (*http.Response, *bufio.Reader, error) {
	buf := requestBuffers.Get().(*bytes.Buffer)
	defer requestBuffers.Put(buf)
	buf.Reset()
	host := r.Host
	if host == "" {
		host = r.URL.Host
	}
	if !httpguts.ValidHostHeader(host) {
		return nil, nil, errors.New("invalid Host for the upstream")
	}
	target := r.URL.RequestURI()
	if strings.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c == 0x7F }) { // a query is as it was sent
		return nil, nil, errors.New("invalid request target for the upstream")
	}
	fmt.Fprintf(buf, "GET %s HTTP/1.1\r\nHost: %s\r\n", target, host)
	if err := r.Header.WriteSubset(buf, excluded(r.Header)); err != nil {
		return nil, nil, err
	}
	buf.WriteString("\r\n")
	if _, err := conn.Write(buf.Bytes()); err != nil {
		return nil, nil, err
	}
	br := answerReaders.Get().(*bufio.Reader)
	limited := &io.LimitedReader{R: conn, N: maxUpstreamHeader}
	br.Reset(limited)
	for {
		resp, err := http.ReadResponse(br, r)
		if err != nil {
			return nil, nil, fmt.Errorf("reading the upstream's answer: %w", err)
		}
		if resp.StatusCode >= 200 || resp.StatusCode == http.StatusSwitchingProtocols {
			limited.N = 1<<63 - 1
			return resp, br, nil
		}
	}
}

// excluded names what must not be written from the map: Host has its own place, there is no body to be announced, and
// an empty User-Agent is a note to net/http to send none.
func excluded(h http.Header) map[string]bool {
	ex := map[string]bool{"Host": true, "Content-Length": true, "Transfer-Encoding": true}
	if ua := h["User-Agent"]; len(ua) == 1 && ua[0] == "" {
		ex["User-Agent"] = true
	}
	return ex
}

func checkAnswer(resp *http.Response, key string, offered []string, extensionsOffered bool) error {
	h := resp.Header
	protocols := h["Sec-Websocket-Protocol"]
	switch {
	case len(h["Upgrade"]) != 1 || !strings.EqualFold(h["Upgrade"][0], "websocket"):
		return errors.New("the upstream switched to something other than websocket")
	case !httpguts.HeaderValuesContainsToken(h["Connection"], "upgrade"):
		return errors.New("the upstream's 101 has no Connection: Upgrade")
	case len(h["Sec-Websocket-Accept"]) != 1 || h["Sec-Websocket-Accept"][0] != AcceptKey(key):
		return errors.New("the upstream's Sec-WebSocket-Accept does not answer the key")
	case len(protocols) > 1 || len(protocols) == 1 && !slices.Contains(offered, protocols[0]):
		return errors.New("the upstream chose a subprotocol that was not offered")
	case len(h["Sec-Websocket-Extensions"]) > 0 && !extensionsOffered:
		return errors.New("the upstream chose an extension where none was offered")
	}
	return nil
}

// spelled returns the key under which h has a field, in the canonical spelling or that of RFC 6455.
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

// ownedBody closes the connection with the body: a connection that a handshake went over is not used again.
type ownedBody struct {
	io.ReadCloser
	conn net.Conn
	stop func() bool // of the wait for the context
}

func (b *ownedBody) Close() error {
	b.stop()
	return errors.Join(b.ReadCloser.Close(), b.conn.Close())
}
