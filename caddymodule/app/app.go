package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

func init() {
	caddy.RegisterModule(new(App))
}

// App is the chatgate app: one set of accounts and sessions, and the policy over them. Every handler of the same
// configuration shares it. All fields are optional.
type App struct {
	// Where accounts are kept. Default: SQLite, in chatgate/chatgate.db under Caddy's data directory.
	AccountsRaw json.RawMessage `json:"accounts,omitempty" caddy:"namespace=chatgate.accounts inline_key=store"`
	// Where sessions are kept. Default: embedded, in the accounts' SQLite database. With PostgreSQL it has to be said.
	SessionsRaw json.RawMessage `json:"sessions,omitempty" caddy:"namespace=chatgate.sessions inline_key=store"`
	// How long a session that this node knows is believed while the other nodes cannot be heard: 1s to 5s. Default: 3s.
	FeedGrace caddy.Duration `json:"feed_grace,omitempty"`
	// How long live connections stay while this node cannot hear the others: 10s to 24h. Default: 10m.
	LiveGrace caddy.Duration `json:"live_grace,omitempty"`
	// Who may make an account: "open" (the default), "invite" or "closed".
	Registration string `json:"registration,omitempty"`
	// The "iss" of tokens, and where links in messages lead: an https URL. Default: "chatgate".
	Issuer string `json:"issuer,omitempty"`
	// The "aud" of tokens. Default: "chatgate".
	Audience string `json:"audience,omitempty"`
	// The least number of characters of a new password. Default: 8; 15 is better where there is no second factor.
	MinPassword int `json:"min_password,omitempty"`
	// A session ends this long after its last use. A live connection counts as use. Default: 14d.
	SessionIdle caddy.Duration `json:"session_idle,omitempty"`
	// A session ends this long after its login, whatever happens. Default: 30d.
	SessionMax caddy.Duration `json:"session_max,omitempty"`
	// How many logins one client address may try. Default: 60/1m.
	LoginRate syntax.Rate `json:"login_rate,omitempty"`
	// How many accounts one client address may register. Default: 20/1h.
	SignupRate syntax.Rate `json:"signup_rate,omitempty"`
	// How failed logins slow one account down. Default: 5 free, then 1s, doubling up to 15m.
	LoginBackoff *BackoffConfig `json:"login_backoff,omitempty"`
	// How passwords are hashed. Default: argon2id with 19 MiB, 2 passes, as many at once as there are processors.
	Hash *HashConfig `json:"hash,omitempty"`
	// The age at which the signing key is replaced. Default: 30d.
	KeyRotation caddy.Duration `json:"key_rotation,omitempty"`
	// Closing the live connections is spread over this time when the process stops. Default: 3s.
	Drain caddy.Duration `json:"drain,omitempty"`
	// How e-mail leaves. Default: off.
	MailRaw json.RawMessage `json:"mail,omitempty" caddy:"namespace=chatgate.mail inline_key=transport"`
	// How text messages leave. Default: off, so that nobody can register with a phone number.
	SMSRaw json.RawMessage `json:"sms,omitempty" caddy:"namespace=chatgate.sms inline_key=transport"`
	// The countries whose phone numbers are accepted, by their ISO 3166 codes. Default: all.
	PhoneCountries []string `json:"phone_countries,omitempty"`
	// How many text messages may be sent in all. Default: 500/1d.
	SMSBudget syntax.Rate `json:"sms_budget,omitempty"`
	// Whether an account without a confirmed e-mail address is kept out of the chat: optional (default) or required, which
	// needs mail.
	ConfirmedAddress string `json:"confirmed_address,omitempty"`
	// Whether answers hide if an account exists. Default: false, since the documented error codes tell it.
	ConcealAccounts bool `json:"conceal_accounts,omitempty"`
	// An invite to make when the stores are opened, unless it exists or existed.
	FirstInvite *InviteConfig `json:"first_invite,omitempty"`

	accounts AccountsModule
	sessions SessionsModule
	sms      SMSModule

	policy authcore.Policy
	stores stores
	mail   mailing
	invite firstInvite
	logger *zap.Logger
	ctx    caddy.Context // for the checks
	gates  []Gate

	mu      sync.Mutex
	holder  *stateHolder
	mailer  *mailHolder // nil where there is no mail
	texter  Texter      // nil where there are no text messages, or nobody has needed it yet
	users   int         // of holder and mailer: the configuration until Cleanup, and every request under way
	service *authcore.Service
	others  sync.Map // *authcore.Service by *authcore.State, over stores of earlier configurations that are not closed yet

	generation uint64         // grows with every configuration
	openers    []caddy.Module // of this configuration
	httpLog    *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate", New: func() caddy.Module { return new(App) }}
}

