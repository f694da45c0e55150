package chatroom

import (
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// opening returns a clean handshake, changed in one respect.
func opening(change func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodGet, "http://chat.example/ws", nil)
	for name, v := range map[string]string{"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Key": testKey, "Sec-WebSocket-Version": "13"} {
		r.Header.Set(name, v)
	}
	if change != nil {
		change(r)
	}
	return r
}

func set(name string, values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header[http.CanonicalHeaderKey(name)] = values }
}

func connectStream(major int, change func(*http.Request)) func(*http.Request) {
	return func(r *http.Request) {
		r.Method, r.ProtoMajor, r.ProtoMinor = http.MethodConnect, major, 0
		r.Header = http.Header{"Sec-Websocket-Version": {"13"}}
		if major == 2 {
			r.Header[":protocol"] = []string{"websocket"}
		} else {
			r.Proto = "websocket"
		}
		if change != nil {
			change(r)
		}
	}
}

func target(path string) func(*http.Request) {
	return func(r *http.Request) { r.URL.Path, r.URL.RawPath = mustUnescape(path), path }
}

func query(raw string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery = raw }
}

func mustUnescape(p string) string {
	r, err := http.NewRequest(http.MethodGet, "http://x"+p, nil)
	if err != nil {
		return p
	}
	return r.URL.Path
}

