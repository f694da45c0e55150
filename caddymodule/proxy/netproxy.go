package proxy

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
	"golang.org/x/net/proxy"
)

// through connects to addr by way of a network proxy: forward_proxy_url, network_proxy or HTTP_PROXY and the like. WebSockets
// go through a tunnel, over TLS or not (RFC 6455, section 4.1), since a proxy for HTTP need not pass an upgrade on.
func (t *gateTransport) through(ctx context.Context, via *url.URL, addr string) (net.Conn, error) {
	port, ok := map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[via.Scheme]
	if !ok {
		return nil, fmt.Errorf("a network proxy of type %q is not known", via.Scheme)
	}
	if via.Port() != "" {
		port = via.Port()
	}
	conn, err := t.dialTCP(ctx, net.JoinHostPort(via.Hostname(), port))
	if err != nil {
		return nil, err
	}
	switch via.Scheme {
	case "https":
		cfg := t.tlsConfig(ctx)
		cfg.ServerName = via.Hostname()
		if conn, err = t.overTLS(ctx, conn, cfg); err != nil {
			return nil, err
		}
		fallthrough
	case "http":
		err = tunnelHTTP(ctx, conn, via.User, addr)
	default:
		err = tunnelSOCKS(ctx, conn, via.User, addr)
	}
	if err != nil {
		_ = conn.Close()
		return nil, reverseproxy.NewDialError(fmt.Errorf("network proxy %s: %w", via.Redacted(), err))
	}
	return conn, nil
}

// maxProxyHeader bounds the answer of a network proxy.
const maxProxyHeader = 64 << 10

// tunnelHTTP asks the HTTP proxy at the other end of conn for a tunnel to addr.
func tunnelHTTP(ctx context.Context, conn net.Conn, user *url.Userinfo, addr string) error {
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	err := askTunnel(conn, user, addr)
	if !stop() {
		return ctx.Err()
	}
	return err
}

func askTunnel(conn net.Conn, user *url.Userinfo, addr string) error {
	ask := "CONNECT " + addr + " HTTP/1.1\r\nHost: " + addr + "\r\n"
	if user != nil {
		password, _ := user.Password()
		ask += "Proxy-Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(user.Username()+":"+password)) + "\r\n"
	}
	if _, err := io.WriteString(conn, ask+"\r\n"); err != nil {
		return err
	}
	br := bufio.NewReader(io.LimitReader(conn, maxProxyHeader))
	resp, err := http.ReadResponse(br, &http.Request{Method: http.MethodConnect}) //nolint:bodyclose // a tunnel has no body
	switch {
	case err != nil:
		return err
	case resp.StatusCode != http.StatusOK:
		return errors.New(resp.Status)
	case br.Buffered() > 0:
		return errors.New("it sent something before it was spoken to")
	}
	return nil
}

// tunnelSOCKS asks the SOCKS5 proxy at the other end of conn for a tunnel to addr. The proxy resolves the name.
func tunnelSOCKS(ctx context.Context, conn net.Conn, user *url.Userinfo, addr string) error {
	var auth *proxy.Auth
	if user != nil {
		password, _ := user.Password()
		auth = &proxy.Auth{User: user.Username(), Password: password}
	}
	dialer, err := proxy.SOCKS5("tcp", "", auth, nil)
	if err != nil {
		return err
	}
	over, ok := dialer.(interface {
		DialWithConn(ctx context.Context, c net.Conn, network, address string) (net.Addr, error)
	})
	if !ok {
		return fmt.Errorf("%T cannot use a connection", dialer)
	}
	_, err = over.DialWithConn(ctx, conn, "tcp", addr)
	return err
}
