package authcore

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

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
