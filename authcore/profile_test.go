package authcore

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

func ptr[T any](v T) *T { return &v }

func TestProfile(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		g := n[0].join(t, "alice")
		other := n[1].login(t, "alice")
		for i := range n { // both know both sessions
			for _, g := range []Grant{g, other} {
				want(t, "display name", must[Identity](t)(n[i].auth(t, g)).DisplayName, "")
			}
		}
		id := must[Identity](t)(n[0].auth(t, g))
		var c conn
		n[1].hold(t, other, &c, false)

		a := must[Account](t)(n[0].UpdateProfile(t.Context(), as(id), ProfileChange{DisplayName: ptr(" Alice  A.\r\n"), AvatarURL: ptr("https://example.com/a.png?x=1#y")}))
		want(t, "what comes back", fmt.Sprint(a.DisplayName, "|", a.AvatarURL), "Alice A.|https://example.com/a.png?x=1#y")
		for i := range n {
			for _, g := range []Grant{g, other} {
				want(t, "display name, at once and everywhere", must[Identity](t)(n[i].auth(t, g)).DisplayName, "Alice A.")
			}
		}
		want(t, "the connection", c.ended(), open)
		passes(time.Minute)
		want(t, "the connection", c.ended(), open)

		a = must[Account](t)(n[0].UpdateProfile(t.Context(), as(id), ProfileChange{DisplayName: ptr("")}))
		want(t, "taken back, and left", fmt.Sprint(a.DisplayName, "|", a.AvatarURL), "|https://example.com/a.png?x=1#y")
		sets := n[0].store.count("SetProfile")
		a = must[Account](t)(n[0].UpdateProfile(t.Context(), as(id), ProfileChange{}))
		want(t, "nothing", a.AvatarURL, "https://example.com/a.png?x=1#y")
		want(t, "writes", n[0].store.count("SetProfile")-sets, 0)
		a = must[Account](t)(n[1].Profile(t.Context(), id))
		want(t, "profile", fmt.Sprint(a.Username, a.Email, a.Number), "alicealice@example.com"+"1")

		// Half of a change that is wrong is not made.
		_, err := n[0].UpdateProfile(t.Context(), as(id), ProfileChange{DisplayName: ptr("Mallory"), AvatarURL: ptr("javascript:alert(1)")})
		wantKind(t, "a bad avatar", err, KindInvalidInput)
		want(t, "display name", n[0].store.accounts[0].DisplayName, "")

		n[0].feed.cutOff()
		must[Account](t)(n[0].UpdateProfile(t.Context(), as(id), ProfileChange{DisplayName: ptr("Later")}))
		want(t, "here", must[Identity](t)(n[0].auth(t, g)).DisplayName, "Later")
		passes(knownFor)
		want(t, "there, that did not hear", must[Identity](t)(n[1].auth(t, g)).DisplayName, "Later")
		n[0].feed.reconnect()

		n[0].store.onCall(func(_ context.Context, op string) error {
			if op == "SetProfile" || op == "AccountByID" {
				return errStore
			}
			return nil
		})
		_, err = n[0].UpdateProfile(t.Context(), as(id), ProfileChange{DisplayName: ptr("x")})
		wantKind(t, "the store fails", err, KindUnavailable)
		_, err = n[0].Profile(t.Context(), id)
		wantKind(t, "the store fails", err, KindUnavailable)
		n[0].store.onCall(nil)
		_, err = n[0].UpdateProfile(t.Context(), as(Identity{Account: "gone"}), ProfileChange{DisplayName: ptr("x")})
		wantKind(t, "gone", err, KindSessionOver)
		_, err = n[0].Profile(t.Context(), Identity{Account: "gone"})
		wantKind(t, "gone", err, KindSessionOver)
		c.lease.Release()
	})
}

// A look-up that was under way when a profile changed is made again.
func TestProfileChangesWhileLookingUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		g := h.join(t, "alice")
		first := true
		h.store.onDone(func(op string) error {
			if op == "SessionAccount" && first {
				first = false
				_, err := h.UpdateProfile(t.Context(), as(Identity{Account: g.Account.ID}), ProfileChange{DisplayName: ptr("New")})
				return err
			}
			return nil
		})
		want(t, "display name", must[Identity](t)(h.auth(t, g)).DisplayName, "New")
	})
}

func TestPublicProfile(t *testing.T) {
	h := newHouse(t)
	a := h.join(t, "alice").Account
	p := must[Account](t)(h.PublicProfile(t.Context(), a.ID))
	want(t, "public", fmt.Sprintf("%+v", p), fmt.Sprintf("%+v", Account{ID: a.ID, Number: 1, Username: "alice", CreatedAt: a.CreatedAt}))
	capitals := must[Account](t)(h.PublicProfile(t.Context(), AccountID(strings.ToUpper(string(a.ID)))))
	want(t, "asked for in capitals", fmt.Sprintf("%+v", capitals), fmt.Sprintf("%+v", p))
	asked := h.store.count("AccountByID")
	for _, id := range []AccountID{"", "alice", "1", a.ID + " ", "{" + a.ID + "}", "urn:uuid:" + a.ID, "\x00", "\xff", AccountID(strings.Repeat("x", 1<<20))} {
		_, err := h.PublicProfile(t.Context(), id)
		wantKind(t, fmt.Sprintf("%.40q", id), err, KindNotFound)
	}
	want(t, "looks for what is no ID", h.store.count("AccountByID")-asked, 0)
	_, err := h.PublicProfile(t.Context(), "00000000-0000-4000-8000-000000000000")
	wantKind(t, "nobody", err, KindNotFound)
	must[Receipt](t)(h.Disable(t.Context(), operator, a.ID))
	_, err2 := h.PublicProfile(t.Context(), a.ID)
	want(t, "closed", fmt.Sprint(err2), fmt.Sprint(err))
	h.store.onCall(func(context.Context, string) error { return errStore })
	_, err = h.PublicProfile(t.Context(), a.ID)
	wantKind(t, "the store fails", err, KindUnavailable)
}

