package storetest

import (
	"fmt"
	"testing"

	"github.com/chatgate/chatgate/authcore"
)

// shownAs is an account with a display name.
func shownAs(name, display string) authcore.Account {
	a := newAccount(name)
	a.DisplayName = display
	return a
}

// wantClash checks whether the display name of an account is taken for the username of another.
func wantClash(t *testing.T, s authcore.AccountStore, what string, a authcore.Account, clash bool) {
	t.Helper()
	a.DisplayClash = clash
	wantByName(t, s, what, a)
}

func accountDisplayNames(t *testing.T, s authcore.AccountStore) {
	text := func(s string) *string { return &s }
	set := func(a authcore.Account, name string, clash bool) authcore.Account {
		t.Helper()
		got, err := s.SetProfile(t.Context(), a.ID, &name, nil)
		must(t, err)
		a.DisplayName, a.DisplayClash = name, clash
		wantSame(t, "as changed to "+name, got, a)
		wantByName(t, s, name, a)
		return a
	}
	own := create(t, s, shownAs("paypal", "PayPal")) // which is its own
	want(t, "one's own name", own.DisplayClash, false)
	early := create(t, s, shownAs("early", "M a r i a 👑"))
	want(t, "before there is one", early.DisplayClash, false)
	forged := shownAs("forged", "Nobody's")
	forged.DisplayClash = true // not the caller's to say
	want(t, "what the caller says", create(t, s, forged).DisplayClash, false)

	maria := create(t, s, shownAs("maria", "PAYPA1"))
	want(t, "at a registration", maria.DisplayClash, true)
	wantClash(t, s, "when the username is registered later", early, true)
	early.DisplayClash = true
	wantClash(t, s, "a bystander", own, false)

	early = set(early, "Early", false)
	early = set(early, "maria", true)
	got, err := s.SetProfile(t.Context(), early.ID, nil, text("https://example.com/b.png"))
	must(t, err)
	want(t, "when something else is changed", got.DisplayClash, true)
	early.AvatarURL = "https://example.com/b.png"
	early = set(early, "", false)
	early = set(early, "👑", false)
	maria = set(maria, "Maria", false)
	want(t, "of nobody", must2[[]authcore.AccountID](t)(s.AccountsShownAs(t.Context(), "somebody")), nil)
	want(t, "one", must2[[]authcore.AccountID](t)(s.AccountsShownAs(t.Context(), "maria")), []authcore.AccountID{maria.ID})

	// A registration that fails changes nothing.
	early = set(early, "Frank", false)
	_, err = s.CreateAccount(t.Context(), func() authcore.Account {
		a := newAccount("frank")
		a.EmailHash = maria.EmailHash
		return a
	}(), authcore.Creation{})
	wantKind(t, "a taken address", err, authcore.KindEmailTaken)
	wantByName(t, s, "after that", early)
}

func must2[T any](t *testing.T) func(v T, err error) T {
	return func(v T, err error) T {
		t.Helper()
		must(t, err)
		return v
	}
}

// accountDisplayNameRace gives some accounts a display name while others register it as their username: whoever comes
// first, it is noticed.
func accountDisplayNameRace(t *testing.T, s authcore.AccountStore) {
	for r := range rounds {
		name := fmt.Sprintf("maria%d", r+2)
		shown := make([]authcore.Account, 4)
		for i := range 2 {
			shown[i] = create(t, s, newAccount(fmt.Sprintf("s%dx%d", r, i)))
		}
		parallel(5, func(i int) {
			var err error
			switch i {
			case 0, 1:
				_, err = s.SetProfile(t.Context(), shown[i].ID, &name, nil)
			case 2, 3:
				shown[i], err = s.CreateAccount(t.Context(), shownAs(fmt.Sprintf("s%dx%d", r, i), name), authcore.Creation{})
			case 4:
				_, err = s.CreateAccount(t.Context(), newAccount(name), authcore.Creation{})
			}
			if err != nil {
				t.Error(err)
			}
		})
		for _, a := range shown {
			got, err := s.AccountByID(t.Context(), a.ID)
			must(t, err)
			want(t, "a display name that is a username", got.DisplayClash, true)
		}
		want(t, "who is shown so", len(must2[[]authcore.AccountID](t)(s.AccountsShownAs(t.Context(), authcore.Username(name)))), len(shown))
	}
}

// phoneDisplayNames gives a display name back its freedom when the account with that username was never validated.
func phoneDisplayNames(t *testing.T, s phones) {
	shown := create(t, s.accounts, shownAs("shown", "Maria"))
	other := create(t, s.accounts, shownAs("other", "Bob"))
	create(t, s.accounts, newAccount("bob"))
	maria := newPending("maria")
	maria.CreatedAt = maria.CreatedAt.AddDate(0, 0, -2)
	create(t, s.accounts, maria)
	wantClash(t, s.accounts, "while there is one", shown, true)
	n, err := s.DeleteUnvalidated(t.Context(), now(), now())
	must(t, err)
	want(t, "accounts that went", n, 1)
	wantClash(t, s.accounts, "when it is gone", shown, false)
	wantClash(t, s.accounts, "another's", other, true)
}
