package chatroom

import (
	"reflect"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

func TestJudgeCookies(t *testing.T) {
	for values, want := range map[string]Cookies{
		"":                          {},
		"live1":                     {Living: []string{"live1"}},
		"live1 live1":               {Living: []string{"live1"}},
		"live1 over live2 x":        {Living: []string{"live1", "live2"}, Over: true, Dead: true},
		"x":                         {Dead: true},
		"over":                      {Over: true, Dead: true},
		"a b c d e f g live":        {Living: []string{"live"}, Dead: true},
		"a b c d e f g h live":      {Dead: true},
		"a a a a a a a a a a live":  {Living: []string{"live"}, Dead: true},
		"live b c d e f g h i live": {Living: []string{"live"}, Dead: true},
	} {
		asked := make(map[authcore.UnverifiedToken]bool)
		got := JudgeCookies(strings.Split(values, " "), func(token authcore.UnverifiedToken) Standing {
			if asked[token] {
				t.Errorf("%q: asked twice", values)
			}
			asked[token] = true
			switch {
			case strings.HasPrefix(string(token), "live"):
				return Living
			case token == "over":
				return Over
			}
			return Foreign
		})
		if !reflect.DeepEqual(got, want) || len(asked) > maxCookies {
			t.Errorf("%q: %+v, want %+v; asked %d times", values, got, want, len(asked))
		}
	}
}
