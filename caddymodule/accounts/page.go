package accounts

import (
	"net/http"
	"slices"
	"time"

	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
	"github.com/chatgate/chatgate/caddymodule/answer"
	"github.com/chatgate/chatgate/caddymodule/caller"
	"github.com/chatgate/chatgate/caddymodule/origin"
	"github.com/chatgate/chatgate/chatroom"
)

// admitPage judges the page that calls, and reports whether the call goes on. Where there is a cookie, a page of another site
// must neither act for its visitor nor log them in to an account of its own; where pages are named, no others may call. What
// only reads is left to the browser, which shows the page nothing. A browser that asks what the page may send is answered. A page
// that is allowed without a name loses the cookie.
func (a *Accounts) admitPage(w http.ResponseWriter, r *http.Request, page chatroom.Page, routes []dialect.Route) bool {
	preflight := a.origins.Any() && origin.IsPreflight(r)
	switch {
	case page == chatroom.OtherPage && (preflight || !readsOnly(r)) && (a.cookie != "" || a.origins.Any()):
		no := a.dialect.OtherOrigin
		answer.JSON(w, no.Status, a.dialect.Failure(no.Code, no.Text))
	case preflight:
		origin.AnswerPreflight(w, allowed(routes))
	default:
		if page == chatroom.OpenPage {
			chatroom.FilterCookies(r.Header, a.cookie, func(string) bool { return false })
		}
		return true
	}
	return false
}

// borrowsCookie reports whether a call that changes something would be authenticated by a cookie, and no page may use it: without
// a page, nothing tells who made the browser send it.
func (a *Accounts) borrowsCookie(r *http.Request, page chatroom.Page, access dialect.Access) bool {
	return a.cookie != "" && access != dialect.Public && !readsOnly(r) && !page.MayUseCookie() &&
		len(r.Header["Authorization"]) == 0 && len(r.CookiesNamed(a.cookie)) > 0
}

// keepCookie gives the browser the token of a new session, and takes that of one that was ended.
func (a *Accounts) keepCookie(h http.Header, c *dialect.Call, rep dialect.Reply) {
	switch {
	case rep.Grant != nil:
		caller.SetCookie(h, a.cookie, *rep.Grant, time.Now())
	case rep.LoggedOut && slices.ContainsFunc(c.Request.CookiesNamed(a.cookie), func(sent *http.Cookie) bool {
		return sent.Value == string(c.Token) // beside a header it may be of another session
	}):
		caller.ExpireCookie(h, a.cookie, true)
	}
}

// readsOnly reports whether a request changes nothing.
func readsOnly(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
}
