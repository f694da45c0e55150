package chatroom

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/chatgate/chatgate/authcore"
)

// CredentialRules say where a route looks for a token.
type CredentialRules struct {
	Cookie  string  // name of a cookie; empty means none. It counts only for a page that may use it.
	Query   string  // name of a query parameter; empty means none
	Origins Origins // whose pages may use the cookie beside the site's own
	// TrustedProxy says that a trusted proxy sent the request, which knows the scheme that the browser used.
	TrustedProxy bool
	// OthersSubprotocols and OthersAuthorization say that a token there is the chat's own, so it passes as it is.
	OthersSubprotocols, OthersAuthorization bool
	// Judge says what a token in the cookie is worth, since browsers send it unasked. Nil takes every token for living.
	Judge func(authcore.UnverifiedToken) Standing
}

// Standing is what a token in a cookie is worth.
type Standing uint8

// The standings.
const (
	Living  Standing = iota // it counts, or cannot be judged now
	Over                    // it was valid once
	Foreign                 // it is none of ours
)

// Credential is the unverified token of a request, and what its place means for the answer.
type Credential struct {
	Token   authcore.UnverifiedToken // empty for a visitor
	Offered []string                 // the subprotocols that a handshake offers beside the token
	Answer  string                   // the subprotocol to answer with if the upstream chooses none
	Stale   bool                     // there is no token, but a cookie without a valid one, which should be deleted
	Over    bool                     // likewise, on a WebSocket whose page should learn that its session is over
}

// Take finds the token of a request and removes it, so that it goes no further. Tokens in several places must agree. A
// cookie is looked at only if there is no token elsewhere, counts only if it is living, and for a WebSocket or an unsafe
// method only for a page that may use it.
func (c CredentialRules) Take(r *http.Request, class Class) (Credential, *Refusal) {
	var cred Credential
	found := func(token string) *Refusal {
		if cred.Token != "" && string(cred.Token) != token {
			return refuse(http.StatusBadRequest, "the request offers different tokens")
		}
		cred.Token = authcore.UnverifiedToken(token)
		return nil
	}
	switch {
	case class.WebSocket && c.OthersSubprotocols:
		cred.Offered = class.Offered
	case class.WebSocket:
		token, others, ref := takeSubprotocol(r.Header, class.Offered)
		if ref != nil {
			return cred, ref
		}
		cred.Offered = others
		if token != "" {
			cred.Token = authcore.UnverifiedToken(token)
			if len(others) == 0 {
				cred.Answer = token
			}
		}
	}
	if auth := r.Header["Authorization"]; len(auth) > 0 && !c.OthersAuthorization {
		scheme, token, _ := strings.Cut(auth[0], " ")
		if len(auth) > 1 {
			return cred, refuse(http.StatusBadRequest, "more than one Authorization header")
		}
		if odd, _, tab := strings.Cut(scheme, "\t"); tab && strings.EqualFold(odd, "Bearer") {
			return cred, refuse(http.StatusBadRequest, "put a space between Bearer and the token")
		}
		// Any other scheme is between the client and the upstream.
		if strings.EqualFold(scheme, "Bearer") {
			r.Header.Del("Authorization")
			if ref := found(token); ref != nil {
				return cred, ref
			}
			if token == "" {
				return cred, refuse(http.StatusBadRequest, "Authorization: Bearer without a token")
			}
		}
	}
	if c.Query != "" {
		// A page that was requested with a token in its URL sends that URL as the Referer of its own requests.
		if strings.Contains(r.Header.Get("Referer"), c.Query+"=") {
			r.Header.Del("Referer")
		}
		token, ref := takeQuery(r.URL, c.Query)
		if ref == nil && token != "" {
			ref = found(token)
		}
		if ref != nil {
			return cred, ref
		}
	}
	if c.Cookie != "" {
		var values []string
		FilterCookies(r.Header, c.Cookie, func(value string) bool {
			values = append(values, value)
			return false
		})
		if cred.Token == "" {
			return cred, c.weigh(r, class, JudgeCookies(values, c.Judge), &cred)
		}
	}
	return cred, nil
}

// weigh finds the token among the cookies. Cookies without a living token do not stand in the way.
func (c CredentialRules) weigh(r *http.Request, class Class, found Cookies, cred *Credential) *Refusal {
	risky := class.WebSocket || !safeMethod(r.Method)
	switch {
	case len(found.Living) > 1 && risky:
		return refuse(http.StatusBadRequest, "the session cookie was sent twice, with different values")
	case len(found.Living) > 1: // one may have been planted, and none can be told from it, so none counts
	case len(found.Living) == 0:
		cred.Stale = found.Dead
		cred.Over = found.Over && class.WebSocket && c.pageMayUseCookie(r)
	case risky && !c.pageMayUseCookie(r):
		return refuse(http.StatusForbidden, "this origin may not use the cookie")
	default:
		cred.Token = authcore.UnverifiedToken(found.Living[0])
	}
	return nil
}

