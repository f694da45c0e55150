package authcore

import (
	"context"
	"time"
)

// Receipt says what a revocation did.
type Receipt struct {
	Sessions int           // that were ended
	Closed   int           // live connections that were told to close
	Took     time.Duration // from the call until all of them were told
}

// Logout ends the session of id and its live connections. Ending what is over already is no error.
func (s *Service) Logout(ctx context.Context, id Identity) (Receipt, error) {
	return s.EndSession(ctx, id.Account, id.Session)
}

// EndSession ends one session of an account. Kinds: Unavailable; then it may still be alive.
func (s *Service) EndSession(ctx context.Context, account AccountID, id SessionID) (Receipt, error) {
	start := s.Now()
	did, err := s.Sessions.EndSession(ctx, account, id)
	if err != nil {
		return Receipt{}, unavailable("ending a session", err)
	}
	// Whoever ended it in the store may have failed before it was ended here: an answer lost after the commit, say.
	r := Receipt{Closed: s.live.end(account, []SessionID{id})}
	if did {
		r.Sessions = 1
	}
	return s.receipt(account, r, start), nil
}

// LogoutAll ends every session of the account but except, which may be empty, and their live connections.
func (s *Service) LogoutAll(ctx context.Context, account AccountID, except SessionID) (Receipt, error) {
	start := s.Now()
	known := s.live.known(account, except) // of which some may be gone from the store already; see EndSession
	ended, err := s.Sessions.EndSessions(ctx, account, except)
	if err != nil {
		return Receipt{}, unavailable("ending sessions", err)
	}
	return s.receipt(account, Receipt{Sessions: len(ended), Closed: s.live.end(account, append(known, ended...))}, start), nil
}

// Disable closes an account to logins and ends all of its sessions. Kinds: UnknownAccount, Unavailable.
func (s *Service) Disable(ctx context.Context, account AccountID) (Receipt, error) {
	if err := s.Accounts.SetDisabled(ctx, account, true); err != nil {
		return Receipt{}, unavailable("disabling an account", err)
	}
	return s.LogoutAll(ctx, account, "")
}

func (s *Service) receipt(account AccountID, r Receipt, start time.Time) Receipt {
	r.Took = s.Now().Sub(start)
	s.Log.Info("sessions ended", "account", account, "sessions", r.Sessions, "connections", r.Closed, "took", r.Took)
	return r
}
