package authcore

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// hub is the feed, and the presence store, of several houses in one process.
type hub struct {
	mu       sync.Mutex
	members  []*member
	presence map[AccountID]map[*member]map[SessionID]int
}

// member is one house's part of a hub.
type member struct {
	hub      *hub
	name     string
	follower Follower // nil while nobody follows
	cut      bool     // hears nothing, and cannot publish
	mute     bool     // does not answer
	heal     chan struct{}
}

func (h *hub) join() *member {
	m := &member{hub: h, name: fmt.Sprint(len(h.members)), heal: make(chan struct{}, 1)}
	h.members = append(h.members, m)
	return m
}

func (m *member) Publish(_ context.Context, e NodeEvent) ([]NodeReceipt, error) {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	if m.cut {
		return nil, errors.New("cut off")
	}
	var out []NodeReceipt
	for _, o := range m.hub.members {
		if o == m {
			continue
		}
		r := NodeReceipt{Node: o.name}
		if o.follower != nil && !o.cut && !o.mute {
			r.Answered, r.Closed = true, o.follower.Apply(e)
		}
		out = append(out, r)
	}
	return out, nil
}

func (m *member) Follow(ctx context.Context, f Follower) {
	m.set(func() { m.follower = f; f.Reset() })
	defer m.set(func() { m.follower = nil })
	for {
		m.set(func() {
			if !m.cut {
				f.Fresh(time.Now())
			}
		})
		select {
		case <-time.After(500 * time.Millisecond):
		case <-m.heal:
			f.Reset()
		case <-ctx.Done():
			return
		}
	}
}

func (m *member) set(change func()) {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	change()
}

func (m *member) cutOff() { m.set(func() { m.cut = true }) }

func (m *member) reconnect() {
	m.set(func() { m.cut = false })
	m.heal <- struct{}{}
}

func (m *member) SetPresence(_ context.Context, accounts map[AccountID]map[SessionID]int) error {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	for account, sessions := range accounts {
		if m.hub.presence[account] == nil {
			m.hub.presence[account] = make(map[*member]map[SessionID]int)
		}
		m.hub.presence[account][m] = sessions
	}
	return nil
}

func (m *member) Presence(_ context.Context, account AccountID) (map[SessionID]int, error) {
	m.hub.mu.Lock()
	defer m.hub.mu.Unlock()
	out := make(map[SessionID]int)
	for _, sessions := range m.hub.presence[account] {
		for id, n := range sessions {
			out[id] += n
		}
	}
	return out, nil
}

type nodeHouse struct {
	*house
	feed *member
}

// nodes runs f with n houses over one store, in a bubble of its own time.
func nodes(t *testing.T, n int, f func(t *testing.T, nodes []nodeHouse)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		h := &hub{presence: make(map[AccountID]map[*member]map[SessionID]int)}
		store := newMemory()
		all := make([]nodeHouse, n)
		for i := range all {
			feed := h.join()
			all[i] = nodeHouse{newHouseOn(t, store, newClock(), func(o *StateOptions, _ *Policy) {
				o.Feed, o.Presence, o.FeedGrace, o.LiveGrace, o.Now = feed, feed, 3*time.Second, time.Minute, time.Now
			}), feed}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		for _, n := range all {
			running.Go(func() { n.state.Run(ctx) })
		}
		synctest.Wait()
		f(t, all)
		store.onCall(nil)
		cancel()
		running.Wait()
	})
}

// passes lets time go by.
func passes(d time.Duration) {
	time.Sleep(d) // of the bubble
	synctest.Wait()
}

const (
	open = "session:0 token:0 shutdown:0"
	over = "session:1 token:0 shutdown:0"
)

func TestNodes(t *testing.T) {
	nodes(t, 3, func(t *testing.T, n []nodeHouse) {
		n[0].register(t, "alice")
		phone, laptop := n[0].login(t, "alice"), n[1].login(t, "alice")
		var phones, laptops [3]conn
		for i := range n {
			n[i].hold(t, phone, &phones[i], false)
			n[i].hold(t, laptop, &laptops[i], false)
		}
		r := must[Receipt](t)(n[0].EndSession(t.Context(), operator, phone.Account.ID, phone.Session.ID))
		want(t, "closed", r.Closed, 3)
		want(t, "ended", r.Sessions, 1)
		want(t, "nodes", fmt.Sprint(r.Nodes), "[{1 true 1 0s} {2 true 1 0s}]")
		want(t, "complete", r.Complete(), true)
		for i := range n {
			want(t, "phone", phones[i].ended(), over)
			want(t, "laptop", laptops[i].ended(), open)
			_, err := n[i].auth(t, phone)
			wantKind(t, "phone", err, KindSessionOver)
			must[Identity](t)(n[i].auth(t, laptop))
		}

		n[2].feed.set(func() { n[2].feed.mute = true })
		r = must[Receipt](t)(n[1].LogoutAll(t.Context(), operator, phone.Account.ID, ""))
		want(t, "complete", r.Complete(), false)
		want(t, "closed", r.Closed, 2)
		for i := range n {
			phones[i].lease.Release()
			laptops[i].lease.Release()
		}
	})
}

