package option

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// Text is one value of any text that is not empty.
func Text(name string, dst *string) *Value[string] {
	return &Value[string]{
		name: name, called: name, dst: dst,
		scan:  syntax.One,
		parse: func(text string) (string, error) { return text, nil },
		show:  func(text string) string { return text },
	}
}

// Word is one of some words; the first of them is the default.
func Word(name string, dst *string, words ...string) *Value[string] {
	v := Text(name, dst).Default(words[0])
	v.scan = func(d *caddyfile.Dispenser, dst *string) error { return syntax.OneOf(d, dst, words...) }
	v.kindAllows = fmt.Sprintf("it is one of %q", words)
	v.kindCheck = func(word string) error {
		if !slices.Contains(words, word) {
			return fmt.Errorf("%s is %q; %s", name, word, v.kindAllows)
		}
		return nil
	}
	return v
}

// integer is a type of a field that holds a whole number.
type integer interface {
	~int | ~int64 | ~uint32 | ~uint8
}

// Number is a whole number.
func Number[T integer](name string, dst *T) *Value[T] {
	v := &Value[T]{
		name: name, called: name, dst: dst,
		parse: func(text string) (T, error) {
			n, err := strconv.Atoi(text)
			return T(n), err
		},
		show: func(n T) string { return strconv.FormatInt(int64(n), 10) },
	}
	v.scan = func(d *caddyfile.Dispenser, dst *T) error {
		var n int
		if err := syntax.Int(d, &n); err != nil {
			return err
		}
		if *dst = T(n); int64(*dst) != int64(n) {
			return d.Errf("%s is %d; %s", v.called, n, v.allowed())
		}
		return nil
	}
	return v
}

// Count is a whole number that a Caddyfile cannot set to 0, since that means the default in JSON.
func Count(name string, dst *int) *Value[int] {
	v := Number(name, dst)
	v.scan = syntax.Count
	return v
}

// Size is a number of bytes, written with or without a unit.
func Size[T ~int | ~int64](name string, dst *T) *Value[T] {
	v := Number(name, dst)
	v.write = func(n T) string { return sizeText(int64(n)) }
	v.parse = func(text string) (T, error) {
		n, err := humanize.ParseBytes(text)
		if size := T(n); err == nil && n > 0 && n <= maxSize && uint64(size) == n {
			return size, nil
		}
		return 0, cmp.Or(err, errSize)
	}
	v.scan = func(d *caddyfile.Dispenser, dst *T) error {
		var text string
		if err := syntax.One(d, &text); err != nil {
			return err
		}
		var err error
		if *dst, err = v.parse(text); err != nil {
			return d.Errf("%s is %q; it is a size such as %s%s", name, text, cmp.Or(v.written, "64KiB"), v.orWords())
		}
		return nil
	}
	return v
}

const maxSize = 1 << 40

var errSize = errors.New("not a size of 1B to 1TiB")

// Duration is a positive duration.
func Duration(name string, dst *caddy.Duration) *Value[caddy.Duration] {
	v := &Value[caddy.Duration]{
		name: name, called: name, dst: dst,
		scan: syntax.Duration,
		parse: func(text string) (caddy.Duration, error) {
			d, err := caddy.ParseDuration(text)
			return caddy.Duration(d), err
		},
		show:  func(d caddy.Duration) string { return time.Duration(d).String() },
		write: func(d caddy.Duration) string { return DurationText(time.Duration(d)) },
	}
	v.kindCheck = func(d caddy.Duration) error {
		if d < 0 {
			return fmt.Errorf("%s is %s; it must be positive", v.called, time.Duration(d))
		}
		return nil
	}
	return v
}

// Rate is a budget such as 60/1m.
func Rate(name string, dst *syntax.Rate) *Value[syntax.Rate] {
	return &Value[syntax.Rate]{
		name: name, called: name, dst: dst,
		scan:       func(d *caddyfile.Dispenser, dst *syntax.Rate) error { return syntax.One(d, (*string)(dst)) },
		parse:      func(text string) (syntax.Rate, error) { return syntax.Rate(text), nil },
		show:       func(r syntax.Rate) string { return string(r) },
		kindAllows: "a count of 1 to 1000000 and a duration of at least 1s",
		kindCheck: func(r syntax.Rate) error {
			_, err := r.Rate(name, authcore.Rate{})
			return err
		},
	}
}

// orWords lists the words that may stand in place of a value.
func (v *Value[T]) orWords() string {
	var b strings.Builder
	for word := range v.words {
		b.WriteString(", or " + word)
	}
	return b.String()
}
