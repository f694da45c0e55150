package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
)

// invites are a store with the accounts that are in the same database.
type invites struct {
	authcore.InviteStore
	accounts authcore.AccountStore
}

var inviteTests = []group[invites]{
	{"lookups", inviteLookups},
	{"adding twice", inviteAddingTwice},
	{"adding at once", inviteAddingRace},
	{"list", inviteList},
	{"uses", inviteUses},
	{"uses/at once", inviteUsesRace},
	{"uses/one name at once", inviteNameRace},
	{"not burned", inviteNotBurned},
	{"told first", inviteToldFirst},
	{"expiry", inviteExpiry},
	{"an address", inviteAddress},
	{"revoking", inviteRevoking},
	{"revoking/at once", inviteRevokingRace},
	{"revoking/while it is used", inviteRevokingUsed},
	{"times", inviteTimes},
	{"hostile strings", inviteHostile},
	{"cancellation", inviteCanceled},
	{"cancellation/halfway", inviteCanceledHalfway},
}

func newInvite(uses int) authcore.Invite {
	at := now()
	return authcore.Invite{
		ID: authcore.InviteID(newID()), Hash: newHash(), Uses: uses, CreatedAt: at, ExpiresAt: at.Add(time.Hour),
	}
}

func invite(t *testing.T, s invites, i authcore.Invite) authcore.Invite {
	t.Helper()
	added, err := s.AddInvite(t.Context(), i)
	must(t, err)
	want(t, "added", added, true)
	return i
}

func wantInvite(t *testing.T, s invites, what string, i authcore.Invite) {
	t.Helper()
	got, err := s.InviteByHash(t.Context(), i.Hash)
	must(t, err)
	want(t, what, got, i)
}

// redeem creates an account with an invite, and returns the invite as it is then.
func redeem(t *testing.T, s invites, what string, i authcore.Invite, a authcore.Account) authcore.Invite {
	t.Helper()
	got, err := s.accounts.CreateAccount(t.Context(), a, authcore.Creation{Invite: i.Hash})
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	a.Number = got.Number
	wantSame(t, what, got, a)
	wantAccount(t, s.accounts, a)
	i.Used++
	wantInvite(t, s, what, i)
	return i
}

// wantNoAccountBy checks that an invite creates no account, and stays unchanged.
func wantNoAccountBy(t *testing.T, s invites, what string, i authcore.Invite, a authcore.Account, kind authcore.Kind) {
	t.Helper()
	got, err := s.accounts.CreateAccount(t.Context(), a, authcore.Creation{Invite: i.Hash})
	wantKind(t, what, err, kind)
	wantSame(t, what+": what comes with the error", got, authcore.Account{})
	wantNoAccount(t, s.accounts, a)
	if i.ID != "" {
		wantInvite(t, s, what, i)
	}
}

func inviteLookups(t *testing.T, s invites) {
	all, err := s.Invites(t.Context())
	must(t, err)
	want(t, "of none", len(all), 0)
	plain, full := newInvite(1), newInvite(authcore.MaxInviteUses)
	full.Used, full.EmailHash, full.RevokedAt = 99_999, newHash(), full.CreatedAt.Add(time.Minute)
	full.ExpiresAt = full.CreatedAt.Add(authcore.MaxInviteLifetime)
	for _, i := range []authcore.Invite{plain, full} { // stored as they are
		invite(t, s, i)
	}
	wantInvite(t, s, "plain", plain)
	wantInvite(t, s, "full", full)
	for _, hash := range [][]byte{nil, {}, newHash(), plain.Hash[:31], append(plain.Hash[:32:32], 0), full.EmailHash, []byte(plain.ID), []byte("%")} {
		got, err := s.InviteByHash(t.Context(), hash)
		wantKind(t, fmt.Sprintf("unknown hash of %d bytes", len(hash)), err, authcore.KindBadInvite)
		want(t, "what comes with the error", got, authcore.Invite{})
		if hash != nil { // which would ask for no invite at all
			wantNoAccountBy(t, s, "unknown hash", authcore.Invite{Hash: hash}, newAccount("alice"), authcore.KindBadInvite)
		}
	}
	create(t, s.accounts, newAccount("alice")) // without one
	wantInvite(t, s, "plain", plain)
}

