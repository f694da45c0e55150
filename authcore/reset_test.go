package authcore

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// bubble runs f with a house whose clock is that of a bubble, so that nobody waits.
func bubble(t *testing.T, f func(t *testing.T, h *house), settings ...setting) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t, append([]setting{func(o *StateOptions, p *Policy) {
			o.Now = time.Now
			o.Limits = must[*MemoryLimits](t)(NewMemoryLimits(time.Now))
			p.Conceal = false
		}}, settings...)...)
		f(t, h)
		h.store.onCall(nil)
		h.idle()
	})
}

func conceal(_ *StateOptions, p *Policy) { p.Conceal = true }

func (h *house) requestReset(name string) (PendingReset, error) {
	return h.RequestReset(context.Background(), ResetRequest{ClaimedName: name, Client: client})
}

// code asks for a code and reads it in the mail.
func (h *house) code(t testing.TB, name string) (PendingReset, string) {
	t.Helper()
	h.idle() // or a notice of before comes behind it
	p := must[PendingReset](t)(h.requestReset(name))
	h.idle()
	n := h.mail.last()
	want(t, "notice", n.Kind, NoticeResetCode)
	return p, string(n.Code)
}

func (h *house) reset(p PendingReset, code, password string) error {
	return h.ResetPassword(context.Background(), PasswordReset{p.UserHash, p.Request, code, NewPassword(password), client})
}

// wrong returns another code than that.
func wrong(code string) string { return string('0'+('9'-code[0])) + code[1:] }

const (
	newPassword     = "Harbour-Violin-28"
	toldOfCode      = "reset-code to alice@example.com;"
	toldOfNewSecret = "password-changed to alice@example.com;"
)

func TestReset(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		g := n[0].join(t, "alice")
		other := n[1].login(t, "alice")
		bob := n[0].join(t, "bob")
		var conns [2]conn
		n[0].hold(t, g, &conns[0], false)
		n[1].hold(t, other, &conns[1], false)
		for range 9 {
			_, _ = n[0].try(t, "alice", "wrong password")
		}
		_, err := n[0].try(t, "alice", rightPassword)
		wantKind(t, "a login after failures", err, KindRateLimited)

		p, code := n[0].code(t, "ALICE")
		note := n[0].mail.last()
		want(t, "notice", fmt.Sprint(note.To, note.Username, note.Lifetime, note.Device, note.Addr), fmt.Sprint("alice@example.com", "alice", 10*time.Minute, "tests", client.Addr))
		want(t, "user hash", p.UserHash, n[1].UserHash("alice"))
		want(t, "length of the user hash", len(p.UserHash), 64)
		for _, weak := range []string{"short", "password", "Alice123", strings.Repeat("x", 1000)} {
			wantKind(t, weak, n[0].reset(p, code, weak), KindWeakPassword) // which costs no code
		}
		if err := n[0].reset(p, code, newPassword); err != nil {
			t.Fatal(err)
		}
		for i, dead := range []Grant{g, other} {
			want(t, "connection", conns[i].ended(), over)
			for k := range n {
				_, err := n[k].auth(t, dead)
				wantKind(t, "a session of before", err, KindSessionOver)
				_, err = n[k].refresh(dead, 0)
				wantKind(t, "a session of before", err, KindSessionOver)
			}
			conns[i].lease.Release()
		}
		must[Identity](t)(n[1].auth(t, bob))
		_, err = n[0].try(t, "alice", rightPassword)
		wantKind(t, "the old password", err, KindWrongPassword)
		must[Identity](t)(n[1].auth(t, must[Grant](t)(n[0].try(t, "alice", newPassword)))) // at once, whatever failed before
		wantKind(t, "the code again", n[1].reset(p, code, "Yet-Another-Pass-9"), KindBadCode)
		n[0].idle()
		want(t, "notices", n[0].mail.told(), toldOfCode+toldOfNewSecret)
	})
}

