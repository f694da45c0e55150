package chatroom

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

func TestSetIdentity(t *testing.T) {
	alice := &authcore.Identity{Account: "0198", Username: "alice", DisplayName: "Alice", Email: "alice@example.org"}
	for name, tc := range map[string]struct {
		names  IdentityHeaders
		id     *authcore.Identity
		access Access
		want   http.Header
	}{
		"a member": {DefaultIdentityHeaders, alice, ReadWrite, http.Header{
			"Remote-User": {"alice"}, "Remote-Name": {"Alice"}, "Remote-Email": {"alice@example.org"}, "Remote-Id": {"0198"}, "Remote-Access": {"read-write"},
		}},
		"a member who may only read": {DefaultIdentityHeaders, alice, ReadOnly, http.Header{
			"Remote-User": {"alice"}, "Remote-Name": {"Alice"}, "Remote-Email": {"alice@example.org"}, "Remote-Id": {"0198"},
		}},
		"without e-mail and display name": {DefaultIdentityHeaders, &authcore.Identity{Account: "0198", Username: "alice"}, ReadWrite, http.Header{
			"Remote-User": {"alice"}, "Remote-Name": {"alice"}, "Remote-Id": {"0198"}, "Remote-Access": {"read-write"},
		}},
		"a visitor":               {DefaultIdentityHeaders, nil, ReadOnly, http.Header{}},
		"an unmarked visitor":     {DefaultIdentityHeaders, nil, Unmarked, http.Header{}},
		"a visitor who may write": {DefaultIdentityHeaders, nil, ReadWrite, http.Header{"Remote-Access": {"read-write"}}},
		"other names":             {IdentityHeaders{User: "x-chat-user", Access: "X-Mode"}, alice, ReadWrite, http.Header{"X-Chat-User": {"alice"}, "X-Mode": {"read-write"}}},
		"no names":                {IdentityHeaders{}, alice, ReadWrite, http.Header{}},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			for _, n := range tc.names.names() {
				if n != "" {
					h[http.CanonicalHeaderKey(n)] = []string{"forged", "admin"}
				}
			}
			tc.names.Set(h, tc.id, tc.access)
			if !reflect.DeepEqual(h, tc.want) {
				t.Errorf("%q, want %q", h, tc.want)
			}
		})
	}
}

func TestIdentityIsOneLine(t *testing.T) {
	for _, name := range []string{"Zoë", "a\r\nRemote-Access: read-write", "100%", "%41", "\x00\x7f", "日本", "a\tb", "plain name"} {
		h := http.Header{}
		DefaultIdentityHeaders.Set(h, &authcore.Identity{Account: "1", Username: "u", DisplayName: name}, ReadOnly)
		v := h.Get("Remote-Name")
		if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%q is told as %q", name, v)
		}
		if back, err := url.PathUnescape(v); err != nil || back != name {
			t.Errorf("%q is told as %q, which is %q", name, v, back)
		}
	}
}
