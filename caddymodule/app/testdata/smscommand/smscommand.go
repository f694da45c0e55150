// Package smscommand sends text messages with a program of the operator's.
package smscommand

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/chatgate/chatgate/authcore"
	"github.com/chatgate/chatgate/caddymodule/app"
)

func init() {
	caddy.RegisterModule(new(Command))
}

// Command runs a program for each text message. The program reads the number in the first line of its standard input, and
// the text after it.
type Command struct {
	// The program and its arguments, which may hold placeholders.
	Args []string `json:"args,omitempty"`

	args []string // without placeholders
}

// CaddyModule returns the Caddy module information.
func (*Command) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "chatgate.sms.command", New: func() caddy.Module { return new(Command) }}
}

// UnmarshalCaddyfile reads the option. Syntax:
//
//	sms command <program> [<argument>...]
func (c *Command) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // command
	c.Args = d.RemainingArgs()
	if d.NextBlock(0) {
		return d.Errf("sms command has no option %s", d.Val())
	}
	if err := c.check(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (c *Command) check() error {
	if len(c.Args) == 0 {
		return errors.New("sms command needs a program: sms command <program> [<argument>...]")
	}
	return nil
}

// Provision resolves the placeholders. It runs nothing: caddy validate provisions, too.
func (c *Command) Provision(caddy.Context) error {
	if err := c.check(); err != nil { // of a configuration in JSON
		return err
	}
	for _, arg := range c.Args {
		arg, err := caddy.NewReplacer().ReplaceOrErr(arg, true, true)
		if err != nil {
			return fmt.Errorf("sms command: %w", err)
		}
		c.args = append(c.args, arg)
	}
	return nil
}

// Open implements [app.SMSModule].
func (c *Command) Open() (app.Texter, error) { return &sender{args: c.args}, nil }

type sender struct {
	args         []string
	sent, failed atomic.Uint64
}

// Send implements [authcore.Texter]. The error has nothing of the program's output, which may quote the number.
func (s *sender) Send(ctx context.Context, to authcore.Phone, text string) error {
	cmd := exec.CommandContext(ctx, s.args[0], s.args[1:]...)
	cmd.Stdin = strings.NewReader(string(to) + "\n" + text + "\n")
	cmd.WaitDelay = time.Second // after ctx has ended
	if err := cmd.Run(); err != nil {
		s.failed.Add(1)
		return fmt.Errorf("sms command: %w", err)
	}
	s.sent.Add(1)
	return nil
}

// Stats implements [app.Texter].
func (s *sender) Stats() app.TextStats {
	return app.TextStats{Sent: s.sent.Load(), Failed: s.failed.Load()}
}

// Close implements [app.Texter].
func (*sender) Close() {}

// Interface guards
var (
	_ app.SMSModule         = (*Command)(nil)
	_ caddy.Provisioner     = (*Command)(nil)
	_ caddyfile.Unmarshaler = (*Command)(nil)
)