// An end that arrives late ends nothing that was begun after it.
func TestNodesLateEvent(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		a := n[0].register(t, "alice")
		old := n[0].login(t, "alice")
		must[Identity](t)(n[1].auth(t, old))
		n[1].feed.cutOff()
		must[Receipt](t)(n[0].LogoutAll(t.Context(), operator, a.ID, ""))
		fresh := n[0].login(t, "alice")
		var c, kept conn
		n[1].hold(t, fresh, &c, false)
		n[1].hold(t, fresh, &kept, false)
		want(t, "connections that a late event ends", n[1].state.apply(NodeEvent{Account: a.ID, Epoch: 1}), 0)
		_, err := n[1].auth(t, old)
		wantKind(t, "the old session", err, KindSessionOver)
		want(t, "connections of the next epoch", n[1].state.apply(NodeEvent{Account: a.ID, Epoch: 2, Kept: fresh.Session.ID}), 0)
		want(t, "connections of the next epoch", n[1].state.apply(NodeEvent{Account: a.ID, Epoch: 2}), 2)
		c.lease.Release()
		kept.lease.Release()
	})
}

// A look-up that was under way when an epoch ended is made again.
func TestEpochEndsWhileLookingUp(t *testing.T) {
	h := newHouse(t)
	g := h.person(t, "alice")
	first := true
	h.store.onCall(func(_ context.Context, op string) error {
		if op == "SessionAccount" && first {
			first = false
			h.state.apply(NodeEvent{Account: g.Account.ID, Epoch: 5}) // what it was read before, or after, nobody knows
		}
		return nil
	})
	must[Identity](t)(h.auth(t, g))
	want(t, "look-ups", h.store.count("Session"), 2)
}

// A login that was proven before all sessions were ended does not outlive that, however late it gets its session.
func TestLoginAcrossLogoutAll(t *testing.T) {
	h := newHouse(t)
	before := h.register(t, "alice")
	must[Receipt](t)(h.LogoutAll(t.Context(), operator, before.ID, ""))
	late := must[Grant](t)(h.startSession(t.Context(), before, client, 0))
	_, err := h.auth(t, late)
	wantKind(t, "the late session", err, KindSessionOver)
	must[Identity](t)(h.auth(t, h.login(t, "alice")))
}

// Two devices that end all others at the same time do not both stay.
func TestEndOthersAtOnce(t *testing.T) {
	h := newHouse(t)
	h.register(t, "alice")
	for range 50 {
		a, b := h.login(t, "alice"), h.login(t, "alice")
		ids := [2]Identity{must[Identity](t)(h.auth(t, a)), must[Identity](t)(h.auth(t, b))}
		parallel(2, func(i int) { _, _ = h.LogoutAll(context.Background(), operator, ids[i].Account, ids[i].Session) })
		_, err1 := h.auth(t, a)
		_, err2 := h.auth(t, b)
		if err1 == nil && err2 == nil {
			t.Fatal("both live")
		}
	}
}

// A node that hears nothing believes what it knows for the grace, then asks each time; connections stay longer.
func TestFeedBroken(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		n[0].register(t, "alice")
		g, other := n[0].login(t, "alice"), n[0].login(t, "alice")
		var c conn
		n[1].hold(t, g, &c, false)
		must[Identity](t)(n[1].auth(t, other))
		n[1].feed.cutOff()
		passes(time.Second)
		r := must[Receipt](t)(n[0].EndSession(t.Context(), operator, g.Account.ID, g.Session.ID))
		want(t, "complete", r.Complete(), false)
		passes(2500 * time.Millisecond)
		want(t, "broken", n[1].state.Stats().FeedBroken, true)
		want(t, "the connection", c.ended(), open)

		calls := n[1].store.count("Session")
		for range 3 {
			must[Identity](t)(n[1].auth(t, other))
		}
		want(t, "look-ups of three proofs", n[1].store.count("Session")-calls, 3)
		_, err := n[1].auth(t, g)
		wantKind(t, "what was ended meanwhile", err, KindSessionOver)
		want(t, "the connection, now that somebody asked", c.ended(), over)
		c.lease.Release()

		// With the stores away as well, nothing can be proven, and what hangs on a session stays for a while.
		var d conn
		n[1].hold(t, other, &d, false)
		n[1].store.onCall(func(context.Context, string) error { return errStore })
		_, err = n[1].auth(t, other)
		wantKind(t, "with nobody to ask", err, KindUnavailable)
		passes(50 * time.Second)
		want(t, "the connection", d.ended(), open)
		passes(15 * time.Second)
		if got := d.ended(); !strings.HasPrefix(got, "session:0 token:0") || got == open {
			t.Errorf("the connection, when it was too long: %s", got)
		}
		d.lease.Release()
		n[1].store.onCall(nil)
		n[1].feed.reconnect()
		passes(time.Second)
		want(t, "broken", n[1].state.Stats().FeedBroken, false)
		must[Identity](t)(n[1].auth(t, other))
	})
}

