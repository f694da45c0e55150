package proxy

import (
	"crypto/tls"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/upgrade"
	"github.com/chatgate/chatgate/chatroom"
)

// relay takes a request whose upstream has said 101 and begins to carry its frames. Over HTTP/1.1 it returns at once,
// so that neither this handler's stack nor its configuration stay behind; a stream of HTTP/2 or 3 lives only as long
// as its handler.
func (p *Proxy) relay(w http.ResponseWriter, r *http.Request, service *authcore.Service, cred chatroom.Credential, hs *handshake) error {
	up, ok := hs.answer.Conn.(chatroom.Conn)
	if !ok {
		return caddyhttp.Error(http.StatusBadGateway, fmt.Errorf("an upstream connection of type %T cannot be half-closed", hs.answer.Conn))
	}
	release, upstream := p.app.Hold(), hs.upstream
	var relay *chatroom.Relay
	opts := chatroom.RelayOptions{ReadOnly: hs.access == chatroom.ReadOnly, OnClose: func() {
		service.Live().Release(&relay.Lease)
		upstream.done()
		release()
	}}
	if p.MaxMessage > 0 {
		opts.MaxMessage = uint64(p.MaxMessage)
	}
	opts.Extensions = hs.answer.Response.Header.Get("Sec-Websocket-Extensions") != ""
	relay = chatroom.NewRelay(up, hs.answer.Early, opts)
	hs.answer.Conn, hs.upstream = nil, nil // the relay's from here on

	// Live before the client hears of it: a session that ended while the upstream was asked is noticed here, and one
	// that ends from here on ends the connection.
	var err error
	if hs.id != nil {
		_, err = service.Hold(r.Context(), cred.Token, relay, &relay.Lease, p.Expiry == expiryToken)
	} else {
		err = service.HoldVisitor(relay, &relay.Lease)
	}
	if err != nil {
		relay.Abandon()
		clear(w.Header())
		p.fail(w, r, err)
		return nil
	}
	return p.switchProtocols(w, r, relay, cred, hs)
}

// switchProtocols answers the client and starts the relay.
func (p *Proxy) switchProtocols(w http.ResponseWriter, r *http.Request, relay *chatroom.Relay, cred chatroom.Credential, hs *handshake) error {
	upgrade.PrepareAnswer(w.Header(), r, cred, hs.answer.Response.Header)
	if r.Method == http.MethodConnect {
		stream, restore, err := upgrade.AcceptStream(w, r)
		if err != nil {
			relay.Abandon()
			return err
		}
		defer restore()
		relay.SetDownstream(stream, nil)
		relay.Run()
		return nil
	}
	conn, early, err := upgrade.Hijack(w)
	if err != nil {
		relay.Abandon()
		return err
	}
	relay.SetDownstream(conn, early)
	relay.Start()
	return nil
}

// acceptAndClose completes a handshake only to say why it is refused.
func (p *Proxy) acceptAndClose(w http.ResponseWriter, r *http.Request, cred chatroom.Credential) error {
	upgrade.PrepareAnswer(w.Header(), r, cred, nil)
	if w.Header().Get("Sec-Websocket-Protocol") == "" {
		if offered, _ := chatroom.Subprotocols(r.Header); len(offered) > 0 {
			w.Header()["Sec-WebSocket-Protocol"] = offered[:1] //nolint:canonicalheader // as above
		}
	}
	if r.Method == http.MethodConnect {
		s, restore, err := upgrade.AcceptStream(w, r)
		if err != nil {
			return err
		}
		defer restore()
		chatroom.Dismiss(s, nil, chatroom.CloseSession)
		return nil
	}
	conn, early, err := upgrade.Hijack(w)
	if err != nil {
		return err
	}
	chatroom.Dismiss(conn, early, chatroom.CloseSession)
	return nil
}

var _ chatroom.Conn = (*tls.Conn)(nil)
