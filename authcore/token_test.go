package authcore

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"hash"
	"maps"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

var b64 = base64.RawURLEncoding

// forge is a house with somebody in it, and its signing key in the hands of a test.
type forge struct {
	*house
	grant Grant
	key   signingKey
	head  map[string]any
	body  map[string]any
}

func newForge(t testing.TB, settings ...setting) *forge {
	t.Helper()
	h := newHouse(t, settings...)
	f := &forge{house: h, grant: h.person(t, "alice"), key: must[signingKey](t)(h.state.keyring.signer())}
	parts := strings.Split(string(f.grant.Token), ".")
	for i, m := range []*map[string]any{&f.head, &f.body} {
		raw := must[[]byte](t)(b64.DecodeString(parts[i]))
		d := json.NewDecoder(strings.NewReader(string(raw)))
		d.UseNumber()
		if err := d.Decode(m); err != nil {
			t.Fatal(err)
		}
	}
	return f
}

func ed(key ed25519.PrivateKey) func(string) []byte {
	return func(s string) []byte { return ed25519.Sign(key, []byte(s)) }
}

func mac(h func() hash.Hash, key []byte) func(string) []byte {
	return func(s string) []byte {
		m := hmac.New(h, key)
		m.Write([]byte(s))
		return m.Sum(nil)
	}
}

// mint signs a header and a payload, each either text or members.
func mint(head, body any, sign func(string) []byte) string {
	part := func(v any) string {
		s, ok := v.(string)
		if !ok {
			raw, err := json.Marshal(v)
			if err != nil {
				panic(err)
			}
			s = string(raw)
		}
		return b64.EncodeToString([]byte(s))
	}
	s := part(head) + "." + part(body)
	return s + "." + b64.EncodeToString(sign(s))
}

// with returns members with one of them other; a value of nil takes it away.
func with(m map[string]any, name string, v any) map[string]any {
	m = maps.Clone(m)
	if v == nil {
		delete(m, name)
	} else {
		m[name] = v
	}
	return m
}

func (f *forge) refused(t *testing.T, what, token string) {
	t.Helper()
	id, err := f.Authenticate(t.Context(), UnverifiedToken(token))
	wantKind(t, what, err, KindBadToken)
	if id != (ProvenSession{}) {
		t.Errorf("%s: got an identity with the error: %+v", what, id)
	}
	if err != nil && AsError(err).Msg != "the token is not valid" {
		t.Errorf("%s: told too much: %q", what, AsError(err).Msg)
	}
	c := &conn{}
	if _, err := f.holdToken(t.Context(), UnverifiedToken(token), c, &c.lease, false); KindOf(err) != KindBadToken {
		t.Errorf("%s: held: %v", what, err)
	}
}

func (f *forge) accepted(t *testing.T, what, token string) {
	t.Helper()
	id, err := f.Authenticate(t.Context(), UnverifiedToken(token))
	if err != nil || id.Account != f.grant.Account.ID || id.Session != f.grant.Session.ID || id.Username != "alice" {
		t.Fatalf("%s: %+v, %v", what, id, err)
	}
}

// valid checks that the token which the others differ from is accepted.
func (f *forge) valid(t *testing.T) {
	t.Helper()
	f.accepted(t, "a token of one's own making", mint(f.head, f.body, ed(f.key.private)))
	f.accepted(t, "the token that was issued", string(f.grant.Token))
}

func TestIssuedToken(t *testing.T) {
	f := newForge(t)
	f.valid(t)
	now := f.clock.Now()
	id := must[Identity](t)(f.auth(t, f.grant))
	want(t, "expires", id.Expires, f.grant.Expires)
	want(t, "at the end of the session", id.Expires, now.Add(30*24*time.Hour))
	want(t, "header", fmt.Sprint(f.head), fmt.Sprint(map[string]any{"alg": "EdDSA", "typ": "at+jwt", "kid": f.key.id}))
	want(t, "issuer", f.body["iss"], any("chatgate"))
	want(t, "audience", f.body["aud"], any("chatgate"))
	want(t, "subject", f.body["sub"], any(string(f.grant.Account.ID)))
	want(t, "session", f.body["sid"], any(string(f.grant.Session.ID)))
	want(t, "issued", fmt.Sprint(f.body["iat"]), fmt.Sprint(now.Unix()))
	want(t, "claims", len(f.body), 9)
	if strings.ContainsAny(string(f.grant.Token), " \t\r\n=+/,;") {
		t.Error("the token has characters that some transport would change")
	}
}

