package authcore

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

const theNumber = "+44 7400 123456"

// asks is a registration over the dialect `line`, with other fields where a test wants them.
func asks(name string, change ...func(*PhoneRegistration)) PhoneRegistration {
	r := PhoneRegistration{
		ClaimedName: name, Password: NewPassword(rightPassword), ClaimedPhone: theNumber, Client: client,
		MinUsername: 3, MaxUsername: 32, MinPassword: 10, MaxPassword: 64,
	}
	for _, c := range change {
		c(&r)
	}
	return r
}

func phone(number string) func(*PhoneRegistration) {
	return func(r *PhoneRegistration) { r.ClaimedPhone = number }
}

func email(address string) func(*PhoneRegistration) {
	return func(r *PhoneRegistration) { r.ClaimedEmail = address }
}

func password(text string) func(*PhoneRegistration) {
	return func(r *PhoneRegistration) { r.Password = NewPassword(text) }
}

func from(addr string) func(*PhoneRegistration) {
	return func(r *PhoneRegistration) { r.Client.Addr = netip.MustParseAddr(addr) }
}

var sixDigits = regexp.MustCompile(`^\d{6}\b`)

// texted returns the code in the latest text message, and where that went.
func (h *house) texted(t testing.TB) (code, to string) {
	t.Helper()
	all := h.texts.all()
	if len(all) == 0 {
		t.Fatal("no text was sent")
	}
	last := all[len(all)-1]
	return sixDigits.FindString(last.text), last.to
}

// signUp registers with a number.
func (h *house) signUp(t testing.TB, r PhoneRegistration) {
	t.Helper()
	if err := h.RegisterByPhone(t.Context(), r); err != nil {
		t.Fatalf("registering %q: %v", r.ClaimedName, err)
	}
}

func (h *house) validate(t testing.TB, number, code string) error {
	return h.ValidatePhone(t.Context(), PhoneValidation{ClaimedPhone: number, Code: code, Client: client})
}

func (h *house) confirm(t testing.TB, address, code string) error {
	return h.ValidateEmail(t.Context(), EmailValidation{ClaimedEmail: address, Code: code, Client: client})
}

// wrongCode differs from a code in each digit.
func wrongCode(code string) string {
	return strings.Map(func(r rune) rune { return '0' + (r-'0'+1)%10 }, code)
}

func TestRegisterByPhone(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.signUp(t, asks("Alice", email("Alice@Example.com")))
	code, to := h.texted(t)
	want(t, "the text is sent to", to, "+447400123456")
	want(t, "the text", h.texts.all()[0].text, code+" is your code for chatgate. It is good for 10 minutes. Nobody will ask you for it.")
	n := h.mail.last()
	want(t, "the notice", fmt.Sprint(n.Kind, n.To, n.Username, n.Lifetime), fmt.Sprint(NoticeConfirmCode, "Alice@example.com", "alice", CodeLifetime))
	a, err := h.state.options.Accounts.AccountByUsername(t.Context(), "alice")
	want(t, "the account", err, nil)
	want(t, "the address is not kept", a.Email, "")
	want(t, "its hash is", len(a.EmailHash), 32)
	want(t, "pending", fmt.Sprint(a.PhonePending, a.EmailPending), "true true")

	_, err = h.try(t, "alice", rightPassword)
	wantKind(t, "before both", err, KindUnverifiedPhone)
	_, err = h.try(t, "alice", "wrong-Quarry-71")
	wantKind(t, "who does not know the password", err, KindWrongPassword)
	_, err = h.Login(t.Context(), Credentials{ClaimedEmail: "alice@example.com", Password: NewPassword(rightPassword), Client: client})
	wantKind(t, "by the address", err, KindUnverifiedPhone)
	_, err = h.LoginOrJoin(t.Context(), Credentials{ClaimedName: "alice", Password: NewPassword(rightPassword), Client: client})
	wantKind(t, "by a dialect that makes accounts", err, KindUnverifiedPhone)

	want(t, "validating", h.validate(t, "+44 (0)7400-123456", code), nil)
	_, err = h.try(t, "alice", rightPassword)
	wantKind(t, "before the address", err, KindUnverifiedEmail)
	wantKind(t, "the code a second time", h.validate(t, theNumber, code), KindInvalidPhone)
	want(t, "confirming", h.confirm(t, "alice@EXAMPLE.com", string(n.Code)), nil)
	h.login(t, "alice")
	_, err = h.Login(t.Context(), Credentials{ClaimedEmail: "alice@example.com", Password: NewPassword(rightPassword), Client: client})
	want(t, "by the address", err, nil)
	wantKind(t, "that code a second time", h.confirm(t, "alice@example.com", string(n.Code)), KindInvalidEmail)

	wantKind(t, "registering again", h.RegisterByPhone(t.Context(), asks("alice")), KindUsernameTaken)
	wantKind(t, "the number again", h.RegisterByPhone(t.Context(), asks("bob", phone("+447400123456"))), KindPhoneTaken)
	wantKind(t, "the address again", h.RegisterByPhone(t.Context(), asks("bob", phone("+447400123457"), email("ALICE@example.com"))), KindEmailTaken)
	_, err = h.state.options.Accounts.AccountByUsername(t.Context(), "bob")
	wantKind(t, "bob", err, KindUnknownAccount)
	wantKind(t, "a code for the address", h.RequestResetErr(t, "alice"), KindNoEmail) // which cannot be written to

	h.register(t, "carol") // over another dialect
	h.login(t, "carol")
}

