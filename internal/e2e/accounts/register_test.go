//go:build linux

package accounts

import (
	"net/http"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

// spell returns a name in one of its spellings.
func spell(name string, i int) string {
	switch i % 3 {
	case 1:
		return strings.ToUpper(name)
	case 2:
		var wide strings.Builder
		for _, r := range name {
			wide.WriteRune(r - '!' + '！') // the full-width form
		}
		return wide.String()
	default:
		return name
	}
}

// Of 16 who want one name, in whatever spelling and over whatever dialect, one gets it (REG-02).
func TestNameRace(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		all := d.mixedRacers(t, "/ws")
		for round := range rounds {
			name := d.name()
			var requests []request
			for i := range all {
				spelt := spell(name, i)
				r := request{method: http.MethodPost, name: "user_register", args: object{"username": spelt, "password": password}}
				switch (i / 4) % 3 {
				case 0:
					r.path, r.body = "/api/v1/users", object{"username": spelt, "secret": password}
				case 1:
					r.path, r.body = "/users/register", object{"username": spelt, "password": password}
				default:
					r.path, r.body = "/api/auth/register", object{
						"username": spelt, "email": d.name() + "@example.com", "password": password, "inviteCode": "",
					}
				}
				requests = append(requests, r)
			}
			winners := succeeded(t, race(all, requests), "USER_EXISTS", "ERROR_LOGIN_WITH_PASSWORD", "username_taken")
			if len(winners) != 1 {
				t.Fatalf("round %d: %d got the name %s", round, len(winners), name)
			}
		}
	})
}

// Of 16 who want one address, in whatever spelling, one gets it (REG-02), where nobody can prove that it is theirs.
func TestAddressRace(t *testing.T) {
	each(t, options{mail: "off"}, func(t *testing.T, d *deployment) {
		all := d.httpRacers(t)
		for round := range rounds {
			address := d.name() + "@example.com"
			var requests []request
			for i := range all {
				name := d.name()
				spelt := address
				if i%3 == 1 {
					spelt = strings.ToUpper(address)
				}
				r := request{method: http.MethodPost, path: "/users/register", body: object{"username": name, "password": password, "email": spelt}}
				if i%4 < 2 {
					r.path, r.body = "/api/auth/register", object{"username": name, "email": spelt, "password": password, "inviteCode": ""}
				}
				requests = append(requests, r)
			}
			winners := succeeded(t, race(all, requests), "email_taken", "EMAIL_TAKEN")
			if len(winners) != 1 {
				t.Fatalf("round %d: %d got the address %s", round, len(winners), address)
			}
		}
	})
}

// Where addresses can be proven, several may claim one. Of three who prove it at once, while others come to claim it, one
// has it, and nobody else has any of it then.
func TestProofRace(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		all := d.httpRacers(t)
		const claimants = 3 // who are sent a code
		for round := range rounds / 2 {
			address := d.name() + "@example.com"
			names, requests := make([]string, racers), make([]request, racers)
			for i := range all {
				names[i] = d.name()
				body := object{"username": names[i], "email": address, "password": password, "inviteCode": ""}
				if i >= claimants {
					requests[i] = request{method: http.MethodPost, path: "/api/auth/register", body: body}
					continue
				}
				token := d.mustCall(t, i, http.MethodPost, "/api/auth/register", "", body, http.StatusCreated).get("token")
				requests[i] = request{
					method: http.MethodPost, path: "/api/auth/email/confirm", token: token,
					body: object{"code": d.coded(t, address, confirming, i+1)},
				}
			}
			succeeded(t, race(all, requests), "email_taken", "bad_code", "no_email")
			var holders, others int
			for _, name := range names {
				a, err := d.db.AccountByUsername(t.Context(), authcore.Username(name))
				switch {
				case err != nil: // an address that was taken
				case a.EmailConfirmed && a.Email == address:
					holders++
				case a.EmailHash != nil || a.Email != "":
					others++
				}
			}
			if holders != 1 || others != 0 {
				t.Fatalf("round %d: %d have proven the address, and %d claim it beside them", round, holders, others)
			}
		}
	})
}

// What a client may not say of itself is refused, and sets nothing (REG-05).
func TestMassAssignment(t *testing.T) {
	each(t, options{}, func(t *testing.T, d *deployment) {
		for _, field := range []string{"role", "id", "email_verified", "emailVerified", "isBot", "password_hash", "disabled", "epoch"} {
			name := d.name()
			a := d.call(d.node(0), http.MethodPost, "/api/auth/register", "", object{
				"username": name, "email": name + "@example.com", "password": password, "inviteCode": "", field: true,
			})
			if a.status < 400 || a.status >= 500 {
				t.Errorf("a registration with %s: %v", field, a)
			}
			a = d.call(d.node(0), http.MethodPost, "/users/register", "", object{"username": name, "password": password, field: "1"})
			if a.status != http.StatusUnprocessableEntity {
				t.Errorf("a registration over users with %s: %v", field, a)
			}
			if _, err := d.db.AccountByUsername(t.Context(), authcore.Username(name)); err == nil {
				t.Fatalf("a registration with %s made an account", field)
			}
		}
		_, _, token := d.user(t)
		for _, field := range []string{"email", "username", "isBot", "id", "password", "role"} {
			a := d.call(d.node(0), http.MethodPatch, "/api/auth/me", token, object{"displayName": "Alice", field: "x"})
			if a.status < 400 || a.status >= 500 {
				t.Errorf("a change of %s: %v", field, a)
			}
		}
		if a := d.mustCall(t, 0, http.MethodGet, "/api/auth/me", token, nil, http.StatusOK); strings.Contains(a.body, "Alice") {
			t.Errorf("a refused change left something: %v", a)
		}
	})
}
