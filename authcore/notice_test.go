package authcore

import (
	"context"
	"fmt"
	"testing"
	"time"
)

func TestNoticeKinds(t *testing.T) {
	seen := make(map[string]bool)
	for _, k := range NoticeKinds() {
		if k.String() == "" || k.String() == "unknown" || seen[k.String()] {
			t.Errorf("notice %d is called %q", k, k)
		}
		seen[k.String()] = true
	}
	want(t, "kinds", len(seen), int(numNotices))
	want(t, "another", numNotices.String(), "unknown")
}

func (h *house) loginFrom(t testing.TB, name, agent string) {
	t.Helper()
	c := client
	c.UserAgent = agent
	must[Grant](t)(h.Login(t.Context(), Credentials{ClaimedName: name, Password: NewPassword(rightPassword), Client: c}))
	h.idle()
}

const (
	firefox    = "Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0"
	newFirefox = "Mozilla/5.0 (X11; Linux x86_64; rv:131.0) Gecko/20100101 Firefox/131.0"
	chrome     = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)

// The owner hears of a device that is new, if others are known, once.
func TestNewDevice(t *testing.T) {
	h := newHouse(t)
	r := joining("alice")
	r.ClaimedEmail, r.Client.UserAgent = "alice@example.com", firefox
	h.confirmOwn(t, must[Grant](t)(h.Join(t.Context(), r)))
	h.idle()
	h.loginFrom(t, "alice", firefox)
	h.loginFrom(t, "alice", newFirefox) // an update
	want(t, "notices", h.mail.told(), "")
	h.loginFrom(t, "alice", chrome)
	want(t, "notices", h.mail.told(), "new-device to alice@example.com;")
	n := h.mail.last()
	want(t, "notice", fmt.Sprint(n.Username, n.Device, n.Addr, n.At), fmt.Sprint("alice", "Chrome on Windows", client.Addr, h.clock.Now()))
	want(t, "code", string(n.Code), "")
	h.loginFrom(t, "alice", chrome)
	h.loginFrom(t, "alice", firefox)
	_, err := h.try(t, "alice", "wrong password")
	wantKind(t, "a login that fails", err, KindWrongPassword)
	h.idle()
	want(t, "notices", h.mail.told(), "new-device to alice@example.com;")

	// What one account is used from is another's news.
	h.join(t, "bob")
	h.idle()
	h.loginFrom(t, "bob", chrome)
	want(t, "notices", h.mail.told(), "new-device to alice@example.com;new-device to bob@example.com;")
	for _, of := range h.store.devices {
		for device := range of {
			want(t, "length of what is stored", len(device), 32)
		}
	}

	// One that was forgotten is new again.
	h.clock.Advance(keepDevices + time.Hour)
	h.loginFrom(t, "alice", firefox)
	h.state.purge(t.Context())
	h.loginFrom(t, "alice", chrome)
	want(t, "of last year", h.mail.last().Device, "Chrome on Windows")
}

// Owners are not flooded, and no kind of notice hides another.
func TestNoticeBudgets(t *testing.T) {
	h := newHouse(t)
	g := h.join(t, "alice")
	h.idle()
	flood := func(name, what string) {
		for i := range 20 {
			h.loginFrom(t, name, fmt.Sprint(what, i, "/1.0"))
		}
	}
	count := func(kind NoticeKind, to string) (n int) {
		for _, m := range h.mail.all {
			if m.Kind == kind && string(m.To) == to {
				n++
			}
		}
		return n
	}
	flood("alice", "First")
	want(t, "notices to alice", count(NoticeNewDevice, "alice@example.com"), noticesOfAKind.Burst)
	h.notify(byOwner(EventPasswordReset, h.store.accounts[0], client))
	h.idle()
	want(t, "notices of another kind", count(NoticePasswordChanged, "alice@example.com"), 1)
	h.clock.Advance(2 * noticesOfAKind.Per)
	flood("alice", "Second")
	want(t, "notices to alice, later", count(NoticeNewDevice, "alice@example.com"), 2*noticesOfAKind.Burst)

	// An address has a budget of its own, whichever accounts have it in turn.
	h.join(t, "bob")
	h.store.accounts[1].Email, h.store.accounts[1].EmailHash = "alice@example.com", h.store.accounts[0].EmailHash
	h.idle()
	flood("bob", "Third")
	want(t, "notices to alice, for bob", count(NoticeNewDevice, "alice@example.com"), 2*noticesOfAKind.Burst)
	_ = g
}

// Without an address, or without mail, there is nobody to tell, and nothing is kept.
func TestNobodyToTell(t *testing.T) {
	h := newHouse(t)
	h.register(t, "alice")
	h.loginFrom(t, "alice", firefox)
	h.loginFrom(t, "alice", chrome)
	want(t, "notices", h.mail.told(), "")
	want(t, "devices noted", h.store.count("NoteDevice"), 0)
	h.publish(about(EventTokenTheft, h.store.accounts[0], client))
	want(t, "notices", h.mail.told(), "")

	h.Service = must[*Service](t)(NewService(ServiceOptions{State: h.state, Policy: h.policy}))
	h.join(t, "bob")
	h.loginFrom(t, "bob", chrome)
	h.publish(about(EventTokenTheft, h.store.accounts[1], client))
	want(t, "notices", h.mail.told(), "")
	want(t, "devices noted", h.store.count("NoteDevice"), 0)
}

// A login waits neither for the mail nor for what knows the devices, and does not fail with them.
func TestNoticesInBackground(t *testing.T) {
	h := newHouse(t)
	h.join(t, "alice")
	h.idle()
	blocked := make(chan struct{})
	h.store.onCall(func(_ context.Context, op string) error {
		if op == "NoteDevice" {
			<-blocked
			return errStore
		}
		return nil
	})
	for range maxWorkers + 10 { // and more than run at once
		must[Identity](t)(h.auth(t, h.login(t, "alice")))
	}
	close(blocked)
	h.idle()
	want(t, "devices noted", h.store.count("NoteDevice"), 1+maxWorkers)
	h.store.onCall(nil)
	h.mail.set(func() { h.mail.broken = errStore })
	h.loginFrom(t, "alice", chrome)
	want(t, "notices", h.mail.told(), "")

	// A client that is gone takes nothing with it.
	h.mail.set(func() { h.mail.broken = nil })
	ctx, cancel := context.WithCancel(t.Context())
	h.store.onCall(func(ctx context.Context, op string) error {
		if op == "NoteDevice" {
			cancel()
			return ctx.Err()
		}
		return nil
	})
	must[Grant](t)(h.Login(ctx, Credentials{ClaimedName: "alice", Password: NewPassword(rightPassword), Client: Client{UserAgent: firefox}}))
	h.idle()
	h.store.onCall(nil)
	want(t, "notices", h.mail.told(), "new-device to alice@example.com;")
}