func (c CredentialRules) pageMayUseCookie(r *http.Request) bool {
	return c.Origins.PageOf(r, c.TrustedProxy).MayUseCookie()
}

func safeMethod(m string) bool {
	return m == http.MethodGet || m == http.MethodHead || m == http.MethodOptions
}

// looksLikeToken tells a token from the name of an application protocol. A JOSE header begins with `{"` or `{ `, which is
// "ey" in base64url, and no protocol name has 64 characters.
func looksLikeToken(s string) bool { return strings.HasPrefix(s, tokenBegin) || len(s) >= 64 }

const tokenBegin = "ey"

// takeSubprotocol removes the first offered subprotocol if it is a token, and returns it and the others. A token in another
// place would go on to the upstream, so it is refused.
func takeSubprotocol(h http.Header, offered []string) (token string, others []string, ref *Refusal) {
	switch {
	case len(offered) == 0:
		return "", nil, nil
	case slices.ContainsFunc(offered[1:], looksLikeToken):
		return "", nil, refuse(http.StatusBadRequest, "a token must come first in Sec-WebSocket-Protocol")
	case !looksLikeToken(offered[0]):
		return "", offered, nil
	}
	token, others = offered[0], offered[1:]
	if len(others) == 0 {
		h.Del("Sec-Websocket-Protocol")
	} else {
		h["Sec-Websocket-Protocol"] = []string{strings.Join(others, ", ")}
	}
	return token, others, nil
}

// takeQuery removes every parameter of that name, and leaves the order and spelling of the others.
func takeQuery(u *url.URL, name string) (string, *Refusal) {
	if !strings.Contains(u.RawQuery, name) && !strings.Contains(u.RawQuery, "%") {
		return "", nil
	}
	var token string
	var kept []string
	for part := range strings.SplitSeq(u.RawQuery, "&") {
		k, v, _ := strings.Cut(part, "=")
		if key, err := url.QueryUnescape(k); err != nil || key != name {
			kept = append(kept, part)
			continue
		}
		value, err := url.QueryUnescape(v)
		if err != nil || token != "" && token != value {
			return "", refuse(http.StatusBadRequest, "the query has more than one token, or a malformed one")
		}
		token = value
	}
	u.RawQuery = strings.Join(kept, "&")
	return token, nil
}

// Cookies is what the cookies of one name are worth.
type Cookies struct {
	Living []string // the values that count, each once
	Over   bool     // another one was valid once
	Dead   bool     // there are others
}

// maxCookies bounds how many values of a cookie are judged. There is more than one only if a neighbouring path or domain
// has one of its own, or plants one.
const maxCookies = 8

// JudgeCookies judges every value that can be a token once, up to maxCookies. Beyond that a living one may follow, so then
// none is reported dead: planting many cookies must not make us delete the right one. Without a judge, every value lives.
func JudgeCookies(values []string, judge func(authcore.UnverifiedToken) Standing) (found Cookies) {
	seen := make([]string, 0, maxCookies)
	for _, value := range values {
		if value == "" || slices.Contains(seen, value) {
			continue
		}
		standing := Living
		switch {
		case judge != nil && !strings.HasPrefix(value, tokenBegin):
			standing = Foreign
		case len(seen) == maxCookies:
			return Cookies{Living: found.Living}
		default:
			if seen = append(seen, value); judge != nil {
				standing = judge(authcore.UnverifiedToken(value))
			}
		}
		switch standing {
		case Living:
			found.Living = append(found.Living, value)
		case Over:
			found.Over, found.Dead = true, true
		case Foreign:
			found.Dead = true
		}
	}
	return found
}

// FilterCookies removes the cookies of that name whose value keep rejects, and leaves the others as they were sent.
func FilterCookies(h http.Header, name string, keep func(value string) bool) {
	lines := h["Cookie"]
	if len(lines) == 0 {
		return
	}
	var kept []string
	for _, line := range lines {
		for part := range strings.SplitSeq(line, ";") {
			part = textTrim(part)
			k, v, _ := strings.Cut(part, "=")
			if textTrim(k) == name && !keep(strings.Trim(textTrim(v), `"`)) || part == "" {
				continue
			}
			kept = append(kept, part)
		}
	}
	if len(kept) == 0 {
		h.Del("Cookie")
	} else {
		h["Cookie"] = []string{strings.Join(kept, "; ")}
	}
}