// OTP-06: three codes in ten minutes and five an hour, for every spelling together, and for nobody alike.
func TestOTP06Sends(t *testing.T) {
	for _, name := range []string{"alice", "mallory", "noaddress"} {
		bubble(t, func(t *testing.T, h *house) {
			h.join(t, "alice")
			h.register(t, "noaddress")
			start := time.Now()
			var passed []time.Duration
			for minute := range 3 * 60 {
				spelling := name
				switch minute % 3 {
				case 1:
					spelling = strings.ToUpper(name)
				case 2:
					spelling = "Ａ" + name[1:]
					if name[0] != 'a' {
						spelling = strings.ToTitle(name)
					}
				}
				_, err := h.requestReset(spelling)
				if KindOf(err) == KindRateLimited {
					if AsError(err).RetryAfter <= 0 {
						t.Error("no word on when to come back")
					}
				} else {
					passed = append(passed, time.Since(start).Truncate(time.Minute))
				}
				time.Sleep(time.Until(start.Add(time.Duration(minute+1) * time.Minute)))
			}
			want(t, "at once", slices.Equal(passed[:3], []time.Duration{0, time.Minute, 2 * time.Minute}), true)
			within := func(d time.Duration) (most int) {
				for i := range passed {
					n := 0
					for _, p := range passed[i:] {
						if p-passed[i] < d {
							n++
						}
					}
					most = max(most, n)
				}
				return most
			}
			want(t, name+": in ten minutes", within(10*time.Minute), 3)
			want(t, name+": in an hour", within(time.Hour), 5)
			if passed[3] > 13*time.Minute || len(passed) < 6 {
				t.Errorf("%s: and then %v", name, passed[3:])
			}
			if name == "alice" {
				want(t, "messages", len(h.mail.sent), len(passed))
				h.join(t, "bob")
				must[PendingReset](t)(h.requestReset("bob"))
			}
		})
	}
}

// Where accounts are not concealed, the answer says what is the matter, and comes when the mail server has answered, but
// never before a certain time.
func TestRequestReset(t *testing.T) {
	bubble(t, func(t *testing.T, h *house) {
		h.join(t, "alice")
		h.register(t, "noaddress")
		a := h.join(t, "closed").Account.ID
		must[Receipt](t)(h.Disable(t.Context(), operator, a))
		took := func(name string) (time.Duration, error) {
			start := time.Now()
			p, err := h.requestReset(name)
			if err != nil && p != (PendingReset{}) {
				t.Errorf("%s: %+v with %v", name, p, err)
			}
			return time.Since(start), err
		}
		for name, kind := range map[string]Kind{"mallory": KindUnknownAccount, "al ice": KindUnknownAccount, "noaddress": KindNoEmail, "closed": KindAccountDisabled} {
			d, err := took(name)
			wantKind(t, name, err, kind)
			want(t, name+": takes", d, trialFloor)
		}
		want(t, "codes", len(h.store.codes), 0)
		want(t, "messages", h.mail.told(), "")
		for _, takes := range []time.Duration{0, trialFloor / 2, 2 * time.Second} {
			h.mail.set(func() { h.mail.takes = takes })
			d, err := took("alice")
			want(t, "error", err, nil)
			want(t, "takes", d, max(takes, trialFloor))
		}
		time.Sleep(time.Hour)
		h.mail.set(func() { h.mail.broken, h.mail.takes = errStore, 0 })
		d, err := took("alice")
		wantKind(t, "no mail server", err, KindMailFailed)
		want(t, "takes", d, trialFloor)
		h.mail.set(func() { h.mail.broken = nil })
		for _, op := range []string{"AccountByUsername", "PutCode"} {
			h.store.onCall(func(_ context.Context, o string) error {
				if o == op {
					return errStore
				}
				return nil
			})
			time.Sleep(time.Hour)
			_, err := took("alice")
			wantKind(t, op+" fails", err, KindUnavailable)
		}
		h.store.onCall(nil)

		off := must[*Service](t)(NewService(ServiceOptions{State: h.state, Policy: h.policy}))
		time.Sleep(time.Hour)
		_, err = off.RequestReset(t.Context(), ResetRequest{ClaimedName: "alice", Client: client})
		wantKind(t, "mail is off", err, KindMailFailed)
	})
}

