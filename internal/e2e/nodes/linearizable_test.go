//go:build linux

package nodes

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

func describe(input, output any) string {
	a := input.(act)
	return fmt.Sprintf("%s at %c: %s", a.what, 'A'+a.node, output)
}

// nameTaken is the model of one name.
var nameTaken = porcupine.Model{
	Init: func() any { return false },
	Step: func(state, _, output any) (bool, any) {
		switch output {
		case yes:
			return !state.(bool), true
		case no:
			return state.(bool), true
		default: // made, or found taken; or never done, which is as good as done at the end of time
			return true, true
		}
	},
	DescribeOperation: describe,
}

// sessionLives is the model of one session, as one node sees it.
var sessionLives = porcupine.Model{
	Init: func() any { return "none" },
	Step: func(state, input, output any) (bool, any) {
		switch input.(act).what {
		case login:
			return state == "none", "lives"
		case logout: // done, or perhaps
			if state == "none" { // one of all sessions, which this one is not among yet
				return true, state
			}
			return true, "over"
		default:
			return output == yes && state == "lives" || output == no && state == "over", state
		}
	},
	DescribeOperation: describe,
}

// seenBy returns what concerns a session on one node: its uses there, and what ends it, wherever that was called.
//
// What can make no difference is left out, or the search takes too long: what ended before the login began; and of the
// open-ended logouts all but the first, which can do at any time what a later one can.
func (s *session) seenBy(n int) []porcupine.Operation {
	begun := s.ops[0].Call // of the login
	first := int64(math.MaxInt64)
	for _, op := range slices.Concat(s.ops, s.owner.all) {
		if op.Output == unknown {
			first = min(first, op.Call)
		}
	}
	return slices.DeleteFunc(slices.Concat(s.ops, s.owner.all), func(op porcupine.Operation) bool {
		a := op.Input.(act)
		return a.what == use && a.node != n || op.Return < begun || op.Output == unknown && op.Call != first
	})
}

// check fails the test for every history that is not linearizable, and counts calls.
func (h *history) check(t *testing.T) (calls, open int) {
	count := func(ops []porcupine.Operation) {
		calls += len(ops)
		for _, op := range ops {
			if op.Return == forever {
				open++
			}
		}
	}
	failed := 0
	verify := func(what string, model porcupine.Model, ops []porcupine.Operation) {
		result, info := porcupine.CheckOperationsVerbose(model, ops, time.Minute)
		if result == porcupine.Ok {
			return
		}
		if failed++; failed > 3 {
			t.Errorf("%s: %v", what, result)
			return
		}
		slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
		var lines []string
		for _, op := range ops {
			end := "…"
			if op.Return != math.MaxInt64 {
				end = time.Duration(op.Return).Round(time.Microsecond).String()
			}
			lines = append(lines, fmt.Sprintf("%v to %s: client %d: %s", time.Duration(op.Call).Round(time.Microsecond), end, op.ClientId, model.DescribeOperation(op.Input, op.Output)))
		}
		t.Errorf("%s: %v\n%s", what, result, strings.Join(lines, "\n"))
		if dir := os.Getenv("CHATGATE_TEST_HISTORY"); dir != "" {
			if err := porcupine.VisualizePath(model, info, filepath.Join(dir, strings.ReplaceAll(what, " ", "-")+".html")); err != nil {
				t.Error(err)
			}
		}
	}
	for _, a := range h.accounts {
		count(a.all)
	}
	for name, ops := range h.names {
		count(ops)
		verify("name "+name, nameTaken, ops)
	}
	for i, c := range h.consumables {
		count(c.ops)
		verify(fmt.Sprintf("%s %d", c.what, i), used(c.uses), c.ops)
	}
	for i, l := range h.ladders {
		count(l.ops)
		verify(fmt.Sprintf("session %d that is refreshed", i), tokensOf, l.ops)
	}
	for i, s := range h.sessions {
		count(s.ops)
		for n := range h.nodes {
			verify(fmt.Sprintf("session %d of %s at %s", i, s.owner.name, h.nodes[n].name), sessionLives, s.seenBy(n))
		}
	}
	return calls, open
}
