package chatroom

import "net/url"

// StripQuery removes the token from the query of u if the route looks for one there, and leaves the rest as it was.
func (c CredentialRules) StripQuery(u *url.URL) {
	if c.Query != "" {
		_, _ = takeQuery(u, c.Query) // Take has judged the token
	}
}
