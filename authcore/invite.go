package authcore

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"fmt"
	"strings"
	"time"
)

// InviteID names an invite; it is not enough to redeem it.
type InviteID string

// InviteCode is an invite in clear. It does not print.
type InviteCode string

// Format keeps the invite out of logs and errors.
func (InviteCode) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[invite]")) }

// MarshalText keeps it out of JSON.
func (InviteCode) MarshalText() ([]byte, error) { return []byte("[invite]"), nil }

// Invite is an invite as it is stored.
type Invite struct {
	ID        InviteID
	Hash      []byte    // keyed, of the code
	Uses      int       // in all
	Used      int       // so far
	EmailHash []byte    // of the one address that it is for; nil for any
	CreatedAt time.Time // UTC, whole milliseconds, like the other times
	ExpiresAt time.Time
	RevokedAt time.Time // zero while it is not
}

// usable reports whether i can be redeemed for an account with that address (or none).
func (i *Invite) usable(now time.Time, emailHash []byte) bool {
	return i.Used < i.Uses && i.RevokedAt.IsZero() && now.Before(i.ExpiresAt) &&
		(i.EmailHash == nil || string(i.EmailHash) == string(emailHash))
}

// NewInvite is a request for an invite.
type NewInvite struct {
	Uses         int           // 1 to 100,000
	Lifetime     time.Duration // up to [MaxInviteLifetime]
	ClaimedEmail string        // the one address that it is for; empty for any
	By           Actor
}

// The bounds of an invite.
const (
	MaxInviteUses     = 100_000
	MaxInviteLifetime = 10 * 365 * 24 * time.Hour
	minInviteCode     = 16 // characters of a code that an operator chose
	maxInviteCode     = 128
)

var errBadInvite = &Error{Kind: KindBadInvite, Msg: "the invite is not valid, or not any more"}

// CreateInvite makes an invite with a code of 100 random bits. The code is not stored, so it cannot be shown again. Kinds:
// InvalidInput, InvalidEmail, Unavailable.
func (s *Service) CreateInvite(ctx context.Context, n NewInvite) (InviteCode, Invite, error) {
	raw := make([]byte, 16)
	rand.Read(raw)
	text := base32.StdEncoding.EncodeToString(raw)[:20]
	code := InviteCode(strings.Join([]string{text[:5], text[5:10], text[10:15], text[15:]}, "-"))
	i, _, err := s.addInvite(ctx, code, n)
	return code, i, err
}

// EnsureInvite makes an invite with a code that an operator chose, unless there is or was one with that code, and reports
// whether it did. Kinds: InvalidInput, InvalidEmail, Unavailable.
func (s *Service) EnsureInvite(ctx context.Context, code InviteCode, n NewInvite) (bool, error) {
	if err := code.Check(); err != nil {
		return false, err
	}
	_, added, err := s.addInvite(ctx, code, n)
	return added, err
}

// Check returns an error if a chosen code is malformed or too short. It should have at least 64 random bits, of which only
// the length can be checked.
func (c InviteCode) Check() error {
	text := c.plain()
	if len(text) < minInviteCode || len(c) > maxInviteCode {
		return Errorf(KindInvalidInput, "an invite code has %d to %d characters, hyphens not counted", minInviteCode, maxInviteCode)
	}
	seen := make(map[rune]bool)
	for _, r := range strings.TrimSpace(string(c)) {
		if r <= ' ' || r > '~' {
			return Errorf(KindInvalidInput, "an invite code is made of printable ASCII characters without spaces")
		}
	}
	for _, r := range text {
		seen[r] = true
	}
	if len(seen) < 6 {
		return Errorf(KindInvalidInput, "an invite code is to be random; openssl rand -hex 16 makes one")
	}
	return nil
}

func (s *Service) addInvite(ctx context.Context, code InviteCode, n NewInvite) (Invite, bool, error) {
	if n.Uses < 1 || n.Uses > MaxInviteUses {
		return Invite{}, false, Errorf(KindInvalidInput, "an invite has 1 to %d uses", MaxInviteUses)
	}
	if n.Lifetime <= 0 || n.Lifetime > MaxInviteLifetime {
		return Invite{}, false, Errorf(KindInvalidInput, "an invite lives up to 10 years")
	}
	now := s.wholeNow()
	i := Invite{
		ID: InviteID(randomID(9)), Hash: s.state.inviteHash(code), Uses: n.Uses, CreatedAt: now,
		ExpiresAt: now.Add(n.Lifetime.Truncate(time.Millisecond)),
	}
	if n.ClaimedEmail != "" {
		email, err := ParseEmail(n.ClaimedEmail)
		if err != nil {
			return Invite{}, false, err
		}
		i.EmailHash = EmailHash(s.state.emailKey, email)
	}
	added, err := query(ctx, "adding an invite", func(ctx context.Context) (bool, error) { return s.state.options.Invites.AddInvite(ctx, i) })
	if err == nil && added {
		created := n.By.event(EventInviteCreated, "")
		created.Invite = i
		s.publish(created)
	}
	return i, added, err
}

// plain undoes the changes that people make when they copy a code by hand.
func (c InviteCode) plain() string {
	return strings.ToUpper(ungroup(string(c)))
}

func (st *State) inviteHash(code InviteCode) []byte {
	return hashFields(st.codeKey, "invite", code.plain())
}

// checkInvite checks whether a code can be redeemed for an account with that address, before the password is hashed. The
// database has the last word.
func (s *Service) checkInvite(ctx context.Context, hash, emailHash []byte, now time.Time) error {
	i, err := query(ctx, "looking up an invite", func(ctx context.Context) (Invite, error) { return s.state.options.Invites.InviteByHash(ctx, hash) })
	if err == nil && !i.usable(now, emailHash) {
		err = errBadInvite
	}
	return err
}
