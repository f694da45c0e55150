package authcore

import (
	"strings"
	"testing"
)

// spaced are the ways in which a text gets white space around it that nobody sees.
var spaced = map[string]func(string) string{
	"a space behind":          func(s string) string { return s + " " },
	"a space before":          func(s string) string { return " " + s },
	"tabs around":             func(s string) string { return "\t" + s + "\t" },
	"a no-break space behind": func(s string) string { return s + "\u00a0" },
	"a line break behind":     func(s string) string { return s + "\r\n" },
}

// grouped are the ways in which people write a code, beside those.
var grouped = map[string]func(string) string{
	"in two groups":           func(s string) string { return s[:3] + " " + s[3:] },
	"in three":                func(s string) string { return s[:2] + " " + s[2:4] + " " + s[4:] },
	"with a hyphen":           func(s string) string { return s[:3] + "-" + s[3:] },
	"with a dash":             func(s string) string { return s[:3] + "\u2013" + s[3:] },
	"with a no-break space":   func(s string) string { return s[:3] + "\u00a0" + s[3:] },
	"with a thin space":       func(s string) string { return s[:3] + "\u2009" + s[3:] },
	"broken by a mail reader": func(s string) string { return s[:3] + "\r\n " + s[3:] },
}

// everyWay calls f with each of them, in a part of the test.
func everyWay(t *testing.T, ways []map[string]func(string) string, f func(*testing.T, func(string) string)) {
	t.Helper()
	for _, m := range ways {
		for name, way := range m {
			t.Run(name, func(t *testing.T) { f(t, way) })
		}
	}
}

func TestSpacesAroundNames(t *testing.T) {
	everyWay(t, []map[string]func(string) string{spaced}, func(t *testing.T, way func(string) string) {
		h := newHouse(t)
		a := h.register(t, way("alice"))
		want(t, "name", a.Username, Username("alice"))
		for range 20 { // more than there are free attempts
			must[Grant](t)(h.try(t, way("alice"), rightPassword))
		}
		_, err := h.Register(t.Context(), Registration{ClaimedName: way("ALICE"), Password: NewPassword(rightPassword), Client: client})
		wantKind(t, "the same name", err, KindUsernameTaken)

		// Never of a password.
		_, err = h.try(t, "alice", way(rightPassword))
		wantKind(t, "a password", err, KindWrongPassword)
	})
}

// One total over every spelling: a space makes nobody's counter, nor does it for a name that cannot be.
func TestSpacesShareCounters(t *testing.T) {
	for _, name := range []string{"alice", "nobody", "no body"} {
		h := newHouse(t)
		h.register(t, "alice")
		for i := range 5 {
			_, err := h.try(t, strings.Repeat(" ", i)+name+strings.Repeat(" ", i%3), "not the password")
			if k := KindOf(err); k == KindRateLimited || err == nil {
				t.Fatalf("%q, attempt %d: %v", name, i+1, err)
			}
		}
		_, err := h.try(t, name+"\t", "not the password")
		wantKind(t, name, err, KindRateLimited)
	}
	h := newHouse(t)
	for i := range 6 {
		_, err := h.Login(t.Context(), Credentials{ClaimedEmail: "no address" + strings.Repeat(" ", i), Password: NewPassword("not the password"), Client: client})
		if limited := KindOf(err) == KindRateLimited; limited != (i == 5) {
			t.Errorf("attempt %d: %v", i+1, err)
		}
	}
}

func TestSpacesAroundAddresses(t *testing.T) {
	everyWay(t, []map[string]func(string) string{spaced}, func(t *testing.T, way func(string) string) {
		h := newHouse(t)
		a, err := h.Register(t.Context(), Registration{ClaimedName: "alice", ClaimedEmail: way("alice@example.com"), Password: NewPassword(rightPassword), Client: client})
		want(t, "register", err, nil)
		want(t, "address", a.Email, "alice@example.com")
		for range 20 {
			must[Grant](t)(h.Login(t.Context(), Credentials{ClaimedEmail: way("alice@example.com"), Password: NewPassword(rightPassword), Client: client}))
		}
	})
}