func TestParseDisplayName(t *testing.T) {
	for claimed, name := range map[string]string{
		"": "", " \t\n ": "", "Alice": "Alice", "  Alice   B.\u00a0 C\u3000": "Alice B. C", "Alice\n": "Alice", "Zoe\u0308": "Zo\u00eb", "İ. Ğ.": "İ. Ğ.",
		"👩‍👩‍👧‍👦 Smith": "👩‍👩‍👧‍👦 Smith", "❤️‍🔥": "❤️‍🔥", "👍🏽": "👍🏽", "1️⃣": "1️⃣", "🇩🇪": "🇩🇪", "O'Brien <3 & \"x\"": "O'Brien <3 & \"x\"",
		"สมชาย": "สมชาย", "नरेंद्र": "नरेंद्र", "שָׁלוֹם": "שָׁלוֹם", "محمد": "محمد", "山田 太郎": "山田 太郎",
		strings.Repeat("x", 64): strings.Repeat("x", 64), strings.Repeat("🙂", 64): strings.Repeat("🙂", 64), strings.Repeat("e\u0301", 64): strings.Repeat("é", 64),
		"x\u0323\u0302\u0301\u0300": "x\u0323\u0302\u0301\u0300",
	} {
		got, err := ParseDisplayName(claimed)
		if err != nil || got != name {
			t.Errorf("%q: got %q, %v, want %q", claimed, got, err, name)
		}
	}
	for what, claimed := range map[string]string{
		"65": strings.Repeat("x", 65), "65 in NFC": strings.Repeat("e\u0301", 65), "huge": strings.Repeat("x", 1<<20), "bad UTF-8": "a\xff", "surrogate": "\xed\xa0\x80",
		"line break": "a\nb", "CRLF": "a\r\nb", "tab": "a\tb", "NEL": "a\u0085b", "line separator": "a\u2028b", "paragraph separator": "a\u2029b",
		"NUL": "a\x00b", "bell": "a\ab", "escape": "\x1b[31mred", "DEL": "a\x7f", "C1": "a\u009b", "override": "a\u202eb", "isolate": "a\u2066b\u2069", "LRM": "a\u200eb", "ALM": "a\u061cb",
		"soft hyphen": "a\u00adb", "ZWSP": "a\u200bb", "BOM": "\ufeffa", "word joiner": "a\u2060b", "private use": "a\ue000", "noncharacter": "a\uffff", "tag": "a\U000e0041",
		"joiner alone": "\u200d", "joiner first": "\u200da", "joiner last": "a\u200d", "joiners": "a\u200d\u200db", "joiner before a space": "a\u200d b", "joiner after a space": "a \u200db",
		"mark alone": "\u0301", "mark after a space": "a \u0301", "selector alone": "\ufe0f", "mark after a joiner": "a\u200d\u0301b", "flood": "x" + strings.Repeat("\u0302", 5), "flood below": "a" + strings.Repeat("\u0323\u0331", 20),
		"grapheme joiners": "a\u034f\u034f\u034f\u034f\u034f", "Hangul filler": "\u3164", "half-width filler": "\uffa0", "Braille blank": "\u2800", "line of fillers": "\u115f\u1160",
	} {
		if got, err := ParseDisplayName(claimed); KindOf(err) != KindInvalidInput || got != "" {
			t.Errorf("%s: got %q, %v", what, got, err)
		}
	}
}

func FuzzParseDisplayName(f *testing.F) {
	for _, s := range []string{"Alice", "👩‍👩‍👧‍👦 Smith", "a\u202eb", "Zoe\u0308", "a\u200d", " \u0301"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, claimed string) {
		name, err := ParseDisplayName(claimed)
		if err != nil {
			if KindOf(err) != KindInvalidInput {
				t.Fatal(err)
			}
			return
		}
		if again, err := ParseDisplayName(name); err != nil || again != name || !norm.NFC.IsNormalString(name) || utf8.RuneCountInString(name) > MaxDisplayName {
			t.Fatalf("%q became %q, then %q, %v", claimed, name, again, err)
		}
	})
}

func TestAvatarURL(t *testing.T) {
	for _, good := range []string{"https://example.com", "https://example.com/a.png", "HTTPS://example.com:8443/a%20b?c=d&e=f#g", "https://[2001:db8::1]/x", "https://xn--bcher-kva.example/", "https://a/" + strings.Repeat("x", MaxAvatarURL-10)} {
		if err := checkAvatarURL(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{
		"x", "http://example.com", "javascript:alert(1)", "data:image/png;base64,x", "//example.com/a", "/a.png", "https:", "https://", "https:///a", "https:a", "https:/example.com",
		"https://user@example.com", "https://user:pass@example.com", "https://@example.com", "https://exa mple.com", "https://example.com/\"onerror=x", "https://example.com/<b>", "https://example.com\\@evil",
		"https://example.com/\n", " https://example.com", "https://example.com/é", "https://\x00", "https://example.com/%zz", "https://[::1", "https://:443/", "https://a/" + strings.Repeat("x", MaxAvatarURL-9), "\xff",
	} {
		wantKind(t, fmt.Sprintf("%.60q", bad), checkAvatarURL(bad), KindInvalidInput)
	}
}