// JWT-01: one key, one algorithm.
func TestJWT01Algorithms(t *testing.T) {
	f := newForge(t)
	f.valid(t)
	public := f.key.private.Public().(ed25519.PublicKey)
	der := must[[]byte](t)(x509.MarshalPKIXPublicKey(public))
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	jwk := []byte(`{"kty":"OKP","crv":"Ed25519","x":"` + b64.EncodeToString(public) + `"}`)

	for _, alg := range []any{
		"none", "None", "nOnE", "NONE", "", "HS256", "HS384", "HS512", "RS256", "PS256", "ES256", "ES384", "ES512", "eddsa", "EDDSA", "Ed25519", "Ed448",
		"EdDSA ", "EdDSA\x00", nil,
		[]string{"EdDSA"},
		[]string{},
		map[string]any{},
		0, true, json.RawMessage("null"),
	} {
		head := with(f.head, "alg", alg)
		what := fmt.Sprintf("alg %v", alg)
		f.refused(t, what+", right signature", mint(head, f.body, ed(f.key.private)))
		f.refused(t, what+", no signature", mint(head, f.body, func(string) []byte { return nil }))
		for name, key := range map[string][]byte{
			"raw": public, "DER": der, "PEM": block, "trimmed PEM": []byte(strings.TrimSpace(string(block))), "JWK": jwk, "empty": {}, "base64": []byte(b64.EncodeToString(public)),
		} {
			f.refused(t, what+", HMAC-SHA-256 with the public key as "+name, mint(head, f.body, mac(sha256.New, key)))
			f.refused(t, what+", HMAC-SHA-512 with the public key as "+name, mint(head, f.body, mac(sha512.New, key)))
		}
	}
	for _, typ := range []any{"JWT", "jwt", "at+JWT", "AT+JWT", "application/at+jwt", "rt+jwt", "id+jwt", "", nil, 1, []string{"at+jwt"}} {
		f.refused(t, fmt.Sprintf("typ %v", typ), mint(with(f.head, "typ", typ), f.body, ed(f.key.private)))
	}
	_, other, _ := ed25519.GenerateKey(rand.Reader)
	f.refused(t, "another key", mint(f.head, f.body, ed(other)))
	f.refused(t, "no signature", mint(f.head, f.body, func(string) []byte { return nil }))
	f.refused(t, "zeros", mint(f.head, f.body, func(string) []byte { return make([]byte, 64) }))
	f.refused(t, "Ed25519ph", mint(f.head, f.body, func(s string) []byte {
		sum := sha512.Sum512([]byte(s))
		sig, _ := f.key.private.Sign(nil, sum[:], &ed25519.Options{Hash: crypto.SHA512})
		return sig
	}))
	f.refused(t, "a signature twice", mint(f.head, f.body, func(s string) []byte {
		sig := ed25519.Sign(f.key.private, []byte(s))
		return append(sig, sig...)
	}))
}