// A code that is not going to be sent is no success, whether or not there is somebody to send it to.
func TestConcealedCodesAreNotDropped(t *testing.T) {
	bubble(t, func(t *testing.T, h *house) {
		h.join(t, "alice")
		h.idle()
		for _, name := range []string{"alice", "mallory"} {
			h.mail.set(func() { h.mail.full = true })
			_, err := h.requestReset(name)
			wantKind(t, name+", while the queue is full", err, KindUnavailable)
			h.mail.set(func() { h.mail.full = false })
			blocked := make(chan struct{})
			for range maxWorkers {
				h.state.runIn(h.state.senders, t.Context(), "a test", func(context.Context) error { <-blocked; return nil })
			}
			_, err = h.requestReset(name)
			wantKind(t, name+", while too much is under way", err, KindUnavailable)
			close(blocked)
			h.idle()
			want(t, "places that are held", h.mail.held, 0)
			time.Sleep(24 * time.Hour)

			// Notices in the background keep no code waiting.
			blocked = make(chan struct{})
			for range maxWorkers {
				h.state.background(t.Context(), "a test", func(context.Context) error { <-blocked; return nil })
			}
			must[PendingReset](t)(h.requestReset(name))
			synctest.Wait()
			want(t, "codes to "+name, len(h.mail.queued), 1)
			close(blocked)
			h.idle()
			want(t, "places that are held", h.mail.held, 0)
			time.Sleep(24 * time.Hour)
		}
		want(t, "mail", h.mail.told(), toldOfCode)
	}, conceal)
}

// ENU-02, ENU-03: where accounts are concealed, nothing in an answer, or in when it comes, tells of one.
func TestENU03Concealed(t *testing.T) {
	bubble(t, func(t *testing.T, h *house) {
		h.join(t, "alice")
		h.register(t, "noaddress")
		closed := h.join(t, "closed").Account.ID
		must[Receipt](t)(h.Disable(t.Context(), operator, closed))
		h.mail.set(func() { h.mail.takes = 2 * time.Second })
		blocked := make(chan struct{})
		names := []string{"alice", "mallory", "noaddress", "closed", "al ice"}
		for round := range 12 {
			var answers []string
			for _, name := range names {
				if round == 0 { // what happens for an account alone is not waited for
					h.store.onCall(func(_ context.Context, op string) error {
						if op == "PutCode" {
							<-blocked
						}
						return nil
					})
				}
				start := time.Now()
				p, err := h.requestReset(name)
				answers = append(answers, fmt.Sprintf("%s: %v %d %d", time.Since(start), err, len(p.UserHash), len(p.Request)))
			}
			for i := range answers {
				want(t, fmt.Sprint("request ", round, " for ", names[i]), answers[i], answers[1])
			}
			if round == 0 {
				close(blocked)
				h.store.onCall(nil)
			}
			h.idle()
			time.Sleep(2 * time.Minute)
		}
		for _, n := range h.mail.queued {
			want(t, "notice", fmt.Sprint(n.Kind, n.To), "reset-codealice@example.com")
		}
		want(t, "sent at once", len(h.mail.sent), 0)
		if len(h.mail.queued) < 3 || len(h.mail.queued) > 6 {
			t.Errorf("%d messages", len(h.mail.queued))
		}

		// A wrong code is as wrong for somebody as for nobody, however often.
		time.Sleep(24 * time.Hour)
		for round := range 4 {
			var requests []PendingReset
			for _, name := range names {
				requests = append(requests, must[PendingReset](t)(h.requestReset(name)))
			}
			h.idle()
			code := string(h.mail.last().Code)
			for try := range 7 {
				var answers []string
				for _, p := range requests {
					start := time.Now()
					err := h.reset(p, wrong(code), newPassword)
					answers = append(answers, fmt.Sprintf("%s: %+v", time.Since(start), *AsError(err)))
				}
				for i := range answers {
					want(t, fmt.Sprintf("try %d of round %d for %s", try, round, names[i]), answers[i], answers[1])
				}
			}
			time.Sleep(time.Hour)
		}
		time.Sleep(24 * time.Hour)
		p, code := h.code(t, "alice")
		if err := h.reset(p, code, newPassword); err != nil {
			t.Error(err)
		}
		for _, name := range names {
			_, err := h.try(t, name, "wrong password")
			want(t, "login of "+name, fmt.Sprintf("%+v", *AsError(err)), fmt.Sprintf("%+v", *errWrongPassword))
		}
	}, conceal)
}

