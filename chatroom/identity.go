package chatroom

import (
	"net/http"
	"net/url"

	"github.com/chatgate/chatgate/authcore"
)

// Access is what an upstream is told a request may do. Write access is a header that is present, so a request that loses
// the header on its way is read-only.
type Access uint8

// The kinds of access.
const (
	ReadOnly Access = iota // the gate keeps a visitor from writing, as far as it can
	ReadWrite
	Unmarked // the upstream itself keeps those without the header from writing
)

const readWriteValue = "read-write"

// IdentityHeaders name the headers that tell an upstream who is asking. A header with an empty name is not sent.
type IdentityHeaders struct {
	User        string `json:"user,omitempty"`         // the username
	DisplayName string `json:"display_name,omitempty"` // what the account is shown as
	Email       string `json:"email,omitempty"`        // sent only if the account has an address
	ID          string `json:"id,omitempty"`           // the account's UUID
	Access      string `json:"access,omitempty"`       // "read-write", or absent
}

// DefaultIdentityHeaders are the names that most forward-auth gateways use, and one for access.
var DefaultIdentityHeaders = IdentityHeaders{
	User: "Remote-User", DisplayName: "Remote-Name", Email: "Remote-Email", ID: "Remote-Id", Access: "Remote-Access",
}

func (h IdentityHeaders) names() []string {
	return []string{h.User, h.DisplayName, h.Email, h.ID, h.Access}
}

// Set adds the headers that tell the upstream who is asking; id is nil for a visitor. Call it last, so that nothing
// overwrites them.
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

// headerValue encodes s for a header field. Text with a '%' or anything but printable ASCII is percent-encoded as UTF-8.
func headerValue(s string) string {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '%' {
			return url.PathEscape(s)
		}
	}
	return s
}