func TestClassify(t *testing.T) {
	const websocket = -1
	for name, tc := range map[string]struct {
		change func(*http.Request)
		want   int // a status, 0 for an ordinary request, or websocket
	}{
		"clean":                      {nil, websocket},
		"other letters":              {set("Upgrade", "WebSocket"), websocket},
		"keep-alive, Upgrade":        {set("Connection", "keep-alive, Upgrade"), websocket},
		"two Connection lines":       {set("Connection", "keep-alive", "upgrade"), websocket},
		"subprotocols":               {set("Sec-WebSocket-Protocol", "a, b", "c"), websocket},
		"no Upgrade":                 {func(r *http.Request) { r.Header.Del("Upgrade") }, 0},
		"h2c":                        {set("Upgrade", "h2c"), 0},
		"foo":                        {set("Upgrade", "foo"), 0},
		"websocket, h2c":             {set("Upgrade", "websocket, h2c"), 400},
		"websocket and a space":      {set("Upgrade", "websocket "), 400},
		"websocket and a tab":        {set("Upgrade", "websocket\t"), 400},
		"two Upgrades":               {set("Upgrade", "websocket", "websocket"), 400},
		"websocket behind h2c":       {set("Upgrade", "h2c", "websocket"), 400},
		"websocket/13":               {set("Upgrade", "websocket/13"), 400},
		"no Connection":              {func(r *http.Request) { r.Header.Del("Connection") }, 400},
		"Connection: keep-alive":     {set("Connection", "keep-alive"), 400},
		"Connection drops a header":  {set("Connection", "Upgrade, Remote-User"), 400},
		"raw connection":             {func(r *http.Request) { r.Header["connection"] = []string{"Remote-User"} }, 400},
		"POST":                       {func(r *http.Request) { r.Method = http.MethodPost }, 400},
		"HTTP/1.0":                   {func(r *http.Request) { r.ProtoMinor = 0 }, 400},
		"HTTP/2 with Upgrade":        {func(r *http.Request) { r.ProtoMajor, r.ProtoMinor = 2, 0 }, 400},
		"a body":                     {func(r *http.Request) { r.ContentLength = 1 }, 400},
		"a body of unknown length":   {func(r *http.Request) { r.ContentLength = -1 }, 400},
		"chunks":                     {func(r *http.Request) { r.TransferEncoding = []string{"chunked"} }, 400},
		"no key":                     {func(r *http.Request) { r.Header.Del("Sec-WebSocket-Key") }, 400},
		"two keys":                   {set("Sec-WebSocket-Key", testKey, testKey), 400},
		"a short key":                {set("Sec-WebSocket-Key", "AAAA"), 400},
		"a long key":                 {set("Sec-WebSocket-Key", "AAAA"+testKey), 400},
		"no base64":                  {set("Sec-WebSocket-Key", strings.Repeat("!", 24)), 400},
		"the key of RFC 6455, 4.1":   {set("Sec-WebSocket-Key", "AQIDBAUGBwgJCgsMDQ4PEC=="), websocket}, // its last bits are not zero
		"a key without padding":      {set("Sec-WebSocket-Key", strings.TrimRight(testKey, "=")), 400},
		"a key with a line break":    {set("Sec-WebSocket-Key", testKey+"\n"), 400},
		"no version":                 {func(r *http.Request) { r.Header.Del("Sec-WebSocket-Version") }, 426},
		"version 777":                {set("Sec-WebSocket-Version", "777"), 426},
		"two versions":               {set("Sec-WebSocket-Version", "13", "13"), 426},
		"a list of versions":         {set("Sec-WebSocket-Version", "13, 8"), 426},
		"a bad subprotocol":          {set("Sec-WebSocket-Protocol", "a b"), 400},
		"a subprotocol twice":        {set("Sec-WebSocket-Protocol", "a, a"), 400},
		"TRACE":                      {func(r *http.Request) { r.Method = http.MethodTrace }, 405},
		"CONNECT":                    {func(r *http.Request) { r.Method = http.MethodConnect }, 405},
		"HTTP/2":                     {connectStream(2, nil), websocket},
		"HTTP/3":                     {connectStream(3, nil), websocket},
		"HTTP/2 CONNECT":             {connectStream(2, func(r *http.Request) { delete(r.Header, ":protocol") }), 405},
		"HTTP/2, other letters":      {connectStream(2, func(r *http.Request) { r.Header[":protocol"] = []string{"WebSocket"} }), 405},
		"HTTP/2, HTTP/3's way":       {connectStream(2, func(r *http.Request) { delete(r.Header, ":protocol"); r.Proto = "websocket" }), 405},
		"HTTP/3 CONNECT":             {connectStream(3, func(r *http.Request) { r.Proto = "HTTP/3.0" }), 405},
		"HTTP/3, webtransport":       {connectStream(3, func(r *http.Request) { r.Proto = "webtransport" }), 405},
		"HTTP/2, version 8":          {connectStream(2, set("Sec-WebSocket-Version", "8")), 426},
		"a path":                     {target("/a/b%20c"), websocket},
		"//":                         {target("/a//b"), 400},
		"..":                         {target("/a/../b"), 400},
		".":                          {target("/a/./b"), 400},
		"%2e%2e":                     {target("/a/%2e%2E/b"), 400},
		"%2f":                        {target("/a%2fb"), 400},
		"%5C":                        {target("/a%5Cb"), 400},
		"a backslash":                {func(r *http.Request) { r.URL.Path = `/a\b` }, 400},
		"a path parameter":           {target("/a;b"), 400},
		"%3b":                        {target("/a%3bb"), 400},
		"%00":                        {target("/a%00"), 400},
		"%0a":                        {target("/a%0a"), 400},
		"%7f":                        {target("/a%7f"), 400},
		"no path":                    {func(r *http.Request) { r.URL.Path = "" }, 400},
		"ambiguous path over HTTP/2": {connectStream(2, target("/a//b")), 400},
		"a raw space":                {target("/a b"), 400},
		"a raw #":                    {target("/a#b"), 400},
		"%23":                        {target("/a%23b"), websocket},
		"a letter in its own bytes":  {target("/ä"), websocket}, // is encoded on its way
		"a query":                    {query("a=b%20c&d[]={|}"), websocket},
		"a space in the query":       {query("a HTTP/1.0"), 400},
		"a tab in the query":         {query("a\tb"), 400},
		"CR LF in the query":         {query("a\r\nX: y"), 400},
		"# in the query":             {query("b#c"), 400},
		"DEL in the query":           {query("a\x7f"), 400},
		"a letter in the query":      {query("ä"), 400},
		"a space over HTTP/2":        {connectStream(2, query("a b")), 400},
		"a space over HTTP/3":        {connectStream(3, query("a b")), 400},
		"a space in the host":        {func(r *http.Request) { r.Host = "a b" }, 400},
		"a letter in the host":       {func(r *http.Request) { r.Host = "ä" }, 400},
		"a user in the host":         {func(r *http.Request) { r.Host = "u@a" }, 400},
		"a host over HTTP/2":         {connectStream(2, func(r *http.Request) { r.Host = "a/b" }), 400},
		"no host":                    {func(r *http.Request) { r.Host = "" }, websocket},
		"a method that is none":      {func(r *http.Request) { r.Method = "GE T" }, 400},
		":protocol of a GET":         {func(r *http.Request) { r.Header[":protocol"] = []string{"websocket"} }, 400},
		"HTTP/2, two keys":           {connectStream(2, set("Sec-WebSocket-Key", testKey, testKey)), websocket},
		"HTTP/3, a key that is none": {connectStream(3, set("Sec-WebSocket-Key", "x")), websocket},
	} {
		t.Run(name, func(t *testing.T) {
			r := opening(tc.change)
			r.Header.Set("Te", "trailers")
			r.Header.Set("Trailer", "Remote-User")
			r.Trailer = http.Header{"Remote-User": nil}
			class, ref := Classify(r)
			got := 0
			if ref != nil {
				got = ref.Status
			} else if class.WebSocket {
				got = websocket
			}
			if got != tc.want {
				t.Fatalf("got %d (%v), want %d", got, ref, tc.want)
			}
			if ref != nil {
				if class.WebSocket || class.Offered != nil || ref.Error() == "" {
					t.Error("a refusal without a text, or with a class")
				}
				return
			}
			if offered, _ := subprotocols(r.Header["Sec-Websocket-Protocol"]); class.WebSocket && !slices.Equal(class.Offered, offered) {
				t.Errorf("offered: %q, want %q", class.Offered, offered)
			}
			if r.Trailer != nil || r.Header["Te"] != nil || r.Header["Trailer"] != nil {
				t.Error("trailers survive")
			}
			if r.Method == http.MethodConnect && r.Header["Sec-Websocket-Key"] != nil {
				t.Error("a key of an extended CONNECT survives")
			}
			if !class.WebSocket && (r.Header["Upgrade"] != nil || r.Header["Connection"] != nil) {
				t.Error("an upgrade survives")
			}
		})
	}
}

