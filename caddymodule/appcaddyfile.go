package caddymodule

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
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
	seen := make(once)
	at := make(map[string]caddyfile.Token)
	var session caddyfile.Token // the last option about the time of sessions, which are judged together
	for d.NextBlock(0) {
		option := d.Val()
		if err := seen.see(d); err != nil {
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
		return wrapAt(at[option], err)
	}
	if a.SessionIdle == 0 && a.SessionMax == 0 {
		return nil
	}
	probe := &App{SessionIdle: a.SessionIdle, SessionMax: a.SessionMax}
	if err := probe.resolve(caddy.NewReplacer()); err != nil {
		return wrapAt(session, err)
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
		return durationArg(d, &a.FeedGrace)
	case "live_grace":
		return durationArg(d, &a.LiveGrace)
	case "registration":
		return oneOf(d, &a.Registration, "open", "invite", "closed")
	case "issuer":
		return oneArg(d, &a.Issuer)
	case "audience":
		return oneArg(d, &a.Audience)
	case "min_password":
		return a.unmarshalMinPassword(d)
	case "session_idle":
		return durationArg(d, &a.SessionIdle)
	case "session_max":
		return durationArg(d, &a.SessionMax)
	case "login_rate":
		return oneArg(d, (*string)(&a.LoginRate))
	case "signup_rate":
		return oneArg(d, (*string)(&a.SignupRate))
	case "login_backoff":
		return a.unmarshalBackoff(d)
	case "key_rotation":
		return durationArg(d, &a.KeyRotation)
	case "drain":
		return durationArg(d, &a.Drain)
	case "mail":
		return a.unmarshalMail(d)
	case "sms":
		return a.unmarshalSMS(d)
	case "phone_countries":
		return a.unmarshalCountries(d)
	case "sms_budget":
		return oneArg(d, (*string)(&a.SMSBudget))
	case "conceal_accounts":
		return flagOption(d, &a.ConcealAccounts)
	case "first_invite":
		return a.unmarshalFirstInvite(d)
	case "hash":
		return a.unmarshalHash(d)
	default:
		return d.Errf("unknown option %q of chatgate; there are accounts, sessions, feed_grace, live_grace, registration, issuer, audience, min_password, session_idle, session_max, login_rate, signup_rate, login_backoff, key_rotation, drain, mail, sms, phone_countries, sms_budget, conceal_accounts, first_invite and hash", option)
	}
}

func (a *App) unmarshalMinPassword(d *caddyfile.Dispenser) error {
	if err := intArg(d, &a.MinPassword); err != nil {
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
	seen := make(once)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if a.Hash == nil {
			a.Hash = new(HashConfig)
		}
		if err := seen.see(d); err != nil {
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
		return durationArg(d, &c.Wait)
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
	if err := intArg(d, &n); err != nil {
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
	if !hasPlaceholder(a.Issuer) {
		probe.Issuer = a.Issuer
	}
	if err := a.checkGraces(); err != nil {
		return err
	}
	return probe.resolve(caddy.NewReplacer())
}

func hasPlaceholder(s string) bool { return strings.Contains(s, "{") }

// once holds the options of a block that were there.
type once map[string]bool

// see refuses the option at d if it was there before.
func (o once) see(d *caddyfile.Dispenser) error {
	option := d.Val()
	if o[option] {
		return d.Errf("%s is there twice; keep one of them", option)
	}
	o[option] = true
	return nil
}

// wrapAt says where in the Caddyfile err comes from, for an error that shows later than at its token.
func wrapAt(t caddyfile.Token, err error) error {
	d := caddyfile.NewDispenser([]caddyfile.Token{t})
	d.Next()
	return d.WrapErr(err)
}

func oneArg(d *caddyfile.Dispenser, dst *string) error {
	option := d.Val()
	args := d.RemainingArgs()
	switch {
	case len(args) == 0:
		return d.Errf("%s needs a value", option)
	case len(args) > 1:
		return d.Errf("%s takes one value, not %d; one with spaces goes into quotes", option, len(args))
	case args[0] == "":
		return d.Errf("%s is empty; give it a value, or leave it out", option)
	}
	*dst = args[0]
	return nil
}

func oneOf(d *caddyfile.Dispenser, dst *string, values ...string) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 || !slices.Contains(values, args[0]) {
		return d.Errf("%s is %q; it is one of %q", option, strings.Join(args, " "), values)
	}
	*dst = args[0]
	return nil
}

func intArg(d *caddyfile.Dispenser, dst *int) error {
	option := d.Val()
	var v string
	if err := oneArg(d, &v); err != nil {
		return err
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return d.Errf("%s is %q; it is a whole number, without a unit", option, v)
	}
	*dst = n
	return nil
}

func durationArg(d *caddyfile.Dispenser, dst *caddy.Duration) error {
	option := d.Val()
	var v string
	if err := oneArg(d, &v); err != nil {
		return err
	}
	dur, err := caddy.ParseDuration(v)
	if err != nil || dur <= 0 || dur > 10*365*24*time.Hour {
		return d.Errf("%s is %q, which is no positive duration such as 10s, 15m or 30d", option, v)
	}
	*dst = caddy.Duration(dur)
	return nil
}