// JWT-02: a key comes from the key store, whatever the header says.
func TestJWT02KeyTricks(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var visits atomic.Int64
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			visits.Add(1)
			c.Close()
		}
	}()
	url := "http://" + l.Addr().String() + "/jwks.json"

	f := newForge(t)
	f.valid(t)
	public, own, _ := ed25519.GenerateKey(rand.Reader)
	jwk := map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64.EncodeToString(public), "kid": f.key.id}
	for _, kid := range []any{
		"../../dev/null", "/dev/null", "' OR 1=1--", "\x00", f.key.id + "\x00", f.key.id + " ", strings.ToLower(f.key.id) + "x", "", nil, url, "*", "%", "0", 0,
		[]string{f.key.id},
		map[string]any{"kid": f.key.id},
		strings.Repeat("k", 64<<10), strings.Repeat("k", 2000), json.RawMessage("null"), f.store.keys[len(f.store.keys)-1].ID,
	} {
		for _, key := range []ed25519.PrivateKey{own, f.key.private, ed25519.NewKeyFromSeed(make([]byte, 32))} {
			f.refused(t, fmt.Sprintf("kid %.40v", kid), mint(with(f.head, "kid", kid), f.body, ed(key)))
		}
		f.clock.Advance(reloadPause)
	}
	for name, v := range map[string]any{
		"jwk": jwk, "jku": url, "x5u": url, "x5c": []string{base64.StdEncoding.EncodeToString(public)}, "x5t": "AAAA", "x5t#S256": "AAAA", "jwks": map[string]any{"keys": []any{jwk}},
		"iss": url, "b64": true, "crit": []string{}, "cty": "JWT", "zip": "DEF", "enc": "A256GCM", "p2c": 1 << 31, "p2s": "AAAA", "epk": jwk, "apu": "AA", "extra": nil0,
	} {
		head := with(f.head, name, v)
		f.refused(t, name+", own key", mint(head, f.body, ed(own)))
		f.refused(t, name+", right key", mint(head, f.body, ed(f.key.private)))
		f.refused(t, name+", own key, no kid", mint(with(head, "kid", nil), f.body, ed(own)))
	}
	l.Close()
	<-gone
	want(t, "connections to where a header pointed", visits.Load(), 0)
}

var nil0 = json.RawMessage("null")

// JWT-03: times are whole seconds, all there, and within bounds.
func TestJWT03Times(t *testing.T) {
	f := newForge(t)
	f.valid(t)
	now := f.clock.Now().Unix()
	sign := ed(f.key.private)
	raw := func(s string) json.RawMessage { return json.RawMessage(s) }
	for what, body := range map[string]map[string]any{
		"no exp": with(f.body, "exp", nil), "no iat": with(f.body, "iat", nil), "exp now": with(f.body, "exp", now), "exp a second ago": with(f.body, "exp", now-1),
		"exp an hour ago": with(with(f.body, "exp", now-3600), "iat", now-7200), "exp in a string": with(f.body, "exp", fmt.Sprint(now+60)),
		"exp with a fraction": with(f.body, "exp", raw(fmt.Sprintf("%d.5", now+60))), "exp with an exponent": with(f.body, "exp", raw("1e18")), "exp 1e10": with(f.body, "exp", raw("1e10")),
		"exp as a float": with(f.body, "exp", raw(fmt.Sprintf("%d.0", now+60))), "exp far away": with(f.body, "exp", raw("1000000000000000000")),
		"exp the largest": with(f.body, "exp", raw("9223372036854775807")), "exp larger": with(f.body, "exp", raw("9223372036854775808")), "exp 2^64": with(f.body, "exp", raw("18446744073709551616")),
		"exp negative": with(f.body, "exp", -1), "exp 0": with(f.body, "exp", 0), "exp the smallest": with(f.body, "exp", raw("-9223372036854775808")), "exp null": with(f.body, "exp", nil0),
		"exp true": with(f.body, "exp", true), "exp array": with(f.body, "exp", []int64{now + 60}), "exp object": with(f.body, "exp", map[string]any{}), "exp NaN in a string": with(f.body, "exp", "NaN"),
		"iat in the future": with(f.body, "iat", now+11), "iat 5 min in the future": with(f.body, "iat", now+300), "iat string": with(f.body, "iat", fmt.Sprint(now)), "iat 0": with(f.body, "iat", 0),
		"iat negative": with(f.body, "iat", -1), "iat the smallest": with(f.body, "iat", raw("-9223372036854775808")), "iat null": with(f.body, "iat", nil0), "iat fraction": with(f.body, "iat", raw(fmt.Sprintf("%d.5", now))),
		"iat after exp": with(with(f.body, "iat", now+5), "exp", now+3), "iat at exp": with(with(f.body, "iat", now+5), "exp", now+5),
		"nbf in the future": with(f.body, "nbf", now+300), "nbf past": with(f.body, "nbf", now-300), "nbf null": with(f.body, "nbf", nil0),
		"lifetime beyond the policy": with(f.body, "exp", now+30*24*3600+60), "lifetime beyond the policy, begun earlier": with(with(f.body, "iat", now-31*24*3600), "exp", now+60),
	} {
		f.refused(t, what, mint(f.head, body, sign))
	}
	for what, body := range map[string]map[string]any{
		"exp in a second": with(f.body, "exp", now+1), "iat 10 s in the future": with(f.body, "iat", now+10), "iat a day ago": with(with(f.body, "iat", now-86400), "exp", now+60),
	} {
		f.accepted(t, what, mint(f.head, body, sign))
	}

	// What was accepted once is not accepted for ever.
	short := mint(f.head, with(f.body, "exp", now+60), sign)
	f.accepted(t, "a minute to live", short)
	f.clock.Advance(60*time.Second - 1)
	f.accepted(t, "a nanosecond to live", short)
	f.clock.Advance(1)
	f.refused(t, "remembered and expired", short)
	f.refused(t, "and again", short)
	f.accepted(t, "the long one", string(f.grant.Token))
	f.clock.Advance(-5 * time.Minute)
	f.refused(t, "the clock went back 5 minutes: from the future, though remembered", string(f.grant.Token))
}

