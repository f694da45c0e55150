package chatroom

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/chatgate/chatgate/authcore"
)

// Access is what an upstream is told that a request may do. Write access is the header that is there, so that a
// request that lost it, however that came about, is read-only.
type Access uint8

// The accesses.
const (
	ReadOnly Access = iota
	ReadWrite
)

const readWriteValue = "read-write"

// IdentityHeaders are the names under which an upstream is told who is asking. An empty name is not told.
type IdentityHeaders struct {
	User        string `json:"user,omitempty"`         // the username
	DisplayName string `json:"display_name,omitempty"` // what the account is shown as
	Email       string `json:"email,omitempty"`        // only where an address is stored
	ID          string `json:"id,omitempty"`           // the account's UUID
	Access      string `json:"access,omitempty"`       // "read-write", or not there
}

// DefaultIdentityHeaders are the names that forward-auth gateways have in common, and one for access.
var DefaultIdentityHeaders = IdentityHeaders{
	User: "Remote-User", DisplayName: "Remote-Name", Email: "Remote-Email", ID: "Remote-Id", Access: "Remote-Access",
}

func (h IdentityHeaders) names() []string {
	return []string{h.User, h.DisplayName, h.Email, h.ID, h.Access}
}

// Stripper removes what a client may not claim.
type Stripper struct {
	never   map[string]bool // in normal form; from nobody
	ifTrust map[string]bool // in normal form; from a trusted proxy only
}

// What could be taken for an identity by some upstream or other, beside the configured names.
const identityNames = `Remote-User Remote-Name Remote-Email Remote-Id Remote-Access Remote-Groups Remote-Role Remote-Roles
	X-Remote-User X-Remote-Name X-Remote-Email X-Remote-Group X-Remote-Groups X-Remote-Roles X-User X-User-Id X-User-Name
	X-Username X-User-Email X-User-Role X-User-Roles X-Email X-Groups X-Roles X-Auth-User X-Auth-Username X-Auth-Email
	X-Auth-Name X-Auth-Roles X-Auth-Groups X-Auth-Request-User X-Auth-Request-Email X-Auth-Request-Groups
	X-Auth-Request-Preferred-Username X-Auth-Request-Access-Token X-Authenticated-User X-Authenticated-Userid
	X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups X-Forwarded-Preferred-Username X-Forwarded-Access-Token
	X-Gw-User X-Gw-Access X-WebAuth-User X-WebAuth-Name X-WebAuth-Email X-WebAuth-Groups X-Token-User-Name
	X-Credential-Username X-Consumer-Username X-Consumer-Custom-Id X-Anonymous-Consumer X-Ssl-Client-Dn
	X-Ssl-Client-S-Dn X-Ssl-Client-Verify X-Client-Dn X-Client-Cert X-Forwarded-Client-Cert Ssl-Client-Verify Ssl-Client-Dn
	X-Goog-Authenticated-User-Email X-Goog-Authenticated-User-Id X-Amzn-Oidc-Identity X-Amzn-Oidc-Data
	X-Ms-Client-Principal X-Ms-Client-Principal-Name Cf-Access-Authenticated-User-Email Tailscale-User-Login
	Tailscale-User-Name X-Original-Url X-Rewrite-Url X-Original-Method X-Original-Uri X-Http-Method-Override X-Http-Method
	X-Method-Override Proxy Proxy-Authorization`

// What says where a request comes from, which a proxy in front of us may.
const originNames = `Forwarded X-Real-Ip True-Client-Ip X-Client-Ip X-Cluster-Client-Ip Cf-Connecting-Ip Cf-Connecting-Ipv6
	Fastly-Client-Ip X-Forwarded X-Forwarded-Server X-Forwarded-Port X-Forwarded-Prefix X-Forwarded-Ssl X-Forwarded-Scheme
	X-Forwarded-Uri X-Forwarded-Method X-Forwarded-Path X-Envoy-External-Address X-Host X-Url-Scheme Front-End-Https`

// NewStripper makes a stripper that knows the configured names as well.
func NewStripper(h IdentityHeaders) *Stripper {
	s := &Stripper{never: make(map[string]bool), ifTrust: make(map[string]bool)}
	for n := range strings.FieldsSeq(identityNames) {
		s.never[normalName(n)] = true
	}
	for _, n := range h.names() {
		if n != "" {
			s.never[normalName(n)] = true
		}
	}
	for n := range strings.FieldsSeq(originNames) {
		s.ifTrust[normalName(n)] = true
	}
	// In CGI, and whatever imitates it, every one of them has a spelling with underscores; that is the same normal form.
	return s
}

// normalName is the form in which lax upstreams compare header names: lower case, without '-', '_' and '.'.
func normalName(n string) string {
	b := make([]byte, 0, 48)
	for i := range len(n) {
		switch c := n[i]; {
		case c == '-' || c == '_' || c == '.':
		case 'A' <= c && c <= 'Z':
			b = append(b, c+'a'-'A')
		default:
			b = append(b, c)
		}
	}
	return string(b)
}

// Strip removes from h what its sender may not say. It is called before anything is added.
func (s *Stripper) Strip(h http.Header, trustedProxy bool) {
	var buf [64]byte
	for name := range h {
		n := buf[:0]
		for i := range len(name) {
			switch c := name[i]; {
			case c == '-' || c == '_' || c == '.':
			case 'A' <= c && c <= 'Z':
				n = append(n, c+'a'-'A')
			default:
				n = append(n, c)
			}
		}
		if s.never[string(n)] || !trustedProxy && s.ifTrust[string(n)] {
			delete(h, name)
		}
	}
}

// Set tells the upstream who is asking. It is the last thing that happens to a request; id is nil for a visitor.
func (ih IdentityHeaders) Set(h http.Header, id *authcore.Identity, a Access) {
	for _, n := range ih.names() {
		if n != "" {
			h.Del(n)
		}
	}
	set := func(name, value string) {
		if name != "" && value != "" {
			h[http.CanonicalHeaderKey(name)] = []string{headerValue(value)}
		}
	}
	if a == ReadWrite {
		set(ih.Access, readWriteValue)
	}
	if id == nil {
		return
	}
	set(ih.User, string(id.Username))
	display := id.DisplayName
	if display == "" {
		display = string(id.Username)
	}
	set(ih.DisplayName, display)
	set(ih.Email, id.Email)
	set(ih.ID, string(id.Account))
}

// headerValue returns text that fits one header field: what is not printable ASCII, and '%', is percent-encoded UTF-8.
func headerValue(s string) string {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			return url.PathEscape(s)
		}
	}
	return s
}
