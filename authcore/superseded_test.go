package authcore

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// tab is a client of a session that others share without each other's knowledge.
type tab struct {
	*house
	client Client
	grant  Grant
}

// refresh gets the tab its next token, and reports whether that was possible.
func (tb *tab) refresh() error {
	g, err := tb.Refresh(context.Background(), Refreshing{Token: tb.tok(tb.grant), TokenLifetime: time.Hour, Client: tb.client})
	if err == nil {
		tb.grant = g
	}
	return err
}

func (tb *tab) mustRefresh(t testing.TB, what string) {
	t.Helper()
	if err := tb.refresh(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// works fails the test unless the tab's token is good for use.
func (tb *tab) works(t testing.TB, what string) {
	t.Helper()
	if _, err := tb.auth(t, tb.grant); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// tabs logs alice in, in a browser with n tabs.
func (h *house) tabs(t testing.TB, n int) []*tab {
	t.Helper()
	if _, err := h.store.AccountByUsername(t.Context(), "alice"); err != nil {
		h.join(t, "alice")
	}
	g := must[Grant](t)(h.Login(t.Context(), Credentials{ClaimedName: "alice", Password: NewPassword(rightPassword), TokenLifetime: time.Hour, Client: client}))
	all := make([]*tab, n)
	for i := range all {
		all[i] = &tab{h, client, g}
	}
	return all
}

var thief = Client{Dialect: "test", Addr: netip.MustParseAddr("198.51.100.7"), UserAgent: "tests"}

// Three tabs of a browser each refresh once an hour, in any order, and never lose their session.
func TestThreeTabs(t *testing.T) {
	h := newHouse(t)
	tabs := h.tabs(t, 3)
	for round, order := range permutations(3, 12) {
		h.clock.Advance(57 * time.Minute)
		for _, i := range order {
			h.clock.Advance(time.Minute)
			tabs[i].mustRefresh(t, fmt.Sprintf("round %d, tab %d", round, i))
			tabs[i].works(t, "a fresh one")
		}
	}

	// One that misses two refreshes keeps what its token is good for, and is told to log in again. The others stay.
	h = newHouse(t)
	tabs = h.tabs(t, 3)
	for range 2 {
		h.clock.Advance(20 * time.Minute)
		tabs[0].mustRefresh(t, "the busy one")
	}
	var c conn
	h.hold(t, tabs[2].grant, &c, true)
	h.clock.Advance(2 * time.Minute)
	for range 3 {
		tabs[2].works(t, "two refreshes behind")
		wantKind(t, "a refresh, two behind", tabs[2].refresh(), KindBadToken)
		tabs[0].works(t, "the busy one")
	}
	h.clock.Advance(18 * time.Minute)
	_, err := h.auth(t, tabs[2].grant)
	wantKind(t, "after its hour", err, KindBadToken)
	wantKind(t, "a refresh after its hour", tabs[2].refresh(), KindBadToken)
	tabs[0].mustRefresh(t, "the busy one")
	want(t, "a connection under the session", c.ends[EndSession].Load(), 0)
	h.idle()
	want(t, "notices", h.mail.told(), "")
	c.lease.Release()
}

// permutations returns n orders of the numbers below m, going through all of them.
func permutations(m, n int) (out [][]int) {
	var all [][]int
	var grow func(order []int)
	grow = func(order []int) {
		if len(order) == m {
			all = append(all, append([]int(nil), order...))
			return
		}
	next:
		for i := range m {
			for _, k := range order {
				if i == k {
					continue next
				}
			}
			grow(append(order, i))
		}
	}
	grow(nil)
	for i := range n {
		out = append(out, all[i%len(all)])
	}
	return out
}

// A client that loses answers asks again with what it has, whenever that is. Another tab may have gone on meanwhile.
func TestLostAnswers(t *testing.T) {
	h := newHouse(t)
	tabs := h.tabs(t, 2)
	lost := &tab{h, client, tabs[0].grant}
	for range 5 {
		again := *tabs[0]
		again.mustRefresh(t, "an answer that is lost")
		h.clock.Advance(7 * time.Hour)
	}
	tabs[0].mustRefresh(t, "the one that arrives")
	tabs[0].works(t, "the one that arrives")
	tabs[1].mustRefresh(t, "the other tab, with the first token")
	tabs[1].mustRefresh(t, "the other tab, with the second one")
	h.clock.Advance(supersededGrace - time.Millisecond)
	lost.mustRefresh(t, "with the first token, within the minute")
	want(t, "generation", claimsOf(t, lost.grant).Generation, 3)
	lost.works(t, "within the minute")
	h.idle()
	want(t, "notices", h.mail.told(), "")
}

// A laptop wakes, and its tabs refresh at once: the one that had refreshed before it slept, and those that had not, in any
// order, on two nodes.
func TestTabsWake(t *testing.T) {
	for _, order := range permutations(3, 6) {
		t.Run(fmt.Sprint(order), func(t *testing.T) {
			h := newHouse(t)
			tabs := h.tabs(t, 3)
			late := &tab{h, client, tabs[1].grant}
			tabs[0].mustRefresh(t, "before it slept")
			h.clock.Advance(8 * time.Hour)
			for _, i := range order {
				tabs[i].mustRefresh(t, fmt.Sprintf("tab %d", i))
				h.clock.Advance(time.Second)
			}
			for i := range tabs {
				tabs[i].works(t, fmt.Sprintf("tab %d", i))
			}
			h.clock.Advance(supersededGrace)
			wantKind(t, "a tab that comes a minute later", late.refresh(), KindBadToken)
			for i := range tabs {
				tabs[i].works(t, fmt.Sprintf("tab %d", i))
				tabs[i].mustRefresh(t, fmt.Sprintf("tab %d", i))
			}
			want(t, "notices", h.mail.told(), "")
		})
	}
	nodes(t, 2, func(t *testing.T, n []nodeHouse) {
		tabs := n[0].tabs(t, 12)
		for i := range tabs {
			tabs[i].house = n[i%2].house
			must[Identity](t)(tabs[i].auth(t, tabs[i].grant)) // what a node knows is of before
		}
		tabs[0].mustRefresh(t, "before it slept")
		passes(2 * time.Hour)
		parallel(len(tabs), func(i int) {
			if err := tabs[i].refresh(); err != nil {
				t.Errorf("tab %d: %v", i, err)
			}
		})
		for i := range tabs {
			tabs[i].works(t, fmt.Sprintf("tab %d", i))
		}
		n[0].idle()
		n[1].idle()
		want(t, "notices", n[0].mail.told()+n[1].mail.told(), "")
	})
}

// However many generations a session goes through within a minute, the newest eight times are known.
func TestRotationsOfAMinute(t *testing.T) {
	h := newHouse(t)
	tabs := h.tabs(t, MaxRotations+3)
	first := tabs[0].grant
	for i := range tabs { // each takes the token of the one before it
		tabs[i].grant = first
		if i > 0 {
			tabs[i].grant = tabs[i-1].grant
		}
		h.clock.Advance(time.Second)
		tabs[i].mustRefresh(t, fmt.Sprint("refresh ", i))
	}
	current := claimsOf(t, tabs[len(tabs)-1].grant).Generation
	for i := range tabs {
		generation := claimsOf(t, tabs[i].grant).Generation
		old := &tab{h, client, tabs[i].grant}
		if known := current-generation-2 < MaxRotations; known {
			h.clock.Advance(time.Millisecond)
			if current-generation > 1 {
				old.mustRefresh(t, fmt.Sprint("generation ", generation))
				want(t, "of the current generation", claimsOf(t, old.grant).Generation, current)
			}
		} else {
			wantKind(t, fmt.Sprint("generation ", generation), old.refresh(), KindBadToken)
		}
	}
	// Each is good until a minute after the second generation after it was made. There was one a second.
	h.clock.Advance(supersededGrace - 5*time.Second)
	for i := range tabs[:len(tabs)-2] {
		old := &tab{h, client, tabs[i].grant}
		if behind := current - claimsOf(t, old.grant).Generation - 2; behind < 5 {
			old.mustRefresh(t, fmt.Sprint(behind, " further behind"))
		} else {
			wantKind(t, fmt.Sprint(behind, " further behind"), old.refresh(), KindBadToken)
		}
	}
}

// A thief has a copy of a token. Whoever comes with an old one, from somewhere else than the latest refresh, ends it all.
func TestThief(t *testing.T) {
	agent, v6, v6here, v6there := client, client, client, client
	agent.UserAgent = "thief/1.0"
	v6.Addr, v6here.Addr, v6there.Addr = netip.MustParseAddr("2001:db8::1"), netip.MustParseAddr("2001:db8::2:1"), netip.MustParseAddr("2001:db8:0:1::1")
	for _, c := range []struct {
		what         string
		owner, thief Client
		caught       bool
	}{
		{"at another address", client, thief, true},
		{"with another agent", client, agent, true},
		{"on another network", v6, v6there, true},
		{"with neither", client, client, false},
		{"on the owner's network", v6, v6here, false},
	} {
		for when, steal := range map[string]func(t *testing.T, owner, thief *tab) (last *tab){
			"last": func(t *testing.T, owner, thief *tab) *tab {
				owner.mustRefresh(t, "owner")
				owner.mustRefresh(t, "owner")
				return thief
			},
			"first": func(t *testing.T, owner, thief *tab) *tab {
				thief.mustRefresh(t, "thief")
				owner.mustRefresh(t, "owner, with the same token") // good for both, as after a lost answer
				thief.mustRefresh(t, "thief")
				thief.mustRefresh(t, "thief")
				return owner
			},
			"in between": func(t *testing.T, owner, thief *tab) *tab {
				owner.mustRefresh(t, "owner")
				thief.mustRefresh(t, "thief, with the predecessor")
				owner.mustRefresh(t, "owner")
				owner.mustRefresh(t, "owner")
				return thief
			},
			// The latest refresh need not have made a generation.
			"with the predecessor, after all others": func(t *testing.T, owner, thief *tab) *tab {
				asleep := *owner
				owner.mustRefresh(t, "owner")
				thief.grant = owner.grant
				owner.mustRefresh(t, "owner")
				thief.mustRefresh(t, "thief, with the predecessor")
				return &asleep
			},
		} {
			t.Run(c.what+", "+when, func(t *testing.T) {
				h := newHouse(t)
				owner := h.tabs(t, 1)[0]
				owner.client = c.owner
				stolen := &tab{h, c.thief, owner.grant}
				last := steal(t, owner, stolen)
				h.clock.Advance(supersededGrace)
				err := last.refresh()
				h.idle()
				if c.caught {
					wantKind(t, "an old token", err, KindSessionOver)
					want(t, "notices", h.mail.told(), toldOfTheft)
				} else {
					wantKind(t, "an old token", err, KindBadToken)
					want(t, "notices", h.mail.told(), "")
				}
				for _, tb := range []*tab{owner, stolen} {
					if _, err := h.auth(t, tb.grant); (KindOf(err) == KindSessionOver) != c.caught {
						t.Errorf("a token of %v: %v", tb.client, err)
					}
				}
			})
		}
	}
}

// Where a version before this one made a session, or refreshed it, nothing is known of the latest refresh but the login.
func TestSupersededOfVersionBefore(t *testing.T) {
	for what, c := range map[string]struct {
		client Client
		kind   Kind
	}{"the client of the login": {client, KindBadToken}, "another client": {thief, KindSessionOver}} {
		h := newHouse(t)
		old := h.tabs(t, 1)[0]
		h.store.mu.Lock()
		s := h.store.sessions[placeOf(old.grant.Session)]
		s.Generation = 5
		h.store.sessions[placeOf(s)] = s
		h.store.mu.Unlock()
		h.state.live.forget()
		old.client = c.client
		wantKind(t, what, old.refresh(), c.kind)
	}
}
