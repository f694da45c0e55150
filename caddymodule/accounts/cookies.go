package accounts

import (
	"slices"

	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
	"github.com/chatgate/chatgate/caddymodule/caller"
	"github.com/chatgate/chatgate/chatroom"
)

// siftCookies takes cookies away that hold nothing good: from a request, and from its browser where none is left.
func siftCookies(c *dialect.Call, name string, a *caller.Asker) error {
	var values []string
	chatroom.FilterCookies(c.Request.Header, name, func(value string) bool {
		values = append(values, value)
		return true
	})
	found := chatroom.JudgeCookies(values, a.Judge)
	chatroom.FilterCookies(c.Request.Header, name, func(value string) bool { return slices.Contains(found.Living, value) })
	if found.Dead && len(found.Living) == 0 {
		caller.TakeAway(c.Writer.Header(), name, true)
	}
	return a.Err
}
