package app

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/chatgate/chatgate/caddymodule/syntax"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("chatgate", parseApp)
}

func parseApp(d *caddyfile.Dispenser, existing any) (any, error) {
	if existing != nil {
		d.Next()
		return nil, d.Err("the chatgate option is there twice; put everything into one block")
	}
	a := new(App)
	if err := a.UnmarshalCaddyfile(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: "chatgate", Value: caddyconfig.JSON(a, nil)}, nil
}

// UnmarshalCaddyfile reads the global option. Syntax, with the defaults:
//
//	chatgate {
//	    accounts      sqlite [<path>] | postgres <dsn> { … }
//	    sessions      embedded | redis <url>... { … }
//	    feed_grace    3s
//	    live_grace    10m
//	    registration  open | invite | closed
//	    issuer        <url>
//	    audience      chatgate
//	    min_password  8
//	    session_idle  14d
//	    session_max   30d
//	    login_rate    60/1m
//	    signup_rate   20/1h
//	    login_backoff 5 1s 15m
//	    key_rotation  30d
//	    drain         3s
//	    mail          off | file <directory> { … } | smtp <url> { … }
//	    sms           off | file <directory> | webhook <url> { … }
//	    phone_countries <code>...
//	    sms_budget    500/1d
//	    conceal_accounts
//	    first_invite  {env.NAME} { … }
//	    hash {
//	        memory_kib 19456
//	        time       2
//	        threads    1
//	        parallel   <processors>
//	        queue      <16 a processor>
//	        wait       5s
//	    }
//	}
//
// What is in the blocks of accounts, sessions, mail, sms and first_invite is said where those are read.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	if d.NextArg() {
		return d.Errf("unexpected %q; chatgate takes its options in a block", d.Val())
	}
	seen := make(syntax.Once)
	at := make(map[string]caddyfile.Token)
	var session caddyfile.Token // the last option about the time of sessions, which are judged together
	for d.NextBlock(0) {
		option := d.Val()
		if err := seen.See(d); err != nil {
			return err
		}
		at[option] = d.Token()
		if err := a.unmarshalOption(d, option); err != nil {
			return err
		}
		if option == "session_idle" || option == "session_max" {
			session = d.Token()
			continue
		}
		if err := a.checkOptions(); err != nil {
			return d.WrapErr(err)
		}
	}
	if option, err := a.checkStores(); err != nil {
		return syntax.At(at[option], err)
	}
	if a.SessionIdle == 0 && a.SessionMax == 0 {
		return nil
	}
	probe := &App{SessionIdle: a.SessionIdle, SessionMax: a.SessionMax}
	if err := probe.resolve(caddy.NewReplacer()); err != nil {
		return syntax.At(session, err)
	}
	return nil
}

func (a *App) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	switch option {
	case "accounts":
		return a.unmarshalAccounts(d)
	case "sessions":
		return a.unmarshalSessions(d)
	case "feed_grace":
		return syntax.Duration(d, &a.FeedGrace)
	case "live_grace":
		return syntax.Duration(d, &a.LiveGrace)
	case "registration":
		return syntax.OneOf(d, &a.Registration, "open", "invite", "closed")
	case "issuer":
		return syntax.One(d, &a.Issuer)
	case "audience":
		return syntax.One(d, &a.Audience)
	case "min_password":
		return a.unmarshalMinPassword(d)
	case "session_idle":
		return syntax.Duration(d, &a.SessionIdle)
	case "session_max":
		return syntax.Duration(d, &a.SessionMax)
	case "login_rate":
		return syntax.One(d, (*string)(&a.LoginRate))
	case "signup_rate":
		return syntax.One(d, (*string)(&a.SignupRate))
	case "login_backoff":
		return a.unmarshalBackoff(d)
	case "key_rotation":
		return syntax.Duration(d, &a.KeyRotation)
	case "drain":
		return syntax.Duration(d, &a.Drain)
	case "mail":
		return a.unmarshalMail(d)
	case "sms":
		return a.unmarshalSMS(d)
	case "phone_countries":
		return a.unmarshalCountries(d)
	case "sms_budget":
		return syntax.One(d, (*string)(&a.SMSBudget))
	case "conceal_accounts":
		return syntax.FlagOption(d, &a.ConcealAccounts)
	case "first_invite":
		return a.unmarshalFirstInvite(d)
	case "hash":
		return a.unmarshalHash(d)
	default:
		return d.Errf("unknown option %q of chatgate; there are accounts, sessions, feed_grace, live_grace, registration, issuer, audience, min_password, session_idle, session_max, login_rate, signup_rate, login_backoff, key_rotation, drain, mail, sms, phone_countries, sms_budget, conceal_accounts, first_invite and hash", option)
	}
}

