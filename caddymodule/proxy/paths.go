package proxy

import (
	"fmt"
	"slices"

	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/syntax"
	"github.com/chatgate/chatgate/chatroom"
)

const (
	encodedSlash = "encoded_slash"
	semicolon    = "semicolon"
)

// pathOption is the option allow_in_path: what an upstream needs in paths although servers understand it differently.
func pathOption(dst *[]string) option.Option {
	all := []string{encodedSlash, semicolon}
	return option.List("allow_in_path", dst, "takes "+syntax.List(all, "or")+", or both").Each(func(what string) error {
		if !slices.Contains(all, what) {
			return fmt.Errorf("allow_in_path %q is unknown; there are %s", what, syntax.List(all, "and"))
		}
		return nil
	})
}

func pathRules(allowed []string) chatroom.PathRules {
	return chatroom.PathRules{EncodedSlash: slices.Contains(allowed, encodedSlash), Semicolon: slices.Contains(allowed, semicolon)}
}
