package app

import (
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/chatgate/chatgate/caddymodule/option"
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
//	    confirmed_address optional | required
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
// The blocks of accounts, sessions, mail, sms and first_invite are described where they are read.
func (a *App) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the option's name
	if d.NextArg() {
		return d.Errf("unexpected %q; chatgate takes its options in a block", d.Val())
	}
	lines, err := option.Block{Of: "chatgate", Table: a.Options()}.Read(d)
	if err != nil {
		return err
	}
	if name, err := a.checkStores(); err != nil {
		return lines.Blame(name, err)
	}
	if err := a.checkSessionTimes(); err != nil {
		return lines.Blame(lines.Last("session_idle", "session_max"), err)
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
	c := new(HashConfig)
	rule := func() error {
		if err := c.options().Validate(); err != nil {
			return fmt.Errorf("hash: %w", err)
		}
		return nil
	}
	_, err := option.Block{Of: "hash", Table: c.Options(), Rule: rule}.Sub(d, "options")
	a.Hash = c
	return err
}