func (a *App) unmarshalMinPassword(d *caddyfile.Dispenser) error {
	if err := syntax.Int(d, &a.MinPassword); err != nil {
		return err
	}
	if a.MinPassword == 0 { // which means the default in JSON
		return d.Err("min_password is 0; it must be between 8 and 64")
	}
	return nil
}

func (a *App) unmarshalBackoff(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) != 3 {
		return d.Err("login_backoff is written as: login_backoff <free attempts> <first delay> <longest delay>")
	}
	free, err1 := strconv.Atoi(args[0])
	base, err2 := caddy.ParseDuration(args[1])
	longest, err3 := caddy.ParseDuration(args[2])
	if err1 != nil || err2 != nil || err3 != nil || free < 1 || free > 100 || base <= 0 || longest < base {
		return d.Err("login_backoff takes 1 to 100 free attempts, a first delay, and a longest one that is no shorter, such as: login_backoff 5 1s 15m")
	}
	a.LoginBackoff = &BackoffConfig{free, caddy.Duration(base), caddy.Duration(longest)}
	return nil
}

func (a *App) unmarshalHash(d *caddyfile.Dispenser) error {
	if d.NextArg() {
		return d.Errf("unexpected %q; hash takes its options in a block", d.Val())
	}
	seen := make(syntax.Once)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if a.Hash == nil {
			a.Hash = new(HashConfig)
		}
		if err := seen.See(d); err != nil {
			return err
		}
		if err := a.Hash.unmarshalOption(d, d.Val()); err != nil {
			return err
		}
		if err := a.checkOptions(); err != nil {
			return d.WrapErr(err)
		}
	}
	if a.Hash == nil {
		return d.Err("hash takes its options in a block: memory_kib, time, threads, parallel, queue and wait")
	}
	return nil
}

func (c *HashConfig) unmarshalOption(d *caddyfile.Dispenser, option string) error {
	if option == "wait" {
		return syntax.Duration(d, &c.Wait)
	}
	known, ok := map[string]struct {
		least, most int
		set         func(int)
	}{
		"memory_kib": {8, 256 << 10, func(n int) { c.MemoryKiB = uint32(n) }}, //nolint:gosec // bounded
		"time":       {1, 16, func(n int) { c.Time = uint32(n) }},             //nolint:gosec // bounded
		"threads":    {1, 8, func(n int) { c.Threads = uint8(n) }},            //nolint:gosec // bounded
		"parallel":   {1, 1 << 20, func(n int) { c.Parallel = n }},
		"queue":      {1, 1 << 20, func(n int) { c.Queue = n }},
	}[option]
	if !ok {
		return d.Errf("unknown option %q of hash; there are memory_kib, time, threads, parallel, queue and wait", option)
	}
	var n int
	if err := syntax.Int(d, &n); err != nil {
		return err
	}
	if n < known.least || n > known.most {
		return d.Errf("hash %s is %d; it must be between %d and %d", option, n, known.least, known.most)
	}
	known.set(n)
	return nil
}

// checkOptions finds what Provision would find, while file and line are still known. What only a placeholder can tell
// has to wait.
func (a *App) checkOptions() error {
	probe := &App{
		MinPassword: a.MinPassword, LoginRate: a.LoginRate, SignupRate: a.SignupRate, LoginBackoff: a.LoginBackoff,
		Hash: a.Hash, KeyRotation: a.KeyRotation, Drain: a.Drain,
		PhoneCountries: a.PhoneCountries, SMSBudget: a.SMSBudget,
	}
	if !syntax.HasPlaceholder(a.Issuer) {
		probe.Issuer = a.Issuer
	}
	if err := a.checkGraces(); err != nil {
		return err
	}
	return probe.resolve(caddy.NewReplacer())
}
