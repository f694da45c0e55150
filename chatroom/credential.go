package chatroom

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/chatgate/chatgate/authcore"
)

// CredentialRules say where a route looks for a token.
type CredentialRules struct {
	Cookie  string   // name of a cookie; empty means none. It counts only with an Origin that may use it.
	Query   string   // name of a query parameter; empty means none
	Origins []string // that may use the cookie beside the request's own, as scheme://host[:port]
	// Judge says what a token in the cookie is worth, which nobody chose to send; nil: as much as any.
	Judge func(authcore.UnverifiedToken) Standing
}

// Standing is what a token in a cookie is worth.
type Standing uint8

// The standings.
const (
	Living  Standing = iota // it counts, or what it is worth cannot be told now
	Over                    // it was good once
	Foreign                 // it never was one of ours
)

// Credential is the token that came with a request, unverified, and what to do about where it was.
type Credential struct {
	Token  authcore.UnverifiedToken // empty: a visitor
	Answer string                   // subprotocol to answer with when the upstream chooses none
	Stale  bool                     // there is no token, but a cookie that holds nothing good, to be taken away
	Over   bool                     // and it is a WebSocket whose page is to learn that its session has ended
}

// Take finds the token of a request and removes it, so that it goes no further. Where a token is offered in several
// places they must agree; a cookie is looked at only where nothing else is offered, counts only if it is worth something,
// and for a WebSocket or unsafe method only with an Origin that may use it.
func (c CredentialRules) Take(r *http.Request, class Class) (Credential, *Refusal) {
	var cred Credential
	found := func(token string) *Refusal {
		if cred.Token != "" && string(cred.Token) != token {
			return refuse(http.StatusBadRequest, "the request offers different tokens")
		}
		cred.Token = authcore.UnverifiedToken(token)
		return nil
	}
	if class == WebSocket {
		token, ref := takeSubprotocol(r.Header)
		if ref != nil {
			return cred, ref
		}
		if token != "" {
			cred.Token = authcore.UnverifiedToken(token)
			if r.Header.Get("Sec-Websocket-Protocol") == "" {
				cred.Answer = token
			}
		}
	}
	if auth := r.Header["Authorization"]; len(auth) > 0 {
		scheme, token, _ := strings.Cut(auth[0], " ")
		if len(auth) > 1 {
			return cred, refuse(http.StatusBadRequest, "more than one Authorization header")
		}
		if odd, _, tab := strings.Cut(scheme, "\t"); tab && strings.EqualFold(odd, "Bearer") {
			return cred, refuse(http.StatusBadRequest, "a space goes between Bearer and the token")
		}
		// Another scheme is the upstream's own affair.
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
		// A page that was asked for with a token names that URL in its own requests.
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

// weigh finds the token among the cookies. What holds nothing good stands in nobody's way.
func (c CredentialRules) weigh(r *http.Request, class Class, found Cookies, cred *Credential) *Refusal {
	risky := class == WebSocket || !safeMethod(r.Method)
	switch {
	case len(found.Living) > 1 && risky:
		return refuse(http.StatusBadRequest, "the session cookie is there twice, with different values")
	case len(found.Living) > 1: // which of them was planted, nobody can tell, so none counts
	case len(found.Living) == 0:
		cred.Stale = found.Dead
		cred.Over = found.Over && class == WebSocket && c.originMayUseCookie(r)
	case risky && !c.originMayUseCookie(r):
		return refuse(http.StatusForbidden, "this origin may not use the cookie")
	default:
		cred.Token = authcore.UnverifiedToken(found.Living[0])
	}
	return nil
}

func safeMethod(m string) bool {
	return m == http.MethodGet || m == http.MethodHead || m == http.MethodOptions
}

// looksLikeToken tells a token from the name of an application protocol: every JOSE header begins with `{"` or `{ `,
// which base64url spells "ey"; and no protocol name is that long.
func looksLikeToken(s string) bool { return strings.HasPrefix(s, tokenBegin) || len(s) >= 64 }

const tokenBegin = "ey"

// takeSubprotocol removes the first offered subprotocol if it is a token. One in another place would go on to the
// upstream, so it is refused.
func takeSubprotocol(h http.Header) (string, *Refusal) {
	offered, ref := Subprotocols(h)
	if ref != nil || len(offered) == 0 {
		return "", ref
	}
	if slices.ContainsFunc(offered[1:], looksLikeToken) {
		return "", refuse(http.StatusBadRequest, "a token goes first in Sec-WebSocket-Protocol")
	}
	if !looksLikeToken(offered[0]) {
		return "", nil
	}
	if len(offered) == 1 {
		h.Del("Sec-Websocket-Protocol")
	} else {
		h["Sec-Websocket-Protocol"] = []string{strings.Join(offered[1:], ", ")}
	}
	return offered[0], nil
}

// takeQuery removes every parameter of that name without touching the order or spelling of the others.
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
			return "", refuse(http.StatusBadRequest, "the query offers no single token")
		}
		token = value
	}
	u.RawQuery = strings.Join(kept, "&")
	return token, nil
}

// Cookies is what the cookies of one name are worth.
type Cookies struct {
	Living []string // the values that count, each once
	Over   bool     // one of the others was good once
	Dead   bool     // there are others
}

// maxCookies is how many values of a cookie are looked at. There is more than one only where a neighbouring path or domain
// has its own, or plants one.
const maxCookies = 8

// JudgeCookies finds out what the values of a cookie are worth. Each that can be a token is judged once, up to a limit.
// Beyond it there may be one that lives, so then none of the others is said to be dead: whoever plants many must not have
// the right one taken away. Without a judge, every one lives.
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

// FilterCookies removes the cookies of a name whose value is not to be kept, and leaves the others as they were sent.
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

// originMayUseCookie compares the one Origin with the request's own and the configured ones, exactly.
func (c CredentialRules) originMayUseCookie(r *http.Request) bool {
	origins := r.Header["Origin"]
	if len(origins) != 1 {
		return false
	}
	o, ok := canonicalOrigin(origins[0])
	if !ok {
		return false
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	if own, ok := canonicalOrigin(scheme + "://" + r.Host); ok && o == own {
		return true
	}
	return slices.Contains(c.Origins, o)
}

// ParseOrigin returns an origin as browsers serialise it (RFC 6454, section 6.2), or false for anything else.
func ParseOrigin(s string) (string, bool) { return canonicalOrigin(s) }

func canonicalOrigin(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.Path != "" || u.RawQuery != "" ||
		u.Fragment != "" || u.ForceQuery || u.Hostname() == "" || strings.HasSuffix(u.Hostname(), ".") || strings.ContainsAny(s, "#*,") {
		return "", false
	}
	host, port := strings.ToLower(u.Hostname()), u.Port()
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() {
		host = "[" + ip.String() + "]"
	}
	if port != "" && !(u.Scheme == "http" && port == "80") && !(u.Scheme == "https" && port == "443") {
		host += ":" + port
	}
	return u.Scheme + "://" + host, true
}
