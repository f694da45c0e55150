package authcore

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

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