// JWT-04: for us, from us, about somebody.
func TestJWT04Claims(t *testing.T) {
	f := newForge(t)
	f.valid(t)
	bob := f.person(t, "bob")
	sign := ed(f.key.private)
	bad := map[string][]any{
		"iss":  {"", nil, nil0, "chatgate/", "Chatgate", "chatgate ", " chatgate", "https://chatgate", []string{"chatgate"}, 1},
		"aud":  {"", nil, nil0, "other", "Chatgate", "chatgate/", []string{}, []string{"chatgate"}, []string{"chatgate", "other"}, map[string]any{}, 1},
		"sub":  {"", nil, nil0, 1, []string{"x"}, string(bob.Account.ID), "alice", strings.ToUpper(string(f.grant.Account.ID))},
		"sid":  {"", nil, nil0, 1, []string{"x"}, string(bob.Session.ID)},
		"jti":  {"", nil, nil0, 1},
		"gen":  {nil, nil0, 0, -1, "1", 1.5, json.RawMessage("9223372036854775807"), json.RawMessage("-9223372036854775808"), json.RawMessage("1e0")},
		"name": {"", nil, nil0, 1},
		"ISS":  {"chatgate"}, "Exp": {1}, "role": {"admin"}, "scope": {"all"}, "typ": {"at+jwt"}, "cnf": {map[string]any{}}, "": {1}, "act": {nil0},
	}
	for name, values := range bad {
		for _, v := range values {
			what := fmt.Sprintf("%s %v", name, v)
			token := mint(f.head, with(f.body, name, v), sign)
			// A session that is another's, or of nobody, is over for all that the store says.
			_, err := f.Authenticate(t.Context(), UnverifiedToken(token))
			if name == "sub" || name == "sid" {
				wantKind(t, what, err, KindBadToken, KindSessionOver)
			} else {
				f.refused(t, what, token)
			}
		}
	}
	// The same when both sessions are known, and so no store is asked.
	f.valid(t)
	must[Identity](t)(f.auth(t, bob))
	for name, value := range map[string]string{"sid": string(bob.Session.ID), "sub": string(bob.Account.ID)} {
		_, err := f.Authenticate(t.Context(), UnverifiedToken(mint(f.head, with(f.body, name, value), sign)))
		wantKind(t, "another's "+name+", known", err, KindSessionOver)
	}
	// The same for an account of the same shard, where the session itself is found.
	neighbor := f.grant.Account.ID
	for i := 0; neighbor == f.grant.Account.ID || f.state.live.shard(neighbor) != f.state.live.shard(f.grant.Account.ID); i++ {
		neighbor = AccountID(fmt.Sprint("account", i))
	}
	_, err := f.Authenticate(t.Context(), UnverifiedToken(mint(f.head, with(f.body, "sub", string(neighbor)), sign)))
	wantKind(t, "of a neighbor in the shard", err, KindSessionOver)
	f.valid(t)
}

