package caddymodule_test

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/caddymodule/app"
)

// check provisions what a Caddyfile says, and returns what the checks find.
func check(t *testing.T, input string) []app.Finding {
	t.Helper()
	home(t)
	adapted, err := adapt(t, string(caddyfile.Format([]byte("{\n\tadmin off\n\tauto_https off\n\tlog {\n\t\tformat chatgate_redact\n\t}\n}\n"+input+"\n"))))
	if err != nil {
		t.Fatal(err)
	}
	return checkJSON(t, adapted)
}

func checkJSON(t *testing.T, config []byte) []app.Finding {
	t.Helper()
	cfg := new(caddy.Config)
	if err := caddy.StrictUnmarshalJSON(config, cfg); err != nil {
		t.Fatal(err)
	}
	ctx, err := caddy.ProvisionContext(cfg)
	if err != nil {
		t.Fatal(err)
	}
	gate, err := ctx.App("chatgate")
	if err != nil {
		t.Fatal(err)
	}
	a := gate.(*app.App)
	t.Cleanup(func() {
		if err := a.Cleanup(); err != nil {
			t.Error(err)
		}
	})
	return a.Check()
}

// ownAddress returns one of this machine's that is not loopback.
func ownAddress(t *testing.T) string {
	t.Helper()
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if ip, _, err := net.ParseCIDR(a.String()); err == nil && !ip.IsLoopback() && ip.To4() != nil {
			return ip.String()
		}
	}
	t.Skip("this machine has no other address")
	return ""
}

