package chatroom

// The headers by which a client could claim something, besides the configured names. docs/upstream.md has the same tables; a
// test compares them.

// identityFamilies are names that one upstream or another takes for an identity. X-Auth* means every name that begins with
// it, *Username every name that ends with it, and Sm-* every name with that first word: SM_USER, but not Smooth.
const identityFamilies = `Remote* X-Remote* *User *Username *User-Name *User-Id *User-Uid *User-Dn *User-Login *User-Info *User-Mail
	*User-Group *Email *Email-Address *Groups *Role *Roles *Principal *Principal-Name *Member-Of *Login-Name *Account-Name
	*Subject-Dn *Client-Dn *Entitlements *Permissions *Claims
	X-User-Claim* X-User-Principal* X-User-Login* X-User-Display* X-User-Full* X-User-Sub* X-User-Perm* X-User-Scope* X-User-Attr*
	X-Auth* Auth-* Authenticated* Authentik* Authelia* Authp* X-Vouch* Vouch-* WebAuth* X-WebAuth* X-Token* X-Claim* Claim-*
	X-Jwt* Jwt-* X-Id-Token* Oidc* X-Oidc* OpenId* X-OpenId* Saml* X-Saml* Mellon* X-Mellon* Shib* X-Shib* EduPerson*
	X-EduPerson* Schac* Ajp-* Sm-* Iv-* Oam-* Cas-* Ct-* Pf-* Eaa-* X-Eaa* Sso-* X-Sso* Ldap-* X-Ldap* X-Kerberos* X-Gss*
	OpenAm* X-OpenAm* ForgeRock* X-ForgeRock* Keycloak* X-Keycloak* Okta-* X-Okta* X-Kratos* X-Ory* X-Oathkeeper*
	Pomerium* X-Pomerium* Cf-Access* Tailscale* X-Tailscale* Teleport* X-Teleport* X-Zscaler* X-Zpa* X-Citrix*
	X-Goog-Authenticated* X-Goog-Iap* X-AppEngine-User* X-Endpoint-Api* X-ApiGateway-Api* X-Amzn-Oidc* X-Amzn-Mtls*
	X-Ms-Client-Principal* X-Ms-Token* X-Consumer* X-Credential* X-Anonymous-Consumer* X-Sandstorm* X-Hasura* X-Replit*
	Impersonate* X-Impersonat* X-Identity* Identity* X-Principal* Principal* X-Subject* X-Role* X-Group* X-Permission*
	X-Scope* X-Rbac* X-Admin* X-Is-Admin* X-Login* X-Logged-In* X-Account*
	X-Forwarded-User* X-Forwarded-Email* X-Forwarded-Mail* X-Forwarded-Group* X-Forwarded-Role* X-Forwarded-Name* X-Forwarded-Login*
	X-Forwarded-Preferred* X-Forwarded-Access* X-Forwarded-Auth* X-Forwarded-Id-Token* X-Forwarded-Identity*
	X-Forwarded-Principal* X-Forwarded-Account* X-Forwarded-Subject* X-Forwarded-Client-Cert* X-Forwarded-Tls* X-Forwarded-Ssl-Client*
	Client-Cert* X-Client-Cert* X-Client-Dn* X-Client-S-Dn* X-Client-Verif* X-Ssl* Ssl-* X-Tls* Tls-* X-Mtls* X-X509* X509-* X-Cert*
	X-Spiffe* X-Arr-ClientCert* Wl-Proxy-Client*
	X-User-Uuid* X-User-Guid* X-User-Handle* X-User-Nick* X-User-First* X-User-Last* X-User-Account* X-Nick* X-Member*
	X-Actor* Osso* Ynh* X-Organizr* X-Hass* X-Api-Account* X-Client-Cn* X-Windows-Auth* X-Forwarded-Uuid*`