// JWT-05: a token of one service is nothing to another that shares its keys, and nothing to one that does not.
func TestJWT05Matrix(t *testing.T) {
	store, c := newMemory(), newClock()
	type service struct {
		*house
		token UnverifiedToken
	}
	var all []service
	for i, p := range [][2]string{{"one", "chat"}, {"one", "mail"}, {"two", "chat"}, {"one/", "chat"}, {"One", "chat"}, {"chat", "one"}} {
		h := newHouseOn(t, store, c, func(_ *StateOptions, policy *Policy) { policy.Issuer, policy.Audience = p[0], p[1] })
		all = append(all, service{h, UnverifiedToken(h.person(t, fmt.Sprintf("user%d", i)).Token)})
	}
	strange := newHouse(t, func(_ *StateOptions, policy *Policy) { policy.Issuer, policy.Audience = "one", "chat" })
	all = append(all, service{strange, UnverifiedToken(strange.person(t, "user0").Token)})
	for range 2 { // the second time they are remembered
		for i, s := range all {
			for k, other := range all {
				_, err := s.Authenticate(t.Context(), other.token)
				if i == k && err != nil {
					t.Errorf("service %d refuses its own token: %v", i, err)
				} else if i != k {
					wantKind(t, fmt.Sprintf("token %d at service %d", k, i), err, KindBadToken)
				}
			}
		}
	}
	// What else is around and looks like a credential.
	f := newForge(t)
	key := must[signingKey](t)(f.state.keyring.signer())
	for what, token := range map[string]string{
		"nothing": "", "session ID": string(f.grant.Session.ID), "account ID": string(f.grant.Account.ID), "key ID": key.id, "password": rightPassword, "hash": string(f.grant.Account.PasswordHash),
		"payload": strings.Split(string(f.grant.Token), ".")[1], "signing seed": b64.EncodeToString(key.private.Seed()),
	} {
		f.refused(t, what, token)
	}
}

// JWT-06: a token that is altered in any way is none, whether or not the right one is remembered, and after a logout.
func TestJWT06Altered(t *testing.T) {
	f := newForge(t)
	token := string(f.grant.Token)
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	altered := make(map[string]string)
	for i := range len(token) {
		for _, bit := range []byte{1, 2, 4, 8, 16, 32, 64, 128} {
			raw := []byte(token)
			raw[i] ^= bit
			altered[fmt.Sprintf("byte %d, bit %#x", i, bit)] = string(raw)
		}
		altered[fmt.Sprintf("cut to %d", i)] = token[:i]
		altered[fmt.Sprintf("cut from %d", i+1)] = token[i+1:]
		for _, s := range []string{"=", "\n", "\r", "\r\n", " ", "\t", ".", "\x00", "%", "A"} {
			altered[fmt.Sprintf("%q at %d", s, i)] = token[:i] + s + token[i:]
		}
	}
	parts := strings.Split(token, ".")
	for p := range parts { // the last character has bits that mean nothing
		last := len(parts[p]) - 1
		for _, c := range alphabet {
			if byte(c) != parts[p][last] {
				changed := append([]string(nil), parts...)
				changed[p] = parts[p][:last] + string(c)
				altered[fmt.Sprintf("part %d ends in %c", p, c)] = strings.Join(changed, ".")
			}
		}
		for _, pad := range []string{"=", "==", "===", "A", "AA", "AAA", "\n", " "} {
			changed := append([]string(nil), parts...)
			changed[p] += pad
			altered[fmt.Sprintf("part %d and %q", p, pad)] = strings.Join(changed, ".")
		}
	}
	other := strings.Split(string(f.person(t, "bob").Token), ".")
	again := strings.Split(string(f.login(t, "alice").Token), ".")
	maps.Copy(altered, map[string]string{
		"bob's payload": parts[0] + "." + other[1] + "." + parts[2], "bob's signature": parts[0] + "." + parts[1] + "." + other[2],
		"payload of another login": parts[0] + "." + again[1] + "." + parts[2], "4 parts": token + ".AAAA", "4 parts, the last empty": token + ".", "5 parts": token + ".AAAA.AAAA",
		"5 parts, empty": token + "..", "signature first": parts[2] + "." + parts[0] + "." + parts[1], "no header": "." + parts[1] + "." + parts[2], "no payload": parts[0] + ".." + parts[2],
		"twice": token + token, "two tokens": token + " " + token, "comma": token + "," + token, "Bearer": "Bearer " + token, "quoted": `"` + token + `"`, "upper case": strings.ToUpper(token),
		"standard base64": strings.NewReplacer("-", "+", "_", "/").Replace(token) + "==", "escaped": strings.ReplaceAll(token, ".", "%2e"), "full-width dot": strings.ReplaceAll(token, ".", "．"),
		"BOM": "\ufeff" + token,
	})
	check := func(when string) {
		t.Helper()
		n := 0
		for what, s := range altered {
			if s == token {
				continue
			}
			if _, err := f.Authenticate(context.Background(), UnverifiedToken(s)); KindOf(err) != KindBadToken {
				if n++; n < 10 {
					t.Errorf("%s: %s: %v", when, what, err)
				}
			}
		}
	}
	check("before the token was seen")
	f.valid(t)
	check("when it is remembered")
	if _, err := f.Logout(t.Context(), as(must[Identity](t)(f.auth(t, f.grant)))); err != nil {
		t.Fatal(err)
	}
	check("after the logout")
	for range 3 {
		_, err := f.auth(t, f.grant)
		wantKind(t, "the token itself after the logout", err, KindSessionOver)
		_, err = f.Authenticate(t.Context(), UnverifiedToken(mint(f.head, with(f.body, "jti", "fresh"), ed(f.key.private))))
		wantKind(t, "another token of that session", err, KindSessionOver)
	}
	f.login(t, "alice")
	_, err := f.auth(t, f.grant)
	wantKind(t, "the token itself after a new login", err, KindSessionOver)
}