// An attempt of which nothing came, though the code was right, is no wrong code.
func TestResetUndecided(t *testing.T) {
	bubble(t, func(t *testing.T, h *house) {
		a := h.join(t, "alice").Account
		for range 3 { // more tries than the account has wrong ones, over several codes
			p, code := h.code(t, "alice")
			for i := range CodeTries - 1 {
				h.store.onCall(func(_ context.Context, op string) error {
					if op == "ResetPassword" && i%2 == 0 {
						return errStore
					}
					return nil
				})
				if i%2 == 0 {
					wantKind(t, "the store fails", h.reset(p, code, newPassword), KindUnavailable)
				} else {
					wantKind(t, "the name", h.reset(p, code, "alice123"), KindWeakPassword)
				}
			}
			h.store.onCall(nil)
			time.Sleep(time.Hour)
		}
		p, code := h.code(t, "alice")
		must[Receipt](t)(h.Disable(t.Context(), operator, a.ID))
		wantKind(t, "closed", h.reset(p, code, newPassword), KindAccountDisabled)
		if err := h.store.SetDisabled(t.Context(), a.ID, false); err != nil {
			t.Fatal(err)
		}
		if err := h.reset(p, code, newPassword); err != nil {
			t.Errorf("opened again: %v", err)
		}
	})
}

// OTP-04: a login that was proven with the old password does not outlive the reset, nor bring the old hash back.
func TestResetRacesLogin(t *testing.T) {
	bubble(t, func(t *testing.T, h *house) {
		h.join(t, "alice")
		p, code := h.code(t, "alice")
		inLogin, done := make(chan struct{}), make(chan struct{})
		h.store.onCall(func(_ context.Context, op string) error {
			if op == "CreateSession" {
				close(inLogin)
				<-done
			}
			return nil
		})
		var g Grant
		var wg sync.WaitGroup
		wg.Go(func() { g, _ = h.try(t, "alice", rightPassword) })
		<-inLogin
		if err := h.reset(p, code, newPassword); err != nil {
			t.Error(err)
		}
		close(done)
		wg.Wait()
		_, err := h.auth(t, g)
		wantKind(t, "the late session", err, KindSessionOver)
	})
}

// SES-05: a reset that the other nodes could not be told of is an error, and takes effect all the same.
func TestResetNotTold(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		g := n[1].join(t, "alice")
		var c conn
		n[1].hold(t, g, &c, false)
		p, code := n[0].code(t, "alice")
		n[0].feed.cutOff()
		wantKind(t, "reset", n[0].reset(p, code, newPassword), KindUnavailable)
		must[Grant](t)(n[0].try(t, "alice", newPassword))
		n[0].feed.reconnect()
		passes(2 * time.Second)
		want(t, "the connection", c.ended(), over)
		c.lease.Release()
	})
}

// Requests and codes cost the budget of a client's address.
func TestResetByAddress(t *testing.T) {
	bubble(t, func(t *testing.T, h *house) {
		h.join(t, "alice")
		p, code := h.code(t, "alice")
		wantKind(t, "one", h.reset(p, wrong(code), newPassword), KindBadCode)
		_, err := h.requestReset("mallory")
		wantKind(t, "one more", err, KindUnknownAccount)
		_, err = h.requestReset("trent")
		wantKind(t, "one too many", err, KindRateLimited)
		wantKind(t, "one too many", h.reset(p, code, newPassword), KindRateLimited)
		if err := h.ResetPassword(t.Context(), PasswordReset{p.UserHash, p.Request, code, NewPassword(newPassword), Client{Addr: netip.MustParseAddr("198.51.100.7")}}); err != nil {
			t.Error(err)
		}
	}, func(_ *StateOptions, p *Policy) { p.LoginRate = Rate{3, time.Hour} })
}
