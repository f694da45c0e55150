package auth

import (
	"context"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/accounts/dialect"
)

func me(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	a, err := c.Service.Profile(ctx, c.Identity)
	return dialect.Reply{Status: http.StatusOK, Body: userOf(a)}, err
}

func userByID(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	a, err := c.Service.PublicProfile(ctx, authcore.AccountID(c.ID))
	return dialect.Reply{Status: http.StatusOK, Body: userOf(a)}, err
}

// member is a member of a JSON object that may be absent, null or a string, with a meaning each.
type member struct {
	given bool
	null  bool
	text  string
}

// UnmarshalJSON implements json.Unmarshaler. It is called for null, but not for an absent member.
func (m *member) UnmarshalJSON(b []byte) error {
	m.given, m.null = true, string(b) == "null"
	return json.Unmarshal(b, &m.text)
}

// profile is the body of PATCH /me. An absent member leaves the profile as it is.
type profile struct {
	DisplayName member `json:"displayName"`
	AvatarURL   member `json:"avatarUrl"`
}

func (p *profile) change() (authcore.ProfileChange, error) {
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

func updateMe(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	var in profile
	if err := c.Decode(&in); err != nil {
		return dialect.Reply{}, err
	}
	change, err := in.change()
	if err != nil {
		return dialect.Reply{}, err
	}
	if change == (authcore.ProfileChange{}) { // no need to notify other nodes
		return me(ctx, c)
	}
	a, err := c.Service.UpdateProfile(ctx, c.Actor, change)
	return dialect.Reply{Status: http.StatusOK, Body: userOf(a)}, err
}

// session is how the list of sessions shows one to its owner.
type session struct {
	ID          authcore.SessionID `json:"id"`
	Device      string             `json:"device"`
	Address     *string            `json:"address"`
	CreatedAt   string             `json:"createdAt"`
	LastSeenAt  string             `json:"lastSeenAt"`
	ExpiresAt   string             `json:"expiresAt"`
	Current     bool               `json:"current"`
	Connections int                `json:"connections"`
}

func sessionOf(s authcore.SessionInfo) session {
	out := session{
		ID: s.ID, Device: s.Device, Current: s.Current, Connections: s.Connections,
		CreatedAt: dialect.WireTime(s.CreatedAt), LastSeenAt: dialect.WireTime(s.LastSeenAt), ExpiresAt: dialect.WireTime(s.ExpiresAt),
	}
	if s.Addr.IsValid() {
		addr := s.Addr.String()
		out.Address = &addr
	}
	return out
}

func listSessions(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	all, err := c.Service.ListSessions(ctx, c.Identity)
	out := make([]session, 0, len(all))
	for _, s := range all {
		out = append(out, sessionOf(s))
	}
	return dialect.Reply{Status: http.StatusOK, Body: out}, err
}

func endSession(ctx context.Context, c *dialect.Call) (dialect.Reply, error) {
	id := authcore.SessionID(c.ID)
	_, err := c.Service.EndOwnSession(ctx, c.Actor, id)
	return dialect.Reply{Status: http.StatusNoContent, LoggedOut: id == c.Identity.Session}, err
}
