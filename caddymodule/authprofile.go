package caddymodule

import (
	"context"
	"net/http"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/chatgate/chatgate/authcore"
)

func authMe(ctx context.Context, c *call) (reply, error) {
	a, err := c.service.Profile(ctx, c.caller)
	return reply{status: http.StatusOK, body: authUserOf(a)}, err
}

func authUserByID(ctx context.Context, c *call) (reply, error) {
	a, err := c.service.PublicProfile(ctx, authcore.AccountID(c.id))
	return reply{status: http.StatusOK, body: authUserOf(a)}, err
}

// member is a member of a JSON object that may be absent, null or a string, each of which means something else.
type member struct {
	given bool
	null  bool
	text  string
}

// UnmarshalJSON implements json.Unmarshaler; it is called for null as well, and not for what is absent.
func (m *member) UnmarshalJSON(b []byte) error {
	m.given, m.null = true, string(b) == "null"
	return json.Unmarshal(b, &m.text)
}

// authProfile is what PATCH /me changes: what is absent stays.
type authProfile struct {
	DisplayName member `json:"displayName"`
	AvatarURL   member `json:"avatarUrl"`
}

func (p *authProfile) change() (authcore.ProfileChange, error) {
	var ch authcore.ProfileChange
	if p.DisplayName.null {
		return ch, authcore.Errorf(authcore.KindInvalidInput, "displayName is a string; an empty one takes it back")
	}
	if p.AvatarURL.given && !p.AvatarURL.null && p.AvatarURL.text == "" {
		return ch, authcore.Errorf(authcore.KindInvalidInput, "avatarUrl is an https URL, or null")
	}
	if p.DisplayName.given {
		ch.DisplayName = &p.DisplayName.text
	}
	if p.AvatarURL.given {
		ch.AvatarURL = &p.AvatarURL.text
	}
	return ch, nil
}

func authUpdateMe(ctx context.Context, c *call) (reply, error) {
	var in authProfile
	if err := c.decode(&in); err != nil {
		return reply{}, err
	}
	change, err := in.change()
	if err != nil {
		return reply{}, err
	}
	if change == (authcore.ProfileChange{}) { // nothing to tell other nodes of
		return authMe(ctx, c)
	}
	a, err := c.service.UpdateProfile(ctx, c.caller, change)
	return reply{status: http.StatusOK, body: authUserOf(a)}, err
}

// authSession is a session as its owner sees it.
type authSession struct {
	ID          authcore.SessionID `json:"id"`
	Device      string             `json:"device"`
	Address     *string            `json:"address"`
	CreatedAt   string             `json:"createdAt"`
	LastSeenAt  string             `json:"lastSeenAt"`
	ExpiresAt   string             `json:"expiresAt"`
	Current     bool               `json:"current"`
	Connections int                `json:"connections"`
}

func authSessionOf(s authcore.SessionInfo) authSession {
	out := authSession{
		ID: s.ID, Device: s.Device, Current: s.Current, Connections: s.Connections,
		CreatedAt: wireTime(s.CreatedAt), LastSeenAt: wireTime(s.LastSeenAt), ExpiresAt: wireTime(s.ExpiresAt),
	}
	if s.Addr.IsValid() {
		addr := s.Addr.String()
		out.Address = &addr
	}
	return out
}

// wireTime is RFC 3339 in UTC, in whole seconds.
func wireTime(t time.Time) string { return t.UTC().Format(time.RFC3339) }

func authListSessions(ctx context.Context, c *call) (reply, error) {
	all, err := c.service.ListSessions(ctx, c.caller)
	out := make([]authSession, 0, len(all))
	for _, s := range all {
		out = append(out, authSessionOf(s))
	}
	return reply{status: http.StatusOK, body: out}, err
}

func authEndSession(ctx context.Context, c *call) (reply, error) {
	_, err := c.service.EndOwnSession(ctx, c.caller, authcore.SessionID(c.id))
	return noContent, err
}
