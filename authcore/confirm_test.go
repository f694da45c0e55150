package authcore

import (
	"context"
	"fmt"
	"testing"
	"time"
)

const theAddress = "ceo@example.com"

// claims registers somebody with an address that is not confirmed, and returns the code that was sent there.
func (h *house) claims(t testing.TB, name string) (Grant, string) {
	t.Helper()
	r := joining(name)
	r.ClaimedEmail = theAddress
	g := must[Grant](t)(h.Join(t.Context(), r))
	n := h.mail.last()
	want(t, "the notice", fmt.Sprint(n.Kind, n.To, n.Username, n.Lifetime), fmt.Sprint(NoticeConfirmCode, theAddress, name, CodeLifetime))
	return g, string(n.Code)
}

func (h *house) loginByAddress(t testing.TB) (Grant, error) {
	return h.Login(t.Context(), Credentials{ClaimedEmail: theAddress, Password: NewPassword(rightPassword), Client: client})
}

// An address that nobody has proven is told to nobody and kept from nobody. Who proves it is the only one with it.
func TestClaimedAddress(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		h := n[0].house
		mallory, malloryCode := h.claims(t, "mallory")
		owner, code := h.claims(t, "carol")
		late, _ := h.claims(t, "late")
		told := func(g Grant) string {
			t.Helper()
			var out string
			for i := range n {
				out += must[Identity](t)(n[i].auth(t, g)).Email + ";"
			}
			return out
		}
		for _, g := range []Grant{mallory, owner, late} {
			want(t, "told of a claim", told(g), ";;")
		}
		want(t, "the first claim", must[Grant](t)(h.loginByAddress(t)).Account.Username, "mallory")

		by := as(owner.Proven.Identity)
		wantKind(t, "a code of another claim", h.ConfirmEmail(t.Context(), by, malloryCode), KindBadCode)
		wantKind(t, "a wrong code", h.ConfirmEmail(t.Context(), by, wrong(code)), KindBadCode)
		want(t, "the right one, in groups", h.ConfirmEmail(t.Context(), by, code[:3]+" "+code[3:]), nil)
		want(t, "told, at once and everywhere", told(owner), theAddress+";"+theAddress+";")
		want(t, "login by the address", must[Grant](t)(h.loginByAddress(t)).Account.Username, "carol")

		for _, g := range []Grant{mallory, late} {
			want(t, "told of a claim that is void", told(g), ";;")
			a := must[Account](t)(h.Profile(t.Context(), g.Proven.Identity))
			want(t, "what it has", fmt.Sprint(a.Email, len(a.EmailHash)), "0")
			wantKind(t, "its code", h.ConfirmEmail(t.Context(), as(g.Proven.Identity), malloryCode), KindNoEmail)
			wantKind(t, "another code", h.RequestEmailCode(t.Context(), as(g.Proven.Identity)), KindNoEmail)
			wantKind(t, "a code for a password", h.RequestResetErr(t, string(g.Account.Username)), KindNoEmail)
		}
		r := joining("frank")
		r.ClaimedEmail = theAddress
		_, err := h.Join(t.Context(), r)
		wantKind(t, "to claim it now", err, KindEmailTaken)
		wantKind(t, "a code for what is confirmed", h.RequestEmailCode(t.Context(), by), KindInvalidInput)
	})
}

// A code that was sent to an address to choose a password proves that it is read as well.
func TestResetProvesAddress(t *testing.T) {
	h := newHouse(t)
	mallory, _ := h.claims(t, "mallory")
	h.claims(t, "carol")
	p, code := h.code(t, "carol")
	want(t, "a reset", h.reset(p, code, newPassword), nil)
	g := must[Grant](t)(h.try(t, "carol", newPassword))
	want(t, "told", must[Identity](t)(h.auth(t, g)).Email, theAddress)
	want(t, "a claim that is void", must[Account](t)(h.Profile(t.Context(), mallory.Proven.Identity)).Email, "")
}

