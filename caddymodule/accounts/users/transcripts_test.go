package users_test

import (
	"context"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chatgate/chatgate/authcore"
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
			dir := t.TempDir()
			seed(t, dir)
			g := gatetest.Start(t, caddyfile(transcript.Options(lines, "+", "\t\t"), transcript.Options(lines, "*", "\t\t")), gatetest.Options{Dir: dir})
			transcript.New(t, g, nil).Run(t, name, lines)
		})
	}
}

// caddyfile serves users with options, and rooms beside it.
func caddyfile(app, accounts string) string {
	for _, rate := range []string{"login_rate 600/1m", "signup_rate 600/1h"} {
		if option, _, _ := strings.Cut(rate, " "); !strings.Contains(app, option) {
			app += "\t\t" + rate + "\n"
		}
	}
	return "{\n\t{{GLOBAL}}\n\tchatgate {\n\t\taccounts sqlite {{DIR}}/accounts.db\n\t\thash {\n\t\t\tmemory_kib 1024\n\t\t\ttime 1\n\t\t}\n" + app +
		"\t}\n}\n\nhttp://{{HTTP}} {\n\tchatgate_accounts users {\n" + accounts + "\t}\n\tchatgate_accounts rooms {\n\t\ttoken_lifetime 10m\n\t}\n}\n"
}

// seed makes an account that an operator closed.
func seed(t *testing.T, dir string) {
	t.Helper()
	transcript.Seed(t, dir, 0, func(ctx context.Context, s *authcore.Service) {
		a, err := s.Register(ctx, authcore.Registration{ClaimedName: "mallory", ClaimedEmail: "mallory@example.com", Password: authcore.NewPassword(password)})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Disable(ctx, authcore.Actor{}, a.ID); err != nil {
			t.Fatal(err)
		}
	})
}