func inviteAddingTwice(t *testing.T, s invites) {
	i := invite(t, s, newInvite(1))
	again := func(what string) {
		t.Helper()
		for _, id := range []authcore.InviteID{i.ID, authcore.InviteID(newID())} {
			other := newInvite(5)
			other.ID, other.Hash = id, i.Hash
			added, err := s.AddInvite(t.Context(), other)
			must(t, err)
			want(t, what+": added", added, false)
			wantInvite(t, s, what, i)
		}
	}
	again("unused")
	i = redeem(t, s, "redeemed", i, newAccount("alice"))
	again("used up")
	at := now()
	must(t, s.RevokeInvite(t.Context(), i.ID, at))
	i.RevokedAt = at
	again("revoked")
	i = newInvite(1)
	i.ExpiresAt = now().Add(-time.Hour)
	invite(t, s, i)
	again("expired")
	all, err := s.Invites(t.Context())
	must(t, err)
	want(t, "invites", len(all), 2)

	other := newInvite(1)
	other.ID = i.ID
	added, err := s.AddInvite(t.Context(), other)
	wantPlain(t, "an ID for the second time", err)
	want(t, "added", added, false)
	wantInvite(t, s, "the first", i)
	_, err = s.InviteByHash(t.Context(), other.Hash)
	wantKind(t, "the second", err, authcore.KindBadInvite)
}

func inviteAddingRace(t *testing.T, s invites) {
	for range fewRounds {
		hash := newHash()
		all, wins := make([]authcore.Invite, racers), make([]bool, racers)
		parallel(racers, func(k int) {
			all[k] = newInvite(k + 1)
			all[k].Hash = hash
			var err error
			if wins[k], err = s.AddInvite(t.Context(), all[k]); err != nil {
				t.Error(err)
			}
		})
		won := 0
		for k, i := range all {
			if wins[k] {
				won++
				wantInvite(t, s, "the winner's", i)
			}
		}
		want(t, "callers that added it", won, 1)
	}
}

func inviteList(t *testing.T, s invites) {
	base := now()
	var all []authcore.Invite // the newest first
	for k := range 6 {
		i := newInvite(k + 1)
		i.CreatedAt, i.ExpiresAt = base.Add(-time.Duration(k)*time.Millisecond), base.Add(time.Duration(k%3-1)*time.Hour)
		if k%2 == 0 {
			i.EmailHash = newHash()
		}
		all = append(all, i)
	}
	for _, k := range []int{3, 0, 5, 1, 4, 2} {
		invite(t, s, all[k])
	}
	at := base.Add(time.Minute)
	must(t, s.RevokeInvite(t.Context(), all[2].ID, at))
	all[2].RevokedAt = at
	all[5] = redeem(t, s, "redeemed", all[5], newAccount("alice"))
	got, err := s.Invites(t.Context())
	must(t, err)
	want(t, "list", got, all)
}

func inviteUses(t *testing.T, s invites) {
	i, other := invite(t, s, newInvite(3)), invite(t, s, newInvite(1))
	for k := range 3 {
		i = redeem(t, s, fmt.Sprintf("use %d", k+1), i, newAccount(fmt.Sprintf("user%d", k)))
	}
	for range 2 {
		wantNoAccountBy(t, s, "used up", i, newAccount("late"), authcore.KindBadInvite)
	}
	wantInvite(t, s, "another", other)
	redeem(t, s, "another", other, newAccount("late")) // the name of the late one is free
	create(t, s.accounts, newAccount("uninvited"))
	wantInvite(t, s, "after an account without one", i)
}