// A code counts as people write it, at the last of its tries; so do the texts that go with it.
func TestGroupedResetCodes(t *testing.T) {
	everyWay(t, []map[string]func(string) string{spaced, grouped}, func(t *testing.T, way func(string) string) {
		bubble(t, func(t *testing.T, h *house) {
			h.join(t, "alice")
			p, code := h.code(t, "alice")
			for range CodeTries - 1 {
				wantKind(t, "wrong", h.reset(p, way(wrong(code)), newPassword), KindBadCode)
			}
			want(t, "right", h.reset(p, way(code), newPassword), nil)
		})
	})
	everyWay(t, []map[string]func(string) string{spaced}, func(t *testing.T, way func(string) string) {
		bubble(t, func(t *testing.T, h *house) {
			h.join(t, "alice")
			p, code := h.code(t, "alice")
			p = PendingReset{way(strings.ToUpper(p.UserHash)), RequestID(way(string(p.Request)))}
			want(t, "right", h.reset(p, code, newPassword), nil)
		})
	})
}

func TestGroupedValidationCodes(t *testing.T) {
	everyWay(t, []map[string]func(string) string{spaced, grouped}, func(t *testing.T, way func(string) string) {
		bubble(t, func(t *testing.T, h *house) {
			h.signUp(t, asks("alice", email("alice@example.com")))
			h.idle()
			code, _ := h.texted(t)
			mailed := string(h.mail.last().Code)
			for range CodeTries - 1 {
				wantKind(t, "wrong", h.validate(t, theNumber, way(wrong(code))), KindBadCode)
				wantKind(t, "wrong", h.confirm(t, "alice@example.com", way(wrong(mailed))), KindBadCode)
			}
			want(t, "number", h.validate(t, theNumber, way(code)), nil)
			want(t, "address", h.confirm(t, "alice@example.com", way(mailed)), nil)
		})
	})
	everyWay(t, []map[string]func(string) string{spaced}, func(t *testing.T, way func(string) string) {
		bubble(t, func(t *testing.T, h *house) {
			h.signUp(t, asks(way("alice"), email(way("alice@example.com")), phone(way(theNumber))))
			h.idle()
			code, to := h.texted(t)
			want(t, "to", to, "+447400123456")
			want(t, "number", h.validate(t, way(theNumber), code), nil)
			want(t, "address", h.confirm(t, way("alice@example.com"), string(h.mail.last().Code)), nil)
		})
	})
}

func TestGroupedInvites(t *testing.T) {
	groups := func(sep string) func(string) string {
		return func(s string) string { return strings.ReplaceAll(s, "-", sep) }
	}
	everyWay(t, []map[string]func(string) string{spaced, {
		"with spaces": groups(" "), "with dashes": groups("\u2013"), "with no-break spaces": groups("\u00a0"), "broken": groups("-\r\n"),
	}}, func(t *testing.T, way func(string) string) {
		h := newHouse(t, invited)
		code := h.invite(t, NewInvite{Uses: 1})
		want(t, "registered", h.registerBy("alice", InviteCode(way(string(code))), ""), nil)
	})
}

func TestSpellsNUL(t *testing.T) {
	for text, want := range map[string]bool{
		`{"a":"b"}`: false, ``: false, `{"a":"\u0001"}`: false, `{"a":"\\u0000"}`: false, `{"a":"\\\\u0000"}`: false,
		`{"a":"\u0000"}`: true, `{"a":"\\\u0000"}`: true, `{"\u0000":1}`: true, `{"a":"\\u0000\u0000"}`: true,
	} {
		if got := SpellsNUL([]byte(text)); got != want {
			t.Errorf("%s: %v", text, got)
		}
	}
}