func (h *house) RequestResetErr(t testing.TB, name string) error {
	_, err := h.RequestReset(t.Context(), ResetRequest{ClaimedName: name, Client: client})
	return err
}

func TestRegisterByPhoneWithoutAddress(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.signUp(t, asks("alice"))
	code, _ := h.texted(t)
	want(t, "mail", h.mail.told(), "")
	want(t, "validating", h.validate(t, theNumber, code), nil)
	h.login(t, "alice")
}

func TestRegisterByPhoneRefuses(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(_ *StateOptions, p *Policy) { p.Countries = []string{"GB"} })
	for _, c := range []struct {
		what string
		r    PhoneRegistration
		kind Kind
	}{
		{"a short name", asks("ab"), KindInvalidUsername},
		{"a long name", asks(strings.Repeat("a", 33)), KindInvalidUsername},
		{"a reserved name", asks("admin"), KindInvalidUsername},
		{"a short password", asks("alice", password("Lant-Q-71")), KindWeakPassword},
		{"a long password", asks("alice", password(strings.Repeat("Lantern-", 8)+"x")), KindWeakPassword},
		{"a common password", asks("alice", password("1234567890")), KindWeakPassword},
		{"the name as the password", asks("alice", password("alice12345")), KindWeakPassword},
		{"no number", asks("alice", phone("")), KindInvalidPhone},
		{"no valid number", asks("alice", phone("+44123")), KindInvalidPhone},
		{"a number of another country", asks("alice", phone("+4915123456789")), KindInvalidPhone},
		{"a premium number", asks("alice", phone("+449098790123")), KindInvalidPhone},
		{"no address", asks("alice", email("x")), KindInvalidEmail},
	} {
		wantKind(t, c.what, h.RegisterByPhone(t.Context(), c.r), c.kind)
	}
	want(t, "texts", len(h.texts.all()), 0)
	want(t, "mail", h.mail.told(), "")
	want(t, "accounts", len(h.store.accounts), 0)
	h.signUp(t, asks("abc", password(strings.Repeat("Lantern-", 8))))
	long := asks(strings.Repeat("a", 32), password("Lantern-71"), phone("+447400123457"))
	h.signUp(t, long)
}

