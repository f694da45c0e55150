package methods

import (
	"strings"
	"testing"

	"github.com/chatgate/chatgate/internal/gatetest"
)

// What an operator decides holds for connections that were open before, as the contract says.
func TestPolicyReachesOpenConnections(t *testing.T) {
	const free, per = "\t\tregistration open\n", "\t\tsignup_rate 100000/1s\n\t\tlogin_rate 100000/1s\n"
	plain := strings.ReplaceAll(caddyfile(free+per, "\t\torigins https://chat.example.com\n"), "\treverse_proxy UPSTREAM\n", "")
	g := gatetest.Start(t, plain)
	old := dial(t, g)
	token := old.enter("user_register", "alice")
	register := func(name, password string) string {
		return `{"m":"user_register","r":1,"d":{"username":"` + name + `","password":"` + password + `"}}`
	}
	login := `{"m":"user_login","r":1,"d":{"username":"alice","password":"` + password + `"}}`
	wrong := strings.Replace(login, "Lantern", "Candle", 1)
	cases := []struct {
		name       string
		from, to   string   // in the Caddyfile
		ask        []string // of a connection that was opened before, after the reload
		want       string   // what the last of them gets
		afterwards string   // what it gets when that is taken back
	}{
		{"registration closed", free, "\t\tregistration closed\n", []string{register("bob", password)}, `{"r":1,"err":"invite_required"}`, ""},
		{"registration by invite", free, "\t\tregistration invite\n", []string{register("carol", password)}, `{"r":1,"err":"invite_required"}`, ""},
		{"invites required here", "\t\torigins", "\t\trequire_invites on\n\t\torigins", []string{register("dave", password)}, `{"r":1,"err":"invite_required"}`, ""},
		{"the same, by an endpoint that moved", "chatgate_methods {", "chatgate_methods /elsewhere {\n\t\trequire_invites on\n", []string{register("dora", password)}, `{"r":1,"err":"invite_required"}`, ""},
		{"longer passwords", free, free + "\t\tmin_password 30\n", []string{register("erin", password)}, `{"r":1,"err":"weak_password"}`, ""},
		{"another issuer", free, free + "\t\tissuer https://elsewhere.example.com\n", []string{`{"m":"user_token_auth","r":1,"d":{"token":"` + token + `"}}`}, `{"r":1,"err":"bad_token"}`, ""},
		{"fewer accounts", per, "\t\tsignup_rate 1/1h\n\t\tlogin_rate 100000/1s\n", []string{register("frank", password), register("grace", password)}, `{"r":1,"err":"rate_limited"}`, "-"},
		{"fewer logins", per, "\t\tsignup_rate 100000/1s\n\t\tlogin_rate 1/1h\n", []string{login, login}, `{"r":1,"err":"rate_limited"}`, "-"},
		{"one free try", free, free + "\t\tlogin_backoff 1 1h 1h\n", []string{wrong, wrong, login}, `{"r":1,"err":"rate_limited"}`, "-"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			visitor, member := dial(t, g), dial(t, g)
			member.ask(`{"m":"user_token_auth","r":0,"d":{"token":"`+token+`"}}`, `{"r":0,"d":{}}`)
			changed := strings.Replace(plain, c.from, c.to, 1)
			if changed == plain {
				t.Fatal("nothing is changed")
			}
			if err := g.Reload(changed); err != nil {
				t.Fatal(err)
			}
			for _, s := range []socket{visitor, member} {
				if s == member && len(c.ask) > 1 {
					continue // what is counted was spent by the visitor
				}
				got := ""
				for _, msg := range c.ask {
					s.SendFrame(gatetest.Text(msg))
					got = s.next()
				}
				if got != c.want {
					t.Errorf("got %.200s, want %s", got, c.want)
				}
			}
			if err := g.Reload(plain); err != nil {
				t.Fatal(err)
			}
			if c.afterwards == "" { // and what is allowed again is allowed there, too
				visitor.SendFrame(gatetest.Text(c.ask[0]))
				if got := visitor.next(); strings.Contains(got, `"err"`) {
					t.Errorf("as it was before: got %.200s", got)
				}
			}
		})
	}
}

// A connection whose stores the new configuration does not know is dismissed; until then the new policy holds for it.
// Where two endpoints could have taken its place, the stricter one counts.
func TestPolicyOfSeveralEndpoints(t *testing.T) {
	one := strings.ReplaceAll(caddyfile(generous, "\t\torigins https://chat.example.com\n"), "\treverse_proxy UPSTREAM\n", "")
	g := gatetest.Start(t, one)
	c := dial(t, g)
	ask := func(name, want string) {
		t.Helper()
		c.SendFrame(gatetest.Text(`{"m":"user_register","r":1,"d":{"username":"` + name + `","password":"` + password + `"}}`))
		if got := c.next(); !strings.Contains(got, want) {
			t.Errorf("%s: got %.200s, want %s", name, got, want)
		}
	}
	second := "\tchatgate_methods /second {\n\t\trequire_invites on\n\t}\n"
	load := func(file string) {
		t.Helper()
		if err := g.Reload(file); err != nil {
			t.Fatal(err)
		}
	}
	load(strings.Replace(one, "\tchatgate_methods {", second+"\tchatgate_methods {", 1))
	ask("anna", `"token"`) // its own endpoint is there as it was
	load(strings.Replace(one, "\tchatgate_methods {\n", second+"\tchatgate_methods {\n\t\tin_flight 8\n", 1))
	ask("berta", "invite_required")
	load(strings.Replace(one, "\tchatgate_methods {\n", "\tchatgate_methods {\n\t\tin_flight 8\n", 1))
	ask("clara", `"token"`)
}
