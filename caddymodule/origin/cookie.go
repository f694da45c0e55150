package origin

import (
	"fmt"

	"golang.org/x/net/http/httpguts"

	"github.com/chatgate/chatgate/caddymodule/option"
)

// Cookie is the option cookie: the name of a cookie that may hold the token.
func Cookie(dst *string) option.Option {
	return option.Text("cookie", dst).Must(func(name string) error {
		if !httpguts.ValidHeaderFieldName(name) {
			return fmt.Errorf("cookie %q is not a valid cookie name; use letters, digits and -_", name)
		}
		return nil
	})
}
