package syntax

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// BlockOption is an option of a block, and how to read it with the dispenser at its name.
type BlockOption struct {
	Name string
	Read func() error
	Many bool // it may be there several times
}

// OptionError is a mistake in an option; without one, in the line that the block belongs to. It has the text of Err.
type OptionError struct {
	Option string
	Err    error
}

func (e *OptionError) Error() string { return e.Err.Error() }

func (e *OptionError) Unwrap() error { return e.Err }

// Wrong returns an [OptionError].
func Wrong(option, format string, args ...any) error {
	return &OptionError{option, fmt.Errorf(format, args...)}
}

// InRange refuses a value that is set, which means not 0, and out of bounds.
func InRange[T int | caddy.Duration](option string, v, least, most T) error {
	if v == 0 || v >= least && v <= most {
		return nil
	}
	text := func(v T) any {
		if d, ok := any(v).(caddy.Duration); ok {
			return time.Duration(d)
		}
		return v
	}
	return Wrong(option, "%s is %v; it must be between %v and %v", option, text(v), text(least), text(most))
}

// Block reads the block behind line, if there is one, and reports what check finds at the option or the line that it is
// about. What says whose block it is, such as "accounts postgres".
func Block(d *caddyfile.Dispenser, what string, line caddyfile.Token, check func() error, options ...BlockOption) error {
	known := make(map[string]BlockOption)
	var names []string
	for _, o := range options {
		known[o.Name] = o
		names = append(names, o.Name)
	}
	at := make(map[string]caddyfile.Token)
	seen := make(Once)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		o, ok := known[name]
		if !ok {
			return unknownOption(d, what, names)
		}
		if !o.Many {
			if err := seen.See(d); err != nil {
				return err
			}
		}
		at[name] = d.Token()
		if err := o.Read(); err != nil {
			return err
		}
	}
	err := check()
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*OptionError](err); ok {
		if t, ok := at[e.Option]; ok {
			line = t
		}
	}
	return At(line, fmt.Errorf("%s: %w", what, err))
}

// unknownOption does not show what may be an address out of place, perhaps with a password.
func unknownOption(d *caddyfile.Dispenser, what string, names []string) error {
	shown := fmt.Sprintf(" %q", d.Val())
	if strings.ContainsAny(d.Val(), ":=@") {
		shown = ""
	}
	if len(names) == 0 {
		return d.Errf("unknown option%s of %s, which has none; remove it", shown, what)
	}
	return d.Errf("unknown option%s of %s; there are %s", shown, what, List(names, "and"))
}

// List writes names as a sentence does: "a, b and c", where last is "and".
func List(names []string, last string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " " + last + " " + names[len(names)-1]
}
