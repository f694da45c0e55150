package option

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

// Own is an option that its module reads: one with a block, or with values of several kinds.
type Own struct {
	about  Description
	reader func(d *caddyfile.Dispenser) error
	judge  func() error
	there  func() bool
}

// Func is an option that is read by a function, with d at its name. Allowed says what it takes.
func Func(name, allowed string, read func(d *caddyfile.Dispenser) error) *Own {
	return &Own{about: Description{Name: name, Keys: []string{name}, Allowed: allowed}, reader: read}
}

// Keys sets the option's keys in JSON, where they are not its name.
func (o *Own) Keys(keys ...string) *Own {
	o.about.Keys = keys
	return o
}

// Block sets the table of the options in its block.
func (o *Own) Block(t Table) *Own {
	o.about.Block = t
	return o
}

// Default says how the default is written.
func (o *Own) Default(text string) *Own {
	o.about.Default = text
	return o
}

// Again lets the option stand more than once.
func (o *Own) Again() *Own {
	o.about.Repeats = true
	return o
}

// Must adds a rule, whose errors name the option themselves.
func (o *Own) Must(rule func() error) *Own {
	o.judge = rule
	return o
}

// Where says whether the option has a value.
func (o *Own) Where(set func() bool) *Own {
	o.there = set
	return o
}

// Describe implements [Option].
func (o *Own) Describe() Description { return o.about }

func (o *Own) read(d *caddyfile.Dispenser) error { return o.reader(d) }

func (o *Own) check(bool) error {
	if o.judge == nil {
		return nil
	}
	return o.judge()
}

func (*Own) fill() {}

func (o *Own) isSet() bool { return o.there != nil && o.there() }
