package checks

import "github.com/chatgate/chatgate/caddymodule/app"

func init() {
	app.RegisterChecks(
		bypass, openUpstreams, demoRooms, hiddenEndpoints, lateRefusals, spellings, logs, unmarkedVisitors, directories,
	)
}
