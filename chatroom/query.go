package chatroom

import "net/url"

// StripQuery takes the token out of the query of u, where it may be there, and leaves the rest as it was.
func (c CredentialRules) StripQuery(u *url.URL) {
	if c.Query != "" {
		_, _ = takeQuery(u, c.Query) // which token it is was judged before
	}
}
