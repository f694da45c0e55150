package syntax

import (
	"math"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"
)

func OnOff(d *caddyfile.Dispenser, dst *bool) error {
	var v string
	err := OneOf(d, &v, "on", "off")
	*dst = v == "on"
	return err
}

// SizeArg reads a size in bytes.
func SizeArg(d *caddyfile.Dispenser, dst *int) error {
	option := d.Val()
	var v string
	if err := One(d, &v); err != nil {
		return err
	}
	n, err := humanize.ParseBytes(v)
	if err != nil || n == 0 || n > math.MaxInt32 {
		return d.Errf("%s is %q; it is a size such as 64KiB", option, v)
	}
	*dst = int(n)
	return nil
}

// OrOffArg reads a duration, or off, which is -1.
func OrOffArg(d *caddyfile.Dispenser, dst *caddy.Duration) error {
	if d.NextArg() {
		if off := d.Val() == "off"; off && d.CountRemainingArgs() == 0 {
			*dst = -1
			return nil
		}
		d.Prev()
	}
	return Duration(d, dst)
}

// FlagOption reads an option that is there or not.
func FlagOption(d *caddyfile.Dispenser, dst *bool) error {
	option := d.Val()
	if len(d.RemainingArgs()) > 0 {
		return d.Errf("%s takes no value; leave it out where it is not wanted", option)
	}
	*dst = true
	return nil
}