func inviteUsesRace(t *testing.T, s invites) {
	for r := range fewRounds {
		uses := []int{1, 5, racers - 1}[r%3]
		i := invite(t, s, newInvite(uses))
		accounts, made := make([]authcore.Account, racers), make([]bool, racers)
		parallel(racers, func(k int) {
			accounts[k] = newAccount(fmt.Sprintf("u%dx%d", r, k))
			got, err := s.accounts.CreateAccount(t.Context(), accounts[k], authcore.Creation{Invite: i.Hash})
			if made[k] = err == nil; made[k] {
				accounts[k].Number = got.Number
			} else {
				wantKind(t, "one too many", err, authcore.KindBadInvite)
			}
		})
		for k, a := range accounts {
			if made[k] {
				i.Used++
				wantAccount(t, s.accounts, a)
			} else {
				wantNoAccount(t, s.accounts, a)
			}
		}
		want(t, "accounts", i.Used, uses)
		wantInvite(t, s, "afterwards", i)
	}
}

// inviteNameRace redeems invites for one name, or one address, at once. The losers' invites must be unused.
func inviteNameRace(t *testing.T, s invites) {
	for r := range fewRounds {
		i := invite(t, s, newInvite([]int{1, 2, racers}[r%3]))
		hash, kind := newHash(), authcore.KindUsernameTaken
		if r%2 == 1 {
			kind = authcore.KindEmailTaken
		}
		var made atomic.Int32
		parallel(racers, func(k int) {
			a := newAccount(fmt.Sprintf("n%d", r))
			if kind == authcore.KindEmailTaken {
				a.Username, a.EmailHash = authcore.Username(fmt.Sprintf("n%dx%d", r, k)), hash
			}
			_, err := s.accounts.CreateAccount(t.Context(), a, authcore.Creation{Invite: i.Hash})
			e, ok := errors.AsType[*authcore.Error](err)
			switch {
			case err == nil:
				made.Add(1)
			case ok && e.Kind == authcore.KindBadInvite && i.Uses == 1: // used up by who came first
			default:
				wantKind(t, "a loser", err, kind)
			}
		})
		want(t, "accounts", made.Load(), 1)
		i.Used = 1
		wantInvite(t, s, "afterwards", i)
	}
}

func inviteNotBurned(t *testing.T, s invites) {
	first := create(t, s.accounts, newAccount("paypal"))
	i := invite(t, s, newInvite(1))
	for _, c := range []struct {
		what string
		make func(a *authcore.Account)
		kind authcore.Kind
	}{
		{"username", func(a *authcore.Account) { a.Username = "paypal" }, authcore.KindUsernameTaken},
		{"look-alike", func(a *authcore.Account) { a.Username = "paypa1" }, authcore.KindUsernameTaken},
		{"address", func(a *authcore.Account) { a.EmailHash = first.EmailHash }, authcore.KindEmailTaken},
		{"both", func(a *authcore.Account) { a.Username, a.EmailHash = "paypal", first.EmailHash }, authcore.KindUsernameTaken},
	} {
		a := newAccount("alice")
		c.make(&a)
		for range 2 {
			wantNoAccountBy(t, s, c.what, i, a, c.kind)
		}
	}
	again := newAccount("alice")
	again.ID = first.ID
	_, err := s.accounts.CreateAccount(t.Context(), again, authcore.Creation{Invite: i.Hash})
	wantPlain(t, "an ID for the second time", err)
	wantInvite(t, s, "an ID for the second time", i)
	redeem(t, s, "after all of that", i, newAccount("alice"))
}

