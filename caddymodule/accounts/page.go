package accounts

import (
	"net/http"

	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
	"github.com/chatgate/chatgate/caddymodule/answer"
	"github.com/chatgate/chatgate/caddymodule/origin"
	"github.com/chatgate/chatgate/chatroom"
)

// admitPage judges the page that calls, and reports whether the call goes on. Where there is a cookie, a page of another site
// must neither act for its visitor nor log them in to an account of its own; where pages are named, no others may call. What
// only reads is left to the browser, which shows the page nothing. A browser that asks what the page may send is answered.
func (a *Accounts) admitPage(w http.ResponseWriter, r *http.Request, page chatroom.Page, routes []dialect.Route) bool {
	preflight := a.origins.Any() && origin.IsPreflight(r)
	switch {
	case page == chatroom.OtherPage && (preflight || !readsOnly(r)) && (a.dialect.Cookie != "" || a.origins.Any()):
		no := a.dialect.OtherOrigin
		answer.JSON(w, no.Status, a.dialect.Failure(no.Code, no.Text))
	case preflight:
		origin.AnswerPreflight(w, allowed(routes))
	default:
		return true
	}
	return false
}

// readsOnly reports whether a request changes nothing.
func readsOnly(r *http.Request) bool {
	return r.Method == http.MethodGet || r.Method == http.MethodHead || r.Method == http.MethodOptions
}