func TestRegisterByPhoneIsOff(t *testing.T) {
	t.Parallel()
	for what, c := range map[string]struct {
		set  setting
		kind Kind
	}{
		"closed":  {func(_ *StateOptions, p *Policy) { p.Registration = RegistrationClosed }, KindRegistrationClosed},
		"invited": {func(_ *StateOptions, p *Policy) { p.Registration = RegistrationInvited }, KindInviteRequired},
	} {
		h := newHouse(t, c.set)
		wantKind(t, what, h.RegisterByPhone(t.Context(), asks("alice")), c.kind)
	}
	h := newHouse(t)
	wantKind(t, "without texts", must[*Service](t)(NewService(ServiceOptions{State: h.state, Policy: h.policy, Mailer: h.mail})).RegisterByPhone(t.Context(), asks("alice")), KindUnavailable)
	s := must[*Service](t)(NewService(ServiceOptions{State: h.state, Policy: h.policy, Texter: h.texts}))
	err := s.RegisterByPhone(t.Context(), asks("alice", email("a@example.com")))
	wantKind(t, "without mail", err, KindUnavailable)
	if !errors.Is(err, errNoMail) { // which is in the log, for the operator
		t.Errorf("without mail: %v", AsError(err).Err)
	}
	want(t, "accounts", len(h.store.accounts), 0)
	want(t, "without mail, where none is needed", s.RegisterByPhone(t.Context(), asks("alice")), nil)
}

// Repeating a registration sends what is still needed, to whoever knows the password.
func TestRegisterByPhoneAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.signUp(t, asks("alice", email("alice@example.com")))
	first, _ := h.texted(t)
	firstMail := h.mail.last()
	wantKind(t, "with another password", h.RegisterByPhone(t.Context(), asks("alice", password("Another-Quarry-71"))), KindUsernameTaken)
	want(t, "texts", len(h.texts.all()), 1)

	const other = "+44 7400 123457"
	h.signUp(t, asks("ALICE", phone(other), email("new@example.com")))
	second, to := h.texted(t)
	want(t, "another number", to, "+447400123457")
	wantKind(t, "the first number", h.validate(t, theNumber, first), KindInvalidPhone)
	if first != second {
		wantKind(t, "the first code for the second number", h.validate(t, other, first), KindBadCode)
	}
	wantKind(t, "the first address", h.confirm(t, "alice@example.com", string(firstMail.Code)), KindInvalidEmail)
	want(t, "the second number", h.validate(t, other, second), nil)
	want(t, "the first number is still free", len(h.store.phones), 1)

	texts := len(h.texts.all())
	h.signUp(t, asks("alice", email("newer@example.com"))) // now only the address is needed
	want(t, "texts", len(h.texts.all()), texts)
	n := h.mail.last()
	want(t, "the address", string(n.To), "newer@example.com")
	want(t, "confirming", h.confirm(t, "newer@example.com", string(n.Code)), nil)
	h.login(t, "alice")
	wantKind(t, "when it is finished", h.RegisterByPhone(t.Context(), asks("alice")), KindUsernameTaken)

	// An address that was a mistake can be left out.
	h.signUp(t, asks("bob", phone("+447400123458"), email("typo@example.com")))
	h.signUp(t, asks("bob", phone("+447400123458")))
	code, _ := h.texted(t)
	want(t, "bob's number", h.validate(t, "+447400123458", code), nil)
	h.login(t, "bob")
	h.signUp(t, asks("carol", phone("+447400123459"), email("typo@example.com"))) // it is free

	// One that was validated stays.
	n = h.mail.last()
	want(t, "carol's address", h.confirm(t, "typo@example.com", string(n.Code)), nil)
	told := h.mail.told()
	h.signUp(t, asks("carol", phone("+447400123459"), email("other@example.com")))
	want(t, "mail", h.mail.told(), told)
	code, _ = h.texted(t)
	want(t, "carol's number", h.validate(t, "+447400123459", code), nil)
	_, err := h.Login(t.Context(), Credentials{ClaimedEmail: "typo@example.com", Password: NewPassword(rightPassword), Client: client})
	want(t, "carol's address", err, nil)
}