// JWT-07: what no sane issuer writes.
func TestJWT07Oddities(t *testing.T) {
	f := newForge(t)
	f.valid(t)
	sign := ed(f.key.private)
	head, body := string(must[[]byte](t)(json.Marshal(f.head))), string(must[[]byte](t)(json.Marshal(f.body)))
	f.accepted(t, "as text", mint(head, body, sign))
	add := func(s, member string) string { return s[:len(s)-1] + "," + member + "}" }
	first := func(s, member string) string { return "{" + member + "," + s[1:] }
	for what, token := range map[string]string{
		"alg twice": mint(add(head, `"alg":"EdDSA"`), body, sign), "alg none first": mint(first(head, `"alg":"none"`), body, sign), "alg none last": mint(add(head, `"alg":"none"`), body, sign),
		"alg twice, escaped": mint(add(head, `"\u0061lg":"none"`), body, sign), "ALG": mint(add(head, `"ALG":"none"`), body, sign), "kid twice": mint(add(head, `"kid":"x"`), body, sign),
		"exp twice": mint(head, add(body, `"exp":9999999999`), sign), "exp twice, the same": mint(head, add(body, fmt.Sprintf(`"exp":%v`, f.body["exp"])), sign),
		"exp twice, escaped": mint(head, add(body, `"e\u0078p":9999999999`), sign), "sub twice": mint(head, first(body, `"sub":"x"`), sign), "EXP": mint(head, add(body, `"EXP":1`), sign),
		"Subject, long s": mint(head, add(body, `"ſub":"x"`), sign), "name twice": mint(head, add(body, `"name":"admin"`), sign),
		"crit": mint(add(head, `"crit":["x"]`), body, sign), "crit exp": mint(add(head, `"crit":["exp"],"exp":1`), body, sign), "crit empty": mint(add(head, `"crit":[]`), body, sign),
		"b64 false": mint(add(head, `"b64":false,"crit":["b64"]`), body, sign), "b64 false, no crit": mint(add(head, `"b64":false`), body, sign),
		"trailing data": mint(head, body+"x", sign), "trailing object": mint(head, body+"{}", sign), "trailing data in the header": mint(head+"{}", body, sign), "NUL after": mint(head, body+"\x00", sign),
		"array": mint(head, "["+body+"]", sign), "string": mint(head, `"x"`, sign), "number": mint(head, "1", sign), "null": mint(head, "null", sign), "null header": mint("null", body, sign),
		"empty": mint(head, "", sign), "empty object": mint(head, "{}", sign), "empty header": mint("", body, sign), "BOM": mint(head, "\ufeff"+body, sign), "comment": mint(head, body+"//", sign),
		"comma": mint(head, body[:len(body)-1]+",}", sign), "bad UTF-8": mint(head, strings.Replace(body, "alice", "al\xffice", 1), sign), "bad surrogate": mint(head, strings.Replace(body, "alice", `al\ud800ice`, 1), sign),
		"nested": mint(with(f.head, "cty", "JWT"), string(f.grant.Token), sign), "nested without cty": mint(head, string(f.grant.Token), sign),
		"JSON serialization": `{"payload":"` + b64.EncodeToString([]byte(body)) + `"}`, "deep": mint(head, strings.Repeat("[", 1000), sign), "deep claim": mint(head, add(body, `"x":`+strings.Repeat("[", 900)+strings.Repeat("]", 900)), sign),
		"JWE": mint(`{"alg":"PBES2-HS256+A128KW","enc":"A128GCM","p2c":2147483648,"p2s":"AAAA"}`, body, sign) + ".AAAA.AAAA", "JWE dir": mint(`{"alg":"dir","enc":"A128GCM","zip":"DEF"}`, body, sign) + ".AAAA.AAAA",
		"one dot": ".", "two dots": "..", "three dots": "...",
	} {
		f.refused(t, what, token)
	}
	for what, token := range map[string]string{
		"1 MB of dots": strings.Repeat(".", 1<<20), "1 MB of A": strings.Repeat("A", 1<<20), "16 kB token": mint(head, with(f.body, "name", strings.Repeat("x", 12<<10)), sign),
		"4,097 bytes": strings.Repeat("A", maxTokenSize+1), "4,096 dots": strings.Repeat(".", maxTokenSize), "1 MB after a valid one": string(f.grant.Token) + strings.Repeat("A", 1<<20),
	} {
		start := time.Now()
		allocated := testing.AllocsPerRun(10, func() { _, _ = f.Authenticate(context.Background(), UnverifiedToken(token)) })
		if took := time.Since(start) / 11; took > 25*time.Millisecond || allocated > 100 {
			t.Errorf("%s: %v and %v allocations", what, took, allocated)
		}
		f.refused(t, what, token)
	}
	if size := len(f.grant.Token); size > maxTokenSize/4 {
		t.Errorf("a token of ours has %d bytes, too many for the limit", size)
	}
	want(t, "remembered", f.tokens.verified.Len(), 2) // the issued one and that of one's own making; nothing that was refused
}

