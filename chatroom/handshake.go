package chatroom

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 demands SHA-1; nothing depends on its strength
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// Class is what a request is to the gate: an ordinary one, unless WebSocket is set.
type Class struct {
	WebSocket bool     // a clean opening handshake, over HTTP/1.1 or as an extended CONNECT
	Offered   []string // the subprotocols of a handshake, in order
}

// Refusal is why a request is not let in or not forwarded: an HTTP status and a text that may be shown. The upstream is
// never to blame for it.
type Refusal struct {
	Status int
	Msg    string
}

func (r *Refusal) Error() string { return r.Msg }

func refuse(status int, msg string) *Refusal { return &Refusal{status, msg} }

// PathRules say what the path of a request may have beyond what all servers understand alike. The zero value allows nothing.
type PathRules struct {
	EncodedSlash bool // %2f, which some servers take for a slash
	Semicolon    bool // ; and %3b, behind which some servers see no part of the path
}

// Classify is [PathRules.Classify] for a path that all servers understand alike.
func Classify(r *http.Request) (Class, *Refusal) { return PathRules{}.Classify(r) }

// Classify canonicalises r in place and returns its class, or refuses it. What claims to be a WebSocket handshake must be a
// clean one. Any other upgrade loses its Upgrade header and goes on as an ordinary request, so that nothing can be tunnelled.
// Trailers are dropped, and a Connection header that names a field of its own is refused.
func (p PathRules) Classify(r *http.Request) (Class, *Refusal) {
	if ref := TooEarly(r); ref != nil {
		return Class{}, ref
	}
	if ref := p.checkTarget(r); ref != nil {
		return Class{}, ref
	}
	if _, ok := r.Header[":protocol"]; ok && r.Method != http.MethodConnect { // RFC 8441, section 4
		return Class{}, refuse(http.StatusBadRequest, ":protocol is for CONNECT")
	}
	for name := range r.Header {
		// A connection option names a field to drop (RFC 9110, section 7.6.1), which could be one of ours.
		if strings.EqualFold(name, "Connection") {
			for _, v := range r.Header[name] {
				for opt := range strings.SplitSeq(v, ",") {
					switch strings.ToLower(textTrim(opt)) {
					case "", "close", "keep-alive", "upgrade", "te", "http2-settings":
					default:
						return Class{}, refuse(http.StatusBadRequest, "the Connection header names a field that may not be dropped")
					}
				}
			}
		}
	}
	dropTrailers(r)

	if r.Method == http.MethodConnect {
		return classifyConnect(r)
	}
	if r.Method == http.MethodTrace {
		return Class{}, refuse(http.StatusMethodNotAllowed, "TRACE is not allowed")
	}
	upgrades := r.Header["Upgrade"]
	if !mentionsWebSocket(upgrades) {
		dropUpgrade(r)
		delete(r.Header, "Sec-Websocket-Protocol") // meaningless here, and may hold a token
		return Class{}, nil
	}
	switch {
	case len(upgrades) != 1 || !strings.EqualFold(upgrades[0], "websocket"):
		return Class{}, refuse(http.StatusBadRequest, "send one Upgrade header with the value websocket, or none")
	case r.ProtoMajor != 1 || r.ProtoMinor < 1 || r.Method != http.MethodGet:
		return Class{}, refuse(http.StatusBadRequest, "a WebSocket handshake is a GET of HTTP/1.1")
	case !httpguts.HeaderValuesContainsToken(r.Header["Connection"], "upgrade"):
		return Class{}, refuse(http.StatusBadRequest, "Upgrade without Connection: Upgrade")
	case r.ContentLength != 0 || len(r.TransferEncoding) > 0:
		return Class{}, refuse(http.StatusBadRequest, "a WebSocket handshake has no body")
	}
	if keys := r.Header["Sec-Websocket-Key"]; len(keys) != 1 || !validKey(keys[0]) {
		return Class{}, refuse(http.StatusBadRequest, "a WebSocket handshake has one Sec-WebSocket-Key of 16 bytes")
	}
	return checkVersion(r)
}

func classifyConnect(r *http.Request) (Class, *Refusal) {
	protocol := ""
	switch r.ProtoMajor {
	case 2:
		protocol = r.Header.Get(":protocol")
	case 3:
		protocol = r.Proto // quic-go puts it there
	}
	if protocol != "websocket" { // exactly, RFC 8441, section 5
		return Class{}, refuse(http.StatusMethodNotAllowed, "CONNECT is for WebSockets only")
	}
	if r.ContentLength > 0 {
		return Class{}, refuse(http.StatusBadRequest, "a WebSocket handshake has no body")
	}
	dropUpgrade(r)
	delete(r.Header, "Sec-Websocket-Key") // meaningless here (RFC 8441, section 5); the reverse proxy makes one for the upstream
	return checkVersion(r)
}

