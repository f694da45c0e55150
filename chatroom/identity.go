package chatroom

import (
	"net/http"
	"net/url"

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
