package proxy

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/upgrade"
	"github.com/chatgate/chatgate/chatroom"
	"github.com/chatgate/chatgate/chatroom/relay"
)

// relay relays the WebSocket of a request whose upstream has answered 101. It returns at once, which frees the handler's stack
// and its configuration, except over HTTP/2, where a stream lives only as long as its handler.
func (p *Proxy) relay(w http.ResponseWriter, r *http.Request, service *authcore.Service, cred chatroom.Credential, hs *handshake) error {
	up, ok := hs.answer.Conn.(relay.Conn)
	if !ok {
		return caddyhttp.Error(http.StatusBadGateway, fmt.Errorf("an upstream connection of type %T cannot be half-closed", hs.answer.Conn))
	}
	release, upstream, seat := p.app.Hold(), hs.upstream, hs.place
	var quic *quicSockets
	if r.ProtoMajor == 3 {
		quic = p.quic
	}
	var socket *relay.Relay
	t := p.gate.http // which did the handshake
	opts := relay.Options{
		ReadOnly: hs.access == chatroom.ReadOnly,
		MaxAge:   time.Duration(p.ReverseProxy.StreamTimeout),
		WriteUp:  time.Duration(t.WriteTimeout),
		OnClose: func() {
			quic.remove(socket)
			socket.Lease.Release()
			upstream.done()
			seat.counts.Done(seat.key)
			release()
		},
	}
	opts.Framing = relay.Frames{
		Extensions: hs.answer.Response.Header.Get("Sec-Websocket-Extensions") != "",
		MaxMessage: uint64(max(p.MaxMessage, 0)),
		IdleUp:     time.Duration(t.ReadTimeout),
	}
	socket = relay.New(up, hs.answer.Early, opts)
	hs.answer.Conn, hs.upstream, hs.place = nil, nil, place{} // the relay owns them from here on

	// Hold the session before the client gets its answer: if it ended during the upstream's handshake, Hold fails, and if it
	// ends later, the connection ends with it.
	var err error
	if hs.id != nil {
		err = service.Hold(r.Context(), hs.proven, socket, &socket.Lease, p.Expiry == expiryToken)
	} else {
		err = service.HoldVisitor(socket, &socket.Lease)
	}
	if err != nil {
		socket.Abandon()
		clear(w.Header())
		p.fail(w, r, err)
		return nil
	}
	return p.switchProtocols(w, r, socket, cred, hs)
}

// switchProtocols answers the client and starts the relay.
func (p *Proxy) switchProtocols(w http.ResponseWriter, r *http.Request, socket *relay.Relay, cred chatroom.Credential, hs *handshake) error {
	upgrade.PrepareAnswer(w.Header(), r, cred, hs.answer.Response.Header)
	down, err := upgrade.Accept(w, r)
	if err != nil {
		socket.Abandon()
		return err
	}
	socket.SetDownstream(down.Conn, down.Early)
	if r.ProtoMajor == 3 {
		p.quic.add(socket)
	}
	if down.Bound {
		socket.Run()
	} else {
		socket.Start()
	}
	return nil
}

// acceptAndClose completes a handshake and closes the connection with the code that tells why.
func (p *Proxy) acceptAndClose(w http.ResponseWriter, r *http.Request, cred chatroom.Credential) error {
	upgrade.PrepareAnswer(w.Header(), r, cred, nil)
	if w.Header().Get("Sec-Websocket-Protocol") == "" {
		if len(cred.Offered) > 0 {
			w.Header()["Sec-WebSocket-Protocol"] = cred.Offered[:1] //nolint:canonicalheader // spelled as in RFC 6455, which some clients require
		}
	}
	down, err := upgrade.Accept(w, r)
	if err != nil {
		return err
	}
	relay.Dismiss(down.Conn, down.Early, relay.CloseSession)
	return nil
}

var _ relay.Conn = (*tls.Conn)(nil)
