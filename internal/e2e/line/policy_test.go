package line

import (
	"strings"
	"testing"
)

// What an operator decides holds for who has connected before, and not yet logged in.
func TestPolicyReachesOpenConnections(t *testing.T) {
	t.Parallel()
	h := start(t, options{app: "\t\tregistration open\n"})
	h.Register("alice", password)
	for _, c := range []struct{ name, from, to, ask, want string }{
		{"registration closed", "registration open", "registration closed", register("bob", number), "nop registrationclosed"},
		{"longer passwords", "registration open", "min_password 30", register("bob", number), "nop baddata"},
		{"other countries", "registration open", "phone_countries FR", register("bob", number), "nop baddata"},
		{"fewer logins", "login_rate 600/1m", "login_rate 1/1h", login("alice"), "nop ratelimited"},
	} {
		t.Run(c.name, func(t *testing.T) {
			line, gate := h.dial("line"), h.dial("gate")
			line.wants("login u:alice", "nop syntax:p") // and so is in the middle of a conversation
			gate.wants("login u:alice", "nop syntax:p")
			if err := h.Reload(strings.Replace(h.file, c.from, c.to, 1)); err != nil {
				t.Fatal(err)
			}
			if c.want == "nop ratelimited" {
				h.dial("line").ask(c.ask) // the one that is left
			}
			line.t, gate.t = t, t
			line.wants(c.ask, c.want)
			gate.wants(c.ask, c.want)
			if err := h.Reload(h.file); err != nil {
				t.Fatal(err)
			}
		})
	}
}
