package option

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/caddymodule/syntax"
)

// Block reads the options of one block of a Caddyfile.
type Block struct {
	Of    string // what errors call the block
	Table Table
	// Rule judges the options so far, after each of them; its error is reported at that option. It may be nil.
	Rule func() error
	// Prefixed begins errors about values with Of.
	Prefixed bool
}

// Error is a mistake that a rule over several options finds in one of them. It has the text of Err.
type Error struct {
	Option string
	Err    error
}

func (e *Error) Error() string { return e.Err.Error() }

func (e *Error) Unwrap() error { return e.Err }

// Wrong returns an [Error].
func Wrong(option, format string, args ...any) error {
	return &Error{option, fmt.Errorf(format, args...)}
}

// Lines says where in the Caddyfile the options of a block are, in the order in which they were read.
type Lines []line

type line struct {
	option string
	at     caddyfile.Token
}

// Blame returns err with file and line of an option, for a rule over several of them.
func (l Lines) Blame(option string, err error) error {
	if i := l.last(option); i >= 0 {
		return syntax.At(l[i].at, err)
	}
	return err
}

// Last returns that of some options that was read last. One of them was.
func (l Lines) Last(options ...string) string { return l[l.last(options...)].option }

// last returns the index of that of some options that was read last, or -1.
func (l Lines) last(options ...string) int {
	for i := len(l) - 1; i >= 0; i-- {
		if slices.Contains(options, l[i].option) {
			return i
		}
	}
	return -1
}

// Read reads a block, if there is one.
func (b Block) Read(d *caddyfile.Dispenser) (Lines, error) {
	var lines Lines
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		o := b.Table.find(d.Val())
		if o == nil {
			return nil, b.unknown(d)
		}
		if err := b.readOption(d, o, &lines); err != nil {
			return nil, err
		}
	}
	return lines, nil
}

// ReadAt reads the block behind a line, if there is one, and then judges all of it: what judge finds is reported at the option
// that an [Error] names, or at the line.
func (b Block) ReadAt(d *caddyfile.Dispenser, line caddyfile.Token, judge func() error) error {
	lines, err := b.Read(d)
	if err != nil {
		return err
	}
	if err = judge(); err == nil {
		return nil
	}
	if e, ok := errors.AsType[*Error](err); ok {
		if i := lines.last(e.Option); i >= 0 {
			line = lines[i].at
		}
	}
	return syntax.At(line, b.prefix(err))
}

func (b Block) prefix(err error) error {
	if b.Prefixed {
		return fmt.Errorf("%s: %w", b.Of, err)
	}
	return err
}

// unknown refuses the option at d. It shows nothing that may be an address out of place, perhaps with a password.
func (b Block) unknown(d *caddyfile.Dispenser) error {
	shown := fmt.Sprintf(" %q", d.Val())
	if strings.ContainsAny(d.Val(), ":=@") {
		shown = ""
	}
	if len(b.Table) == 0 {
		return d.Errf("unknown option%s of %s, which has none; remove it", shown, b.Of)
	}
	return d.Errf("unknown option%s of %s; %s", shown, b.Of, b.Table.list())
}

// TakeOut reads the options of the table out of a handler's segment, whose name comes first. It returns the rest, which is for
// the parser of another handler.
func (b Block) TakeOut(all caddyfile.Segment) (rest caddyfile.Segment, lines Lines, err error) {
	// The rest keeps the braces of the file: a brace made from a quoted neighbour would be quoted, and so be no brace.
	d := caddyfile.NewDispenser(all)
	d.Next()
	for rest = append(rest, d.Token()); d.NextArg(); {
		rest = append(rest, d.Token())
	}
	head := len(rest)
	for d.NextBlock(0) {
		if o := b.Table.find(d.Val()); o != nil {
			if err := b.readOption(d, o, &lines); err != nil {
				return nil, nil, err
			}
			continue
		}
		if len(rest) == head {
			rest = append(rest, all[head]) // the opening brace
		}
		rest = append(rest, d.NextSegment()...)
	}
	if len(rest) > head {
		rest = append(rest, all[len(all)-1])
	}
	return rest, lines, nil
}

// NotOurs adds the names of the table to what the other parser says of an option: it may be one of ours, misspelt.
func (b Block) NotOurs(other string, err error) error {
	return fmt.Errorf("%s has the options %s; of the others %s says: %w", b.Of, strings.Join(b.Table.Names(), ", "), other, err)
}

// readOption reads the option whose name d is at, and judges it.
func (b Block) readOption(d *caddyfile.Dispenser, o Option, lines *Lines) error {
	name := d.Val()
	if lines.last(name) >= 0 && !o.Describe().Repeats {
		return d.Errf("%s is there twice; keep one of them", name)
	}
	*lines = append(*lines, line{name, d.Token()})
	if err := o.read(d); err != nil {
		return err
	}
	err := o.check(true)
	if err == nil && b.Rule != nil {
		err = b.Rule()
	}
	if err != nil {
		return lines.Blame(name, b.prefix(err))
	}
	return nil
}

// Sub reads the block of one option among others; d is at that option, which has nothing else on its line.
func (b Block) Sub(d *caddyfile.Dispenser, what string) (Lines, error) {
	start := d.Token()
	if d.NextArg() {
		return nil, d.Errf("unexpected %q; %s takes its %s in a block", d.Val(), b.Of, what)
	}
	lines, err := b.Read(d)
	if err != nil {
		return nil, err
	}
	if len(lines) == 0 {
		return nil, syntax.At(start, errors.New(b.Of+" takes its "+what+" in a block: "+b.Table.and()))
	}
	return lines, nil
}