// After a break, what hangs on sessions that ended meanwhile is closed without anybody asking, and the rest stays.
func TestRecheck(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		n[0].register(t, "alice")
		var grants [40]Grant
		var conns [40]conn
		for i := range grants {
			grants[i] = n[0].login(t, "alice")
			n[1].hold(t, grants[i], &conns[i], false)
		}
		n[1].feed.cutOff()
		for _, g := range grants[:20] {
			must[Receipt](t)(n[0].EndSession(t.Context(), operator, g.Account.ID, g.Session.ID))
		}
		var broken atomic.Bool
		broken.Store(true)
		n[1].store.onCall(func(_ context.Context, op string) error {
			if broken.Load() && op == "Session" {
				return errStore
			}
			return nil
		})
		n[1].feed.reconnect()
		passes(3 * time.Second)
		for i := range conns {
			want(t, "while the store is away", conns[i].ended(), open)
		}
		broken.Store(false)
		passes(3 * time.Second)
		for i := range conns {
			expected := over
			if i >= 20 {
				expected = open
			}
			want(t, fmt.Sprint("connection ", i), conns[i].ended(), expected)
			conns[i].lease.Release()
		}
		calls := n[1].store.count("Session")
		must[Identity](t)(n[1].auth(t, grants[30]))
		want(t, "look-ups of what was looked up again", n[1].store.count("Session")-calls, 0)
	})
}

// Nothing that was looked up before a break is held after it without being looked up again.
func TestHoldAcrossReset(t *testing.T) {
	nodes(t, 1, func(t *testing.T, n []nodeHouse) {
		g := n[0].person(t, "alice")
		account, id := g.Account.ID, g.Session.ID
		e, _, err := n[0].alive(t.Context(), account, id, 1, n[0].state.load(account, id))
		if err != nil {
			t.Fatal(err)
		}
		follower{n[0].state}.Reset()
		var c conn
		want(t, "held", n[0].state.live.attach(e, &c, &c.lease, 0), false)
		n[0].hold(t, g, &c, false)
		c.lease.Release()
	})
}

// What is known is looked up again after some minutes, in case an end was not heard.
func TestKnownFor(t *testing.T) {
	nodes(t, 1, func(t *testing.T, n []nodeHouse) {
		g := n[0].person(t, "alice")
		must[Identity](t)(n[0].auth(t, g))
		calls := n[0].store.count("Session")
		passes(knownFor - time.Second)
		must[Identity](t)(n[0].auth(t, g))
		want(t, "look-ups before", n[0].store.count("Session")-calls, 0)
		n[0].store.mu.Lock()
		delete(n[0].store.sessions, placeOf(g.Session))
		n[0].store.mu.Unlock()
		passes(time.Second)
		_, err := n[0].auth(t, g)
		wantKind(t, "after", err, KindSessionOver)
	})
}

// A revocation that was recorded but cannot be told is an error, holds wherever the stores are asked, and is told later.
func TestRevocationNotTold(t *testing.T) {
	nodes(t, 3, func(t *testing.T, n []nodeHouse) {
		n[0].register(t, "alice")
		g := n[0].login(t, "alice")
		var here, there conn
		n[0].hold(t, g, &here, false)
		n[1].hold(t, g, &there, false)
		n[0].feed.cutOff()
		_, err := n[0].EndSession(t.Context(), operator, g.Account.ID, g.Session.ID)
		wantKind(t, "ending", err, KindUnavailable)
		want(t, "here", here.ended(), over)
		want(t, "there", there.ended(), open)
		_, err = n[0].auth(t, g)
		wantKind(t, "here", err, KindSessionOver)

		n[0].feed.reconnect()
		passes(2 * time.Second)
		want(t, "there", there.ended(), over)
		must[Receipt](t)(n[0].EndSession(t.Context(), operator, g.Account.ID, g.Session.ID))
		here.lease.Release()
		there.lease.Release()
	})
}