// Guesses of the password of an account that is not validated count as those at a login do.
func TestRegisterByPhoneGuesses(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.signUp(t, asks("alice"))
	for i := range h.policy.Backoff.Free {
		wantKind(t, fmt.Sprint(i), h.RegisterByPhone(t.Context(), asks("alice", password(fmt.Sprint("Another-Quarry-", i)))), KindUsernameTaken)
	}
	wantKind(t, "too many", h.RegisterByPhone(t.Context(), asks("alice")), KindRateLimited)
	_, err := h.try(t, "alice", rightPassword)
	wantKind(t, "at a login", err, KindRateLimited)
}

func TestRegisterByPhoneSendingFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.texts.set(func() { h.texts.broken = errors.New("the provider answered 500") })
	err := h.RegisterByPhone(t.Context(), asks("alice"))
	wantKind(t, "the provider fails", err, KindUnavailable)
	h.texts.set(func() { h.texts.broken = nil })
	h.mail.set(func() { h.mail.broken = errors.New("full") })
	wantKind(t, "mail fails", h.RegisterByPhone(t.Context(), asks("alice", email("a@example.com"))), KindUnavailable)
	want(t, "no text was sent for that", len(h.texts.all()), 0)
	h.mail.set(func() { h.mail.broken = nil })
	h.signUp(t, asks("alice"))
	code, _ := h.texted(t)
	want(t, "validating", h.validate(t, theNumber, code), nil)
	h.login(t, "alice")
}

// MSG-03, OTP-06: what is sent is bounded by number, by client, and in all.
func TestTextLimits(t *testing.T) {
	t.Parallel()
	send := func(h *house, i int, number, addr string) error {
		return h.RegisterByPhone(t.Context(), asks(fmt.Sprintf("user%d", i), phone(number), from(addr)))
	}
	addr := func(i int) string { return fmt.Sprintf("192.0.2.%d", i) }
	number := func(i int) string { return fmt.Sprintf("+4474001234%02d", i) }

	h := newHouse(t)
	sent := 0
	for i := range 4 {
		if err := send(h, i, []string{theNumber, "+447400123456", "+44 (0)7400-123456", "+44.7400.123456"}[i], addr(i)); err == nil {
			sent++
		} else {
			wantKind(t, "too many to one number", err, KindRateLimited)
		}
	}
	want(t, "to one number at once", sent, 3)
	want(t, "texts", len(h.texts.all()), 3)
	for i := range 6*60 - 1 {
		h.clock.Advance(10 * time.Second)
		_ = send(h, i, theNumber, addr(i%200))
	}
	if n := len(h.texts.all()); n < 4 || n > 5 {
		t.Errorf("%d texts to one number in an hour", n)
	}
	want(t, "and what is not sent makes no account", len(h.store.accounts) <= 5, true)

	h = newHouse(t)
	sent = 0
	for i := range 15 {
		if err := send(h, i, number(i), addr(1)); err == nil {
			sent++
		} else {
			wantKind(t, "too many of one client", err, KindRateLimited)
		}
	}
	want(t, "of one client", sent, 10)
	want(t, "of another", send(h, 20, number(20), addr(2)), nil)

	h = newHouse(t, func(_ *StateOptions, p *Policy) { p.TextBudget = Rate{Burst: 4, Per: 24 * time.Hour} })
	sent = 0
	for i := range 8 {
		if err := send(h, i, number(i), addr(i)); err == nil {
			sent++
		} else {
			wantKind(t, "the budget is used up", err, KindUnavailable)
		}
	}
	want(t, "in all", sent, 4)
	h.clock.Advance(6*time.Hour + time.Second)
	want(t, "after a quarter of a day", send(h, 9, number(9), addr(9)), nil)

	// Sends that fail count, too.
	h = newHouse(t)
	h.texts.set(func() { h.texts.broken = errors.New("down") })
	for range 3 {
		wantKind(t, "down", send(h, 1, theNumber, addr(1)), KindUnavailable)
	}
	wantKind(t, "down for long", send(h, 1, theNumber, addr(1)), KindRateLimited)

	// So do messages to an address.
	h = newHouse(t)
	for i := range 4 {
		err := h.RegisterByPhone(t.Context(), asks("alice", phone(number(i)), email("victim@example.com")))
		if i < 3 {
			want(t, "to an address", err, nil)
		} else {
			wantKind(t, "too many to an address", err, KindRateLimited)
		}
	}
	want(t, "mails", strings.Count(h.mail.told(), "victim@example.com"), 3)
	want(t, "texts", len(h.texts.all()), 3)
}

