package caller

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

// Asker asks what the tokens in cookies are worth, and keeps the answer for the one that counts.
type Asker struct {
	ctx     context.Context // of the request, which it is for
	service *authcore.Service

	token authcore.UnverifiedToken // the last that lives
	id    authcore.ProvenSession   // whose it is
	Err   error                    // why something could not be told
}

func NewAsker(ctx context.Context, service *authcore.Service) *Asker {
	return &Asker{ctx: ctx, service: service}
}

// Judge is what a token is worth. Where that cannot be told it counts, so that the request fails as any other would, and
// nobody loses a session to a store that is away.
func (a *Asker) Judge(token authcore.UnverifiedToken) chatroom.Standing {
	id, err := a.service.Authenticate(a.ctx, token)
	standing, unknown := judgement(err)
	if standing == chatroom.Living {
		a.token, a.id = token, id
	}
	if unknown != nil {
		a.Err = unknown
	}
	return standing
}

// Authenticate returns whose a token is. What a cookie was taken for is not asked again: the answer could be another, and
// the request neither a visitor's nor anybody's.
func (a *Asker) Authenticate(token authcore.UnverifiedToken) (authcore.ProvenSession, error) {
	if a.token == token {
		return a.id, a.Err
	}
	return a.service.Authenticate(a.ctx, token)
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

// TakeAway has a browser forget a cookie of the whole site.
func TakeAway(h http.Header, name string, secure bool) {
	dead := &http.Cookie{ //nolint:gosec // Secure where a browser takes that; there is nothing in it
		Name: name, Path: "/", Expires: time.Unix(0, 0), MaxAge: -1, HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode,
	}
	h.Add("Set-Cookie", dead.String())
	h.Set("Cache-Control", "no-store") // or a cache would take other people's away
}

// TakeAwayFrom is TakeAway for a cookie that somebody else may have set, also over plain HTTP, where a browser takes no
// Secure one. Names with a prefix have it (draft-ietf-httpbis-rfc6265bis, section 4.1.3).
func TakeAwayFrom(w http.ResponseWriter, r *http.Request, name string) {
	TakeAway(w.Header(), name, r.TLS != nil || strings.HasPrefix(name, "__"))
}