// Of returns the app of the configuration that a module is provisioned for.
func Of(ctx caddy.Context) (*App, error) {
	a, err := ctx.App("chatgate")
	if err != nil {
		return nil, fmt.Errorf("getting the chatgate app: %w", err)
	}
	return a.(*App), nil
}

// Provision resolves placeholders and takes hold of the state; it opens nothing, since a configuration that is only
// validated is provisioned too.
func (a *App) Provision(ctx caddy.Context) error {
	a.logger, a.httpLog, a.ctx = ctx.Logger(), ctx.Logger(httpModule{}), ctx
	if err := a.resolve(caddy.NewReplacer()); err != nil {
		return err
	}
	if err := a.loadSenders(ctx); err != nil {
		return err
	}
	if err := a.loadStores(ctx); err != nil {
		return err
	}
	if err := registerMetrics(ctx.GetMetricsRegistry()); err != nil {
		return err
	}
	events, err := ctx.App("events")
	if err != nil {
		return fmt.Errorf("getting the events app: %w", err)
	}
	if err := events.(*caddyevents.App).On("stopping", a); err != nil {
		return fmt.Errorf("subscribing to the end of the configuration: %w", err)
	}
	if err := a.take(); err != nil {
		return err
	}
	a.generation = generations.Add(1)
	a.users = 1
	a.holder.use(true)
	return nil
}

// take takes hold of what outlives a configuration.
func (a *App) take() error {
	holder, err := takeState(a.stores)
	if err != nil {
		return err
	}
	if a.mailer, err = takeMail(a.mail); err != nil {
		return errors.Join(err, holder.release())
	}
	a.holder = holder
	return nil
}

// resolve turns the options into a policy, with defaults in place.
func (a *App) resolve(repl *caddy.Replacer) error {
	if err := a.Options().Check(); err != nil {
		return err
	}
	var err error
	if a.policy, err = a.newPolicy(repl); err != nil {
		return err
	}
	a.invite, err = a.FirstInvite.resolve(repl)
	return err
}

// registrations are the values of the option registration.
var registrations = map[string]authcore.RegistrationMode{
	"open": authcore.RegistrationOpen, "invite": authcore.RegistrationInvited, "closed": authcore.RegistrationClosed,
}

