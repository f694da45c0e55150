package authcore

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"
	lru "github.com/hashicorp/golang-lru/v2"
)

// UnverifiedToken is a client's text that may be a token of ours. It does not print.
type UnverifiedToken string

// Format keeps the token out of logs and errors.
func (UnverifiedToken) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[token]")) }

// MarshalText keeps it out of JSON.
func (UnverifiedToken) MarshalText() ([]byte, error) { return []byte("[token]"), nil }

// SignedToken is a newly issued token, for its owner alone.
type SignedToken string

// Format keeps the token out of logs and errors.
func (SignedToken) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[token]")) }

const (
	tokenType    = "at+jwt" // RFC 9068, section 2.1
	maxTokenSize = 4096     // bytes
	tokenLeeway  = 10 * time.Second

	maxGeneration = 1 << 53 // that every store counts exactly
)

// claims is the whole payload; other members are refused. Times are whole seconds (RFC 7519, section 2).
type claims struct {
	Issuer     string `json:"iss"`
	Subject    string `json:"sub"`
	Audience   string `json:"aud"`
	Expires    int64  `json:"exp"`
	IssuedAt   int64  `json:"iat"`
	ID         string `json:"jti"`
	Session    string `json:"sid"`
	Generation int64  `json:"gen"`
	Name       string `json:"name"`

	keyID string // that it was verified with
}

// UnmarshalJSON refuses unknown and repeated members.
func (c *claims) UnmarshalJSON(raw []byte) error {
	type plain claims
	return json.Unmarshal(raw, (*plain)(c), json.RejectUnknownMembers(true))
}

// The methods make claims a jwt.Claims.
func (c *claims) GetExpirationTime() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(time.Unix(c.Expires, 0)), nil
}

func (c *claims) GetIssuedAt() (*jwt.NumericDate, error) {
	return jwt.NewNumericDate(time.Unix(c.IssuedAt, 0)), nil
}
func (c *claims) GetNotBefore() (*jwt.NumericDate, error) { return nil, nil }
func (c *claims) GetIssuer() (string, error)              { return c.Issuer, nil }
func (c *claims) GetSubject() (string, error)             { return c.Subject, nil }
func (c *claims) GetAudience() (jwt.ClaimStrings, error)  { return jwt.ClaimStrings{c.Audience}, nil }

// tokens issues and checks tokens (RFC 7519 under the rules of RFC 8725).
type tokens struct {
	keys     *keyring
	issuer   string
	audience string
	lifetime time.Duration // the maximum of exp minus iat
	now      func() time.Time
	parser   *jwt.Parser
	expired  *jwt.Parser // for tokens that may have expired
	verified *lru.Cache[[sha256.Size]byte, *claims]
}

// verifiedTokens bounds the cache of verified tokens: about 5 MB.
const verifiedTokens = 16384

func newTokens(keys *keyring, issuer, audience string, lifetime time.Duration, now func() time.Time) (*tokens, error) {
	cache, err := lru.New[[sha256.Size]byte, *claims](verifiedTokens)
	strict := []jwt.ParserOption{
		jwt.WithValidMethods([]string{jwt.SigningMethodEdDSA.Alg()}), jwt.WithStrictDecoding(), jwt.WithIssuer(issuer), jwt.WithAudience(audience),
		jwt.WithExpirationRequired(), jwt.WithLeeway(tokenLeeway),
	}
	return &tokens{
		keys: keys, issuer: issuer, audience: audience, lifetime: lifetime, now: now, verified: cache,
		parser:  jwt.NewParser(append(strict, jwt.WithIssuedAt(), jwt.WithTimeFunc(now))...),
		expired: jwt.NewParser(append(strict, jwt.WithTimeFunc(func() time.Time { return time.Time{} }))...), // a time at which nothing has expired
	}, err
}

func (t *tokens) issue(a *Account, s *Session, lifetime time.Duration) (SignedToken, time.Time, error) {
	key, err := t.keys.signer()
	if err != nil {
		return "", time.Time{}, err
	}
	now := t.now().UTC()
	expires := s.ExpiresAt
	if lifetime > 0 && now.Add(lifetime).Before(expires) {
		expires = now.Add(lifetime)
	}
	expires = expires.Truncate(time.Second)
	tok := jwt.NewWithClaims(jwt.SigningMethodEdDSA, &claims{
		Issuer: t.issuer, Audience: t.audience, Subject: string(a.ID), Session: string(s.ID), Generation: s.Generation,
		ID: randomID(12), Name: string(a.Username), IssuedAt: now.Unix(), Expires: expires.Unix(),
	})
	tok.Header["typ"], tok.Header["kid"] = tokenType, key.id
	text, err := tok.SignedString(key.private)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("signing a token: %w", err)
	}
	return SignedToken(text), expires, nil
}

