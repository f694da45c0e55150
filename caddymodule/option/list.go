package option

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// Values is an option with one or more values of any text.
type Values struct {
	name      string
	dst       *[]string
	need      string
	rule      func([]string) error
	unbounded string
}

// List is an option with one or more values. An option without a value is refused with what it needs, in words that follow its
// name.
func List(name string, dst *[]string, need string) *Values {
	return &Values{name: name, dst: dst, need: need}
}

// Must adds a rule, whose errors name the option or the value themselves.
func (l *Values) Must(rule func([]string) error) *Values {
	l.rule = rule
	return l
}

// Each is [Values.Must] with a rule for each of the values.
func (l *Values) Each(rule func(string) error) *Values {
	return l.Must(func(values []string) error {
		for _, value := range values {
			if err := rule(value); err != nil {
				return err
			}
		}
		return nil
	})
}

// Unbounded says why the row has no rule: who else checks the values, or that any value will do.
func (l *Values) Unbounded(why string) *Values {
	l.unbounded = why
	return l
}

// Describe implements [Option].
func (l *Values) Describe() Description {
	allowed := l.unbounded
	if l.rule != nil {
		allowed = "what its rule takes"
	}
	return Description{Name: l.name, Keys: []string{l.name}, Allowed: allowed}
}

func (l *Values) read(d *caddyfile.Dispenser) error {
	if *l.dst = d.RemainingArgs(); len(*l.dst) == 0 {
		return d.Errf("%s %s", l.name, l.need)
	}
	return nil
}

func (l *Values) check(bool) error {
	if l.rule == nil || !l.isSet() {
		return nil
	}
	return l.rule(*l.dst)
}

func (*Values) fill() {}

func (l *Values) isSet() bool { return len(*l.dst) > 0 }
