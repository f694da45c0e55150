package authcore

import (
	"context"
	"strings"

	"github.com/mileusna/useragent"
)

// SessionInfo is a session as its owner sees it.
type SessionInfo struct {
	Session
	Device      string // such as "Firefox on Linux", or the client's own name if that is not understood
	Current     bool   // the session that asks
	Connections int    // live ones, on all nodes
}

// ListSessions returns the live sessions of id's account, newest first. Kinds: Unavailable.
func (s *Service) ListSessions(ctx context.Context, id Identity) ([]SessionInfo, error) {
	all, err := query(ctx, "listing sessions", func(ctx context.Context) ([]Session, error) {
		return s.state.options.Sessions.Sessions(ctx, id.Account)
	})
	if err != nil {
		return nil, err
	}
	live, err := s.connections(ctx, id.Account)
	if err != nil {
		return nil, err
	}
	now := s.state.options.Now()
	infos := make([]SessionInfo, 0, len(all))
	for _, sess := range all {
		if sess.over(now, sess.LastSeenAt) && live[sess.ID] == 0 {
			continue
		}
		err := exec(ctx, "looking up a session", func(ctx context.Context) error {
			_, err := s.state.owner(ctx, sess)
			return err
		})
		if KindOf(err) == KindSessionOver { // a store that went back to an older state lists what was revoked
			continue
		}
		if err != nil {
			return nil, err
		}
		infos = append(infos, SessionInfo{sess, DeviceLabel(sess.UserAgent), sess.ID == id.Session, live[sess.ID]})
	}
	return infos, nil
}

// EndOwnSession ends a session of the actor's account, maybe the actor's own. Kinds: NotFound, Unavailable.
func (s *Service) EndOwnSession(ctx context.Context, by Actor, session SessionID) (Receipt, error) {
	if !isRandomID(string(session)) {
		return Receipt{}, errNoSuchSession
	}
	_, err := query(ctx, "looking up a session", func(ctx context.Context) (Session, error) {
		return s.state.options.Sessions.Session(ctx, by.Identity.Account, session)
	})
	if KindOf(err) == KindSessionOver {
		return Receipt{}, errNoSuchSession
	}
	if err != nil {
		return Receipt{}, err
	}
	return s.EndSession(ctx, by, by.Identity.Account, session)
}

// Disconnect shows the actor's session as offline, on every node, until it gets a new connection. The session and its
// connections live on. Kinds: Unavailable.
func (s *Service) Disconnect(ctx context.Context, by Actor) error {
	e := NodeEvent{Account: by.Identity.Account, Away: by.Identity.Session}
	s.state.apply(e)
	away := by.event(EventDisconnected, by.Identity.Account)
	away.Session = by.Identity.Session
	if s.state.options.Feed != nil {
		if _, err := s.state.options.Feed.Publish(ctx, e); err != nil {
			away.Err = unavailable("telling the other nodes", err)
		}
	}
	s.publish(away)
	return away.Err
}

// connections returns the number of live connections of an account by session. For other nodes, whether it is zero lags
// by a second, and the number by half a minute.
func (s *Service) connections(ctx context.Context, account AccountID) (map[SessionID]int, error) {
	here := s.state.live.presenceOf(account)
	if s.state.options.Presence == nil {
		return here, nil
	}
	all, err := query(ctx, "asking who is online", func(ctx context.Context) (map[SessionID]int, error) {
		return s.state.options.Presence.Presence(ctx, account)
	})
	if err != nil {
		return nil, err
	}
	for id, n := range here {
		all[id] = max(all[id], n)
	}
	return all, nil
}

// DeviceLabel makes a name for a device, which its owner recognises, from a client's user agent.
func DeviceLabel(userAgent string) string {
	ua := useragent.Parse(userAgent)
	switch {
	case userAgent == "":
		return "unknown device"
	case ua.IsUnknown() || ua.Name == "" || ua.OS == "":
		name, _, _ := strings.Cut(userAgent, " ")
		return cutUTF8(name, 60)
	case ua.Device != "":
		return ua.Name + " on " + ua.OS + " (" + ua.Device + ")"
	default:
		return ua.Name + " on " + ua.OS
	}
}
