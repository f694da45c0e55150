package authcore

import (
	"context"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/google/uuid"
	"golang.org/x/text/unicode/norm"
)

// The bounds of a profile.
const (
	MaxDisplayName = 64   // code points
	MaxAvatarURL   = 2048 // bytes
)

// ProfileChange is a change to a profile. A nil field stays unchanged, and an empty text removes it.
type ProfileChange struct {
	DisplayName *string
	AvatarURL   *string
}

// Profile returns the account of id. Kinds: SessionOver if it is gone, Unavailable.
func (s *Service) Profile(ctx context.Context, id Identity) (Account, error) {
	a, err := s.accountByID(ctx, id.Account)
	if KindOf(err) == KindUnknownAccount {
		return Account{}, errSessionOver
	}
	return a, err
}

// PublicProfile returns any account without its private fields. A disabled account counts as unknown. The id may be in
// capitals (RFC 9562, section 4), as some platforms write UUIDs. Kinds: NotFound, Unavailable.
func (s *Service) PublicProfile(ctx context.Context, id AccountID) (Account, error) {
	none := Errorf(KindNotFound, "there is no such user")
	id = AccountID(strings.ToLower(string(id)))
	if u, err := uuid.Parse(string(id)); err != nil || u.String() != string(id) {
		return Account{}, none // not for a database
	}
	a, err := s.accountByID(ctx, id)
	if KindOf(err) == KindUnknownAccount || err == nil && a.Disabled {
		return Account{}, none
	}
	if err != nil {
		return Account{}, err
	}
	return Account{
		ID: a.ID, Number: a.Number, Username: a.Username, DisplayName: a.DisplayName, AvatarURL: a.AvatarURL, Bot: a.Bot,
		CreatedAt: a.CreatedAt,
	}, nil
}

// UpdateProfile changes the public profile of the actor's account, on every node. Kinds: InvalidInput, SessionOver,
// Unavailable.
func (s *Service) UpdateProfile(ctx context.Context, by Actor, p ProfileChange) (Account, error) {
	id := by.Identity
	if p.DisplayName != nil {
		name, err := ParseDisplayName(*p.DisplayName)
		if err != nil {
			return Account{}, err
		}
		p.DisplayName = &name
	}
	if p.AvatarURL != nil && *p.AvatarURL != "" {
		if err := checkAvatarURL(*p.AvatarURL); err != nil {
			return Account{}, err
		}
	}
	if p.DisplayName == nil && p.AvatarURL == nil {
		return s.Profile(ctx, id)
	}
	a, err := query(ctx, "changing a profile", func(ctx context.Context) (Account, error) {
		return s.state.options.Accounts.SetProfile(ctx, id.Account, p.DisplayName, p.AvatarURL)
	})
	if KindOf(err) == KindUnknownAccount {
		return Account{}, errSessionOver
	}
	if err != nil {
		return Account{}, err
	}
	changed := by.event(EventProfileChanged, a.ID)
	changed.Session, changed.Username = id.Session, a.Username
	s.publish(changed)
	s.tellChanged(ctx, id.Account)
	return a, nil
}

// tellChanged has every node look an account up anew.
func (s *Service) tellChanged(ctx context.Context, account AccountID) {
	s.state.live.stale(account)
	if s.state.options.Feed == nil {
		return
	}
	// The change is made; what other nodes know of it lapses within minutes if they do not hear.
	if _, err := s.state.options.Feed.Publish(context.WithoutCancel(ctx), NodeEvent{Account: account, Changed: true}); err != nil {
		s.state.options.Log.Warn("telling the other nodes of a changed account failed", "account", account, "error", err)
	}
}

// ParseDisplayName returns the form in which a display name is kept, or KindInvalidInput: NFC, up to 64 code points,
// without control characters, without what does not show or changes the direction of what follows, and single spaces
// between words; not of words that are reserved. White space around it is not part of it. Empty means that there is none.
func ParseDisplayName(claimed string) (string, error) {
	if len(claimed) > 16*MaxDisplayName || !utf8.ValidString(claimed) {
		return "", Errorf(KindInvalidInput, "a display name has up to %d characters of valid UTF-8", MaxDisplayName)
	}
	if strings.ContainsFunc(strings.TrimSpace(claimed), func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }) {
		return "", Errorf(KindInvalidInput, "the display name has control characters")
	}
	name := strings.Join(strings.Fields(norm.NFC.String(claimed)), " ")
	if utf8.RuneCountInString(name) > MaxDisplayName {
		return "", Errorf(KindInvalidInput, "a display name has up to %d characters", MaxDisplayName)
	}
	const joiner = '\u200d' // joins emoji, and is invisible
	before, marks := ' ', 0
	for _, r := range name + " " {
		switch {
		case unicode.IsMark(r):
			if marks++; marks > 4 || before == ' ' || before == joiner {
				return "", Errorf(KindInvalidInput, "the display name has stray combining marks")
			}
			continue // the mark still belongs to before
		case (r == joiner || r == ' ') && before == joiner, r == joiner && before == ' ', r != joiner && !shows(r):
			return "", Errorf(KindInvalidInput, "the display name has characters that do not show")
		}
		before, marks = r, 0
	}
	if DisplayReserved(name) {
		return "", Errorf(KindInvalidInput, "this display name is reserved")
	}
	return name, nil
}

// shows reports whether r is visible, or a space.
func shows(r rune) bool {
	const blankPattern = '\u2800' // an empty Braille symbol
	return unicode.IsGraphic(r) && !unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r) && r != blankPattern
}

// checkAvatarURL accepts an absolute https URL of printable ASCII, without credentials.
func checkAvatarURL(text string) error {
	bad := Errorf(KindInvalidInput, "an avatar is an https URL of up to %d bytes", MaxAvatarURL)
	if len(text) > MaxAvatarURL {
		return bad
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c > '~' || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return bad
		}
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.Opaque != "" {
		return bad
	}
	return nil
}
