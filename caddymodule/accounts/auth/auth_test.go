package auth

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
	"github.com/chatgate/chatgate/caddymodule/answer"
)

// A user is shown as an object of exactly five members.
func TestAuthUser(t *testing.T) {
	for name, tc := range map[string]struct {
		account authcore.Account
		want    string
	}{
		"nothing chosen": {
			authcore.Account{ID: "u-1", Number: 7, Username: "alice", Email: "alice@example.com", PasswordHash: "hash", Disabled: true, Epoch: 3},
			`{"id":"u-1","username":"alice","displayName":"alice","avatarUrl":null,"isBot":false}`,
		},
		"everything": {
			authcore.Account{ID: "u-2", Username: "robot", DisplayName: `Ro "B" Ot <3`, AvatarURL: "https://example.com/a.png?x=1&y=2", Bot: true},
			`{"id":"u-2","username":"robot","displayName":"Ro \"B\" Ot <3","avatarUrl":"https://example.com/a.png?x=1&y=2","isBot":true}`,
		},
	} {
		if got := encoded(t, userOf(tc.account)); got != tc.want {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, tc.want)
		}
	}
	g := authcore.Grant{Token: "t-1", Account: authcore.Account{ID: "u-1", Username: "alice"}}
	if got, want := encoded(t, grantOf(g)), `{"token":"t-1","user":{"id":"u-1","username":"alice","displayName":"alice","avatarUrl":null,"isBot":false}}`; got != want {
		t.Errorf("a grant is\n%s\nwant\n%s", got, want)
	}
	if got, want := encoded(t, grant{Token: "t-2"}), `{"token":"t-2"}`; got != want {
		t.Errorf("a refresh is\n%s\nwant\n%s", got, want)
	}
}

func encoded(t *testing.T, v any) string {
	t.Helper()
	w := httptest.NewRecorder()
	answer.JSON(w, http.StatusOK, v)
	body := strings.TrimSuffix(w.Body.String(), "\n")
	if !json.Valid([]byte(body)) {
		t.Fatalf("no JSON: %s", body)
	}
	return body
}

func TestAuthSession(t *testing.T) {
	at := time.Date(2026, 11, 21, 8, 0, 0, 5e8, time.FixedZone("", 3600))
	s := authcore.SessionInfo{
		Session: authcore.Session{ID: "s-1", Account: "u-1", CreatedAt: at, LastSeenAt: at.Add(time.Hour), ExpiresAt: at.Add(2 * time.Hour), UserAgent: "curl/8", Addr: netip.MustParseAddr("::1")},
		Device:  "curl", Current: true, Connections: 2,
	}
	want := `{"id":"s-1","device":"curl","address":"::1","createdAt":"2026-11-21T07:00:00Z","lastSeenAt":"2026-11-21T08:00:00Z","expiresAt":"2026-11-21T09:00:00Z","current":true,"connections":2}`
	if got := encoded(t, sessionOf(s)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	s.Addr = netip.Addr{}
	if got := encoded(t, sessionOf(s)); !strings.Contains(got, `"address":null`) {
		t.Errorf("an unknown address is shown in %s", got)
	}
}

// Of a profile, what is absent, null, empty and given are four different things.
func TestAuthProfileChange(t *testing.T) {
	text := func(s string) *string { return &s }
	for body, want := range map[string]*authcore.ProfileChange{
		`{}`:                                      {},
		`{"displayName":"Alice"}`:                 {DisplayName: text("Alice")},
		`{"displayName":""}`:                      {DisplayName: text("")},
		`{"displayName":"\u0041"}`:                {DisplayName: text("A")},
		`{"avatarUrl":null}`:                      {AvatarURL: text("")},
		`{"avatarUrl": null }`:                    {AvatarURL: text("")},
		`{"avatarUrl":"https://a.example/"}`:      {AvatarURL: text("https://a.example/")},
		`{"displayName":"A","avatarUrl":null}`:    {DisplayName: text("A"), AvatarURL: text("")},
		`{"displayName":null}`:                    nil,
		`{"displayName":null,"avatarUrl":null}`:   nil,
		`{"avatarUrl":""}`:                        nil,
		`{"displayName":1}`:                       nil,
		`{"displayName":true}`:                    nil,
		`{"displayName":["A"]}`:                   nil,
		`{"displayName":{}}`:                      nil,
		`{"avatarUrl":false}`:                     nil,
		`{"avatarUrl":0}`:                         nil,
		`{"avatarUrl":["https://a.example/"]}`:    nil,
		`{"avatarURL":null}`:                      nil,
		`{"displayname":"A"}`:                     nil,
		`{"username":"root"}`:                     nil,
		`{"displayName":"A","isBot":true}`:        nil,
		`{"displayName":"A","email":"a@b.c"}`:     nil,
		`{"displayName":"A","id":"u-2"}`:          nil,
		`{"displayName":"A","displayName":"B"}`:   nil,
		`{"displayName":"A","displayName":null}`:  nil,
		`{"avatarUrl":null,"avatarUrl":null}`:     nil,
		`{"displayName":"a\u0000b"}`:              nil,
		`{"displayName":"\ud800"}`:                nil,
		"{\"displayName\":\"\xff\"}":              nil,
		`{"displayName":"A"} {"displayName":"B"}`: nil,
		`null`:                nil,
		`[]`:                  nil,
		``:                    nil,
		`{"displayName":}`:    nil,
		`{"displayName":"A",`: nil,
	} {
		var in profile
		call := dialect.Call{
			Writer: httptest.NewRecorder(), Request: httptest.NewRequest("POST", "/x", strings.NewReader(body)),
			Settings: dialect.Settings{Bodies: dialect.JSONOnly},
		}
		err := call.Decode(&in)
		var got authcore.ProfileChange
		if err == nil {
			got, err = in.change()
		}
		if want == nil {
			if authcore.KindOf(err) != authcore.KindInvalidInput {
				t.Errorf("%q: %v", body, err)
			}
			continue
		}
		same := func(a, b *string) bool { return (a == nil) == (b == nil) && (a == nil || *a == *b) }
		if err != nil || !same(got.DisplayName, want.DisplayName) || !same(got.AvatarURL, want.AvatarURL) {
			t.Errorf("%q: %s, %v", body, encoded(t, got), err)
		}
	}
}