func checkVersion(r *http.Request) (Class, *Refusal) {
	if v := r.Header["Sec-Websocket-Version"]; len(v) != 1 || v[0] != "13" {
		return Class{}, refuse(http.StatusUpgradeRequired, "this server speaks WebSocket version 13")
	}
	offered, ref := subprotocols(r.Header["Sec-Websocket-Protocol"])
	if ref != nil {
		return Class{}, ref
	}
	return Class{WebSocket: true, Offered: offered}, nil
}

// checkTarget judges everything but the fields that goes into the head of the upstream's request. HTTP/2 and HTTP/3 have no
// syntax that would keep a line break or a space out of it.
func (p PathRules) checkTarget(r *http.Request) *Refusal {
	switch {
	case !httpguts.ValidHeaderFieldName(r.Method): // both are an RFC 9110 token
		return refuse(http.StatusBadRequest, "malformed method")
	case !httpguts.ValidHostHeader(r.Host): // which may be empty
		return refuse(http.StatusBadRequest, "malformed host")
	case r.Method == http.MethodConnect && r.ProtoMajor == 1:
		return nil // its target is an authority; classifyConnect refuses it
	case p.ambiguous(r.URL):
		return refuse(http.StatusBadRequest, "the path is ambiguous")
	case strings.ContainsFunc(r.URL.RawQuery, func(c rune) bool { return c <= ' ' || c >= 0x7F || c == '#' }):
		return refuse(http.StatusBadRequest, "the query has a space, a control character, a # or a letter that is not ASCII; encode it as %20 or the like")
	}
	return nil
}

// ambiguous reports whether two servers could understand a path differently. Whatever is allowed, a segment that is . or .. for
// some server is never.
func (p PathRules) ambiguous(u *url.URL) bool {
	path := u.EscapedPath()
	low := strings.ToLower(path)
	bad := !strings.HasPrefix(path, "/") || strings.Contains(path, "//") || strings.Contains(path, "\\") ||
		strings.Contains(low, "%5c") || strings.Contains(low, "%00") ||
		!p.EncodedSlash && strings.Contains(low, "%2f") || !p.Semicolon && (strings.Contains(path, ";") || strings.Contains(low, "%3b"))
	for seg := range strings.SplitSeq(u.Path, "/") {
		seg, _, _ = strings.Cut(seg, ";")
		bad = bad || seg == "." || seg == ".."
	}
	for i := range len(u.Path) {
		bad = bad || u.Path[i] < ' ' || u.Path[i] == 0x7F
	}
	return bad || strings.ContainsAny(u.RawPath, " #") // RawPath is set where the path was not sent in its default encoding
}

func mentionsWebSocket(upgrades []string) bool {
	for _, v := range upgrades {
		if strings.Contains(strings.ToLower(v), "websocket") {
			return true
		}
	}
	return false
}

func dropUpgrade(r *http.Request) {
	delete(r.Header, "Upgrade")
	delete(r.Header, "Connection")
	delete(r.Header, "Http2-Settings")
}

// dropTrailers forgets the trailers that a request announces. Trailers that come nonetheless go no further, since net/http
// forwards only those that the outgoing request announces before its body.
func dropTrailers(r *http.Request) {
	r.Trailer = nil
	delete(r.Header, "Trailer")
	delete(r.Header, "Te")
}

func validKey(k string) bool {
	b, err := base64.StdEncoding.DecodeString(k)      // not Strict: the example of RFC 6455, section 4.1 has loose bits
	return err == nil && len(b) == 16 && len(k) == 24 // the decoder skips line breaks
}

const maxSubprotocols = 32

// subprotocols returns what the lines of a Sec-WebSocket-Protocol header offer, in order. It refuses a malformed or repeated
// offer (RFC 6455, section 4.1).
func subprotocols(lines []string) ([]string, *Refusal) {
	var out []string
	for _, line := range lines {
		for p := range strings.SplitSeq(line, ",") {
			p = textTrim(p)
			if !httpguts.ValidHeaderFieldName(p) { // both are an RFC 9110 token
				return nil, refuse(http.StatusBadRequest, "malformed Sec-WebSocket-Protocol")
			}
			if slices.Contains(out, p) {
				return nil, refuse(http.StatusBadRequest, "Sec-WebSocket-Protocol offers a protocol twice")
			}
			if out = append(out, p); len(out) > maxSubprotocols {
				return nil, refuse(http.StatusBadRequest, "Sec-WebSocket-Protocol offers too many protocols")
			}
		}
	}
	return out, nil
}

func textTrim(s string) string { return strings.Trim(s, " \t") }

// AcceptKey returns the Sec-WebSocket-Accept that answers a key (RFC 6455, section 4.2.2).
func AcceptKey(key string) string {
	h := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see the import
	return base64.StdEncoding.EncodeToString(h[:])
}