func TestSubprotocols(t *testing.T) {
	for _, tc := range []struct {
		lines []string
		want  []string
		bad   bool
	}{
		{nil, nil, false},
		{[]string{"a"}, []string{"a"}, false},
		{[]string{"a,b ,\tc"}, []string{"a", "b", "c"}, false},
		{[]string{"a, b", "c"}, []string{"a", "b", "c"}, false},
		{[]string{"a, A"}, []string{"a", "A"}, false},
		{[]string{""}, nil, true},
		{[]string{"a,"}, nil, true},
		{[]string{"a,,b"}, nil, true},
		{[]string{"a b"}, nil, true},
		{[]string{"a;b"}, nil, true},
		{[]string{`"a"`}, nil, true},
		{[]string{"a\x00"}, nil, true},
		{[]string{"ä"}, nil, true},
		{[]string{"a, b, a"}, nil, true},
		{[]string{"a", "a"}, nil, true},
	} {
		got, ref := subprotocols(tc.lines)
		if (ref != nil) != tc.bad || !reflect.DeepEqual(got, tc.want) {
			t.Errorf("%q: %q, %v", tc.lines, got, ref)
		}
	}
}

// What is allowed in paths is allowed by itself, and no segment is . or .. for any server.
func TestPathRules(t *testing.T) {
	slash, semicolon, both := PathRules{EncodedSlash: true}, PathRules{Semicolon: true}, PathRules{true, true}
	for path, allowed := range map[string][]PathRules{
		"/a%2fb": {slash, both}, "/a%2Fb": {slash, both}, "/%2f%2fb": {slash, both},
		"/a;b=c": {semicolon, both}, "/a%3bb": {semicolon, both}, "/;": {semicolon, both}, "/a%2fb;c": {both},
		"/a%2f..%2fb": nil, "/..%2fb": nil, "/a%2f.": nil, "/..;/b": nil, "/.;x/b": nil, "/..%3bx/b": nil, "/a%2f..;b": nil,
		"/a//b": nil, "/a%5cb": nil, "/a%00b": nil, "/a/../b": nil,
	} {
		for _, rules := range []PathRules{{}, slash, semicolon, both} {
			r := httptest.NewRequest(http.MethodGet, path, nil)
			_, ref := rules.Classify(r)
			if (ref == nil) != slices.Contains(allowed, rules) {
				t.Errorf("%s with %+v: %v", path, rules, ref)
			}
		}
	}
}
