package origin

import (
	"fmt"

	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/chatroom"
)

// Option is the option origins: pages that are allowed beside the site's own.
func Option(dst *[]string) option.Option {
	return option.List("origins", dst, "takes at least one origin, such as https://chat.example.com").Each(func(text string) error {
		if _, ok := chatroom.ParseOrigin(text); !ok {
			return fmt.Errorf("origin %q is not of the form https://chat.example.com[:port]", text)
		}
		return nil
	})
}