// A token is good for use whatever its generation is. One that is newer than what the store says is genuine all the same,
// and supersedes others.
func TestGenerations(t *testing.T) {
	f := newForge(t)
	f.store.mu.Lock()
	s := f.store.sessions[placeOf(f.grant.Session)]
	s.Generation = 5
	f.store.sessions[placeOf(s)] = s
	f.store.mu.Unlock()
	for gen := range 9 {
		token := mint(f.head, with(f.body, "gen", gen), ed(f.key.private))
		if gen >= 1 { // the current one is 5
			f.accepted(t, fmt.Sprint("generation ", gen), token)
		} else {
			f.refused(t, fmt.Sprint("generation ", gen), token)
		}
	}
	f.accepted(t, "generation 6, after 8", mint(f.head, with(f.body, "gen", 6), ed(f.key.private)))
	want(t, "look-ups", f.store.count("Session"), 1)
}

func FuzzCheckToken(f *testing.F) {
	g := newForge(f)
	valid := string(g.grant.Token)
	f.Add(valid)
	f.Add(mint(g.head, g.body, ed(g.key.private)))
	f.Add(mint(with(g.head, "alg", "none"), g.body, func(string) []byte { return nil }))
	f.Add(valid + "=")
	f.Add(strings.Repeat(".", 100))
	f.Fuzz(func(t *testing.T, token string) {
		c, err := g.tokens.check(context.Background(), UnverifiedToken(token))
		if err == nil && (c.Subject != string(g.grant.Account.ID) || c.Session != string(g.grant.Session.ID)) {
			t.Fatalf("accepted %q", token)
		}
		if err != nil && KindOf(err) != KindBadToken {
			t.Fatalf("%q: %v", token, err)
		}
	})
}

func BenchmarkAuthenticate(b *testing.B) {
	f := newForge(b)
	for b.Loop() {
		if _, err := f.auth(b, f.grant); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyToken checks a token that was not seen before.
func BenchmarkVerifyToken(b *testing.B) {
	f := newForge(b)
	for b.Loop() {
		f.tokens.verified.Purge()
		if _, err := f.tokens.check(b.Context(), UnverifiedToken(f.grant.Token)); err != nil {
			b.Fatal(err)
		}
	}
}
