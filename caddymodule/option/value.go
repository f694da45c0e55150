package option

import (
	"cmp"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Value is an option with one value.
type Value[T cmp.Ordered] struct {
	name   string
	called string // in errors
	dst    *T
	scan   func(d *caddyfile.Dispenser, dst *T) error
	parse  func(text string) (T, error) // of bounds and defaults
	show   func(T) string               // in errors
	write  func(T) string               // in a Caddyfile; nil: as show

	words       map[string]T // that stand for a value, such as off
	least, most *bound[T]
	kindAllows  string          // what the kind allows, where there are no bounds
	kindCheck   func(T) error   // of what JSON can say wrongly; nil: nothing
	rules       []func(T) error // of the option
	sentence    string          // that says what is allowed, in place of the one made from the bounds
	unbounded   string

	filled    bool // with otherwise
	otherwise T
	written   string // the default, as it is written
}

type bound[T any] struct {
	value T
	text  string
}

// Default sets the value of an option that is left out.
func (v *Value[T]) Default(text string) *Value[T] { return v.fallback(v.must(text), text) }

// DefaultOf is [Value.Default] with a value that another package decides.
func (v *Value[T]) DefaultOf(value T) *Value[T] {
	if v.write != nil {
		return v.fallback(value, v.write(value))
	}
	return v.fallback(value, v.show(value))
}

// DefaultIs describes a default that depends on something else.
func (v *Value[T]) DefaultIs(what string) *Value[T] {
	v.written = what
	return v
}

func (v *Value[T]) fallback(value T, text string) *Value[T] {
	v.filled, v.otherwise, v.written = true, value, text
	return v
}

// Between sets bounds that are allowed themselves.
func (v *Value[T]) Between(least, most string) *Value[T] {
	v.least, v.most = &bound[T]{v.must(least), least}, &bound[T]{v.must(most), most}
	return v
}

// AtLeast sets a lower bound that is allowed itself.
func (v *Value[T]) AtLeast(least string) *Value[T] {
	v.least = &bound[T]{v.must(least), least}
	return v
}

// Allowing replaces the end of the sentence that refuses a value beyond its bounds.
func (v *Value[T]) Allowing(sentence string) *Value[T] {
	v.sentence = sentence
	return v
}

// Or makes a word stand for a value that is outside the bounds.
func (v *Value[T]) Or(word string, value T) *Value[T] {
	if v.words == nil {
		v.words = make(map[string]T)
	}
	v.words[word] = value
	return v
}

// Must adds a rule, whose errors name the option themselves.
func (v *Value[T]) Must(rule func(T) error) *Value[T] {
	v.rules = append(v.rules, rule)
	return v
}

// Unbounded says why the row has no bounds: who else checks the value, or that any value will do.
func (v *Value[T]) Unbounded(why string) *Value[T] {
	v.unbounded = why
	return v
}

// Called sets what errors about bounds call the option.
func (v *Value[T]) Called(name string) *Value[T] {
	v.called = name
	return v
}

// Describe implements [Option].
func (v *Value[T]) Describe() Description {
	allowed := cmp.Or(v.allowed(), v.unbounded)
	if allowed == "" && v.rules != nil {
		allowed = "what its rule takes"
	}
	return Description{Name: v.name, Keys: []string{v.name}, Allowed: allowed, Default: v.written}
}

// allowed says what values there are, or nothing where all are taken.
func (v *Value[T]) allowed() string {
	switch {
	case v.sentence != "":
		return v.sentence
	case v.least != nil && v.most != nil:
		return fmt.Sprintf("it must be between %s and %s", v.least.text, v.most.text)
	case v.least != nil:
		return "it must be at least " + v.least.text
	}
	return v.kindAllows
}

func (v *Value[T]) read(d *caddyfile.Dispenser) error {
	if v.words != nil && d.NextArg() {
		value, ok := v.words[d.Val()]
		if ok && d.CountRemainingArgs() == 0 {
			*v.dst = value
			return nil
		}
		d.Prev()
	}
	return v.scan(d, v.dst)
}

func (v *Value[T]) check(read bool) error {
	if !read && !v.isSet() { // a zero means the default in JSON alone
		return nil
	}
	return v.judge(*v.dst)
}

func (v *Value[T]) judge(value T) error {
	for _, word := range v.words {
		if value == word {
			return nil
		}
	}
	if v.least != nil && value < v.least.value || v.most != nil && value > v.most.value {
		return fmt.Errorf("%s is %s; %s", v.called, v.show(value), v.allowed())
	}
	if v.kindCheck != nil {
		if err := v.kindCheck(value); err != nil {
			return err
		}
	}
	for _, rule := range v.rules {
		if err := rule(value); err != nil {
			return err
		}
	}
	return nil
}

func (v *Value[T]) fill() {
	if v.filled && !v.isSet() {
		*v.dst = v.otherwise
	}
}

func (v *Value[T]) isSet() bool {
	var zero T
	return *v.dst != zero
}

// must parses a bound or a default. A mistake in one is a mistake in a table, which every test of its module finds.
func (v *Value[T]) must(text string) T {
	if value, ok := v.words[text]; ok {
		return value
	}
	value, err := v.parse(text)
	if err != nil {
		panic(fmt.Sprintf("option %s: %q: %v", v.name, text, err))
	}
	return value
}