// OTP-01: five tries, and a new code makes up for none.
func TestPhoneCodeTries(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.signUp(t, asks("alice"))
	code, _ := h.texted(t)
	for range CodeTries {
		wantKind(t, "wrong", h.validate(t, theNumber, wrongCode(code)), KindBadCode)
	}
	wantKind(t, "the right one, too late", h.validate(t, theNumber, code), KindBadCode)
	h.signUp(t, asks("alice"))
	code, _ = h.texted(t)
	wantKind(t, "a new one does not lift the delay", h.validate(t, theNumber, code), KindRateLimited)
	h.clock.Advance(CodeLifetime + time.Second)
	wantKind(t, "it has expired meanwhile", h.validate(t, theNumber, code), KindInvalidPhone)
	h.signUp(t, asks("alice"))
	code, _ = h.texted(t)
	want(t, "after the delay", h.validate(t, theNumber, code), nil)

	h.signUp(t, asks("bob", phone("+447400123457"), email("bob@example.com")))
	mailed := string(h.mail.last().Code)
	for range CodeTries {
		wantKind(t, "wrong", h.confirm(t, "bob@example.com", wrongCode(mailed)), KindBadCode)
	}
	wantKind(t, "the right one, too late", h.confirm(t, "bob@example.com", mailed), KindBadCode)
}

func TestPhoneCodeForms(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.signUp(t, asks("alice"))
	code, _ := h.texted(t)
	for _, wrong := range []string{"", code[1:], strings.ReplaceAll(code, code[:1], "０")} {
		wantKind(t, fmt.Sprintf("%q", wrong), h.validate(t, theNumber, wrong), KindBadCode)
	}
	wantKind(t, "no number", h.validate(t, "07400 123456", code), KindInvalidPhone)
	wantKind(t, "another number", h.validate(t, "+447400123457", code), KindInvalidPhone)
	wantKind(t, "no address", h.confirm(t, "x", code), KindInvalidEmail)
	wantKind(t, "nobody's address", h.confirm(t, "x@example.com", code), KindInvalidEmail)
	h.clock.Advance(CodeLifetime - time.Second)
	want(t, "just in time", h.validate(t, theNumber, code), nil)
}

// Several people may claim one number; whoever has it has the code of one of them, and the others go without.
func TestOneNumberForMany(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	codes := make([]string, 3)
	for i := range codes {
		h.signUp(t, asks(fmt.Sprintf("user%d", i)))
		codes[i], _ = h.texted(t)
	}
	var wins atomic.Int32
	parallel(3*4, func(i int) {
		err := h.validate(t, theNumber, codes[i%3])
		if err == nil {
			wins.Add(1)
		} else {
			wantKind(t, "a loser", err, KindBadCode, KindInvalidPhone, KindRateLimited)
		}
	})
	want(t, "who got the number", wins.Load(), 1)
	free := 0
	for i := range codes {
		a := must[Account](t)(h.state.options.Accounts.AccountByUsername(t.Context(), Username(fmt.Sprintf("user%d", i))))
		if !a.PhonePending {
			free++
		}
	}
	want(t, "who is free", free, 1)
	want(t, "what knows both is gone", len(h.store.pending), 0)
}

