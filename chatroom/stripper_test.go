package chatroom

import (
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
)

func stripper(t testing.TB, h IdentityHeaders, rules StripRules) *Stripper {
	t.Helper()
	s, err := NewStripper(h, rules)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// sureNames are removed in every spelling, that without any byte between their words included.
const sureNames = `Remote-User Remote-Name Remote-Email Remote-Id Remote-Access Remote-Groups Remote-Role Remote-Roles
	X-Remote-User X-Remote-Name X-Remote-Email X-Remote-Group X-Remote-Groups X-Remote-Roles X-User X-User-Id X-User-Name
	X-Username X-User-Email X-User-Role X-User-Roles X-Email X-Groups X-Roles X-Auth-User X-Auth-Username X-Auth-Email
	X-Auth-Name X-Auth-Roles X-Auth-Groups X-Auth-Request-User X-Auth-Request-Email X-Auth-Request-Groups
	X-Auth-Request-Preferred-Username X-Auth-Request-Access-Token X-Authenticated-User X-Authenticated-Userid
	X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups X-Forwarded-Preferred-Username X-Forwarded-Access-Token
	X-Gw-User X-Gw-Access X-WebAuth-User X-WebAuth-Name X-WebAuth-Email X-WebAuth-Groups X-Token-User-Name
	X-Credential-Username X-Consumer-Username X-Consumer-Custom-Id X-Anonymous-Consumer X-Ssl-Client-Dn
	X-Ssl-Client-S-Dn X-Ssl-Client-Verify X-Client-Dn X-Client-Cert X-Forwarded-Client-Cert Ssl-Client-Verify Ssl-Client-Dn
	X-Goog-Authenticated-User-Email X-Goog-Authenticated-User-Id X-Amzn-Oidc-Identity X-Amzn-Oidc-Data
	X-Ms-Client-Principal X-Ms-Client-Principal-Name Cf-Access-Authenticated-User-Email Tailscale-User-Login
	Tailscale-User-Name X-Original-Url X-Rewrite-Url X-Original-Method X-Original-Uri X-Http-Method-Override X-Http-Method
	X-Method-Override Proxy Proxy-Authorization`

func TestStrip(t *testing.T) {
	own := DefaultIdentityHeaders
	own.User = "X-My-Chat-User"
	s := stripper(t, own, StripRules{})
	keep := []string{"Accept", "Cookie", "Authorization", "X-Forwarded-For", "X-Forwarded-Proto", "Sec-Websocket-Key", "User-Agent", "X-User-Preference", "Remote"}
	never := append(strings.Fields(sureNames+" "+identityNames), "X-My-Chat-User")
	origin := strings.Fields(originNames)
	spellings := func(n string) []string {
		return []string{
			n, strings.ToLower(n), strings.ToUpper(n), strings.ReplaceAll(n, "-", "_"), strings.ReplaceAll(n, "-", "."),
			strings.ReplaceAll(n, "-", ""), strings.Replace(n, "-", "_", 1), n + "_", "-" + n, "__" + strings.ToLower(n) + strings.Repeat("-", 100),
		}
	}
	for _, trusted := range []bool{false, true} {
		h := http.Header{}
		want := http.Header{}
		for _, n := range keep {
			h[n], want[n] = []string{"x"}, []string{"x"}
		}
		for _, n := range never {
			for _, n := range spellings(n) {
				h[n] = []string{"admin"}
			}
		}
		for _, n := range origin {
			for _, n := range spellings(n) {
				h[n] = []string{"10.0.0.1"}
				if trusted {
					want[n] = h[n]
				}
			}
		}
		if ref := s.Strip(h, trusted); ref != nil {
			t.Fatal(ref)
		}
		for n := range h {
			if want[n] == nil {
				t.Errorf("trusted %v: %q is left", trusted, n)
			}
		}
		for n := range want {
			if h[n] == nil {
				t.Errorf("trusted %v: %q is gone", trusted, n)
			}
		}
	}
}

// What other gateways tell their upstreams, by their manuals.
var otherGateways = map[string]string{
	"oauth2-proxy": `X-Forwarded-User X-Forwarded-Email X-Forwarded-Groups X-Forwarded-Preferred-Username X-Forwarded-Access-Token
		X-Auth-Request-User X-Auth-Request-Email X-Auth-Request-Groups X-Auth-Request-Preferred-Username X-Auth-Request-Access-Token`,
	"Authelia":  `Remote-User Remote-Groups Remote-Email Remote-Name`,
	"authentik": `X-Authentik-Username X-Authentik-Groups X-Authentik-Entitlements X-Authentik-Email X-Authentik-Name X-Authentik-Uid X-Authentik-Jwt X-Authentik-Meta-App`,
	"Vouch":     `X-Vouch-User X-Vouch-Success X-Vouch-IdP-Claims-Groups X-Vouch-IdP-AccessToken X-Vouch-Token`,
	"Pomerium":  `X-Pomerium-Claim-Email X-Pomerium-Claim-Groups X-Pomerium-Jwt-Assertion X-Pomerium-Authorization`,
	"SiteMinder": `SM-User SM_USER SM_USERDN SM_USERGROUPS SM_AUTHTYPE SM_SERVERSESSIONID SM_UNIVERSALID SM_USERLOGINNAME
		SM_USERMSG SM_AUTHREASON SM_REALM HTTP_SM_USER`,
	"WebSEAL":        `iv-user iv-user-l iv-groups iv-creds iv_server_name iv-remote-address`,
	"Oracle":         `OAM_REMOTE_USER OAM_REMOTE_USER_GROUPS OAM_IDENTITY_DOMAIN OAM_USER_ASSERTION Proxy-Remote-User Osso-User-Dn`,
	"WebLogic":       `WL-Proxy-Client-Cert WL-Proxy-Client-Keysize`,
	"WebSphere":      `WSRU WSAT WSCC WSCS WSIS WSSC`,
	"openidc":        `OIDC_CLAIM_sub Oidc-Claim-Sub OIDC_CLAIM_email OIDC_CLAIM_groups OIDC_access_token OIDC_id_token OIDC_userinfo_json`,
	"mellon":         `MELLON_NAME_ID MELLON_eppn Mellon-Mail MELLON_SAML_RESPONSE`,
	"Shibboleth":     `Shib-Session-Id Shib-Identity-Provider Shib-Application-Id SHIB_uid eppn uid mail displayName cn sn givenName persistent-id targeted-id affiliation unscoped-affiliation entitlement eduPersonPrincipalName isMemberOf AJP_eppn AJP_Shib-Session-ID`,
	"CAS":            `CAS-User CAS_mail CAS-MemberOf Cas-Attributes`,
	"ClearTrust":     `CT-Remote-User CT_WEB_SVR_ID CT-Auth-Type`,
	"PingFederate":   `PF_AUTH_SUBJECT PF-Auth-Userid`,
	"Cloudflare":     `Cf-Access-Authenticated-User-Email Cf-Access-Jwt-Assertion Cf-Access-Token Cf-Access-User`,
	"Tailscale":      `Tailscale-User-Login Tailscale-User-Name Tailscale-User-Profile-Pic Tailscale-App-Capabilities`,
	"Google":         `X-Goog-Authenticated-User-Email X-Goog-Authenticated-User-Id X-Goog-Iap-Jwt-Assertion X-Endpoint-API-UserInfo X-Apigateway-Api-Userinfo X-AppEngine-User-Email X-AppEngine-User-Id X-AppEngine-User-Is-Admin`,
	"AWS":            `X-Amzn-Oidc-Identity X-Amzn-Oidc-Data X-Amzn-Oidc-Accesstoken X-Amzn-Mtls-Clientcert X-Amzn-Mtls-Clientcert-Subject X-Amzn-Mtls-Clientcert-Leaf`,
	"Azure":          `X-Ms-Client-Principal X-Ms-Client-Principal-Name X-Ms-Client-Principal-Id X-Ms-Client-Principal-Idp X-Ms-Token-Aad-Id-Token X-Ms-Token-Aad-Access-Token X-ARR-ClientCert`,
	"Kong":           `X-Consumer-Id X-Consumer-Username X-Consumer-Custom-Id X-Consumer-Groups X-Credential-Identifier X-Credential-Username X-Anonymous-Consumer X-Authenticated-Userid X-Authenticated-Scope X-Authenticated-Groups X-Userinfo`,
	"APISIX":         `X-Userinfo X-ID-Token`,
	"Traefik":        `X-Forwarded-User X-Forwarded-Tls-Client-Cert X-Forwarded-Tls-Client-Cert-Info X-WebAuth-User`,
	"Envoy, Istio":   `X-Forwarded-Client-Cert X-Jwt-Payload X-Jwt-Claim-Sub X-Auth-Claims`,
	"Oathkeeper":     `X-User X-Ory-Session X-Kratos-Authenticated-Identity-Id X-Subject`,
	"louketo":        `X-Auth-Subject X-Auth-Userid X-Auth-Username X-Auth-Email X-Auth-Groups X-Auth-Roles X-Auth-Audience X-Auth-ExpiresIn`,
	"caddy-security": `X-Token-Subject X-Token-User-Name X-Token-User-Email X-Token-User-Roles X-Authp-User`,
	"nginx":          `X-User X-Username X-Email X-Remote-User X-SSL-Client-Verify X-SSL-Client-S-DN X-SSL-Client-Cert SSL-Client-Verify SSL-Client-Subject-Dn SSL-Client-Cert X-SSL-CERT`,
	"HAProxy":        `X-SSL-Client-CN X-SSL-Client-DN X-SSL-Issuer X-SSL-Client-Serial`,
	"RFC 9440":       `Client-Cert Client-Cert-Chain`,
	"Kubernetes":     `X-Remote-User X-Remote-Group X-Remote-Uid X-Remote-Extra-Scopes Impersonate-User Impersonate-Group Impersonate-Uid Impersonate-Extra-Reason`,
	"Teleport":       `Teleport-Jwt-Assertion X-Teleport-Username`,
	"Zscaler":        `X-Zscaler-User X-ZPA-Email`,
	"F5, NetScaler":  `X-F5-User X-Citrix-Username NSC_User`,
	"OpenAM":         `OpenAM_Username OpenAM-Groups ForgeRock-Uid X-OpenAM-Username`,
	"Okta":           `X-Okta-User X-Okta-Groups Okta-Sub`,
	"Akamai":         `X-EAA-User EAA_Groups`,
	"Sandstorm":      `X-Sandstorm-User-Id X-Sandstorm-Username X-Sandstorm-Permissions X-Sandstorm-Preferred-Handle`,
	"Replit":         `X-Replit-User-Id X-Replit-User-Name X-Replit-User-Roles`,
	"applications": `X-WEBAUTH-USER X-WEBAUTH-EMAIL X-WEBAUTH-FULLNAME X-WEBAUTH-ROLE X-Forwarded-Login X-Forwarded-Name X-Proxy-REMOTE-USER
		X-Proxy-User X-Proxy-Roles X-Grafana-User X-Hasura-User-Id X-Hasura-Role X-Auth-CouchDB-UserName X-Auth-CouchDB-Roles
		X-Trino-User es-security-runas-user X-Scope-OrgID X-Organizr-User AUTH_USER AUTH_TYPE REMOTE_ADDR REMOTE_IDENT HTTP_REMOTE_USER`,
	"single sign-on of hosts": `X-Forwarded-Uuid Osso-User-Guid Osso-Subscriber Ynh-User-Fullname X-Organizr-Group X-Organizr-Name X-Hass-Is-Admin
		Subject-Id Pairwise-Id Nickname Primary-Affiliation Employee-Number Member Shiny-Server-Credentials Rstudio-Connect-Credentials
		X-Api-Account-Id X-Client-Cn Gssname X-Windows-Auth-User`,
	"home-made": `X-User-Uuid X-User-Guid X-User-Handle X-User-Nick X-User-Account X-User-First-Name User-Display-Name X-Nickname X-Nick X-Uname X-Name
		X-Member-Id X-Actor Name`,
	"another request": `X-Envoy-Original-Path X-Middleware-Subrequest X-Accel-Mapping X-Sendfile-Type X-Script-Name Script-Name X-Http-Path-Override
		X-Http-Verb X-Http-Host-Override`,
	"recipes": `User Username X-User-Info X-User-Claims X-Jwt-Sub X-Identity X-Principal X-Principal-Name X-Account-Id X-Scopes X-Roles X-Role
		X-Groups X-Permissions X-Is-Admin X-Admin X-Login X-Logged-In-User X-Rbac-Roles X-On-Behalf-Of X-Impersonate-User X-Upn X-Uid
		X-Sso-User X-Ldap-Dn X-Saml-Nameid X-Openid-Sub X-Client-Dn X-Client-Cert X-Client-Verify X-Tls-Client-Cert X-Spiffe-Id`,
}

func TestStripOtherGateways(t *testing.T) {
	s := stripper(t, DefaultIdentityHeaders, StripRules{})
	count := 0
	for gateway, names := range otherGateways {
		for n := range strings.FieldsSeq(names) {
			count++
			for _, n := range []string{n, strings.ToLower(n), strings.ToUpper(n), http.CanonicalHeaderKey(n), strings.ReplaceAll(n, "-", "_"), strings.ReplaceAll(n, "_", "-"), strings.ReplaceAll(n, "-", ".")} {
				for _, trusted := range []bool{false, true} {
					h := http.Header{n: {"admin"}}
					if ref := s.Strip(h, trusted); ref != nil || len(h) > 0 {
						t.Errorf("%s of %s passes (trusted %v): %v", n, gateway, trusted, ref)
					}
				}
			}
			// A byte that only some receivers fold.
			for _, b := range []byte("~!#$%&'*+^`|") {
				for _, odd := range []string{strings.NewReplacer("-", string(b), "_", string(b)).Replace(n) + string(b), string(b) + n, n[:1] + string(b) + n[1:]} {
					h := http.Header{odd: {"admin"}}
					if ref := s.Strip(h, true); ref == nil && !firstWordAlone(n) {
						t.Errorf("%s, which is %s of %s, is not refused: %v", odd, n, gateway, h)
					}
				}
			}
		}
	}
	if count < 200 {
		t.Errorf("only %d names", count)
	}
}

// firstWordAlone reports whether a name is known by its first word only, so that a byte within that makes it another.
func firstWordAlone(n string) bool {
	first, _, more := strings.Cut(strings.ReplaceAll(n, "_", "-"), "-")
	return more && slices.Contains(strings.Fields("sm iv oam cas ct pf eaa okta auth ajp ssl"), strings.ToLower(first))
}

// What clients of chats send and no gateway says.
const innocentNames = `Accept Accept-Charset Accept-Encoding Accept-Language Accept-Datetime Access-Control-Request-Method Access-Control-Request-Headers
	Authorization Cache-Control Connection Content-Disposition Content-Encoding Content-Language Content-Length Content-Location
	Content-Md5 Content-Range Content-Type Cookie Date Depth Destination Digest Dnt Device-Memory Downlink Ect Rtt Early-Data Expect
	Viewport-Width From If If-Match If-Modified-Since If-None-Match If-Range If-Unmodified-Since Idempotency-Key Last-Event-Id
	Lock-Token Max-Forwards Ocs-Apirequest Origin Overwrite Pragma Prefer Priority Purpose Range Referer Save-Data Sec-Ch-Ua
	Sec-Ch-Ua-Mobile Sec-Ch-Ua-Platform Sec-Ch-Ua-Arch Sec-Ch-Prefers-Color-Scheme Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site
	Sec-Fetch-User Sec-Gpc Sec-Purpose Sec-Websocket-Key Sec-Websocket-Version Sec-Websocket-Protocol Sec-Websocket-Extensions
	Service-Worker Service-Worker-Navigation-Preload Soapaction Timeout Traceparent Tracestate Baggage Ttl Topic Urgency Upgrade
	Upgrade-Insecure-Requests User-Agent Via Want-Digest Warning Token Api-Key X-Api-Key X-Access-Token X-Auth-Token X-Auth-Key
	X-Authorization X-Token X-Csrf-Token X-Csrftoken X-Xsrf-Token X-Requested-With X-Request-Id X-Correlation-Id X-Trace-Id X-B3-Traceid
	X-B3-Spanid X-Amzn-Trace-Id X-Cloud-Trace-Context X-Datadog-Trace-Id Sentry-Trace X-Client-Version X-Client-Data X-Client-Id
	X-Client-Name X-App-Version X-Build X-Platform X-Device-Id X-Device X-Session-Id X-Socket-Id X-Connection-Id X-Instance-Id
	X-Locale X-Timezone X-Time-Zone X-Language X-Version X-Chat-Version X-Channel X-Room X-Mattermost-Preview X-Matrix-Txn-Id
	X-Tenant-Id X-Org-Id X-Workspace-Id X-User-Agent X-User-Preference X-User-Timezone X-Grpc-Web Grpc-Timeout X-Inertia
	X-Inertia-Version X-Livewire X-Pjax X-Up-Version X-Turbo-Request-Id Turbo-Frame Hx-Request Hx-Target Hx-Trigger Hx-Current-Url
	Hx-Boosted X-File-Name X-File-Size X-Upload-Content-Type Tus-Resumable Upload-Length Upload-Offset Upload-Metadata X-Signature
	X-Hub-Signature-256 X-Github-Event X-Gitlab-Event X-Slack-Signature X-Slack-Request-Timestamp Cf-Ray Cf-Visitor Cf-Ipcountry
	X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host X-Ratelimit-Limit X-Debug X-Experiment X-Feature-Flags X-Purpose X-Moz X-Goog-Visitor-Data
	X-Ms-Date X-Amz-Date Smooth Castle Certainty Identify Ivory Octet Sslip Proximity Browser X-Browser X-Browser-Id`

func TestStripPassesTheRest(t *testing.T) {
	s := stripper(t, DefaultIdentityHeaders, StripRules{})
	names := strings.Fields(innocentNames)
	if len(names) < 150 {
		t.Errorf("only %d names", len(names))
	}
	for _, n := range names {
		for _, n := range []string{n, http.CanonicalHeaderKey(n)} {
			h := http.Header{n: {"x"}}
			if ref := s.Strip(h, false); ref != nil || len(h) != 1 {
				t.Errorf("%s does not pass: %v", n, ref)
			}
		}
	}
	for _, n := range usualNamesOf(names) {
		if s.usual[n] != s.judge(n) || s.usual[n] != pass {
			t.Errorf("%s is usual, and judged %d", n, s.judge(n))
		}
	}
	h := browserRequest()
	if n := testing.AllocsPerRun(100, func() { _ = s.Strip(h, false) }); n != 0 || len(h) != len(browserRequest()) {
		t.Errorf("%v allocations, %d headers", n, len(h))
	}
}

func usualNamesOf(names []string) (out []string) {
	for n := range strings.FieldsSeq(usualNames) {
		if slices.Contains(names, n) {
			out = append(out, n)
		}
	}
	return out
}

// What HTTP, the handshake or the gate reads counts in its own spelling alone.
func TestStripReserved(t *testing.T) {
	s := stripper(t, DefaultIdentityHeaders, StripRules{Strip: []string{"Sec*", "C*", "X-F*"}, Keep: []string{"Co*", "X-Forwarded-*"}})
	for n := range strings.FieldsSeq(reservedNames) {
		for name, want := range map[string]string{
			n: "passes", "_" + n: "goes", n + ".": "goes", n + "--": "goes", strings.ReplaceAll(n, "-", "_") + "_": "goes", "." + strings.ReplaceAll(n, "-", ""): "goes",
			n + "~": "refused", "!" + n: "refused", strings.ReplaceAll(n, "-", "+") + "$": "refused", n[:1] + "'" + n[1:]: "refused",
		} {
			h := http.Header{name: {"x"}}
			got := "passes"
			if ref := s.Strip(h, true); ref != nil {
				got = "refused"
				if ref.Status != http.StatusBadRequest || !strings.Contains(ref.Msg, name) {
					t.Error(ref)
				}
			} else if len(h) == 0 {
				got = "goes"
			}
			if got != want {
				t.Errorf("%s %s, not %s", name, got, want)
			}
		}
	}
	// An odd byte alone is nothing to refuse, and neither is what only HTTP/2 has.
	for _, n := range []string{"X~Note", "!", "~~", ":protocol", "X|Y"} {
		h := http.Header{n: {"x"}}
		if ref := s.Strip(h, false); ref != nil || len(h) != 1 {
			t.Errorf("%q: %v %v", n, ref, h)
		}
	}
}

func TestStripRules(t *testing.T) {
	for name, tc := range map[string]struct {
		rules StripRules
		pass  string
		gone  string
	}{
		"none":               {StripRules{}, "X-Chat-Kind X-Auth-Token X-Forwarded-For", "X-User-Id Remote-User X-Forwarded-User X-Forwarded-Port"},
		"strip a name":       {StripRules{Strip: []string{"x-chat-kind", "X-Auth-Token"}}, "X-Chat-Kinds X-Chat", "X-Chat-Kind X_Chat_Kind xchatkind X-Auth-Token"},
		"strip a family":     {StripRules{Strip: []string{"X-Chat-*", "X-Auth-*"}}, "X-Char X-Chap", "X-Chat-Kind X_Chat.Mode X-Chat X-Auth-Token"},
		"keep a name":        {StripRules{Keep: []string{"X-User-Id", "x-forwarded-port"}}, "X-User-Id x_user_id X-Forwarded-Port", "X-User X-User-Ids-User X-Forwarded-Prefix"},
		"keep a family":      {StripRules{Keep: []string{"X-Hasura-*", "X-Us*"}}, "X-Hasura-Role X-Hasura-User-Id X-User-Id X-User", "X-Role Remote-User"},
		"keep of strip":      {StripRules{Strip: []string{"X-Chat-*"}, Keep: []string{"X-Chat-Kind"}}, "X-Chat-Kind", "X-Chat-Mode"},
		"strip within":       {StripRules{Strip: []string{"X-Chat-Kind"}, Keep: []string{"X-Chat-*"}}, "X-Chat-User", "X-Chat-Kind"},
		"strip a name of it": {StripRules{Strip: []string{"X-Hasura"}, Keep: []string{"X-Hasura-*"}}, "X-Hasura-Role x.hasura_role", "X-Hasura X-Hasurarole"},
		"keep a name of it":  {StripRules{Strip: []string{"X-Chat-*"}, Keep: []string{"X-Chat"}}, "X-Chat", "X-Chat-Kind X-Chatter"},
		"keep of a wider":    {StripRules{Strip: []string{"X-Chat*"}, Keep: []string{"X-Chat-*"}}, "X-Chat-Kind", "X-Chat X-Chatter XChatKind"},
		"either order":       {StripRules{Strip: []string{"X-Chat-Kind", "X-Chat-*"}, Keep: []string{"X-Chat-A-*", "X-Chat-B"}}, "X-Chat-A-B X-Chat-B", "X-Chat-Kind X-Chat-Ab X-Chat-A"},
		"keep by words": {
			StripRules{Keep: []string{"X-Auth-*", "X-User_*", "X-Original-*", "X-Orig-*", "Ma-*", "X.Permission.*"}},
			"X-Auth-Id x_auth_user X-Auth.Username X-User-Id X-User-Role X-Original-Url X-Original_Host X-Permission-Set Ma-Role",
			`X-Authentik-Username X-Authenticated-Userid X_Authentik.Username X-Authuser XAuthUser X-Au-Thentik-User -XAuthUser
				X-Username X-Userinfo X-User X_User_ X-Permissions-Set Mail Ma-il X-Originals-User X-Originating-Ip`,
		},
		"keep a name and by words": {StripRules{Keep: []string{"X-User-*", "X-User"}}, "X-User X-User-Id", "X-Username"},
		"a family, no word":        {StripRules{Keep: []string{"X-User*"}}, "X-User X-User-Id X-Username", "Remote-User"},
		"several families":         {StripRules{Strip: []string{"X-B*", "X-Ba*", "X-Bab*", "X-C*"}}, "X-A X-D", "X-B X-Bb X-Baa X-Babb X-Bz X-C"},
		"what is long":             {StripRules{Strip: []string{"X-" + strings.Repeat("Long-", 40) + "*"}}, "X-" + strings.Repeat("Long-", 39), "X-" + strings.Repeat("Long-", 41)},
	} {
		t.Run(name, func(t *testing.T) {
			own := DefaultIdentityHeaders
			s := stripper(t, own, tc.rules)
			for want, names := range map[int]string{1: tc.pass, 0: tc.gone} {
				for n := range strings.FieldsSeq(names) {
					h := http.Header{n: {"x"}}
					if ref := s.Strip(h, false); ref != nil || len(h) != want {
						t.Errorf("%s: %v, %v", n, h, ref)
					}
				}
			}
		})
	}
	for name, rules := range map[string]StripRules{
		"our own":             {Keep: []string{"Remote-User"}},
		"our own, otherwise":  {Keep: []string{"remote_access"}},
		"our own, configured": {Keep: []string{"X-Chat-Who"}},
		"a family with it":    {Keep: []string{"Remote-*"}},
		"a wide family":       {Keep: []string{"X-C*"}},
		"everything":          {Keep: []string{"*"}},
		"all but nothing":     {Strip: []string{"*"}},
		"in the middle":       {Strip: []string{"X-*-User"}},
		"no name":             {Strip: []string{"X User"}},
		"an odd byte":         {Strip: []string{"X~User"}},
		"only dashes":         {Keep: []string{"--"}},
		"of HTTP":             {Strip: []string{"Content-Length"}},
		"of the handshake":    {Keep: []string{"sec_websocket_key"}},
		"both":                {Strip: []string{"X-Kind"}, Keep: []string{"x_kind"}},
	} {
		own := DefaultIdentityHeaders
		own.Email = "X-Chat-Who"
		if _, err := NewStripper(own, rules); err == nil {
			t.Errorf("%s: %v passes", name, rules)
		}
	}
	for name, tc := range map[string]struct {
		rules StripRules
		says  string
	}{
		"a name":      {StripRules{Strip: []string{"X-A", "X-Kind"}, Keep: []string{"x_kind"}}, "keep x_kind: strip has the same name (X-Kind); remove one of the two"},
		"a family":    {StripRules{Strip: []string{"X-Kind-*"}, Keep: []string{"x_kind_*"}}, "keep x_kind_*: strip has the same name (X-Kind-*); remove one of the two"},
		"what we say": {StripRules{Keep: []string{"Remote-*"}}, `keep: "Remote-*" covers Remote-User, `},
	} {
		if _, err := NewStripper(DefaultIdentityHeaders, tc.rules); err == nil || !strings.HasPrefix(err.Error(), tc.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s, err := NewStripper(IdentityHeaders{User: "X-Chatter"}, StripRules{Keep: []string{"X-Chat-*"}}); err != nil || s.judge("X-Chat-Ter") != remove {
		t.Errorf("a family without what we say is kept, and no spelling of ours: %v", err)
	}
	// A byte that is not of an ordinary name is no end of a word.
	if s := stripper(t, DefaultIdentityHeaders, StripRules{Keep: []string{"X-Auth-*"}}); s.judge("X-Auth~User") != refused {
		t.Error("X-Auth~User is kept")
	}
	if _, err := NewStripper(IdentityHeaders{User: "X-Chat-Who"}, StripRules{Keep: []string{"Remote-Email"}}); err != nil {
		t.Errorf("a name that is not told any more may be kept: %v", err)
	}
}

// The page that operators read has every family, and no other.
func TestFamiliesAreDocumented(t *testing.T) {
	page, err := os.ReadFile("../docs/upstream.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(page), "<!-- families -->")
	table, _, end := strings.Cut(table, "<!-- /families -->")
	if !ok || !end {
		t.Fatal("docs/upstream.md has no table of families")
	}
	documented := make(map[string]bool)
	for i, part := range strings.Split(table, "`") {
		if i%2 == 1 {
			documented[part] = true
		}
	}
	for n := range strings.FieldsSeq(identityFamilies) {
		if word, isWord := strings.CutSuffix(n, "-*"); isWord && strings.Contains(word, "-") {
			t.Errorf("%s is no first word; write %s*", n, word)
		}
	}
	for _, names := range []string{identityFamilies, identityNames, notIdentities, originNames} {
		for n := range strings.FieldsSeq(names) {
			if !documented[n] {
				t.Errorf("docs/upstream.md does not have %s", n)
			}
			delete(documented, n)
		}
	}
	for n := range documented {
		t.Errorf("docs/upstream.md has %s, which is nothing to the gate", n)
	}
}
