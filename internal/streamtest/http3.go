package streamtest

import (
	"context"
	"crypto/tls"
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
