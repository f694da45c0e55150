package option

import (
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// Switch is an option with two values.
type Switch struct {
	name  string
	set   func(bool)
	there func() bool
	words []string // in the order in which errors have them; empty: the name alone turns it on
	on    string   // of the words
	bare  bool     // the name alone turns it on, too
	unset string   // the default, as it is written
}

// OnOff is on or off, and off by default.
func OnOff(name string, dst *bool) *Switch {
	return &Switch{name: name, set: func(on bool) { *dst = on }, there: func() bool { return *dst }, words: []string{"on", "off"}, on: "on", unset: "off"}
}

// OnUnless is on or off, and on by default, which is nil. Its module fills in nothing.
func OnUnless(name string, dst **bool) *Switch {
	return &Switch{name: name, set: func(on bool) { *dst = &on }, there: func() bool { return *dst != nil }, words: []string{"on", "off"}, on: "on", unset: "on"}
}

// Either is one of two words, of which the first is false and the default.
func Either(name string, dst *bool, no, yes string) *Switch {
	return &Switch{name: name, set: func(on bool) { *dst = on }, there: func() bool { return *dst }, words: []string{no, yes}, on: yes, unset: no}
}

// Flag is there or not.
func Flag(name string, dst *bool) *Switch {
	return &Switch{name: name, set: func(on bool) { *dst = on }, there: func() bool { return *dst }, unset: "off"}
}

// OrBare lets the name alone stand for on.
func (s *Switch) OrBare() *Switch {
	s.bare = true
	return s
}

// Describe implements [Option].
func (s *Switch) Describe() Description {
	allowed := "it takes no value"
	if s.words != nil {
		allowed = fmt.Sprintf("it is one of %q", s.words)
	}
	return Description{Name: s.name, Keys: []string{s.name}, Allowed: allowed, Default: s.unset}
}

func (s *Switch) read(d *caddyfile.Dispenser) error {
	switch {
	case s.words == nil && d.CountRemainingArgs() > 0:
		return d.Errf("%s takes no value; leave it out where it is not wanted", s.name)
	case s.words == nil || s.bare && d.CountRemainingArgs() == 0:
		s.set(true)
		return nil
	}
	var word string
	if err := syntax.OneOf(d, &word, s.words...); err != nil {
		return err
	}
	s.set(word == s.on)
	return nil
}

func (*Switch) check(bool) error { return nil }
func (*Switch) fill()            {}

func (s *Switch) isSet() bool { return s.there() }
