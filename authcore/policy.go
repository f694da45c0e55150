package authcore

import (
	"errors"
	"fmt"
	"runtime"
	"time"
)

// Policy holds the operator's settings. The zero value is not usable; start from [DefaultPolicy].
type Policy struct {
	Issuer       string // "iss" of tokens
	Audience     string // "aud" of tokens
	Registration RegistrationMode
	Conceal      bool // answers do not tell whether an account exists, see [Service.Login] and [Service.RequestReset]
	MinPassword  int  // code points

	// ConfirmedEmail keeps accounts without a confirmed address out of the chat: [Service.Authenticate] and [Service.Hold]
	// refuse them, and accounts are made with an address only. It takes mail.
	ConfirmedEmail bool

	SessionIdle time.Duration // a session ends this long after its last use; 0: never
	SessionMax  time.Duration // and at the latest this long after its login

	Hash HasherOptions // how passwords are hashed

	LoginRate  Rate    // login attempts of a client address
	SignupRate Rate    // new accounts of a client address
	Backoff    Backoff // delays after failed logins to an account

	Countries  []string // ISO 3166 codes of the countries whose phone numbers are accepted; none: all
	TextBudget Rate     // text messages to all numbers together
}

// RegistrationMode says who may create an account.
type RegistrationMode uint8

// The modes.
const (
	RegistrationOpen    RegistrationMode = iota // anybody
	RegistrationInvited                         // who has an invite
	RegistrationClosed                          // nobody
)

// DefaultPolicy returns the documented defaults.
func DefaultPolicy() Policy {
	return Policy{
		Issuer: "chatgate", Audience: "chatgate", MinPassword: DefaultMinPassword,
		SessionIdle: 14 * 24 * time.Hour, SessionMax: 30 * 24 * time.Hour,
		Hash:       HasherOptions{Cost: DefaultArgon2, Parallel: runtime.GOMAXPROCS(0), Queue: 16 * runtime.GOMAXPROCS(0), Wait: 5 * time.Second},
		LoginRate:  Rate{Burst: 60, Per: time.Minute},
		SignupRate: Rate{Burst: 20, Per: time.Hour},
		Backoff:    Backoff{Free: 5, Base: time.Second, Max: 15 * time.Minute},
		TextBudget: Rate{Burst: 500, Per: 24 * time.Hour},
	}
}

// Validate returns the first error in p, in terms of the options.
func (p Policy) Validate() error {
	switch {
	case p.Issuer == "" || p.Audience == "":
		return errors.New("issuer and audience must not be empty")
	case p.Registration > RegistrationClosed:
		return fmt.Errorf("registration %d is unknown", p.Registration)
	case p.MinPassword < 8 || p.MinPassword > 64:
		return fmt.Errorf("min_password is %d; it must be between 8 and 64", p.MinPassword)
	case p.SessionMax < time.Minute || p.SessionMax > 400*24*time.Hour:
		return fmt.Errorf("session_max is %s; it must be between 1m and 400d", p.SessionMax)
	case p.SessionIdle != 0 && p.SessionIdle < time.Minute || p.SessionIdle > p.SessionMax: // uses are stored every 30 s
		return fmt.Errorf("session_idle is %s; it must be 0 or between 1m and session_max (%s)", p.SessionIdle, p.SessionMax)
	case p.Backoff.Free < 1 || p.Backoff.Free > 100 || p.Backoff.Base <= 0 || p.Backoff.Max < p.Backoff.Base:
		return errors.New("login_backoff needs 1 to 100 free attempts and a positive, growing delay")
	}
	if err := checkCountries(p.Countries); err != nil {
		return err
	}
	for _, r := range []Rate{p.LoginRate, p.SignupRate, p.TextBudget} {
		if r.Burst < 1 || r.Per <= 0 || r.Per/time.Duration(r.Burst) <= 0 {
			return fmt.Errorf("rate %d/%s is not valid; write it as <count>/<duration>, such as 60/1m", r.Burst, r.Per)
		}
	}
	return nil
}
