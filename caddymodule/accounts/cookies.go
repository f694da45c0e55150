package accounts

import (
	"slices"

	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
	"github.com/chatgate/chatgate/caddymodule/caller"
	"github.com/chatgate/chatgate/chatroom"
)

// dropBadCookies removes cookies without a good token from a request, and from the browser if no good one is left.
func dropBadCookies(c *dialect.Call, name string, authn *caller.Authenticator) error {
	var values []string
	chatroom.FilterCookies(c.Request.Header, name, func(value string) bool {
		values = append(values, value)
		return true
	})
	found := chatroom.JudgeCookies(values, authn.Standing)
	chatroom.FilterCookies(c.Request.Header, name, func(value string) bool { return slices.Contains(found.Living, value) })
	if found.Dead && len(found.Living) == 0 {
		caller.ExpireCookie(c.Writer.Header(), name, true)
	}
	return authn.Err
}
