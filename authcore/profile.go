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

// The bounds of what people say of themselves.
const (
	MaxDisplayName = 64   // code points
	MaxAvatarURL   = 2048 // bytes
)

// ProfileChange says what is to change. What is nil stays as it is, and an empty text takes back what there was.
type ProfileChange struct {
	DisplayName *string
	AvatarURL   *string
}

// Profile returns the account of id as it is now. Kinds: SessionOver if there is none any more, Unavailable.
func (s *Service) Profile(ctx context.Context, id Identity) (Account, error) {
	a, err := s.accountByID(ctx, id.Account)
	if KindOf(err) == KindUnknownAccount {
		return Account{}, errSessionOver
	}
	return a, err
}

// PublicProfile returns an account that anybody may ask for, without what is only its owner's to see. A closed one does
// not exist. An id counts in any case (RFC 9562, section 4), since some platforms write UUIDs in capitals. Kinds: NotFound,
// Unavailable.
func (s *Service) PublicProfile(ctx context.Context, id AccountID) (Account, error) {
	none := Errorf(KindNotFound, "there is no such user")
	id = AccountID(strings.ToLower(string(id)))
	if u, err := uuid.Parse(string(id)); err != nil || u.String() != string(id) {
		return Account{}, none // nothing that a database should see
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
	s.state.live.stale(id.Account)
	changed := by.event(EventProfileChanged, a.ID)
	changed.Session, changed.Username = id.Session, a.Username
	s.publish(changed)
	if s.state.options.Feed != nil {
		// The change is made; what other nodes know of it lapses within minutes if they do not hear.
		if _, err := s.state.options.Feed.Publish(context.WithoutCancel(ctx), NodeEvent{Account: id.Account, Changed: true}); err != nil {
			s.state.options.Log.Warn("telling the other nodes of a changed profile failed", "account", id.Account, "error", err)
		}
	}
	return a, nil
}

// ParseDisplayName returns the form in which a display name is kept, or KindInvalidInput: NFC, up to 64 code points,
// without what does not show or changes the direction of what follows, and single spaces between words. Empty means that
// there is none.
func ParseDisplayName(claimed string) (string, error) {
	if len(claimed) > 16*MaxDisplayName || !utf8.ValidString(claimed) {
		return "", Errorf(KindInvalidInput, "a display name has up to %d characters of valid UTF-8", MaxDisplayName)
	}
	name := strings.Join(strings.Fields(norm.NFC.String(claimed)), " ")
	if utf8.RuneCountInString(name) > MaxDisplayName {
		return "", Errorf(KindInvalidInput, "a display name has up to %d characters", MaxDisplayName)
	}
	const joiner = '\u200d' // joins emoji, and shows nothing itself
	before, marks := ' ', 0
	for _, r := range name + " " {
		switch {
		case unicode.IsMark(r):
			if marks++; marks > 4 || before == ' ' || before == joiner {
				return "", Errorf(KindInvalidInput, "the display name has stray combining marks")
			}
			continue // before is still what the mark belongs to
		case (r == joiner || r == ' ') && before == joiner, r == joiner && before == ' ', r != joiner && !shows(r):
			return "", Errorf(KindInvalidInput, "the display name has characters that do not show")
		}
		before, marks = r, 0
	}
	return name, nil
}

// shows reports whether there is something to see of r, or it is a space.
func shows(r rune) bool {
	const blankPattern = '\u2800' // of Braille: a symbol, but an empty one
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
