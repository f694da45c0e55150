package proxy

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
)

// What a visitor may do depends on the method alone, unless it is a WebSocket, whose relay is read-only.
func TestAdmitsVisitors(t *testing.T) {
	reads := map[string]bool{http.MethodGet: true, http.MethodHead: true, http.MethodOptions: true}
	for _, method := range []string{
		http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete,
		"PROPFIND", "get", "",
	} {
		for _, anonymous := range []string{anonymousReadOnly, anonymousRefuse, anonymousAllow} {
			for _, websocket := range []bool{false, true} {
				r := httptest.NewRequest(http.MethodGet, "/", nil)
				r.Method = method
				p, hs := Proxy{Anonymous: anonymous}, handshake{websocket: websocket}
				err := p.admit(r, nil, chatroom.Credential{}, &hs)
				want := anonymous == anonymousAllow || anonymous == anonymousReadOnly && (websocket || reads[method])
				if (err == nil) != want || err != nil && authcore.KindOf(err) != authcore.KindBadToken {
					t.Errorf("%q, anonymous %s, websocket %t: %v", method, anonymous, websocket, err)
				}
				if writes := hs.access == chatroom.ReadWrite; writes != (anonymous == anonymousAllow) || hs.id != nil {
					t.Errorf("%q, anonymous %s, websocket %t: access %v as %v", method, anonymous, websocket, hs.access, hs.id)
				}
			}
		}
	}
}
