package option

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// Table lists the options of a block, in the order in which errors name them. Its rows point to the fields of one value, so a
// copy of that value needs a table of its own.
type Table []Option

// Option is a row of a [Table].
type Option interface {
	// Describe returns what is known of the option whatever its value is.
	Describe() Description

	read(d *caddyfile.Dispenser) error // d is at the option's name
	check(read bool) error             // read says that the value was just read; one that nobody set passes otherwise
	fill()
	isSet() bool
}

// Description is what a row says of its option.
type Description struct {
	Name    string
	Keys    []string // in JSON
	Allowed string   // the values that are taken, or who checks them
	Default string   // as it is written in a Caddyfile; empty: there is none
	Repeats bool     // it may stand more than once
	Block   Table    // of the options in its block, if it has one
}

// Holder has options: a module, or a part of one.
type Holder interface{ Options() Table }

// Names returns the names of the options.
func (t Table) Names() []string {
	names := make([]string, len(t))
	for i, o := range t {
		names[i] = o.Describe().Name
	}
	return names
}

// Check returns what is wrong with the first value that is not allowed.
func (t Table) Check() error {
	for _, o := range t {
		if err := o.check(false); err != nil {
			return err
		}
	}
	return nil
}

// Set returns the first of some options that has a value, or nothing. Before [Table.Fill], these are the options that somebody
// wrote.
func (t Table) Set(names ...string) string {
	for _, name := range names {
		if o := t.find(name); o != nil && o.isSet() {
			return name
		}
	}
	return ""
}

// Fill sets every field that is zero to its default.
func (t Table) Fill() {
	for _, o := range t {
		o.fill()
	}
}

func (t Table) find(name string) Option {
	i := slices.IndexFunc(t, func(o Option) bool { return o.Describe().Name == name })
	if i < 0 {
		return nil
	}
	return t[i]
}

// list returns the names as an error has them: there is: a; there are a, b and c.
func (t Table) list() string {
	if len(t) == 1 {
		return "there is: " + t.and()
	}
	return "there are " + t.and()
}

func (t Table) and() string { return syntax.List(t.Names(), "and") }
