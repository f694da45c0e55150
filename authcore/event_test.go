package authcore

import (
	"bytes"
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"
)

// events is a subscriber that keeps what it is told.
type events struct {
	mu  sync.Mutex
	all []Event
}

func (es *events) take(e Event) {
	es.mu.Lock()
	defer es.mu.Unlock()
	es.all = append(es.all, e)
}

// last returns the latest event of a kind.
func (es *events) last(k EventKind) (Event, bool) {
	es.mu.Lock()
	defer es.mu.Unlock()
	for _, e := range slices.Backward(es.all) {
		if e.Kind == k {
			return e, true
		}
	}
	return Event{}, false
}

// happen has what publishes each kind.
var happen = [numEvents]func(h *house, t *testing.T){
	EventAccountRegistered: func(h *house, t *testing.T) { h.register(t, "alice") },
	EventAccountDisabled:   func(h *house, t *testing.T) { must[Receipt](t)(h.Disable(t.Context(), h.register(t, "alice").ID)) },
	EventLogin:             func(h *house, t *testing.T) { h.person(t, "alice") },
	EventLoginFailed:       func(h *house, t *testing.T) { _, _ = h.try(t, "nobody", rightPassword) },
	EventLoginDelayed: func(h *house, t *testing.T) {
		for range h.policy.Backoff.Free + 1 {
			_, _ = h.try(t, "nobody", rightPassword)
		}
	},
	EventTokenTheft: func(h *house, t *testing.T) {
		g := h.person(t, "alice")
		must[Grant](t)(h.refresh(must[Grant](t)(h.refresh(g, 0)), 0))
		_, _ = h.refresh(g, 0)
	},
	EventSessionsEnded: func(h *house, t *testing.T) {
		must[Receipt](t)(h.Logout(t.Context(), h.person(t, "alice").Proven.Identity))
	},
	EventResetCodeSent: func(h *house, t *testing.T) { h.join(t, "alice"); h.code(t, "alice") },
	EventResetCodeUnsent: func(h *house, t *testing.T) {
		h.join(t, "alice")
		h.mail.set(func() { h.mail.broken = errStore })
		_, _ = h.requestReset("alice")
	},
	EventPhoneCodeSent:  func(h *house, t *testing.T) { h.signUp(t, asks("alice")) },
	EventWrongCode:      func(h *house, t *testing.T) { tryWrong(h, t, "setting a password", 1) },
	EventWrongPhoneCode: func(h *house, t *testing.T) { tryWrong(h, t, "validating a number", 1) },
	EventCodeDelayed: func(h *house, t *testing.T) {
		tryWrong(h, t, "setting a password", CodeTries)
		tryWrong(h, t, "setting a password", 1)
	},
	EventPasswordReset: func(h *house, t *testing.T) {
		h.join(t, "alice")
		p, code := h.code(t, "alice")
		want(t, "a reset", h.reset(p, code, newPassword), nil)
	},
	EventPhoneValidated: func(h *house, t *testing.T) {
		h.signUp(t, asks("alice"))
		code, _ := h.texted(t)
		want(t, "a validation", h.validate(t, theNumber, code), nil)
	},
	EventEmailValidated: func(h *house, t *testing.T) {
		h.signUp(t, asks("alice", email("alice@example.com")))
		want(t, "a validation", h.confirm(t, "alice@example.com", string(h.mail.last().Code)), nil)
	},
	EventInviteCreated: func(h *house, t *testing.T) {
		_, _, err := h.CreateInvite(t.Context(), NewInvite{1, time.Hour, ""})
		want(t, "an invite", err, nil)
	},
}

func tryWrong(h *house, t *testing.T, what string, times int) {
	if _, err := h.state.Accounts.AccountByUsername(t.Context(), "alice"); err != nil {
		h.join(t, "alice")
	}
	code, try := codeTrials[what](h, t)
	for range times {
		_ = try(wrongCode(code))
	}
}

