package origin

import (
	"net/http"
	"strings"

	"github.com/chatgate/chatgate/caddymodule/caller"
	"github.com/chatgate/chatgate/chatroom"
)

// PageOf returns the page that made a request.
func PageOf(r *http.Request, allowed chatroom.Origins) chatroom.Page {
	return allowed.PageOf(r, caller.BehindTrustedProxy(r))
}

// Share lets the page that made a request read the answer with the header h, whatever it will be, if its origin is allowed
// (https://fetch.spec.whatwg.org/#http-cors-protocol). Only an origin that is allowed by name may be answered to a request with
// credentials.
func Share(h http.Header, r *http.Request, page chatroom.Page) {
	h.Add("Vary", "Origin")
	if page != chatroom.NamedPage && page != chatroom.OpenPage {
		return
	}
	h.Set("Access-Control-Allow-Origin", r.Header.Get("Origin"))
	h.Set("Access-Control-Expose-Headers", "Retry-After")
	if page == chatroom.NamedPage {
		h.Set("Access-Control-Allow-Credentials", "true")
	}
}

// IsPreflight reports whether a browser asks in a request what a page may send. It asks without a credential.
func IsPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.ContentLength == 0 &&
		len(r.Header["Origin"]) == 1 && len(r.Header["Access-Control-Request-Method"]) == 1
}

// AnswerPreflight allows a page the methods of an endpoint, and the headers that chatgate reads. Share comes first.
func AnswerPreflight(w http.ResponseWriter, methods []string) {
	h := w.Header()
	h.Add("Vary", "Access-Control-Request-Method, Access-Control-Request-Headers")
	h.Set("Access-Control-Allow-Methods", strings.Join(methods, ", "))
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
	h.Set("Access-Control-Max-Age", "600") // as long as a reload may go unnoticed
	w.WriteHeader(http.StatusNoContent)
}
