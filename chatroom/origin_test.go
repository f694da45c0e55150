package chatroom

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestPageOf(t *testing.T) {
	const app = "https://app.example"
	allowed := originsOf(t, app, "http://localhost:3000", "capacitor://localhost")
	for name, tc := range map[string]struct {
		tls     bool
		proto   string // X-Forwarded-Proto
		trusted bool
		host    string // default: chat.example
		origin  []string
		site    []string
		want    Page
	}{
		"no browser":                            {want: NoPage},
		"typed into the bar":                    {site: []string{"none"}, want: NoPage},
		"typed into the bar, hidden":            {origin: []string{"null"}, site: []string{"none"}, want: NoPage},
		"its own":                               {origin: []string{"http://chat.example"}, want: OwnPage},
		"its own, with the port":                {origin: []string{"http://chat.example:80"}, want: OwnPage},
		"its own, asked in capitals":            {host: "CHAT.example:80", origin: []string{"http://chat.example"}, want: OwnPage},
		"its own, over TLS":                     {tls: true, origin: []string{"https://chat.example"}, site: []string{"same-origin"}, want: OwnPage},
		"its own, which sends no Origin":        {tls: true, site: []string{"same-origin"}, want: OwnPage},
		"its own, which hides":                  {tls: true, origin: []string{"null"}, site: []string{"same-origin"}, want: OwnPage},
		"its own, from another site":            {tls: true, origin: []string{"https://chat.example"}, site: []string{"cross-site"}, want: OtherPage},
		"its own, an odd word":                  {tls: true, origin: []string{"https://chat.example"}, site: []string{"friend"}, want: OtherPage},
		"from http, to https":                   {tls: true, origin: []string{"http://chat.example"}, want: OtherPage},
		"from https, to http":                   {origin: []string{"https://chat.example"}, want: OtherPage},
		"a proxy ended TLS":                     {proto: "https", trusted: true, origin: []string{"https://chat.example"}, want: OwnPage},
		"a proxy ended TLS of a WebSocket":      {proto: "wss", trusted: true, origin: []string{"https://chat.example"}, want: OwnPage},
		"several proxies did":                   {proto: "HTTPS, http", trusted: true, origin: []string{"https://chat.example"}, want: OwnPage},
		"a proxy made TLS":                      {tls: true, proto: "http", trusted: true, origin: []string{"http://chat.example"}, want: OwnPage},
		"a proxy made TLS of a WebSocket":       {tls: true, proto: "ws", trusted: true, origin: []string{"http://chat.example"}, want: OwnPage},
		"a proxy that says something else":      {tls: true, proto: "gopher", trusted: true, origin: []string{"https://chat.example"}, want: OwnPage},
		"from http, through such a proxy":       {proto: "https", trusted: true, origin: []string{"http://chat.example"}, want: OtherPage},
		"a proxy that nobody trusts":            {proto: "https", origin: []string{"https://chat.example"}, want: OtherPage},
		"the same, and the browser knows":       {proto: "https", origin: []string{"https://chat.example"}, site: []string{"same-origin"}, want: OwnPage},
		"the browser knows, of another port":    {origin: []string{"https://chat.example:8443"}, site: []string{"same-origin"}, want: OtherPage},
		"named":                                 {origin: []string{app}, want: NamedPage},
		"named, cross-site":                     {origin: []string{app}, site: []string{"cross-site"}, want: NamedPage},
		"named, with the port":                  {origin: []string{app + ":443"}, want: NamedPage},
		"an app":                                {origin: []string{"capacitor://localhost"}, want: NamedPage},
		"another app":                           {origin: []string{"ionic://localhost"}, want: OtherPage},
		"named, itself":                         {host: "app.example", tls: true, origin: []string{app}, want: NamedPage},
		"another":                               {origin: []string{"https://evil.example"}, want: OtherPage},
		"another that claims to be ours":        {origin: []string{"https://evil.example"}, site: []string{"same-origin"}, want: OtherPage},
		"another of no origin":                  {site: []string{"cross-site"}, want: OtherPage},
		"a neighbour":                           {origin: []string{"https://x.chat.example"}, site: []string{"same-site"}, want: OtherPage},
		"a neighbour of no origin":              {site: []string{"same-site"}, want: OtherPage},
		"one that hides":                        {origin: []string{"null"}, want: OtherPage},
		"one that hides, cross-site":            {origin: []string{"null"}, site: []string{"cross-site"}, want: OtherPage},
		"an empty origin":                       {origin: []string{""}, want: OtherPage},
		"an empty origin, and the browser says": {origin: []string{""}, site: []string{"same-origin"}, want: OtherPage},
		"two origins":                           {origin: []string{app, app}, want: OtherPage},
		"two words":                             {tls: true, site: []string{"same-origin", "cross-site"}, want: OtherPage},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodPost, "/x", nil)
			r.Host = "chat.example"
			if tc.host != "" {
				r.Host = tc.host
			}
			if tc.tls {
				r.TLS = new(tls.ConnectionState)
			}
			if tc.proto != "" {
				r.Header.Set("X-Forwarded-Proto", tc.proto)
			}
			if tc.origin != nil {
				r.Header["Origin"] = tc.origin
			}
			if tc.site != nil {
				r.Header["Sec-Fetch-Site"] = tc.site
			}
			if got := allowed.PageOf(r, tc.trusted); got != tc.want {
				t.Errorf("%d, want %d", got, tc.want)
			}
		})
	}
}