// Every kind is published by something, and has a log line of its own.
func TestEveryEvent(t *testing.T) {
	names := make(map[string]bool)
	for _, k := range EventKinds() {
		t.Run(k.String(), func(t *testing.T) {
			if k.String() == "" || names[k.String()] {
				t.Fatal("not a name of its own")
			}
			names[k.String()] = true
			publish := happen[k]
			if publish == nil {
				t.Fatal("nothing publishes it")
			}
			var log bytes.Buffer
			saw := new(events)
			bubble(t, func(t *testing.T, h *house) {
				publish(h, t)
				e, ok := saw.last(k)
				if !ok {
					t.Fatal("it was not published")
				}
				want(t, "at", e.At.IsZero(), false)
				want(t, "the invite's hash", len(e.Invite.Hash), 0)
				line := h.lines(t, &log, eventLines[k].message)
				if len(line) == 0 || eventLines[k].message == "" {
					t.Fatal("it was not logged")
				}
			}, logged(&log), func(o *StateOptions, _ *Policy) { o.Subscribers = []Subscriber{saw.take} })
		})
	}
	want(t, "beyond", numEvents.String(), "unknown")
}

// An event says who brought it about: the owner of the account, or somebody else.
func TestEventBy(t *testing.T) {
	t.Parallel()
	saw := new(events)
	h := newHouse(t, func(o *StateOptions, _ *Policy) { o.Subscribers = []Subscriber{saw.take} })
	for name, end := range map[string]struct {
		by func(h *house, g Grant) error
		is func(g Grant) AccountID
	}{
		"the owner": {func(h *house, g Grant) error { _, err := h.Logout(t.Context(), g.Proven.Identity); return err }, func(g Grant) AccountID { return g.Account.ID }},
		"an operator": {func(h *house, g Grant) error {
			_, err := h.EndSession(t.Context(), g.Account.ID, g.Session.ID)
			return err
		}, func(Grant) AccountID { return "" }},
	} {
		g := h.join(t, "alice"+name[:1])
		want(t, name, end.by(h, g), nil)
		e, _ := saw.last(EventSessionsEnded)
		want(t, name+": by", e.By, end.is(g))
		want(t, name+": session", e.Session, g.Session.ID)
		want(t, name+": account", e.Account, g.Account.ID)
		want(t, name+": ended", e.Receipt.Sessions, 1)
		e, _ = saw.last(EventLogin)
		want(t, name+": login from", e.Client, client)
	}
}

// stuckLog is a log that takes nothing until it is freed.
type stuckLog struct {
	slog.Handler
	free chan struct{}
}

func (l stuckLog) Handle(context.Context, slog.Record) error { <-l.free; return errStore }

// A log that cannot be written to holds nobody up. What does not fit is counted.
func TestStuckLog(t *testing.T) {
	log := stuckLog{slog.NewTextHandler(bytes.NewBuffer(nil), nil), make(chan struct{})}
	saw := new(events)
	h := newHouse(t, func(o *StateOptions, _ *Policy) {
		o.Log, o.Subscribers = slog.New(log), []Subscriber{saw.take}
	})
	g := h.person(t, "alice")
	for range 2*maxEventLog + 100 {
		h.publish(g.event(EventLogin, client))
	}
	h.login(t, "alice")
	if n := h.state.Stats().Dropped; n < 100 || n > maxEventLog+200 {
		t.Errorf("%d events were dropped", n)
	}
	saw.mu.Lock()
	want(t, "others hear", len(saw.all) > 2*maxEventLog+100, true)
	saw.mu.Unlock()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	h.state.idle(ctx) // which does not wait for ever
	close(log.free)
	h.idle()
	dropped := h.state.Stats().Dropped
	h.login(t, "alice")
	want(t, "dropped later", h.state.Stats().Dropped-dropped, 0)
	h.idle()
}
