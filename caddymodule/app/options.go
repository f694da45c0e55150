package app

import (
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/option"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// Options implements [option.Holder].
func (a *App) Options() option.Table { return slices.Concat(a.storeOptions(), a.policyOptions()) }

// storeOptions are about where things are kept.
func (a *App) storeOptions() option.Table {
	return option.Table{
		option.Func("accounts", "a store, which checks its options", a.unmarshalAccounts),
		option.Func("sessions", "a store, which checks its options", a.unmarshalSessions),
		option.Duration("feed_grace", &a.FeedGrace).Default("3s").Between("1s", "5s"),
		option.Duration("live_grace", &a.LiveGrace).Default("10m").Between("10s", "24h"),
	}
}

// policyOptions are all others. Their defaults are those of [authcore.DefaultPolicy], which checks a good part of them.
func (a *App) policyOptions() option.Table {
	const byPolicy = "authcore.Policy checks it"
	def := authcore.DefaultPolicy()
	return option.Table{
		option.Word("registration", &a.Registration, "open", "invite", "closed"),
		option.Text("issuer", &a.Issuer).DefaultOf(def.Issuer).Must(func(issuer string) error {
			if syntax.HasPlaceholder(issuer) {
				return nil // checked once it has a value
			}
			return checkIssuer(issuer)
		}),
		option.Text("audience", &a.Audience).DefaultOf(def.Audience).Unbounded("any text will do"),
		option.Number("min_password", &a.MinPassword).DefaultOf(def.MinPassword).Must(func(n int) error {
			p := authcore.DefaultPolicy()
			p.MinPassword = n
			return p.Validate()
		}),
		option.Duration("session_idle", &a.SessionIdle).DefaultOf(caddy.Duration(def.SessionIdle)).Unbounded(byPolicy),
		option.Duration("session_max", &a.SessionMax).DefaultOf(caddy.Duration(def.SessionMax)).Unbounded(byPolicy),
		option.Rate("login_rate", &a.LoginRate).DefaultOf(option.RateOf(def.LoginRate)),
		option.Rate("signup_rate", &a.SignupRate).DefaultOf(option.RateOf(def.SignupRate)),
		option.Func("login_backoff", byPolicy, a.unmarshalBackoff).
			Default(fmt.Sprintf("%d %s %s", def.Backoff.Free, option.DurationText(def.Backoff.Base), option.DurationText(def.Backoff.Max))),
		option.Duration("key_rotation", &a.KeyRotation).Default("30d").AtLeast("1h"),
		option.Duration("drain", &a.Drain).Default("3s").Between("0", "10m"),
		option.Func("mail", "a way to send, which checks its options", a.unmarshalMail).Default("off"),
		option.Func("sms", "a way to send, which checks its options", a.unmarshalSMS).Default("off"),
		option.List("phone_countries", &a.PhoneCountries, "is written as: phone_countries <code>..., such as: phone_countries DE AT CH").
			Must(func(codes []string) error {
				p := authcore.DefaultPolicy()
				p.Countries = codes
				return p.Validate()
			}),
		option.Rate("sms_budget", &a.SMSBudget).DefaultOf(option.RateOf(def.TextBudget)),
		option.Word("confirmed_address", &a.ConfirmedAddress, optional, required),
		option.Flag("conceal_accounts", &a.ConcealAccounts),
		option.Func("first_invite", "a placeholder", a.unmarshalFirstInvite).Block(new(InviteConfig).Options()),
		option.Func("hash", "a block", a.unmarshalHash).Block(new(HashConfig).Options()).
			Must(func() error { return a.Hash.check() }),
	}
}

// The words of confirmed_address.
const (
	optional = "optional"
	required = "required"
)

func checkIssuer(issuer string) error {
	u, err := url.Parse(issuer)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		return fmt.Errorf("issuer %q is not a URL like https://chat.example.com", issuer)
	}
	return nil
}

// checkSessionTimes judges the two times of sessions, whose bounds depend on each other.
func (a *App) checkSessionTimes() error {
	probe := App{SessionIdle: a.SessionIdle, SessionMax: a.SessionMax}
	probe.fillPolicy()
	p := authcore.DefaultPolicy()
	p.SessionIdle, p.SessionMax = time.Duration(probe.SessionIdle), time.Duration(probe.SessionMax)
	return p.Validate()
}

// fillPolicy fills in the defaults of the policy. A short session_max shortens the default of session_idle.
func (a *App) fillPolicy() {
	shortened := a.SessionIdle == 0 && a.SessionMax != 0
	a.policyOptions().Fill()
	if shortened {
		a.SessionIdle = min(a.SessionIdle, a.SessionMax)
	}
}