func TestConcealedNumbers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(_ *StateOptions, p *Policy) { p.Conceal = true })
	wantKind(t, "a number that waits for nothing", h.validate(t, theNumber, "123456"), KindBadCode)
	wantKind(t, "an address that waits for nothing", h.confirm(t, "a@example.com", "123456"), KindBadCode)
	wantKind(t, "no number", h.validate(t, "x", "123456"), KindInvalidPhone)
	h.signUp(t, asks("alice"))
	code, _ := h.texted(t)
	want(t, "validating", h.validate(t, theNumber, code), nil)
	h.signUp(t, asks("bob")) // the number is taken, which only its owner is told
	texts := h.texts.all()
	want(t, "texts", len(texts), 2)
	last := texts[len(texts)-1]
	want(t, "the last goes to", last.to, "+447400123456")
	if !strings.HasPrefix(last.text, "Somebody wants to use this number at chatgate") || regexp.MustCompile(`\d{6}`).MatchString(last.text) {
		t.Errorf("the text is %q", last.text)
	}
	_, err := h.try(t, "bob", rightPassword)
	wantKind(t, "bob", err, KindUnverifiedPhone)
	for range CodeTries + 1 {
		wantKind(t, "bob guesses", h.validate(t, theNumber, "123456"), KindBadCode)
	}
	h.signUp(t, asks("bob", phone("+447400123457")))
	code, _ = h.texted(t)
	want(t, "with another number", h.validate(t, "+447400123457", code), nil)
	h.login(t, "bob")
}

func TestUnvalidatedAccountsGo(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.signUp(t, asks("alice", email("alice@example.com")))
	h.register(t, "bob")
	h.signUp(t, asks("carol", phone("+447400123457")))
	code, _ := h.texted(t)
	want(t, "carol", h.validate(t, "+447400123457", code), nil)
	h.state.forgetPhones(t.Context())
	want(t, "codes", len(h.store.pending), 1)
	h.clock.Advance(CodeLifetime + time.Second)
	h.state.forgetPhones(t.Context())
	want(t, "codes after their time", len(h.store.pending), 0)
	h.clock.Advance(keepUnvalidated - CodeLifetime - time.Minute)
	h.state.purge(t.Context())
	want(t, "accounts in time", len(h.store.accounts), 3)
	h.clock.Advance(2 * time.Minute)
	h.state.purge(t.Context())
	want(t, "accounts after that", len(h.store.accounts), 2)
	h.login(t, "bob")
	h.login(t, "carol")
	h.signUp(t, asks("alice", password("Another-Quarry-71"), email("alice@example.com"))) // the name is free again
}

func TestPhonesStoreFails(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	h.signUp(t, asks("alice", email("alice@example.com")))
	code, _ := h.texted(t)
	mailed := string(h.mail.last().Code)
	for _, op := range []string{"PhoneValidated", "PutPhoneCode", "PutCode", "AccountByUsername", "TryPhoneCodes", "ValidatePhone", "TryEmailCodes", "ConfirmEmail"} {
		h.store.onCall(func(_ context.Context, called string) error {
			if called == op {
				return errors.New("down")
			}
			return nil
		})
		var err error
		switch op {
		case "TryPhoneCodes", "ValidatePhone":
			err = h.validate(t, theNumber, code)
		case "TryEmailCodes", "ConfirmEmail":
			err = h.confirm(t, "alice@example.com", mailed)
		default:
			err = h.RegisterByPhone(t.Context(), asks("bob"+strings.ToLower(op), phone("+447400123457"), email(op+"@example.com"), from("192.0.2.99")))
			h.clock.Advance(time.Minute)
		}
		wantKind(t, op, err, KindUnavailable)
		h.store.onCall(nil)
	}
	want(t, "the number, after that", h.validate(t, theNumber, code), nil)
	want(t, "the address, after that", h.confirm(t, "alice@example.com", mailed), nil)
}
