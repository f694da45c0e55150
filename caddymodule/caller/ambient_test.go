package caller

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
)

// Nobody loses a cookie to a store that is away, nor to anything else that says nothing of the token.
func TestWhatACookieIsWorth(t *testing.T) {
	for _, k := range authcore.Kinds() {
		standing, err := judgement(&authcore.Error{Kind: k, Err: errors.New("why")})
		want, told := chatroom.Living, true
		switch k {
		case authcore.KindSessionOver:
			want, told = chatroom.Over, false
		case authcore.KindBadToken:
			want, told = chatroom.Foreign, false
		default:
		}
		if standing != want || (err != nil) != told {
			t.Errorf("%v: %v, %v", k, standing, err)
		}
	}
	if standing, err := judgement(nil); standing != chatroom.Living || err != nil {
		t.Errorf("no error: %v, %v", standing, err)
	}
}

func TestTakeAwayFrom(t *testing.T) {
	const end = "; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; HttpOnly"
	for target, cookies := range map[string]map[string]string{
		"http://chat.example":  {"ssid": end + "; SameSite=Lax", "__Host-ssid": end + "; Secure; SameSite=Lax"},
		"https://chat.example": {"ssid": end + "; Secure; SameSite=Lax", "__Host-ssid": end + "; Secure; SameSite=Lax"},
	} {
		for name, want := range cookies {
			w := httptest.NewRecorder()
			TakeAwayFrom(w, httptest.NewRequest(http.MethodGet, target, nil), name)
			if got := w.Header().Get("Set-Cookie"); got != name+"="+want || w.Header().Get("Cache-Control") != "no-store" {
				t.Errorf("%s, %s: %q", target, name, w.Header())
			}
		}
	}
}