// inviteToldFirst checks that a bad invite does not tell which names and addresses are taken.
func inviteToldFirst(t *testing.T, s invites) {
	first := create(t, s.accounts, newAccount("alice"))
	revoked, expired, bound, used := newInvite(1), newInvite(1), newInvite(1), newInvite(1)
	revoked.RevokedAt, expired.ExpiresAt, bound.EmailHash, used.Used = now(), now().Add(-time.Hour), newHash(), 1
	unknown := authcore.Invite{Hash: newHash()}
	for what, i := range map[string]authcore.Invite{
		"revoked": revoked, "expired": expired, "somebody else's": bound, "used up": used, "unknown": unknown,
	} {
		if i.ID != "" {
			invite(t, s, i)
		}
		name, email := newAccount("alice"), newAccount("bob")
		email.EmailHash = first.EmailHash
		wantNoAccountBy(t, s, what+", and a taken name", i, name, authcore.KindBadInvite)
		wantNoAccountBy(t, s, what+", and a taken address", i, email, authcore.KindBadInvite)
		wantNoAccountBy(t, s, what, i, newAccount("bob"), authcore.KindBadInvite)
	}
	wantAccount(t, s.accounts, first)
}

func inviteExpiry(t *testing.T, s invites) {
	at := now()
	for k, c := range []struct {
		what string
		left time.Duration
		good bool
	}{
		{"long before", -24 * time.Hour, false},
		{"before", -time.Millisecond, false},
		{"now", 0, false},
		{"after", time.Millisecond, true},
		{"long after", 24 * time.Hour, true},
	} {
		i := newInvite(2)
		i.CreatedAt, i.ExpiresAt = at.Add(-48*time.Hour), at.Add(c.left)
		invite(t, s, i)
		a := newAccount(fmt.Sprintf("user%d", k))
		a.CreatedAt = at
		if c.good {
			i = redeem(t, s, c.what, i, a)
			a = newAccount(fmt.Sprintf("late%d", k))
			a.CreatedAt = i.ExpiresAt
		}
		wantNoAccountBy(t, s, c.what, i, a, authcore.KindBadInvite)
	}
}

func inviteAddress(t *testing.T, s invites) {
	i := newInvite(2)
	i.EmailHash = newHash()
	invite(t, s, i)
	for _, hash := range [][]byte{nil, {}, newHash(), i.EmailHash[:31], append(i.EmailHash[:32:32], 0), i.Hash} {
		a := newAccount("alice")
		a.EmailHash = hash
		wantNoAccountBy(t, s, fmt.Sprintf("for %x", hash), i, a, authcore.KindBadInvite)
	}
	a := newAccount("alice")
	a.EmailHash = i.EmailHash
	i = redeem(t, s, "for whom it is", i, a)
	b := newAccount("bob")
	b.EmailHash = i.EmailHash
	wantNoAccountBy(t, s, "for whom it is, again", i, b, authcore.KindEmailTaken)

	anybody := newInvite(3)
	anybody.EmailHash = []byte{} // is none
	added, err := s.AddInvite(t.Context(), anybody)
	if err != nil || !added {
		t.Fatal(added, err)
	}
	anybody.EmailHash = nil
	nobodys := newAccount("carol")
	nobodys.EmailHash = nil
	anybody = redeem(t, s, "of anybody, without an address", anybody, nobodys)
	redeem(t, s, "of anybody", anybody, newAccount("dave"))
}

func inviteTimes(t *testing.T, s invites) {
	for k, at := range times {
		i := newInvite(1)
		i.CreatedAt, i.ExpiresAt = at, times[(k+1)%len(times)]
		added, err := s.AddInvite(t.Context(), i)
		must(t, err)
		want(t, "added", added, true)
		revoked := times[(k+2)%len(times)]
		must(t, s.RevokeInvite(t.Context(), i.ID, revoked))
		got, err := s.InviteByHash(t.Context(), i.Hash)
		must(t, err)
		for _, at := range []time.Time{got.CreatedAt, got.ExpiresAt, got.RevokedAt} {
			wantUTC(t, "invite", at)
		}
		i.CreatedAt, i.ExpiresAt, i.RevokedAt = kept(at), kept(i.ExpiresAt), kept(revoked)
		want(t, "invite", got, i)
	}
}