// Without mail an address belongs to whoever claims it first, and nobody is told of it.
func TestAddressesWithoutMail(t *testing.T) {
	h := newHouse(t)
	h.Service = must[*Service](t)(NewService(ServiceOptions{State: h.state, Policy: h.policy}))
	r := joining("mallory")
	r.ClaimedEmail = theAddress
	g := must[Grant](t)(h.Join(t.Context(), r))
	want(t, "told", must[Identity](t)(h.auth(t, g)).Email, "")
	r.ClaimedName = "carol"
	_, err := h.Join(t.Context(), r)
	wantKind(t, "the address again", err, KindEmailTaken)
	wantKind(t, "a code", h.RequestEmailCode(t.Context(), as(g.Proven.Identity)), KindMailFailed)
}

func TestRequestEmailCode(t *testing.T) {
	bubble(t, func(t *testing.T, h *house) {
		g, first := h.claims(t, "carol")
		by := as(g.Proven.Identity)
		want(t, "asking", h.RequestEmailCode(t.Context(), by), nil)
		want(t, "sent while somebody waited", len(h.mail.sent), 1)
		second := string(h.mail.last().Code)
		if first != second {
			wantKind(t, "the code before", h.ConfirmEmail(t.Context(), by, first), KindBadCode)
		}
		h.mail.set(func() { h.mail.broken = errStore })
		wantKind(t, "no mail server", h.RequestEmailCode(t.Context(), by), KindMailFailed)
		h.mail.set(func() { h.mail.broken = nil })
		wantKind(t, "the fourth message", h.RequestEmailCode(t.Context(), by), KindRateLimited)

		// What one client has used up is not another's, and all together have less than would be a nuisance.
		elsewhere := func(i int) Actor {
			far := by
			far.Client = Client{Dialect: "test", Addr: client.Addr.Next()}
			for range i {
				far.Client.Addr = far.Client.Addr.Next()
			}
			return far
		}
		mallory := must[Grant](t)(h.Join(t.Context(), Registration{ClaimedName: "mallory", Password: NewPassword(rightPassword), ClaimedEmail: theAddress, Client: client}))
		want(t, "messages", len(h.mail.all), 2)
		want(t, "an account of another address", h.RequestEmailCode(t.Context(), Actor{mallory.Proven.Identity, elsewhere(0).Client}), nil)
		for i := range 30 {
			r := Registration{ClaimedName: fmt.Sprint("mallory-", i), Password: NewPassword(rightPassword), ClaimedEmail: theAddress, Client: elsewhere(i).Client}
			must[Grant](t)(h.Join(t.Context(), r)) // which does not depend on the message
		}
		if sent := len(h.mail.all); sent > codesAnAddress.Burst {
			t.Errorf("%d messages to one address", sent)
		}

		time.Sleep(24 * time.Hour)
		for _, op := range []string{"AccountByID", "PutCode"} {
			h.store.onCall(failing(op))
			wantKind(t, op+" fails", h.RequestEmailCode(t.Context(), by), KindUnavailable)
		}
		h.store.onCall(nil)
		want(t, "asking again", h.RequestEmailCode(t.Context(), by), nil)
		code := string(h.mail.last().Code)
		for _, op := range []string{"AccountByID", "TryCode", "ConfirmEmail"} {
			h.store.onCall(failing(op))
			wantKind(t, op+" fails", h.ConfirmEmail(t.Context(), by, code), KindUnavailable)
		}
		h.store.onCall(nil)
		want(t, "after that", h.ConfirmEmail(t.Context(), by, code), nil)
		wantKind(t, "again", h.ConfirmEmail(t.Context(), by, code), KindBadCode)
		wantKind(t, "of nobody", h.ConfirmEmail(t.Context(), as(Identity{Account: "gone"}), code), KindSessionOver)
		wantKind(t, "of nobody", h.RequestEmailCode(t.Context(), as(Identity{Account: "gone"})), KindSessionOver)
		bare := h.person(t, "bare")
		wantKind(t, "without an address", h.ConfirmEmail(t.Context(), as(bare.Proven.Identity), code), KindNoEmail)
		wantKind(t, "without an address", h.RequestEmailCode(t.Context(), as(bare.Proven.Identity)), KindNoEmail)
	})
}

func failing(op string) func(context.Context, string) error {
	return func(_ context.Context, called string) error {
		if called == op {
			return errStore
		}
		return nil
	}
}

