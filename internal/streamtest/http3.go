package streamtest

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"
	"testing"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

// DialHTTP3 connects to localhost:port until the test ends, and waits for the server's settings, which allow extended
// CONNECT.
func DialHTTP3(t testing.TB, addr string) *http3.ClientConn {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	conn, err := quic.DialAddr(ctx, addr, &tls.Config{InsecureSkipVerify: true, ServerName: "localhost", NextProtos: []string{http3.NextProtoH3}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.CloseWithError(0, "") })
	client := (&http3.Transport{}).NewClientConn(conn)
	select {
	case <-client.ReceivedSettings():
	case <-ctx.Done():
		t.Fatal("the server sent no SETTINGS")
	}
	return client
}

// OpenHTTP3 opens a WebSocket with an extended CONNECT on a connection of [DialHTTP3] to addr: as a visitor if token is empty,
// and else with the token in the first subprotocol.
func OpenHTTP3(c *http3.ClientConn, addr, path, token string) (*http3.RequestStream, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	str, err := c.OpenRequestStream(ctx)
	if err != nil {
		return nil, err
	}
	h := http.Header{"Sec-Websocket-Version": {"13"}}
	if token != "" {
		h.Set("Sec-WebSocket-Protocol", token)
	}
	u := &url.URL{Scheme: "https", Host: addr, Path: path}
	if err := str.SendRequestHeader(&http.Request{Method: http.MethodConnect, Proto: "websocket", Host: addr, URL: u, Header: h}); err != nil {
		return nil, err
	}
	resp, err := str.ReadResponse()
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("handshake: %s", resp.Status)
	}
	return str, nil
}
