package authcore

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"
)

// What the memory store knows of sessions and revocations.

// sessionPlace is where a session is: an ID is unique among those of its account.
type sessionPlace struct {
	account AccountID
	id      SessionID
}

func placeOf(s Session) sessionPlace { return sessionPlace{s.Account, s.ID} }

// sessionLocked returns an account's session that is stored, however old.
func (m *memory) sessionLocked(account AccountID, id SessionID) (Session, error) {
	if s, ok := m.sessions[sessionPlace{account, id}]; ok {
		return s, nil
	}
	return Session{}, Errorf(KindSessionOver, "the session is over")
}

func (m *memory) putLocked(s Session) { m.sessions[placeOf(s)] = s }

func (m *memory) CreateSession(ctx context.Context, s Session) error {
	return m.do(ctx, "CreateSession", func() error {
		if _, err := m.sessionLocked(s.Account, s.ID); err == nil {
			return errors.New("there is a session with this ID")
		}
		s.CreatedAt, s.LastSeenAt, s.ExpiresAt = kept(s.CreatedAt), kept(s.LastSeenAt), kept(s.ExpiresAt)
		m.putLocked(s)
		return nil
	})
}

func (m *memory) Session(ctx context.Context, account AccountID, id SessionID) (Session, error) {
	return result(ctx, m, "Session", func() (Session, error) { return m.sessionLocked(account, id) })
}

func (m *memory) Sessions(ctx context.Context, account AccountID) ([]Session, error) {
	return result(ctx, m, "Sessions", func() (out []Session, _ error) {
		for _, s := range m.sessions {
			if s.Account == account {
				out = append(out, s)
			}
		}
		slices.SortFunc(out, func(a, b Session) int { return cmp.Or(b.CreatedAt.Compare(a.CreatedAt), cmp.Compare(b.ID, a.ID)) })
		return out, nil
	})
}

func (m *memory) TouchSessions(ctx context.Context, touches []Touch) error {
	return m.do(ctx, "TouchSessions", func() error {
		for _, t := range touches {
			if s, err := m.sessionLocked(t.Account, t.Session); err == nil && s.LastSeenAt.Before(kept(t.At)) {
				s.LastSeenAt = kept(t.At)
				m.putLocked(s)
			}
		}
		return nil
	})
}

func (m *memory) RotateSession(ctx context.Context, account AccountID, id SessionID, generation int64, r Rotation) (Session, error) {
	return result(ctx, m, "RotateSession", func() (Session, error) {
		s, err := m.sessionLocked(account, id)
		if err != nil || s.Generation > generation+1 {
			return s, err
		}
		switch {
		case s.Generation < generation:
			s.Rotations = Rotations("").Add(r.At)
		case s.Generation == generation:
			s.Rotations = s.Rotations.Add(r.At)
		}
		s.Generation, s.RefreshedBy = generation+1, r.By
		m.putLocked(s)
		return s, nil
	})
}

func (m *memory) EndSession(ctx context.Context, account AccountID, id SessionID) (bool, error) {
	return result(ctx, m, "EndSession", func() (bool, error) {
		_, err := m.sessionLocked(account, id)
		if err == nil {
			delete(m.sessions, sessionPlace{account, id})
		}
		return err == nil, nil
	})
}

func (m *memory) EndSessions(ctx context.Context, account AccountID, epoch int64, except SessionID) ([]SessionID, error) {
	return result(ctx, m, "EndSessions", func() (ended []SessionID, _ error) {
		for place, s := range m.sessions {
			if s.Account == account && s.Epoch < epoch && s.ID != except {
				delete(m.sessions, place)
				ended = append(ended, s.ID)
			}
		}
		return ended, nil
	})
}

func (m *memory) DeleteExpired(ctx context.Context, now time.Time) (int, error) {
	return result(ctx, m, "DeleteExpired", func() (n int, _ error) {
		for place, s := range m.sessions {
			if s.ExpiresAt.Before(now) || s.IdleLimit > 0 && s.LastSeenAt.Add(s.IdleLimit).Before(now) {
				delete(m.sessions, place)
				n++
			}
		}
		return n, nil
	})
}

func (m *memory) RevokeSession(ctx context.Context, account AccountID, id SessionID, forget time.Time) error {
	return m.do(ctx, "RevokeSession", func() error {
		place := sessionPlace{account, id}
		if at, ok := m.revoked[place]; !ok || at.Before(forget) {
			m.revoked[place] = kept(forget)
		}
		return nil
	})
}

func (m *memory) revokedLocked(account AccountID, id SessionID) bool {
	_, is := m.revoked[sessionPlace{account, id}]
	return is
}

func (m *memory) RevokeSessions(ctx context.Context, account AccountID, kept Session) (epoch int64, lives SessionID, err error) {
	err = m.do(ctx, "RevokeSessions", func() error {
		a, err := m.accountLocked(account)
		if err != nil {
			return err
		}
		if (kept.Epoch == a.Epoch || kept.ID == a.Kept) && !m.revokedLocked(account, kept.ID) {
			lives = kept.ID
		}
		a.Epoch, a.Kept = a.Epoch+1, lives
		epoch = a.Epoch
		return nil
	})
	return epoch, lives, err
}

func (m *memory) SessionAccount(ctx context.Context, account AccountID, id SessionID) (a Account, revoked bool, err error) {
	a, err = m.find(ctx, "SessionAccount", func(a *Account) bool {
		revoked = m.revokedLocked(account, id)
		return a.ID == account
	})
	return a, revoked && err == nil, err
}

func (m *memory) DeleteRevocations(ctx context.Context, now time.Time) error {
	return m.do(ctx, "DeleteRevocations", func() error {
		for place, forget := range m.revoked {
			if forget.Before(kept(now)) {
				delete(m.revoked, place)
			}
		}
		return nil
	})
}

var (
	_ SessionStore    = (*memory)(nil)
	_ RevocationStore = (*memory)(nil)
)
