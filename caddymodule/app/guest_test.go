package app_test

import (
	"bytes"
	"context"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/authcore/sqlstore"
	"github.com/chatgate/chatgate/caddymodule/app"
)

func init() {
	for _, m := range []caddy.Module{new(otherAccounts), new(otherSessions), new(otherMail), new(otherSMS), new(noGuest)} {
		caddy.RegisterModule(m)
	}
}

// These are modules as another repository would have them. The stores are SQLite's, in a file for accounts and in one for
// sessions; messages go to a box in memory.
type (
	otherAccounts struct {
		File string `json:"file"`
	}
	otherSessions struct {
		File string `json:"file"`
	}
	otherMail struct {
		Box string `json:"box"`
	}
	otherSMS struct{}
	noGuest  struct{}
)

func (*otherAccounts) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.accounts.other", New: func() caddy.Module { return new(otherAccounts) }}
}

func (a *otherAccounts) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return oneArg(d, &a.File) }

func (a *otherAccounts) Identity() app.Identity {
	return app.Identity{Name: "other", Place: "other " + a.File, Config: "other " + a.File}
}

func (a *otherAccounts) Open(ctx context.Context) (app.AccountStores, error) {
	db, err := sqlstore.OpenSQLite(ctx, a.File)
	if err != nil {
		return app.AccountStores{}, err
	}
	note("open accounts")
	return app.AccountStores{
		Accounts: db, Revocations: db, Codes: db, Invites: db, Phones: db, Devices: db, Keys: db,
		Close: func() error { note("close accounts"); return db.Close() },
	}, nil
}

func (*otherSessions) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.sessions.other", New: func() caddy.Module { return new(otherSessions) }}
}

func (s *otherSessions) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return oneArg(d, &s.File) }

func (*otherSessions) Embedded() bool { return false }

func (s *otherSessions) Identity() app.Identity {
	return app.Identity{Name: "other", Place: "other " + s.File, Config: "other " + s.File}
}

func (s *otherSessions) Open(ctx context.Context, _ app.AccountStores) (app.SessionStores, error) {
	db, err := sqlstore.OpenSQLite(ctx, s.File)
	if err != nil {
		return app.SessionStores{}, err
	}
	note("open sessions")
	limits, err := authcore.NewMemoryLimits(time.Now)
	return app.SessionStores{Sessions: db, Limits: limits, Close: func() error { note("close sessions"); return db.Close() }}, err
}

func (*otherMail) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.mail.other", New: func() caddy.Module { return new(otherMail) }}
}

func (m *otherMail) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return oneArg(d, &m.Box) }

func (m *otherMail) Fingerprint(issuer string) string { return app.Fingerprint("other", m.Box, issuer) }

func (m *otherMail) Open(string) (app.Mailer, error) {
	note("open mail " + m.Box)
	return &box{name: "mail " + m.Box}, nil
}

func (*otherSMS) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.sms.other", New: func() caddy.Module { return new(otherSMS) }}
}

func (*otherSMS) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { d.Next(); return nil }

func (*otherSMS) Open() (app.Texter, error) { return new(textBox), nil }

// noGuest is in the namespace of mail and sends none.
func (*noGuest) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.mail.none", New: func() caddy.Module { return new(noGuest) }}
}

func (*noGuest) UnmarshalCaddyfile(*caddyfile.Dispenser) error { return nil }

func oneArg(d *caddyfile.Dispenser, dst *string) error {
	d.Next() // the module's name
	if !d.AllArgs(dst) {
		return d.ArgErr()
	}
	return nil
}

// diary is what the modules were asked to do.
var (
	diaryMu sync.Mutex
	diary   []string
)

func note(what string) {
	diaryMu.Lock()
	defer diaryMu.Unlock()
	diary = append(diary, what)
}

// happened returns what was noted since it was last called.
func happened() string {
	diaryMu.Lock()
	defer diaryMu.Unlock()
	all := strings.Join(diary, ", ")
	diary = nil
	return all
}

type box struct{ name string }

func (b *box) Send(_ context.Context, n authcore.Notice) error {
	note(b.name + " to " + string(n.To))
	return nil
}

func (b *box) Queue(n authcore.Notice) error { note(b.name + " to " + string(n.To)); return nil }

func (b *box) Hold() (authcore.MailPlace, error) { return boxPlace{b}, nil }

type boxPlace struct{ *box }

func (boxPlace) Release() {}

func (*box) Stats() app.MailStats { return app.MailStats{} }

func (b *box) Close(context.Context) error { note("close " + b.name); return nil }

type textBox struct{}

func (*textBox) Send(_ context.Context, to authcore.Phone, _ string) error {
	note("text to " + string(to))
	return nil
}

func (*textBox) Stats() app.TextStats { return app.TextStats{} }

func (*textBox) Close() {}

