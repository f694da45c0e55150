package auth_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/internal/authtest"
	"github.com/chatgate/chatgate/internal/gatetest"
	"github.com/chatgate/chatgate/internal/paralleltest"
	"github.com/chatgate/chatgate/internal/transcript"
)

func TestMain(m *testing.M) {
	paralleltest.AtLeast(4)
	gatetest.Main(m)
}

const password = "Lantern-Quarry-71"

// The files of testdata read like the contract, a request and the expected reply to the letter, and are replayed against real
// gateway processes. See package transcript for their form.
func TestTranscripts(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, file := range files {
		name := filepath.Base(file)
		t.Run(strings.TrimSuffix(name, ".txt"), func(t *testing.T) {
			t.Parallel()
			lines := transcript.Read(t, file)
			s, _ := start(t, lines)
			s.Run(t, name, lines)
		})
	}
}

// start runs a gateway as a transcript asks for, with options of chatgate marked "+" and of chatgate_accounts auth
// marked "*". The rest of the site is an upstream's.
func start(t *testing.T, lines []string) (*transcript.Script, *gatetest.Gateway) {
	t.Helper()
	dir := t.TempDir()
	seeded := seed(t, dir)
	up := gatetest.NewUpstream(t, nil)
	app := transcript.Options(lines, "+", "\t\t")
	for _, rate := range []string{"login_rate 600/1m", "signup_rate 600/1h"} {
		if option, _, _ := strings.Cut(rate, " "); !strings.Contains(app, option) {
			app += "\t\t" + rate + "\n"
		}
	}
	g := gatetest.Start(t, "{\n\t{{GLOBAL}}\n\tchatgate {\n\t\taccounts sqlite {{DIR}}/accounts.db\n"+
		"\t\thash {\n\t\t\tmemory_kib 1024\n\t\t\ttime 1\n\t\t}\n"+app+"\t}\n}\n\n"+
		"http://{{HTTP}} {\n\tchatgate_accounts auth {\n"+transcript.Options(lines, "*", "\t\t")+"\t}\n\tchatgate_proxy "+up.Addr+"\n}\n",
		gatetest.Options{Dir: dir})
	s := transcript.New(t, g, up)
	s.Sources["seeded"] = func(t testing.TB, what string) string {
		if seeded[what] == "" {
			t.Fatalf("nothing is seeded as %q", what)
		}
		return seeded[what]
	}
	return s, g
}

// seed makes invites, for which there is no endpoint; an account that an operator closed; and one whose token expired
// while its session lives.
func seed(t *testing.T, dir string) map[string]string {
	t.Helper()
	seeded := make(map[string]string)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	transcript.Seed(t, dir, 2*time.Hour, func(ctx context.Context, s *authcore.Service) {
		g, err := s.Join(ctx, authcore.Registration{
			ClaimedName: "rip", ClaimedEmail: "rip@example.com", Password: authcore.NewPassword(password), TokenLifetime: time.Hour,
			Client: authcore.Client{Dialect: "auth"},
		})
		must(err)
		seeded["expired"] = string(g.Token)
		closed, err := s.Register(ctx, authcore.Registration{ClaimedName: "mallory", ClaimedEmail: "mallory@example.com", Password: authcore.NewPassword(password)})
		must(err)
		seeded["closed"] = string(closed.ID)
		_, err = s.Disable(ctx, authcore.Actor{}, closed.ID)
		must(err)
		_, err = s.EnsureInvite(ctx, "STALE-Bramble-Lantern-0001", authcore.NewInvite{Uses: 1, Lifetime: time.Hour})
		must(err)
	})
	transcript.Seed(t, dir, 0, func(ctx context.Context, s *authcore.Service) {
		for code, n := range map[authcore.InviteCode]authcore.NewInvite{
			"ONCE-Harbour-Lantern-0001": {Uses: 1}, "MANY-Kestrel-Lantern-0001": {Uses: 50}, "CAROL-Meadow-Lantern-0001": {Uses: 1, ClaimedEmail: "carol@example.com"},
		} {
			n.Lifetime = time.Hour
			_, err := s.EnsureInvite(ctx, code, n)
			must(err)
		}
		code, _, err := s.CreateInvite(ctx, authcore.NewInvite{Uses: 2, Lifetime: time.Hour})
		must(err)
		seeded["invite"] = string(code)
		code, revoked, err := s.CreateInvite(ctx, authcore.NewInvite{Uses: 2, Lifetime: time.Hour})
		must(err)
		seeded["revoked"] = string(code)
		must(authtest.Stores(s).Invites.RevokeInvite(ctx, revoked.ID, time.Now()))
	})
	return seeded
}
