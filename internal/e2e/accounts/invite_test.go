//go:build linux

package accounts

import (
	"net/http"
	"slices"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

// An invite makes as many accounts as it has uses (REG-01), in each of 50 rounds of 16 who have it, over HTTP and
// WebSockets, at every node. Who asks for a name that is taken burns nothing.
func TestInviteRace(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		taken, _, _ := d.user(t)
		for round := range rounds {
			all := d.mixedRacers(t, "/invited/ws") // anew, since a socket on which too much fails is closed
			uses := 1 + round%3/2                  // mostly one, sometimes two
			code, invite := d.invite(t, uses)
			var requests []request
			names := make([]string, len(all))
			for i := range all {
				names[i] = d.name()
				if i == round%racers {
					names[i] = taken
				}
				requests = append(requests, request{
					method: http.MethodPost, path: "/invited/register",
					body: object{"username": names[i], "email": names[i] + "@example.com", "password": password, "inviteCode": code},
					name: "user_register", args: object{"username": names[i], "password": password, "inviteCode": code},
				})
			}
			winners := succeeded(t, race(all, requests), "bad_invite", "username_taken")
			for _, r := range all {
				r.close()
			}
			if len(winners) != uses {
				t.Fatalf("round %d: %d accounts for an invite of %d", round, len(winners), uses)
			}
			for i, name := range names {
				_, err := d.db.AccountByUsername(t.Context(), authcore.Username(name))
				made := err == nil && i != round%racers
				won := slices.Contains(winners, i)
				if made != won {
					t.Fatalf("round %d: racer %d was told %v, and the account of %s is there: %v", round, i, won, name, made)
				}
			}
			i, err := d.db.InviteByHash(t.Context(), invite.Hash)
			must(t, err)
			if i.Used != uses {
				t.Fatalf("round %d: %d uses of an invite are used up, of %d", round, i.Used, uses)
			}
		}
	})
}

// A registration that fails burns nothing: of those who come for taken names none gets anything, and then the invite is
// still good for one.
func TestInviteIsNotBurned(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		taken, email, _ := d.user(t)
		code, invite := d.invite(t, 1)
		register := func(name, email string, want int) answer {
			t.Helper()
			return d.mustCall(t, 0, http.MethodPost, "/invited/register", "", object{
				"username": name, "email": email, "password": password, "inviteCode": code,
			}, want)
		}
		register(taken, "other@example.com", http.StatusConflict)
		register(d.name(), email, http.StatusConflict)
		if a := d.call(d.node(0), http.MethodPost, "/invited/register", "", object{
			"username": d.name(), "email": "weak@example.com", "password": "short", "inviteCode": code,
		}); a.status != http.StatusUnprocessableEntity {
			t.Fatalf("a weak password: %v", a)
		}
		i, err := d.db.InviteByHash(t.Context(), invite.Hash)
		must(t, err)
		if i.Used != 0 {
			t.Fatalf("%d uses were burned", i.Used)
		}
		name := d.name()
		register(name, name+"@example.com", http.StatusCreated)
		register(d.name(), "late@example.com", http.StatusForbidden)
	})
}