// originsOf returns the origins of a good list.
func originsOf(t *testing.T, list ...string) Origins {
	t.Helper()
	o, bad, ok := NewOrigins(list)
	if !ok {
		t.Fatalf("%q is no origin", bad)
	}
	return o
}

// What is allowed without a name is allowed without a cookie alone.
func TestOpenPages(t *testing.T) {
	for _, tc := range []struct {
		list         []string
		origin, site string
		want         Page
	}{
		{[]string{"null"}, "null", "", OpenPage},
		{[]string{"null"}, "null", "cross-site", OpenPage},
		{[]string{"null"}, "null", "same-origin", OwnPage},
		{[]string{"null"}, "https://evil.example", "", OtherPage},
		{[]string{"null"}, "", "cross-site", OtherPage},
		{[]string{"null"}, "", "", NoPage},
		{[]string{"*"}, "https://evil.example", "", OpenPage},
		{[]string{"*"}, "https://evil.example", "cross-site", OpenPage},
		{[]string{"*"}, "null", "", OpenPage},
		{[]string{"*"}, "nonsense", "", OpenPage},
		{[]string{"*"}, "", "cross-site", OpenPage},
		{[]string{"*"}, "", "", NoPage},
		{[]string{"*"}, "http://chat.example", "", OwnPage},
		{[]string{"*", "https://app.example"}, "https://app.example", "", NamedPage},
	} {
		r := httptest.NewRequest(http.MethodPost, "/x", nil)
		r.Host = "chat.example"
		if tc.origin != "" {
			r.Header.Set("Origin", tc.origin)
		}
		if tc.site != "" {
			r.Header.Set("Sec-Fetch-Site", tc.site)
		}
		page := originsOf(t, tc.list...).PageOf(r, false)
		if page != tc.want || page.MayUseCookie() != (tc.want == OwnPage || tc.want == NamedPage) {
			t.Errorf("%q, Origin %q, Sec-Fetch-Site %q: %d, want %d", tc.list, tc.origin, tc.site, page, tc.want)
		}
	}
	if _, bad, ok := NewOrigins([]string{"https://app.example", "Null", "*"}); ok || bad != "Null" {
		t.Errorf("%q, %v", bad, ok)
	}
}

func TestParseOrigin(t *testing.T) {
	for in, want := range map[string]string{
		"https://app.example":       "https://app.example",
		"http://app.example":        "http://app.example",
		"https://APP.example":       "https://app.example",
		"https://app.example:443":   "https://app.example",
		"http://app.example:80":     "http://app.example",
		"http://app.example:443":    "http://app.example:443",
		"https://app.example:8443":  "https://app.example:8443",
		"http://127.0.0.1:3000":     "http://127.0.0.1:3000",
		"http://[::1]:3000":         "http://[::1]:3000",
		"http://[0:0:0:0:0:0:0:1]":  "http://[::1]",
		"capacitor://localhost":     "capacitor://localhost",
		"ionic://localhost":         "ionic://localhost",
		"tauri://LOCALHOST":         "tauri://localhost",
		"app://chat:80":             "app://chat:80",
		"capacitor://":              "",
		"capacitor:localhost":       "",
		"capacitors://localhost":    "",
		"":                          "",
		"null":                      "",
		"app.example":               "",
		"//app.example":             "",
		"file://":                   "",
		"file://app.example":        "",
		"ws://app.example":          "",
		"https://":                  "",
		"https:app.example":         "",
		"https://app.example/":      "",
		"https://app.example/x":     "",
		"https://app.example?x":     "",
		"https://app.example?":      "",
		"https://app.example#":      "",
		"https://app.example#x":     "",
		"https://app.example.":      "",
		"https://app@app.example":   "",
		"https://@app.example":      "",
		"https://a b":               "",
		"https://app.example:x":     "",
		"https://app.example ":      "",
		" https://app.example":      "",
		"https://app.example\x00":   "",
		"https://a.example,b":       "",
		"https://*.app.example":     "", // would never match, which is worse than an error
		"https://a.example b.exam":  "",
		"https://app.example\r\nX:": "",
	} {
		if got, ok := ParseOrigin(in); got != want || ok != (want != "") {
			t.Errorf("%q: %q, %v", in, got, ok)
		}
	}
}
