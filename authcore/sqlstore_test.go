package authcore_test

import (
	"context"
	"fmt"
	"net/netip"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
)

// node opens the database in a file, as a process does.
func node(t *testing.T, path string, mail authcore.Mailer, now func() time.Time) *authcore.Service {
	t.Helper()
	store, err := sqlstore.OpenSQLite(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { store.Close() })
	limits, err := authcore.NewMemoryLimits(now)
	if err != nil {
		t.Fatal(err)
	}
	st, err := authcore.OpenState(t.Context(), authcore.StateOptions{
		Accounts: store, Sessions: store, Revocations: store, Codes: store, Invites: store, Devices: store, Keys: store,
		Limits: limits, KeyRotate: 24 * time.Hour, MaxTokens: 30 * 24 * time.Hour, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	p := authcore.DefaultPolicy()
	p.Hash = authcore.HasherOptions{Cost: authcore.Argon2{Memory: 64, Time: 1, Threads: 1}, Parallel: 2, Queue: 100, Wait: time.Minute}
	s, err := authcore.NewService(authcore.ServiceOptions{State: st, Policy: p, Mailer: mail})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Over a real store: nodes that start at once sign with one key, of those who want a name one gets it, and what was
// granted holds, and ends, everywhere and after a restart.
func TestSQLite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "chatgate.db")
	nodes := make([]*authcore.Service, 3)
	var done sync.WaitGroup
	for i := range nodes {
		done.Go(func() { nodes[i] = node(t, path, nil, time.Now) })
	}
	done.Wait()
	if t.Failed() {
		return
	}
	client := authcore.Client{Dialect: "test", Addr: netip.MustParseAddr("192.0.2.1")}
	password := authcore.NewPassword("Lantern-Quarry-71")
	var won int
	var mu sync.Mutex
	for i := range 12 {
		done.Go(func() {
			name := []string{"bob", "BOB", "b0b", "ＢＯＢ"}[i%4]
			_, err := nodes[i%3].Register(context.Background(), authcore.Registration{ClaimedName: name, Password: password, Client: client})
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if authcore.KindOf(err) != authcore.KindUsernameTaken {
				t.Error(err)
			}
		})
	}
	done.Wait()
	if won != 1 {
		t.Fatalf("%d got the name", won)
	}
	if _, err := nodes[0].Register(t.Context(), authcore.Registration{ClaimedName: "alice", Password: password, Client: client}); err != nil {
		t.Fatal(err)
	}
	var grants []authcore.Grant
	for _, n := range nodes {
		g, err := n.Login(t.Context(), authcore.Credentials{ClaimedName: "ALICE", Password: password, Client: client})
		if err != nil {
			t.Fatal(err)
		}
		grants = append(grants, g)
	}
	check := func(n *authcore.Service, what string, g authcore.Grant, kind authcore.Kind) {
		t.Helper()
		id, err := n.Authenticate(t.Context(), authcore.UnverifiedToken(g.Token))
		if kind == 0 && (err != nil || id.Username != "alice" || id.Session != g.Session.ID) || kind != 0 && authcore.KindOf(err) != kind {
			t.Errorf("%s: %+v, %v", what, id, err)
		}
	}
	for i, n := range append(nodes, node(t, path, nil, time.Now)) {
		for k, g := range grants[:2] {
			check(n, fmt.Sprintf("grant %d at node %d", k, i), g, 0)
		}
	}
	if r, err := nodes[1].LogoutAll(t.Context(), authcore.Actor{}, grants[0].Account.ID, grants[1].Session.ID); err != nil || r.Sessions != 2 {
		t.Errorf("%+v, %v", r, err)
	}
	for i, n := range []*authcore.Service{nodes[1], node(t, path, nil, time.Now)} {
		check(n, fmt.Sprintf("ended, at node %d", i), grants[0], authcore.KindSessionOver)
		check(n, fmt.Sprintf("kept, at node %d", i), grants[1], 0)
		check(n, fmt.Sprintf("never seen, at node %d", i), grants[2], authcore.KindSessionOver)
	}
}

// letters is a Mailer that hands over what it is given.
type letters chan authcore.Notice

func (l letters) Send(_ context.Context, n authcore.Notice) error { l <- n; return nil }
func (l letters) Queue(n authcore.Notice) error                   { l <- n; return nil }

func (l letters) Hold() (authcore.MailPlace, error) { return held{l}, nil }

type held struct{ letters }

func (held) Release() {}

// Over a real store: an invite, refreshes on two nodes, and a reset.
func TestSQLiteAccount(t *testing.T) {
	path, mail := filepath.Join(t.TempDir(), "chatgate.db"), make(letters, 10)
	var ahead atomic.Int64
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	nodes := []*authcore.Service{node(t, path, mail, now), node(t, path, mail, now)}
	ctx, client := t.Context(), authcore.Client{Dialect: "test", Addr: netip.MustParseAddr("192.0.2.1")}
	fatal := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	code, _, err := nodes[0].CreateInvite(ctx, authcore.NewInvite{Uses: 1, Lifetime: time.Hour, ClaimedEmail: "alice@example.com"})
	fatal("invite", err)
	r := authcore.Registration{
		ClaimedName: "alice", Password: authcore.NewPassword("Lantern-Quarry-71"), ClaimedEmail: "alice@example.com", NeedInvite: true,
		Invite: code, TokenLifetime: time.Hour, Client: client,
	}
	g, err := nodes[1].Join(ctx, r)
	fatal("join", err)
	confirm := <-mail
	if confirm.Kind != authcore.NoticeConfirmCode {
		t.Errorf("a notice %s", confirm.Kind)
	}
	fatal("confirm", nodes[0].ConfirmEmail(ctx, authcore.Actor{Identity: g.Proven.Identity, Client: client}, string(confirm.Code)))
	if id, err := nodes[0].Authenticate(ctx, authcore.UnverifiedToken(g.Token)); err != nil || id.Email != "alice@example.com" {
		t.Errorf("confirmed as %q, %v", id.Email, err)
	}
	r.ClaimedName = "bob"
	if _, err := nodes[0].Join(ctx, r); authcore.KindOf(err) != authcore.KindBadInvite {
		t.Errorf("the invite again: %v", err)
	}

	tokens := []authcore.UnverifiedToken{authcore.UnverifiedToken(g.Token)}
	for i := range 4 {
		next, err := nodes[i%2].Refresh(ctx, authcore.Refreshing{Token: tokens[i], TokenLifetime: time.Hour, Client: client})
		fatal("refresh", err)
		tokens = append(tokens, authcore.UnverifiedToken(next.Token))
		for _, n := range nodes {
			_, err := n.Authenticate(ctx, tokens[i+1])
			fatal("authenticate", err)
		}
	}
	p, err := nodes[0].RequestReset(ctx, authcore.ResetRequest{ClaimedName: "Alice", Client: client})
	fatal("request", err)
	reset := authcore.PasswordReset{
		UserHash: p.UserHash, Request: p.Request, Code: string((<-mail).Code), Password: authcore.NewPassword("Harbour-Violin-28"), Client: client,
	}
	fatal("reset", nodes[1].ResetPassword(ctx, reset))
	if n := <-mail; n.Kind != authcore.NoticePasswordChanged || n.To != "alice@example.com" {
		t.Errorf("a notice %s to %s", n.Kind, n.To)
	}
	if err := nodes[0].ResetPassword(ctx, reset); authcore.KindOf(err) != authcore.KindBadCode {
		t.Errorf("the code again: %v", err)
	}
	if _, err := nodes[1].Authenticate(ctx, tokens[4]); authcore.KindOf(err) != authcore.KindSessionOver {
		t.Errorf("the session of before: %v", err)
	}
	g, err = nodes[0].Login(ctx, authcore.Credentials{ClaimedEmail: "ALICE@example.com", Password: reset.Password, Client: client})
	fatal("login", err)
	tokens = []authcore.UnverifiedToken{authcore.UnverifiedToken(g.Token)}
	for range 2 {
		next, err := nodes[1].Refresh(ctx, authcore.Refreshing{Token: tokens[len(tokens)-1], Client: client})
		fatal("refresh", err)
		tokens = append(tokens, authcore.UnverifiedToken(next.Token))
	}
	refresh := func(n *authcore.Service, what, agent string, kind authcore.Kind) {
		t.Helper()
		client.UserAgent = agent
		if _, err := n.Refresh(ctx, authcore.Refreshing{Token: tokens[0], Client: client}); authcore.KindOf(err) != kind {
			t.Errorf("%s: %v", what, err)
		}
	}
	refresh(nodes[0], "two behind, at once", "", 0)
	ahead.Store(int64(time.Minute))
	for _, n := range nodes {
		refresh(n, "two behind, later", "", authcore.KindBadToken)
	}
	for _, n := range nodes {
		refresh(n, "a stolen token", "thief/1.0", authcore.KindSessionOver)
	}
	if n := <-mail; n.Kind != authcore.NoticeTokenTheft {
		t.Errorf("a notice %s", n.Kind)
	}
	if len(mail) != 0 {
		t.Errorf("one notice too many: %s", (<-mail).Kind)
	}
}