// newPolicy returns the policy that the options make, and fills in their defaults.
func (a *App) newPolicy(repl *caddy.Replacer) (p authcore.Policy, err error) {
	a.fillPolicy()
	p = authcore.Policy{
		Registration: registrations[a.Registration], Conceal: a.ConcealAccounts, MinPassword: a.MinPassword,
		ConfirmedEmail: a.ConfirmedAddress == required,
		SessionIdle:    time.Duration(a.SessionIdle), SessionMax: time.Duration(a.SessionMax),
		Hash: a.Hash.options(), Backoff: authcore.DefaultPolicy().Backoff, Countries: a.PhoneCountries,
	}
	if p.Issuer, err = repl.ReplaceOrErr(a.Issuer, true, true); err != nil {
		return p, fmt.Errorf("issuer: %w", err)
	}
	if syntax.HasPlaceholder(a.Issuer) {
		if err := checkIssuer(p.Issuer); err != nil {
			return p, err
		}
	}
	if p.Audience, err = repl.ReplaceOrErr(a.Audience, true, true); err != nil {
		return p, fmt.Errorf("audience: %w", err)
	}
	for _, r := range []struct {
		option  string
		written syntax.Rate
		rate    *authcore.Rate
	}{{"login_rate", a.LoginRate, &p.LoginRate}, {"signup_rate", a.SignupRate, &p.SignupRate}, {"sms_budget", a.SMSBudget, &p.TextBudget}} {
		if *r.rate, err = r.written.Rate(r.option, authcore.Rate{}); err != nil {
			return p, err
		}
	}
	if b := a.LoginBackoff; b != nil {
		p.Backoff = authcore.Backoff{Free: b.Free, Base: time.Duration(b.Base), Max: time.Duration(b.Max)}
	}
	if err := p.Hash.Validate(); err != nil {
		return p, fmt.Errorf("hash: %w", err)
	}
	return p, p.Validate()
}

// Start opens the stores, unless a request or another configuration did.
func (a *App) Start() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.openLocked(context.Background()); err != nil {
		return err
	}
	a.warnOfStores()
	a.warnOfMail()
	a.warnOfTexts()
	a.warn()
	a.takeCharge()
	return nil
}

// HTTPLog returns what Caddy's HTTP app logs to.
func (a *App) HTTPLog() *zap.Logger { return a.httpLog }

// Handle implements caddyevents.Handler for "stopping". When the process is going away, live connections are told to
// come back later, before the HTTP servers begin to wait for them; on a reload they are left alone.
func (a *App) Handle(ctx context.Context, _ caddy.Event) error {
	if !caddy.Exiting() {
		return nil
	}
	drain := time.Duration(a.Drain)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drain+3*time.Second)
	defer cancel()
	// Those of earlier configurations with other stores as well.
	var all sync.WaitGroup
	for _, live := range liveOf(func(*stateHolder) bool { return true }) {
		all.Go(func() { a.drain(ctx, live, drain) })
	}
	all.Wait()
	return nil
}

// drain ends every live connection, spread over a time, and waits until they are gone.
func (a *App) drain(ctx context.Context, live *authcore.Live, spread time.Duration) {
	if live.Connections() < 100 {
		spread = 0 // spreading is for the sake of those who will all come back at once
	}
	a.logger.Info("closing live connections", zap.Int("connections", live.Connections()), zap.Duration("over", spread))
	live.EndAll(ctx, spread)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for live.Connections() > 0 {
		select {
		case <-tick.C:
		case <-ctx.Done():
			a.logger.Warn("some connections did not close in time", zap.Int("connections", live.Connections()))
			return
		}
	}
}

// Stop has nothing to do: what is shared outlives this configuration, and Cleanup lets go of it.
func (a *App) Stop() error { return nil }

// Cleanup lets go of the state. Requests that are still under way keep using it.
func (a *App) Cleanup() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.holder == nil {
		return nil // Provision failed before
	}
	a.resign()
	a.holder.use(false)
	if !caddy.Exiting() {
		a.dismiss()
		return a.leaveLocked()
	}
	err := a.leaveLocked()
	retired.finish()
	return err
}

// dismiss ends connections whose sessions are known to no configuration any more, since a new one names other stores.
func (a *App) dismiss() {
	for _, live := range leftBehind() {
		if live.Connections() == 0 {
			continue
		}
		go func() {
			n := live.Dismiss(context.Background(), time.Duration(a.Drain))
			a.logger.Info("closed the live connections of sessions that were left behind with their store", zap.Int("connections", n))
		}()
	}
}

// Interface guards
var (
	_ caddy.App           = (*App)(nil)
	_ caddy.Provisioner   = (*App)(nil)
	_ caddy.CleanerUpper  = (*App)(nil)
	_ caddyevents.Handler = (*App)(nil)
)