// A revocation whose node went down before it could tell is told by whoever finds it half done.
func TestRevocationHalfDone(t *testing.T) {
	nodes(t, 3, func(t *testing.T, n []nodeHouse) {
		n[0].register(t, "alice")
		g, other := n[0].login(t, "alice"), n[0].login(t, "alice")
		var c, d conn
		n[1].hold(t, g, &c, false)
		n[1].hold(t, other, &d, false)
		if err := n[0].state.Revocations.RevokeSession(t.Context(), g.Account.ID, g.Session.ID, time.Now().Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, err := n[2].auth(t, g)
			wantKind(t, "where the stores are asked", err, KindSessionOver)
		}
		want(t, "where it is known", c.ended(), open)
		n[2].state.mu.Lock()
		want(t, "revocations to be told", len(n[2].state.unheard), 1)
		n[2].state.mu.Unlock()
		passes(2 * time.Second)
		want(t, "where it is known", c.ended(), over)
		want(t, "another session", d.ended(), open)
		_, err := n[0].state.Sessions.Session(t.Context(), g.Account.ID, g.Session.ID)
		wantKind(t, "the session store", err, KindSessionOver)
		c.lease.Release()
		d.lease.Release()
	})
}

// What the session store does not forget at once is over all the same, and forgotten later. A login that came between
// lives on.
func TestSessionStoreForgetsLater(t *testing.T) {
	for _, op := range []string{"EndSession", "EndSessions"} {
		t.Run(op, func(t *testing.T) {
			nodes(t, 2, func(t *testing.T, n []nodeHouse) {
				a := n[0].register(t, "alice")
				g := n[0].login(t, "alice")
				var c conn
				n[1].hold(t, g, &c, false)
				n[0].store.onCall(func(_ context.Context, o string) error {
					if o == op {
						return errStore
					}
					return nil
				})
				if op == "EndSession" {
					must[Receipt](t)(n[0].EndSession(t.Context(), operator, a.ID, g.Session.ID))
				} else {
					must[Receipt](t)(n[0].LogoutAll(t.Context(), operator, a.ID, ""))
				}
				want(t, "the connection", c.ended(), over)
				later := n[1].login(t, "alice")
				passes(2 * time.Second)
				want(t, "sessions in the store", len(n[0].store.sessions), 2)
				n[0].store.onCall(nil)
				passes(2 * time.Second)
				want(t, "sessions in the store", len(n[0].store.sessions), 1)
				_, err := n[1].auth(t, g)
				wantKind(t, "the session", err, KindSessionOver)
				must[Identity](t)(n[0].auth(t, later))
				c.lease.Release()
			})
		})
	}
}

// A revocation that could not even be recorded changes nothing.
func TestRevocationNotRecorded(t *testing.T) {
	h := newHouse(t)
	g := h.person(t, "alice")
	var c conn
	h.hold(t, g, &c, false)
	for _, op := range []string{"RevokeSession", "RevokeSessions"} {
		h.store.onCall(func(_ context.Context, o string) error {
			if o == op {
				return errStore
			}
			return nil
		})
		var err error
		if op == "RevokeSession" {
			_, err = h.EndSession(t.Context(), operator, g.Account.ID, g.Session.ID)
		} else {
			_, err = h.LogoutAll(t.Context(), operator, g.Account.ID, "")
		}
		wantKind(t, op, err, KindUnavailable)
		want(t, "the connection", c.ended(), open)
		must[Identity](t)(h.auth(t, g))
	}
	c.lease.Release()
}

// A session store that went back to an older state does not bring back what was revoked.
func TestSessionStoreWentBack(t *testing.T) {
	h := newHouse(t)
	h.register(t, "alice")
	one, all := h.login(t, "alice"), h.login(t, "alice")
	snapshot := maps.Clone(h.store.sessions)
	must[Receipt](t)(h.EndSession(t.Context(), operator, one.Account.ID, one.Session.ID))
	h.store.sessions = maps.Clone(snapshot)
	_, err := h.auth(t, one)
	wantKind(t, "one session", err, KindSessionOver)
	listed := must[[]SessionInfo](t)(h.ListSessions(t.Context(), must[Identity](t)(h.auth(t, all))))
	want(t, "listed", len(listed), 1)

	must[Receipt](t)(h.LogoutAll(t.Context(), operator, one.Account.ID, ""))
	h.store.sessions = maps.Clone(snapshot)
	_, err = h.auth(t, all)
	wantKind(t, "all sessions", err, KindSessionOver)
}

