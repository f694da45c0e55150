package chatroom

import (
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// Page is what a request's browser tells about the page that made it. A client that is no browser can claim any page, but
// then has nothing to gain from it: browsers alone add cookies by themselves.
type Page uint8

// The pages, from the least trusted.
const (
	OtherPage Page = iota // of an origin that is not allowed
	NoPage                // none: no browser, or an address that its user typed
	OpenPage              // of an origin that is allowed, but not by a name of its own: never with a cookie
	NamedPage             // of an origin that is allowed by name
	OwnPage               // of the site itself
)

// MayUseCookie reports whether the page may act with a cookie, which the browser adds whichever page asks for a request.
func (p Page) MayUseCookie() bool { return p == NamedPage || p == OwnPage }

// Origins are the origins whose pages are allowed beside the site's own. The zero value allows no others.
type Origins struct {
	named       []string
	hidden, any bool // hiddenOrigin and anyOrigin are in the list
}

const (
	hiddenOrigin = "null" // of a page that has none, such as a file's, or whose origin is not to be told
	anyOrigin    = "*"
)

// NewOrigins returns the origins of a list. It returns false with the first one that is neither what [ParseOrigin] takes, nor
// null, nor *.
func NewOrigins(list []string) (o Origins, bad string, ok bool) {
	for _, text := range list {
		origin, parsed := ParseOrigin(text)
		switch {
		case text == hiddenOrigin:
			o.hidden = true
		case text == anyOrigin:
			o.any = true
		case parsed:
			o.named = append(o.named, origin)
		default:
			return Origins{}, text, false
		}
	}
	return o, "", true
}

// Any reports whether any origin is allowed beside the site's own.
func (o Origins) Any() bool { return o.any || o.hidden || len(o.named) > 0 }

// PageOf returns the page that made a request, as its Origin and its Sec-Fetch-Site tell, which no page can forge. Whether a
// trusted proxy sent the request decides on who says which scheme the browser used.
//
// Sec-Fetch-Site tells a page of the site itself where Origin cannot: under Referrer-Policy: no-referrer a form sends
// "Origin: null", and behind a proxy that nobody trusts the scheme is unknown. Browsers send it over https alone, and some of
// them not with a WebSocket.
func (o Origins) PageOf(r *http.Request, trustedProxy bool) Page {
	origins, sites := r.Header["Origin"], r.Header["Sec-Fetch-Site"]
	if len(origins) > 1 || len(sites) > 1 {
		return OtherPage
	}
	page := o.proven(r, origins, sites, trustedProxy)
	if page == OtherPage && (o.any || o.hidden && len(origins) == 1 && origins[0] == hiddenOrigin) {
		return OpenPage
	}
	return page
}

// proven is PageOf without what null and * allow.
func (o Origins) proven(r *http.Request, origins, sites []string, trustedProxy bool) Page {
	site := ""
	if len(sites) == 1 {
		site = sites[0]
	}
	if len(origins) == 0 || origins[0] == hiddenOrigin {
		switch {
		case site == "same-origin":
			return OwnPage
		case site == "none", site == "" && len(origins) == 0:
			return NoPage
		}
		return OtherPage
	}
	origin, ok := ParseOrigin(origins[0])
	own, _ := ParseOrigin(scheme(r, trustedProxy) + "://" + r.Host)
	switch {
	case !ok:
		return OtherPage
	case slices.Contains(o.named, origin):
		return NamedPage
	case origin == own && (site == "" || site == "none"), site == "same-origin" && sameHost(origin, r.Host):
		return OwnPage
	}
	return OtherPage
}

// scheme returns the scheme that the browser used, http or https: a proxy that ends TLS says so, some in the words of
// WebSockets.
func scheme(r *http.Request, trustedProxy bool) string {
	if trustedProxy {
		first, _, _ := strings.Cut(r.Header.Get("X-Forwarded-Proto"), ",") // of several proxies in a row
		switch strings.ToLower(textTrim(first)) {
		case "https", "wss":
			return "https"
		case "http", "ws":
			return "http"
		}
	}
	if r.TLS != nil {
		return "https"
	}
	return "http"
}

// sameHost reports whether a canonical origin has the host and port of a request, under whichever scheme.
func sameHost(origin, host string) bool {
	scheme, _, _ := strings.Cut(origin, "://")
	same, ok := ParseOrigin(scheme + "://" + host)
	return ok && same == origin
}

// schemes are those of pages. Some apps show theirs under a scheme of their own.
var schemes = []string{"http", "https", "capacitor", "ionic", "tauri", "app", "chrome-extension", "moz-extension"}

// ParseOrigin returns an origin as browsers serialise it (RFC 6454, section 6.2), and false for anything else.
func ParseOrigin(s string) (string, bool) {
	u, err := url.Parse(s)
	if err != nil || !slices.Contains(schemes, u.Scheme) || u.User != nil || u.Path != "" || u.RawQuery != "" ||
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
