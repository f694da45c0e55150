package storetest

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

func inviteRevoking(t *testing.T, s invites) {
	i, other := invite(t, s, newInvite(2)), invite(t, s, newInvite(1))
	i = redeem(t, s, "before", i, newAccount("alice"))
	i.RevokedAt = now()
	for _, later := range []time.Duration{0, time.Hour, -time.Hour} {
		must(t, s.RevokeInvite(t.Context(), i.ID, i.RevokedAt.Add(later)))
		wantInvite(t, s, "revoked", i)
		wantNoAccountBy(t, s, "revoked", i, newAccount("bob"), authcore.KindBadInvite)
	}
	for _, id := range []authcore.InviteID{authcore.InviteID(newID()), "", "%", i.ID[:8], i.ID + " ", "' OR '1'='1"} {
		wantKind(t, "nobody's", s.RevokeInvite(t.Context(), id, now()), authcore.KindNotFound)
	}
	wantInvite(t, s, "another", other)
	expired := newInvite(1)
	expired.ExpiresAt = now().Add(-time.Hour)
	invite(t, s, expired)
	expired.RevokedAt = now()
	must(t, s.RevokeInvite(t.Context(), expired.ID, expired.RevokedAt))
	wantInvite(t, s, "expired, and revoked", expired)
	redeem(t, s, "another", other, newAccount("bob"))
}

// inviteRevokingRace revokes one invite many times at once; the time of one caller stays.
func inviteRevokingRace(t *testing.T, s invites) {
	for range fewRounds {
		i := invite(t, s, newInvite(1))
		base := now()
		parallel(racers, func(k int) {
			if err := s.RevokeInvite(t.Context(), i.ID, base.Add(time.Duration(k)*time.Second)); err != nil {
				t.Error(err)
			}
		})
		got, err := s.InviteByHash(t.Context(), i.Hash)
		must(t, err)
		if at := got.RevokedAt.Sub(base); at < 0 || at >= racers*time.Second || at%time.Second != 0 {
			t.Errorf("revoked at %v", got.RevokedAt)
		}
		must(t, s.RevokeInvite(t.Context(), i.ID, base.Add(time.Hour)))
		wantInvite(t, s, "afterwards", got)
	}
}

// inviteRevokingUsed revokes an invite while it is used. Earlier uses count, and there are no later ones.
func inviteRevokingUsed(t *testing.T, s invites) {
	for r := range fewRounds {
		i := invite(t, s, newInvite(racers))
		var revoked atomic.Bool
		var made atomic.Int32
		at := now()
		parallel(racers, func(k int) {
			if k == racers/2 {
				if err := s.RevokeInvite(t.Context(), i.ID, at); err != nil {
					t.Error(err)
				}
				revoked.Store(true)
				return
			}
			over := revoked.Load()
			_, err := s.accounts.CreateAccount(t.Context(), newAccount(fmt.Sprintf("u%dx%d", r, k)), authcore.Creation{Invite: i.Hash})
			if err == nil {
				made.Add(1)
			} else {
				wantKind(t, "after it was revoked", err, authcore.KindBadInvite)
			}
			if err == nil && over {
				t.Error("an invite was used after RevokeInvite had returned")
			}
		})
		i.Used, i.RevokedAt = int(made.Load()), at
		wantInvite(t, s, "afterwards", i)
	}
}