// A key that another node made is known at once.
func TestNodesKeys(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		n[0].register(t, "alice")
		must[Identity](t)(n[1].auth(t, n[0].login(t, "alice"))) // and so B's keys were read a moment ago
		n[0].state.SetKeyRotation(time.Nanosecond)
		passes(time.Millisecond)
		made, err := n[0].state.keyring.refresh(t.Context(), n[0].state.MaxTokens)
		if err != nil || !made {
			t.Fatal(made, err)
		}
		n[0].state.publishKeys(t.Context())
		n[0].state.SetKeyRotation(time.Hour)
		must[Identity](t)(n[1].auth(t, n[0].login(t, "alice")))
	})
}

func TestOwnSessions(t *testing.T) {
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		n[0].register(t, "alice")
		bob := n[0].person(t, "bob")
		var grants []Grant
		for _, agent := range []string{
			"Mozilla/5.0 (X11; Linux x86_64; rv:130.0) Gecko/20100101 Firefox/130.0", "curl/8.1", "",
		} {
			passes(time.Second)
			grants = append(grants, must[Grant](t)(n[0].Login(t.Context(), Credentials{
				ClaimedName: "alice", Password: NewPassword(rightPassword), Client: Client{Dialect: "test", Addr: client.Addr, UserAgent: agent},
			})))
		}
		var conns [3]conn
		n[0].hold(t, grants[0], &conns[0], false)
		n[1].hold(t, grants[0], &conns[1], false)
		n[1].hold(t, grants[2], &conns[2], false)
		passes(2 * time.Second)
		me := must[Identity](t)(n[0].auth(t, grants[1]))
		list := func() (out []string) {
			all := must[[]SessionInfo](t)(n[0].ListSessions(t.Context(), me))
			slices.SortFunc(all, func(a, b SessionInfo) int { return a.CreatedAt.Compare(b.CreatedAt) })
			for _, s := range all {
				out = append(out, fmt.Sprintf("%s %v %d", s.Device, s.Current, s.Connections))
			}
			return out
		}
		want(t, "sessions", fmt.Sprintf("%q", list()), `["Firefox on Linux false 2" "curl/8.1 true 0" "unknown device false 1"]`)
		for i := range n {
			want(t, "alice is online", n[i].online(t, me.Account), true)
			want(t, "bob is online", n[i].online(t, bob.Account.ID), false)
		}

		_, err := n[0].EndOwnSession(t.Context(), as(me), bob.Session.ID)
		wantKind(t, "another's session", err, KindNotFound)
		_, err = n[0].EndOwnSession(t.Context(), as(me), "nothing")
		wantKind(t, "no session", err, KindNotFound)
		asked := n[0].store.count("Session")
		for _, id := range []SessionID{"", "\x00", "\xff", "a b", SessionID(strings.Repeat("x", 1<<20))} {
			_, err = n[0].EndOwnSession(t.Context(), as(me), id)
			wantKind(t, "no ID of a session", err, KindNotFound)
		}
		want(t, "looks for what is no ID", n[0].store.count("Session")-asked, 0)
		must[Receipt](t)(n[0].EndOwnSession(t.Context(), as(me), grants[2].Session.ID))
		want(t, "its connection", conns[2].ended(), over)
		conns[2].lease.Release()
		want(t, "sessions", len(list()), 2)
		r := must[Receipt](t)(n[1].LogoutAll(t.Context(), operator, me.Account, me.Session))
		want(t, "closed", r.Closed, 2)
		want(t, "sessions", fmt.Sprintf("%q", list()), `["curl/8.1 true 0"]`)
		conns[0].lease.Release()
		conns[1].lease.Release()
		passes(2 * time.Second)
		want(t, "alice is online", n[0].online(t, me.Account), false)
		must[Identity](t)(n[1].auth(t, grants[1]))
		must[Identity](t)(n[1].auth(t, bob))

		must[Receipt](t)(n[1].Logout(t.Context(), as(me)))
		_, err = n[1].LogoutAll(t.Context(), operator, me.Account, me.Session)
		wantKind(t, "of a session that is over", err, KindSessionOver)
	})
}

func TestDeviceLabel(t *testing.T) {
	for agent, label := range map[string]string{
		"": "unknown device",
		"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36":                         "Chrome on Windows",
		"Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1": "Safari on iOS (iPhone)",
		"python-requests/2.31": "python-requests/2.31",
		"\x00\xff strange":     "\ufffd\ufffd",
	} {
		want(t, fmt.Sprintf("%q", agent), DeviceLabel(agent), label)
	}
}
