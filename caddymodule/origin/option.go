package origin

import (
	"fmt"

	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/chatroom"
)

// Option is the option origins: pages that are allowed beside the site's own.
func Option(dst *[]string) option.Option {
	return option.List("origins", dst, "takes at least one origin, such as https://chat.example.com").Must(func(list []string) error {
		if _, bad, ok := chatroom.NewOrigins(list); !ok {
			return fmt.Errorf("origin %q is not of the form https://chat.example.com[:port], capacitor://localhost, null or *", bad)
		}
		return nil
	})
}

// Of returns the origins of an option that was checked.
func Of(checked []string) chatroom.Origins {
	origins, _, _ := chatroom.NewOrigins(checked)
	return origins
}