// Several who wait for one address over line have a code each. The right one decides which account has it; the others wait
// no longer, and have none.
func TestValidateEmailOfSeveral(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	var codes []string
	for i := range 3 {
		number := fmt.Sprint("+44740012345", i)
		h.signUp(t, asks(fmt.Sprint("user", i), phone(number), email(theAddress)))
		codes = append(codes, string(h.mail.last().Code))
		code, _ := h.texted(t)
		want(t, "the number", h.validate(t, number, code), nil)
	}
	_, err := h.try(t, "user0", rightPassword)
	wantKind(t, "before", err, KindUnverifiedEmail)
	want(t, "the second code", h.confirm(t, theAddress, codes[1]), nil)
	for i := range 3 {
		a := h.login(t, fmt.Sprint("user", i)).Account
		want(t, fmt.Sprint("user", i), fmt.Sprint(a.EmailConfirmed, len(a.EmailHash)), map[bool]string{true: "true 32", false: "false 0"}[i == 1])
	}
	wantKind(t, "another code", h.confirm(t, theAddress, codes[0]), KindInvalidEmail)
	want(t, "login by the address", must[Grant](t)(h.loginByAddress(t)).Account.Username, "user1")
}

// Where it is required, an account without a confirmed address is its owner's, but not let into the chat.
func TestConfirmedEmailRequired(t *testing.T) {
	required := func(_ *StateOptions, p *Policy) { p.ConfirmedEmail = true }
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		h := n[0].house
		g, code := h.claims(t, "carol")
		token := UnverifiedToken(g.Token)
		var c conn
		for i := range n {
			_, err := n[i].auth(t, g)
			wantKind(t, "let in", err, KindUnverifiedEmail)
			p := must[ProvenSession](t)(n[i].AuthenticateOwner(t.Context(), token))
			want(t, "the owner", p.Username, "carol")
			wantKind(t, "a connection", n[i].Hold(t.Context(), p, &c, &c.lease, false), KindUnverifiedEmail)
			wantKind(t, "a connection, at once", n[i].Hold(t.Context(), g.Proven, &c, &c.lease, false), KindUnverifiedEmail)
		}
		enter := Credentials{ClaimedName: "carol", Password: NewPassword(rightPassword), Enter: true, Client: client}
		sessions := len(h.store.sessions)
		_, err := h.Login(t.Context(), enter)
		wantKind(t, "a login to enter", err, KindUnverifiedEmail)
		want(t, "sessions", len(h.store.sessions), sessions)
		enter.Password = NewPassword("wrong password")
		_, err = h.Login(t.Context(), enter)
		wantKind(t, "told to who does not know the password", err, KindWrongPassword)
		h.login(t, "carol") // to confirm it

		want(t, "confirming", n[1].ConfirmEmail(t.Context(), as(g.Proven.Identity), code), nil)
		for i := range n {
			want(t, "let in, at once and everywhere", must[Identity](t)(n[i].auth(t, g)).Email, theAddress)
		}
		h.hold(t, g, &c, false)
		c.lease.Release()

		_, err = h.Join(t.Context(), joining("bare"))
		wantKind(t, "without an address", err, KindInvalidEmail)
		_, err = h.loginOrJoin("bare", rightPassword)
		wantKind(t, "by a login", err, KindUnknownAccount)
		wantKind(t, "over line", h.RegisterByPhone(t.Context(), asks("bare")), KindInvalidEmail)
		want(t, "accounts", len(h.store.accounts), 1)

		if _, err := NewService(ServiceOptions{State: h.state, Policy: h.policy}); err == nil {
			t.Error("confirmed addresses are required where none can be confirmed")
		}
	}, required)
}

// What is no confirmation and no code goes to confirmed addresses only.
func TestNoticesToConfirmedAddresses(t *testing.T) {
	h := newHouse(t)
	g, code := h.claims(t, "carol")
	h.idle()
	h.mail.take()
	for i := range 64 {
		h.loginFrom(t, "carol", fmt.Sprint("Device", i, "/1.0"))
	}
	want(t, "mail to a claim", h.mail.told(), "")
	want(t, "confirming", h.ConfirmEmail(t.Context(), as(g.Proven.Identity), code), nil)
	h.loginFrom(t, "carol", firefox)
	h.loginFrom(t, "carol", chrome)
	if h.mail.told() == "" {
		t.Error("no mail to a confirmed address")
	}
}
