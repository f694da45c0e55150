package authcore

import (
	"fmt"
	"testing"
)

func TestDisplaySkeleton(t *testing.T) {
	maria := Username("maria").Skeleton()
	for name, like := range map[string]bool{
		"Maria": true, "MARIA": true, "\uff2d\uff21\uff32\uff29\uff21": true, "M a r i a": true, "\u2605 Maria \u2605": true, "Maria \U0001f451": true,
		"\u041caria": true, "(maria)": true, ".maria.": true, "Mar\u0131a": true,
		"Maria B.": false, "Mario": false, "": false, "mar.ia": false,
	} {
		want(t, name, DisplaySkeleton(name) == maria, like)
	}
	for _, name := range []string{"", "\U0001f451", "...", " "} {
		want(t, fmt.Sprintf("%q", name), DisplaySkeleton(name), "")
	}
	for _, name := range []Username{"paypal", "anna", "a1ice", "m\u00fcller", "\u5c71\u7530", "a.b_c-d"} {
		want(t, string(name), DisplaySkeleton(string(name)), name.Skeleton())
	}
}

// What would speak for the service is nobody's display name.
func TestReservedDisplayNames(t *testing.T) {
	for _, name := range []string{
		"admin", "Admin", "ADMINISTRATOR", "[System]", "\u2605 Admin \u2605", "S y s t e m", "\u0410dmin", "\uff33\uff39\uff33\uff34\uff25\uff2d", "System Admin",
		"- moderator -", "Support Staff", "NickServ", "everyone", "root", "guest",
	} {
		_, err := ParseDisplayName(name)
		wantKind(t, name, err, KindInvalidInput)
	}
	for _, name := range []string{"Alice", "Alice (admin of nothing)", "Maria Root", "The System", "Rooter", "Modesty"} {
		if got, err := ParseDisplayName(name); err != nil || got != name {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
}

// A display name that is another's username is kept, but told to nobody, whichever of the two came first.
func TestDisplayNameOfAnother(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		h := n[0].house
		early := h.person(t, "early")
		by := as(early.Proven.Identity)
		told := func(g Grant, want1 string) {
			t.Helper()
			for i := range n {
				want(t, fmt.Sprint("told by node ", i), must[Identity](t)(n[i].auth(t, g)).DisplayName, want1)
			}
		}
		must[Account](t)(h.UpdateProfile(t.Context(), by, ProfileChange{DisplayName: ptr("Maria")}))
		told(early, "Maria")
		r := joining("maria")
		r.DisplayName = "Maria"
		maria := must[Grant](t)(n[1].Join(t.Context(), r))
		told(maria, "Maria")
		told(early, "") // at once
		want(t, "what its owner sees", must[Account](t)(h.Profile(t.Context(), by.Identity)).DisplayName, "Maria")

		r = joining("late")
		r.DisplayName = "MARIA"
		late := must[Grant](t)(h.Join(t.Context(), r))
		want(t, "from the first token on", late.Proven.DisplayName, "")
		told(late, "")
		must[Account](t)(h.UpdateProfile(t.Context(), by, ProfileChange{DisplayName: ptr("Early")}))
		told(early, "Early")

		h.store.onCall(failing("AccountsShownAs"))
		h.register(t, "another") // does not depend on it
		h.store.onCall(nil)
	})
}