// What is found is the check, and a part of where and of what, or the severity.
func TestChecks(t *testing.T) {
	const gate = "\tchatgate_proxy /ws* 127.0.0.1:9000\n"
	for name, tc := range map[string]struct {
		config string
		want   []string
	}{
		"visitors without a mark":     {":8080 {\n\tchatgate_proxy /ws* 127.0.0.1:9000 {\n\t\tanonymous unmarked\n\t}\n}", []string{"unmarked-visitors|server srv0 (:8080), path /ws*|127.0.0.1:9000"}},
		"visitors who write":          {":8080 {\n\tchatgate_proxy /ws* 127.0.0.1:9000 {\n\t\tanonymous allow\n\t}\n}", nil},
		"the gate alone":              {":8080 {\n" + gate + "}", nil},
		"nothing of ours":             {":8080 {\n reverse_proxy 127.0.0.1:9000\n}\n:8081 {\n chatgate_accounts rooms\n}", nil},
		"another upstream":            {":8080 {\n" + gate + "\treverse_proxy 127.0.0.1:9001\n}", nil},
		"another address of loopback": {":8080 {\n" + gate + "\treverse_proxy 127.0.0.2:9000\n}", nil},
		"the same upstream":           {":8080 {\n" + gate + "\treverse_proxy 127.0.0.1:9000\n}", []string{"bypass|server srv0 (:8080)|127.0.0.1:9000 of chatgate_proxy"}},
		"in another site":             {"http://a.example:8080 {\n" + gate + "}\nhttp://b.example:8081 {\n\treverse_proxy /x/* 127.0.0.1:9000\n}", []string{"bypass|server srv1 (:8081), host b.example, path /x/*|"}},
		"localhost":                   {":8080 {\n" + gate + "\treverse_proxy localhost:9000\n}", []string{"bypass|srv0|localhost:9000 of chatgate_proxy"}},
		"by IPv6":                     {":8080 {\n" + gate + "\treverse_proxy [::1]:9000\n}", []string{"bypass|srv0|"}},
		"by IPv6 of IPv4":             {":8080 {\n" + gate + "\treverse_proxy [::ffff:127.0.0.1]:9000\n}", []string{"bypass|srv0|"}},
		"by a port alone":             {":8080 {\n" + gate + "\treverse_proxy :9000\n}", []string{"bypass|srv0|"}},
		"by no address":               {":8080 {\n" + gate + "\treverse_proxy 0.0.0.0:9000\n}", []string{"bypass|srv0|"}},
		"with a scheme":               {":8080 {\n" + gate + "\treverse_proxy http://localhost:9000\n}", []string{"bypass|srv0|"}},
		"without a port":              {":8080 {\n chatgate_proxy /ws chat.internal\n reverse_proxy http://Chat.Internal.:80\n}", []string{"bypass|srv0|"}},
		"over TLS":                    {":8080 {\n chatgate_proxy /ws https://chat.internal\n reverse_proxy chat.internal:443\n}", []string{"bypass|srv0|"}},
		"a socket":                    {":8080 {\n chatgate_proxy /ws unix//run/chat.sock\n reverse_proxy unix//run/x/../chat.sock\n}", []string{"bypass|srv0|unix//run/x/../chat.sock"}},
		"another socket":              {":8080 {\n chatgate_proxy /ws unix//run/chat.sock\n reverse_proxy unix//run/other.sock\n}", nil},
		"one of a range":              {":8080 {\n" + gate + "\treverse_proxy 127.0.0.1:8999-9001\n}", []string{"bypass|srv0|127.0.0.1:9000"}},
		"one of several":              {":8080 {\n chatgate_proxy /ws 10.0.0.1:1 10.0.0.2:1\n reverse_proxy 10.0.0.3:1 10.0.0.2:1\n}", []string{"bypass|srv0|10.0.0.2:1"}},
		"of the environment":          {":8080 {\n chatgate_proxy /ws {env.CHATGATE_TEST_ISSUER}:9\n reverse_proxy x:1\n}", nil},
		"of the request":              {":8080 {\n" + gate + "\treverse_proxy {http.request.header.X-To}:9000\n}", []string{"bypass|info|depends on the request"}},
		"names from DNS":              {":8080 {\n chatgate_proxy /ws chat.internal:9000\n reverse_proxy {\n dynamic a chat.internal 9000\n }\n}", []string{"bypass|srv0|"}},
		"gates with names from DNS":   {":8080 {\n chatgate_proxy /ws {\n dynamic srv _chat._tcp.internal\n }\n reverse_proxy {\n dynamic srv _chat._tcp.internal\n }\n}", []string{"bypass|srv0|"}},
		"for PHP":                     {":8080 {\n chatgate_proxy /ws 127.0.0.1:9000\n php_fastcgi 127.0.0.1:9000\n}", []string{"bypass|path *.php|127.0.0.1:9000"}},
		"PHP over a socket":           {":8080 {\n chatgate_proxy /ws unix//run/php.sock {\n transport fastcgi\n }\n php_fastcgi unix//run/php.sock\n}", []string{"bypass|path *.php|"}},
		"another's check":             {":8080 {\n" + gate + "forward_auth 127.0.0.1:9000 {\n uri /me\n}\n}", []string{"bypass|srv0|"}},
		"in handle":                   {":8080 {\n handle /ws* {\n chatgate_proxy 127.0.0.1:9000\n }\n handle {\n reverse_proxy 127.0.0.1:9000\n }\n}", []string{"bypass|srv0|"}},
		"in handle_path":              {":8080 {\n" + gate + "handle_path /old/* {\n reverse_proxy 127.0.0.1:9000\n }\n}", []string{"bypass|path /old/*|"}},
		"in route in route":           {":8080 {\n" + gate + "route /a* {\n route /a/b* {\n reverse_proxy 127.0.0.1:9000\n }\n }\n}", []string{"bypass|path /a*, path /a/b*|"}},
		"for errors":                  {":8080 {\n" + gate + "handle_errors {\n reverse_proxy 127.0.0.1:9000\n }\n}", []string{"bypass|errors|"}},
		"for an answer":               {":8080 {\n" + gate + "reverse_proxy 127.0.0.1:1 {\n @e status 500\n handle_response @e {\n reverse_proxy 127.0.0.1:9000\n }\n }\n}", []string{"bypass|srv0|"}},
		"for an answer of the gate":   {":8080 {\n chatgate_proxy /ws 127.0.0.1:9000 {\n @e status 500\n handle_response @e {\n reverse_proxy 127.0.0.1:9000\n }\n }\n}", []string{"bypass|path /ws|"}},
		"in intercept":                {":8080 {\n" + gate + "intercept {\n @e status 500\n handle_response @e {\n reverse_proxy 127.0.0.1:9000\n }\n }\n}", []string{"bypass|srv0|"}},
		"in a named route":            {"&(rest) {\n reverse_proxy 127.0.0.1:9000\n}\n:8080 {\n" + gate + "invoke /x rest\n}", []string{"bypass|path /x, named route rest|"}},
		"of methods":                  {":8080 {\n chatgate_methods {\n upstream ws://localhost:9000/chat\n }\n reverse_proxy 127.0.0.1:9000\n}", []string{"bypass|srv0|of chatgate_methods"}},
		"of both":                     {":8080 {\n chatgate_methods {\n upstream https://chat.internal\n }\n chatgate_proxy /a https://chat.internal\n reverse_proxy https://chat.internal\n}", []string{"bypass|srv0|of chatgate_methods and chatgate_proxy"}},
		"a secret in a matcher":       {":8080 {\n" + gate + "@key header X-Key hunter2\n reverse_proxy @key 127.0.0.1:9000\n}", []string{"bypass|(:8080), header|"}},

		"a site for everybody":            {":8080 {\n" + gate + "}\n:9000 {\n php_fastcgi unix//run/php.sock\n}", []string{"open-upstream|server srv1 (:9000)|localhost:9000 of chatgate_proxy"}},
		"a site with a name":              {":8080 {\n" + gate + "}\nhttp://localhost:9000 {\n respond hi\n}", []string{"open-upstream|srv1|"}},
		"a site for this machine":         {":8080 {\n" + gate + "}\n:9000 {\n bind 127.0.0.1\n respond hi\n}", nil},
		"a site for this machine by name": {":8080 {\n" + gate + "}\n:9000 {\n bind localhost [::1]\n respond hi\n}", nil},
		"a demo room for everybody":       {":8080 {\n chatgate_demo_room\n}", []string{"open-demo-room|server srv0 (:8080)|listens on :8080"}},
		"a demo room for this machine":    {":8080 {\n bind 127.0.0.1\n chatgate_demo_room\n}", nil},
		"a demo room on a socket":         {":8080 {\n bind unix//tmp/x.sock\n chatgate_demo_room\n}", nil},

		"a page that takes all paths": {":8080 {\n chatgate_accounts rooms\n root * /srv\n try_files {path} /index.html\n file_server\n}", []string{"hidden-endpoints|srv0|nobody can log in"}},
		"a rewrite of all paths":      {":8080 {\n chatgate_methods\n rewrite * /index.html\n file_server\n}", []string{"hidden-endpoints|srv0|"}},
		"a page for what is no file":  {":8080 {\n chatgate_accounts rooms\n root * /srv\n @page not file\n rewrite @page /index.html\n file_server\n}", []string{"hidden-endpoints|srv0|"}},
		"a page before them in route": {":8080 {\n route {\n handle {\n try_files {path} /index.html\n file_server\n }\n chatgate_accounts rooms\n }\n}", []string{"hidden-endpoints|srv0|"}},
		"a page of its own path":      {":8080 {\n route {\n handle /app/* {\n try_files {path} /index.html\n file_server\n }\n chatgate_accounts rooms\n }\n}", nil},
		"a page in handle":            {":8080 {\n chatgate_accounts rooms\n handle {\n root * /srv\n try_files {path} /index.html\n file_server\n }\n}", nil},
		"files only":                  {":8080 {\n chatgate_accounts rooms\n root * /srv\n try_files {path} {path}.html {path}/\n file_server\n}", nil},
		"a rewrite of one path":       {":8080 {\n chatgate_accounts rooms\n rewrite /login /login.html\n uri strip_prefix /x\n rewrite * ?a=b\n file_server\n}", nil},

		"who is refused":              {":8080 {\n chatgate_accounts rooms\n @far not remote_ip 10.0.0.0/8\n respond @far 403\n" + gate + "}", []string{"late-refusal|(:8080), not|"}},
		"who is cut off":              {":8080 {\n chatgate_methods\n @far remote_ip 192.0.2.0/24\n abort @far\n}", []string{"late-refusal|(:8080), remote_ip|"}},
		"who is refused in handle":    {":8080 {\n chatgate_accounts rooms\n @bot header User-Agent *bot*\n handle @bot {\n error 403\n }\n}", []string{"late-refusal|(:8080), header|"}},
		"who is refused below a path": {":8080 {\n chatgate_accounts rooms\n @far {\n path /api/*\n not remote_ip 10.0.0.0/8\n }\n respond @far 403\n}", []string{"late-refusal|srv0|"}},
		"an endpoint is refused":      {":8080 {\n chatgate_accounts rooms\n respond /api/v1/users 403\n}", []string{"late-refusal|path /api/v1/users|"}},
		"who is refused in route":     {":8080 {\n chatgate_accounts rooms\n route {\n @far remote_ip 192.0.2.0/24\n respond @far 403\n }\n}", []string{"late-refusal|(:8080), remote_ip|"}},
		"before the rest of a handle": {":8080 {\n chatgate_accounts rooms\n @far remote_ip 192.0.2.0/24\n handle {\n respond @far 403\n chatgate_proxy 127.0.0.1:9000\n }\n}", []string{"late-refusal|(:8080), remote_ip|"}},
		"in the route of a path":      {":8080 {\n chatgate_accounts rooms\n route /chat/* {\n @far remote_ip 192.0.2.0/24\n respond @far 403\n }\n}", nil},
		"the rest of a route":         {":8080 {\n chatgate_accounts rooms\n route {\n respond /chat hello\n respond 404\n }\n}", nil},
		"the rest is refused":         {":8080 {\n chatgate_accounts rooms\n respond /api/* 404\n respond 404\n}", nil},
		"other paths are refused":     {":8080 {\n chatgate_accounts rooms\n @x not path /chat/* /page/*\n respond @x 404\n @y path_regexp ^/adm\n respond @y 403\n}", nil},
		"refused before":              {":8080 {\n route {\n @far not remote_ip 10.0.0.0/8\n respond @far 403\n chatgate_accounts rooms\n }\n}", nil},
		"several paths of methods":    {":8080 {\n @ws path /ws /chat\n chatgate_methods @ws\n chatgate_proxy 127.0.0.1:9000\n}", nil},
		"a wildcard of methods":       {":8080 {\n @ws path /ws /chat/*\n chatgate_methods @ws\n chatgate_proxy 127.0.0.1:9000\n}", []string{"spellings|path /ws /chat/*|chatgate_methods is behind"}},
		"an expression of methods":    {":8080 {\n @ws path_regexp ^/ws\n chatgate_methods @ws\n chatgate_proxy 127.0.0.1:9000\n}", []string{"spellings|path_regexp|"}},
		"methods in handle":           {":8080 {\n handle /ws {\n chatgate_methods\n }\n handle {\n reverse_proxy 127.0.0.1:9000\n }\n}", []string{"spellings|path /ws|"}},
		"accounts in handle":          {"http://a.example, http://b.example {\n handle /api/* {\n chatgate_accounts rooms\n }\n handle {\n chatgate_proxy 127.0.0.1:9000\n }\n}", []string{"spellings|host a.example b.example, path /api/*|chatgate_accounts is"}},
		"accounts for some clients":   {":8080 {\n @near remote_ip 10.0.0.0/8\n chatgate_accounts @near rooms\n @x not path /x/*\n chatgate_accounts @x users\n handle /* {\n chatgate_accounts auth\n }\n chatgate_proxy 127.0.0.1:9000\n}", nil},
		"no chat":                     {":8080 {\n handle /api/* {\n chatgate_accounts rooms\n }\n handle {\n file_server\n }\n}", nil},
		"a chat at other paths":       {":8080 {\n handle /api/* {\n chatgate_accounts rooms\n }\n chatgate_proxy /chat/* 127.0.0.1:9000\n}", nil},
		"a chat of another site":      {"http://a.example {\n handle /api/* {\n chatgate_accounts rooms\n }\n}\nhttp://b.example {\n chatgate_proxy 127.0.0.1:9000\n}", nil},
		"answered":                    {":8080 {\n chatgate_accounts rooms\n @far not remote_ip 10.0.0.0/8\n respond @far hello\n}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			found := check(t, tc.config)
			var got []string
			for _, f := range found {
				got = append(got, strings.Join([]string{f.Check, f.Severity, f.Where, f.What}, " | "))
				if f.Remedy == "" || strings.Contains(got[len(got)-1], "hunter2") {
					t.Errorf("%+v", f)
				}
			}
			if len(got) != len(tc.want) {
				t.Fatalf("found %q, want %q", got, tc.want)
			}
			for i, want := range tc.want {
				for part := range strings.SplitSeq(want, "|") {
					if !strings.Contains(got[i], part) {
						t.Errorf("found %q, want %q", got[i], part)
					}
				}
			}
		})
	}
	t.Run("an address of this machine", func(t *testing.T) {
		if got := check(t, ":8080 {\n"+gate+"\treverse_proxy "+ownAddress(t)+":9000\n}"); len(got) != 1 {
			t.Errorf("found %+v", got)
		}
	})
	t.Run("JSON", func(t *testing.T) {
		home(t)
		if got := checkJSON(t, []byte(`{"admin":{"disabled":true},"logging":{"logs":{"default":{"encoder":{"format":"chatgate_redact"}}}},"apps":{"chatgate":{},"http":{"servers":{"web":{"listen":[":8080"],"automatic_https":{"disable":true},"routes":[
			{"handle":[{"handler":"chatgate_proxy","reverse_proxy":{"upstreams":[{"dial":"tcp/localhost:9000"}]}}]}],
			"errors":{"routes":[{"handle":[{"handler":"reverse_proxy","upstreams":[{"dial":"127.0.0.1:9000"}]}]}]}}}}}}`)); len(got) != 1 || got[0].Where != "server web (:8080), errors" {
			t.Errorf("found %+v", got)
		}
	})
	t.Run("logs in clear", func(t *testing.T) {
		home(t)
		handlers := func(name, listen, handler string) string {
			return `"` + name + `":{"listen":["` + listen + `"],"automatic_https":{"disable":true},"routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[` + handler + `,` + handler + `]}]}]}]}`
		}
		const accounts, hello = `{"handler":"chatgate_accounts","dialect":"rooms"}`, `{"handler":"static_response"}`
		if got := checkJSON(t, []byte(`{"admin":{"disabled":true},"logging":{"logs":{"default":{"encoder":{"format":"json"}}}},"apps":{"chatgate":{},"http":{"servers":{`+
			handlers("web", "127.0.0.1:8080", accounts)+`,`+handlers("other", "127.0.0.1:8081", hello)+`}}}}`)); len(got) != 1 || got[0].Check != "logs" || got[0].Where != "server web (127.0.0.1:8080)" {
			t.Errorf("found %+v", got)
		}
	})
	t.Run("the example", func(t *testing.T) {
		example, err := os.ReadFile("../Caddyfile.example")
		if err != nil {
			t.Fatal(err)
		}
		home(t)
		adapted, err := adapt(t, string(example))
		if err != nil {
			t.Fatal(err)
		}
		if got := checkJSON(t, adapted); got != nil {
			t.Errorf("found %+v", got)
		}
	})
	t.Run("no http", func(t *testing.T) {
		home(t)
		if got := checkJSON(t, []byte(`{"admin":{"disabled":true},"logging":{"logs":{"default":{"encoder":{"format":"chatgate_redact"}}}},"apps":{"chatgate":{}}}`)); got != nil {
			t.Errorf("found %+v", got)
		}
	})
}