func badToken(why error) *Error {
	return &Error{Kind: KindBadToken, Msg: "the token is not valid", Err: why}
}

// staleToken is an error of a token with a valid signature.
type staleToken struct{ why error }

func (e staleToken) Error() string { return e.why.Error() }

func stale(why string) *Error { return badToken(staleToken{errors.New(why)}) }

// WasOurs reports whether an error of [Service.Authenticate] is about a token that was once valid, rather than a text that
// never was a token of this service.
func WasOurs(err error) bool {
	_, ok := errors.AsType[staleToken](err)
	return ok || KindOf(err) == KindSessionOver
}

// check verifies the signature and every claim that needs no store, or returns KindBadToken. It caches the SHA-256 of
// verified tokens, so that a client that reconnects costs no signature check; the times are checked each time.
func (t *tokens) check(ctx context.Context, token UnverifiedToken) (*claims, error) {
	return t.checkAll(ctx, token, false)
}

// checkExpired is check, but accepts a token that has expired.
func (t *tokens) checkExpired(ctx context.Context, token UnverifiedToken) (*claims, error) {
	return t.checkAll(ctx, token, true)
}

func (t *tokens) checkAll(ctx context.Context, token UnverifiedToken, expired bool) (*claims, error) {
	if len(token) > maxTokenSize {
		return nil, badToken(errors.New("too long"))
	}
	sum := sha256.Sum256([]byte(token))
	c, seen := t.verified.Get(sum)
	if seen && !t.keys.knows(c.keyID) {
		t.verified.Remove(sum)
		seen = false
	}
	if !seen {
		var err error
		parser := t.parser
		if expired {
			parser = t.expired
		}
		if c, err = t.verify(ctx, parser, string(token)); err != nil {
			return nil, err
		}
	}
	if err := t.checkTimes(c, expired); err != nil {
		if seen {
			t.verified.Remove(sum)
		}
		return nil, badToken(staleToken{err})
	}
	if !seen {
		t.verified.Add(sum, c)
	}
	return c, nil
}

// verify checks the signature and all claims but the times. It sets every strict option of the library, and checks itself
// what the library does not check strictly enough.
func (t *tokens) verify(ctx context.Context, parser *jwt.Parser, token string) (*claims, error) {
	for i := range len(token) { // the library's base64 skips line breaks
		if c := token[i]; !isAlnum(c) && c != '-' && c != '_' && c != '.' {
			return nil, badToken(errors.New("characters outside base64url"))
		}
	}
	c := new(claims)
	_, err := parser.ParseWithClaims(token, c, func(parsed *jwt.Token) (any, error) {
		c.keyID, _ = parsed.Header["kid"].(string)
		if head, _, _ := strings.Cut(token, "."); head != tokenHeader(c.keyID) {
			return nil, errors.New("not the header of a token of ours")
		}
		return t.keys.public(ctx, c.keyID)
	})
	switch e, ours := errors.AsType[*Error](err); {
	case ours: // the keys could not be read
		return nil, e
	case errors.Is(err, jwt.ErrTokenInvalidClaims): // looked at only if the signature is ours
		return nil, badToken(staleToken{err})
	case err != nil:
		return nil, badToken(err)
	case c.Issuer != t.issuer || c.Audience != t.audience:
		return nil, stale("another issuer or audience")
	case c.Subject == "" || c.Session == "" || c.ID == "" || c.Name == "" || c.Generation < 1 || c.Generation > maxGeneration:
		return nil, stale("a required claim is missing or out of range")
	}
	return c, nil
}

// tokenHeader returns the only valid header of a token signed by a key. Refusing all others also refuses repeated members,
// crit, b64, jwk, jku, x5u and x5c, which the library would ignore.
func tokenHeader(keyID string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"EdDSA","kid":"` + keyID + `","typ":"` + tokenType + `"}`))
}

// checkTimes checks the times: a token has no leeway after its expiry, and lives no longer than those that are issued.
func (t *tokens) checkTimes(c *claims, expired bool) error {
	now := t.now().Unix()
	leeway := int64(tokenLeeway / time.Second)
	switch {
	case c.Expires <= 0 || c.IssuedAt <= 0 || c.Expires <= c.IssuedAt:
		return errors.New("unusable times")
	case now >= c.Expires && !expired:
		return errors.New("expired")
	case c.IssuedAt > now+leeway:
		return errors.New("issued in the future")
	case c.Expires-c.IssuedAt > int64(t.lifetime/time.Second)+leeway:
		return errors.New("lives longer than any token of ours")
	}
	return nil
}
