package chatroom

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestTakeCredential(t *testing.T) {
	const a, b = "eyJ.alice.x", "eyJ.bob.y"
	rules := CredentialRules{Cookie: "session", Query: "token", Origins: originsOf(t, "https://app.example")}
	type want struct {
		token, answer string
		status        int
		query         string
		header        http.Header // what is left, beside what a case does not touch
	}
	for name, tc := range map[string]struct {
		plain  bool
		method string
		target string
		tls    bool
		header http.Header
		want   want
	}{
		"a visitor":                        {want: want{}},
		"a subprotocol":                    {header: http.Header{"Sec-Websocket-Protocol": {a}}, want: want{token: a, answer: a}},
		"a subprotocol and another":        {header: http.Header{"Sec-Websocket-Protocol": {a + ", chat", "v2"}}, want: want{token: a, header: http.Header{"Sec-Websocket-Protocol": {"chat, v2"}}}},
		"a long subprotocol":               {header: http.Header{"Sec-Websocket-Protocol": {strings.Repeat("x", 64)}}, want: want{token: strings.Repeat("x", 64), answer: strings.Repeat("x", 64)}},
		"a protocol's name":                {header: http.Header{"Sec-Websocket-Protocol": {"chat, v2"}}, want: want{header: http.Header{"Sec-Websocket-Protocol": {"chat, v2"}}}},
		"a token behind a protocol":        {header: http.Header{"Sec-Websocket-Protocol": {"chat, " + a}}, want: want{status: 400}},
		"two tokens":                       {header: http.Header{"Sec-Websocket-Protocol": {a + ", " + b}}, want: want{status: 400}},
		"a subprotocol of no WebSocket":    {plain: true, header: http.Header{"Sec-Websocket-Protocol": {a}}, want: want{header: http.Header{"Sec-Websocket-Protocol": {a}}}},
		"Bearer":                           {header: http.Header{"Authorization": {"Bearer " + a}}, want: want{token: a}},
		"bearer":                           {plain: true, header: http.Header{"Authorization": {"bearer " + a}}, want: want{token: a}},
		"Bearer without a token":           {header: http.Header{"Authorization": {"Bearer "}}, want: want{status: 400}},
		"only Bearer":                      {header: http.Header{"Authorization": {"Bearer"}}, want: want{status: 400}},
		"Basic":                            {header: http.Header{"Authorization": {"Basic eA=="}}, want: want{header: http.Header{"Authorization": {"Basic eA=="}}}},
		"two Authorizations":               {header: http.Header{"Authorization": {"Bearer " + a, "Bearer " + a}}, want: want{status: 400}},
		"query":                            {target: "/ws?x=%31&token=" + a + "&&y", want: want{token: a, query: "x=%31&&y"}},
		"query, escaped":                   {target: "/ws?%74oken=" + a, want: want{token: a}},
		"query, twice the same":            {target: "/ws?token=" + a + "&token=" + a, want: want{token: a}},
		"query, two":                       {target: "/ws?token=" + a + "&token=" + b, want: want{status: 400}},
		"query, bad escape":                {target: "/ws?token=%zz", want: want{status: 400}},
		"query of another name":            {target: "/ws?Token=x&tokens=y", want: want{query: "Token=x&tokens=y"}},
		"query, with the page's own":       {target: "/ws?token=" + a, header: http.Header{"Referer": {"https://chat.example/?token=" + a}}, want: want{token: a}},
		"a Referer without a token":        {header: http.Header{"Referer": {"https://chat.example/?x=1"}}, want: want{header: http.Header{"Referer": {"https://chat.example/?x=1"}}}},
		"the same in three places":         {target: "/ws?token=" + a, header: http.Header{"Authorization": {"Bearer " + a}, "Sec-Websocket-Protocol": {a}}, want: want{token: a, answer: a}},
		"others in two places":             {header: http.Header{"Authorization": {"Bearer " + a}, "Sec-Websocket-Protocol": {b}}, want: want{status: 400}},
		"others in header and query":       {target: "/ws?token=" + b, header: http.Header{"Authorization": {"Bearer " + a}}, want: want{status: 400}},
		"cookie without an Origin":         {header: http.Header{"Cookie": {"session=" + a}}, want: want{status: 403}},
		"cookie from our own origin":       {header: http.Header{"Cookie": {"session=" + a}, "Origin": {"http://chat.example"}}, want: want{token: a}},
		"cookie from our own, over TLS":    {tls: true, header: http.Header{"Cookie": {"session=" + a}, "Origin": {"https://chat.example"}}, want: want{token: a}},
		"cookie from http, to https":       {tls: true, header: http.Header{"Cookie": {"session=" + a}, "Origin": {"http://chat.example"}}, want: want{status: 403}},
		"cookie from https, to http":       {header: http.Header{"Cookie": {"session=" + a}, "Origin": {"https://chat.example"}}, want: want{status: 403}},
		"cookie from a configured origin":  {header: http.Header{"Cookie": {"session=" + a}, "Origin": {"https://app.example"}}, want: want{token: a}},
		"cookie from the same, with port":  {header: http.Header{"Cookie": {"session=" + a}, "Origin": {"https://app.example:443"}}, want: want{token: a}},
		"cookie from another port":         {header: http.Header{"Cookie": {"session=" + a}, "Origin": {"https://app.example:8443"}}, want: want{status: 403}},
		"cookie from a subdomain":          {header: http.Header{"Cookie": {"session=" + a}, "Origin": {"https://x.app.example"}}, want: want{status: 403}},
		"cookie from a longer name":        {header: http.Header{"Cookie": {"session=" + a}, "Origin": {"https://app.example.evil"}}, want: want{status: 403}},
		"cookie from evilapp":              {header: http.Header{"Cookie": {"session=" + a}, "Origin": {"https://evilapp.example"}}, want: want{status: 403}},
		"cookie from app@evil":             {header: http.Header{"Cookie": {"session=" + a}, "Origin": {"https://app.example@evil"}}, want: want{status: 403}},
		"cookie from null, our own page":   {header: http.Header{"Cookie": {"session=" + a}, "Origin": {"null"}, "Sec-Fetch-Site": {"same-origin"}}, want: want{token: a, header: http.Header{"Sec-Fetch-Site": {"same-origin"}}}},
		"cookie from null":                 {header: http.Header{"Cookie": {"session=" + a}, "Origin": {"null"}}, want: want{status: 403}},
		"cookie from a trailing dot":       {header: http.Header{"Cookie": {"session=" + a}, "Origin": {"https://app.example."}}, want: want{status: 403}},
		"cookie from two origins":          {header: http.Header{"Cookie": {"session=" + a}, "Origin": {"https://app.example", "https://app.example"}}, want: want{status: 403}},
		"cookie of a plain GET":            {plain: true, header: http.Header{"Cookie": {"session=" + a}}, want: want{token: a}},
		"cookie of a POST":                 {plain: true, method: http.MethodPost, header: http.Header{"Cookie": {"session=" + a}}, want: want{status: 403}},
		"cookie of a POST of ours":         {plain: true, method: http.MethodPost, header: http.Header{"Cookie": {"session=" + a}, "Origin": {"http://chat.example"}}, want: want{token: a}},
		"cookie among others":              {plain: true, header: http.Header{"Cookie": {`x="1"; session="` + a + `"`, "y=2;session = " + a}}, want: want{token: a, header: http.Header{"Cookie": {`x="1"; y=2`}}}},
		"two cookies, to look":             {plain: true, header: http.Header{"Cookie": {"session=" + a + "; session=" + b}}, want: want{}},
		"two cookies, to change something": {plain: true, method: http.MethodPost, header: http.Header{"Cookie": {"session=" + a + "; session=" + b}, "Origin": {"http://chat.example"}}, want: want{status: 400}},
		"two cookies of a WebSocket":       {header: http.Header{"Cookie": {"session=" + a + "; session=" + b}, "Origin": {"http://chat.example"}}, want: want{status: 400}},
		"two cookies beside a Bearer":      {header: http.Header{"Cookie": {"session=" + a + "; session=" + b}, "Authorization": {"Bearer " + b}}, want: want{token: b}},
		"another token beside the cookie":  {header: http.Header{"Cookie": {"session=" + a}, "Authorization": {"Bearer " + b}}, want: want{token: b}},
		"a cookie whose name only matches": {plain: true, header: http.Header{"Cookie": {"xsession=1; Session=2"}}, want: want{header: http.Header{"Cookie": {"xsession=1; Session=2"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			method, uri := tc.method, tc.target
			if method == "" {
				method = http.MethodGet
			}
			if uri == "" {
				uri = "/ws"
			}
			r := httptest.NewRequest(method, uri, nil)
			r.Host = "chat.example"
			if tc.tls {
				r.TLS = new(tls.ConnectionState)
			}
			r.Header = tc.header.Clone()
			if r.Header == nil {
				r.Header = http.Header{}
			}
			var cred Credential
			class, ref := classOf(r, !tc.plain)
			if ref == nil {
				cred, ref = rules.Take(r, class)
			}
			if ref != nil || tc.want.status != 0 {
				if ref == nil || ref.Status != tc.want.status {
					t.Fatalf("%+v, %v, want %d", cred, ref, tc.want.status)
				}
				return
			}
			if string(cred.Token) != tc.want.token || cred.Answer != tc.want.answer || r.URL.RawQuery != tc.want.query {
				t.Errorf("%+v, query %q", cred, r.URL.RawQuery)
			}
			if offered, _ := subprotocols(r.Header["Sec-Websocket-Protocol"]); !tc.plain && !slices.Equal(cred.Offered, offered) {
				t.Errorf("still offered: %q, want %q", cred.Offered, offered)
			}
			r.Header.Del("Origin")
			if tc.want.header == nil {
				tc.want.header = http.Header{}
			}
			if !reflect.DeepEqual(r.Header, tc.want.header) {
				t.Errorf("left: %q, want %q", r.Header, tc.want.header)
			}
		})
	}
	t.Run("what is not configured is left alone", func(t *testing.T) {
		r := httptest.NewRequest(http.MethodGet, "/ws?token="+a, nil)
		r.Header.Set("Cookie", "session="+a)
		cred, ref := CredentialRules{}.Take(r, Class{WebSocket: true})
		if ref != nil || !reflect.DeepEqual(cred, Credential{}) || r.URL.RawQuery != "token="+a || r.Header.Get("Cookie") == "" {
			t.Error(cred, ref, r.URL, r.Header)
		}
	})
}

// A token where ours is not looked for is somebody else's, and is not touched.
func TestTakeLeavesOthersTokens(t *testing.T) {
	const own, theirs = "eyJ.alice.x", "eyJ.theirs.y"
	protocols := []string{"v1.chat, base64url.bearer." + strings.Repeat("a", 64), theirs}
	for name, tc := range map[string]struct {
		rules       CredentialRules
		bearer      string
		want        string
		left, offer bool // the header and the subprotocols are as they were
		status      int
	}{
		"Authorization is theirs": {CredentialRules{Cookie: "session", OthersSubprotocols: true, OthersAuthorization: true}, theirs, own, true, true, 0},
		"subprotocols are theirs": {CredentialRules{Cookie: "session", OthersSubprotocols: true}, own, own, false, true, 0},
		"both are looked at":      {CredentialRules{Cookie: "session"}, own, "", false, false, http.StatusBadRequest},
	} {
		t.Run(name, func(t *testing.T) {
			r := httptest.NewRequest(http.MethodGet, "/ws", nil)
			r.Host = "chat.example"
			r.Header = http.Header{
				"Authorization": {"Bearer " + tc.bearer}, "Cookie": {"session=" + own}, "Origin": {"http://chat.example"},
				"Sec-Websocket-Protocol": slices.Clone(protocols),
			}
			class, ref := classOf(r, true)
			if ref != nil {
				t.Fatal(ref)
			}
			cred, ref := tc.rules.Take(r, class)
			if ref != nil || tc.status != 0 {
				if ref == nil || ref.Status != tc.status {
					t.Errorf("%v, want %d", ref, tc.status)
				}
				return
			}
			if string(cred.Token) != tc.want || (r.Header.Get("Authorization") != "") != tc.left || r.Header.Get("Cookie") != "" ||
				!slices.Equal(r.Header["Sec-Websocket-Protocol"], protocols) != !tc.offer || !slices.Equal(cred.Offered, class.Offered) || cred.Answer != "" {
				t.Errorf("%+v, left: %q", cred, r.Header)
			}
		})
	}
}

// classOf is what Classify makes of the subprotocols alone.
func classOf(r *http.Request, websocket bool) (Class, *Refusal) {
	if !websocket {
		return Class{}, nil
	}
	offered, ref := subprotocols(r.Header["Sec-Websocket-Protocol"])
	return Class{WebSocket: true, Offered: offered}, ref
}