const guests = `{
	admin off
	log {
		output discard
	}
	chatgate {
		accounts other DIR/accounts.db
		sessions other DIR/sessions.db
		mail     other BOX
		sms      other
		registration REGISTRATION
		hash {
			memory_kib 8
			time 1
		}
	}
}
`

func adapt(t *testing.T, config string) ([]byte, error) {
	t.Helper()
	raw, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(config), map[string]any{"filename": "Caddyfile"})
	return raw, err
}

// A binary may have stores and senders of somebody else's: they are named in the Caddyfile like ours, keep what they are
// given, and stay open for as long as a configuration names them.
func TestGuestsOfOthers(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", dir)
	load := func(box, registration string) {
		t.Helper()
		raw, err := adapt(t, strings.NewReplacer("DIR", dir, "BOX", box, "REGISTRATION", registration).Replace(guests))
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{`"accounts":{"store":"other","file":"`, `"mail":{"transport":"other","box":"`, `"sms":{"transport":"other"}`} {
			if !bytes.Contains(raw, []byte(want)) {
				t.Errorf("there is no %s in %s", want, raw)
			}
		}
		if err := caddy.Load(raw, true); err != nil {
			t.Fatal(err)
		}
	}
	use := func(f func(context.Context, *authcore.Service) error) {
		t.Helper()
		a, err := caddy.ActiveContext().App("chatgate")
		if err != nil {
			t.Fatal(err)
		}
		service, done, err := a.(*app.App).Service(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer done()
		if err := f(t.Context(), service); err != nil {
			t.Error(err)
		}
	}
	expect := func(want string) {
		t.Helper()
		if got := happened(); got != want {
			t.Errorf("what happened is %q, want %q", got, want)
		}
	}
	client := authcore.Client{Dialect: "test", Addr: netip.MustParseAddr("192.0.2.7")}
	password := authcore.NewPassword("Lantern-Quarry-Ostrich-71")

	load("one", "open")
	expect("open accounts, open sessions, open mail one")
	use(func(ctx context.Context, s *authcore.Service) error {
		_, err := s.Register(ctx, authcore.Registration{ClaimedName: "alice", Password: password, ClaimedEmail: "alice@example.org", Client: client})
		return err
	})
	use(func(ctx context.Context, s *authcore.Service) error {
		return s.RegisterByPhone(ctx, authcore.PhoneRegistration{ClaimedName: "bob", Password: password, ClaimedPhone: "+447400123456", Client: client})
	})
	expect("mail one to alice@example.org, text to +447400123456")
	load("one", "closed") // nothing that they know
	expect("")
	use(func(ctx context.Context, s *authcore.Service) error {
		_, err := s.RequestReset(ctx, authcore.ResetRequest{ClaimedName: "alice", Client: client})
		return err
	})
	expect("mail one to alice@example.org")
	load("two", "closed")
	expect("open mail two")
	if err := caddy.Stop(); err != nil {
		t.Error(err)
	}
	if got := happened(); !strings.Contains(got, "close sessions, close accounts") {
		t.Errorf("when all was over, %q", got)
	}
}

// What does not go together, or is no guest, is refused where it is written.
func TestGuestsThatDoNotFit(t *testing.T) {
	for name, tc := range map[string]struct{ options, want string }{
		"no place for sessions":        {"accounts other /x", "accounts other keeps no sessions; say where they are, such as: sessions redis <url>, at Caddyfile:2"},
		"embedded where none can be":   {"accounts other /x\nsessions embedded", "accounts other keeps no sessions; say where they are, such as: sessions redis <url>, at Caddyfile:2"},
		"not the app's kind":           {"mail none", "mail none: its module is a *app_test.noGuest, which is no app.MailModule, at Caddyfile:2"},
		"what the module's own says":   {"sessions other", "wrong argument count or unexpected line ending after 'other', at Caddyfile:2"},
		"one that is not there":        {"sms pigeon", `sms "pigeon" is unknown; it is command, file, off, other or webhook, at Caddyfile:2`},
		"a password instead of a name": {"mail smtp://chat:hunter2@mail.example.com", "mail needs a transport: file, none, off, other or smtp, at Caddyfile:2"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := adapt(t, "{ chatgate {\n"+tc.options+"\n}\n}\n"); err == nil || !strings.HasSuffix(err.Error(), tc.want) {
				t.Errorf("refused with %v\nwant %s", err, tc.want)
			}
		})
	}
}

// The same in JSON.
func TestGuestsThatDoNotFitInJSON(t *testing.T) {
	for config, want := range map[string]string{
		`{"accounts":{"store":"other","file":"` + filepath.Join(t.TempDir(), "x") + `"}}`: "accounts other keeps no sessions",
		`{"mail":{"transport":"none"}}`: "mail none: its module is a *app_test.noGuest, which is no app.MailModule",
	} {
		err := caddy.Validate(&caddy.Config{Admin: &caddy.AdminConfig{Disabled: true}, AppsRaw: caddy.ModuleMap{"chatgate": []byte(config)}})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is refused with %v\nwant %s", config, err, want)
		}
	}
}