func inviteHostile(t *testing.T, s invites) {
	var all []authcore.Invite
	for k, text := range hostile {
		if len(text) > 1000 { // an index need not take it, and no ID is as long
			continue
		}
		i := newInvite(1)
		i.ID, i.Hash, i.EmailHash = authcore.InviteID(text), append([]byte(text), binary[k%len(binary)]...), binary[k%len(binary)]
		wantKind(t, text, s.RevokeInvite(t.Context(), i.ID, now()), authcore.KindNotFound)
		all = append(all, invite(t, s, i))
	}
	for k, i := range all {
		wantInvite(t, s, string(i.ID), i)
		if k < len(binary) { // of each address one
			a := newAccount(fmt.Sprintf("user%d", k))
			a.EmailHash = i.EmailHash
			i = redeem(t, s, string(i.ID), i, a)
		}
		i.RevokedAt = now()
		must(t, s.RevokeInvite(t.Context(), i.ID, i.RevokedAt))
		wantInvite(t, s, string(i.ID), i)
	}
}

func inviteCanceled(t *testing.T, s invites) {
	i, other := invite(t, s, newInvite(1)), newInvite(1)
	ctx := canceled()
	added, err := s.AddInvite(ctx, other)
	wantCanceled(t, "AddInvite", err)
	want(t, "AddInvite", added, false)
	_, err = s.InviteByHash(t.Context(), other.Hash)
	wantKind(t, "an invite that was not added", err, authcore.KindBadInvite)
	got, err := s.InviteByHash(ctx, i.Hash)
	wantCanceled(t, "InviteByHash", err)
	want(t, "InviteByHash", got, authcore.Invite{})
	all, err := s.Invites(ctx)
	wantCanceled(t, "Invites", err)
	want(t, "Invites", len(all), 0)
	wantCanceled(t, "RevokeInvite", s.RevokeInvite(ctx, i.ID, now()))
	a := newAccount("alice")
	_, err = s.accounts.CreateAccount(ctx, a, authcore.Creation{Invite: i.Hash})
	wantCanceled(t, "CreateAccount", err)
	wantNoAccount(t, s.accounts, a)
	wantInvite(t, s, "afterwards", i)
	redeem(t, s, "afterwards", i, a)
}

// inviteCanceledHalfway cancels registrations at random moments. The invite is used if and only if the account exists,
// and a second try finds that it was done, or does it.
func inviteCanceledHalfway(t *testing.T, s invites) {
	begun := time.Now()
	redeem(t, s, "at first", invite(t, s, newInvite(1)), newAccount("first"))
	usual := max(time.Since(begun), time.Millisecond)
	cut, late := 0, 0
	for r := range fewRounds {
		i := invite(t, s, newInvite(1+r%2))
		a := newAccount(fmt.Sprintf("user%d", r))
		ctx, cancel := context.WithTimeout(t.Context(), rand.N(usual))
		got, err := s.accounts.CreateAccount(ctx, a, authcore.Creation{Invite: i.Hash})
		cancel()
		if err != nil {
			cut++
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("cut off: %v", err)
			}
			if got, err = s.accounts.CreateAccount(t.Context(), a, authcore.Creation{Invite: i.Hash}); err != nil {
				late++
				kind := authcore.KindUsernameTaken
				if i.Uses == 1 {
					kind = authcore.KindBadInvite
				}
				wantKind(t, "cut off after it was done", err, kind)
				got, err = s.accounts.AccountByID(t.Context(), a.ID)
				must(t, err)
			}
		}
		a.Number = got.Number
		wantAccount(t, s.accounts, a)
		i.Used = 1
		wantInvite(t, s, "afterwards", i)
	}
	t.Logf("of %d calls %d were cut off, %d of them after they were done", 2*fewRounds, cut, late)
}
