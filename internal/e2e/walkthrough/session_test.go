//go:build linux

package walkthrough

import (
	"errors"
	"fmt"
	"strings"
)

// talk goes through a session, or goes on with one.
func (r *reader) talk(session *terminal, text string) error {
	if session == nil {
		return errors.New("there is no session to go on with")
	}
	skip := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		typed, isTyped := strings.CutPrefix(line, "> ")
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case isCommand:
			session.types(command + "\n")
			session.busy = true
		case isTyped:
			session.types(r.copies(typed) + "\n")
		case line == "$":
			shown, _, err := session.prompt() // a connection that was cut is a failure to some clients
			if strings.TrimSpace(shown) != "" {
				return fmt.Errorf("before the prompt comes back there is %q", shown)
			}
			if err != nil {
				return err
			}
			session.busy = false
		case line == "…":
			skip = true
		default:
			if err := r.reads(session, line, skip); err != nil {
				return err
			}
			skip = false
		}
	}
	return nil
}

// reads waits for a line that the page shows, behind others if some may be skipped.
func (r *reader) reads(session *terminal, shown string, skip bool) error {
	for {
		line, err := session.line()
		if err != nil {
			return fmt.Errorf("waiting for %q: %w", shown, err)
		}
		if r.sees(shown, line) {
			return nil
		}
		if !skip {
			return fmt.Errorf("the session has %q where the page shows %q", line, shown)
		}
	}
}
