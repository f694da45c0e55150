package syntax

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/authcore"
)

// Rate is a budget, written as <count>/<duration>: 60/1m.
type Rate string

// Rate parses the budget. Without one it returns otherwise; errors name the option.
func (c Rate) Rate(option string, otherwise authcore.Rate) (authcore.Rate, error) {
	if c == "" {
		return otherwise, nil
	}
	count, per, ok := strings.Cut(string(c), "/")
	n, err1 := strconv.Atoi(count)
	d, err2 := caddy.ParseDuration(per)
	if !ok || err1 != nil || err2 != nil || n < 1 || n > 1_000_000 || d < time.Second {
		return authcore.Rate{}, fmt.Errorf("%s %q is not a rate; write it as <count>/<duration>, such as 60/1m", option, string(c))
	}
	return authcore.Rate{Burst: n, Per: d}, nil
}
