package syntax

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// At says where in the Caddyfile err comes from, for an error that shows later than at its token.
func At(t caddyfile.Token, err error) error {
	d := caddyfile.NewDispenser([]caddyfile.Token{t})
	d.Next()
	return d.WrapErr(err)
}

// One reads the one value of the option at d.
func One(d *caddyfile.Dispenser, dst *string) error {
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

// OneOf reads a value that is one of some.
func OneOf(d *caddyfile.Dispenser, dst *string, values ...string) error {
	option := d.Val()
	args := d.RemainingArgs()
	if len(args) != 1 || !slices.Contains(values, args[0]) {
		return d.Errf("%s is %q; it is one of %q", option, strings.Join(args, " "), values)
	}
	*dst = args[0]
	return nil
}

// Int reads a whole number.
func Int(d *caddyfile.Dispenser, dst *int) error {
	option := d.Val()
	var v string
	if err := One(d, &v); err != nil {
		return err
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		return d.Errf("%s is %q; it is a whole number, without a unit", option, v)
	}
	*dst = n
	return nil
}

// Count reads a whole number that 0 cannot be, since that means the default in JSON.
func Count(d *caddyfile.Dispenser, dst *int) error {
	option := d.Val()
	if err := Int(d, dst); err != nil {
		return err
	}
	if *dst == 0 {
		return d.Errf("%s is 0; leave it out for the default", option)
	}
	return nil
}

// Duration reads a positive duration.
func Duration(d *caddyfile.Dispenser, dst *caddy.Duration) error {
	option := d.Val()
	var v string
	if err := One(d, &v); err != nil {
		return err
	}
	dur, err := caddy.ParseDuration(v)
	if err != nil || dur <= 0 || dur > 10*365*24*time.Hour {
		return d.Errf("%s is %q, which is no positive duration such as 10s, 15m or 30d", option, v)
	}
	*dst = caddy.Duration(dur)
	return nil
}

// List writes names as a sentence does: "a, b and c", where last is "and".
func List(names []string, last string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " " + last + " " + names[len(names)-1]
}