// identityNames are further such names, which belong to no family. Those from X-Original-Url on name no person, but make a
// receiver take one request for another.
const identityNames = `X-Gw-Access X-Uid X-Upn X-Eppn X-Sub X-Cn X-Dn X-Common-Name X-Display-Name X-Full-Name X-On-Behalf-Of X-Grafana-Id
	X-Verified-By Ssl-Client-Verify Uid Mail Cn Sn Dn Sub Upn Eppn Name-Id Given-Name Display-Name Common-Name Surname
	Persistent-Id Targeted-Id Affiliation Unscoped-Affiliation Scoped-Affiliation Entitlement Is-Member-Of Login Account
	Wsru Wsat Wscc Wscs Wsis Wssc Wspr Wsra Wsrh Wssn Wssp Wssi Wspt Wsfo
	X-Name X-Uname User-Display-Name Subject-Id Pairwise-Id Nickname Primary-Affiliation Employee-Number Member Name Gssname
	Shiny-Server-Credentials Rstudio-Connect-Credentials
	X-Original-Url X-Rewrite-Url X-Original-Method X-Original-Uri X-Http-Method-Override X-Http-Method X-Method-Override
	X-Method Proxy Proxy-Authorization
	X-Envoy-Original-Path X-Middleware-Subrequest X-Accel-Mapping X-Sendfile-Type X-Script-Name Script-Name
	X-Http-Path-Override X-Http-Verb X-Http-Host-Override`

// notIdentities look like one of a family but pass: browsers send them, or they are secrets that the chat itself checks.
const notIdentities = `Remote Sec-Fetch-User X-Auth-Token X-Auth-Key X-Authorization Auth-Token Auth-Key X-Token`

// originNames tell where a request comes from. They pass only from a trusted proxy in front of us.
const originNames = `Forwarded X-Real-Ip True-Client-Ip X-Client-Ip Client-Ip X-Cluster-Client-Ip Cf-Connecting-Ip Cf-Connecting-Ipv6
	Cf-Pseudo-Ipv4 Fastly-Client-Ip X-Forwarded X-Forwarded-Server X-Forwarded-Port X-Forwarded-Prefix X-Forwarded-Ssl
	X-Forwarded-Scheme X-Forwarded-Protocol X-Forwarded-Uri X-Forwarded-Url X-Forwarded-Method X-Forwarded-Path X-Forwarded-By
	X-Forwarded-Client-Ip X-Original-Forwarded-For X-Original-Host X-Original-Proto X-Originating-Ip X-Remote-Ip X-Remote-Addr
	X-Azure-ClientIp X-Azure-SocketIp X-AppEngine-User-Ip X-ProxyUser-Ip Proxy-Client-Ip Wl-Proxy-Client-Ip Wl-Proxy-Ssl
	X-Envoy-External-Address X-Host X-Url-Scheme X-Scheme Front-End-Https
	Forwarded-For Do-Connecting-Ip Fly-Client-Ip X-Appengine-Remote-Addr X-Original-For X-Nf-Client-Connection-Ip
	X-Vercel-Forwarded-For Incap-Client-Ip X-Forwarded-Hostname X-Forwarded-Pathbase`

// reservedNames mean something to HTTP, to the handshake or to us, and pass only in their own spelling. The code that checks
// or removes one would miss another spelling, which a receiver that folds names still reads.
const reservedNames = `Host Connection Keep-Alive Proxy-Connection Upgrade Te Trailer Transfer-Encoding Content-Length Content-Type
	Content-Encoding Expect Http2-Settings Cookie Authorization Origin Referer Via X-Forwarded-For X-Forwarded-Proto X-Forwarded-Host
	Sec-Websocket-Key Sec-Websocket-Version Sec-Websocket-Protocol Sec-Websocket-Extensions Sec-Websocket-Accept`

// usualNames are in nearly every request. They are judged once, not for each request.
const usualNames = `Accept Accept-Charset Accept-Encoding Accept-Language Access-Control-Request-Headers Access-Control-Request-Method
	Authorization Cache-Control Connection Content-Encoding Content-Length Content-Type Cookie Dnt Expect If-Match If-Modified-Since
	If-None-Match If-Range Last-Event-Id Origin Pragma Priority Range Referer Save-Data Sec-Ch-Ua Sec-Ch-Ua-Mobile Sec-Ch-Ua-Platform
	Sec-Fetch-Dest Sec-Fetch-Mode Sec-Fetch-Site Sec-Fetch-User Sec-Gpc Sec-Websocket-Extensions Sec-Websocket-Key
	Sec-Websocket-Protocol Sec-Websocket-Version Traceparent Tracestate Upgrade Upgrade-Insecure-Requests User-Agent Via
	X-Csrf-Token X-Forwarded-For X-Forwarded-Host X-Forwarded-Proto X-Request-Id X-Requested-With X-Xsrf-Token`
