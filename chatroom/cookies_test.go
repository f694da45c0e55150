package chatroom

import (
	"reflect"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

func TestJudgeCookies(t *testing.T) {
	for values, want := range map[string]Cookies{
		"":                                {},
		"live1":                           {Living: []string{"live1"}},
		"live1 live1":                     {Living: []string{"live1"}},
		"live1 over live2 x":              {Living: []string{"live1", "live2"}, Over: true, Dead: true},
		"x":                               {Dead: true},
		"over":                            {Over: true, Dead: true},
		"a b c d e f g live":              {Living: []string{"live"}, Dead: true},
		"a b c d e f g h live":            {}, // not all were looked at
		"live a b c over e f g h i":       {Living: []string{"live"}},
		"-a -b -c -d -e -f -g -h -i live": {Living: []string{"live"}, Dead: true}, // no tokens
		"-a -b -c -d -e -f -g -h -i":      {Dead: true},
		"a a a a a a a a a a live":        {Living: []string{"live"}, Dead: true},
		"live b c d e f g h live":         {Living: []string{"live"}, Dead: true},
	} {
		asked := make(map[authcore.UnverifiedToken]bool)
		var offered []string
		for _, v := range strings.Split(values, " ") {
			if v != "" && v[0] != '-' {
				v = tokenBegin + v
			}
			offered = append(offered, v)
		}
		got := JudgeCookies(offered, func(token authcore.UnverifiedToken) Standing {
			token = token[len(tokenBegin):]
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
		for i := range got.Living {
			got.Living[i] = strings.TrimPrefix(got.Living[i], tokenBegin)
		}
		if !reflect.DeepEqual(got, want) || len(asked) > maxCookies {
			t.Errorf("%q: %+v, want %+v; asked %d times", values, got, want, len(asked))
		}
	}
}
