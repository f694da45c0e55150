package syntax

import (
	"fmt"
	"regexp"
)

var onePlaceholder = regexp.MustCompile(`^\{(?:env|file)\.[^{}]+\}$`)

// Secret refuses a secret that is written in the configuration. The error does not show it, and says what is to be where
// it stands.
func Secret(what, text string) error {
	if onePlaceholder.MatchString(text) {
		return nil
	}
	return fmt.Errorf("%s is written as {env.NAME} or {file.path}, since Caddy saves its configuration and shows it", what)
}
