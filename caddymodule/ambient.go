package caddymodule

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/chatroom"
)

// A browser sends a cookie along whether or not it is of use to anybody. So one that holds nothing good is no failed
// attempt to be somebody: it is taken away, and whoever sent it is a visitor.

// standingOf asks what a token in a cookie is worth. Where that cannot be told it counts, so that the request fails as any
// other would, and nobody loses a session to a store that is away.
func standingOf(ctx context.Context, service *authcore.Service, token authcore.UnverifiedToken) (chatroom.Standing, error) {
	_, err := service.Authenticate(ctx, token)
	return judgement(err)
}

// judgement is what an answer to the question for a token says of it. An error that says nothing is returned.
func judgement(err error) (chatroom.Standing, error) {
	switch {
	case err == nil:
		return chatroom.Living, nil
	case authcore.WasOurs(err):
		return chatroom.Over, nil
	case authcore.KindOf(err) == authcore.KindBadToken:
		return chatroom.Foreign, nil
	default:
		return chatroom.Living, err
	}
}

// takeAway has a browser forget a cookie of the whole site.
func takeAway(h http.Header, name string, secure bool) {
	dead := &http.Cookie{ //nolint:gosec // Secure where a browser takes that; there is nothing in it
		Name: name, Path: "/", Expires: time.Unix(0, 0), MaxAge: -1, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode,
	}
	h.Add("Set-Cookie", dead.String())
	h.Set("Cache-Control", "no-store") // or a cache would take other people's away
}

// takeAwayFrom is takeAway for a cookie that somebody else may have set, also over plain HTTP, where a browser takes no
// Secure one. Names with a prefix have it (draft-ietf-httpbis-rfc6265bis, section 4.1.3).
func takeAwayFrom(w http.ResponseWriter, r *http.Request, name string) {
	takeAway(w.Header(), name, r.TLS != nil || strings.HasPrefix(name, "__"))
}

// siftCookies takes cookies away that hold nothing good: from a request, and from its browser where none is left.
func siftCookies(ctx context.Context, c *call, name string) (err error) {
	living, dead, looked := 0, 0, make(map[string]bool)
	chatroom.FilterCookies(c.r.Header, name, func(value string) bool {
		good, known := looked[value]
		if !known {
			standing := chatroom.Foreign
			if len(looked) < maxSsids {
				var failed error
				if standing, failed = standingOf(ctx, c.service, authcore.UnverifiedToken(value)); failed != nil {
					err = failed
				}
			}
			good = standing == chatroom.Living
			looked[value] = good
		}
		switch {
		case good:
			living++
		case value != "":
			dead++
		}
		return good
	})
	if dead > 0 && living == 0 {
		takeAway(c.w.Header(), name, true)
	}
	return err
}

// maxSsids bounds the cookies that are looked at.
const maxSsids = 8
