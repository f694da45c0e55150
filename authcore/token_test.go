package authcore

import (
	"context"
	"crypto/ed25519"
	"crypto/hmac"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"hash"
	"maps"
	"strings"
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
