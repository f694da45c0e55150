package accounts

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
	"github.com/chatgate/chatgate/caddymodule/answer"
	"github.com/chatgate/chatgate/caddymodule/caller"
	"github.com/chatgate/chatgate/caddymodule/endpoint"
	"github.com/chatgate/chatgate/caddymodule/origin"
	"github.com/chatgate/chatgate/chatroom"
)

// layOut fills the maps that find looks paths up in.
func (a *Accounts) layOut(routes []dialect.Route) {
	a.routes, a.named, a.spelt = make(map[string][]dialect.Route), make(map[string][]dialect.Route), endpoint.Spellings{}
	for _, rt := range routes {
		a.spelt.Add(a.Prefix + rt.Path)
		if before, ok := strings.CutSuffix(rt.Path, "{id}"); ok {
			a.named[a.Prefix+before] = append(a.named[a.Prefix+before], rt)
		} else {
			a.routes[a.Prefix+rt.Path] = append(a.routes[a.Prefix+rt.Path], rt)
		}
	}
}

// ServeHTTP is the pipeline of an account call. A dialect fills in some of its numbered steps, and can skip none.
func (a *Accounts) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	// 1. Find the endpoint. The decoded path must match exactly, except for a slash at its end. A path that some server would
	// take for an endpoint is refused rather than passed on: the chat must not get the password in the body.
	routes, id := a.find(r.URL.Path)
	if routes == nil {
		routes, id = a.find(endpoint.WithoutSlash(r))
	}
	meant := ""
	if routes == nil {
		if meant = a.spelt.Match(endpoint.PathOf(r)); meant == "" {
			return next.ServeHTTP(w, r)
		}
	}
	// 2. Keep answers out of caches, and their types as they are. Let the pages that may call read them, errors included.
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	page := origin.PageOf(r, a.origins)
	if a.origins.Any() {
		origin.Share(h, r, page)
	}
	if routes == nil {
		a.fail(w, r, dialect.Route{}, authcore.Errorf(authcore.KindNotFound, "there is nothing here; the endpoint is %s", meant))
		return nil
	}
	// 3. Refuse a request that may be a replay.
	if ref := chatroom.TooEarly(r); ref != nil {
		no := a.dialect.TooEarly
		answer.JSON(w, no.Status, a.dialect.Failure(no.Code, ref.Msg))
		return nil
	}
	// 4. Judge the page that calls.
	if !a.admitPage(w, r, page, routes) {
		return nil
	}
	// 5. Check the method. HEAD is GET; the server drops the body.
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	i := slices.IndexFunc(routes, func(rt dialect.Route) bool { return rt.Method == method })
	if i < 0 {
		h.Set("Allow", strings.Join(allowed(routes), ", "))
		no := a.dialect.WrongMethod
		answer.JSON(w, no.Status, a.dialect.Failure(no.Code, no.Text))
		return nil
	}
	ctx, cancel := context.WithTimeout(r.Context(), callTimeout)
	defer cancel()
	// 6 to 9 are in serve. 10. Answer, whatever the result.
	if no := a.dialect.OtherOrigin; a.borrowsCookie(r, page, routes[i].Access) {
		answer.JSON(w, no.Status, a.dialect.Failure(no.Code, no.Text))
		return nil
	}
	call := &dialect.Call{Settings: a.settings, ID: id, Writer: w, Request: r}
	rep, err := a.serve(ctx, routes[i], call)
	if err != nil {
		a.fail(w, r, routes[i], err)
		return nil
	}
	if a.cookie != "" && page != chatroom.OpenPage {
		a.keepCookie(h, call, rep)
	}
	if rep.Body == nil {
		w.WriteHeader(rep.Status)
		return nil
	}
	answer.JSON(w, rep.Status, rep.Body)
	return nil
}

// find returns the routes of a path, and the segment that matched {id}.
func (a *Accounts) find(path string) (routes []dialect.Route, id string) {
	if routes = a.routes[path]; routes != nil {
		return routes, ""
	}
	slash := strings.LastIndexByte(path, '/') + 1
	if id = path[slash:]; id != "" {
		return a.named[path[:slash]], id
	}
	return nil, ""
}

// allowed returns the methods that routes take.
func allowed(routes []dialect.Route) []string {
	var methods []string
	for _, rt := range routes {
		methods = append(methods, rt.Method)
		if rt.Method == http.MethodGet {
			methods = append(methods, http.MethodHead)
		}
	}
	return methods
}

// serve does the steps of a call that can fail with an error of authcore.
func (a *Accounts) serve(ctx context.Context, rt dialect.Route, c *dialect.Call) (dialect.Reply, error) {
	// 6. Get the service.
	service, done, err := a.app.Service(ctx)
	if err != nil {
		return dialect.Reply{}, &authcore.Error{Kind: authcore.KindUnavailable, Msg: "service temporarily unavailable", Err: err, RetryAfter: 5 * time.Second}
	}
	defer done()
	c.Service = service
	// 7. Identify the client, as far as the connection tells.
	c.Client = caller.Client(c.Request, a.dialect.Name)
	// 8. Authenticate the caller, unless anybody may call.
	if rt.Access != dialect.Public {
		if err := a.authenticate(ctx, rt.Access, c); err != nil {
			return dialect.Reply{}, err
		}
	}
	if c.ID != "" && !plainID(c.ID) {
		return dialect.Reply{}, authcore.Errorf(authcore.KindNotFound, "there is nothing of that name")
	}
	// 9. Decode, and make one call on the service.
	return rt.Handle(ctx, c)
}

// authenticate finds the caller's token and, where an endpoint needs a session, proves it. Without an Authorization header it
// looks at the cookie.
func (a *Accounts) authenticate(ctx context.Context, access dialect.Access, c *dialect.Call) (err error) {
	authn := caller.NewAuthenticator(ctx, c.Service.AuthenticateOwner)
	if a.cookie != "" && access == dialect.NeedsSession && len(c.Request.Header["Authorization"]) == 0 {
		if err := dropBadCookies(c, a.cookie, authn); err != nil {
			return err
		}
	}
	if c.Token, err = caller.Token(c.Request, a.cookie); err != nil || access != dialect.NeedsSession {
		return err
	}
	proven, err := authn.Authenticate(c.Token)
	if err != nil {
		return err
	}
	c.Identity = proven.Identity
	caller.SetUser(c.Request, c.Identity)
	return nil
}

// dropBadCookies removes cookies without a good token from a request, and from the browser if no good one is left.
func dropBadCookies(c *dialect.Call, name string, authn *caller.Authenticator) error {
	var values []string
	chatroom.FilterCookies(c.Request.Header, name, func(value string) bool {
		values = append(values, value)
		return true
	})
	found := chatroom.JudgeCookies(values, authn.Standing)
	chatroom.FilterCookies(c.Request.Header, name, func(value string) bool { return slices.Contains(found.Living, value) })
	if found.Dead && len(found.Living) == 0 {
		caller.ExpireCookie(c.Writer.Header(), name, true)
	}
	return authn.Err
}

// plainID reports whether a segment of a path has the form of an id. Nothing else reaches a store.
func plainID(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '-' || c == '_') {
			return false
		}
	}
	return len(s) <= 64
}

// fail logs err if the operator needs to know, and answers in the dialect.
func (a *Accounts) fail(w http.ResponseWriter, r *http.Request, rt dialect.Route, err error) {
	e := authcore.AsError(err)
	answer.LogFailure(a.logger, r, e)
	answer.SetRetryAfter(w, e)
	a.dialect.Fail(w, rt.Answers, e)
}
